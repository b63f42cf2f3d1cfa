"""HTTP/1 on a connection: octets in order to requests, and one request at a time to the application.

Requests that arrive while another is served wait unparsed, and reading pauses: pipelining is answered in order and
costs at most one read's worth of memory. The application is called straight from `data_received`, its task stepped at
once (`eager.py`), so a request that needs no waiting is answered before that returns.
"""

import re
from http import HTTPStatus
from time import perf_counter
from typing import TYPE_CHECKING

from asgi.body import Chunked, Length
from asgi.connection import BODY, BUSY, CLOSING, HEAD, IDLE, NEVER, Connection
from asgi.cycle import Cycle
from asgi.eager import start
from asgi.guard import CHUNKED, part_status
from asgi.reported import ReportedCycle, parsed
from asgi.response import CONTINUE
from asgi.spec import ASGI_VERSION, HTTP_SPEC_VERSION, Scope

if TYPE_CHECKING:
    from asgi.request import RequestReader
    from asgi.server import Server


_EMPTY_LINES = re.compile(rb"(?:\r\n)*")


def _after_empty_lines(data: bytes, at: int) -> int:
    """RFC 9112 2.2: empty lines before a request line are ignored."""
    match = _EMPTY_LINES.match(data, at)
    return at if match is None else match.end()


