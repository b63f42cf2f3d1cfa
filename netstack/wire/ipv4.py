"""The IPv4 header (RFC 791 3.1) and its options: fields <-> octets."""

from struct import Struct
from typing import NamedTuple

from netstack.units import Octets
from netstack.wire.checksum import finish, ones_sum, valid

HEADER = Struct("!BBHHHBBH8s")
"""version and IHL, TOS, total length, identification, flags and offset, TTL, protocol, checksum, both addresses."""
HEADER_LEN: Octets = HEADER.size
MAX_HEADER_LEN: Octets = 60
MAX_LEN: Octets = 65_535
MIN_MTU: Octets = 68  # RFC 791 3.2: what every link must carry whole

DF, MF, OFFSET_MASK = 0x4000, 0x2000, 0x1FFF
"""In the 16 bits of flags and fragment offset; the offset counts units of 8 octets."""
FRAGMENT_MASK = MF | OFFSET_MASK
"""Any of these bits set: the packet is a fragment."""

ECN_MASK, ECT1, ECT0, CE = 0b11, 0b01, 0b10, 0b11  # RFC 3168 5: the low two bits of TOS

ANY = bytes(4)
BROADCAST = b"\xff\xff\xff\xff"

END_OF_OPTIONS, NO_OPERATION = 0, 1
RECORD_ROUTE, LOOSE_SOURCE_ROUTE, TIMESTAMP, SECURITY, STREAM_ID, STRICT_SOURCE_ROUTE = 7, 131, 68, 130, 136, 137
ROUTER_ALERT = 148  # RFC 2113


class Header(NamedTuple):
    """The fields as on the wire, but lengths and fragment offset in octets."""

    header_len: Octets
    tos: int
    total_length: Octets
    ident: int
    df: bool
    mf: bool
    offset: Octets
    ttl: int
    protocol: int
    checksum: int
    pair: bytes
    """Source and destination address, 8 octets."""
    options: bytes

    @property
    def source(self) -> bytes:
        """4 octets."""
        return self.pair[:4]

    @property
    def destination(self) -> bytes:
        """4 octets."""
        return self.pair[4:]

    @property
    def is_fragment(self) -> bool:
        """Whether there is more to the datagram than this packet."""
        return self.mf or self.offset > 0


class Options(NamedTuple):
    """The options of one header."""

    options: tuple[tuple[int, bytes], ...]
    """(type, value) in order, without NO_OPERATION."""
    error: int | None
    """Header offset of an option of impossible length, for Parameter Problem to point at; parsing ends there."""

    @property
    def source_route(self) -> int | None:
        """LOOSE_SOURCE_ROUTE or STRICT_SOURCE_ROUTE when one of them is there."""
        return next((kind for kind, _ in self.options if kind in (LOOSE_SOURCE_ROUTE, STRICT_SOURCE_ROUTE)), None)


def parse(data: bytes, at: int = 0, end: int | None = None, *, quoted: bool = False) -> Header | None:
    """The header at `data[at:end]`; None when version or lengths are impossible.

    The payload is `data[at + header_len : at + total_length]`; what follows is padding of the link. `quoted`: the
    datagram is the beginning of one, inside an ICMP error, so its total length may go beyond `end`.
    The checksum is not looked at: see `checksum_valid`.
    """
    end = len(data) if end is None else min(end, len(data))
    if at < 0 or end - at < HEADER_LEN:
        return None
    version_ihl, tos, total_length, ident, fragment, ttl, protocol, checksum, pair = HEADER.unpack_from(data, at)
    header_len = (version_ihl & 0xF) << 2
    if version_ihl >> 4 != 4 or header_len < HEADER_LEN or at + header_len > end:
        return None
    if not quoted and not header_len <= total_length <= end - at:
        return None
    df, mf, offset = fragment & DF != 0, fragment & MF != 0, (fragment & OFFSET_MASK) << 3
    options = data[at + HEADER_LEN : at + header_len]
    return Header(header_len, tos, total_length, ident, df, mf, offset, ttl, protocol, checksum, pair, options)


def checksum_valid(data: bytes, at: int = 0) -> bool:
    """Whether the header at `data[at:]`, already found possible by `parse`, is undamaged."""
    return valid(ones_sum(data[at : at + ((data[at] & 0xF) << 2)]))


def build(
    pair: bytes,
    protocol: int,
    payload_len: Octets,
    *,
    ident: int = 0,
    ttl: int = 64,
    tos: int = 0,
    df: bool = False,
    mf: bool = False,
    offset: Octets = 0,
    options: bytes = b"",
) -> bytes:
    """A header with its checksum, for a payload of `payload_len` octets; `pair` is source + destination address.

    ValueError when a length is impossible: options beyond 40 octets or not in words of 4, an offset not in units of 8,
    more than 65,535 octets altogether.
    """
    header_len = HEADER_LEN + len(options)
    total_length = header_len + payload_len
    if len(pair) != 8 or header_len > MAX_HEADER_LEN or header_len & 3:
        raise ValueError("an IPv4 header takes two addresses of 4 octets, and up to 40 octets of options in words of 4")
    if payload_len < 0 or total_length > MAX_LEN or offset & 7 or not 0 <= offset <= OFFSET_MASK << 3:
        raise ValueError(f"an IPv4 packet of {total_length} octets at offset {offset} is impossible")
    fragment = offset >> 3 | (DF if df else 0) | (MF if mf else 0)
    fields = 0x40 | header_len >> 2, tos, total_length, ident & 0xFFFF, fragment, ttl, protocol
    checksum = finish(ones_sum(HEADER.pack(*fields, 0, pair) + options))
    return HEADER.pack(*fields, checksum, pair) + options


def parse_options(options: bytes) -> Options:
    """Walk the options of a header (`Header.options`). Unknown types are kept, and harm nobody (RFC 1122 3.2.1.8)."""
    found: list[tuple[int, bytes]] = []
    at, end = 0, len(options)
    while at < end:
        kind = options[at]
        if kind == END_OF_OPTIONS:
            break
        if kind == NO_OPERATION:
            at += 1
            continue
        length = options[at + 1] if at + 1 < end else 0
        if length < 2 or at + length > end:
            return Options(tuple(found), HEADER_LEN + at)
        found.append((kind, options[at + 2 : at + length]))
        at += length
    return Options(tuple(found), None)


def is_multicast(address: bytes) -> bool:
    """Class D (RFC 1112 4)."""
    return len(address) == 4 and address[0] >> 4 == 0xE


def is_loopback(address: bytes) -> bool:
    """127/8, which must not appear on a link (RFC 1122 3.2.1.3)."""
    return len(address) == 4 and address[0] == 127
