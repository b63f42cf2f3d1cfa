"""The stack and Linux as senders over the same impaired path, side by side, each towards Linux as receiver.

    sudo .venv/bin/python tools/side_by_side.py --cc cubic --loss 0.01 --rtt 50 --rate 100 --seconds 60 --flows 3

Each flow has a path of its own, or with --shared each sort of sender has one for all its flows: a TAP in the
receivers' namespace, lines of the project's own impairment each way, and at the other end either a stack in this
process or a TAP in the senders' namespace with a kernel socket. Real time: a busy machine makes both slower.

What arrives is compared with what was sent (SHA-256), and where there is nft, the receivers' conntrack counts what it
calls INVALID, of either sort of sender: leave 1 when the stack's octets were altered.
"""

import argparse
import contextlib
import hashlib
import json
import os
import random
import select
import shutil
import socket
import subprocess
import sys
import time
from collections import deque
from collections.abc import Iterator
from dataclasses import dataclass, replace
from ipaddress import IPv4Interface
from typing import ClassVar

from pyroute2 import IPRoute

from netstack.config import Config, TcpConfig
from netstack.host import namespace
from netstack.link.device import InMemory
from netstack.link.fault import Faults, Line
from netstack.link.tap import TapDevice
from netstack.stack import Stack
from netstack.tcp.info import tcp_info
from netstack.tcp.info_layout import LONGEST, decode
from netstack.tcp.readiness import WRITABLE
from netstack.units import MILLISECOND, SECOND, Micros

PORT = 5_001
BLOCK = random.Random("side by side").randbytes(65_521)
"""What is sent, over and over; no power of two, so that a block too many or too few shows."""
TWICE = memoryview(BLOCK + BLOCK)
LONGEST_NAP = 5  # milliseconds


@dataclass
class Got:
    """What one flow reached."""

    sender: str
    goodput: float
    sent: int
    repeated: int
    timeouts: int
    intact: bool


class EveryNth(random.Random):
    """For `Line`: every n-th packet is lost, exactly."""

    def __init__(self, n: int) -> None:
        super().__init__(1)
        self.n, self.count = n, 0

    def random(self) -> float:
        """0 (lost) or 1."""
        self.count += 1
        return 0.0 if self.count % self.n == 0 else 1.0


class Tagged(bytes):
    """A frame, and the number of the flow that it belongs to."""

    flow = 0


class Port:
    """One flow's end of a line that several share."""

    def __init__(self, line: Line, number: int, inboxes: dict[int, deque[bytes]]) -> None:
        self.line, self.number, self.inboxes = line, number, inboxes
        inboxes[number] = deque()

    def send(self, frame: bytes, now: Micros) -> None:
        """Put a frame on the line."""
        tagged = Tagged(frame)
        tagged.flow = self.number
        self.line.send(tagged, now)

    def arrival(self, now: Micros) -> bytes | None:
        """The next frame of this flow that has come through; those of others wait for them."""
        while (frame := self.line.arrival(now)) is not None:
            assert isinstance(frame, Tagged)
            self.inboxes[frame.flow].append(frame)
        inbox = self.inboxes[self.number]
        return inbox.popleft() if inbox else None

    def deadline(self) -> Micros | None:
        """The line's; at once when something waits."""
        return 0 if self.inboxes[self.number] else self.line.deadline()


