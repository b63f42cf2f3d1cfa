"""The TCP header (RFC 9293 3.1): fields <-> octets. Its options are in `tcp_options`.

The per-segment path unpacks `HEADER` (or `TIMESTAMP_HEADER`) itself; `parse` gives tests, replay and views a record.
"""

from struct import Struct
from typing import NamedTuple

from netstack.seq import MASK
from netstack.units import Octets
from netstack.wire.checksum import finish, ones_sum, pseudo_sum, valid

PROTOCOL = 6

FIN, SYN, RST, PSH, ACK, URG = 0x01, 0x02, 0x04, 0x08, 0x10, 0x20
ECE, CWR = 0x40, 0x80  # RFC 3168 6.1
AE = 0x100  # RFC 9768 3.1
FLAGS_MASK = 0xFFF
"""The flags and the three reserved bits: what lies below the data offset in its 16-bit word."""

HEADER = Struct("!HHIIHHHH")
"""sport, dport, seq, ack, data offset (4 bits) and flags (12), window, checksum, urgent pointer."""
TIMESTAMP_HEADER = Struct("!HHIIHHHHIII")
"""`HEADER` and, data offset 8, the options of nearly every segment: `tcp_options.ALIGNED_TIMESTAMP`, TSval, TSecr."""

HEADER_LEN: Octets = HEADER.size
MAX_HEADER_LEN: Octets = 60
CHECKSUM_AT = 16
"""Offset of the checksum in the header."""


class Segment(NamedTuple):
    """One segment as on the wire: 32-bit numbers, unscaled window, options still as octets."""

    sport: int
    dport: int
    seq: int
    ack: int
    flags: int
    window: int
    checksum: int
    urgent: int
    options: bytes
    payload: bytes

    @property
    def length(self) -> Octets:
        """SEG.LEN: the payload, and one each for SYN and FIN."""
        return len(self.payload) + (self.flags & SYN != 0) + (self.flags & FIN != 0)


def parse(data: bytes, at: int = 0, end: int | None = None) -> Segment | None:
    """The segment in `data[at:end]`; None when it is too short or its data offset is impossible.

    The checksum is not looked at: see `checksum_valid`.
    """
    end = len(data) if end is None else min(end, len(data))
    if at < 0 or end - at < HEADER_LEN:
        return None
    sport, dport, seq, ack, offset_flags, window, checksum, urgent = HEADER.unpack_from(data, at)
    header_len = offset_flags >> 12 << 2
    if header_len < HEADER_LEN or at + header_len > end:
        return None
    options = data[at + HEADER_LEN : at + header_len]
    payload = data[at + header_len : end]
    return Segment(sport, dport, seq, ack, offset_flags & FLAGS_MASK, window, checksum, urgent, options, payload)


def build(
    sport: int,
    dport: int,
    seq: int,
    ack: int,
    flags: int,
    window: int,
    options: bytes = b"",
    *,
    checksum: int = 0,
    urgent: int = 0,
) -> bytes:
    """A header with `options`, without payload; the checksum field is what the caller says (see `with_checksum`).

    `seq` and `ack` may be unwrapped: they are masked to 32 bits. `window` is the field, already scaled down.
    ValueError when `options` is not a multiple of 4 octets or longer than 40.
    """
    if len(options) > MAX_HEADER_LEN - HEADER_LEN or len(options) & 3:
        raise ValueError(f"TCP options of {len(options)} octets: must be a multiple of 4, at most 40")
    offset_flags = (HEADER_LEN + len(options)) << 10 | (flags & FLAGS_MASK)
    return HEADER.pack(sport, dport, seq & MASK, ack & MASK, offset_flags, window, checksum, urgent) + options


def with_checksum(segment: bytes, pair: bytes) -> bytes:
    """`segment` (header and payload) with its checksum computed; `pair` is source + destination address."""
    bare = segment[:CHECKSUM_AT] + b"\0\0" + segment[CHECKSUM_AT + 2 :]
    field = finish(pseudo_sum(pair, PROTOCOL, len(segment)) + ones_sum(bare))
    return segment[:CHECKSUM_AT] + field.to_bytes(2, "big") + segment[CHECKSUM_AT + 2 :]


def checksum_valid(segment: bytes | memoryview, pair: bytes) -> bool:
    """Whether the checksum of `segment` (header and payload) is right for these addresses."""
    return valid(pseudo_sum(pair, PROTOCOL, len(segment)) + ones_sum(segment))
