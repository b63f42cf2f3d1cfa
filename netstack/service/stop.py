"""Signals that ask a run to end: the first drains, the second hurries, the third unwinds at once. All clean up."""

import asyncio
import signal
from types import FrameType, TracebackType
from typing import Any

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)


class Stop:
    """Takes the signals for the length of a with block.

    Before `serving` a signal raises KeyboardInterrupt where the program is, so that what was set up is undone; while
    serving it is counted, and `await requested(n)` returns once there were n; after `ignore` it is too late to matter.
    An event loop that no longer comes round (an application that never yields) still hears the third.
    """

    PATIENCE = 3

    def __init__(self) -> None:
        self.requests = 0
        self._loop: asyncio.AbstractEventLoop | None = None
        self._ignored = False
        self._waiting: list[asyncio.Future[None]] = []
        self._before: dict[signal.Signals, Any] = {}

    def __enter__(self) -> "Stop":
        for number in SIGNALS:
            self._before[number] = signal.signal(number, self._on_signal)
        return self

    def __exit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        for number, handler in self._before.items():
            signal.signal(number, handler)

    def serving(self) -> None:
        """From now on the running event loop is told, and decides what to do."""
        self._loop = asyncio.get_running_loop()

    def ignore(self) -> None:
        """From now on everything is being undone: a signal must not interrupt that."""
        self._ignored = True

    async def requested(self, times: int = 1) -> None:
        """Wait until so many signals have come."""
        while self.requests < times:
            future = asyncio.get_running_loop().create_future()
            self._waiting.append(future)
            await future

    def _on_signal(self, number: int, frame: FrameType | None) -> None:
        if self._ignored:
            return
        self.requests += 1
        if self._loop is None or self._loop.is_closed() or self.requests >= self.PATIENCE:
            raise KeyboardInterrupt
        self._loop.call_soon_threadsafe(self._tell)

    def _tell(self) -> None:
        waiting, self._waiting = self._waiting, []
        for future in waiting:
            if not future.done():
                future.set_result(None)
