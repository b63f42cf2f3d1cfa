"""The stack's end of the control socket: answers on the event loop that the stack runs on, a little at a time."""

from __future__ import annotations

import asyncio
import json
import socket
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from typing import TYPE_CHECKING, Any

from netstack.control.streams import DEFAULT_SNAP, Events, Frames, Stream
from netstack.inspect.expression import ExpressionError
from netstack.inspect.sinks import Observers
from netstack.inspect.snapshot import Row, endpoints, layers, rows

if TYPE_CHECKING:
    from netstack.stack import Stack
    from netstack.units import Micros, Octets

MOST_VISITORS = 16
MOST_STREAMS = 8
LONGEST_REQUEST: Octets = 64 * 1024
MOST_REQUESTS = 16
"""That wait to be answered; after these nothing more is read."""
ROOM: Octets = 2 * 1024 * 1024
"""What may wait for one visitor to read it; further messages of streams are lost, further answers wait."""
SO_SNDBUFFORCE = 32
"""SO_SNDBUF beyond net.core.wmem_max, for those who may (socket(7)); not in Python's socket module."""
SLICE = 0.001
"""Seconds of work on one answer between two turns of the stack."""


class RefusedError(ValueError):
    """A request that cannot be met; the message is for whoever asked."""


class Control:
    """What visitors may ask of one stack. `clock` is the stack's; `hello` says which stack this is."""

    def __init__(self, stack: Stack, clock: Callable[[], Micros], observers: Observers, hello: Row) -> None:
        self.stack = stack
        self.clock = clock
        self.observers = observers
        self.frames = Observers(stack.observe_frames)
        self.hello = hello
        self.visitors: set[Visitor] = set()

    @asynccontextmanager
    async def serving(self, listening: socket.socket | None) -> AsyncIterator[None]:
        """Answer visitors for the length of a with block."""
        if listening is None:
            yield
            return
        server = await asyncio.get_running_loop().create_unix_server(lambda: Visitor(self), sock=listening)
        try:
            yield
        finally:
            server.close()
            for visitor in list(self.visitors):
                visitor.hang_up()


