"""What the journey wants to know of a frame: whether it is about the request, its segment, its line of text."""

from netstack.drill.nodes import TcpSegment
from netstack.link.device import VNET_LEN
from netstack.units import Octets
from netstack.wire import ethernet, ipv4, pretty, tcp


def summary(frame: bytes, isns: pretty.Isns) -> str:
    """A frame as people write it, without the addresses that are the same every time."""
    line = pretty.frame(frame, VNET_LEN, isns)
    return line.split(": ", 1)[1] if line.startswith("IP ") and ": " in line else line


def segment_of(frame: bytes) -> tuple[ipv4.Header, int] | None:
    """The IPv4 header of a frame with a TCP segment, and where the segment begins."""
    at = VNET_LEN + ethernet.HEADER_LEN
    if frame[at - 2 : at] != ethernet.IPV4:
        return None
    header = ipv4.parse(frame, at, len(frame), quoted=True)
    if header is None or header.protocol != tcp.PROTOCOL or header.is_fragment:
        return None
    at += header.header_len
    return (header, at) if len(frame) - at >= tcp.HEADER_LEN else None


def concerns_us(frame: bytes) -> bool:
    """ARP and IPv4 to one host: what else the kernel says on a TAP (IPv6, multicast) is not about this request."""
    at = VNET_LEN + ethernet.HEADER_LEN
    kind = frame[at - 2 : at]
    return kind == ethernet.ARP or (kind == ethernet.IPV4 and not frame[VNET_LEN] & 1)


def relative(frame: bytes, header: ipv4.Header, at: int, isns: pretty.Isns) -> TcpSegment:
    """A segment with numbers relative to the handshake, as the inference about the kernel's state wants it."""
    _, _, seq, ack, word, window, _, _ = tcp.HEADER.unpack_from(frame, at)
    end = min(len(frame), VNET_LEN + ethernet.HEADER_LEN + header.total_length)
    flow = header.pair + frame[at : at + 4]
    reverse = header.pair[4:] + header.pair[:4] + frame[at + 2 : at + 4] + frame[at : at + 2]
    return TcpSegment(
        flags=frozenset(pretty.flags(word & 0x1FF)) - {"-"},
        seq=seq - isns.get(flow, 0) & 0xFFFF_FFFF,
        length=end - at - (word >> 12 << 2),
        ack=ack - isns.get(reverse, 0) & 0xFFFF_FFFF if word & tcp.ACK else None,
        window=window,
    )


def what_is(flags: int, length: Octets) -> str:
    """What a segment is, in a word."""
    if flags & tcp.RST:
        return "RST"
    if flags & tcp.SYN:
        return "SYN-ACK" if flags & tcp.ACK else "SYN"
    if flags & tcp.FIN:
        return "FIN"
    return "data" if length else "ACK"
