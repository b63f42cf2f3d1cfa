"""IP packets to fields and back. Apart from `netstack.wire` on purpose, so that neither hides the other's faults."""

from dataclasses import dataclass
from struct import Struct

IPV4 = Struct("!BBHHHBBH4s4s")
IPV6 = Struct("!IHBB16s16s")
TCP = Struct("!HHIIHHHH")
UDP = Struct("!HHHH")
ICMP, IPPROTO_TCP, IPPROTO_UDP, ICMPV6 = 1, 6, 17, 58

FLAG_BITS = {"F": 0x001, "S": 0x002, "R": 0x004, "P": 0x008, ".": 0x010, "U": 0x020, "E": 0x040, "W": 0x080, "A": 0x100}
"""RFC 9293 3.1, with E = ECE, W = CWR (RFC 3168) and A = AE (RFC 9768)."""


def ones_sum(data: bytes) -> int:
    """The ones'-complement sum of 16-bit words, an odd tail padded with zero (RFC 1071)."""
    if len(data) & 1:
        data += b"\0"
    total: int = sum(Struct(f"!{len(data) // 2}H").unpack(data))
    while total >> 16:
        total = (total & 0xFFFF) + (total >> 16)
    return total


def pseudo_header(source: bytes, destination: bytes, protocol: int, length: int) -> bytes:
    """What the transport's checksum covers besides itself (RFC 9293 3.1, RFC 8200 8.1)."""
    if len(source) == 4:
        return source + destination + bytes((0, protocol)) + length.to_bytes(2, "big")
    return source + destination + length.to_bytes(4, "big") + bytes((0, 0, 0, protocol))


@dataclass(slots=True)
class Datagram:
    """One IP packet, taken apart. `faults` names what is wrong with it whatever a script expects."""

    version: int
    source: bytes
    destination: bytes
    protocol: int
    tos: int
    ttl: int
    flowlabel: int
    payload: bytes
    faults: list[str]

    @property
    def ports(self) -> tuple[int, int]:
        """Source and destination port of a TCP or UDP packet, (0, 0) otherwise."""
        if self.protocol not in (IPPROTO_TCP, IPPROTO_UDP) or len(self.payload) < 4:
            return 0, 0
        return int.from_bytes(self.payload[:2], "big"), int.from_bytes(self.payload[2:4], "big")


def parse_ip(packet: bytes) -> Datagram | None:
    """The packet's fields; None for what is no IP packet at all."""
    if len(packet) >= 20 and packet[0] >> 4 == 4:
        return _parse_ipv4(packet)
    if len(packet) >= 40 and packet[0] >> 4 == 6:
        first, length, protocol, ttl, source, destination = IPV6.unpack_from(packet)
        faults = [] if length == len(packet) - 40 else [f"IPv6 payload length {length}, there are {len(packet) - 40}"]
        tos, label = first >> 20 & 0xFF, first & 0xF_FFFF
        return Datagram(6, source, destination, protocol, tos, ttl, label, packet[40:], faults)
    return None


def _parse_ipv4(packet: bytes) -> Datagram:
    first, tos, length, _, fragment, ttl, protocol, _, source, destination = IPV4.unpack_from(packet)
    faults = []
    header = (first & 15) * 4
    if header != 20:
        faults.append(f"IPv4 header of {header} octets")
    if length != len(packet):
        faults.append(f"IPv4 total length {length}, there are {len(packet)} octets")
    if ones_sum(packet[:header]) != 0xFFFF:
        faults.append("IPv4 header checksum is wrong")
    if fragment & 0x3FFF:
        faults.append("a fragment")
    return Datagram(4, source, destination, protocol, tos, ttl, 0, packet[max(header, 20) :], faults)


def build_ip(
    source: bytes, destination: bytes, protocol: int, payload: bytes, *, tos: int = 0, ttl: int = 64, flowlabel: int = 0
) -> bytes:
    """A whole IP packet of the version of its addresses. DF is not set; the identification is 0."""
    if len(source) == 16:
        first = 6 << 28 | tos << 20 | flowlabel
        return IPV6.pack(first, len(payload), protocol, ttl, source, destination) + payload
    head = IPV4.pack(0x45, tos, 20 + len(payload), 0, 0, ttl, protocol, 0, source, destination)
    return head[:10] + (ones_sum(head) ^ 0xFFFF).to_bytes(2, "big") + head[12:] + payload


def with_checksum(source: bytes, destination: bytes, protocol: int, transport: bytes, at: int) -> bytes:
    """`transport` with the checksum at offset `at` filled in (the field there is zero)."""
    pseudo = b"" if protocol == ICMP else pseudo_header(source, destination, protocol, len(transport))
    value = ones_sum(pseudo + transport) ^ 0xFFFF
    if protocol == IPPROTO_UDP and value == 0:
        value = 0xFFFF
    return transport[:at] + value.to_bytes(2, "big") + transport[at + 2 :]


def checksum_holds(datagram: Datagram) -> bool:
    """The transport's checksum is right."""
    pseudo = pseudo_header(datagram.source, datagram.destination, datagram.protocol, len(datagram.payload))
    return ones_sum(pseudo + datagram.payload) == 0xFFFF
