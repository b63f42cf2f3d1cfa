"""What an ACK says about the scoreboard: SACK blocks (RFC 2018, 2883) and the cumulative ACK, record by record.

Facts only; what to do about them is `recovery`'s. One `AckFacts` per connection is reused, so an ACK allocates nothing.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netstack.counters import Tally
from netstack.seq import unwrap
from netstack.tcp.rack import Rack
from netstack.tcp.rate import Rate
from netstack.tcp.rto import RttEstimator
from netstack.tcp.scoreboard import Scoreboard, Sent
from netstack.tcp.tcb import Tcb
from netstack.units import Micros, Octets, Seq

if TYPE_CHECKING:
    from netstack.tcp.reduction import Reduction

NONE: Seq = 1 << 62
"""Of `AckFacts.reordered_from`: above every sequence number."""
_MAX_KNOWN = 8


class AckFacts:
    """What one ACK delivered."""

    __slots__ = (
        "acked",
        "dsack",
        "first_sacked_at",
        "first_sent_at",
        "last_sacked_at",
        "last_sent_at",
        "original_delivered",
        "probe_dsack",
        "reordered_from",
        "retransmission_acked",
        "sacked",
        "una_advanced",
    )

    def __init__(self) -> None:
        self.reset()

    def reset(self) -> None:
        """Ready for the next ACK."""
        self.acked = 0
        """Segments cumulatively acknowledged."""
        self.sacked = 0
        """Segments newly SACKed."""
        self.una_advanced = False
        self.dsack = False
        self.probe_dsack = False
        """What came twice is what a loss probe sent again (RFC 8985 7.4.2)."""
        self.retransmission_acked = False
        self.original_delivered = False
        """Something below the recovery point arrived that had never been retransmitted (F-RTO, RFC 5682 3.1)."""
        self.reordered_from: Seq = NONE
        """The lowest never-retransmitted sequence number that arrived after higher ones."""
        self.first_sent_at: Micros = -1
        self.last_sent_at: Micros = -1
        self.first_sacked_at: Micros = -1
        self.last_sacked_at: Micros = -1


class Acknowledger:
    """Applies ACKs to one scoreboard."""

    __slots__ = (
        "_board", "_known", "_rack", "_rate", "_rtt", "_tcb", "dsack_dups", "facts", "highest_sacked", "mib",
        "retransmitted", "undo_retrans",
    )  # fmt: skip

    def __init__(
        self, tcb: Tcb, board: Scoreboard, rack: Rack, rate: Rate, rtt: RttEstimator, mib: Tally
    ) -> None:
        self._tcb = tcb
        self._board = board
        self._rack = rack
        self._rate = rate
        self._rtt = rtt
        self.mib = mib
        self._known: dict[Seq, Seq] = {}
        """Left edges of SACK blocks seen lately, and up to where everything above each of them is marked already."""
        self.facts = AckFacts()
        self.dsack_dups = 0
        """Segments that the peer reported to have got twice."""
        self.retransmitted = 0
        """Segments that we sent twice (or more often)."""
        self.highest_sacked: Seq = 0
        """Where the highest record SACKed so far ends (Linux's highest_sack)."""
        self.undo_retrans = -1
        """Retransmissions not yet shown to be needless by D-SACK; -1: none were made since recovery began."""

    def cumulative(self, ack: Seq, high_seq: Seq, ts_ecr: Micros | None, now: Micros) -> int:
        """Everything below `ack` arrived (SND.UNA < ack <= SND.NXT). Returns the segments newly *delivered*.

        `ts_ecr` older than a retransmission: it was the original that arrived, which says nothing of newer segments.
        """
        facts, board, rack = self.facts, self._board, self._rack
        records = board.records
        min_rtt = self._rtt.min_rtt
        delivered = n = 0
        facts.una_advanced = True
        for record in records:
            seq, gone = record.seq, record.segments
            if record.end > ack:
                gone = board.trim(record, ack, board.mss) if seq < ack else 0
                if not gone:
                    break
            facts.acked += gone
            if record.times:
                facts.retransmission_acked = True
            elif not record.sacked:
                facts.last_sent_at = record.sent_at
                if facts.first_sent_at < 0:
                    facts.first_sent_at = record.sent_at
                if seq < facts.reordered_from:
                    facts.reordered_from = seq
                if record.end <= high_seq:
                    facts.original_delivered = True
            if not record.sacked:
                delivered += gone
                if not record.times or ts_ecr is None or ts_ecr >= record.sent_at - record.sent_at % 1000:
                    rack.on_delivered(record, min_rtt, now)
                self._rate.on_delivered(record)
            if record.end > ack:
                break
            n += 1
            board.remove_first(record)
        del records[:n]
        return delivered

    def selective(self, blocks: Sequence[tuple[int, int]], ack: Seq, recovery: Reduction, now: Micros) -> int:
        """SACK blocks as on the wire, with SEG.ACK. Returns the segments newly delivered."""
        tcb = self._tcb
        delivered = 0
        if len(self._known) > _MAX_KNOWN:
            self._known.clear()
        good: list[tuple[Seq, Seq]] = []
        twice: tuple[Seq, Seq] | None = None
        for i, (wire_left, wire_right) in enumerate(blocks):
            left, right = unwrap(wire_left, ack), unwrap(wire_right, ack)
            if i == 0 and self._is_dsack(left, right, blocks, ack):
                self.mib["TcpExtTCPDSACKRecv" if left < ack else "TcpExtTCPDSACKOfoRecv"] += 1
                if segments := self._count_dsack(left, right, recovery):
                    delivered += segments
                    marker = recovery.undo_marker
                    if right <= tcb.snd_una:
                        self._less_to_undo(right, segments, marker)
                    elif left > ack or (marker is not None and right > marker):
                        twice = left, right
                        good.append(twice)
                    continue
            if not (ack < left < right <= tcb.snd_nxt):
                self.mib["TcpExtTCPSACKDiscard"] += 1
                continue  # RFC 2018 5: not ours, old, or nonsense; it says nothing
            good.append((left, right))
        if len(good) > 1:
            good.sort()  # what lies lower was not overtaken by what the same ACK reports above it
        if twice is not None:
            self._note_twice(*twice, recovery.undo_marker)
        for left, right in good:
            delivered += self._mark(left, right, recovery.high_seq, now)
        return delivered

    def _is_dsack(self, left: Seq, right: Seq, blocks: Sequence[tuple[int, int]], ack: Seq) -> bool:
        """RFC 2883 4: the first block begins below SEG.ACK, or lies inside the second."""
        if left >= right or right > self._tcb.snd_nxt:
            return False
        if left < ack:
            return True
        if len(blocks) > 1:
            outer_left, outer_right = unwrap(blocks[1][0], ack), unwrap(blocks[1][1], ack)
            return outer_left <= left and right <= outer_right
        return False

    def _count_dsack(self, left: Seq, right: Seq, recovery: Reduction) -> int:
        """A retransmission arrived twice: a hint for RACK that its window is too small (RFC 8985 6.2 step 4).

        Returns the segments that were delivered by it, 0 when we did not send so many again.
        """
        segments = 1
        length: Octets = right - left
        dubious = length > self._tcb.max_snd_wnd
        if not dubious:
            if length > self._board.mss:
                segments = -(-length // self._board.mss)
            else:
                self.facts.probe_dsack = recovery.tlp_high_seq == right
            self.dsack_dups += segments
            dubious = self.dsack_dups > self.retransmitted
        if dubious:
            self.mib["TcpExtTCPDSACKIgnoredDubious"] += 1
            return 0
        self.mib["TcpExtTCPDSACKRecvSegs"] += segments
        self.facts.dsack = True
        if self._rack.reord_seen and not self.facts.probe_dsack:
            self._rack.dsack_seen = True
        return segments

    def _less_to_undo(self, end: Seq, segments: int, undo_marker: Seq | None) -> None:
        """`segments` up to `end`, of those sent again, need not have been (RFC 3708's idea)."""
        if undo_marker is not None and self.undo_retrans > 0 and end > undo_marker:
            self.undo_retrans = max(0, self.undo_retrans - segments)

    def _note_twice(self, left: Seq, right: Seq, undo_marker: Seq | None) -> None:
        """A D-SACK within the window: what was sent again in it arrived, however late, and so did its original."""
        records, facts = self._board.records, self.facts
        for record in records[self._board.find(left) :]:
            if record.seq >= right:
                break
            if record.seq < left or record.end > right or not record.times:
                continue
            self._less_to_undo(record.end, record.segments, undo_marker)
            if record.sacked and record.seq < facts.reordered_from:
                facts.reordered_from = record.seq

    def _mark(self, left: Seq, right: Seq, high_seq: Seq, now: Micros) -> int:
        board, mss = self._board, self._board.mss
        records = board.records
        delivered = 0
        done = self._known.get(left, left)
        i = board.find(done)
        while i < len(records):
            record = records[i]
            if record.seq >= right:
                break
            if record.end <= left or record.sacked:
                if record.sacked:
                    done = record.end
                i += 1
                continue
            if record.seq < left:
                # Cut at a segment boundary, so that what stays behind can be sent again as it was.
                cut = record.seq + (left - record.seq + mss - 1) // mss * mss
                if cut >= record.end or cut >= right:
                    i += 1
                    continue
                board.split(i, cut, mss)
                i += 1
                continue
            if record.end > right:
                cut = record.seq + (right - record.seq) // mss * mss
                if cut <= record.seq:
                    break
                board.split(i, cut, mss)
            self._deliver(record, high_seq, now)
            delivered += record.segments
            done = record.end
            i += 1
        self._known[left] = done
        return delivered

    def fack(self) -> Seq:
        """The forward acknowledgment: how far the peer is known to have got something."""
        return self.highest_sacked if self._board.sacked_out and self._tcb.sack_ok else self._tcb.snd_una

    def forget_sacked(self) -> None:
        """The peer reneged: what it reported before counts no more (RFC 2018 8)."""
        self._known.clear()

    def _deliver(self, record: Sent, high_seq: Seq, now: Micros) -> None:
        facts = self.facts
        if not record.times:
            if record.seq < self.highest_sacked and record.seq < facts.reordered_from:
                facts.reordered_from = record.seq
            if record.end <= high_seq:
                facts.original_delivered = True
            facts.last_sacked_at = record.sent_at
            if facts.first_sacked_at < 0:
                facts.first_sacked_at = record.sent_at
            facts.last_sacked_at = record.sent_at
        self._rack.on_delivered(record, self._rtt.min_rtt, now)
        self._rate.on_delivered(record)
        self._board.mark_sacked(record)
        facts.sacked += record.segments
        if record.seq >= self.highest_sacked:
            self.highest_sacked = record.end
