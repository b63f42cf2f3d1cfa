"""A connection without its requests: the transport's two directions, one deadline, and the ways to end.

`http.py` puts HTTP on top. A connection is in one of five states:

    IDLE     between requests; also before the first
    HEAD     part of a header block has arrived
    BODY     a request's body is arriving; with `cycle` None its response is complete and the rest is drained
    BUSY     a request has arrived whole, its response is not complete
    CLOSING  nothing more is served; octets are dropped until the connection is gone

No timers: a connection stores one deadline, and the server looks at all of them a few times a second (`server.py`).
"""

import asyncio
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING, cast

from asgi import response
from asgi.cycle import Cycle
from asgi.events import ConnectionLost, ConnectionMade, RequestRefused
from asgi.flow import Flow
from asgi.reply import BODY as HEAD_WRITTEN
from asgi.reply import DONE

if TYPE_CHECKING:
    from asgi.server import Server

NEVER = float("inf")

IDLE, HEAD, BODY, BUSY, CLOSING = range(5)

_LINGERS = 10
"""How many times timeout_linger a client may go on sending after it was refused."""


class Connection(asyncio.Protocol):
    """What every state shares. `self.cycle` is the request whose response is not complete, if there is one."""

    __slots__ = (
        "_eof",
        "_linger_end",
        "_pending",
        "_reading_paused",
        "client",
        "cycle",
        "deadline",
        "flow",
        "local",
        "scheme",
        "server",
        "state",
        "transport",
    )

    transport: asyncio.Transport

    def __init__(self, server: "Server") -> None:
        self.server = server
        self.state = IDLE
        self.deadline = NEVER
        """Loop time at which `expire` is due."""
        self.cycle: Cycle | None = None
        self.flow: Flow | None = None
        """Made when the transport pauses writing for the first time."""
        self._pending: bytes | bytearray | None = None
        """Octets that are not parsed yet: requests that wait; in HEAD, the part of a header block."""
        self._reading_paused = False
        self._eof = False
        self._linger_end = 0.0
        """While octets of a client are dropped so that it can read our last words: the end of that, otherwise 0."""

    # What the transport calls.

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self.transport = cast(asyncio.Transport, transport)
        self.scheme = "http" if transport.get_extra_info("sslcontext") is None else "https"
        self.client = _address(transport.get_extra_info("peername"))
        self.local = _address(transport.get_extra_info("sockname"))
        server = self.server
        server.attach(self)
        if server.events is not None:
            server.events(ConnectionMade(server.loop.time(), self.client, self.local))
        self.deadline = server.idle_at
        limit = server.settings.limit_connections
        if server.stopping:
            self.close()
        elif limit is not None and len(server.connections) > limit:
            self.refuse(HTTPStatus.SERVICE_UNAVAILABLE)

    def eof_received(self) -> bool:
        """The client sends no more. A request that has arrived whole is still answered; anything else is over.

        A client that has closed and one that has only finished sending look the same from here. So `receive` says
        http.disconnect from now on, and what the application sends is still written.
        """
        if self.state != BUSY or not self.transport.can_write_eof():  # TLS has no half-closed connections
            self._abandon()
            self._enter_closing()
            return False
        self._eof = True
        if self.cycle is not None:
            self.cycle.ended = True
            self.cycle.wake()
        return True

    def connection_lost(self, exc: Exception | None) -> None:
        self._abandon()
        self._enter_closing()
        self.deadline = NEVER
        server = self.server
        server.detach(self)
        if server.events is not None:
            reason = None if exc is None else f"{type(exc).__name__}: {exc}"
            server.events(ConnectionLost(server.loop.time(), self.client, self.local, reason))
        if self.flow is not None:
            self.flow.open()

    def pause_writing(self) -> None:
        if self.flow is None:
            self.flow = Flow(self.server.loop)
        self.flow.paused = True
        self.server.on_stalled(self)

    def resume_writing(self) -> None:
        self.server.on_flowing(self)
        if self.flow is not None:
            self.flow.open()

    @property
    def writing_paused(self) -> bool:
        return self.flow is not None and self.flow.paused

    # Reading pauses while requests wait for their turn, or a body for its application.

    def _pause_reading(self) -> None:
        if not self._reading_paused and self.state != CLOSING:
            self._reading_paused = True
            self.transport.pause_reading()

    def _resume_reading(self) -> None:
        if self._reading_paused:
            self._reading_paused = False
            if not self.transport.is_closing():
                self.transport.resume_reading()

    # The ways to end.

    def close(self) -> None:
        """Write what is buffered, then close. A client that does not take it is cut off after timeout_write."""
        self._enter_closing()
        self.deadline = self.server.write_at
        self.transport.close()

    def linger(self) -> None:
        """Close when the client has had time to read: octets it still sends would make the close a reset (9112 9.6)."""
        if not self.transport.can_write_eof() or self._eof:
            self.close()
            return
        self._enter_closing()
        self._resume_reading()
        self.deadline = self.server.linger_at
        self._linger_end = self.deadline + _LINGERS * self.server.settings.timeout_linger
        self.transport.write_eof()

    def on_dropped(self) -> None:
        """A client that is still sending has not come to reading yet. It gets more time, up to a bound."""
        if self._linger_end:
            self.deadline = min(self.server.linger_at, self._linger_end)

    def abort(self) -> None:
        """Reset the connection; the request that is running learns that it is disconnected."""
        self._abandon()
        self._enter_closing()
        self.transport.abort()

    def refuse(self, status: int) -> None:
        """Answer the request that is arriving, or running without an answer, with an error of the server's; close."""
        cycle = self.cycle
        if cycle is not None and cycle.phase >= HEAD_WRITTEN:
            self._cut(cycle)
            return
        server = self.server
        if server.events is not None:
            server.events(RequestRefused(server.loop.time(), self.client, self.local, int(status)))
        access = server.access
        if access is not None and (cycle is None or cycle.log is None):
            access.refused(self.client, status)
        head_only = False
        whole = self.state == BUSY and self._pending is None
        if cycle is not None:
            head_only = cycle.head_only
            cycle.status = status
            self._abandon()
        self.transport.write(response.refusal(status, server.endings.usual, head_only))
        if whole:
            self.close()
        else:
            self.linger()

    def on_failure(self, cycle: Cycle) -> None:
        """The application ended before its response did: 500 if nothing of it was written, otherwise close."""
        if cycle.gone or cycle.phase == DONE or self.cycle is not cycle:
            return
        self.refuse(HTTPStatus.INTERNAL_SERVER_ERROR)

    def stop(self) -> None:
        """The server shuts down: idle connections close, running requests end with "Connection: close"."""
        if self.cycle is not None:
            self.cycle.keep_alive = False
        elif self.state != CLOSING:
            self.close()

    def expire(self) -> None:
        """The deadline has passed."""
        state = self.state
        if state == IDLE:
            self.close()
        elif state == HEAD or (state == BODY and self.cycle is not None):
            self.refuse(HTTPStatus.REQUEST_TIMEOUT)
        elif state == CLOSING and not self._linger_end:
            self.transport.abort()
        else:
            self._linger_end = 0.0
            self.close()

    def _cut(self, cycle: Cycle) -> None:
        """End in the middle of a response, such that the client can tell that it is not whole."""
        if cycle.ends_by_close:
            self.abort()
        else:
            self._abandon()
            self.close()

    def _abandon(self) -> None:
        """Nobody hears the running request's response any more."""
        cycle = self.cycle
        if cycle is not None:
            self.cycle = None
            cycle.gone = True
            self.log(cycle)
            cycle.wake()
            if self.flow is not None:
                self.flow.open()

    def _enter_closing(self) -> None:
        self.state = CLOSING

    def log(self, cycle: Cycle) -> None:
        """One line in the access log, once a request."""
        access = self.server.access
        if cycle.log is not None and access is not None:
            method, target, started = cycle.log
            cycle.log = None
            version = "1.1" if cycle.http11 else "1.0"
            access.request(self.client, method, target, version, cycle.status, cycle.sent, perf_counter() - started)


def _address(name: object) -> tuple[str, int] | None:
    """(host, port) of a socket name; None for what has no port (a Unix socket, no socket at all)."""
    if isinstance(name, tuple | list) and len(name) >= 2:
        return str(name[0]), int(name[1])
    return None
