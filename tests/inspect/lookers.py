"""A stack with its live page, in virtual time: a path to spoil, an application, a client, and a browser's stream."""

import asyncio
import json
import random
from contextlib import asynccontextmanager

from asgi import Server, Settings
from netstack.aio import Interface
from netstack.inspect.page import Page
from netstack.inspect.sinks import Observers
from netstack.link.fault import Impairment
from netstack.link.loopback import LoopbackPair
from netstack.link.shutter import WindowShutter
from tests.aio.net import CLIENT, HOST, SERVER

PORT, PAGE_PORT = 8080, 8081


async def application(scope, receive, send):
    """/N gives N octets; what is posted is counted."""
    got = 0
    while True:
        message = await receive()
        got += len(message.get("body", b""))
        if not message.get("more_body", False):
            break
    await send({"type": "http.response.start", "status": 200, "headers": []})
    size = int(scope["path"][1:] or 0)
    await send({"type": "http.response.body", "body": b"%d" % got if got else b"x" * size})


class Net:
    """What a test has: both interfaces, the page, and the device of the stack that is looked at."""

    def __init__(self, client, server, page, observers, path, shutter):
        self.client, self.server, self.page, self.observers = client, server, page, observers
        self.path, self.shutter = path, shutter

    @property
    def stack(self):
        return self.server.stack

    @property
    def subject(self):
        return self.page.subject

    async def open(self, port=PORT):
        return await self.client.open_connection(HOST, port)

    async def fetch(self, target, *, port=PORT, method="GET", body=b"", fields=()):
        """(status, header fields, body) of one exchange on a connection of its own."""
        reader, writer = await self.open(port)
        lines = [f"{method} {target} HTTP/1.0", *fields]
        if not any(line.lower().startswith("host:") for line in fields):
            lines.append(f"Host: {HOST}:{port}")
        if body:
            lines.append(f"Content-Length: {len(body)}")
        writer.write("\r\n".join([*lines, "", ""]).encode() + body)
        got = await reader.read()
        writer.close()
        head, _, rest = got.partition(b"\r\n\r\n")
        first, *others = head.decode().split("\r\n")
        return int(first.split()[1]), dict(line.lower().split(": ", 1) for line in others), rest

    async def wish(self, port=PORT, **wish):
        """(status, body) of a wish."""
        fields = ["Content-Type: application/json"]
        status, _, body = await self.fetch(
            "/inspect/do", port=port, method="POST", body=json.dumps(wish).encode(), fields=fields
        )
        return status, body.decode()

    def connection(self, port=PORT, own=False):
        """The one living connection to a port that is (not) the page's own."""
        tcp = self.stack.tcp
        (found,) = (
            conn for key, conn in tcp.connections.items()
            if conn.state.spelling == "ESTABLISHED" and key[-2:] == port.to_bytes(2, "big")
            and self.subject.is_own(key) == own
        )  # fmt: skip
        return found


class Stream:
    """A browser's EventSource."""

    def __init__(self, reader, writer):
        self.reader, self.writer = reader, writer
        self.rows, self.moves, self.ticks, self.octets = {}, [], 0, 0
        self.segments, self.samples, self.marks = [], [], []
        self.said = {}

    async def event(self):
        """The next (name, value); None at the end of the stream."""
        try:
            block = (await self.reader.readuntil(b"\n\n")).decode()
        except asyncio.IncompleteReadError:
            return None
        self.octets += len(block)
        name, data = block.rstrip("\n").split("\n")
        return name.removeprefix("event: "), json.loads(data.removeprefix("data: "))

    async def tick(self):
        """The next tick, taken into account as the page does."""
        name, said = await self.event()
        assert name == "tick"
        self.ticks += 1
        for who, changed in said["rows"].items():
            self.rows.setdefault(who, {}).update(changed)
        for who in said["gone"]:
            del self.rows[who]
        self.moves += said.get("moves", [])
        self.said.update({name: value for name, value in said.items() if name not in ("rows", "gone", "moves")})
        chosen = said.get("chosen", {})
        for name in ("segments", "samples", "marks"):
            if "anew" in chosen:
                getattr(self, name).clear()
            getattr(self, name).extend(chosen.get(name, []))
        return said

    async def until(self, happened):
        """Ticks until something is true of the stream; AssertionError when it takes more than a minute."""
        for _ in range(300):
            await self.tick()
            if happened(self):
                return
        raise AssertionError(f"it did not happen: {self.rows}")

    def row(self, who):
        """What is known of one connection: nothing before the first tick that tells of it."""
        return self.rows.get(who, {})

    def others(self):
        """Rows of connections, past ones included, that do not bring the page."""
        return {who: row for who, row in self.rows.items() if not row["own"] and row["kind"] != "listener"}


@asynccontextmanager
async def looked_at(own_port=False, beyond=application):
    """A `Net`: `own_port`: the page is on PAGE_PORT, alone; else in front of the application."""
    left, right = LoopbackPair(limit=10_000)
    path = Impairment(right, random.Random(1))
    shutter = WindowShutter(path)
    page = Page(None if own_port else beyond, clock=lambda: 0.0)
    async with (
        Interface(left, CLIENT, rng=random.Random(2)) as client,
        Interface(shutter, SERVER, rng=random.Random(3)) as server,
    ):
        observers = Observers(server.stack.observe)
        settings = Settings(lifespan="off", timeout_graceful=0.5)
        apps = {PORT: beyond, PAGE_PORT: page} if own_port else {PORT: page}
        servers = []
        for port, app in apps.items():
            one = Server(app, settings)
            await one.startup()
            servers.append((one, await server.create_server(one.protocol, HOST, port)))
        page.open(server, observers, PAGE_PORT if own_port else None, ["curl it"])
        yield Net(client, server, page, observers, path, shutter)
        page.close()
        for one, listener in servers:
            await one.shutdown(listener)


@asynccontextmanager
async def viewer(net, port=PORT):
    """A `Stream` that has said hello."""
    reader, writer = await net.open(port)
    writer.write(f"GET /inspect/events HTTP/1.0\r\nHost: {HOST}:{port}\r\n\r\n".encode())
    head = await reader.readuntil(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\n"), head
    stream = Stream(reader, writer)
    name, stream.hello = await stream.event()
    assert name == "hello"
    yield stream
    writer.close()
