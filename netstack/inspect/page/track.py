"""What one connection did, as the page draws it: its moves, its segments, its variables over time. All of it bounded.

Sequence numbers are relative to the handshake (SYN = 0), as tcpdump shows them; times are the stack's microseconds.
"""

from __future__ import annotations

from collections import deque
from typing import Any

from netstack.events import SegmentReceived, SegmentSent, StateChanged, Variables
from netstack.tcp.congestion import INFINITE
from netstack.units import MILLISECOND, Micros, Seq
from netstack.wire import pretty
from netstack.wire.tcp import ACK, SYN

HEAD, TAIL = 40, 240
"""Segments kept of a connection: its first and its last."""
SAMPLES = 1_200
"""Samples kept of a connection; when they are too many, every second one goes, so that they span its whole life."""
MARKS = 400
RTTS = 600
MOVES = 16
SPACING: Micros = 2 * MILLISECOND
"""Between two samples at first; twice that each time the samples were thinned out."""

Row = list[Any]
"""A segment: number, at, 1 if it is ours, flags, seq, ack (None without ACK), length, window, why or what is odd about
it, state, which segment it is. A mark: number, at, kind, seq or None, text. A move: number, at, old, new, cause,
paragraph. The numbers of a track's segments, marks and moves only grow, in the order in which things happened."""
Kept = tuple[int, int, Any, int]
"""A segment as it is kept: number, 1 if it is ours, the event, which segment it is."""
Sample = list[Any]
"""at, snd_nxt, snd_una, snd_una + snd_wnd, rcv_nxt, rcv_nxt + rcv_wnd, cwnd, ssthresh (None: not set yet), in flight
(these three in segments), srtt, rto, send queue, receive queue (octets): see `SAMPLE_FIELDS`."""
SAMPLE_FIELDS = (
    "at", "snd_nxt", "snd_una", "snd_edge", "rcv_nxt", "rcv_edge", "cwnd", "ssthresh", "in_flight", "srtt", "rto",
    "send_queued", "recv_queued",
)  # fmt: skip


