"""The stack's link in a replay: a Device whose other end is the capture.

Frames to inject are queued with `inject`; what the stack sends is handed to a callable, segment by segment. ARP is
answered for every address but the stack's own, so that the client, wherever it was, is one hop away.
"""

from collections import deque
from collections.abc import Callable

from netstack.link.device import NO_OFFLOAD, VNET_LEN, InMemory
from netstack.units import Micros, Octets
from netstack.wire import arp, ethernet, ipv4, tcp

PEER_MAC = bytes.fromhex("02005e000201")
Heard = Callable[[ipv4.Header, tcp.Segment, Micros], None]


class ReplayLink(InMemory):
    """A Device without offload, so that every segment is seen as it would be on a cable."""

    offload = False

    def __init__(self, address: bytes, mac: bytes, mtu: Octets, heard: Heard) -> None:
        self.address = address
        self.mac = mac
        self.mtu = mtu
        self._heard = heard
        self._frames: deque[bytes] = deque()

    def inject(self, packet: bytes) -> None:
        """Queue an IPv4 packet for the stack to read."""
        self._frames.append(NO_OFFLOAD + ethernet.build(self.mac, PEER_MAC, ethernet.IPV4) + packet)

    def read(self, now: Micros) -> bytes | None:
        """The next frame, or None."""
        return self._frames.popleft() if self._frames else None

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        """A frame from the stack."""
        frame = b"".join((head, payload))
        link = ethernet.parse(frame, VNET_LEN)
        at = VNET_LEN + ethernet.HEADER_LEN
        if link is None:
            return
        if link.ethertype == ethernet.ARP:
            self._answer(arp.parse(frame, at))
            return
        header = ipv4.parse(frame, at) if link.ethertype == ethernet.IPV4 else None
        if header is None or header.protocol != tcp.PROTOCOL:
            return
        segment = tcp.parse(frame, at + header.header_len, at + header.total_length)
        if segment is not None:
            self._heard(header, segment, now)

    def _answer(self, asked: arp.Packet | None) -> None:
        """RFC 826, for the whole world except the stack's own address (its announcements ask for that)."""
        if asked is None or asked.op != arp.REQUEST or asked.tpa == self.address:
            return
        reply = arp.build(arp.REPLY, PEER_MAC, asked.tpa, self.mac, asked.spa)
        self._frames.append(NO_OFFLOAD + ethernet.build(self.mac, PEER_MAC, ethernet.ARP) + reply)
