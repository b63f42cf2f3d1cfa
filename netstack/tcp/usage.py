"""Whether cwnd is used up: only a window that is full may grow, one that was not full for long shrinks (RFC 2861).

RFC 7661's concern, and Linux's rules for it.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.tcp.reduction import OPEN, Reduction
from netstack.units import Micros

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore


class Usage(Reduction):
    """`Reduction`, and how much of cwnd is in use."""

    __slots__ = ()

    def limited(self) -> bool:
        """Whether cwnd was what held us back: an unused window must not grow (RFC 7661's concern, Linux's rule)."""
        if self.cwnd_limited:
            return True
        cc = self.cc
        return cc.cwnd < cc.ssthresh and cc.cwnd < 2 * self.max_packets_out

    def note_usage(self, limited: bool, conn: ConnectionCore, now: Micros) -> None:
        """After sending: was cwnd the limit? Remembered for one window's worth of data."""
        board = self.scoreboard
        limited = limited or board.in_flight() >= self.cc.cwnd
        if (
            limited
            or self.tcb.snd_una >= self.cwnd_limited_until
            or (not self.cwnd_limited and board.packets_out > self.max_packets_out)
        ):
            self.cwnd_limited = limited
            self.max_packets_out = board.packets_out
            self.cwnd_limited_until = self.tcb.snd_nxt
        if self.limited():
            self.used_packets, self.used_at = 0, now
            return
        self.used_packets = max(self.used_packets, board.packets_out)
        if now - max(self.used_at, conn.last_received_at) >= self.rtt.rto and self.config.slow_start_after_idle:
            self._give_back(not conn.starved and not conn.user_gone, now)

    def _give_back(self, by_choice: bool, now: Micros) -> None:
        """RFC 2861 3.1: an RTO long neither was cwnd used up nor an ACK heard; half of what was not used goes.

        `by_choice`: the user, or the peer's window, allowed no more; the send buffer would have taken more.
        """
        if by_choice and self.ca_state == OPEN and not self.cc.is_model:
            cc, used = self.cc, max(self.used_packets, self.restart_cwnd)
            if used < cc.cwnd:
                cc.ssthresh = self._current_ssthresh()
                cc.cwnd = (cc.cwnd + used) >> 1
            self.used_packets = 0
        self.used_at = now
