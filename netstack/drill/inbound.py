"""Inbound packets of a script to octets: the remote end's side of a connection."""

from dataclasses import replace

from netstack.drill import icmp_names
from netstack.drill.codec import (
    FLAG_BITS,
    ICMP,
    ICMPV6,
    IPPROTO_TCP,
    IPPROTO_UDP,
    TCP,
    UDP,
    build_ip,
    with_checksum,
)
from netstack.drill.flow import Flow
from netstack.drill.nodes import (
    IcmpMessage,
    IpFields,
    Md5,
    Packet,
    Quoted,
    Sack,
    ScriptError,
    SeqKind,
    TcpOption,
    TcpSegment,
    Timestamps,
    UdpDatagram,
)
from netstack.drill.outcome import Unsupported
from netstack.drill.signatures import Keys, signed
from netstack.drill.tcp_options import LONGEST, encode_all

ECN_BITS = {None: 0, "noecn": 0, "ect1": 1, "ect0": 2, "ect01": 2, "ce": 3}
MOST_PAYLOAD = 65_535 - 20 - 60
"""Octets that fit in one IP packet behind the longest TCP header."""


def build(packet: Packet, flow: Flow, line: int, keys: Keys | None = None) -> bytes:
    """The IP packet that `packet` stands for, on the connection `flow`; `keys` are for `md5 valid`."""
    if packet.headers:
        raise Unsupported(f"outer header {packet.headers[0].kind}")
    if isinstance(packet.body, TcpSegment | UdpDatagram) and packet.body.length > MOST_PAYLOAD:
        raise ScriptError(line, f"an inbound packet carries at most {MOST_PAYLOAD} octets")
    match packet.body:
        case TcpSegment() as segment:
            if segment.encapsulation is not None:
                raise Unsupported("TCP inside UDP")
            protocol, transport = IPPROTO_TCP, _tcp(segment, flow, line, keys or Keys())
        case UdpDatagram() as datagram:
            protocol, transport = IPPROTO_UDP, _udp(datagram, flow)
        case IcmpMessage() as message:
            protocol = ICMP if len(flow.local[0]) == 4 else ICMPV6
            transport = _icmp(message, flow, line)
        case other:
            raise Unsupported(f"protocol {other.name}")
    tos, ttl, label = _ip_numbers(packet.ip)
    return build_ip(flow.remote[0], flow.local[0], protocol, transport, tos=tos, ttl=ttl, flowlabel=label)


def _ip_numbers(ip: IpFields) -> tuple[int, int, int]:
    tos = ip.tos or 0
    if ip.ecn is not None:
        tos = tos & ~3 | ECN_BITS[ip.ecn]
    return tos, 64 if ip.ttl is None else ip.ttl, ip.flowlabel or 0


def flag_word(segment: TcpSegment) -> int:
    """The nine flag bits."""
    word = sum(FLAG_BITS[letter] for letter in segment.flags)
    if segment.ace is not None:
        word |= (segment.ace >> 2) << 8 | (segment.ace & 3) << 6  # RFC 9768 3.2: AE, CWR, ECE are the ACE field
    return word


def _tcp(segment: TcpSegment, flow: Flow, line: int, keys: Keys) -> bytes:
    octets = encode_all(tuple(_option(item, segment, flow, line) for item in segment.options or ()))
    if len(octets) > LONGEST:
        raise ScriptError(line, f"{len(octets)} octets of TCP options, {LONGEST} is the most")
    seq = segment.seq if segment.seq_kind is SeqKind.RAW else flow.seq_to_wire(segment.seq, "S" in segment.flags)
    ack = 0
    if segment.ack is not None:
        ack = segment.ack if segment.ack_raw else flow.ack_to_wire(segment.ack, "S" in segment.flags)
    word = (20 + len(octets)) // 4 << 12 | flag_word(segment)
    source, destination = segment.ports or (flow.remote[1], flow.local[1])
    header = TCP.pack(source, destination, seq, ack, word, segment.window or 0, 0, segment.urgent)
    transport = header + octets + bytes(segment.length)
    if Md5(None) in (segment.options or ()):
        transport = signed(keys.find(flow.remote[0]), flow.remote[0], flow.local[0], transport)
    return with_checksum(flow.remote[0], flow.local[0], IPPROTO_TCP, transport, 16)


def _option(item: TcpOption, segment: TcpSegment, flow: Flow, line: int) -> TcpOption:
    """The option with the wire's numbers."""
    match item:
        case Sack(blocks):
            return Sack(tuple((flow.ack_to_wire(left), flow.ack_to_wire(right)) for left, right in blocks))
        case Timestamps():
            return flow.timestamps_to_wire(item, segment, line)
    return item


def _udp(datagram: UdpDatagram, flow: Flow) -> bytes:
    source, destination = datagram.ports or (flow.remote[1], flow.local[1])
    transport = UDP.pack(source, destination, 8 + datagram.length, 0) + bytes(datagram.length)
    return with_checksum(flow.remote[0], flow.local[0], IPPROTO_UDP, transport, 6)


def _icmp(message: IcmpMessage, flow: Flow, line: int) -> bytes:
    version = 4 if len(flow.local[0]) == 4 else 6
    kind = icmp_names.type_number(message.type, version)
    code = icmp_names.code_number(message.type, message.code, version)
    if kind is None or code is None:
        raise ScriptError(line, f"ICMP for IPv{version} has no {message.type} {message.code}")
    if version == 4:
        rest = (message.ident or 0).to_bytes(2, "big") + (message.mtu or 0).to_bytes(2, "big")  # RFC 1191 4
    else:
        rest = (message.mtu or message.ident or 0).to_bytes(4, "big")
    quoted = _quote(message.quoted or Quoted("tcp", 0), flow)
    protocol = ICMP if version == 4 else ICMPV6
    head = bytes((kind, code, 0, 0)) + rest
    return with_checksum(flow.remote[0], flow.local[0], protocol, head + quoted, 2)


def _quote(quoted: Quoted, flow: Flow) -> bytes:
    """The IP header and the first eight octets of the packet complained of (RFC 792), which was ours."""
    if quoted.kind == "raw":
        return bytes(quoted.length)
    if quoted.kind == "udp":
        head = UDP.pack(flow.local[1], flow.remote[1], 8 + quoted.length, 0)
        protocol, whole = IPPROTO_UDP, head + bytes(quoted.length)
    else:
        seq = flow.ack_to_wire(quoted.seq)
        head = TCP.pack(flow.local[1], flow.remote[1], seq, 0, 0x5010, 0, 0, 0)
        protocol, whole = IPPROTO_TCP, head + bytes(quoted.length)
    header = 20 if len(flow.local[0]) == 4 else 40
    return build_ip(flow.local[0], flow.remote[0], protocol, whole)[: header + 8]


def with_ports(flow: Flow, body: TcpSegment | UdpDatagram) -> Flow:
    """`flow` as the ports that a packet names want it."""
    if body.ports is None:
        return flow
    remote, local = body.ports
    return replace(flow, local=(flow.local[0], local), remote=(flow.remote[0], remote))