class Http(Connection):
    """The asyncio Protocol of a connection. Made by `Server.protocol`."""

    __slots__ = ("_at", "_body", "_drained", "_in_read", "_judge_at", "_searched")

    def __init__(self, server: "Server") -> None:
        super().__init__(server)
        self._body: Length | Chunked | None = None
        self._drained = 0
        """Octets of a body dropped since its response was complete."""
        self._at = 0
        self._searched = 0
        """In HEAD: octets of `_pending` in which there is no end of a header block."""
        self._judge_at = 0
        """In HEAD: the length of `_pending` from which the part is judged again."""
        self._in_read = False

    def data_received(self, data: bytes) -> None:
        state = self.state
        if state == IDLE and self._pending is None:
            self._read(data, 0)
        elif state == BODY:
            self.deadline = self.server.body_at
            at = self._feed(data, 0)
            if at < len(data):
                self._hold(data, at)
                self._resume()
        elif state == HEAD:
            self._pending += data  # type: ignore[operator]
            self._read_part()
        elif state == CLOSING:
            self.on_dropped()
        else:
            self._hold(data, 0)

    # Header blocks.

    def _read(self, data: bytes, at: int) -> None:
        """Serve the requests in `data[at:]` until one of them has to wait, or there is no whole header block left."""
        server = self.server
        reader = server.reader
        size = len(data)
        self._in_read = True
        while at < size:
            end = data.find(b"\r\n\r\n", at) + 4
            if end == 3:
                self._start_part(data, at)
                at = size
                break
            block = data if at == 0 and end == size else data[at:end]
            status = reader.read(block)
            if status:
                if block.startswith(b"\r\n"):
                    at = _after_empty_lines(data, at)
                    continue
                self.refuse(status)
                break
            limit = server.limit_concurrency
            if limit is not None and len(server.running) >= limit:
                self.refuse(HTTPStatus.SERVICE_UNAVAILABLE)
                break
            if server.events is not None:
                parsed(self, reader, len(block))
            at = self._serve(reader, data, end)
            if self.state != IDLE or (self.flow is not None and self.flow.paused):
                break
        self._in_read = False
        if at < size:
            self._hold(data, at)
        elif self._eof and self.state == IDLE:
            self.close()

    def _serve(self, reader: "RequestReader", data: bytes, at: int) -> int:
        """Start the application on the request just read, whose body begins at `data[at:]`; the position after it."""
        server = self.server
        path = reader.path
        scope: Scope = {
            "type": "http",
            "asgi": {"version": ASGI_VERSION, "spec_version": HTTP_SPEC_VERSION},
            "http_version": "1.1",
            "method": reader.method,
            "scheme": self.scheme,
            "path": server.root_path + path,
            "raw_path": server.raw_root_path + reader.raw_path,
            "query_string": reader.query,
            "root_path": server.root_path,
            "headers": reader.fields,
            "client": self.client,
            "server": self.local,
            "state": server.state.copy(),
            "extensions": {},
        }
        if server.events is None:
            cycle = Cycle(self, server.loop, scope, reader.method == "HEAD")
        else:
            cycle = ReportedCycle.begin(self, scope, reader.method == "HEAD")
        self.cycle = cycle
        self.state = BUSY
        self.deadline = NEVER
        if server.access is not None:
            cycle.log = (reader.method, reader.target, perf_counter())
        if not reader.plain:
            at = self._serve_more(reader, cycle, data, at)
            if cycle.gone:
                return at
        task = start(cycle.run(), server.loop, path, server.context.copy())
        if not task.done():
            cycle.task = task
            server.running.add(cycle)
        return at

    def _serve_more(self, reader: "RequestReader", cycle: Cycle, data: bytes, at: int) -> int:
        """What a request may have beyond a plain one: another version, a body, wishes for the connection."""
        cycle.describe(reader.http11, reader.keep_alive, reader.trailers)
        if not reader.http11:
            cycle.scope["http_version"] = "1.0"
        if reader.trailers:
            cycle.scope["extensions"]["http.response.trailers"] = {}
        if reader.length:
            self.state = BODY
            self.deadline = NEVER if reader.expect_continue else self.server.body_at
            limit = self.server.settings.limit_body
            self._body = Chunked(limit) if reader.length == CHUNKED else Length(reader.length)
            cycle.expect_body(reader.expect_continue)
            if at < len(data):
                at = self._feed(data, at)
        return at

    def _start_part(self, data: bytes, at: int) -> None:
        """Keep the beginning of a header block until the rest arrives; timeout_head runs from here."""
        at = _after_empty_lines(data, at)
        if at == len(data):
            return
        self.state = HEAD
        # Empty lines are no request: who sends only those, and in halves, gains no time by it.
        self.deadline = min(self.server.head_at, self.deadline) if data[at] == 13 else self.server.head_at
        self._pending = bytearray(memoryview(data)[at:])
        self._searched = 0
        self._judge_at = 0
        self._judge_part(self._pending)

    def _read_part(self) -> None:
        """More of a header block has arrived."""
        part = self._pending
        assert isinstance(part, bytearray)
        if part.find(b"\r\n\r\n", max(self._searched - 3, 0)) >= 0:
            self._pending = None
            self.state = IDLE
            self._read(bytes(part), 0)
        else:
            self._judge_part(part)

    def _judge_part(self, part: bytearray) -> None:
        """Refuse a part that cannot become a request now, not when its time is up.

        Judged at the first octets, whenever the part has doubled, and at the limit: a client that sends octet by octet
        cannot make that quadratic.
        """
        size = len(part)
        self._searched = size
        if size < self._judge_at:
            return
        settings = self.server.settings
        self._judge_at = min(2 * size, settings.limit_head + 1)
        status = part_status(bytes(part), settings.limit_head, settings.limit_target)
        if status:
            self.refuse(status)

    # Bodies.

    def _feed(self, data: bytes, at: int) -> int:
        """Give body octets to the cycle, or drop them when its response is complete; the position after them."""
        body = self._body
        assert body is not None
        cycle = self.cycle
        pieces: list[bytes] = [] if cycle is None or cycle.pieces is None else cycle.pieces
        before = len(pieces)
        at = body.take(data, at, pieces)
        if at < 0:
            if cycle is None:
                self.linger()  # this request has had its response
            else:
                self.refuse(-at)
            return len(data)
        octets = sum(map(len, pieces[before:]))
        if body.done:
            self._body = None
            self.deadline = NEVER
            self.state = BUSY
        if cycle is None:
            self._drain(octets)
        else:
            cycle.on_body(octets, self._body is None)
            if cycle.buffered > self.server.settings.limit_buffer and self.state == BODY:
                self._pause_reading()
                self.deadline = NEVER  # now it is the application that dawdles
        return at

    def _drain(self, octets: int) -> None:
        """Octets of a body that nobody wants have arrived: the connection is worth keeping only up to a bound."""
        self._drained += octets
        if self._drained > self.server.settings.limit_drain:
            self.linger()
        elif self._body is None:
            self.state = IDLE
            self.deadline = self.server.idle_at

    def on_body_taken(self) -> None:
        """The application has received what was buffered."""
        if self._reading_paused and self._pending is None:
            if self.state == BODY:
                self.deadline = self.server.body_at
            self._resume_reading()

    def ask_for_body(self) -> None:
        """The application wants a body that the client holds back until it is told (RFC 9110 10.1.1)."""
        self.deadline = self.server.body_at
        self.transport.write(CONTINUE)

    def will_drain(self) -> bool:
        """Whether the rest of an unfinished body is worth reading, so that the connection can be kept."""
        if self._body is None or (self.cycle is not None and self.cycle.unasked):
            return False
        return self._body.remaining <= self.server.settings.limit_drain

    # Responses.

    def on_response(self) -> None:
        """The running request's response is complete: serve the next one, or end."""
        cycle = self.cycle
        assert cycle is not None
        if cycle.log is not None:
            self.log(cycle)
        self.cycle = None
        if cycle.waiting:
            cycle.wake()
        if not cycle.keep_alive:
            if self.state == BUSY and self._pending is None:
                self.close()
            else:
                self.linger()
        elif self.state == BODY:
            self._drained = 0
            self.deadline = self.server.body_at
            self._resume_reading()
            self._drain(cycle.buffered)
        else:
            self.state = IDLE
            self.deadline = self.server.idle_at
            if self._in_read:
                return  # `_read` goes on, or ends the connection
            if self._pending is not None:
                # Not from here: the application's task is running, and the next one could not be stepped at once.
                self.server.loop.call_soon(self._resume)
            elif self._eof:
                self.close()
            else:
                self._resume_reading()

    # Requests that wait.

    def _hold(self, data: bytes, at: int) -> None:
        """Keep `data[at:]` until the request before it is done, and read no more until then."""
        if self.state == CLOSING:
            return
        if self._pending is None:
            self._pending, self._at = data, at
        else:
            self._pending, self._at = bytes(self._pending[self._at :]) + data[at:], 0
        self._pause_reading()
        if self.state == IDLE:
            self.deadline = NEVER  # the client does not read: that has a limit of its own

    def _resume(self) -> None:
        """Take up the requests that wait, if nothing is in their way any more."""
        data = self._pending
        if data is None or self.state != IDLE or self._in_read or self.writing_paused:
            return
        self._pending = None
        self._read(bytes(data), self._at)
        if self._pending is None or self.state == HEAD:
            self._resume_reading()

    def resume_writing(self) -> None:
        super().resume_writing()
        self._resume()

    def _enter_closing(self) -> None:
        self.state = CLOSING
        self._pending = self._body = None
