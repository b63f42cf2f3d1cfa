"""An event loop whose time jumps to the next timer when nothing is left to do: hours pass in milliseconds."""

import asyncio
import math
import selectors
from collections.abc import Coroutine
from typing import Any

MICROSECOND = 1e-6


class Deadlock(Exception):
    """Nothing will ever happen again, and the program is still waiting."""


class _JumpingSelector(selectors.DefaultSelector):
    """Where another selector would sleep, this one moves the loop's time. It watches the loop's own self-pipe only."""

    def __init__(self) -> None:
        super().__init__()
        self.micros = 0

    def select(self, timeout: float | None = None) -> list[Any]:
        ready = super().select(0)
        if ready or timeout == 0:
            return ready
        if timeout is None:
            raise Deadlock
        self.micros += math.ceil(timeout / MICROSECOND - 1e-3)
        return []


class VirtualLoop(asyncio.SelectorEventLoop):
    """`time()` is seconds since the loop was made; only `call_at` and the like make it pass."""

    def __init__(self) -> None:
        self._jumping = _JumpingSelector()
        super().__init__(self._jumping)
        self._clock_resolution = 1e-9
        self.unhandled: list[dict[str, Any]] = []
        self.set_exception_handler(lambda loop, context: self.unhandled.append(context))

    def time(self) -> float:
        return self._jumping.micros / 1_000_000

    @property
    def micros(self) -> int:
        """The time in microseconds."""
        return self._jumping.micros


def run(main: Coroutine[Any, Any, Any], expect_unhandled: bool = False) -> Any:
    """asyncio.run in virtual time. What reached the loop's exception handler is an error unless it is expected."""
    loop = VirtualLoop()
    try:
        result = loop.run_until_complete(main)
    finally:
        loop.run_until_complete(_end_tasks())
        loop.close()
    if not expect_unhandled:
        assert loop.unhandled == []
    return result


async def _end_tasks() -> None:
    tasks = asyncio.all_tasks() - {asyncio.current_task()}
    for task in tasks:
        task.cancel()
    await asyncio.gather(*tasks, return_exceptions=True)
    await asyncio.get_running_loop().shutdown_asyncgens()
