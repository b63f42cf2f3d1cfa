"""The real server and protocol over a transport made of byte strings, on a loop whose time jumps: nothing sleeps."""

import asyncio
from collections import deque
from typing import Any

from asgi import Server, Settings
from asgi.http import Http
from tests.aio.virtual_loop import VirtualLoop

HIGH_WATER = 65_536


class FakeTransport(asyncio.Transport):
    """Collects what is written. Reading can be paused by the server, writing by a client that does not read."""

    def __init__(self, loop: asyncio.AbstractEventLoop, protocol: Http, **extra: Any) -> None:
        super().__init__({"peername": ("192.0.2.1", 50_000), "sockname": ("192.0.2.2", 80), **extra})
        self.loop = loop
        self.protocol = protocol
        self.received = b""
        """What the client has read."""
        self.buffer = b""
        """What it has not."""
        self.writes: list[int] = []
        self.client_reads = True
        self.writing_paused = False
        self.reading_paused = False
        self.incoming: deque[bytes | None] = deque()
        self.eof_written = False
        self.closing = False
        self.aborted = False
        self.lost = False

    # The server's side.

    def write(self, data: Any) -> None:
        assert isinstance(data, bytes | bytearray | memoryview), "a transport takes bytes"
        assert not self.eof_written, "a write after write_eof"
        self.writes.append(len(data))
        if self.closing:
            return
        self.buffer += bytes(data)
        if self.client_reads:
            self.client_takes(len(self.buffer))
        elif len(self.buffer) > HIGH_WATER and not self.writing_paused:
            self.writing_paused = True
            self.protocol.pause_writing()

    def get_write_buffer_size(self) -> int:
        return len(self.buffer)

    def can_write_eof(self) -> bool:
        return True

    def write_eof(self) -> None:
        self.eof_written = True

    def pause_reading(self) -> None:
        assert not self.reading_paused
        self.reading_paused = True

    def resume_reading(self) -> None:
        assert self.reading_paused
        self.reading_paused = False
        self.loop.call_soon(self.deliver)

    def is_closing(self) -> bool:
        return self.closing

    def close(self) -> None:
        self.closing = True
        if not self.buffer:
            self.loop.call_soon(self.lose)

    def abort(self) -> None:
        self.closing = self.aborted = True
        self.buffer = b""
        self.loop.call_soon(self.lose)

    # The client's side.

    def client_takes(self, octets: int) -> None:
        self.received += self.buffer[:octets]
        self.buffer = self.buffer[octets:]
        if self.writing_paused and len(self.buffer) <= HIGH_WATER // 4:
            self.writing_paused = False
            self.protocol.resume_writing()
        if self.closing and not self.buffer:
            self.loop.call_soon(self.lose)

    def deliver(self) -> None:
        while self.incoming and not self.reading_paused and not self.closing:
            data = self.incoming.popleft()
            if data is not None:
                self.protocol.data_received(data)
            elif not self.protocol.eof_received():
                self.close()

    def lose(self, error: Exception | None = None) -> None:
        if not self.lost:
            self.closing = self.lost = True
            self.protocol.connection_lost(error)


class Client:
    """One connection, seen from the other end."""

    def __init__(self, wire: "Wire", **extra: Any) -> None:
        self.wire = wire
        self.protocol = wire.server.protocol()
        self.transport = FakeTransport(wire.loop, self.protocol, **extra)
        wire.loop.call_soon(self.protocol.connection_made, self.transport)
        wire.settle()

    def send(self, *pieces: bytes) -> "Client":
        """Each piece arrives by itself; everything that can then happen without time passing has happened."""
        self.transport.incoming.extend(pieces)
        self.wire.loop.call_soon(self.transport.deliver)
        self.wire.settle()
        return self

    def get(self, path: str = "/", *fields: str) -> bytes:
        """Send a GET; what comes back."""
        lines = "".join(f"{field}\r\n" for field in fields)
        return self.send(f"GET {path} HTTP/1.1\r\nHost: a\r\n{lines}\r\n".encode()).got()

    def got(self) -> bytes:
        """What was received since the last time."""
        data, self.transport.received = self.transport.received, b""
        return data

    def finish(self) -> "Client":
        """No more from this side (a FIN)."""
        self.transport.incoming.append(None)
        return self.send()

    def reset(self) -> None:
        """The connection is gone."""
        self.wire.loop.call_soon(self.transport.lose, ConnectionResetError())
        self.wire.settle()

    def stop_reading(self) -> "Client":
        self.transport.client_reads = False
        return self

    def read(self, octets: int) -> None:
        """Take some of what waits."""
        self.wire.loop.call_soon(self.transport.client_takes, octets)
        self.wire.settle()

    @property
    def closed(self) -> bool:
        """The server has ended its side: closed, or said that no more comes and lets the client read."""
        return self.transport.closing or self.transport.eof_written

    @property
    def gone(self) -> bool:
        return self.transport.lost


