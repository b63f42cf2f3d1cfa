"""IPv4, the way in (RFC 791, RFC 1122 3.2): what arrives is checked, put together from fragments and handed up.

`receive` proves the common case with a few comparisons and is done; everything else goes through `_accept`, which
is complete without it.
"""

from collections.abc import Callable
from struct import Struct

from netstack.config import Config
from netstack.counters import Counters
from netstack.events import Dropped, PacketReceived, Sink
from netstack.ip import ecn
from netstack.ip.fragment import Reassembly
from netstack.ip.output import Output
from netstack.ip.route import BROADCAST, LOCAL, MULTICAST, UNICAST
from netstack.link.device import DATA_VALID, NEEDS_CSUM
from netstack.link.ethernet import PAYLOAD_AT, Ethernet
from netstack.link.neighbor import Entropy
from netstack.link.neighbor_cache import NeighborCache
from netstack.units import Micros, Octets
from netstack.wire import icmpv4, ipv4

Receive = Callable[[bytes, Octets, Octets, Octets, bytes, bool, Micros], None]
"""`receive(frame, ip_at, at, end, pair, verified, now)`: `frame[at:end]` is the payload of the header at `ip_at`."""
SendError = Callable[[bytes, Octets, int, int, int, int, Micros], None]
"""`send_error(frame, ip_at, type, code, word1, word2, now)`: see `Icmp.error`."""

_FIELDS = Struct("!HHxxHxBxx8s").unpack_from
"""version to TOS, total length, flags and offset, protocol, both addresses."""
_VERIFIED = NEEDS_CSUM | DATA_VALID

ALL_HOSTS = bytes((224, 0, 0, 1))  # RFC 1112 4: every host is in this group
GROUP_PROTOCOLS = frozenset((1, 17))  # what may come by broadcast or multicast; TCP never (RFC 9293 3.9.2.3)
MAX_PEERS = 8_192


