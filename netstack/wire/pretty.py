"""One line of text for a frame, packet or segment: tcpdump's wording, with packetdrill's shorthand for TCP.

    IP 192.0.2.1.40000 > 192.0.2.2.80: P. 1:79(78) ack 1 win 502 <nop,nop,TS val 12 ecr 7>

Shared by traces, tests and messages. Shows whatever it is given, damaged or not, and never raises over it.
"""

from ipaddress import IPv6Address
from struct import Struct

from netstack.seq import MASK
from netstack.wire import arp, ethernet, icmpv4, ipv4, tcp, tcp_options, udp

Isns = dict[bytes, int]
"""Initial sequence numbers by flow (source + destination address + ports, as on the wire), learned from SYNs."""

MAX_FLOWS = 65_536
"""How many flows an `Isns` remembers before it forgets the oldest."""

_FLAG_BITS = (tcp.FIN, tcp.SYN, tcp.RST, tcp.PSH, tcp.ACK, tcp.URG, tcp.ECE, tcp.CWR, tcp.AE)
FLAG_LETTERS = dict(zip("FSRP.UEWA", _FLAG_BITS, strict=True))
"""Letter -> bit, in the order in which they are written."""

_PROTOCOLS = {1: "ICMP", 2: "IGMP", 6: "TCP", 17: "UDP", 41: "IPv6", 47: "GRE", 50: "ESP", 58: "ICMP6", 132: "SCTP"}
_ICMP_TYPES = {
    icmpv4.ECHO_REPLY: "echo reply",
    icmpv4.SOURCE_QUENCH: "source quench",
    icmpv4.REDIRECT: "redirect",
    icmpv4.ECHO: "echo request",
    icmpv4.PARAMETER_PROBLEM: "parameter problem",
    icmpv4.TIMESTAMP: "timestamp request",
    icmpv4.TIMESTAMP_REPLY: "timestamp reply",
}
_ICMP_CODES = {
    (icmpv4.UNREACHABLE, 0): "net unreachable",
    (icmpv4.UNREACHABLE, 1): "host unreachable",
    (icmpv4.UNREACHABLE, 2): "protocol unreachable",
    (icmpv4.UNREACHABLE, 3): "port unreachable",
    (icmpv4.UNREACHABLE, 4): "fragmentation needed",
    (icmpv4.UNREACHABLE, 5): "source route failed",
    (icmpv4.UNREACHABLE, 9): "net administratively prohibited",
    (icmpv4.UNREACHABLE, 10): "host administratively prohibited",
    (icmpv4.UNREACHABLE, 13): "communication administratively prohibited",
    (icmpv4.TIME_EXCEEDED, 0): "time exceeded in transit",
    (icmpv4.TIME_EXCEEDED, 1): "reassembly time exceeded",
}
_IPV6 = Struct("!IHBB32s")
"""version, traffic class and flow label, payload length, next header, hop limit, both addresses (RFC 8200 3)."""


def mac(octets: bytes) -> str:
    """02:00:5e:00:02:02"""
    return octets.hex(":")


def address(octets: bytes) -> str:
    """An IPv4 (4 octets) or IPv6 (16) address as people write it; anything else as hexadecimal digits."""
    if len(octets) == 4:
        return ".".join(map(str, octets))
    return str(IPv6Address(octets)) if len(octets) == 16 else octets.hex()


def endpoint(octets: bytes, port: int) -> str:
    """192.0.2.2:80, [2001:db8::2]:80"""
    return f"[{address(octets)}]:{port}" if len(octets) == 16 else f"{address(octets)}:{port}"


def who(key: object) -> str:
    """A connection for people, local end first: `192.0.2.2:80 - 192.0.2.1:40000`.

    `key` is that of the four-tuple table: remote + local address, remote + local port. A listener is its (address,
    port), as `0.0.0.0:80`. Anything else comes out as str.
    """
    if isinstance(key, tuple) and len(key) == 2 and isinstance(key[0], bytes):
        return endpoint(*key)
    if not isinstance(key, bytes) or len(key) not in (12, 36):
        return str(key)
    size = (len(key) - 4) // 2
    remote, local = endpoint(key[:size], _int(key[-4:-2])), endpoint(key[size:-4], _int(key[-2:]))
    return f"{local} - {remote}"


