"""The retransmission queue and its scoreboard: what was sent, and what became of it (RFC 6675 3, as Linux counts).

One record per transmission, in sequence order. A record covers one or more segments: it is what went out in one
super-segment, and is split only where a peer's SACK or a retransmission needs it. Lost is "pending again": nothing
is ever queued for retransmission elsewhere. Counts are in segments, as Linux and `tcp_info` have them.
"""

from bisect import bisect_right
from operator import attrgetter

from netstack.units import Micros, Octets, Seq

_SEQ = attrgetter("seq")


class Sent:
    """One transmission: octets [seq, end) (SYN and FIN count), last sent at `sent_at`, `segments` of them."""

    __slots__ = (
        "app_limited",
        "delivered",
        "delivered_at",
        "end",
        "fin",
        "first_at",
        "lost",
        "push",
        "retransmitted",
        "sacked",
        "segments",
        "sent_at",
        "seq",
        "times",
    )

    def __init__(self, seq: Seq, end: Seq, segments: int, now: Micros) -> None:
        self.seq = seq
        self.end = end
        self.segments = segments
        self.fin = 0
        """1 when the last number is a FIN's: no octet, so it fills no segment."""
        self.push = False
        """Its last segment has PSH, whenever it is sent."""
        self.sent_at = now
        self.first_at = self.delivered_at = now
        self.delivered = self.app_limited = 0
        """What `rate` notes when it leaves."""
        self.times = 0
        """How often it was retransmitted: Karn's rule and RACK ask."""
        self.sacked = False
        self.lost = False
        self.retransmitted = False
        """Retransmitted and neither acknowledged nor found lost again since."""


