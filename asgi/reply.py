"""The response half of a request: `send`, from the application's events to octets for the transport.

A response goes through five phases, in order:

    START     nothing sent by the application yet
    HELD      `http.response.start` taken; not written, so that a failure can still become a 500
    BODY      the head is on the wire, with the first body octets in the same write
    TRAILERS  the body has ended and trailer fields were promised
    DONE      complete. The connection serves the next request, even if the application has not returned.

What the application does wrong (order, types, lengths) raises in its `send`, before anything wrong is written.
"""

import asyncio
from typing import TYPE_CHECKING

from asgi import response
from asgi.response import render_head, trailer_lines
from asgi.spec import ClientDisconnected, Message

if TYPE_CHECKING:
    from asgi.http import Http

START, HELD, BODY, TRAILERS, DONE = range(5)

_LARGE = 131_072
"""Octets of body from which a second write is cheaper than copying the body behind its head."""
_NO_CONTENT = frozenset((204, 205, 304))


class Reply:
    """What has been answered so far. Public attributes are the connection's to read and, where it says so, to set."""

    __slots__ = (
        "_bodyless",
        "_chunked",
        "_connection",
        "_flags",
        "_head",
        "_left",
        "_te_trailers",
        "_trailers",
        "complete",
        "gone",
        "head_only",
        "http11",
        "keep_alive",
        "phase",
        "sent",
        "status",
    )

    _connection: "Http"
    _head: bytes
    """Status line and fields of a response whose first body event has not come."""
    _flags: int
    """What `render_head` says of them."""
    _left: int
    """Octets of the declared Content-Length still to come, -1 for none declared."""
    complete: bool
    """All of the request body has arrived."""
    gone: bool
    """Nobody hears the response any more. Set by the connection."""
    head_only: bool
    """The request is HEAD."""
    phase: int
    status: int
    http11: bool
    keep_alive: bool
    """The connection may serve another request. Set to False by the connection when it is to close."""
    sent: int
    """Body octets handed to the transport, framing not counted."""

    def describe(self, http11: bool, keep_alive: bool, te_trailers: bool) -> None:
        """The request is not a plain one of HTTP/1.1. With `te_trailers` the client takes trailer fields."""
        self.http11 = http11
        self.keep_alive = keep_alive
        self._te_trailers = te_trailers

    async def send(self, message: Message) -> None:
        """Take a response event. Returns when the transport has room for more.

        Raises ClientDisconnected (an OSError) when nobody listens any more, RuntimeError for an event out of order or
        a body that is not as long as its Content-Length, TypeError and ValueError for wrong contents, KeyError for
        missing ones.
        """
        if self.gone:
            raise ClientDisconnected("the client has gone")
        phase = self.phase
        kind = message["type"]
        if phase == START:
            if kind != "http.response.start":
                raise RuntimeError(f"expected http.response.start, not {kind!r}")
            self.status = status = message["status"]
            self._head, self._left, self._flags = render_head(status, message.get("headers", ()))
            self._trailers = message.get("trailers", False)
            self.phase = HELD
        elif kind == "http.response.body" and phase <= BODY:
            more = message.get("more_body", False)
            if phase == HELD:
                self._send_first(message.get("body", b""), more)
            else:
                self._send_more(message.get("body", b""), more)
            if not more:
                if self._trailers:
                    self._await_trailers()
                else:
                    self.phase = DONE
                    self._connection.on_response()
                return
            connection = self._connection
            flow = connection.flow
            if flow is not None and flow.paused:
                await flow.drained()
            if connection.transport.is_closing() or self._bodyless:
                # Nothing written makes a lost transport pause, and nothing is written for HEAD: without a turn of the
                # loop, who sends for ever would keep it from telling us, and everybody else, anything.
                await asyncio.sleep(0)
            if self.gone:
                raise ClientDisconnected("the client has gone")
        elif kind == "http.response.trailers" and phase == TRAILERS:
            self._send_trailers(message)
        else:
            raise RuntimeError(f"unexpected {kind!r} {_AFTER[phase]}")

    def _send_first(self, body: bytes, more: bool) -> None:
        """Everything that the first body event decides (framing, connection), then head and body in one write."""
        connection = self._connection
        size = len(body)
        left = self._left
        if self.head_only or self.status in _NO_CONTENT:
            framing = self._frame_nothing(size, more)
            body = b""
        elif left >= 0:
            if size != left and (size > left or not more):
                raise RuntimeError(f"content-length is {left}, the body is {'longer' if size > left else size}")
            self._left = left - size
            framing = b""
        elif not more and not self._trailers:
            framing = b"content-length: %d\r\n" % size
        elif self.http11:
            self._chunked = True
            framing = response.CHUNKED
        else:
            self.keep_alive = False  # HTTP/1.0: the end of the connection is the end of the body
            framing = b""

        flags = self._flags
        if self.keep_alive and (flags & response.CONNECTION or not (self.complete or connection.will_drain())):
            self.keep_alive = False
        if not self.keep_alive:
            framing += response.CLOSE
        elif not self.http11:
            framing += response.KEEP_ALIVE
        endings = connection.server.endings
        ending = endings.without(flags) if flags else endings.usual
        if size < _LARGE:
            if self._chunked:
                body = _chunk(body, size, not more and not self._trailers)
            connection.transport.write(b"".join((self._head, framing, ending, body)))
            self.phase = BODY
            if body:
                self.sent = size
        else:
            body = bytes(body)
            connection.transport.write(b"".join((self._head, framing, ending)))
            self.phase = BODY
            if body:
                self._send_large(body, size, more)

    def _frame_nothing(self, size: int, more: bool) -> bytes:
        """No content follows the head of HEAD, 204, 205 and 304 (RFC 9110 6.4.1); 304 and HEAD may tell its length."""
        self._bodyless = True
        status = self.status
        declared = self._left >= 0
        self._left = -1
        if declared and (status == 204 or status == 205):
            self._head = response.without_length(self._head)
        if status == 205:
            return b"content-length: 0\r\n"
        if status not in _NO_CONTENT and not declared and size and not more:
            return b"content-length: %d\r\n" % size
        return b""

    def _send_more(self, body: bytes, more: bool) -> None:
        if self._bodyless:
            return
        size = len(body)
        if self._left >= 0:
            if size > self._left or (size < self._left and not more):
                wrong = "longer" if size > self._left else f"{self._left - size} octets shorter"
                raise RuntimeError(f"the body is {wrong} than content-length")
            self._left -= size
        if size >= _LARGE:
            self._send_large(bytes(body), size, more)
            return
        if self._chunked:
            data = _chunk(body, size, not more and not self._trailers)
        else:
            data = body if type(body) is bytes else bytes(body)
        if data:
            self._connection.transport.write(data)
        self.sent += size

    def _send_large(self, body: bytes, size: int, more: bool) -> None:
        """A body worth not copying: its chunk framing, if any, is written around it."""
        write = self._connection.transport.write
        if self._chunked:
            write(b"%x\r\n" % size)
            write(body)
            write(b"\r\n" if more or self._trailers else b"\r\n0\r\n\r\n")
        else:
            write(body)
        self.sent += size

    def _send_trailers(self, message: Message) -> None:
        lines = trailer_lines(message.get("headers", ()))
        more = message.get("more_trailers", False)
        if self._chunked:
            # RFC 9110 6.5.1: a client that has not said it wants trailers gets none; they are ours to drop.
            if not self._te_trailers:
                lines = b""
            if lines or not more:
                self._connection.transport.write(lines + (b"" if more else b"\r\n"))
        if not more:
            self.phase = DONE
            self._connection.on_response()

    def _await_trailers(self) -> None:
        if self._chunked:
            self._connection.transport.write(b"0\r\n")
        self.phase = TRAILERS

    @property
    def ends_by_close(self) -> bool:
        """The client can tell a response that was cut short from a complete one only by a reset."""
        return not self._chunked and self._left < 0


_AFTER = ("", "after http.response.start", "in the body", "where http.response.trailers is due", "after the response")


def _chunk(body: bytes, size: int, last: bool) -> bytes:
    """One chunk, followed by the last one if `last` (RFC 9112 7.1). An empty chunk would end the body: left out."""
    if not size:
        return b"0\r\n\r\n" if last else b""
    return b"".join((b"%x\r\n" % size, body, b"\r\n0\r\n\r\n" if last else b"\r\n"))