def flags(bits: int) -> str:
    """The letters of TCP flags, ACK as a dot: "S", "S.", "P.", "F.", "." ... and "-" for none."""
    return "".join(letter for letter, bit in FLAG_LETTERS.items() if bits & bit) or "-"


def parse_flags(letters: str) -> int:
    """The reverse of `flags`, letters in any order. ValueError over a letter that means nothing."""
    bits = 0
    for letter in letters if letters != "-" else "":
        if letter not in FLAG_LETTERS:
            raise ValueError(f"{letter!r} in {letters!r} is no TCP flag: {''.join(FLAG_LETTERS)} are, or - for none")
        bits |= FLAG_LETTERS[letter]
    return bits


def options(data: bytes, at: int = 0, end: int | None = None, sack_base: int = 0) -> str:
    """TCP options in the order of the wire: `mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7`.

    `sack_base` is subtracted from the edges of SACK blocks.
    """
    end = len(data) if end is None else min(end, len(data))
    at = max(at, 0)
    out = []
    for kind, value in tcp_options.walk(data, at, end):
        out.append(_option(kind, value, sack_base))
        at += 1 if kind == tcp_options.NOP else 2 + len(value)
    if at < end:
        out.append("eol" if data[at] == tcp_options.EOL else f"bad 0x{data[at:end].hex()}")
    return ",".join(out)


def _option(kind: int, value: bytes, sack_base: int) -> str:
    """One option; one whose size does not fit its kind is shown as an unknown one."""
    size = len(value)
    if kind == tcp_options.NOP:
        return "nop"
    if kind == tcp_options.MSS and size == 2:
        return f"mss {_int(value)}"
    if kind == tcp_options.WSCALE and size == 1:
        return f"wscale {value[0]}"
    if kind == tcp_options.SACK_PERMITTED and size == 0:
        return "sackOK"
    if kind == tcp_options.TIMESTAMP and size == 8:
        return f"TS val {_int(value[:4])} ecr {_int(value[4:])}"
    if kind == tcp_options.SACK and size and size % 8 == 0:
        edges = [_int(value[i : i + 4]) - sack_base & MASK for i in range(0, size, 4)]
        return "sack " + " ".join(f"{edges[i]}:{edges[i + 1]}" for i in range(0, len(edges), 2))
    if kind == tcp_options.FASTOPEN:
        return f"FO {value.hex()}".rstrip()
    if kind == tcp_options.EXPERIMENT and value[:2] == tcp_options.FASTOPEN_MAGIC:
        return f"FOEXP {value[2:].hex()}".rstrip()
    if kind == tcp_options.MD5 and size == 16:
        return f"md5 {value.hex()}"
    if kind in (tcp_options.ACCECN0, tcp_options.ACCECN1) and size in (0, 3, 6, 9):
        names = ("e0b", "ceb", "e1b") if kind == tcp_options.ACCECN0 else ("e1b", "ceb", "e0b")
        return " ".join(["ECN", *(f"{names[i // 3]} {_int(value[i : i + 3])}" for i in range(0, size, 3))])
    return f"unknown-{kind} 0x{value.hex()}"


def segment(data: bytes, at: int = 0, end: int | None = None, seq_base: int = 0, ack_base: int = 0) -> str:
    """A TCP segment without its addresses: `S. 0:0(0) ack 1 win 65160 <mss 1460>`.

    `seq_base` is subtracted from the sequence number, `ack_base` from the acknowledgment and SACK blocks: 0 shows the
    numbers of the wire, the initial sequence numbers of the two sides show them relative to the handshake.
    """
    end = len(data) if end is None else min(end, len(data))
    if at < 0 or end - at < tcp.HEADER_LEN:
        return _cut("TCP", end - at)
    _, _, seq, ack, offset_flags, window, _, urgent = tcp.HEADER.unpack_from(data, at)
    payload_at = at + (offset_flags >> 12 << 2)
    if not at + tcp.HEADER_LEN <= payload_at <= end:
        return f"{flags(offset_flags)} [bad data offset {payload_at - at}]"
    seq, length = seq - seq_base & MASK, end - payload_at
    text = f"{flags(offset_flags)} {seq}:{seq + length & MASK}({length})"
    if offset_flags & tcp.ACK:
        text += f" ack {ack - ack_base & MASK}"
    text += f" win {window}"
    if offset_flags & tcp.URG:
        text += f" urg {urgent}"
    said = options(data, at + tcp.HEADER_LEN, payload_at, ack_base)
    return f"{text} <{said}>" if said else text