class Track:
    """One connection as its events tell it. `number` orders tracks by when they were first heard of."""

    __slots__ = (
        "_kept_at", "_spacing", "again", "ends", "first_at", "head", "irs", "iss", "key", "last", "marks", "moves",
        "number", "received", "rtts", "samples", "sent", "serial", "snd_max", "state", "tail", "touched_at", "who",
    )  # fmt: skip

    def __init__(self, key: bytes, number: int, at: Micros, begins: tuple[Seq, Seq] | None = None) -> None:
        self.key = key
        self.who = pretty.who(key)
        self.number = number
        self.first_at: Micros = at
        self.touched_at: Micros = at
        self.ends: Micros = 0
        """When it became CLOSED; 0: it has not."""
        self.state = ""
        self.iss: Seq | None
        self.irs: Seq | None
        self.iss, self.irs = begins or (None, None)
        self.snd_max: Seq = 0
        self.sent = self.received = self.again = 0
        """Segments: ours, the peer's, ours that were sent before."""
        self.serial = 0
        self.moves: deque[Row] = deque(maxlen=MOVES)
        self.head: list[Kept] = []
        self.tail: deque[Kept] = deque(maxlen=TAIL)
        self.marks: deque[Row] = deque(maxlen=MARKS)
        self.rtts: deque[tuple[Micros, Micros]] = deque(maxlen=RTTS)
        """When a round-trip time was measured, and what it was."""
        self.samples: list[Sample] = []
        self.last: tuple[Micros, Variables, Seq] | None = None
        """What will be the newest sample, if nothing newer comes before the next one is due."""
        self._kept_at: Micros = -SPACING
        self._spacing: Micros = SPACING

    # What the events tell.

    def on_move(self, event: StateChanged) -> None:
        """A step through the chart."""
        self.touched_at = event.at
        self.state = str(event.new)
        cause = event.cause
        self.serial += 1
        self.moves.append([self.serial, event.at, str(event.old), self.state, cause.label, cause.paragraph])
        if self.state == "CLOSED":
            self.ends = event.at

    def on_sent(self, event: SegmentSent) -> None:
        """A segment of ours."""
        at, seq, flags, after = event.at, event.seq, event.flags, event.after
        if self.irs is None or self.iss is None:
            self.iss = seq if flags & SYN else after.snd_una
            self.irs = after.rcv_nxt - 1 if event.ack else None
        end = seq + event.length + (flags & 1) + (flags >> 1 & 1)  # FIN and SYN count
        self.sent += 1
        self.touched_at = at
        self.serial += 1
        row = (self.serial, 1, event, self.sent + self.received)
        (self.tail if len(self.head) >= HEAD else self.head).append(row)
        if end > self.snd_max:
            self.snd_max = end
        elif end > seq:
            self.again += 1
            self.marks.append([self.serial, at, "again", seq - self.iss, event.why])
        if event.why.startswith("probe"):
            self.marks.append([self.serial, at, "probe", seq - self.iss, event.why])
        self.last = (at, after, self.snd_max)
        if at - self._kept_at >= self._spacing:
            self._keep()

    def on_received(self, event: SegmentReceived) -> None:
        """A segment of the peer's, before it is acted on."""
        before = event.before
        if self.irs is None or self.iss is None:
            self.irs = event.seq if event.flags & SYN else before.rcv_nxt - 1
            if self.iss is None and before.snd_una:
                self.iss = before.snd_una - 1
        self.received += 1
        self.touched_at = event.at
        self.serial += 1
        row = (self.serial, 0, event, self.sent + self.received)
        (self.tail if len(self.head) >= HEAD else self.head).append(row)
        if event.length and event.seq != before.rcv_nxt and (what := oddity(event)):
            kind = "gap" if event.seq > before.rcv_nxt else "twice"
            self.marks.append([self.serial, event.at, kind, event.seq - self.irs, what])

    def mark(self, at: Micros, kind: str, seq: Seq | None, text: str) -> None:
        """Something else worth a mark in the graphs: a loss, a timer, a round-trip time."""
        self.touched_at = at
        self.serial += 1
        self.marks.append([self.serial, at, kind, None if seq is None else seq - (self.iss or 0), text])

    def sample(self, at: Micros, known: Variables) -> None:
        """What the connection knows at `at`."""
        self.last = (at, known, self.snd_max)
        if at - self._kept_at >= self._spacing:
            self._keep()

    def _keep(self) -> None:
        iss, irs = self.iss, self.irs
        if self.last is None or iss is None or irs is None:
            return
        at, known, snd_max = self.last
        self.last = None
        self._kept_at = at
        ssthresh = known.ssthresh
        sample = [
            at, max(known.snd_nxt, snd_max) - iss, known.snd_una - iss, known.snd_una + known.snd_wnd - iss,
            known.rcv_nxt - irs, known.rcv_nxt + known.rcv_wnd - irs,
            known.cwnd, ssthresh if ssthresh < INFINITE else None, known.in_flight, known.srtt, known.rto,
            known.send_queued, known.recv_queued,
        ]  # fmt: skip
        if self.samples and self.samples[-1][0] == at:
            self.samples[-1] = sample
        else:
            self.samples.append(sample)
        if len(self.samples) > SAMPLES:
            del self.samples[1::2]
            self._spacing *= 2

    # What a viewer asks for.

    def latest(self) -> Sample:
        """The newest sample; empty when there is none."""
        self._keep()
        return self.samples[-1] if self.samples else []

    def samples_after(self, at: Micros) -> list[Sample]:
        """Those newer than `at`, the newest of all among them."""
        self._keep()
        samples = self.samples
        first = len(samples)
        while first and samples[first - 1][0] > at:
            first -= 1
        return samples[first:]

    def segments_after(self, number: int, most: int) -> list[Row]:
        """Segments with numbers above `number`: at most `most`, the newest; to begin with the first few too."""
        tail = self.tail
        if number == 0:
            known = [*self.head, *tail]
            found = known if len(known) <= most else [*self.head, *known[HEAD - most :]]
        else:
            found = []
            for row in reversed(tail):
                if row[0] <= number or len(found) >= most:
                    break
                found.append(row)
            found += [row for row in reversed(self.head) if row[0] > number]
            found = found[most - 1 :: -1] if len(found) > most else found[::-1]
        return [self._shown(*row) for row in found]

    def _shown(self, number: int, ours: int, event: SegmentSent | SegmentReceived, index: int) -> Row:
        iss, irs = self.iss or 0, self.irs or 0
        base, other = (iss, irs) if ours else (irs, iss)
        acked = event.ack - other if event.flags & ACK else None
        if isinstance(event, SegmentSent):
            why, state = event.why, event.after.state
        else:
            why, state = oddity(event), event.before.state
        return [
            number, event.at, ours, pretty.flags(event.flags), event.seq - base, acked, event.length, event.wnd, why,
            str(state), index,
        ]  # fmt: skip

    def rtts_after(self, at: Micros, most: int) -> list[tuple[Micros, Micros]]:
        """Round-trip times measured after `at`: evenly chosen if there are more than `most`."""
        found = [one for one in self.rtts if one[0] > at]
        return found[:: -(-len(found) // most) or 1]

    def marks_after(self, number: int) -> list[Row]:
        """Marks with numbers above `number`."""
        return [mark for mark in self.marks if mark[0] > number]


def oddity(event: SegmentReceived) -> str:
    """What is remarkable about where a segment of the peer's lies; empty when nothing is."""
    if not event.length or event.flags & SYN:
        return ""
    rcv_nxt = event.before.rcv_nxt
    if event.seq > rcv_nxt:
        return "beyond a gap"
    return "arrived twice" if event.seq + event.length <= rcv_nxt else ""
