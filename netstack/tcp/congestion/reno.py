"""NewReno's congestion avoidance (RFC 5681 3.1, RFC 6582), with slow start counted by segments acknowledged."""

from netstack.tcp.congestion.base import INFINITE
from netstack.units import Micros


class Reno:
    """Slow start below ssthresh, then one segment per window's worth of acknowledged segments."""

    __slots__ = ("_credit", "cwnd", "ssthresh")
    name = "reno"
    pacing_rate = 0
    sndbuf_expand = 2
    is_model = False

    def __init__(self, initial_cwnd: int) -> None:
        self.cwnd = initial_cwnd
        self.ssthresh = INFINITE
        self._credit = 0
        """Segments acknowledged since cwnd last grew (RFC 3465's byte counting, in segments)."""

    def ssthresh_after_loss(self) -> int:
        """RFC 5681 (4): half of what was in flight; cwnd stands for it, as in Linux, since only a full window grows."""
        self._credit = 0
        return max(self.cwnd >> 1, 2)

    def on_ack(self, acked: int, srtt: Micros, now: Micros) -> None:
        """RFC 5681 3.1: double each round trip below ssthresh, then one segment each."""
        if self.cwnd < self.ssthresh:
            grown = min(self.cwnd + acked, self.ssthresh)
            acked -= grown - self.cwnd
            self.cwnd = grown
            if not acked:
                return
        self.grow_linearly(self.cwnd, acked)

    def grow_linearly(self, per_segment: int, acked: int) -> None:
        """One segment more for every `per_segment` segments acknowledged."""
        if self._credit >= per_segment:
            self._credit = 0
            self.cwnd += 1
        self._credit += acked
        if self._credit >= per_segment:
            steps = self._credit // per_segment
            self._credit -= steps * per_segment
            self.cwnd += steps

    def on_rtt(self, rtt: Micros, now: Micros) -> None:
        """Reno does not look at delay."""

    def on_round(self) -> None:
        """Reno does not count round trips."""

    def on_timeout(self, now: Micros) -> None:
        """RFC 5681 3.1: slow start anew, which needs nothing but cwnd."""

    def cwnd_after_undo(self, prior_cwnd: int) -> int:
        """Back to where it was."""
        return max(self.cwnd, prior_cwnd)

    def on_idle(self, idle: Micros, now: Micros) -> None:
        """Nothing depends on time here; the restart window is the sender's business (RFC 5681 4.1)."""
