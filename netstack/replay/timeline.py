"""Both timelines side by side: what the recorded server sent, and what our stack sent in its place.

Segments are matched by what they say (flags, sequence numbers, acknowledgment, in a SYN the kinds of options), not by
when they were sent or by PSH, window and timestamps, which differ between any two stacks.
"""

from dataclasses import dataclass
from difflib import SequenceMatcher

from netstack.replay.conversation import Recorded
from netstack.replay.runner import Sent
from netstack.units import Micros
from netstack.wire import pretty, tcp_options
from netstack.wire.tcp import ACK, PSH, SYN, URG

_SHAPE_FLAGS = ~(PSH | URG)
_TOO_MANY = 20_000
"""Segments beyond which matching takes too long; they are then paired one by one."""

Shape = tuple[object, ...]


@dataclass(slots=True)
class Row:
    """One line: a segment of the client's, or one of the server's in the recording, in the replay, or in both."""

    client: Recorded | None = None
    recorded: Recorded | None = None
    ours: Sent | None = None

    @property
    def differs(self) -> bool:
        """Whether recording and replay part here."""
        if self.client is not None:
            return False
        return self.recorded is None or self.ours is None or shape(self.recorded) != shape(self.ours)

    @property
    def at(self) -> Micros:
        """When: in the recording, if it is there."""
        segment = self.client or self.recorded or self.ours
        assert segment is not None
        return segment.at


def shape(segment: Recorded | Sent) -> Shape:
    """What has to be the same for two segments to say the same."""
    kinds: tuple[int, ...] = ()
    if segment.flags & SYN:
        said = {kind for kind, _ in tcp_options.walk(segment.octets_of_options)}
        kinds = tuple(sorted(said - {tcp_options.NOP}))
    return segment.flags & _SHAPE_FLAGS, segment.seq, len(segment.payload), segment.ack, kinds


def align(segments: list[Recorded], ours: list[Sent]) -> list[Row]:
    """The rows, in the order of time; `segments` are those of both sides."""
    recorded = [segment for segment in segments if not segment.from_client]
    server = _pair(recorded, ours)
    rows: list[Row] = []
    now: Micros | None = None
    waiting = iter(server)
    row = next(waiting, None)
    for segment in (each for each in segments if each.from_client):
        while row is not None:
            now = row.at if now is None else max(now, row.at)
            if now > segment.at or (now == segment.at and row.recorded and row.recorded.place > segment.place):
                break
            rows.append(row)
            row = next(waiting, None)
        rows.append(Row(client=segment))
    if row is not None:
        rows.append(row)
    rows += waiting
    return rows


def _pair(recorded: list[Recorded], ours: list[Sent]) -> list[Row]:
    left, right = [shape(each) for each in recorded], [shape(each) for each in ours]
    if len(left) + len(right) > _TOO_MANY:
        both = min(len(left), len(right))
        codes = [("replace", 0, both, 0, both), ("delete", both, len(left), both, both)]
        codes.append(("insert", len(left), len(left), both, len(right)))
    else:
        codes = list(SequenceMatcher(None, left, right, autojunk=False).get_opcodes())
    rows: list[Row] = []
    for _, i, i_end, j, j_end in codes:
        for k in range(max(i_end - i, j_end - j)):
            a = recorded[i + k] if i + k < i_end else None
            b = ours[j + k] if j + k < j_end else None
            rows.append(Row(recorded=a, ours=b))
    return rows


def shorthand(segment: Recorded | Sent) -> str:
    """`P. 1:79(78) ack 1 win 502`; options only where they say more than the time."""
    begin, length = segment.seq, len(segment.payload)
    end = begin + length
    text = f"{pretty.flags(segment.flags)} {begin}:{end}({length})"
    if segment.flags & ACK:
        text += f" ack {segment.ack}"
    text += f" win {segment.window}"
    if segment.flags & URG:
        text += f" urg {segment.urgent}"
    options = tcp_options.parse(segment.octets_of_options)
    said = []
    if segment.flags & SYN:
        said += [f"mss {options.mss}"] if options.mss else []
        said += ["sackOK"] if options.sack_permitted else []
        said += ["TS"] if options.ts_val is not None else []
        said += [f"wscale {options.wscale}"] if options.wscale is not None else []
    if options.sack:
        said.append(f"{len(options.sack)} SACK")
    return f"{text} <{','.join(said)}>" if said else text


def first_difference(rows: list[Row]) -> int | None:
    """The index of the first row in which the two part; None when they never do."""
    return next((i for i, row in enumerate(rows) if row.differs), None)


def lines(rows: list[Row]) -> list[str]:
    """The rows as text: recorded on the left (`>` from the client), ours on the right, `=` or `!` between."""
    lefts, rights = [_left(row) for row in rows], [_right(row) for row in rows]
    width = max((len(left) for left in lefts), default=0)
    first = first_difference(rows)
    out = [f"{'recorded':<{width}}      netstack in the server's place"]
    for i, (row, left, right) in enumerate(zip(rows, lefts, rights, strict=True)):
        mark = " " if row.client else "!" if row.differs else "="
        note = "    <-- first difference" if i == first else ""
        out.append(f"{left:<{width}}   {mark}  {right}{note}".rstrip())
    return out


def _left(row: Row) -> str:
    segment = row.client or row.recorded
    if segment is None:
        return ""
    return f"{clock(segment.at)} {'>' if row.client else '<'} {shorthand(segment)}"


def _right(row: Row) -> str:
    return f"{clock(row.ours.at)} < {shorthand(row.ours)}" if row.ours else ""


def clock(at: Micros) -> str:
    """Seconds with six places, right-aligned."""
    return f"{at / 1_000_000:11.6f}"
