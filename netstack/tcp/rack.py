"""RACK: loss found by time (RFC 8985), and how much reordering the path shows.

A record is lost when one sent later has been delivered and more than a reordering window has passed. With SACK this is
how every loss is found; the duplicate-ACK threshold only decides how patient the reordering window is.
"""

from netstack.tcp.scoreboard import Scoreboard, Sent
from netstack.units import Micros, Octets, Seq

STATIC_WINDOW, NO_THRESHOLD = 2, 4
"""Bits of Linux's tcp_recovery."""
_PERSIST = 16
"""Recoveries for which a widened reordering window is kept (RFC 8985 6.2 step 4)."""
_MAX_STEPS = 255
_APART: Micros = 100
"""What leaves in one turn is told apart by a microsecond each: a round trip seems shorter by about so much at most."""


class Rack:
    """RACK.xmit_ts, RACK.end_seq and RACK.rtt of RFC 8985 5.3, the reordering window and the reordering degree."""

    __slots__ = (
        "advanced",
        "dsack_seen",
        "end_seq",
        "last_delivered",
        "most",
        "persist",
        "reord_seen",
        "reordering",
        "rtt",
        "steps",
        "switches",
        "xmit_at",
    )

    def __init__(self, reordering: int, most: int = 300, switches: int = 0) -> None:
        self.most = most
        """Segments: `reordering` never exceeds this."""
        self.switches = switches
        self.xmit_at: Micros = -1
        self.end_seq: Seq = 0
        self.rtt: Micros = 0
        self.advanced = False
        """Something delivered since losses were last looked for."""
        self.reordering = reordering
        """Segments: how far the path is known to displace (Linux's tp->reordering; the duplicate-ACK threshold)."""
        self.reord_seen = 0
        """How often reordering was observed."""
        self.steps = 1
        self.persist = 0
        self.dsack_seen = False
        self.last_delivered = 0

    def on_delivered(self, record: Sent, min_rtt: Micros, now: Micros) -> None:
        """RFC 8985 6.2 step 2: `record` was acknowledged or SACKed."""
        rtt = now - record.sent_at
        if record.times and rtt + _APART < min_rtt:
            return  # the answer is to an earlier transmission: the retransmission was needless
        self.advanced = True
        self.rtt = rtt
        if record.sent_at > self.xmit_at or (record.sent_at == self.xmit_at and record.end > self.end_seq):
            self.xmit_at = record.sent_at
            self.end_seq = record.end

    def window(self, in_recovery: bool, sacked_out: int, min_rtt: Micros, srtt: Micros) -> Micros:
        """RFC 8985 6.2 step 4: the reordering window. None while the path has never reordered and loss is sure."""
        sure = in_recovery or (sacked_out >= self.reordering and not self.switches & NO_THRESHOLD)
        if sure and not self.reord_seen:
            return 0
        return min((min_rtt >> 2) * self.steps, srtt)

    def overdue_in(self, record: Sent, window: Micros, now: Micros) -> Micros:
        """How long until `record` counts as lost; zero or less: it does."""
        return record.sent_at + self.rtt + window - now

    def detect(self, board: Scoreboard, window: Micros, now: Micros) -> tuple[Seq | None, Micros]:
        """RFC 8985 6.2 step 5: mark what is lost. Returns the first sequence number marked and when to look again."""
        self.advanced = False
        again: Micros = 0
        first: Seq | None = None
        xmit_at, end_seq = self.xmit_at, self.end_seq
        for record in board.records:
            if record.sacked or (record.lost and not record.retransmitted):
                continue
            if record.sent_at > xmit_at:
                if not record.times:
                    break  # nothing above it was sent earlier
                continue
            if record.sent_at == xmit_at and record.end >= end_seq:
                continue
            remaining = record.sent_at + self.rtt + window - now
            if remaining <= 0:
                board.mark_lost(record)
                if first is None:
                    first = record.seq
            elif remaining > again:
                again = remaining
        return first, again

    def on_round(self, prior_delivered: int, delivered: int) -> None:
        """RFC 8985 6.2 step 4: a D-SACK says the window was too small; widen it at most once a round trip."""
        if self.switches & STATIC_WINDOW:
            return
        if prior_delivered < self.last_delivered:
            self.dsack_seen = False
        if self.dsack_seen:
            self.steps = min(self.steps + 1, _MAX_STEPS)
            self.dsack_seen = False
            self.last_delivered = delivered
            self.persist = _PERSIST
        elif not self.persist:
            self.steps = 1

    def on_reordering(self, low: Seq, highest_sacked: Seq, mss: Octets) -> bool:
        """Something original at `low` arrived after `highest_sacked`: the path displaces that far."""
        metric = highest_sacked - low
        if metric <= 0:
            return False
        if metric > self.reordering * mss:
            self.reordering = min(-(-metric // mss), self.most)
        self.reord_seen += 1
        return True
