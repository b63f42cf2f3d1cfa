"""From what a capture recorded to IPv4 packets: the headers of each link type taken off."""

from collections.abc import Iterable, Iterator
from typing import NamedTuple

from netstack.link import pcap_format
from netstack.link.pcap_format import CaptureError
from netstack.link.pcap_reader import Captured
from netstack.units import Octets
from netstack.wire import ethernet, ipv4

VLAN_TAGS = (b"\x81\x00", b"\x88\xa8", b"\x91\x00")
"""802.1Q, 802.1ad and what switches used before it."""
VLAN_TAG_LEN: Octets = 4

_ETHERTYPE_AT = {
    pcap_format.ETHERNET: (12, ethernet.HEADER_LEN),
    pcap_format.LINUX_SLL: (14, 16),
    pcap_format.LINUX_SLL2: (0, 20),
}
"""Link type -> offset of the EtherType, length of the header."""
_RAW = (
    pcap_format.RAW,
    pcap_format.RAW_BSD,
    pcap_format.RAW_OPENBSD,
    pcap_format.IPV4,
    pcap_format.IPV6,
)
_BSD = (pcap_format.NULL, pcap_format.LOOP)
_AF_INET = (b"\x02\x00\x00\x00", b"\x00\x00\x00\x02")
"""NULL has it in the octet order of whoever captured, LOOP in network order; 2 on every system."""


class Ipv4Packet(NamedTuple):
    """An IPv4 packet out of a capture, without what the medium put before and behind it."""

    time_ns: int
    data: bytes
    """Shorter than `length` when the capture cut it."""
    length: Octets
    """The header's total length; where that is 0 (captured before segmentation), what was on the medium."""


def ipv4_packets(capture: Iterable[Captured]) -> Iterator[Ipv4Packet]:
    """The IPv4 packets among captured ones; everything else is passed over.

    Raises CaptureError, at the end, when there was nothing but link types that are not known here.
    """
    unknown: set[int] = set()
    known = False
    for time_ns, linktype, data, length in capture:
        at = ip_at(linktype, data)
        if at is None:
            unknown.add(linktype)
            continue
        known = True
        if at < 0 or len(data) - at < ipv4.HEADER_LEN or data[at] >> 4 != 4 or data[at] & 15 < 5:
            continue
        total = int.from_bytes(data[at + 2 : at + 4], "big") or max(length - at, 0)
        yield Ipv4Packet(time_ns, data[at : at + total], total)
    if unknown and not known:
        numbers = ", ".join(map(str, sorted(unknown)))
        raise CaptureError(f"no packet of a link type that can be read, only of type {numbers}")


def ip_at(linktype: int, data: bytes) -> int | None:
    """Where the IPv4 header begins in a captured packet; -1: it has none. None: the link type is not known."""
    if linktype in _RAW:
        return 0
    if linktype in _BSD:
        return 4 if data[:4] in _AF_INET else -1
    if linktype not in _ETHERTYPE_AT:
        return None
    type_at, at = _ETHERTYPE_AT[linktype]
    ethertype = data[type_at : type_at + 2]
    while ethertype in VLAN_TAGS:
        ethertype = data[at + 2 : at + VLAN_TAG_LEN]
        at += VLAN_TAG_LEN
    return at if ethertype == ethernet.IPV4 else -1
