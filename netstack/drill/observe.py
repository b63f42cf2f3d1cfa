"""A packet that left, in the script's terms: the wire's numbers mapped by a flow, several segments joined into one."""

from dataclasses import dataclass, replace

from netstack.drill import icmp_names
from netstack.drill.codec import (
    FLAG_BITS,
    ICMP,
    ICMPV6,
    IPPROTO_TCP,
    IPPROTO_UDP,
    TCP,
    Datagram,
    checksum_holds,
    parse_ip,
)
from netstack.drill.flow import Flow
from netstack.drill.nodes import (
    IcmpMessage,
    IpFields,
    Md5,
    OtherProtocol,
    Packet,
    Quoted,
    Sack,
    TcpOption,
    TcpSegment,
    Timestamps,
    UdpDatagram,
)
from netstack.drill.tcp_options import decode_all
from netstack.units import Micros, Octets

ECN_NAMES = ("noecn", "ect1", "ect0", "ce")
"""RFC 3168 section 5, by the two low bits of TOS."""
ECHOES = {"echo", "echo_request", "echo_reply"}
_FROM_LAST = frozenset("FP")
_MAY_DIFFER = _FROM_LAST | {"W"}


@dataclass(slots=True)
class Observed:
    """One outbound packet (or several joined), ready to be compared and shown."""

    at: Micros
    packet: Packet
    datagram: Datagram
    faults: list[str]
    """What is wrong with it whatever the script expects."""
    reserved: int = 0
    header_length: Octets = 0
    raw_seq: int = 0
    raw_ack: int = 0
    raw_options: tuple[TcpOption, ...] = ()
    count: int = 1
    """How many segments were joined."""

    @property
    def tcp(self) -> TcpSegment | None:
        """The segment, when it is TCP."""
        return self.packet.body if isinstance(self.packet.body, TcpSegment) else None


def observe(at: Micros, datagram: Datagram, flow: Flow | None) -> Observed:
    """The packet with its numbers as `flow` counts them; as on the wire without one."""
    ip = IpFields(ECN_NAMES[datagram.tos & 3], datagram.tos, datagram.ttl, datagram.flowlabel)
    flow = flow or Flow((b"", 0), (b"", 0))
    faults = list(datagram.faults)
    if datagram.protocol == IPPROTO_TCP and len(datagram.payload) >= 20:
        return _observe_tcp(at, datagram, flow, ip, faults)
    body: UdpDatagram | IcmpMessage | OtherProtocol
    if datagram.protocol == IPPROTO_UDP and len(datagram.payload) >= 8:
        body = UdpDatagram(len(datagram.payload) - 8, datagram.ports)
    elif datagram.protocol in (ICMP, ICMPV6) and len(datagram.payload) >= 8:
        body = _observe_icmp(datagram, flow)
    else:
        body = OtherProtocol(f"protocol {datagram.protocol}")
    return Observed(at, Packet(False, body, ip), datagram, faults)


def _observe_tcp(at: Micros, datagram: Datagram, flow: Flow, ip: IpFields, faults: list[str]) -> Observed:
    sport, dport, seq, ack, word, window, _, urgent = TCP.unpack_from(datagram.payload)
    header = (word >> 12) * 4
    if not checksum_holds(datagram):
        faults.append("TCP checksum is wrong")
    if not 20 <= header <= len(datagram.payload):
        faults.append(f"TCP data offset of {header} octets")
        header = 20
    flags = frozenset(letter for letter, bit in FLAG_BITS.items() if word & bit)
    text = datagram.payload[header:]
    if text.count(0) != len(text):
        faults.append("payload is not all zeros")
    raw = decode_all(datagram.payload[20:header])
    segment = TcpSegment(
        flags,
        flow.seq_to_script(seq, "S" in flags),
        len(text),
        ack=flow.ack_to_script(ack) if "." in flags else None,
        window=window,
        urgent=urgent,
        options=tuple(_mapped(option, flow) for option in raw),
        ports=(sport, dport),
    )
    reserved = word >> 9 & 7
    return Observed(at, Packet(False, segment, ip), datagram, faults, reserved, header, seq, ack, raw)


def _observe_icmp(datagram: Datagram, flow: Flow) -> IcmpMessage:
    octets = datagram.payload
    kind, code = icmp_names.names(octets[0], octets[1], datagram.version)
    if kind in ECHOES:
        return IcmpMessage(kind, code, ident=int.from_bytes(octets[4:6], "big"), quoted=Quoted("raw", len(octets) - 8))
    mtu = int.from_bytes(octets[6:8] if datagram.version == 4 else octets[4:8], "big") or None
    return IcmpMessage(kind, code, mtu, quoted=_quoted(octets[8:], flow))


def _quoted(octets: bytes, flow: Flow) -> Quoted:
    """What an error quotes, which came from the remote end: RFC 792's first eight octets at least."""
    inner = parse_ip(octets)
    if inner is None or len(inner.payload) < 8 or inner.protocol not in (IPPROTO_TCP, IPPROTO_UDP):
        return Quoted("raw", len(octets))
    if inner.protocol == IPPROTO_UDP:
        return Quoted("udp", int.from_bytes(inner.payload[4:6], "big") - 8)
    header = (inner.payload[12] >> 4) * 4 if len(inner.payload) > 12 else 20
    seq = flow.ack_to_script(int.from_bytes(inner.payload[4:8], "big"))
    total = int.from_bytes(octets[2:4], "big") - 20 if inner.version == 4 else int.from_bytes(octets[4:6], "big")
    return Quoted("tcp", total - header, seq)


def _mapped(option: TcpOption, flow: Flow) -> TcpOption:
    match option:
        case Sack(blocks):
            return Sack(tuple((flow.ack_to_script(left), flow.ack_to_script(right)) for left, right in blocks))
        case Timestamps(int(val), ecr):
            return Timestamps(flow.timestamp_to_script(val), ecr)
    return option


def joinable(first: Observed, then: Observed) -> str | None:
    """None when `then` may be joined to what `first` is so far; else why not."""
    one, two = first.tcp, then.tcp
    if one is None or two is None:
        return "not TCP"
    if two.seq != one.seq + one.length & 0xFFFF_FFFF:
        return f"sequence number {two.seq} does not follow {one.seq + one.length}"
    size = one.length // first.count
    if one.length % first.count or two.length > size:
        return f"segments of {size} and {two.length} octets"
    if one.flags - _MAY_DIFFER != two.flags - _MAY_DIFFER or (one.ack, one.window, one.urgent) != (
        two.ack,
        two.window,
        two.urgent,
    ):
        return "headers differ"
    if _alike(one.options) != _alike(two.options) or first.packet.ip.tos != then.packet.ip.tos:
        return "options or IP fields differ"
    return None


def _alike(options: tuple[TcpOption, ...] | None) -> list[TcpOption]:
    """Two segments of one burst may leave on both sides of a clock tick, and have signatures of their own."""
    made = [replace(o, val=None) if isinstance(o, Timestamps) else o for o in options or ()]
    return [Md5(None) if isinstance(o, Md5) else o for o in made]


def join(first: Observed, then: Observed) -> Observed:
    """Both as one: FIN and PSH from the last, everything else (CWR and the number too) from the first."""
    one, two = first.tcp, then.tcp
    assert one is not None
    assert two is not None
    flags = (one.flags - _FROM_LAST) | (two.flags & _FROM_LAST)
    body = replace(one, flags=flags, length=one.length + two.length)
    packet = replace(first.packet, body=body)
    return replace(first, packet=packet, faults=first.faults + then.faults, count=first.count + 1)