class Scoreboard:
    """Records from SND.UNA to SND.NXT, and the counts that the pipe is made of."""

    __slots__ = (
        "lost_out", "mss", "packets_out", "pending_from", "pending_out", "records", "retrans_out",
        "retransmissions_lost", "sacked_out", "total_lost",
    )  # fmt: skip

    def __init__(self, mss: Octets = 0) -> None:
        self.mss: Octets = mss
        """The segment size in use, `Connection.send_mss`: what records are counted and cut by."""
        self.records: list[Sent] = []
        self.packets_out = 0
        """Segments sent and not cumulatively acknowledged."""
        self.sacked_out = 0
        """Segments the peer holds beyond a gap: SACKed, or without SACK counted by duplicate ACKs (RFC 6582)."""
        self.lost_out = 0
        self.retrans_out = 0
        self.pending_out = 0
        """Lost and not on its way again: what waits to be sent once more."""
        self.pending_from: Seq = 0
        """No such record lies below this."""
        self.total_lost = 0
        """Segments found lost, ever; one that is lost again counts again (Linux)."""
        self.retransmissions_lost = 0
        """How many retransmissions were lost as well, ever."""

    def in_flight(self) -> int:
        """The pipe of RFC 6675 4 in segments: sent, less what arrived or is lost, plus what was sent again."""
        return self.packets_out - self.sacked_out - self.lost_out + self.retrans_out

    def take(self, ack: Seq) -> tuple[Sent, int]:
        """Remove what lies below `ack`, of which nothing is SACKed or lost: the last record of it, and its segments."""
        records = self.records
        n = acked = 0
        last = records[0]
        for record in records:
            if record.end > ack:
                gone = self.trim(record, ack, self.mss) if record.seq < ack else 0
                if gone:
                    acked += gone
                    last = record
                break
            n += 1
            acked += record.segments
            self.packets_out -= record.segments
            last = record
        del records[:n]
        return last, acked

    def find(self, seq: Seq) -> int:
        """Index of the record that holds `seq` (or of the last one before it; 0 when there is none)."""
        i = bisect_right(self.records, seq, key=_SEQ) - 1
        return i if i > 0 else 0

    def split(self, i: int, at: Seq, mss: Octets) -> None:
        """Cut record `i` in two at `at` (strictly inside); both halves keep its marks."""
        whole = self.records[i]
        right = type(whole)(at, whole.end, 0, whole.sent_at)
        right.times, right.sacked, right.lost = whole.times, whole.sacked, whole.lost
        right.retransmitted = whole.retransmitted
        right.first_at, right.delivered_at = whole.first_at, whole.delivered_at
        right.delivered, right.app_limited = whole.delivered, whole.app_limited
        before = whole.segments
        right.fin, whole.fin = whole.fin, 0
        right.push, whole.push = whole.push, False
        whole.end = at
        whole.segments = max(1, -(-(at - whole.seq) // mss))
        right.segments = max(1, -(-(right.end - right.fin - at) // mss))
        self._grow(whole, whole.segments + right.segments - before)
        self.records.insert(i + 1, right)

    def collapse(self, record: Sent, room: Octets, edge: Seq) -> None:
        """Small segments behind `record` that fit `room` octets with it go out together with it (RFC 9293 3.7.1)."""
        records = self.records
        first = n = self.find(record.seq) + 1
        while n < len(records):
            behind = records[n]
            room -= behind.end - behind.fin - behind.seq
            if room < 0 or behind.segments > 1 or behind.sacked or behind.end > edge:
                break
            self._grow(behind, -1)
            record.end, record.fin = behind.end, behind.fin
            record.push |= behind.push
            record.times = max(record.times, behind.times)
            n += 1
        del records[first:n]

    def recount(self, record: Sent, mss: Octets) -> None:
        """`record` will be sent again in segments of `mss`."""
        segments = max(1, -(-(record.end - record.fin - record.seq) // mss))
        self._grow(record, segments - record.segments)
        record.segments = segments

    def _grow(self, record: Sent, segments: int) -> None:
        """A record like `record` now counts `segments` more (or, negative, fewer)."""
        self.packets_out += segments
        if record.sacked:
            self.sacked_out += segments
        if record.lost:
            self.lost_out += segments
        if record.retransmitted:
            self.retrans_out += segments
        elif record.lost:
            self.pending_out += segments

    def mark_sacked(self, record: Sent) -> None:
        """The peer holds it (RFC 2018): no longer in flight, nor lost."""
        record.sacked = True
        self.sacked_out += record.segments
        if record.lost:
            if not record.retransmitted:
                self.pending_out -= record.segments
            record.lost = False
            self.lost_out -= record.segments
        if record.retransmitted:
            record.retransmitted = False
            self.retrans_out -= record.segments

    def mark_lost(self, record: Sent) -> None:
        """It will not arrive: pending again, even if it was sent again before."""
        if record.lost and not record.retransmitted:
            return
        if not self.pending_out or record.seq < self.pending_from:
            self.pending_from = record.seq
        self.pending_out += record.segments
        self.total_lost += record.segments
        if record.retransmitted:
            record.retransmitted = False
            self.retrans_out -= record.segments
            self.retransmissions_lost += record.segments
        if not record.lost:
            record.lost = True
            self.lost_out += record.segments

    def mark_retransmitted(self, record: Sent, now: Micros) -> None:
        """It went out again at `now`."""
        record.sent_at = now
        record.times += 1
        if not record.retransmitted:
            if record.lost:
                self.pending_out -= record.segments
            record.retransmitted = True
            self.retrans_out += record.segments

    def forgive(self) -> None:
        """Nothing was lost after all."""
        for record in self.records:
            record.lost = False
        self.lost_out = self.pending_out = 0

    def remove_first(self, record: Sent) -> None:
        """Take `record`, cumulatively acknowledged, out of the counts (the caller takes it out of the list)."""
        self._grow(record, -record.segments)

    def trim(self, record: Sent, una: Seq, mss: Octets) -> int:
        """The first octets of `record`, up to `una`, were acknowledged. Returns how many segments left the count."""
        record.seq = una
        left = max(1, -(-(record.end - record.fin - una) // mss))
        gone = max(0, record.segments - left)
        if gone:
            record.segments = left
            self._grow(record, -gone)
        return gone

    def clear(self) -> None:
        """Forget everything (the connection is over)."""
        self.records.clear()
        self.packets_out = self.sacked_out = self.lost_out = self.retrans_out = self.pending_out = 0

    def check(self, snd_una: Seq, snd_nxt: Seq, sack_ok: bool) -> None:
        """Assert the invariants: records contiguous from SND.UNA to SND.NXT, counts true."""
        position = snd_una
        for record in self.records:
            assert record.seq == position < record.end, "a hole in the retransmission queue"
            assert not (record.sacked and record.lost)
            position = record.end
        assert position == snd_nxt
        records = self.records
        assert self.packets_out == sum(r.segments for r in records)
        assert self.lost_out == sum(r.segments for r in records if r.lost)
        assert self.retrans_out == sum(r.segments for r in records if r.retransmitted)
        pending = [r for r in records if r.lost and not r.retransmitted]
        assert self.pending_out == sum(r.segments for r in pending)
        assert not pending or pending[0].seq >= self.pending_from
        if sack_ok:
            assert self.sacked_out == sum(r.segments for r in records if r.sacked)
        assert self.sacked_out + self.lost_out <= self.packets_out
