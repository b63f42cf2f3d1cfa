"""What each side of a recorded conversation said: its octets, put together from its segments."""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING

from netstack.rangeset import RangeSet
from netstack.units import Octets, Seq
from netstack.wire.tcp import ACK, FIN, RST, SYN

if TYPE_CHECKING:
    from netstack.replay.conversation import Recorded

_FAR: Octets = 1 << 30
"""No window reaches further (RFC 7323 2.3): such a number is not of this connection."""


@dataclass(slots=True)
class Stream:
    """One direction. Octet `i` of `data` has the relative sequence number `i + 1`."""

    data: bytes = b""
    """From the first octet as far as the capture has them without a hole."""
    acked: Octets = 0
    """How many of them the other side acknowledged: these it certainly got."""
    fin: Seq | None = None
    """The FIN's sequence number."""
    missing: tuple[int, int] | None = None
    """The first and last octet, from 1, that were acknowledged but not captured."""


def assemble(own: list[Recorded], other: list[Recorded]) -> Stream:
    """The stream of the side that sent `own`, acknowledged by `other`. Of octets sent twice the first copy counts."""
    ranges = RangeSet()
    pieces: dict[Seq, bytes] = {}
    fin = None
    for segment in own:
        left, right = max(segment.text_end - len(segment.payload), 1), segment.text_end
        if segment.flags & RST or (ranges and left - ranges.right > _FAR):
            continue
        for gap_left, gap_right in list(ranges.gaps(left, right)) if right > left else []:
            start = gap_left - (right - len(segment.payload))
            pieces[gap_left] = segment.payload[start : start + gap_right - gap_left]
        if right > left:
            ranges.add(left, right)
        if segment.flags & FIN and fin is None:
            fin = right
    whole = ranges.range_at(1)
    end = whole[1] if whole else 1
    data = b"".join(pieces[at] for at in sorted(pieces) if at < end)
    acked = max((each.ack for each in other if each.flags & ACK and not each.flags & (RST | SYN)), default=1)
    missing = _missing(ranges, end, fin, acked)
    return Stream(data, min(max(acked - 1, 0), len(data)), fin if fin == end else None, missing)


def _missing(ranges: RangeSet, end: Seq, fin: Seq | None, acked: Seq) -> tuple[int, int] | None:
    """The first and last octet of the first hole below `acked`; a FIN counts as an octet."""
    if not end < acked < end + _FAR or (fin == end and acked == end + 1):
        return None
    hole = ranges.first_gap(1, acked)
    if hole is None:
        return None
    right = min(hole[1], fin) if fin is not None and fin > hole[0] else hole[1]
    return hole[0], right - 1
