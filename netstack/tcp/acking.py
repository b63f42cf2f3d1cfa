"""When to acknowledge: delayed ACK (RFC 9293 3.8.6.3, RFC 5681 4.2) with quick ACKs at the start, as Linux does it.

The policy of one connection. It keeps no timer: it says *now* (`due`) or *by when* (`at`), and hears when an ACK left.
"""

from netstack.config import TcpConfig
from netstack.tcp import why
from netstack.units import MILLISECOND, Micros, Octets

_MAX_QUICK = 16
_MAX_ATO = 500 * MILLISECOND
_TICK = MILLISECOND
"""A delay of nothing, by Linux's clock: a FIN that is all there was waits so long for the user's own."""


class AckPolicy:
    """ATO, quick ACKs and "ping-pong" (an interactive exchange, where the answer will carry the ACK)."""

    __slots__ = (
        "advmss", "at", "ato", "due", "last_data_at", "merged", "pingpong", "pushed", "quick", "rcv_mss", "reason",
        "scheduled",
    )  # fmt: skip

    def __init__(self, rcv_mss: Octets, advmss: Octets) -> None:
        self.advmss: Octets = advmss
        """What we told the peer: `rcv_mss` never exceeds it, however large an aggregate arrives."""
        self.due = False
        """An ACK is to leave at once."""
        self.scheduled = False
        """Something arrived that no ACK has answered yet."""
        self.at: Micros = 0
        """When a delayed ACK leaves at the latest; 0: none is waiting."""
        self.ato: Micros = 0
        """The delay in use; 0 before the first data."""
        self.quick = 0
        """ACKs still to be sent without delay."""
        self.pingpong = False
        self.pushed = False
        self.last_data_at: Micros = 0
        self.merged = 0
        """Segments that came as the second and further ones of a super-segment."""
        self.rcv_mss: Octets = rcv_mss
        """The peer's segment size as seen (Linux's icsk_ack.rcv_mss)."""
        self.reason = ""
        """Why `due` was set, for those who watch (`why`); stale when no ACK is due."""

    def on_data(self, length: Octets, push: bool, rcv_wnd: Octets, rto: Micros, config: TcpConfig, now: Micros) -> None:
        """`length` new octets in order arrived."""
        self.scheduled = True
        if length >= self.rcv_mss:
            if length > self.advmss:
                self.merged += (length - 1) // self.advmss
                length = self.advmss
            self.rcv_mss = length
        if push:
            self.pushed = True
        delack_min = config.delack_min
        if not self.ato:
            self.enter_quick(_MAX_QUICK, rcv_wnd)
            self.ato = delack_min
        else:
            gap = now - self.last_data_at
            if gap <= delack_min // 2:
                self.ato = (self.ato >> 1) + delack_min // 2
            elif gap < self.ato:
                self.ato = min((self.ato >> 1) + gap, rto)
            elif gap > rto:
                self.enter_quick(_MAX_QUICK, rcv_wnd)  # the sender probably starts over: its window is small
        self.last_data_at = now

    def owe(self, reason: str) -> None:
        """An ACK is to leave at once, whatever the policy would have said of what arrived."""
        self.due = self.scheduled = True
        self.reason = reason

    def enter_quick(self, most: int, rcv_wnd: Octets) -> None:
        """Acknowledge the next few segments at once, so that the peer's slow start is not slowed."""
        quick = rcv_wnd // (2 * self.rcv_mss) or 2
        self.quick = max(self.quick, min(quick, most))

    def hurry(self, most: int, rcv_wnd: Octets) -> None:
        """The same, in the middle of a connection: whatever exchange went on, and however it was paced, is over."""
        self.enter_quick(most, rcv_wnd)
        self.pingpong = False
        self.ato = 40 * MILLISECOND

    def decide(
        self, unacked: Octets, gaps: bool, may_widen: bool, srtt: Micros, config: TcpConfig, now: Micros
    ) -> None:
        """After arrivals were taken in: now, or later? `unacked`: octets received since the last ACK left.

        More than one full segment is acknowledged at once (RFC 5681 4.2's "at least every second"), so is anything
        while a gap is open (RFC 5681 4.2: the duplicate ACK), anything in quick mode.
        """
        ato = self.ato
        if (unacked > self.rcv_mss and may_widen) or gaps or (self.quick and not self.pingpong):
            self.due = True
            return
        if not ato:
            self.at = now + _TICK
            return
        if ato > config.delack_min:
            most = config.delack_max if self.pingpong or self.pushed else _MAX_ATO
            if srtt:
                most = min(most, max(srtt, config.delack_min))
            ato = min(ato, most)
        ato = min(ato, config.delack_max)
        at = now + ato
        if self.at:
            if self.at <= now + (ato >> 2):
                self.due = True
                return
            at = min(at, self.at)
        self.at = at

    def on_sent(self, segments: int) -> None:
        """A segment with an ACK left: nothing is owed."""
        if self.quick:
            self.quick = self.quick - segments if self.quick > segments else 0
            if not self.quick:
                self.ato = self.ato and 40 * MILLISECOND
        self.due = self.scheduled = self.pushed = False
        self.at = 0

    def on_data_sent(self, now: Micros) -> None:
        """We sent data soon after receiving some: an exchange, so ACKs may wait for answers to ride on."""
        if now - self.last_data_at < self.ato:
            self.pingpong = True

    def on_timer(self, rto: Micros, config: TcpConfig) -> None:
        """The delayed ACK's time came: no answer carried it."""
        self.at = 0
        if not self.scheduled:
            return
        self.owe(why.ACK_DELAYED if self.ato else why.ACK_FIN)
        if self.pingpong:
            self.pingpong = False
            self.ato = config.delack_min
        else:
            self.ato = min(self.ato << 1, rto)
