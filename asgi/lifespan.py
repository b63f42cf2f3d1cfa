"""The application's own start and end: one call with a "lifespan" scope for the life of the server."""

import asyncio
import logging
from asyncio import Event, Task
from typing import Any

from asgi.spec import ASGI_VERSION, LIFESPAN_SPEC_VERSION, App, Message

logger = logging.getLogger("asgi")


class LifespanError(RuntimeError):
    """The application said that it cannot start, or has no lifespan though it was asked for."""


class Lifespan:
    """`startup`, later `shutdown`. `state` is what the application put there; every request gets a shallow copy."""

    def __init__(self, app: App, mode: str) -> None:
        """`mode`: auto, on or off, as in `Settings.lifespan`."""
        self.state: dict[str, Any] = {}
        self._app = app
        self._mode = mode
        self._task: Task[None] | None = None
        self._started = Event()
        self._stopping = Event()
        self._stopped = Event()
        self._hurried = Event()
        self._asked = 0
        self._failure: str | None = None
        """The message of a startup.failed or shutdown.failed."""
        self._supported = False

    async def startup(self) -> None:
        """Return when the application is ready. Raises LifespanError if it is not going to be."""
        if self._mode == "off":
            return
        self._task = asyncio.create_task(self._run(), name="lifespan")
        started = asyncio.create_task(self._started.wait())
        try:
            await asyncio.wait((self._task, started), return_when=asyncio.FIRST_COMPLETED)
        finally:
            started.cancel()
            if not self._started.is_set() and not self._task.done():
                self._task.cancel()  # we were cancelled while the application was starting
        if self._failure is not None:
            raise LifespanError(f"the application failed to start: {self._failure or 'no reason given'}")
        if not self._supported and self._mode == "on":
            raise LifespanError("the application does not support lifespan")

    async def shutdown(self, limit: float) -> None:
        """Ask the application to clean up, and wait for it, `limit` seconds at most."""
        task = self._task
        if task is None or task.done():
            return
        self._stopping.set()
        stopped = asyncio.create_task(self._stopped.wait())
        hurried = asyncio.create_task(self._hurried.wait())
        await asyncio.wait((task, stopped, hurried), timeout=limit, return_when=asyncio.FIRST_COMPLETED)
        stopped.cancel()
        hurried.cancel()
        if not self._stopped.is_set() and not task.done() and not self._hurried.is_set():
            logger.error("The application's lifespan shutdown did not end within %g s", limit)
        if not task.done():
            # After shutdown.complete it has only to return; one that waits for a further event never will.
            await asyncio.wait((task,), timeout=0.1 if self._stopped.is_set() else 0)
            task.cancel()
            await asyncio.wait((task,), timeout=1)

    def hurry(self) -> None:
        """Cut short what `shutdown` is waiting for."""
        self._hurried.set()

    async def _run(self) -> None:
        scope = {
            "type": "lifespan",
            "asgi": {"version": ASGI_VERSION, "spec_version": LIFESPAN_SPEC_VERSION},
            "state": self.state,
        }
        try:
            await self._app(scope, self._receive, self._send)
        except Exception as error:
            if self._started.is_set() and self._supported:
                logger.error("Exception in the application's lifespan", exc_info=error)
            elif self._mode == "on" and self._failure is None:
                self._failure = f"{type(error).__name__}: {error}"
                logger.error("Exception in the application's lifespan", exc_info=error)
            else:
                logger.debug("The application raised on lifespan, which is taken for not supporting it: %r", error)

    async def _receive(self) -> Message:
        self._asked += 1
        if self._asked == 1:
            return {"type": "lifespan.startup"}
        await self._stopping.wait()
        if self._asked == 2:
            return {"type": "lifespan.shutdown"}
        await asyncio.Event().wait()  # there are two events; nothing comes after them
        raise AssertionError("an event that nobody sets")

    async def _send(self, message: Message) -> None:
        kind = message["type"]
        if kind in ("lifespan.startup.complete", "lifespan.startup.failed") and not self._started.is_set():
            self._supported = True
            if kind == "lifespan.startup.failed":
                self._failure = str(message.get("message", ""))
            self._started.set()
        elif kind in ("lifespan.shutdown.complete", "lifespan.shutdown.failed") and self._stopping.is_set():
            if kind == "lifespan.shutdown.failed":
                logger.error("The application failed to shut down: %s", message.get("message", ""))
            self._stopped.set()
        else:
            raise RuntimeError(f"unexpected {kind!r}")
