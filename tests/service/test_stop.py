"""Signals: drain, hurry, unwind; and not while things are being undone."""

import asyncio
import os
import signal

import pytest

from netstack.service.stop import SIGNALS, Stop


def interrupt(number=signal.SIGTERM):
    signal.raise_signal(number)


@pytest.mark.parametrize("number", SIGNALS)
def test_before_serving_a_signal_unwinds(number):
    with pytest.raises(KeyboardInterrupt), Stop():
        interrupt(number)


def test_while_serving_the_first_and_the_second_are_told_to_whoever_waits():
    async def serve(stop):
        stop.serving()
        loop = asyncio.get_running_loop()
        loop.call_soon(interrupt)
        await stop.requested()
        assert stop.requests == 1
        loop.call_soon(interrupt)
        await stop.requested(2)
        return stop.requests

    with Stop() as stop:
        assert asyncio.run(asyncio.wait_for(serve(stop), 5)) == 2


def test_the_third_unwinds_an_application_that_never_yields():
    async def serve(stop):
        stop.serving()
        for _ in range(Stop.PATIENCE):
            os.kill(os.getpid(), signal.SIGINT)
        raise AssertionError("still here")

    with Stop() as stop, pytest.raises(KeyboardInterrupt):
        asyncio.run(serve(stop))


def test_nothing_interrupts_the_clean_up():
    with Stop() as stop:
        stop.ignore()
        for _ in range(5):
            interrupt()
    assert stop.requests == 0


def test_afterwards_the_handlers_are_what_they_were():
    before = [signal.getsignal(number) for number in SIGNALS]
    with Stop():
        pass
    assert [signal.getsignal(number) for number in SIGNALS] == before
