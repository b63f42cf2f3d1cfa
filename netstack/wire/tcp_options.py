"""TCP options (RFC 9293 3.2): octets <-> values, and the layouts that Linux writes.

Parsing never fails. As Linux does, a length below 2 or beyond the header ends it and keeps what came before; an
option of a known kind with a wrong size is skipped; of two of a kind the later one counts. Which options mean
anything (MSS only on a SYN ...) is for the connection to know.
"""

from collections.abc import Iterable, Iterator
from struct import Struct
from typing import NamedTuple

from netstack.seq import MASK
from netstack.units import Octets

EOL, NOP, MSS, WSCALE, SACK_PERMITTED, SACK, TIMESTAMP = 0, 1, 2, 3, 4, 5, 8
MD5 = 19  # RFC 2385
FASTOPEN = 34  # RFC 7413
ACCECN0, ACCECN1 = 172, 174  # RFC 9768 3.2.3
ACCECN_LEN: Octets = 12
"""Octets that all three counters of an AccECN option take, with a NOP behind them."""
EXPERIMENT = 254  # RFC 4727; which one, says a 16-bit identifier (RFC 6994)
FASTOPEN_MAGIC = b"\xf9\x89"

MAX_LEN: Octets = 40
ROOMY: Octets = 20 + 20 + MAX_LEN
"""A path MTU from which on a packet may have all the options there is room for; RFC 791 asks for 68 only."""
MAX_WSCALE = 14  # RFC 7323 2.3: a larger shift is taken as 14
ALIGNED_TIMESTAMP = 0x0101_080A
"""`<nop,nop,TS>` as the 32-bit word in front of TSval and TSecr (RFC 7323 appendix A)."""
ALIGNED = Struct("!III")
"""`ALIGNED_TIMESTAMP`, TSval, TSecr: unpack at the first option octet when the data offset is 8 or more."""
TIMESTAMP_LEN: Octets = 12
"""Octets that `<nop,nop,TS>` takes from every segment."""

_PAIR = Struct("!II")

Timestamps = tuple[int, int]
"""TSval and TSecr."""
Counters = tuple[int, int, int]
"""What an AccECN option says: octets that came with ECT(1), with CE, with ECT(0) (RFC 9768 3.2.3.1)."""
Block = tuple[int, int]
"""A SACK block: left and right edge (RFC 2018 3)."""


class AccEcn(NamedTuple):
    """The 24-bit octet counters of an AccECN option; those it left out are None. `kind` is ACCECN0 or ACCECN1."""

    kind: int
    e0b: int | None
    ceb: int | None
    e1b: int | None


class Options:
    """What the options of one segment say; None, False or empty where they say nothing."""

    __slots__ = (
        "accecn",
        "fastopen",
        "fastopen_exp",
        "md5",
        "mss",
        "sack",
        "sack_permitted",
        "ts_ecr",
        "ts_val",
        "unknown",
        "wscale",
    )

    def __init__(self) -> None:
        self.mss: int | None = None
        """Octets, never 0."""
        self.wscale: int | None = None
        """At most 14."""
        self.sack_permitted = False
        self.ts_val: int | None = None
        self.ts_ecr: int | None = None
        """Set together with `ts_val`."""
        self.sack: tuple[Block, ...] = ()
        """32-bit edges in the order sent; not checked for sense."""
        self.fastopen: bytes | None = None
        """The cookie; empty: a request for one (RFC 7413 4.1.1)."""
        self.fastopen_exp: bytes | None = None
        """The same in the experimental option that came before RFC 7413's own kind."""
        self.md5: bytes | None = None
        """The 16-octet digest (RFC 2385)."""
        self.accecn: AccEcn | None = None
        self.unknown: tuple[tuple[int, bytes], ...] = ()
        """(kind, value) of all other kinds, in order."""

    def __repr__(self) -> str:
        values = ((name, getattr(self, name)) for name in self.__slots__)
        said = [f"{name}={value!r}" for name, value in values if value not in (None, ()) and value is not False]
        return f"Options({', '.join(said)})"


