"""ARP packets for IPv4 over Ethernet (RFC 826): fields <-> octets, under RFC 826's own field names."""

from struct import Struct
from typing import NamedTuple

from netstack.units import Octets

PACKET = Struct("!HHBBH6s4s6s4s")
"""hrd, pro, hln, pln, op, sha, spa, tha, tpa."""
PACKET_LEN: Octets = PACKET.size

REQUEST, REPLY = 1, 2
ETHERNET, IEEE_802 = 1, 6

_IPV4 = 0x0800


class Packet(NamedTuple):
    """Sender and target, hardware (6 octets) and protocol address (4 octets)."""

    op: int
    """Any value: only REQUEST and REPLY mean something to us."""
    sha: bytes
    spa: bytes
    tha: bytes
    tpa: bytes


def parse(data: bytes, at: int = 0) -> Packet | None:
    """The packet at `data[at:]`; None when it is cut short or about other kinds of addresses.

    Both hardware types that stand for MAC addresses are taken, as Linux does (RFC 5494 2). Octets behind the packet are
    Ethernet's padding.
    """
    if at < 0 or len(data) - at < PACKET_LEN:
        return None
    hrd, pro, hln, pln, op, sha, spa, tha, tpa = PACKET.unpack_from(data, at)
    if hrd not in (ETHERNET, IEEE_802) or pro != _IPV4 or hln != 6 or pln != 4:
        return None
    return Packet(op, sha, spa, tha, tpa)


def build(op: int, sha: bytes, spa: bytes, tha: bytes, tpa: bytes) -> bytes:
    """A packet of 28 octets. ValueError when an address has the wrong size."""
    if len(sha) != 6 or len(tha) != 6 or len(spa) != 4 or len(tpa) != 4:
        raise ValueError("ARP takes hardware addresses of 6 octets and protocol addresses of 4")
    return PACKET.pack(ETHERNET, _IPV4, 6, 4, op, sha, spa, tha, tpa)