class Flow:
    """A receiver behind a TAP and a line each way; subclasses add the sender."""

    name = ""
    lines: ClassVar[dict[str, tuple[Line, dict[int, deque[bytes]]]]] = {}
    """The shared ones, with what came through them and for which flow."""

    def __init__(self, number: int, receivers: str, wanted: argparse.Namespace) -> None:
        self.net = f"10.77.{number}."
        self.tap = tap(receivers, f"r{number}", self.net + "2/24")
        faults = Faults(rate=wanted.rate * 1_000_000, delay=wanted.rtt * MILLISECOND // 2, queue_frames=wanted.queue)
        data = replace(faults, loss=wanted.loss, reorder=wanted.reorder, duplicate=wanted.duplicate)
        chance = EveryNth(round(1 / wanted.loss)) if wanted.every else random.Random(f"{wanted.seed} {number}")
        there = Line(data, chance)
        self.there: Line | Port = there
        if wanted.shared:
            line, inboxes = self.lines.setdefault(self.name, (there, {}))
            self.there = Port(line, number, inboxes)
        self.back = Line(replace(faults, loss=wanted.ack_loss), random.Random(f"{wanted.seed} {number} back"))
        self.written = self.received = self.received_warm = 0
        self.digest = hashlib.sha256()
        self.before: dict[str, int] = {}
        with namespace.inside(receivers):
            self.listener = socket.create_server((self.net + "2", PORT))
        self.listener.setblocking(False)
        self.peer: socket.socket | None = None

    def receive(self, now: Micros) -> None:
        """Frames in and out of the receiver's end, and what they brought."""
        while (frame := self.tap.read(now)) is not None:
            self.back.send(frame, now)
        while (frame := self.there.arrival(now)) is not None:
            self.tap.write(frame, b"", now)
        with contextlib.suppress(BlockingIOError):
            if self.peer is None:
                self.peer, _ = self.listener.accept()
                self.peer.setblocking(False)
            while data := self.peer.recv(1 << 20):
                self.received += len(data)
                self.digest.update(data)

    def next(self) -> memoryview:
        """What is to be written now."""
        at = self.written % len(BLOCK)
        return TWICE[at : at + len(BLOCK)]

    def intact(self) -> bool:
        """What arrived is what was sent."""
        sent = hashlib.sha256()
        for _ in range(self.received // len(BLOCK)):
            sent.update(BLOCK)
        sent.update(BLOCK[: self.received % len(BLOCK)])
        return sent.digest() == self.digest.digest()

    def deadlines(self) -> list[Micros]:
        """When something comes out of a line."""
        return [at for at in (self.there.deadline(), self.back.deadline()) if at is not None]


class KernelFlow(Flow):
    """Linux sends."""

    name = "linux"

    def __init__(self, number: int, receivers: str, senders: str, wanted: argparse.Namespace) -> None:
        super().__init__(number, receivers, wanted)
        self.own = tap(senders, f"s{number}", self.net + "1/24")
        with namespace.inside(senders):
            self.sock = socket.socket()
        self.sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, wanted.cc.encode())
        self.sock.setblocking(False)
        self.sock.connect_ex((self.net + "2", PORT))

    def turn(self, now: Micros) -> None:
        """Both ends."""
        while (frame := self.own.read(now)) is not None:
            self.there.send(frame, now)
        while (frame := self.back.arrival(now)) is not None:
            self.own.write(frame, b"", now)
        self.receive(now)
        with contextlib.suppress(BlockingIOError, BrokenPipeError):  # the latter while it is not connected yet
            while n := self.sock.send(self.next()):
                self.written += n

    def descriptors(self) -> list[int]:
        """What wakes this flow."""
        return [self.own.fileno(), self.tap.fileno()]

    def info(self, now: Micros) -> dict[str, int]:
        """TCP_INFO of the sender."""
        return dict(decode(self.sock.getsockopt(socket.IPPROTO_TCP, socket.TCP_INFO, LONGEST)))


class StackFlow(Flow, InMemory):
    """The stack sends; this flow is its device."""

    name = "netstack"
    offload = False
    mtu = 1_500

    def __init__(self, number: int, receivers: str, wanted: argparse.Namespace, now: Micros) -> None:
        super().__init__(number, receivers, wanted)
        mac = bytes.fromhex("02005e0077") + bytes([number])
        tcp = TcpConfig(congestion_control=wanted.cc)
        config = Config(address=IPv4Interface(self.net + "1/24"), mac=mac, tcp=tcp)
        self.stack = Stack(config, self, random.Random(wanted.seed))
        self.stack.tcp.now = now
        self.conn = self.stack.tcp.connect(None, (socket.inet_aton(self.net + "2"), PORT))
        self.conn.observer = self.on_ready

    def on_ready(self, flags: int) -> None:
        """Keep the send buffer full."""
        while flags & WRITABLE and (n := self.conn.send(bytes(self.next()))):
            self.written += n

    def turn(self, now: Micros) -> None:
        """Both ends."""
        while (frame := self.back.arrival(now)) is not None:
            self.stack.receive(frame, now)
        at = self.stack.deadline()
        if at is not None and at <= now:
            self.stack.expire(now)
        self.stack.transmit(now)
        self.receive(now)

    def deadlines(self) -> list[Micros]:
        """The stack's besides."""
        at = self.stack.deadline()
        return super().deadlines() + ([at] if at is not None else [])

    def descriptors(self) -> list[int]:
        """What wakes this flow."""
        return [self.tap.fileno()]

    def info(self, now: Micros) -> dict[str, int]:
        """TCP_INFO of the sender."""
        return tcp_info(self.conn, now)

    # -- the Device that the stack writes to

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        """Onto the line."""
        self.there.send(b"".join((head, payload)), now)


def tap(space: str, name: str, address: str) -> TapDevice:
    """A TAP in a namespace, up, with an address."""
    with namespace.inside(space), IPRoute() as route:
        device = TapDevice(name, offload=False)
        (index,) = route.link_lookup(ifname=name)
        host, _, length = address.partition("/")
        route.addr("add", index=index, address=host, prefixlen=int(length))
        route.link("set", index=index, state="up", txqlen=10_000)
    return device


def clock() -> Micros:
    """Microseconds since some time or other."""
    return time.monotonic_ns() // 1000


def run(flows: list[KernelFlow | StackFlow], warmup: int, seconds: int) -> Iterator[Got]:
    """Serve all flows until the time is over; then what each got since the end of the warm-up."""
    poll = select.poll()
    for flow in flows:
        for descriptor in flow.descriptors():
            poll.register(descriptor, select.POLLIN)
    warm = clock() + warmup * SECOND
    end, measured_from = warm + seconds * SECOND, 0
    while (now := clock()) < end:
        for flow in flows:
            flow.turn(now)
        if not measured_from and now >= warm:
            measured_from = now
            for flow in flows:
                flow.received_warm, flow.before = flow.received, flow.info(now)
        due = min((at for flow in flows for at in flow.deadlines()), default=end)
        poll.poll(min(max(due - clock(), 0) / MILLISECOND, LONGEST_NAP))
    for flow in flows:
        after, before = flow.info(now), flow.before
        goodput = (flow.received - flow.received_warm) * 8 * SECOND / (now - measured_from)
        sent, repeated, timeouts = (after[n] - before[n] for n in ("bytes_sent", "bytes_retrans", "total_rto"))
        yield Got(flow.name, goodput, sent, repeated, timeouts, flow.intact())


def report(found: list[Got]) -> None:
    """A line for each flow, and how the two sorts compare."""
    for got in found:
        share = got.repeated / max(got.sent, 1)
        line = f"{got.sender:9} {got.goodput / 1e6:8.3f} Mbit/s  {share:6.2%} repeated  {got.timeouts} timeouts"
        print(line if got.intact else line + "  ALTERED")
    ours = [got for got in found if got.sender == StackFlow.name]
    theirs = [got for got in found if got.sender == KernelFlow.name]
    goodput = sum(got.goodput for got in ours) / sum(got.goodput for got in theirs)
    print(f"netstack has {goodput:.2f} of Linux's goodput", end="")
    if again := sum(got.repeated for got in theirs):
        repeated = sum(got.repeated for got in ours) / sum(got.sent for got in ours)
        print(f" and repeats {repeated * sum(got.sent for got in theirs) / again:.2f} of its share", end="")
    print()


def count_invalid(space: str, flows: list[KernelFlow | StackFlow]) -> None:
    """From here on conntrack in the namespace looks at every packet."""
    rules = [f"ip daddr {flow.net}2 ct state invalid counter name {flow.name}" for flow in flows]
    script = "".join(f"add counter inet watch {flow.name}\n" for flow in (KernelFlow, StackFlow))
    script = f"add table inet watch\n{script}"
    script += "add chain inet watch arrivals { type filter hook prerouting priority 0; }\n"
    script += "".join(f"add rule inet watch arrivals {rule}\n" for rule in rules)
    with namespace.inside(space):
        subprocess.run(["nft", "-f", "-"], input=script, text=True, check=True)


def invalid(space: str) -> dict[str, int]:
    """Packets that conntrack could make nothing of, of each sort of sender."""
    with namespace.inside(space):
        done = subprocess.run(["nft", "-j", "list", "counters"], capture_output=True, text=True, check=True)
    counters = [entry["counter"] for entry in json.loads(done.stdout)["nftables"] if "counter" in entry]
    return {counter["name"]: counter["packets"] for counter in counters}


def main() -> None:
    """See above."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--cc", default="cubic", help="congestion control of all senders")
    parser.add_argument("--loss", type=float, default=0.0, help="share of what is sent that is lost, as 0.01")
    parser.add_argument("--every", action="store_true", help="lose exactly every 1/LOSS-th packet")
    parser.add_argument("--ack-loss", type=float, default=0.0, help="share of ACKs that are lost")
    parser.add_argument("--reorder", type=float, default=0.0, help="share that arrives 5 ms late")
    parser.add_argument("--duplicate", type=float, default=0.0, help="share that arrives twice")
    parser.add_argument("--rtt", type=int, default=50, help="milliseconds")
    parser.add_argument("--rate", type=int, default=20, help="Mbit/s")
    parser.add_argument("--queue", type=int, default=200, help="packets")
    parser.add_argument("--shared", action="store_true", help="one path for all flows of a sort")
    parser.add_argument("--flows", type=int, default=2, help="of each sort")
    parser.add_argument("--seconds", type=int, default=30)
    parser.add_argument("--warmup", type=int, default=3, help="seconds before anything counts")
    parser.add_argument("--seed", type=int, default=1)
    wanted = parser.parse_args()
    receivers, senders = f"netstack-side-r{os.getpid()}", f"netstack-side-s{os.getpid()}"
    try:
        for space in (receivers, senders):
            namespace.make(space)
        flows: list[KernelFlow | StackFlow] = []
        for n in range(wanted.flows):
            flows.append(KernelFlow(2 * n + 1, receivers, senders, wanted))
            flows.append(StackFlow(2 * n + 2, receivers, wanted, clock()))
        if watched := shutil.which("nft") is not None:
            count_invalid(receivers, flows)
        found = list(run(flows, wanted.warmup, wanted.seconds))
        report(found)
        if watched:
            counts = invalid(receivers)
            print("INVALID to conntrack: " + ", ".join(f"{counts[name]} of {name}" for name in sorted(counts)))
    finally:
        for space in (receivers, senders):
            namespace.remove(space)
    sys.exit(any(got.sender == StackFlow.name and not got.intact for got in found))


if __name__ == "__main__":
    main()