def walk(data: bytes, at: int = 0, end: int | None = None) -> Iterator[tuple[int, bytes]]:
    """(kind, value) of each option in `data[at:end]`, NOPs included, up to the first EOL or impossible length."""
    end = len(data) if end is None else min(end, len(data))
    at = max(at, 0)
    while at < end:
        kind = data[at]
        if kind == NOP:
            yield NOP, b""
            at += 1
            continue
        if kind == EOL or at + 2 > end:
            return
        length = data[at + 1]
        if length < 2 or at + length > end:
            return
        yield kind, data[at + 2 : at + length]
        at += length


def parse(data: bytes, at: int = 0, end: int | None = None) -> Options:
    """The options in `data[at:end]`. Never fails: see the rules at the top."""
    options = Options()
    for kind, value in walk(data, at, end):
        size = len(value)
        if kind == TIMESTAMP:
            if size == 8:
                options.ts_val, options.ts_ecr = _PAIR.unpack(value)
        elif kind == SACK:
            if size and not size & 7:
                options.sack = tuple(_PAIR.iter_unpack(value))
        elif kind == MSS:
            if size == 2 and value != b"\0\0":  # an MSS of 0 says nothing
                options.mss = value[0] << 8 | value[1]
        elif kind == WSCALE:
            if size == 1:
                options.wscale = min(value[0], MAX_WSCALE)
        elif kind == SACK_PERMITTED:
            if size == 0:
                options.sack_permitted = True
        elif kind != NOP:
            _parse_rare(options, kind, value)
    return options


def _parse_rare(options: Options, kind: int, value: bytes) -> None:
    size = len(value)
    if kind == FASTOPEN:
        if _cookie_length(size):
            options.fastopen = value
    elif kind == EXPERIMENT and value[:2] == FASTOPEN_MAGIC:
        if _cookie_length(size - 2):
            options.fastopen_exp = value[2:]
    elif kind == MD5:
        if size == 16:
            options.md5 = value
    elif kind in (ACCECN0, ACCECN1):
        options.accecn = _parse_accecn(kind, value)
    else:
        options.unknown += ((kind, value),)


def _cookie_length(size: Octets) -> bool:
    """RFC 7413 2: 4 to 16 octets and even, or none at all for a request."""
    return size == 0 or (4 <= size <= 16 and not size & 1)


def _parse_accecn(kind: int, value: bytes) -> AccEcn:
    """RFC 9768 3.2.3: up to three 24-bit counters, trailing ones may be left out; the kind gives their order."""
    counters: list[int | None] = [int.from_bytes(value[i : i + 3], "big") for i in range(0, min(len(value), 9) - 2, 3)]
    first, ceb, last = counters + [None] * (3 - len(counters))
    return AccEcn(kind, first, ceb, last) if kind == ACCECN0 else AccEcn(kind, last, ceb, first)


def build(options: Iterable[tuple[int, bytes]]) -> bytes:
    """Options in exactly this order, as (kind, value); EOL and NOP have no value. Padded with EOL to 4 octets.

    ValueError when they do not fit in 40 octets.
    """
    out = bytearray()
    for kind, value in options:
        out += bytes((kind,)) if kind in (EOL, NOP) else bytes((kind, 2 + len(value))) + value
    out += bytes(-len(out) & 3)
    if len(out) > MAX_LEN:
        raise ValueError(f"TCP options of {len(out)} octets: at most {MAX_LEN} fit")
    return bytes(out)


