"""The stack's clock on an event loop: whole microseconds of `loop.time()`."""

from asyncio import AbstractEventLoop

from netstack.units import SECOND, Micros


class Clock:
    """`clock()` is now, in microseconds of the loop's own monotonic time; `when(at)` the way back, in seconds.

    Rounded to the nearest, so that a timer that the loop fires at `when(at)` finds `clock() >= at`.
    """

    __slots__ = ("_time",)

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._time = loop.time

    def __call__(self) -> Micros:
        return int(self._time() * SECOND + 0.5)

    def when(self, at: Micros) -> float:
        """The loop's time, in seconds, at which `clock()` reads `at`."""
        return at / SECOND
