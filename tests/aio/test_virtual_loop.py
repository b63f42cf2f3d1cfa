"""The virtual loop itself: time jumps, and a wait that nothing can end is an error rather than a hang."""

import asyncio

import pytest

from tests.aio.virtual_loop import Deadlock, run


def test_an_hour_passes_at_once_and_to_the_microsecond():
    async def main():
        loop = asyncio.get_running_loop()
        await asyncio.sleep(3600)
        assert loop.micros == 3_600_000_000
        await asyncio.sleep(0.000_001)
        return loop.micros

    assert run(main()) == 3_600_000_001


def test_a_timer_between_two_microseconds_fires():
    async def main():
        await asyncio.sleep(1 / 3)
        return asyncio.get_running_loop().micros

    assert run(main()) == 333_334


def test_waiting_for_nothing_is_a_deadlock():
    async def main():
        await asyncio.get_running_loop().create_future()

    with pytest.raises(Deadlock):
        run(main())


def test_what_reaches_the_exception_handler_fails_the_run():
    async def main():
        asyncio.get_running_loop().call_soon(lambda: 1 / 0)
        await asyncio.sleep(1)

    with pytest.raises(AssertionError):
        run(main())
    run(main(), expect_unhandled=True)
