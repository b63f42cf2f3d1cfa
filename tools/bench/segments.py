"""The per-segment path in process: two stacks on a link in memory, in virtual time, without a system call.

The stack that is measured and its peer take turns; only the turns of the former are timed. The bare loop's function,
fed with the same frames, says what parsing and answering them costs at the very least on this machine.
"""

from collections.abc import Callable
from ipaddress import IPv4Interface
from random import Random
from time import perf_counter

from bench.bare import Bare
from bench.contenders import BARE, HTTP_PORT, SINK_PORT, STACK
from bench.program import Failure
from bench.report import Report, Row
from netstack.config import Config
from netstack.link.loopback import LoopbackPair
from netstack.stack import Stack
from netstack.tcp.connection import Connection
from netstack.units import MILLISECOND, Micros

OURS, THEIRS = IPv4Interface("192.0.2.2/24"), IPv4Interface("192.0.2.1/24")
MACS = {OURS: bytes.fromhex("02005e000202"), THEIRS: bytes.fromhex("02005e000201")}
CHUNK = bytes(16 * 1024)
REQUEST = b"GET /plaintext HTTP/1.1\r\nHost: 192.0.2.2:8080\r\n\r\n"
ANSWER = b"HTTP/1.1 200 OK\r\ncontent-type: text/plain\r\ncontent-length: 13\r\n\r\nHello, World!"
ROUND_TRIP: Micros = 1 * MILLISECOND

GROUP = "in process"

Frames = list[bytes]
Exchange = Callable[["Wire", Bare], tuple[int, float, float]]
"""One exchange: (frames or requests, seconds that the stack took, seconds that the bare function took)."""


class Wire:
    """Two stacks on one link and a connection between them; `ours` is what is measured."""

    def __init__(self, port: int) -> None:
        here, there = LoopbackPair(limit=4_096)
        self.now: Micros = 1_000_000
        self.ours = Stack(Config(address=OURS, mac=MACS[OURS]), here, Random(1))
        self.theirs = Stack(Config(address=THEIRS, mac=MACS[THEIRS]), there, Random(2))
        listener = self.ours.tcp.listen(OURS.ip.packed, port, 1)
        self.peer = self.theirs.tcp.connect(None, (OURS.ip.packed, port))
        connection = None
        for _ in range(10):
            self.turn(self.theirs)
            self.turn(self.ours)
            self.now += ROUND_TRIP
            connection = connection or listener.accept()
        if connection is None:
            raise Failure("two stacks on a link in memory did not shake hands")
        self.connection: Connection = connection

    def turn(self, stack: Stack) -> None:
        """What a driver does: take in what waits, fire what is due, transmit."""
        for frame in self.waiting(stack):
            stack.receive(frame, self.now)
        at = stack.deadline()
        if at is not None and at <= self.now:
            stack.expire(self.now)
        stack.transmit(self.now)

    def waiting(self, stack: Stack) -> Frames:
        """The frames that have arrived at a stack, taken out of its device."""
        frames = []
        while (frame := stack.device.read(self.now)) is not None:
            frames.append(frame)
        return frames


def data(wire: Wire, bare: Bare) -> tuple[int, float, float]:
    """The peer sends what its window takes; our stack takes it in, the application reads it, ACKs go back."""
    wire.peer.send(CHUNK)
    wire.turn(wire.theirs)
    frames = wire.waiting(wire.ours)
    receive, now, recv = wire.ours.receive, wire.now, wire.connection.recv
    began = perf_counter()
    for frame in frames:
        receive(frame, now)
    while recv(65_536):
        pass
    wire.ours.transmit(now)
    ours = perf_counter() - began
    return len(frames), ours, replies(bare, frames)


def acks(wire: Wire, bare: Bare) -> tuple[int, float, float]:
    """We send; the peer's ACKs are what is measured: taken in, and what they acknowledge let go of."""
    wire.connection.send(CHUNK)
    wire.turn(wire.ours)
    wire.turn(wire.theirs)
    while wire.peer.recv(65_536):
        pass
    frames = wire.waiting(wire.ours)
    receive, now = wire.ours.receive, wire.now
    began = perf_counter()
    for frame in frames:
        receive(frame, now)
    ours = perf_counter() - began
    wire.ours.transmit(now)
    return len(frames), ours, replies(bare, frames)


def exchange(wire: Wire, bare: Bare) -> tuple[int, float, float]:
    """The peer asks, the application reads and answers; requests and answers carry each other's ACKs."""
    wire.peer.send(REQUEST)
    wire.turn(wire.theirs)
    frames = wire.waiting(wire.ours)
    receive, now, connection = wire.ours.receive, wire.now, wire.connection
    began = perf_counter()
    for frame in frames:
        receive(frame, now)
    if connection.recv(65_536) == REQUEST:
        connection.send(ANSWER)
    wire.ours.transmit(now)
    ours = perf_counter() - began
    wire.turn(wire.theirs)
    if wire.peer.recv(65_536) != ANSWER:
        raise Failure("a request in memory was not answered")
    return 1, ours, replies(bare, frames)


def replies(bare: Bare, frames: Frames) -> float:
    """Seconds that the bare function takes for the same frames."""
    arrive = bare.arrive
    began = perf_counter()
    for frame in frames:
        arrive(frame)
    return perf_counter() - began


def measure(report: Report, rounds: int, seconds: float, say: Callable[[str], None]) -> None:
    """`seconds` of the clock on the wall for each row and round, preparations included."""
    report.explain(GROUP, STACK, "one of two stacks on a link in memory, without HTTP")
    report.explain(GROUP, BARE, "a function that parses the same frames and makes answers")
    rows: list[tuple[str, str, int, Exchange]] = [
        ("data, 1460 octets", "frames/s", SINK_PORT, data),
        ("pure ACKs", "frames/s", SINK_PORT, acks),
        ("request and response", "requests/s", HTTP_PORT, exchange),
    ]
    for name, unit, port, run in rows:
        say(f"segments, {name}")
        row = Row(GROUP, name, unit, [(STACK, BARE)])
        report.rows.append(row)
        try:
            wire, bare = Wire(port), Bare(OURS, offload=False)
            repeat(wire, bare, run, seconds / 4)
            for _ in range(rounds):
                for contender, rate in zip((STACK, BARE), repeat(wire, bare, run, seconds), strict=True):
                    row.add(contender, rate)
        except Failure as failure:
            report.failures.append(f"{row.group}, {name}: {failure}")


def repeat(wire: Wire, bare: Bare, run: Exchange, seconds: float) -> tuple[float, float]:
    """(stack, bare): how many a second. Failure when nothing moves."""
    count, ours, theirs = 0, 0.0, 0.0
    ends = perf_counter() + seconds
    while perf_counter() < ends:
        done = run(wire, bare)
        count, ours, theirs = count + done[0], ours + done[1], theirs + done[2]
        wire.now += ROUND_TRIP
        wire.turn(wire.theirs)
        wire.turn(wire.ours)
    if not count:
        raise Failure("nothing arrived")
    return count / ours, count / theirs
