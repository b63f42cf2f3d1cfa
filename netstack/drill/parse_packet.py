"""Packets: outer headers, `[ip fields]`, and a TCP segment, a UDP datagram or an ICMP message."""

from netstack.drill import icmp_names
from netstack.drill.nodes import (
    IcmpMessage,
    IpFields,
    OtherProtocol,
    OuterHeader,
    Packet,
    Quoted,
    ScriptError,
    SeqKind,
    TcpSegment,
    UdpDatagram,
)
from netstack.drill.parse_options import parse_options
from netstack.drill.scan import Scanner

_ADDRESS = r"[0-9a-fA-F:.]+(?:%\w+)?(?=\s|>|:\s)"
_ECN = {"noecn", "ect0", "ect1", "ect01", "ce"}
_SKIP = r"(?:\s|/\*.*?\*/|//[^\n]*\n)*"
_SEQ = _SKIP.join((r"(\d+)", ":", r"(\d+)", r"\(", r"(\d+)", r"\)", "(!)?"))
LARGEST = 65_535
"""Octets of one packet."""
WILD = 1 << 30
"""Outbound segments may be joined, so a length beyond one packet can be meant; beyond the largest window it cannot."""


def parse_packet(scanner: Scanner) -> Packet:
    """The packet at the cursor, which is on `<` or `>`."""
    inbound = scanner.need("[<>]", "< or >") == "<"
    headers: list[OuterHeader] = []
    ip = IpFields()
    while True:
        if header := _outer_header(scanner):
            headers.append(header)
        elif scanner.peek(r"[\[(]"):
            ip = _ip_fields(scanner, ip)
        else:
            break
    return Packet(inbound, _body(scanner), ip, tuple(headers))


def _outer_header(scanner: Scanner) -> OuterHeader | None:
    if kind := scanner.take(r"ipv[46]\b"):
        source = scanner.need(_ADDRESS, "a source address")
        scanner.need(">", "> and a destination address")
        destination = scanner.need(r"[0-9a-fA-F:.]*[0-9a-fA-F.](?=\s*:\s)", "a destination address and a colon")
        scanner.need(":", "a colon after the outer header")
        return OuterHeader(kind, f"{source} > {destination}", source, destination)
    if kind := scanner.take(r"(?:gre|mpls)\b"):
        text = scanner.need(r"[^:\n]*", f"the fields of {kind}")
        scanner.need(":", "a colon after the outer header")
        return OuterHeader(kind, text.strip())
    return None


def _ip_fields(scanner: Scanner, before: IpFields) -> IpFields:
    """The fields in one pair of brackets, and those of the pairs `before`."""
    closing = r"\]" if scanner.need(r"[\[(]", "[") == "[" else r"\)"
    ecn = before.ecn
    named = {"tos": before.tos, "ttl": before.ttl, "flowlabel": before.flowlabel}
    numbers = {name: value for name, value in named.items() if value is not None}
    while not scanner.take(closing):
        word = scanner.need(r"[A-Za-z]\w*", "an IP field (ect0, ect1, ect01, ce, noecn, tos, ttl, flowlabel)").lower()
        if word in _ECN:
            ecn = word
        elif word in ("tos", "ttl", "flowlabel"):
            scanner.take("=")
            numbers[word] = scanner.number(word, 0xF_FFFF if word == "flowlabel" else 255)
        else:
            raise scanner.error(f'unknown IP field "{word}"')
        scanner.take(",")
    return IpFields(ecn, numbers.get("tos"), numbers.get("ttl"), numbers.get("flowlabel"))


def _body(scanner: Scanner) -> TcpSegment | UdpDatagram | IcmpMessage | OtherProtocol:
    if scanner.take(r"udp\b"):
        ports = _ports(scanner)
        return UdpDatagram(_length(scanner), ports)
    if scanner.take(r"icmp(?:v[46])?\b"):
        return _icmp(scanner)
    if scanner.take(r"sctp\b[^\n]*"):
        return OtherProtocol("sctp")
    return _tcp(scanner)


def _length(scanner: Scanner) -> int:
    scanner.need(r"\(", "( and a length")
    length = scanner.number("a length", LARGEST)
    scanner.need(r"\)", ") after the length")
    return length


