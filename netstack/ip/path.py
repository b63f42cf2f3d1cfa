"""The way out for one (source, destination, protocol): a header template and the neighbour it leads to.

This is where every TCP segment leaves, so one call builds everything that goes in front of it, from sums and octets
worked out when the path was made.
"""

from collections.abc import Callable
from struct import Struct
from typing import Protocol

from netstack.counters import Counters
from netstack.events import FrameSent, PacketSent, Sink
from netstack.link.device import GSO_NONE, GSO_TCPV4, NEEDS_CSUM, NO_OFFLOAD, VNET
from netstack.link.neighbor import UNRESOLVED, Neighbor
from netstack.link.neighbor_cache import NeighborCache
from netstack.units import Micros, Octets
from netstack.wire.checksum import ones_sum

PREFIX = Struct("!10s14sHHHHHH8s")
"""virtio_net_hdr, Ethernet header, then IPv4: version to TOS, total length, identification, flags and offset,
TTL and protocol, checksum, both addresses."""
_PACK = PREFIX.pack

TRANSPORT_AT: Octets = 34
"""Where the transport header starts, counted from the Ethernet header, as virtio_net_hdr does."""


class Writer(Protocol):
    """What a path asks of a device; see `link.device.Device`."""

    @property
    def mtu(self) -> Octets: ...
    @property
    def offload(self) -> bool: ...
    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None: ...


class Way(Protocol):
    """An interface as a path sees it: `Ethernet`, or what loops back."""

    @property
    def device(self) -> Writer: ...
    @property
    def events(self) -> Sink | None: ...
    @property
    def packet_events(self) -> Sink | None: ...
    @property
    def on_wire(self) -> bool: ...


class Path:
    """Paths are shared: everybody who sends the same protocol between the same two addresses holds the same one.

    `pseudo` is the pseudo-header's sum without the length: `ones_sum(source + destination) + protocol`.
    """

    __slots__ = (
        "__weakref__",
        "_base",
        "_checksum_at",
        "_counters",
        "_device",
        "_flags",
        "_gso",
        "_gso_vnet",
        "_ident",
        "_link",
        "_neighbors",
        "_next_hop",
        "_pair",
        "_protocol",
        "_reduce",
        "_vnet",
        "destination",
        "mtu",
        "neighbor",
        "offload",
        "pseudo",
        "source",
    )

    def __init__(
        self,
        pair: bytes,
        protocol: int,
        checksum_at: Octets,
        link: Way,
        neighbors: NeighborCache,
        next_hop: bytes,
        neighbor: Neighbor,
        ident: int,
        counters: Counters,
        reduce: Callable[[bytes, Octets, Micros], None],
    ) -> None:
        device = link.device
        self.source = pair[:4]
        self.destination = pair[4:]
        self.mtu: Octets = device.mtu
        self.offload = device.offload and checksum_at >= 0
        self.pseudo = ones_sum(pair) + protocol
        self._pair = pair
        self._protocol = protocol
        self._checksum_at = checksum_at
        self._link = link
        self._device = device
        self._neighbors = neighbors
        self._next_hop = next_hop
        self.neighbor = neighbor
        self._ident = ident
        self._counters = counters
        self._reduce = reduce
        self._vnet = self._vnet_header(0, 0)
        self._gso = (0, 0)
        self._gso_vnet = self._vnet
        self.allow_fragments(False)

    def allow_fragments(self, allowed: bool) -> None:
        """Leave out DF, or set it, as it is for TCP from the start (RFC 1191 3)."""
        self._flags = 0 if allowed else 0x4000
        self._base = 0x4500 + self._flags + self.pseudo

    def send(
        self, head: bytes, payload: bytes | memoryview, gso_size: Octets, tos: int, now: Micros, ttl: int = 64
    ) -> None:
        """Send one packet: `head` is the transport header, `payload` what follows it.

        With `offload` the transport leaves only the folded pseudo-header sum, length included, in its checksum field.
        `gso_size` is the octets of payload of each segment that the device is to make, when there is more than that;
        0: this is one packet, and fits `mtu`.
        """
        size = len(payload)
        length = 20 + len(head) + size
        ident = self._ident
        if size > gso_size > 0:
            self._ident = (ident - -size // gso_size) & 0xFFFF  # the device counts on for every segment it makes
            vnet = self._gso_vnet if self._gso == (gso_size, len(head)) else self._super_segment(gso_size, len(head))
        else:
            self._ident = (ident + 1) & 0xFFFF
            vnet = self._vnet
        neighbor = self.neighbor
        if now >= neighbor.usable_until:
            neighbor = self._resolve(now)
        prefix = _PACK(
            vnet,
            neighbor.header,
            0x4500 | tos,
            length,
            ident,
            self._flags,
            ttl << 8 | self._protocol,
            -(self._base + tos + length + ident + (ttl << 8)) % 0xFFFF,
            self._pair,
        )
        self._counters.ip_sent += 1
        if now >= neighbor.usable_until:
            self._wait(b"".join((prefix, head, payload)), now)
            return
        if self._link.events is not None:
            self._tell(b"".join((prefix, head, payload)), True, now)
        self._device.write(prefix + head, payload, now)

    def reduce_mtu(self, mtu: Octets, now: Micros) -> None:
        """The transport believes that the path takes `mtu` only (RFC 1191; RFC 5927 7): for all paths to there."""
        self._reduce(self.destination, mtu, now)

    def _resolve(self, now: Micros) -> Neighbor:
        neighbor = self._neighbors.resolve(self._next_hop, now)
        self.neighbor = UNRESOLVED if neighbor is None else neighbor
        return self.neighbor

    def _wait(self, frame: bytes, now: Micros) -> None:
        """The neighbour's address is not known: the frame waits for it, or is lost when there is no room (counted)."""
        if self._link.events is not None:
            self._tell(frame, False, now)
        if self.neighbor is not UNRESOLVED:
            self._neighbors.wait(self.neighbor, frame, now)

    def _tell(self, frame: bytes, leaves: bool, now: Micros) -> None:
        """Those who watch: a packet was handed to the link; it `leaves` at once, or waits for its neighbour."""
        tell, tell_link = self._link.packet_events, self._link.events
        if tell is not None:
            _, _, version_tos, length, _, _, ttl_protocol, _, pair = PREFIX.unpack_from(frame)
            _, gso_type, _, gso_size, _, _ = VNET.unpack_from(frame)
            tos, ttl = version_tos & 0xFF, ttl_protocol >> 8
            size = gso_size if gso_type != GSO_NONE else 0
            tell(PacketSent(now, pair[:4], pair[4:], self._protocol, length, ttl, tos, size))
        if tell_link is not None and leaves and self._link.on_wire:
            tell_link(FrameSent(now, frame))

    def _super_segment(self, gso_size: Octets, head_len: Octets) -> bytes:
        self._gso = gso_size, head_len
        self._gso_vnet = self._vnet_header(gso_size, head_len)
        return self._gso_vnet

    def _vnet_header(self, gso_size: Octets, head_len: Octets) -> bytes:
        if not self.offload:
            return NO_OFFLOAD
        gso_type, header_len = (GSO_TCPV4, TRANSPORT_AT + head_len) if gso_size else (GSO_NONE, 0)
        return VNET.pack(NEEDS_CSUM, gso_type, header_len, gso_size, TRANSPORT_AT, self._checksum_at)
