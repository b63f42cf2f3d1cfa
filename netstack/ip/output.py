"""IPv4, the way out (RFC 791, RFC 1122 3.3): routes, paths, fragments, and news about packets that we sent."""

from collections.abc import Callable
from weakref import WeakValueDictionary

from netstack.config import Config
from netstack.counters import Counters
from netstack.events import PacketSent, Sink
from netstack.ip.fragment import cut
from netstack.ip.loop import Loop
from netstack.ip.path import Path, Way
from netstack.ip.pmtu import PathMtuCache
from netstack.ip.route import BROADCAST, LOCAL, MULTICAST, UNICAST, Route, ipv4_routes
from netstack.link.device import NO_OFFLOAD
from netstack.link.ethernet import PAYLOAD_AT, Ethernet
from netstack.link.neighbor import UNRESOLVED, Entropy
from netstack.link.neighbor_cache import NeighborCache
from netstack.units import Micros, Octets
from netstack.wire import ethernet, icmpv4, ipv4

OnIcmpError = Callable[[int, int, Octets, bytes, bytes, Micros], None]
"""`on_icmp_error(type, code, mtu, pair, quoted, now)`: see `Output.errors`."""

BLANK = NO_OFFLOAD + bytes(ethernet.HEADER_LEN)
"""What is in front of a packet until its neighbour is known."""
QUOTE: Octets = 64
"""Octets of transport header shown to a transport whose packet found no neighbour."""