def packet(data: bytes, at: int = 0, end: int | None = None, isns: Isns | None = None) -> str:
    """An IP packet, of either version.

    Without `isns`, TCP's numbers are those of the wire. With it they are relative to the handshake, for flows of which
    the SYN is or was seen: `packet` keeps it up to date, the caller only has one per capture, empty at first.
    """
    end = len(data) if end is None else min(end, len(data))
    if not 0 <= at < end:
        return "IP [empty]"
    version = data[at] >> 4
    if version == 6 and end - at >= _IPV6.size:
        word, length, protocol, _, pair = _IPV6.unpack_from(data, at)
        short = " [cut short]" if at + _IPV6.size + length > end else ""
        body = min(end, at + _IPV6.size + length)
        return f"IP6 {_transport(protocol, pair, data, at + _IPV6.size, body, isns)}{_tos(word >> 20 & 0xFF)}{short}"
    header = ipv4.parse(data, at, end, quoted=True)
    if header is None:
        return _cut(f"IP version {version}", end - at)
    if header.total_length < header.header_len:
        return f"IP {address(header.source)} > {address(header.destination)}: [bad total length {header.total_length}]"
    short = " [cut short]" if at + header.total_length > end else ""
    end = min(end, at + header.total_length)
    at += header.header_len
    if header.is_fragment:
        what = f"{address(header.source)} > {address(header.destination)}: {protocol_name(header.protocol)} fragment"
        text = f"{what} {header.ident}:{end - at}@{header.offset}{'+' if header.mf else ''}"
    else:
        text = _transport(header.protocol, header.pair, data, at, end, isns)
    return f"IP {text}{_tos(header.tos)}{short}"


def frame(data: bytes, at: int = 0, isns: Isns | None = None) -> str:
    """A frame whose Ethernet header is at `at` (behind a virtio_net_hdr, if it has one). `isns` as for `packet`."""
    header = ethernet.parse(data, at)
    if header is None:
        return _cut("Ethernet", len(data) - at)
    if header.ethertype == ethernet.ARP:
        return _arp(data, at + ethernet.HEADER_LEN)
    if header.ethertype in (ethernet.IPV4, ethernet.IPV6):
        return packet(data, at + ethernet.HEADER_LEN, None, isns)
    kind = f"{mac(header.source)} > {mac(header.destination)}: ethertype 0x{header.ethertype.hex()}"
    return f"{kind}, length {len(data) - at}"


def _arp(data: bytes, at: int) -> str:
    message = arp.parse(data, at)
    if message is None:
        return f"ARP, not for IPv4 over Ethernet, length {len(data) - at}"
    spa, tpa = address(message.spa), address(message.tpa)
    if message.op == arp.REPLY:
        return f"ARP, {spa} is-at {mac(message.sha)}"
    if message.op != arp.REQUEST:
        return f"ARP, operation {message.op}, {spa} to {tpa}"
    if message.spa == ipv4.ANY:
        return f"ARP, probe for {tpa} from {mac(message.sha)}"  # RFC 5227 1.1
    return f"ARP, announcement of {spa}" if spa == tpa else f"ARP, who-has {tpa} tell {spa}"


