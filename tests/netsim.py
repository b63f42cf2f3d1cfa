"""Two whole stacks and an imperfect path between them, in virtual time; and transfers that must arrive nevertheless.

`python -m tests.netsim` prints the table that is kept in `tests/tcp/throughput.txt`: write it there when it changes for
a reason.
"""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, field, replace
from ipaddress import IPv4Interface
from random import Random
from typing import Any

from netstack.config import Config, TcpConfig
from netstack.link.fault import Faults, Impairment
from netstack.link.loopback import LoopbackPair
from netstack.stack import Stack
from netstack.tcp.connection import Connection
from netstack.tcp.listener import Listener
from netstack.tcp.options import SocketOptions
from netstack.tcp.state import CLOSED, SYN_RECEIVED, SYN_SENT, TIME_WAIT
from netstack.units import MILLISECOND, MINUTE, SECOND, Micros, Octets

CLIENT, SERVER = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))
PORT = 80
TEXT = Random(5681).randbytes(1 << 20)


class Network:
    """`client` and `server` at the two ends of a path; `outward` is what it does to what the client sends."""

    def __init__(self, seed: int, outward: Faults, inward: Faults | None = None, **tcp_config: Any) -> None:
        rng = Random(seed)
        self.now: Micros = 1_000_000
        left, right = LoopbackPair()
        self.path = Impairment(left, rng, inward or outward, outward)
        self.devices = (self.path, right)
        self.stacks = tuple(
            Stack(
                Config(
                    address=IPv4Interface(f"192.0.2.{i}/24"),
                    mac=bytes((2, 0, 0x5E, 0, 2, i)),
                    tcp=replace(TcpConfig(), **tcp_config),
                ),
                device,
                Random(seed + i),
            )
            for i, device in enumerate(self.devices, 1)
        )
        self.client, self.server = self.stacks
        for stack, other in ((self.client, self.server), (self.server, self.client)):
            address = other.config.address.ip.packed
            neighbors = stack.arp.neighbors
            neighbors.learn(address, other.config.mac, self.now, reachable=True, override=True, create=True)
            neighbors.entries[address].usable_until = 1 << 62  # ARP over a lossy link is tested elsewhere

    def turn(self) -> None:
        """What is due at this moment, at both ends: one turn of each driver."""
        for stack, device in zip(self.stacks, self.devices, strict=True):
            device.expire(self.now)
            while (frame := device.read(self.now)) is not None:
                stack.receive(frame, self.now)
            stack.expire(self.now)
            stack.transmit(self.now)

    def deadline(self) -> Micros | None:
        """When something happens next; None: never again."""
        times = [source.deadline() for source in (*self.stacks, *self.devices)]
        return min((at for at in times if at is not None), default=None)

    def check(self) -> None:
        """The invariants of every connection."""
        for stack in self.stacks:
            for conn in stack.tcp.connections.values():
                if isinstance(conn, Connection):
                    conn.check()

    def retransmitted(self) -> int:
        """Segments that either end sent again."""
        return sum(stack.counters.mib["TcpRetransSegs"] for stack in self.stacks)


@dataclass
class End:
    """The user at one end: sends its octets, reads the other's, closes when both are done."""

    conn: Connection
    sends: bytes
    reads_at_most: Octets = 1 << 30
    """In one turn: a slow reader takes less than arrives."""
    at: int = 0
    received: bytearray = field(default_factory=bytearray)
    at_end: bool = False

    @property
    def unread(self) -> bool:
        """There is more to read: a slow reader comes back for it."""
        return bool(self.conn.readable) or (self.conn.eof and not self.at_end)

    def act(self) -> None:
        """Do whatever can be done now."""
        conn = self.conn
        if conn.state in (SYN_SENT, SYN_RECEIVED):
            return
        while self.at < len(self.sends) and conn.state.can_send:
            took = conn.send(self.sends[self.at : self.at + 65_536])
            if not took:
                break
            self.at += took
        if self.at == len(self.sends) and not conn.fin_queued and conn.state is not CLOSED:
            conn.shutdown()
        data = conn.recv(self.reads_at_most)
        if data:
            self.received += data
        elif data == b"" and not self.at_end:
            self.at_end = True
        if self.at_end and conn.fin_queued and not len(conn.send_buffer):
            conn.close()  # not before: what nobody waits for is given up sooner


