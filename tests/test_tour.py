"""docs/tour.md tells the truth: one request is served while every call is noted, and the tour is found in the notes."""

import ast
import asyncio
import re
import sys
from collections.abc import Iterator
from contextlib import contextmanager, nullcontext
from pathlib import Path
from random import Random
from types import FrameType
from typing import Any, NamedTuple

from asgi import Server, Settings
from netstack.aio import Interface
from netstack.link.loopback import LoopbackDevice, LoopbackPair
from netstack.stack import Stack
from netstack.welcome import app
from tests.aio import net, virtual_loop

ROOT = Path(__file__).parent.parent
TOUR = ROOT / "docs" / "tour.md"
STEP = re.compile(r"^( *)((?:netstack|asgi)/\S+\.py) +([\w.]+)", re.MULTILINE)
REQUEST = b"GET /plaintext HTTP/1.1\r\nhost: 192.0.2.2\r\n\r\n"


class Call(NamedTuple):
    """A function of the project was called, from inside the call with the number `caller` (-1: from none)."""

    path: str
    function: str
    caller: int


class Step(NamedTuple):
    """A line of the tour. Deeper `indent` than a line above: called from there, directly or not."""

    indent: int
    path: str
    function: str


class Notes:
    """Calls of functions in netstack/ and asgi/, in order, while `taken`."""

    def __init__(self) -> None:
        self.calls: list[Call] = []
        self._open: list[int] = []

    @contextmanager
    def taken(self) -> Iterator[None]:
        """Note what is called in the with block."""
        sys.setprofile(self._profile)
        try:
            yield
        finally:
            sys.setprofile(None)
            self._open.clear()

    def _profile(self, frame: FrameType, event: str, _: Any) -> None:
        code = frame.f_code
        name = code.co_filename
        if event not in ("call", "return") or not name.startswith((f"{ROOT}/netstack/", f"{ROOT}/asgi/")):
            return
        if event == "call":
            self._open.append(len(self.calls))
            caller = self._open[-2] if len(self._open) > 1 else -1
            self.calls.append(Call(name.removeprefix(f"{ROOT}/"), code.co_qualname, caller))
        elif self._open:  # else it was called before the notes began
            self._open.pop()


class Peer:
    """The client: a stack too, driven by hand, so that each of its segments arrives in a turn of its own."""

    def __init__(self, device: LoopbackDevice, notes: Notes) -> None:
        self.device = device
        self.notes = notes
        self.stack = Stack(net.CLIENT, device, Random(1))
        self.connection = self.stack.tcp.connect(None, (bytes((192, 0, 2, 2)), 80))

    async def exchange(self, noted: bool = True) -> None:
        """Send what is to be sent, let the server have its turns, take in what it answered."""
        now = round(asyncio.get_running_loop().time() * 1_000_000)
        self.stack.transmit(now)
        with self.notes.taken() if noted else nullcontext():
            for _ in range(4):
                await asyncio.sleep(0)
        while (frame := self.device.read(now)) is not None:
            self.stack.receive(frame, now)


async def serve_one_request(notes: Notes) -> bytes:
    """A client connects, asks, is answered and closes; the answer."""
    ours, theirs = LoopbackPair(offload=True)
    server = Server(app, Settings(access_log=False))
    await server.startup()
    async with Interface(ours, net.SERVER, rng=Random(2)) as interface:
        await interface.create_server(server.protocol, port=80)
        peer = Peer(theirs, notes)
        await peer.exchange(noted=False)  # ARP
        await peer.exchange()  # SYN and SYN-ACK
        await peer.exchange()  # the ACK
        peer.connection.send(REQUEST)
        await peer.exchange()
        answer = peer.connection.recv(65_536)
        await peer.exchange()  # the ACK of the answer
        peer.connection.close()
        await peer.exchange()  # FIN, answered by FIN and ACK
        await peer.exchange()  # the last ACK
        assert not interface.stack.tcp.connections
        assert answer is not None
        return answer


def steps(text: str) -> list[Step]:
    """The lines of the tour that name a file and a function. A TAP is as good as any device: the notes have another."""
    found = []
    for indent, path, function in STEP.findall(text):
        if path == "netstack/link/tap.py":
            path, function = "netstack/link/loopback.py", function.replace("TapDevice", "LoopbackDevice")
        found.append(Step(len(indent), path, function))
    return found


def missing(tour: list[Step], calls: list[Call]) -> Step | None:
    """The first step that is not among the calls after the step before it, inside the step it is indented under."""
    at = -1
    above: list[tuple[int, int]] = []  # (indent, number of the call) of the lines that this one may be under
    for step in tour:
        while above and above[-1][0] >= step.indent:
            above.pop()
        for number in range(at + 1, len(calls)):
            call = calls[number]
            if call[:2] == step[1:] and (not above or is_inside(calls, number, above[-1][1])):
                at = number
                break
        else:
            return step
        above.append((step.indent, at))
    return None


def is_inside(calls: list[Call], number: int, outer: int) -> bool:
    """Whether the call was made, directly or not, from the call `outer`."""
    while number > outer:
        number = calls[number].caller
    return number == outer


def functions_of(path: Path) -> set[str]:
    """Qualified names of the functions and methods in a file."""

    def walk(node: ast.AST, prefix: str) -> Iterator[str]:
        for child in ast.iter_child_nodes(node):
            if isinstance(child, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef):
                yield prefix + child.name
                yield from walk(child, prefix + child.name + ".")
            else:
                yield from walk(child, prefix)

    return set(walk(ast.parse(path.read_bytes()), ""))


def test_one_request_takes_the_way_that_the_tour_tells():
    notes = Notes()
    answer = virtual_loop.run(serve_one_request(notes))
    assert answer.endswith(b"Hello, World!")
    tour = steps(TOUR.read_text())
    assert len(tour) > 30
    assert missing(tour, notes.calls) is None


def test_every_function_of_the_tour_is_where_it_says():
    for _, path, function in STEP.findall(TOUR.read_text()):
        assert function in functions_of(ROOT / path), f"{path} has no {function}"


def test_a_step_that_is_not_taken_or_out_of_order_is_missed():
    calls = [Call("a.py", "f", -1), Call("a.py", "g", 0), Call("b.py", "h", 1), Call("b.py", "f", -1)]
    f, g, h, late = Step(0, "a.py", "f"), Step(2, "a.py", "g"), Step(2, "b.py", "h"), Step(0, "b.py", "f")
    assert missing([f, g, h, late], calls) is None
    assert missing([f, h, g], calls) == g, "g comes before h"
    assert missing([f, Step(2, "b.py", "f")], calls) == Step(2, "b.py", "f"), "it is not called from f"
    assert missing([Step(0, "a.py", "x")], calls) == Step(0, "a.py", "x")
