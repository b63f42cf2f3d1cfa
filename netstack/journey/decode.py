"""A frame octet by octet: every header field with its place, its value and the paragraph that defines it."""

from dataclasses import dataclass
from struct import unpack_from

from netstack.link.device import GSO_NONE, NEEDS_CSUM, VNET, VNET_LEN
from netstack.units import Octets
from netstack.wire import arp, ethernet, icmpv4, ipv4, pretty, tcp, tcp_options

LINK, ARP, IP, TCP, TEXT = "Ethernet", "ARP", "IPv4", "TCP", "data"
VIRTIO = "virtio_net_hdr"


@dataclass(frozen=True, slots=True)
class Field:
    """`size` octets from `at` on are the field `name` of `layer`; `value` is what they say, `source` defines them."""

    layer: str
    name: str
    at: Octets
    size: Octets
    value: str
    source: str


def decode(frame: bytes) -> list[Field]:
    """Every octet of `frame` (with its virtio_net_hdr) in order, once. Never raises: what makes no sense is "data"."""
    fields = [*_virtio(frame), *_ethernet(frame)]
    ends = fields[-1].at + fields[-1].size if fields else 0
    if ends < len(frame):
        fields.append(Field(TEXT, "payload", ends, len(frame) - ends, text(frame[ends:]), ""))
    return fields


def text(data: bytes) -> str:
    """Octets for people: ASCII with visible line ends, the rest as dots."""
    shown = data.decode("latin-1").replace("\r\n", "⏎\n")
    return "".join(c if " " <= c <= "~" or c in "⏎\n" else "·" for c in shown)


def _virtio(frame: bytes) -> list[Field]:
    if len(frame) < VNET_LEN:
        return []
    flags, gso, length, size, start, offset = VNET.unpack_from(frame)
    source = "virtio 1.2, 5.1.6"
    partial = "checksum is left to the device" if flags & NEEDS_CSUM else "frame is complete"
    return [
        Field(VIRTIO, "flags", 0, 1, f"{flags}: {partial}", source),
        Field(VIRTIO, "gso_type", 1, 1, f"{gso}: {'one frame' if gso == GSO_NONE else 'a super-segment'}", source),
        Field(VIRTIO, "hdr_len", 2, 2, str(length), source),
        Field(VIRTIO, "gso_size", 4, 2, str(size), source),
        Field(VIRTIO, "csum_start", 6, 2, str(start), source),
        Field(VIRTIO, "csum_offset", 8, 2, str(offset), source),
    ]


def _ethernet(frame: bytes) -> list[Field]:
    header = ethernet.parse(frame, VNET_LEN)
    if header is None:
        return []
    at = VNET_LEN
    source = "IEEE 802.3, 3.2"
    kind = {ethernet.IPV4: "IPv4", ethernet.ARP: "ARP", ethernet.IPV6: "IPv6"}.get(header.ethertype, "unknown")
    fields = [
        Field(LINK, "destination", at, 6, pretty.mac(header.destination), source),
        Field(LINK, "source", at + 6, 6, pretty.mac(header.source), source),
        Field(LINK, "EtherType", at + 12, 2, f"0x{header.ethertype.hex()} {kind}", "RFC 894"),
    ]
    at += ethernet.HEADER_LEN
    if header.ethertype == ethernet.ARP:
        return fields + _arp(frame, at)
    if header.ethertype == ethernet.IPV4:
        return fields + _ipv4(frame, at)
    return fields


def _arp(frame: bytes, at: int) -> list[Field]:
    message = arp.parse(frame, at)
    if message is None:
        return []
    source = "RFC 826"
    operation = {arp.REQUEST: "request", arp.REPLY: "reply"}.get(message.op, "unknown")
    return [
        Field(ARP, "hardware", at, 2, f"{int.from_bytes(frame[at : at + 2], 'big')} Ethernet", source),
        Field(ARP, "protocol", at + 2, 2, "0x0800 IPv4", source),
        Field(ARP, "hardware length", at + 4, 1, "6", source),
        Field(ARP, "protocol length", at + 5, 1, "4", source),
        Field(ARP, "operation", at + 6, 2, f"{message.op} {operation}", source),
        Field(ARP, "sender hardware", at + 8, 6, pretty.mac(message.sha), source),
        Field(ARP, "sender protocol", at + 14, 4, pretty.address(message.spa), source),
        Field(ARP, "target hardware", at + 18, 6, pretty.mac(message.tha), source),
        Field(ARP, "target protocol", at + 24, 4, pretty.address(message.tpa), source),
    ]


