"""One request and its response: the ASGI conversation with one call of the application.

The connection makes a cycle for every request, puts body octets into it as they arrive, and is told when the response
is complete. `receive` and `send` are this object's methods, so nothing is allocated for them.

Errors have sides. What the application does wrong raises in its `send` (`reply.py`); if it does not recover, which it
can only before the head is written, the connection is closed. What the client does wrong never raises: the cycle is
`gone`, `receive` says http.disconnect and `send` raises ClientDisconnected.
"""

import asyncio
import logging
from asyncio import AbstractEventLoop, Future, Task
from typing import TYPE_CHECKING

from asgi.reply import BODY, DONE, START, Reply
from asgi.spec import ClientDisconnected, Message, Scope

if TYPE_CHECKING:
    from asgi.http import Http

logger = logging.getLogger("asgi")


_FEW = 64
_PIECE = 64
"""Octets that a bytes object costs beside what is in it."""


class Cycle(Reply):
    """The request half, and the call. Public attributes are the connection's to read and, where it says so, to set."""

    __slots__ = ("_delivered", "_expect", "_loop", "buffered", "ended", "log", "pieces", "scope", "task", "waiting")

    def __init__(self, connection: "Http", loop: AbstractEventLoop, scope: Scope, head_only: bool) -> None:
        """A cycle for a request on 1.1 without a body; the connection changes what is different."""
        # All in one place, without a call of the base class: this runs once a request.
        self._connection = connection
        self.head_only = head_only
        self.http11 = self.keep_alive = self.complete = True
        self.gone = self._bodyless = self._chunked = self._te_trailers = False
        self.phase = START
        self.status = self.sent = 0
        self._loop = loop
        self.scope = scope
        self.pieces: list[bytes] | None = None
        """Body octets that have arrived and not been received yet; None for a request without a body."""
        self.buffered = 0
        self.ended = False
        """The client has closed its sending side: it may still read, and is most often gone. Set by the connection."""
        self.log: tuple[str, bytes, float] | None = None
        """(method, target, start time) while the request has still to be logged."""
        self.task: Task[None] | None = None
        self._delivered = False
        self._expect = False
        self.waiting: list[Future[None]] | None = None
        """What calls of `receive` wait for, to be woken by `wake`."""

    def expect_body(self, expect_continue: bool) -> None:
        """The request has a body. With `expect_continue`, the client waits to be asked for it (RFC 9110 10.1.1)."""
        self.complete = False
        self.pieces = []
        self._expect = expect_continue

    async def run(self) -> None:
        """Call the application; whatever it does, the response ends or the connection does."""
        try:
            await self._connection.server.app(self.scope, self.receive, self.send)
        except Exception as error:
            self._report(error)
            self._connection.on_failure(self)
        except asyncio.CancelledError:
            self._connection.on_failure(self)
            raise
        else:
            if self.phase != DONE:
                if not (self.gone or self.ended):  # one that was told http.disconnect may leave it at that
                    logger.error("The application returned without completing its response")
                self._connection.on_failure(self)
        finally:
            if self.task is not None:
                self._connection.server.on_end(self)

    def _report(self, error: Exception) -> None:
        cause: BaseException | None = error
        while self.gone and cause is not None:
            if isinstance(cause, ClientDisconnected):
                logger.debug("The client went before its response was complete")
                return
            cause = cause.__cause__ or cause.__context__
        logger.error("Exception in the application", exc_info=error)

    # The request's side.

    async def receive(self) -> Message:
        """The next http.request event, or http.disconnect once the body was delivered and nobody listens any more."""
        while True:
            if self.phase == DONE:
                return {"type": "http.disconnect"}
            if self.complete:
                if not self._delivered:
                    self._delivered = True
                    return {"type": "http.request", "body": self._take(), "more_body": False}
                if self.gone or self.ended:
                    return {"type": "http.disconnect"}
            elif self.gone:
                return {"type": "http.disconnect"}
            elif self.pieces:
                return {"type": "http.request", "body": self._take(), "more_body": True}
            elif self._expect and self.phase < BODY:
                self._expect = False
                self._connection.ask_for_body()
            waiter = self._loop.create_future()
            if self.waiting is None:
                self.waiting = []
            self.waiting.append(waiter)
            try:
                await waiter
            except asyncio.CancelledError:
                if self.waiting is not None and waiter in self.waiting:
                    self.waiting.remove(waiter)
                raise

    def _take(self) -> bytes:
        pieces = self.pieces
        if not pieces:
            return b""
        body = pieces[0] if len(pieces) == 1 else b"".join(pieces)
        self.pieces = []
        self.buffered = 0
        self._connection.on_body_taken()
        return body

    def on_body(self, octets: int, complete: bool) -> None:
        """The connection has put `octets` more into `pieces`; with `complete` the body has ended."""
        self._expect = False
        self.buffered += octets
        self.complete = complete
        pieces = self.pieces
        if pieces and len(pieces) > _FEW and len(pieces) * _PIECE > self.buffered:
            self.pieces = [b"".join(pieces)]  # tiny chunks: what waits must not cost many times what it holds
        self.wake()

    def wake(self) -> None:
        """Something that `receive` waits for may have changed."""
        if self.waiting:
            waiters, self.waiting = self.waiting, None
            for waiter in waiters:
                if not waiter.done():
                    waiter.set_result(None)

    @property
    def unasked(self) -> bool:
        """The client still waits for 100 Continue; whether it sends the body if it gets something else is open."""
        return self._expect
