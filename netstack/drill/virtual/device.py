"""An interface in memory that shows IP packets only: it strips Ethernet, and answers for every neighbour's address."""

from collections import deque

from netstack.link.device import GSO_TCPV4, NEEDS_CSUM, NO_OFFLOAD, VNET, VNET_LEN, InMemory
from netstack.units import Micros, Octets
from netstack.wire import arp, ethernet

NEIGHBOR_MAC = bytes.fromhex("02005e000201")
_HEADER = VNET_LEN + 14


class PacketDevice(InMemory):
    """What the stack writes comes out of `sent` as (time, IP packet); `frame` makes what it reads."""

    offload = False

    def __init__(self, mac: bytes, mtu: Octets) -> None:
        self.mac = mac
        self.mtu = mtu
        self.sent: deque[tuple[Micros, bytes]] = deque()
        self._answers: deque[bytes] = deque()

    def frame(self, packet: bytes, gso_size: Octets) -> bytes:
        """A frame with an IPv4 packet from the neighbour; `gso_size`: it is a super-segment cut that large."""
        vnet = NO_OFFLOAD
        if gso_size:
            header = 14 + 20 + (packet[32] >> 4) * 4
            vnet = VNET.pack(NEEDS_CSUM, GSO_TCPV4, header, gso_size, 14 + 20, 16)
        return vnet + self.mac + NEIGHBOR_MAC + ethernet.IPV4 + packet

    def read(self, now: Micros) -> bytes | None:
        """An answer to an ARP request, if one waits."""
        return self._answers.popleft() if self._answers else None

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        """Keep IP packets; answer ARP requests with the one MAC that stands for everybody."""
        frame = head + bytes(payload)
        if frame[_HEADER - 2 : _HEADER] == ethernet.IPV4:
            self.sent.append((now, frame[_HEADER:]))
            return
        asked = arp.parse(frame, _HEADER) if frame[_HEADER - 2 : _HEADER] == ethernet.ARP else None
        if asked is not None and asked.op == arp.REQUEST and asked.tpa != asked.spa:
            answer = arp.build(arp.REPLY, NEIGHBOR_MAC, asked.tpa, self.mac, asked.spa)
            self._answers.append(NO_OFFLOAD + self.mac + NEIGHBOR_MAC + ethernet.ARP + answer)