def _ports(scanner: Scanner) -> tuple[int, int] | None:
    if scanner.peek(r"\d+\s*>") is None:
        return None
    source = scanner.number("a port", 65_535)
    scanner.need(">", ">")
    return source, scanner.number("a port", 65_535)


def _tcp(scanner: Scanner) -> TcpSegment:
    ports = _ports(scanner)
    flags, ace = _flags(scanner)
    seq, length, kind = _sequence(scanner)
    ack: int | None = None
    ack_raw = False
    if scanner.take(r"ack\b") and not scanner.take(r"\.\.\."):
        ack = scanner.number("an acknowledgment number")
        ack_raw = scanner.take("!") is not None
    window: int | None = None
    if scanner.take(r"win\b") and not scanner.take(r"\.\.\.|\*"):
        window = scanner.number("a window", 65_535)
    urgent = scanner.number("an urgent pointer", 65_535) if scanner.take(r"urg\b") else 0
    options = parse_options(scanner) if scanner.peek("<") else ()
    encapsulation = None
    if scanner.take(r"/\s*udp\s*\("):
        encapsulation = _ports(scanner)
        if encapsulation is None:
            raise scanner.error("expected the ports of the UDP header")
        scanner.need(r"\)", ") after the ports")
    return TcpSegment(flags, seq, length, ace, kind, ack, ack_raw, window, urgent, options, ports, encapsulation)


def _flags(scanner: Scanner) -> tuple[frozenset[str], int | None]:
    line = scanner.line()
    word = scanner.need(r"(?:-|[FSRPUEWA.0-7]+)(?=\s)", "TCP flags (letters of FSRPUEWA and ., or -)")
    digits = [character for character in word if character.isdigit()]
    if len(digits) > 1 or (digits and set(word) & set("EWA")):
        raise ScriptError(line, f'"{word}" gives the ACE field twice')
    return frozenset(word) - {"-"} - set(digits), int(digits[0]) if digits else None


def _sequence(scanner: Scanner) -> tuple[int, int, SeqKind]:
    if scanner.take(r"\.\.\."):
        return 0, _length(scanner), SeqKind.ANY
    line = scanner.line()
    found = scanner.groups(_SEQ)
    if found is None:
        raise scanner.error("expected sequence numbers, start:end(length)")
    start, end, length = (int(found[0] or ""), int(found[1] or ""), int(found[2] or ""))
    if max(start, end) > 0xFFFF_FFFF:
        raise ScriptError(line, f"a sequence number has 32 bits, {max(start, end)} has more")
    if (start + length) & 0xFFFF_FFFF != end:
        raise ScriptError(line, f"the segment's numbers: {start} + {length} is not {end}")
    if length > WILD:
        raise ScriptError(line, f"a length of {length} is larger than any window")
    return start, length, SeqKind.RAW if found[3] else SeqKind.RELATIVE


def _icmp(scanner: Scanner) -> IcmpMessage:
    line = scanner.line()
    kind = scanner.need(r"\w+", "the type of the ICMP message")
    code = "0"
    if scanner.peek(r"(?:mtu|id|seq)\b") is None:
        code = scanner.take(r"(?:[a-z_]+\b|\d+(?![\d.+~]))(?!\s*[~:.(])") or "0"
    for name in (kind, code):
        if not name.isdecimal() and name not in icmp_names.KNOWN:
            raise ScriptError(line, f'unknown ICMP type or code "{name}"')
    mtu = scanner.number("an MTU", LARGEST) if scanner.take(r"mtu\b") else None
    ident = scanner.number("an identifier", 65_535) if scanner.take(r"id\b") else None
    return IcmpMessage(kind, code, mtu, ident, _quoted(scanner))


def _quoted(scanner: Scanner) -> Quoted | None:
    if not scanner.take(r"\["):
        return None
    if kind := scanner.take(r"(?:udp|raw)\b"):
        quoted = Quoted(kind, _length(scanner))
    else:
        scanner.take(r"tcp\b")
        seq, length, _ = _sequence(scanner)
        quoted = Quoted("tcp", length, seq)
    scanner.need(r"\]", "] after what the ICMP message quotes")
    return quoted