def _transport(protocol: int, pair: bytes, data: bytes, at: int, end: int, isns: Isns | None) -> str:
    """Addresses, ports and the transport's own line."""
    half = len(pair) // 2
    source, destination = address(pair[:half]), address(pair[half:])
    if protocol == icmpv4.PROTOCOL and half == 4:
        return f"{source} > {destination}: {_icmp(data, at, end, isns)}"
    if protocol not in (tcp.PROTOCOL, udp.PROTOCOL) or end - at < 4:
        return f"{source} > {destination}: {protocol_name(protocol)}, length {end - at}"
    ports = f"{source}.{_int(data[at : at + 2])} > {destination}.{_int(data[at + 2 : at + 4])}"
    if protocol == tcp.PROTOCOL:
        return f"{ports}: {segment(data, at, end, *_bases(pair, data, at, end, isns))}"
    datagram = udp.parse(data, at, end)
    return f"{ports}: {_cut('UDP', end - at) if datagram is None else f'UDP, length {len(datagram.payload)}'}"


def _bases(pair: bytes, data: bytes, at: int, end: int, isns: Isns | None) -> tuple[int, int]:
    """(seq_base, ack_base) of a segment; a SYN teaches its own."""
    if isns is None or end - at < tcp.HEADER_LEN:
        return 0, 0
    half = len(pair) // 2
    flow = pair + data[at : at + 4]
    if data[at + 13] & tcp.SYN:
        if len(isns) >= MAX_FLOWS and flow not in isns:
            del isns[next(iter(isns))]
        isns[flow] = _int(data[at + 4 : at + 8])
    reverse = pair[half:] + pair[:half] + data[at + 2 : at + 4] + data[at : at + 2]
    return isns.get(flow, 0), isns.get(reverse, 0)


def _icmp(data: bytes, at: int, end: int, isns: Isns | None) -> str:
    message = icmpv4.parse(data, at, end)
    if message is None:
        return _cut("ICMP", end - at)
    kind = _ICMP_CODES.get((message.type, message.code)) or _ICMP_TYPES.get(message.type)
    text = f"ICMP {kind or f'type {message.type} code {message.code}'}"
    if message.type in (icmpv4.ECHO, icmpv4.ECHO_REPLY):
        text += f", id {message.ident}, seq {message.sequence}"
    elif message.type == icmpv4.UNREACHABLE and message.code == icmpv4.FRAGMENTATION_NEEDED:
        text += f", mtu {message.mtu}"
    elif message.type == icmpv4.PARAMETER_PROBLEM:
        text += f", octet {message.pointer}"
    quote = icmpv4.parse_quote(message)
    if quote is None:
        return f"{text}, length {end - at}"
    return f"{text}, for {_quoted(quote, isns)}"


def _quoted(quote: icmpv4.Quote, isns: Isns | None) -> str:
    """The packet that an ICMP error is about: its ends and, of TCP, the sequence number."""
    header, transport = quote
    source, destination = address(header.source), address(header.destination)
    if header.protocol not in (tcp.PROTOCOL, udp.PROTOCOL):
        return f"{source} > {destination}: {protocol_name(header.protocol)}"
    ports = f"{source}.{_int(transport[:2])} > {destination}.{_int(transport[2:4])}"
    if header.protocol == udp.PROTOCOL:
        return f"{ports}: UDP"
    base = isns.get(header.pair + transport[:4], 0) if isns is not None else 0
    return f"{ports}: TCP seq {_int(transport[4:8]) - base & MASK}"


def protocol_name(number: int) -> str:
    """TCP, UDP, ICMP ..., or "protocol N"."""
    return _PROTOCOLS.get(number, f"protocol {number}")


def _tos(tos: int) -> str:
    """What TOS or traffic class says, if anything: DSCP bits as tos, ECN bits by name."""
    dscp = f" [tos 0x{tos & ~ipv4.ECN_MASK:x}]" if tos & ~ipv4.ECN_MASK else ""
    return dscp + ("", " [ect1]", " [ect0]", " [ce]")[tos & ipv4.ECN_MASK]


def _cut(what: str, octets: int) -> str:
    return f"{what} [cut short: {max(octets, 0)} octets]"


def _int(octets: bytes) -> int:
    return int.from_bytes(octets, "big")