class Visitor(asyncio.Protocol):
    """One process that looks in."""

    def __init__(self, control: Control) -> None:
        self.control = control
        self.streams: dict[int, Stream] = {}
        self._loop = asyncio.get_running_loop()
        self._transport: asyncio.Transport | None = None
        self._received = bytearray()
        self._requests: deque[bytes] = deque()
        self._working: asyncio.Task[None] | None = None
        self._room: asyncio.Event = asyncio.Event()
        self._batch: list[bytes] = []
        self._waiting: Octets = 0
        """Octets in `_batch`."""

    # -- what the loop calls

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """A visitor has come."""
        assert isinstance(transport, asyncio.Transport)
        transport.set_write_buffer_limits(high=ROOM, low=ROOM // 4)
        _widen(transport.get_extra_info("socket"))
        self._transport = transport
        self._room.set()
        self.control.visitors.add(self)
        if len(self.control.visitors) > MOST_VISITORS:
            self._say({"error": f"{MOST_VISITORS} others are looking already"})
            transport.close()

    def data_received(self, data: bytes) -> None:
        """Requests, one a line; they are answered one after the other."""
        self._received += data
        *lines, rest = self._received.split(b"\n")
        self._received = bytearray(rest)
        self._requests.extend(bytes(line) for line in lines if line.strip())
        if len(rest) > LONGEST_REQUEST:
            self._say({"error": "a request is one line of JSON, and not that long"})
            assert self._transport is not None
            self._transport.close()
        elif self._requests:
            if len(self._requests) > MOST_REQUESTS and self._transport is not None:
                self._transport.pause_reading()
            if self._working is None:
                self._working = self._loop.create_task(self._work())

    def pause_writing(self) -> None:
        """It reads too slowly."""
        self._room.clear()

    def resume_writing(self) -> None:
        """It has caught up."""
        self._room.set()
        for stream in self.streams.values():
            stream.confess()

    def connection_lost(self, error: Exception | None) -> None:
        """It has left."""
        self._transport = None
        self._room.set()
        self.control.visitors.discard(self)
        self._requests.clear()
        for stream in self.streams.values():
            stream.close()
        self.streams.clear()

    def hang_up(self) -> None:
        """At once: what was not sent is lost."""
        if self._transport is not None:
            self._transport.abort()

    # -- answering

    async def _work(self) -> None:
        try:
            while self._requests:
                await self._answer(self._requests.popleft())
                if self._transport is not None and not self._requests:
                    self._transport.resume_reading()
        finally:
            self._working = None

    async def _answer(self, line: bytes) -> None:
        number: Any = None
        try:
            request = json.loads(line)
            number = request["id"]
            result = await self._result(number, request)
            answer = {"id": number, "result": result}
        except (ValueError, TypeError, KeyError, RecursionError) as error:
            told = isinstance(error, RefusedError | ExpressionError)
            answer = {"id": number, "error": str(error) if told else "no such request"}
        await self._room.wait()
        self._say(answer)

    async def _result(self, number: Any, request: Row) -> Any:
        control, ask = self.control, request["ask"]
        if ask == "hello":
            return {**control.hello, "now": control.clock()}
        if ask == "connections":
            return await self._rows(number)
        if ask == "endpoints":
            return endpoints(control.stack)
        if ask == "layers":
            return layers(control.stack)
        if ask == "frames" or ask == "events":
            self._subscribe(number, ask, request)
            return None
        if ask == "stop":
            return self._stop(request["stream"])
        raise KeyError(ask)

    async def _rows(self, number: Any) -> Row:
        """Ten thousand connections take a second to describe: the stack gets its turns in between."""
        control, count = self.control, 0
        part: list[Row] = []
        until = self._loop.time() + SLICE
        for row in rows(control.stack, control.clock):
            part.append(row)
            count += 1
            if self._loop.time() >= until:
                self._say({"id": number, "part": part})
                part = []
                await asyncio.sleep(0)
                await self._room.wait()
                until = self._loop.time() + SLICE
        self._say({"id": number, "part": part})
        return {"now": control.clock(), "count": count}

    def _subscribe(self, number: Any, ask: str, request: Row) -> None:
        if type(number) is not int or number in self.streams or len(self.streams) >= MOST_STREAMS:
            raise RefusedError(f"a stream needs a number of its own as id, and there are {MOST_STREAMS} at most")
        control = self.control
        if ask == "events":
            self.streams[number] = Events(number, self._deliver, control.observers, request.get("who"))
            return
        expression, snap = str(request.get("filter", "")), request.get("snap", DEFAULT_SNAP)
        if type(snap) is not int or snap < 0:
            raise RefusedError("snap is a number of octets")
        self.streams[number] = Frames(number, self._deliver, control.frames, expression, snap, control.hello["epoch"])

    def _stop(self, number: int) -> Row:
        stream = self.streams.pop(number)
        stream.close()
        return {"lost": stream.lost}

    # -- sending

    def _deliver(self, line: bytes) -> bool:
        """A message of a stream leaves with the others of this turn: one system call for all of them."""
        transport = self._transport
        if transport is None or not self._room.is_set() or self._waiting + len(line) > ROOM:
            return False
        if not self._batch:
            self._loop.call_soon(self._flush)
        self._batch.append(line)
        self._waiting += len(line)
        return True

    def _flush(self) -> None:
        batch, self._batch, self._waiting = self._batch, [], 0
        if self._transport is not None:
            self._transport.write(b"".join(batch))
            if self._room.is_set():
                for stream in self.streams.values():
                    stream.confess()

    def _say(self, message: Row) -> None:
        if self._transport is not None:
            self._transport.write(json.dumps(message, separators=(",", ":")).encode() + b"\n")


def _widen(connected: socket.socket) -> None:
    """Let the kernel take as much as we would keep: a busy stack comes by rarely to hand over more."""
    try:
        connected.setsockopt(socket.SOL_SOCKET, SO_SNDBUFFORCE, ROOM)
    except OSError:  # without CAP_NET_ADMIN: as much as anybody gets
        connected.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, ROOM)