def _ipv4(frame: bytes, at: int) -> list[Field]:
    header = ipv4.parse(frame, at, len(frame), quoted=True)
    if header is None or header.total_length < header.header_len:
        return []
    source = "RFC 791 3.1"
    protocols = {tcp.PROTOCOL: "TCP", icmpv4.PROTOCOL: "ICMP"}
    (word,) = unpack_from("!H", frame, at + 6)
    bits = " ".join(name for name, bit in (("DF", 0x4000), ("MF", 0x2000)) if word & bit) or "none"
    checksum = int.from_bytes(frame[at + 10 : at + 12], "big")
    end = min(len(frame), at + header.total_length)
    fields = [
        Field(IP, "version, IHL", at, 1, f"{frame[at] >> 4}, {frame[at] & 15} words of 4 octets", source),
        Field(IP, "DSCP, ECN", at + 1, 1, f"{header.tos >> 2}, {header.tos & 3}", "RFC 2474, RFC 3168"),
        Field(IP, "total length", at + 2, 2, f"{header.total_length} octets", source),
        Field(IP, "identification", at + 4, 2, f"{header.ident}", source),
        Field(IP, "flags, fragment offset", at + 6, 2, f"{bits}, {(word & 0x1FFF) * 8}", source),
        Field(IP, "time to live", at + 8, 1, f"{header.ttl} hops", source),
        Field(IP, "protocol", at + 9, 1, f"{header.protocol} {protocols.get(header.protocol, '')}".strip(), source),
        Field(IP, "header checksum", at + 10, 2, f"0x{checksum:04x}", source),
        Field(IP, "source", at + 12, 4, pretty.address(header.source), source),
        Field(IP, "destination", at + 16, 4, pretty.address(header.destination), source),
    ]
    if header.header_len > 20:
        fields.append(Field(IP, "options", at + 20, header.header_len - 20, "", source))
    if header.protocol == tcp.PROTOCOL and not header.is_fragment:
        fields += _tcp(frame, at + header.header_len, end)
    return fields


def _tcp(frame: bytes, at: int, end: int) -> list[Field]:
    if end - at < tcp.HEADER_LEN:
        return []
    sport, dport, seq, ack, word, window, checksum, urgent = tcp.HEADER.unpack_from(frame, at)
    text_at = at + (word >> 12 << 2)
    if not at + tcp.HEADER_LEN <= text_at <= end:
        return []
    source = "RFC 9293 3.1"
    partial = " (sum of the pseudo-header: the device completes it)" if frame[0] & NEEDS_CSUM else ""
    names = [name for bit, name in _FLAGS if word & bit]
    fields = [
        Field(TCP, "source port", at, 2, str(sport), source),
        Field(TCP, "destination port", at + 2, 2, str(dport), source),
        Field(TCP, "sequence number", at + 4, 4, str(seq), source),
        Field(TCP, "acknowledgment number", at + 8, 4, str(ack), source),
        Field(TCP, "data offset, flags", at + 12, 2, f"{word >> 12} words of 4 octets, {' '.join(names)}", source),
        Field(TCP, "window", at + 14, 2, f"{window} (before scaling)" if not word & tcp.SYN else str(window), source),
        Field(TCP, "checksum", at + 16, 2, f"0x{checksum:04x}{partial}", source),
        Field(TCP, "urgent pointer", at + 18, 2, str(urgent), source),
    ]
    fields += _options(frame, at + tcp.HEADER_LEN, text_at)
    if text_at < end:
        fields.append(Field(TEXT, "segment text", text_at, end - text_at, text(frame[text_at:end]), "RFC 9112 2"))
    return fields


_FLAGS = (
    (tcp.CWR, "CWR"), (tcp.ECE, "ECE"), (tcp.URG, "URG"), (tcp.ACK, "ACK"),
    (tcp.PSH, "PSH"), (tcp.RST, "RST"), (tcp.SYN, "SYN"), (tcp.FIN, "FIN"),
)  # fmt: skip
_OPTIONS = {
    tcp_options.MSS: ("maximum segment size", "RFC 9293 3.7.1"),
    tcp_options.WSCALE: ("window scale", "RFC 7323 2.2"),
    tcp_options.SACK_PERMITTED: ("SACK permitted", "RFC 2018 2"),
    tcp_options.SACK: ("SACK", "RFC 2018 3"),
    tcp_options.TIMESTAMP: ("timestamps", "RFC 7323 3.2"),
}


def _options(frame: bytes, at: int, end: int) -> list[Field]:
    fields = []
    for kind, value in tcp_options.walk(frame, at, end):
        size = 1 if kind == tcp_options.NOP else 2 + len(value)
        name, source = _OPTIONS.get(kind, ("no operation" if kind == tcp_options.NOP else "option", "RFC 9293 3.2"))
        fields.append(Field(TCP, name, at, size, pretty.options(frame, at, at + size), source))
        at += size
    if at < end:
        fields.append(Field(TCP, "end of options", at, end - at, pretty.options(frame, at, end), "RFC 9293 3.2"))
    return fields
