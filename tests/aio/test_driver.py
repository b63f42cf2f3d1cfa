"""The driver's turns: bounds, the one timer, wake-ups, and survival of what observers raise."""

import asyncio
import itertools

from netstack.aio.driver import Driver
from netstack.link.loopback import LoopbackPair
from tests.aio.fakes import FakeConnection, FakeStack
from tests.aio.virtual_loop import run

FRAME = bytes(10 + 60)


def verbs(stack):
    return [entry[0] for entry in stack.log]


async def started():
    stack, (left, right) = FakeStack(), LoopbackPair(limit=10_000)
    driver = Driver(stack, left)
    driver.start()
    await asyncio.sleep(0)
    stack.log.clear()
    return driver, stack, right


def test_frames_are_taken_in_as_a_batch_and_answered_once():
    async def main():
        _, stack, peer = await started()
        for _ in range(3):
            peer.write(FRAME, b"", 0)
        await asyncio.sleep(0)
        return verbs(stack)

    assert run(main()) == ["receive", "receive", "receive", "transmit"]


def test_a_flood_leaves_the_loop_its_turns():
    async def main():
        _, stack, peer = await started()
        for _ in range(3 * Driver.FRAMES):
            peer.write(FRAME, b"", 0)
        taken = []
        while len(taken) < 4:
            await asyncio.sleep(0)
            taken.append(verbs(stack).count("receive"))
        return taken

    taken = run(main())
    assert taken[0] == Driver.FRAMES
    assert taken[-1] == 3 * Driver.FRAMES
    assert max(b - a for a, b in itertools.pairwise(taken)) <= 2 * Driver.FRAMES


def test_the_bound_counts_octets_too():
    async def main():
        driver, stack, peer = await started()
        Driver.OCTETS, old = 5 * len(FRAME), Driver.OCTETS
        try:
            for _ in range(12):
                peer.write(FRAME, b"", 0)
            await asyncio.sleep(0)
            first = verbs(stack).count("receive")
            await asyncio.sleep(1)
            return first, verbs(stack).count("receive")
        finally:
            Driver.OCTETS = old
            driver.close()

    assert run(main()) == (5, 12)


def test_many_wakes_are_one_transmit():
    async def main():
        driver, stack, _ = await started()
        for _ in range(10):
            driver.wake()
        await asyncio.sleep(1)
        return verbs(stack)

    assert run(main()) == ["transmit"]


def test_a_wake_during_a_turn_is_not_lost():
    """Whatever an observer changes is seen by the transmit that called it."""

    async def main():
        driver, stack, _ = await started()
        seen = []
        stack.on_transmit = lambda: (seen.append(driver.awake), driver.wake())
        driver.wake()
        await asyncio.sleep(1)
        driver.wake()
        await asyncio.sleep(1)
        return seen

    assert run(main()) == [True, True]


def test_expire_is_called_at_the_deadline_to_the_microsecond():
    async def main():
        driver, stack, _ = await started()
        stack.due = 1_234_567
        driver.wake()
        await asyncio.sleep(10)
        return [entry for entry in stack.log if entry[0] == "expire"]

    assert run(main()) == [("expire", 1_234_567)]


def test_a_deadline_that_moves_earlier_is_kept():
    async def main():
        driver, stack, _ = await started()
        for due in (5_000_000, 2_000_000, 3_000_000):
            stack.due = due
            driver.wake()
            await asyncio.sleep(0)
        await asyncio.sleep(10)
        return [entry for entry in stack.log if entry[0] == "expire"]

    assert run(main()) == [("expire", 3_000_000)]


def test_a_deadline_that_moves_later_costs_no_timer():
    async def main():
        driver, stack, _ = await started()
        stack.due = 1_000_000
        driver.wake()
        await asyncio.sleep(0)
        armed = driver._timer
        for due in range(1_100_000, 2_000_000, 100_000):
            stack.due = due
            driver.wake()
            await asyncio.sleep(0)
            assert driver._timer is armed
        await asyncio.sleep(10)
        return [entry for entry in stack.log if entry[0] == "expire"]

    assert run(main()) == [("expire", 1_900_000)]


def test_a_timer_survives_the_deadline_going_away():
    async def main():
        driver, stack, _ = await started()
        stack.due = 1_000_000
        driver.wake()
        await asyncio.sleep(0)
        stack.due = None
        driver.wake()
        await asyncio.sleep(2)
        assert verbs(stack).count("expire") == 0
        stack.due = 4_000_000
        driver.wake()
        await asyncio.sleep(10)
        return [entry for entry in stack.log if entry[0] == "expire"]

    assert run(main()) == [("expire", 4_000_000)]


def test_what_an_observer_raises_is_reported_and_the_rest_gets_its_turn():
    async def main():
        driver, stack, _ = await started()
        reached = []
        for observer in (lambda bits: 1 / 0, reached.append):
            connection = FakeConnection(stack)
            connection.observer = observer
            connection.arrive(b"x")

        def transmit(now):
            while stack.changed:
                stack.changed.pop(0).upcall()

        stack.transmit = transmit
        driver.wake()
        await asyncio.sleep(1)
        return reached, [type(context["exception"]) for context in asyncio.get_running_loop().unhandled]

    assert run(main(), expect_unhandled=True) == ([1], [ZeroDivisionError])


def test_one_bad_frame_does_not_lose_those_behind_it():
    async def main():
        driver, stack, peer = await started()
        good = stack.receive
        stack.receive = lambda frame, now: 1 / 0 if frame[-1] else good(frame, now)
        for last in (b"\0", b"\1", b"\0"):
            peer.write(FRAME + last, b"", 0)
        await asyncio.sleep(1)
        return verbs(stack).count("receive"), len(asyncio.get_running_loop().unhandled), driver.awake

    assert run(main(), expect_unhandled=True) == (2, 1, False)


def test_closed_it_leaves_the_device_and_the_loop_alone():
    async def main():
        driver, stack, peer = await started()
        stack.due = 1_000_000
        driver.wake()
        await asyncio.sleep(0)
        driver.wake()
        driver.close()
        driver.close()
        stack.log.clear()
        peer.write(FRAME, b"", 0)
        driver.wake()
        await asyncio.sleep(5)
        return stack.log, driver.device.wake

    assert run(main()) == ([], None)


def test_idle_waits_for_the_last_connection():
    async def main():
        driver, stack, _ = await started()
        await driver.idle()
        connection = FakeConnection(stack)
        waiting = asyncio.ensure_future(driver.idle())
        await asyncio.sleep(1)
        assert not waiting.done()
        connection.fail(104)
        driver.wake()
        await asyncio.wait_for(waiting, 1)

    run(main())