class Transfer:
    """Octets both ways over one connection of `network`."""

    def __init__(
        self, network: Network, up: Octets, down: Octets, reads_at_most: Octets = 1 << 30, **options: Any
    ) -> None:
        self.network = network
        self.texts = (_text(up), _text(down)[::-1])
        self.reads_at_most = reads_at_most
        self.listener: Listener = network.server.tcp.listen(SERVER, PORT, 5, _options(options))
        conn = network.client.tcp.connect(None, (SERVER, PORT), _options(options))
        self.ends = [End(conn, self.texts[0], reads_at_most)]
        self.began = network.now
        self.took: Micros = 0

    def run(self, limit: Micros = 30 * MINUTE, check: bool = True) -> Transfer:
        """Until both ends have everything and the connection is gone; AssertionError when that takes too long."""
        network = self.network
        for _ in self._turns():
            if check:
                network.check()
            if not self.took and self._complete():
                self.took = network.now - self.began
                self.listener.close()
            assert network.now - self.began < limit, f"not done after {limit // SECOND} s: {self}"
        assert self.took, f"it stopped: {self}"
        return self

    def _turns(self) -> Iterator[None]:
        """One for every moment at which something happens."""
        network = self.network
        stuck = 0
        while True:
            before = network.now
            network.turn()
            accepted = self.listener.accept()
            if accepted is not None:
                self.ends.append(End(accepted, self.texts[1], self.reads_at_most))
            for end in self.ends:
                end.act()
            for stack in network.stacks:
                stack.transmit(network.now)
            yield
            at = network.deadline()
            if any(end.unread for end in self.ends):
                at = min(at or network.now + MILLISECOND, network.now + MILLISECOND)
            if at is None:
                return
            network.now = max(before, at)
            stuck = stuck + 1 if network.now == before else 0
            assert stuck < 10_000, "time stands still"

    def _complete(self) -> bool:
        return len(self.ends) == 2 and all(end.at_end and end.at == len(end.sends) for end in self.ends)

    def verify(self) -> None:
        """Octets in == octets out, both ways; nothing is left anywhere."""
        network = self.network
        client, server = self.ends
        assert bytes(client.received) == server.sends
        assert bytes(server.received) == client.sends
        for end in self.ends:
            assert end.conn.state in (CLOSED, TIME_WAIT)
            assert not end.conn.error
            assert not len(end.conn.send_buffer)
            assert not end.conn.receive_buffer.ready + end.conn.receive_buffer.held
        for stack in network.stacks:
            assert not stack.tcp.connections
            assert not stack.tcp.listeners
            assert stack.deadline() is None

    def __str__(self) -> str:
        parts = []
        for end in self.ends:
            conn = end.conn
            parts.append(f"{conn.state}, sent {end.at}/{len(end.sends)}, got {len(end.received)}, error {conn.error}")
        return "; ".join(parts)


def _text(length: Octets) -> bytes:
    return (TEXT * (length // len(TEXT) + 1))[:length]


def _options(values: dict[str, Any]) -> SocketOptions:
    options = SocketOptions()
    for name, value in values.items():
        setattr(options, name, value)
    return options


# -- the table ---------------------------------------------------------------------------------------------------------

LOSSES = (0.0, 0.001, 0.01, 0.03)
DELAYS: tuple[Micros, ...] = (1 * MILLISECOND, 10 * MILLISECOND, 50 * MILLISECOND)
RATE = 20_000_000
SIZE: Octets = 1_000_000


def table() -> str:
    """Download of 1 MB at 20 Mbit/s, queue of 100 frames: what each loss and each delay make of it."""
    lines = [
        "One megabyte at 20 Mbit/s through a queue of 100 frames; loss and delay in each direction.",
        "Regenerate: python -m tests.netsim > tests/tcp/throughput.txt",
        "",
        "algorithm    loss    delay   Mbit/s   retransmitted   timeouts",
    ]
    for algorithm in ("reno", "cubic"):
        for loss in LOSSES:
            for delay in DELAYS:
                faults = Faults(loss=loss, delay=delay, rate=RATE, queue_frames=100)
                network = Network(9293, faults, congestion_control=algorithm)
                transfer = Transfer(network, 100, SIZE).run(check=False)
                transfer.verify()
                rate = SIZE * 8 / transfer.took
                timeouts = sum(stack.counters.mib["TcpExtTCPTimeouts"] for stack in network.stacks)
                path = f"{algorithm:<9} {loss:>6.1%} {delay // MILLISECOND:>5} ms"
                lines.append(f"{path} {rate:>8.2f} {network.retransmitted():>15} {timeouts:>10}")
    return "\n".join(lines) + "\n"


if __name__ == "__main__":
    print(table(), end="")
