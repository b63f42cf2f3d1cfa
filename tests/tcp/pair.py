"""Two whole stacks joined by a link in memory, in virtual time; what passes is recorded and may be changed."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from ipaddress import IPv4Interface
from random import Random
from typing import Any, NamedTuple

from netstack.config import Config, TcpConfig
from netstack.link.loopback import LoopbackPair
from netstack.stack import Stack
from netstack.tcp.connection import Connection
from netstack.tcp.options import SocketOptions
from netstack.units import MILLISECOND, Micros, Octets
from netstack.wire import ipv4, tcp

CLIENT, SERVER = bytes((192, 0, 2, 1)), bytes((192, 0, 2, 2))
_IP_AT = 24

Way = Callable[[bytes], bytes | None]
"""What the network makes of a frame: the same, another, or None (lost)."""


class Passed(NamedTuple):
    """One segment that was put on the link."""

    at: Micros
    source: bytes
    tos: int
    segment: tcp.Segment


class Pair:
    """`client` and `server`: what differs from the default TcpConfig at each end. A frame takes `delay` to cross.

    `offload`: super-segments pass as they are. Without `predict`, header prediction is never used.
    """

    def __init__(
        self,
        client: dict[str, Any] | None = None,
        server: dict[str, Any] | None = None,
        delay: Micros = 10 * MILLISECOND,
        offload: bool = False,
        predict: bool = True,
    ) -> None:
        self.now: Micros = 1_000_000_000
        self.delay = delay
        self.predict = predict
        self.devices = tuple(LoopbackPair(offload=offload))
        self.stacks = [
            Stack(
                Config(
                    address=IPv4Interface(f"192.0.2.{i}/24"),
                    mac=bytes((2, 0, 0x5E, 0, 2, i)),
                    tcp=replace(TcpConfig(), **changes or {}),
                ),
                device,
                Random(i),
            )
            for i, (device, changes) in enumerate(zip(self.devices, (client, server), strict=True), 1)
        ]
        self.client, self.server = self.stacks
        self.passed: list[Passed] = []
        self.to_client: Way = lambda frame: frame
        self.to_server: Way = lambda frame: frame
        self._flying: list[tuple[Micros, int, bytes]] = []
        for stack in self.stacks:
            stack.tcp.now = self.now

    def run(self, duration: Micros) -> None:
        """Let time pass, stopping at everything that happens on the way."""
        end = self.now + duration
        self._turn()
        while True:
            dues = [at for at, _, _ in self._flying[:1]] + [at for s in self.stacks if (at := s.deadline()) is not None]
            at = min(dues, default=end + 1)
            if at > end:
                break
            self.now = max(self.now, at)
            self._turn()
        self.now = end

    def _turn(self) -> None:
        while self._flying and self._flying[0][0] <= self.now:
            _, to, frame = self._flying.pop(0)
            if not self.predict:
                for conn in self.stacks[to].tcp.connections.values():
                    if isinstance(conn, Connection):
                        conn.plain = False
            self.stacks[to].receive(frame, self.now)
        for stack in self.stacks:
            stack.expire(self.now)
            stack.transmit(self.now)
            for conn in stack.tcp.connections.values():
                if isinstance(conn, Connection):
                    conn.check()
        for to, device in enumerate(self.devices):
            while (frame := device.read(self.now)) is not None:
                self._put(to, frame)

    def _put(self, to: int, frame: bytes) -> None:
        header = ipv4.parse(frame, _IP_AT) if frame[_IP_AT - 2 : _IP_AT] == b"\x08\0" else None
        if header is not None and header.protocol == tcp.PROTOCOL:
            segment = tcp.parse(frame, _IP_AT + header.header_len, _IP_AT + header.total_length)
            assert segment is not None
            self.passed.append(Passed(self.now, header.source, frame[_IP_AT + 1], segment))
        arrived = (self.to_server if to else self.to_client)(frame)
        if arrived is not None:
            self._flying.append((self.now + self.delay, to, arrived))

    def sent(self, by: bytes) -> list[Passed]:
        """What `by` (CLIENT or SERVER) put on the link."""
        return [passed for passed in self.passed if passed.source == by]

    def open(
        self, client: SocketOptions | None = None, server: SocketOptions | None = None
    ) -> tuple[Connection, Connection]:
        """A connection from client to server, accepted: both ends of it."""
        listener = self.server.tcp.listen(SERVER, 80, 16, server)
        ours = self.client.tcp.connect(None, (SERVER, 80), client)
        self.run(5 * self.delay)
        theirs = listener.accept()
        assert theirs is not None
        return ours, theirs

    def transfer(self, sender: Connection, receiver: Connection, octets: Octets, most: Micros) -> bytes:
        """Send that many octets and read them at the other end, within `most`; returns what was read."""
        data = Random(octets).randbytes(octets)
        taken, got = 0, bytearray()
        end = self.now + most
        while len(got) < octets and self.now < end:
            if taken < octets:
                taken += sender.send(data[taken : taken + 65_536])
            self.run(self.delay // 2)
            got += receiver.recv(1 << 24) or b""
        assert bytes(got) == data, f"{len(got)} of {octets} octets, or not the same"
        return bytes(got)


def with_tos(frame: bytes, tos: int) -> bytes:
    """An IPv4 frame as a router leaves it that changes the TOS octet: header checksum corrected (RFC 1624)."""
    header = bytearray(frame[_IP_AT : _IP_AT + 20])
    header[1], header[10], header[11] = tos, 0, 0
    total = -int.from_bytes(header, "big") % 0xFFFF
    header[10:12] = total.to_bytes(2, "big")
    return frame[:_IP_AT] + bytes(header) + frame[_IP_AT + 20 :]


def mark(frame: bytes) -> bytes:
    """A congested router: CE on what is ECN-capable (RFC 3168 5)."""
    if frame[_IP_AT - 2 : _IP_AT] == b"\x08\0" and frame[_IP_AT + 1] & 3:
        return with_tos(frame, frame[_IP_AT + 1] | 3)
    return frame