class Wire:
    """A server and its virtual time. By default without Date, Server and lifespan: responses are exact octets."""

    def __init__(self, app: Any, **settings: Any) -> None:
        self.loop = VirtualLoop()
        plain: dict[str, Any] = {"date_header": False, "server_header": None, "lifespan": "off"}
        self.server = Server(app, Settings(**{**plain, **settings}))
        self.loop.run_until_complete(self.server.startup())

    def connect(self, **extra: Any) -> Client:
        return Client(self, **extra)

    def settle(self) -> None:
        """Run until nothing is left to do at this instant."""
        for _ in range(1_000):
            self.loop.call_soon(self.loop.stop)
            self.loop.run_forever()
            if not self.loop._ready:  # type: ignore[attr-defined]
                return
        raise AssertionError("the loop never comes to rest")

    def after(self, seconds: float) -> None:
        """Let time pass, through everything that is due on the way."""
        self.loop.run_until_complete(asyncio.sleep(seconds))
        self.settle()

    def run(self, coro: Any) -> Any:
        return self.loop.run_until_complete(coro)

    def end(self) -> None:
        """Shut down; nothing may be left, and nothing may have reached the loop's exception handler."""
        if not self.server.stopping:
            self.loop.run_until_complete(self.server.shutdown())
        self.settle()
        left = asyncio.all_tasks(self.loop)
        unhandled = self.loop.unhandled
        self.loop.close()
        assert not left
        assert unhandled == []
        assert not self.server.connections
        assert not self.server.running
        assert self.server._ticker is None


def request(method: str = "GET", target: str = "/", body: bytes = b"", *fields: str, version: str = "1.1") -> bytes:
    """Octets of a request; a body brings its Content-Length."""
    lines = [f"{method} {target} HTTP/{version}", "Host: a", *fields]
    if body:
        lines.append(f"Content-Length: {len(body)}")
    return "\r\n".join([*lines, "", ""]).encode() + body


def plain(body: bytes = b"ok", status: int = 200, headers: Any = ()) -> Any:
    """An application that always answers the same, without looking at the request."""

    async def app(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    return app


class Script:
    """An application that is a list of (what to do, with what), and notes what `receive` said.

    Steps: ("receive",), ("start", status, headers), ("body", octets, more), ("send", message), ("raise", error),
    ("wait", event).
    """

    def __init__(self, *steps: tuple[Any, ...]) -> None:
        self.steps = steps
        self.scopes: list[Any] = []
        self.events: list[Any] = []
        self.errors: list[BaseException] = []

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:
        self.scopes.append(scope)
        try:
            for kind, *rest in self.steps:
                if kind == "receive":
                    self.events.append(await receive())
                elif kind == "start":
                    await send({"type": "http.response.start", "status": rest[0], "headers": rest[1]})
                elif kind == "body":
                    await send({"type": "http.response.body", "body": rest[0], "more_body": rest[1]})
                elif kind == "send":
                    await send(rest[0])
                elif kind == "raise":
                    raise rest[0]
                elif kind == "wait":
                    await rest[0].wait()
                else:
                    raise AssertionError(kind)
        except BaseException as error:
            self.errors.append(error)
            raise


async def echo(scope: Any, receive: Any, send: Any) -> None:
    """Answers with the request: method, target, and the body in one piece."""
    body = b""
    while True:
        event = await receive()
        if event["type"] == "http.disconnect":
            return
        body += event["body"]
        if not event["more_body"]:
            break
    target = scope["raw_path"] + (b"?" + scope["query_string"] if scope["query_string"] else b"")
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": scope["method"].encode() + b" " + target + b" " + body})