class Ipv4(Output):
    """One address on one link, both directions.

    `protocols` maps a protocol number to its receiver; `pair` is source + destination address, and `verified` says that
    the device vouches for the transport's checksum. `send_error` is how ICMP errors leave. For `errors` see `Output`.
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
        super().__init__(config, link, neighbors, rng, counters, events)
        self.protocols: dict[int, Receive] = {}
        self.send_error: SendError | None = None
        self.malformed = 0
        """Packets dropped for their header."""
        counters.sources.append(self._without_ect)
        self.reassembly = Reassembly(config.reassembly_memory, config.reassembly_timeout, counters)
        self._peers: set[bytes] = set()  # pairs found to be a good source and our address

    def receive(self, frame: bytes, at: Octets, now: Micros) -> None:
        """A packet came in a frame addressed to our MAC; its header is at `frame[at:]`."""
        room = len(frame) - at
        if room >= 20:
            version_tos, total_length, fragment, protocol, pair = _FIELDS(frame, at)
            if (
                version_tos & 0xFF00 == 0x4500
                and 20 <= total_length <= room
                and not fragment & 0x3FFF
                and pair in self._peers
                and int.from_bytes(frame[at : at + 20], "big") % 0xFFFF == 0
            ):
                receive = self.protocols.get(protocol)
                if receive is not None:
                    self.counters.ip_delivered += 1
                    if version_tos & 3:
                        self._mib[ecn.COUNTERS[version_tos & 3]] += 1
                    if self.events is not None:
                        self._tell(frame, at, now)
                    receive(frame, at, at + 20, at + total_length, pair, frame[0] & 3 != 0, now)
                    return
        self._mib["IpInReceives"] += 1
        self._accept(frame, at, now)

    def receive_group(self, frame: bytes, at: Octets, now: Micros) -> None:
        """A packet came in a broadcast or multicast frame (registered in `Ethernet.group_protocols`)."""
        self._mib["IpInReceives"] += 1
        self._accept(frame, at, now, group_frame=True)

    def loop(self, now: Micros) -> bool:
        """Deliver the packets that we sent to ourselves so far; whether their delivery sent further ones."""
        if not self._looped:
            return False
        for frame in self._looped.take():
            self._mib["IpInReceives"] += 1
            self._accept(frame, PAYLOAD_AT, now, looped=True)
        return bool(self._looped)

    def _accept(
        self, frame: bytes, at: Octets, now: Micros, *, group_frame: bool = False, looped: bool = False
    ) -> None:
        """The checks of RFC 1122 3.2.1 and RFC 1812 5.2.2, in their order; then reassembly and delivery."""
        reason = self._check_header(frame, at)
        if reason is not None:
            self._mib["IpInHdrErrors"] += 1
            self.malformed += 1
            self._drop(reason, now)
            return
        header = ipv4.parse(frame, at)
        assert header is not None
        reason = None if looped else self._check_addresses(header, group_frame)
        if reason is not None:
            self._mib["IpInAddrErrors"] += 1
            self._drop(reason, now)
            return
        if header.options and not self._check_options(frame, at, header, now):
            return
        if not header.is_fragment:
            if header.destination == self.address and not looped:
                self._remember(header.pair)
            self._deliver(frame, at, header, now)
            return
        given_up = self.reassembly.given_up
        datagram = self.reassembly.add(frame, at, header, now)
        if self.events is not None:
            for _ in range(self.reassembly.given_up - given_up):
                self.events(Dropped(now, "ipv4.reassembly_memory"))
        if isinstance(datagram, str):
            self._drop(datagram, now)
        elif datagram:
            whole = ipv4.parse(datagram, PAYLOAD_AT)
            assert whole is not None
            self._deliver(datagram, PAYLOAD_AT, whole, now)

    def _check_header(self, frame: bytes, at: Octets) -> str | None:
        """Version, IHL, total length against what was captured, checksum. None, or the reason to drop it silently."""
        room = len(frame) - at
        if room < ipv4.HEADER_LEN:
            return "ipv4.too_short"
        version_tos, total_length, *_ = _FIELDS(frame, at)
        header_len = (version_tos >> 8 & 0xF) << 2
        if version_tos >> 12 != 4:
            return "ipv4.bad_version"
        if header_len < ipv4.HEADER_LEN or header_len > room:
            return "ipv4.bad_header_length"
        if total_length < header_len:
            return "ipv4.bad_total_length"
        if total_length > room:
            self._mib["IpExtInTruncatedPkts"] += 1
            return "ipv4.truncated"
        if not ipv4.checksum_valid(frame, at):
            self._mib["IpExtInCsumErrors"] += 1
            return "ipv4.bad_checksum"
        if version_tos & 3:
            self._mib[ecn.COUNTERS[version_tos & 3]] += 1
        return None

    def _check_addresses(self, header: ipv4.Header, group_frame: bool) -> str | None:
        """RFC 1122 3.2.1.3: whether anybody could have sent this from there, and whether it is for us."""
        source, destination = header.source, header.destination
        route = self.routes.lookup(destination)
        kind = None if route is None else route.kind
        to_group = kind is BROADCAST or (kind is MULTICAST and destination == ALL_HOSTS)
        origin = self.routes.lookup(source)
        if source == ipv4.ANY:
            if destination != ipv4.BROADCAST:  # only a host that does not know its address yet (RFC 1122 3.2.1.3 a)
                return "ipv4.martian_source"
        elif origin is not None and origin.kind is not UNICAST:
            return "ipv4.martian_source"  # multicast, broadcast, loopback, 0/8, or our own address from outside
        if destination != self.address and not to_group:
            return "ipv4.not_ours"
        if group_frame and not to_group:  # RFC 1122 3.3.6
            return "ipv4.unicast_in_group_frame"
        return None

    def _check_options(self, frame: bytes, at: Octets, header: ipv4.Header, now: Micros) -> bool:
        """Options are tolerated and mean nothing to us, except that nobody routes through us by them.

        Deviation: RFC 1122 3.2.1.8 lets a host take source routes and wants route and time recorded in what it
        answers; like Linux with its defaults we refuse the first, and unlike it we leave out the second.
        """
        options = ipv4.parse_options(header.options)
        if options.error is not None:
            self._mib["IpInHdrErrors"] += 1
            self._drop("ipv4.bad_options", now)
            self._refuse(frame, at, icmpv4.PARAMETER_PROBLEM, 0, options.error << 8, now)
            return False
        if options.source_route is not None:
            self._mib["IpInHdrErrors"] += 1
            self._drop("ipv4.source_route", now)
            return False
        return True

    def _deliver(self, frame: bytes, at: Octets, header: ipv4.Header, now: Micros) -> None:
        receive = self.protocols.get(header.protocol)
        route = self.routes.lookup(header.destination)
        if route is not None and route.kind is not LOCAL and header.protocol not in GROUP_PROTOCOLS:
            self._drop("ipv4.group_protocol", now)
        elif receive is None:
            self._mib["IpInUnknownProtos"] += 1
            self._drop("ipv4.unknown_protocol", now)
            self._refuse(frame, at, icmpv4.UNREACHABLE, icmpv4.PROTOCOL_UNREACHABLE, 0, now)
        else:
            self._mib["IpInDelivers"] += 1
            if self.events is not None:
                self._tell(frame, at, now)
            verified = frame[0] & _VERIFIED != 0
            receive(frame, at, at + header.header_len, at + header.total_length, header.pair, verified, now)

    def _remember(self, pair: bytes) -> None:
        """The next packet between these two needs no look at its addresses."""
        if len(self._peers) >= MAX_PEERS:
            self._peers.clear()
        self._peers.add(pair)

    def _without_ect(self) -> dict[str, int]:
        """IpExtInNoECTPkts: what came, was no rubbish, and is not counted as something else."""
        mib = self._mib
        received = mib["IpInReceives"] + self.counters.ip_delivered
        return {ecn.COUNTERS[0]: received - self.malformed - sum(mib[name] for name in ecn.COUNTERS[1:])}

    # -- time

    def deadline(self) -> Micros | None:
        """When `expire` or `loop` has something to do; None when nothing waits."""
        if self._looped:
            return self._looped.since
        give_up_at, forget_at = self.reassembly.deadline(), self.pmtu.deadline()
        if give_up_at is None or (forget_at is not None and forget_at < give_up_at):
            return forget_at
        return give_up_at

    def expire(self, now: Micros) -> None:
        """Give up datagrams whose fragments do not come, and try larger packets where the path may take them again."""
        for datagram in self.reassembly.expire(now):
            if self.events is not None and not datagram.condemned:
                self.events(Dropped(now, "ipv4.reassembly_timeout"))
            quote = datagram.quote()
            if quote is not None:  # RFC 1122 3.3.2: only when the first fragment came
                self._refuse(quote, PAYLOAD_AT, icmpv4.TIME_EXCEEDED, icmpv4.REASSEMBLY_TIME_EXCEEDED, 0, now)
        expired = self.pmtu.expire(now)
        if expired:
            self._apply_mtu_to(set(expired))

    def _refuse(self, frame: bytes, at: Octets, kind: int, code: int, word1: int, now: Micros) -> None:
        if self.send_error is not None:
            self.send_error(frame, at, kind, code, word1, 0, now)

    def _tell(self, frame: bytes, at: Octets, now: Micros) -> None:
        """Those who watch: a packet goes up."""
        if self.events is not None:
            version_tos, length, _, protocol, pair = _FIELDS(frame, at)
            ttl, tos = frame[at + 8], version_tos & 0xFF
            self.events(PacketReceived(now, pair[:4], pair[4:], protocol, length, ttl, tos))

    def _drop(self, reason: str, now: Micros) -> None:
        self.counters.drops[reason] += 1
        if self.events is not None:
            self.events(Dropped(now, reason))
