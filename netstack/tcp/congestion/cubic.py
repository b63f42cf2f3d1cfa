"""CUBIC (RFC 9438): after a loss cwnd returns along a cubic curve of *time*, on long paths as fast as on short.

Slow start is HyStart++'s (`hystart`). cwnd counts whole segments; what RFC 9438 calls cwnd, in octets and so finer, is
cwnd and `_credit`: the curve is followed, and fast convergence decided, by that. Times are microseconds.
"""

from netstack.tcp.congestion.base import INFINITE
from netstack.tcp.congestion.hystart import HyStart
from netstack.units import SECOND, Micros

C = 0.4  # RFC 9438 4.6, segments per second cubed
BETA = 0.7  # RFC 9438 4.6
_BETA_1024 = 717  # the same as Linux has it, exact in binary: 0.7 * 90 is less than 63
ALPHA = 3 * (1 - BETA) / (1 + BETA)  # RFC 9438 4.3: makes the estimate's share fair to Reno


class Cubic:
    """The variables of RFC 9438 4.1.2."""

    __slots__ = (
        "_credit", "_cwnd_prior", "_epoch_at", "_hystart", "_k", "_origin", "_reduced", "_w_est", "_w_max", "cwnd",
        "ssthresh",
    )  # fmt: skip
    name = "cubic"
    pacing_rate = 0
    sndbuf_expand = 2
    is_model = False

    def __init__(self, initial_cwnd: int) -> None:
        self.cwnd = initial_cwnd
        self.ssthresh = INFINITE
        self._hystart = HyStart()
        self._w_max = 0.0
        """The window just before the last reduction."""
        self._cwnd_prior = 0.0
        self._reduced = 0.0
        """ssthresh after the last reduction, before it became whole segments."""
        self._w_est = 0.0
        """What Reno would have by now."""
        self._k = 0.0
        """Seconds from the start of the epoch until the curve is back at `_origin`."""
        self._origin = 0.0
        self._epoch_at: Micros = -1
        self._credit = 0.0
        """What an epoch's window is beyond cwnd: less than a segment, or up to half of one below."""

    def ssthresh_after_loss(self) -> int:
        """RFC 9438 4.6 multiplicative decrease, 4.7 fast convergence."""
        cwnd = self.cwnd
        window = cwnd + self._credit if self._epoch_at >= 0 else float(cwnd)
        self._epoch_at = -1
        self._hystart = HyStart()
        self._cwnd_prior = cwnd
        self._w_max = window * (1 + BETA) / 2 if window < self._w_max else window
        self._reduced = cwnd * _BETA_1024 / 1024
        return max(int(self._reduced), 2)

    def on_ack(self, acked: int, srtt: Micros, now: Micros) -> None:
        """RFC 9438 4.2-4.5: slow start below ssthresh, else the larger of the curve and Reno's estimate."""
        if self.cwnd < self.ssthresh:
            grown = self._hystart.grow(acked, self)
            acked -= grown
            if acked <= 0 or self.cwnd < self.ssthresh:
                return
        if self._epoch_at < 0:
            self._start_epoch(now)
        cwnd = self.cwnd
        window = cwnd + self._credit
        t = (now - self._epoch_at + srtt) / SECOND
        target = self._origin + C * (t - self._k) ** 3
        target = min(max(target, window), 1.5 * window)
        alpha = ALPHA if self._w_est < self._cwnd_prior else 1.0
        self._w_est += alpha * acked / window
        at_now = self._origin + C * ((now - self._epoch_at) / SECOND - self._k) ** 3
        if at_now < self._w_est:  # 4.3: the Reno-friendly region
            if self._w_est > window:
                self.cwnd = int(self._w_est + 0.5)  # cutting off would cost a dozen segments' flow another 4 %
                self._credit = self._w_est - self.cwnd
            return
        self._credit += acked * (target - window) / window
        if self._credit >= 1:
            self.cwnd += int(self._credit)
            self._credit %= 1

    def _start_epoch(self, now: Micros) -> None:
        self._epoch_at = now
        # What was cut off to make ssthresh whole segments is not lost.
        self._credit = self._reduced - self.cwnd if 0 <= self._reduced - self.cwnd < 1 else 0.0
        self._w_est = self._origin = window = self.cwnd + self._credit
        self._k = 0.0
        if window < self._w_max:
            self._k = ((self._w_max - window) / C) ** (1 / 3)
            self._origin = self._w_max

    def on_rtt(self, rtt: Micros, now: Micros) -> None:
        """HyStart++ watches delay grow in the first slow start; later ones know where to end (RFC 9406 4.3)."""
        if self.ssthresh == INFINITE:
            self._hystart.on_rtt(rtt)

    def on_round(self) -> None:
        """A round trip has passed."""
        if self.ssthresh == INFINITE:
            self._hystart.on_round(self)

    def on_timeout(self, now: Micros) -> None:
        """RFC 9438 4.8: slow start anew, then a fresh epoch."""
        self._epoch_at = -1

    def cwnd_after_undo(self, prior_cwnd: int) -> int:
        """RFC 9438 4.9: the reduction was a mistake; so is what was learnt from it."""
        self._epoch_at = -1
        if self._w_max < prior_cwnd:
            self._w_max = float(prior_cwnd)
        return max(self.cwnd, prior_cwnd)

    def on_idle(self, idle: Micros, now: Micros) -> None:
        """RFC 9438 5.8: idle time is no time to grow in: the epoch moves along with it."""
        if self._epoch_at >= 0:
            self._epoch_at = min(self._epoch_at + idle, now)