def build_syn(
    mss: int,
    wscale: int | None,
    sack_permitted: bool,
    timestamps: Timestamps | None,
    fastopen: bytes | None = None,
    experimental: bool = False,
    accecn: Counters | None = None,
) -> bytes:
    """Options of a SYN or SYN-ACK as Linux lays them out.

    `<mss,sackOK,TS,nop,wscale>`, `<mss,nop,nop,TS,nop,wscale>`, `<mss,nop,nop,sackOK,nop,wscale>`, `<mss,nop,wscale>`,
    then a Fast Open cookie (empty: a request for one), `experimental` in the option that came before RFC 7413's own. A
    cookie that does not fit in 40 octets is left out. An AccECN option is before SACK-permitted and window scale, in as
    many fields as there is room for.
    """
    out = bytes((MSS, 4)) + mss.to_bytes(2, "big")
    if timestamps is not None:
        out += bytes((SACK_PERMITTED, 2)) if sack_permitted else b"\1\1"
        out += bytes((TIMESTAMP, 10)) + _PAIR.pack(timestamps[0] & MASK, timestamps[1] & MASK)
    rest = bytes((NOP, NOP, SACK_PERMITTED, 2)) if sack_permitted and timestamps is None else b""
    if wscale is not None:
        rest += bytes((NOP, WSCALE, 3, wscale))
    if accecn is not None:
        cookie_len = 0 if fastopen is None else 4 + len(fastopen) & ~3
        out += _fit_accecn(accecn, 0, MAX_LEN - len(out) - cookie_len, rest) or rest
    else:
        out += rest
    if fastopen is not None:
        if experimental:
            cookie = bytes((EXPERIMENT, 4 + len(fastopen))) + FASTOPEN_MAGIC + fastopen
        else:
            cookie = bytes((FASTOPEN, 2 + len(fastopen))) + fastopen
        cookie += b"\1" * (-len(cookie) & 3)
        if len(out) + len(cookie) <= MAX_LEN:
            out += cookie
    return out


def build_segment(
    timestamps: Timestamps | None = None,
    sack: Iterable[Block] = (),
    accecn: Counters | None = None,
    least_fields: int = 0,
) -> bytes:
    """Options of any other segment as Linux lays them out: `<nop,nop,TS>`, `<nop,nop,sack ...>`, or both in this order.

    Edges and timestamps may be unwrapped. As many blocks are taken as fit: 4, or 3 beside timestamps (RFC 2018 3). An
    AccECN option between them takes what remains; if that is less than `least_fields`, all blocks but two give way.
    """
    out = b""
    if timestamps is not None:
        out = ALIGNED.pack(ALIGNED_TIMESTAMP, timestamps[0] & MASK, timestamps[1] & MASK)
    blocks = [_PAIR.pack(left & MASK, right & MASK) for left, right in sack][: 4 if timestamps is None else 3]
    if accecn is not None:
        for kept in range(len(blocks), min(len(blocks), 2) - 1, -1):
            fitted = _fit_accecn(accecn, least_fields, MAX_LEN - len(out), _sack_option(blocks[:kept]))
            if fitted:
                return out + fitted
    return out + _sack_option(blocks)


def _sack_option(blocks: list[bytes]) -> bytes:
    return bytes((NOP, NOP, SACK, 2 + 8 * len(blocks))) + b"".join(blocks) if blocks else b""


def _fit_accecn(counters: Counters, least_fields: int, room: Octets, rest: bytes) -> bytes:
    """An AccECN option and the options behind it, in `room` octets: with as many counters as fit, or empty.

    The NOPs that the option behind begins with make room for octets beyond a whole number of words, as in Linux.
    """
    nops = len(rest) - len(rest.lstrip(b"\1"))
    for fields in range(3, least_fields - 1, -1):
        size = 2 + 3 * fields
        beyond = size & 3
        padding = 0 if beyond <= nops else 4 - beyond
        behind = rest if padding else rest[beyond:]
        if size + padding + len(behind) <= room:
            value = b"".join((counter & 0xFF_FFFF).to_bytes(3, "big") for counter in counters[:fields])
            return bytes((ACCECN1, size)) + value + b"\1" * padding + behind
    return b""
