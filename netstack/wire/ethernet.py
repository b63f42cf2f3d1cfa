"""The Ethernet II header: fields <-> octets.

EtherTypes stay the two octets that they are on the wire, since nobody computes with them. A length field of IEEE
802.3 in their place is simply a type that nobody has registered.
"""

from struct import Struct
from typing import NamedTuple

from netstack.units import Octets

HEADER = Struct("!6s6s2s")
"""destination, source, EtherType."""
HEADER_LEN: Octets = HEADER.size

IPV4 = b"\x08\x00"
ARP = b"\x08\x06"
IPV6 = b"\x86\xdd"

BROADCAST = b"\xff\xff\xff\xff\xff\xff"
NO_ADDRESS = bytes(6)


class Header(NamedTuple):
    """Addresses of 6 octets, EtherType of 2."""

    destination: bytes
    source: bytes
    ethertype: bytes


def parse(data: bytes, at: int = 0) -> Header | None:
    """The header at `data[at:]`; None when it is cut short."""
    if at < 0 or len(data) - at < HEADER_LEN:
        return None
    return Header(*HEADER.unpack_from(data, at))


def build(destination: bytes, source: bytes, ethertype: bytes) -> bytes:
    """A header. ValueError when an address is not 6 octets or the EtherType not 2."""
    if len(destination) != 6 or len(source) != 6 or len(ethertype) != 2:
        raise ValueError("an Ethernet header is two addresses of 6 octets and an EtherType of 2")
    return destination + source + ethertype


def is_group(mac: bytes) -> bool:
    """Whether `mac` is a multicast address or the broadcast address."""
    return len(mac) == 6 and mac[0] & 1 == 1
