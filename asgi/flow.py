"""Back-pressure from the transport's write buffer to the coroutines that send: `await drained()`."""

import asyncio
from asyncio import AbstractEventLoop, Future


class Flow:
    """Open while the transport takes data; made only for a connection whose client once did not keep up."""

    __slots__ = ("_loop", "_waiters", "paused")

    def __init__(self, loop: AbstractEventLoop) -> None:
        self._loop = loop
        self._waiters: list[Future[None]] = []
        self.paused = True

    def open(self) -> None:
        """The write buffer has space again, or the connection is gone: everybody goes on (and looks for himself)."""
        self.paused = False
        waiters, self._waiters = self._waiters, []
        for waiter in waiters:
            if not waiter.done():
                waiter.set_result(None)

    async def drained(self) -> None:
        """Return when the transport takes data again. Each waiter has a future of its own: one may be cancelled."""
        while self.paused:
            waiter = self._loop.create_future()
            self._waiters.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if waiter in self._waiters:
                    self._waiters.remove(waiter)
                raise
