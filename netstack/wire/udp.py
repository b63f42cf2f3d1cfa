"""The UDP header (RFC 768): fields <-> octets."""

from struct import Struct
from typing import NamedTuple

from netstack.units import Octets
from netstack.wire.checksum import finish, ones_sum, pseudo_sum, valid

PROTOCOL = 17

HEADER = Struct("!HHHH")
"""sport, dport, length, checksum."""
HEADER_LEN: Octets = HEADER.size
MAX_LEN: Octets = 65_535
CHECKSUM_AT = 6
"""Offset of the checksum in the header."""


class Datagram(NamedTuple):
    """One datagram as on the wire."""

    sport: int
    dport: int
    length: Octets
    """Header and payload, as the header says."""
    checksum: int
    """0: the sender computed none."""
    payload: bytes


def parse(data: bytes, at: int = 0, end: int | None = None) -> Datagram | None:
    """The datagram in `data[at:end]`; None when its length is impossible. Octets beyond its length are not part of it.

    The checksum is not looked at: see `checksum_valid`.
    """
    end = len(data) if end is None else min(end, len(data))
    if at < 0 or end - at < HEADER_LEN:
        return None
    sport, dport, length, checksum = HEADER.unpack_from(data, at)
    if not HEADER_LEN <= length <= end - at:
        return None
    return Datagram(sport, dport, length, checksum, data[at + HEADER_LEN : at + length])


def build(sport: int, dport: int, payload: bytes, pair: bytes) -> bytes:
    """A datagram with its checksum; `pair` is source + destination address. ValueError beyond 65,535 octets."""
    length = HEADER_LEN + len(payload)
    if length > MAX_LEN:
        raise ValueError(f"a UDP datagram of {length} octets: at most {MAX_LEN}")
    total = pseudo_sum(pair, PROTOCOL, length) + ones_sum(HEADER.pack(sport, dport, length, 0)) + ones_sum(payload)
    return HEADER.pack(sport, dport, length, finish(total) or 0xFFFF) + payload


def checksum_valid(datagram: bytes | memoryview, pair: bytes) -> bool:
    """Whether `datagram`, cut to its length, is undamaged. One that carries no checksum (IPv4 only) passes."""
    if datagram[CHECKSUM_AT : CHECKSUM_AT + 2] == b"\0\0":
        return True
    return valid(pseudo_sum(pair, PROTOCOL, len(datagram)) + ones_sum(datagram))