class Output:
    """The sending half of `Ipv4`.

    `errors` maps a protocol number to who is told of ICMP errors about packets that we sent: `pair` is our address and
    the remote one, `quoted` at least 8 octets of the transport header, `mtu` only said for FRAGMENTATION_NEEDED. What
    nobody answered ARP for arrives there as HOST_UNREACHABLE.
    """

    def __init__(
        self,
        config: Config,
        link: Ethernet,
        neighbors: NeighborCache,
        rng: Entropy,
        counters: Counters,
        events: Sink | None = None,
    ) -> None:
        self.address = config.address.ip.packed
        self.routes = ipv4_routes(config.address, config.gateway)
        self.link = link
        self.neighbors = neighbors
        self.rng = rng
        self.counters = counters
        self.default_ttl = config.default_ttl
        self.pmtu = PathMtuCache(link.device.mtu, config.pmtu_expires)
        self.errors: dict[int, OnIcmpError] = {}
        self._mib = counters.mib
        self._paths: WeakValueDictionary[bytes, Path] = WeakValueDictionary()
        self._looped = Loop(counters)
        self.observe(events)
        self._ident = rng.getrandbits(16)
        neighbors.on_failure = self._on_unresolved

    def observe(self, sink: Sink | None) -> None:
        """Tell `sink` everything from now on, of the way to ourselves too; None: nobody."""
        self.events = self._looped.events = self._looped.packet_events = self.link.packet_events = sink

    def path(self, source: bytes | None, destination: bytes, protocol: int, checksum_at: Octets) -> Path | None:
        """The way to `destination`, which must be one host; None when there is no route, or none from `source`.

        `checksum_at` is the offset of the checksum in the transport header (TCP 16, UDP 6), -1 when it has none. All
        who ask for the same way get the same Path, which lives as long as somebody holds it.
        """
        route = self.routes.lookup(destination)
        if route is None or route.kind not in (UNICAST, LOCAL):
            return None
        source = source or route.source or destination
        if not self._is_source(source, route):
            return None
        pair = source + destination
        key = pair + bytes((protocol,))
        path = self._paths.get(key)
        if path is None:
            link: Way = self.link
            next_hop, neighbor = route.gateway or destination, UNRESOLVED
            if route.kind is LOCAL:
                link, neighbor = self._looped, self._looped.neighbor
            ident = self.rng.getrandbits(16)
            path = Path(
                pair, protocol, checksum_at, link, self.neighbors, next_hop, neighbor, ident, self.counters,
                self.reduce_mtu,
            )  # fmt: skip
            self._paths[key] = path
            if route.kind is not LOCAL:
                self._apply_mtu(path)
        return path

    def is_local(self, address: bytes) -> bool:
        """Whether packets to `address` stay inside the stack: it is ours, or in 127/8."""
        route = self.routes.lookup(address)
        return route is not None and route.kind is LOCAL

    def source(self, destination: bytes) -> bytes | None:
        """The address that packets to `destination` are sent from when nobody chooses one; None: no route."""
        route = self.routes.lookup(destination)
        return None if route is None else route.source or destination

    def _is_source(self, address: bytes, route: Route) -> bool:
        """Ours; and 127/8 never leaves the host (RFC 1122 3.2.1.3 g)."""
        return address == self.address or (route.kind is LOCAL and self.is_local(address))

    def mtu(self, destination: bytes) -> Octets:
        """Octets of IP packet that get to `destination` in one piece, as far as is known."""
        return self._looped.mtu if self.is_local(destination) else self.pmtu.mtu(destination)

    def send(
        self,
        destination: bytes,
        protocol: int,
        payload: bytes,
        now: Micros,
        *,
        source: bytes | None = None,
        ttl: int | None = None,
        tos: int = 0,
        df: bool = False,
    ) -> bool:
        """Send `payload`, complete with its checksum, in one packet or, without `df`, in as many fragments as it takes.

        False when there is no route to `destination` from `source`, or `df` forbids what would be needed.
        ValueError when it is longer than any datagram can be.
        """
        total_length = ipv4.HEADER_LEN + len(payload)
        if total_length > ipv4.MAX_LEN:
            raise ValueError(f"a datagram of {total_length} octets: at most {ipv4.MAX_LEN}")
        route = self.routes.lookup(destination)
        source = source or (route and route.source) or destination
        if route is None or not self._is_source(source, route):
            self._mib["IpOutNoRoutes"] += 1
            return False
        mtu = self.mtu(destination)
        if df and total_length > mtu:
            self._mib["IpFragFails"] += 1
            return False
        self._mib["IpOutRequests"] += 1
        self._ident = ident = (self._ident + 1) & 0xFFFF
        ttl = ttl or (1 if route.kind is MULTICAST else self.default_ttl)  # RFC 1112 6.1
        pair = source + destination
        df = df and self.pmtu.df(destination)
        if total_length <= mtu:
            header = ipv4.build(pair, protocol, len(payload), ident=ident, ttl=ttl, tos=tos, df=df)
            return self._transmit(route, destination, header + payload, now)
        self._mib["IpFragOKs"] += 1
        sent = True
        for offset, more, part in cut(payload, mtu - ipv4.HEADER_LEN):
            self._mib["IpFragCreates"] += 1
            header = ipv4.build(pair, protocol, len(part), ident=ident, ttl=ttl, tos=tos, mf=more, offset=offset)
            sent = self._transmit(route, destination, header + part, now) and sent
        return sent

    def _transmit(self, route: Route, destination: bytes, packet: bytes, now: Micros) -> bool:
        if self.events is not None:
            source, protocol = packet[12:16], packet[9]
            self.events(PacketSent(now, source, destination, protocol, len(packet), packet[8], packet[1], 0))
        if route.kind is UNICAST:
            return self.neighbors.send(route.gateway or destination, BLANK + packet, now)
        if route.kind is LOCAL:
            self._looped.write(BLANK, packet, now)
        elif route.kind is BROADCAST:
            self.link.send(ethernet.BROADCAST, ethernet.IPV4, packet, now)
        elif route.kind is MULTICAST:  # RFC 1112 6.4: the low 23 bits of the group
            group = b"\x01\x00\x5e" + bytes((destination[1] & 0x7F,)) + destination[2:]
            self.link.send(group, ethernet.IPV4, packet, now)
        else:
            self._mib["IpOutNoRoutes"] += 1
            return False
        return True

    def reduce_mtu(self, destination: bytes, mtu: Octets, now: Micros) -> None:
        """A transport believes that the path to `destination` takes `mtu` octets only (RFC 1191)."""
        if not self.is_local(destination) and self.pmtu.reduce(destination, mtu, now):
            self._apply_mtu_to({destination})

    def on_link_mtu(self, mtu: Octets) -> None:
        """The interface takes packets of another size from now on, and so does every path over it."""
        self.pmtu.link_mtu = mtu
        destinations = {path.destination for path in self._paths.values()}
        self._apply_mtu_to({destination for destination in destinations if not self.is_local(destination)})

    def _apply_mtu_to(self, destinations: set[bytes]) -> None:
        for path in list(self._paths.values()):
            if path.destination in destinations:
                self._apply_mtu(path)

    def _apply_mtu(self, path: Path) -> None:
        path.mtu = self.pmtu.mtu(path.destination)
        path.allow_fragments(not self.pmtu.df(path.destination))

    def _on_unresolved(self, frames: list[bytes], now: Micros) -> None:
        """Nobody answered ARP: each sender of what waited hears of it once, as if a router had said so."""
        told = set()
        for frame in frames:
            header = ipv4.parse(frame, PAYLOAD_AT)
            if header is None or header.offset:
                continue
            at = PAYLOAD_AT + header.header_len
            quoted = frame[at : at + QUOTE]
            who = header.protocol, header.pair, quoted[:4]
            on_error = self.errors.get(header.protocol)
            if on_error is not None and len(quoted) >= icmpv4.QUOTED_TRANSPORT and who not in told:
                told.add(who)
                on_error(icmpv4.UNREACHABLE, icmpv4.HOST_UNREACHABLE, 0, header.pair, quoted, now)
