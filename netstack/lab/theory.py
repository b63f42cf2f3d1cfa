"""What TCP should reach: response functions, in segments and bits per second, to hold measurements against.

The closed forms give the mean window for a loss of `p` per segment in long transfers that nothing else limits, with
losses evenly spaced (every 1/p-th segment), no timeouts, windows of any size, and no time spent in recovery. `by_rules`
says what the same rules give without the last of these, for losses by chance as well: those let windows grow much
further now and then, to Reno's gain some 7 % (Mathis et al.: 1.31 instead of 1.22 over sqrt(p)), to CUBIC's 11 to 22 %.
Recovery takes a round trip in which nothing grows: of windows of a dozen segments, one in ten.
"""

from functools import cache
from math import sqrt
from random import Random

from netstack.tcp.congestion import cubic
from netstack.units import SECOND, Micros, Octets

REFERENCE = {"reno": "Mathis et al. 1997", "cubic": "RFC 9438 5.1"}
"""Where the response functions are from; Reno's is RFC 9438's too, for Reno-friendly windows (4.3)."""
FORGOTTEN = 10
"""So many losses after slow start nothing of it is left in the window."""
_EPOCHS = 2_000


def reno_window(p: float, b: int = 1) -> float:
    """Mathis et al. 1997, after RFC 5681's rules: sqrt(3 / 2bp) segments.

    `b`: segments for each step of growth. Delayed ACKs make it 2 where cwnd grows by the ACK; it is 1 where segments
    acknowledged are counted (RFC 3465), as here and in Linux.
    """
    return sqrt(3 / (2 * b * p))


def cubic_window(p: float, rtt: Micros) -> float:
    """RFC 9438 5.1: the cubic curve's mean, or Reno's where that is more (4.3: the Reno-friendly region)."""
    return max(cubic_curve(p, rtt), reno_window(p))


def cubic_curve(p: float, rtt: Micros) -> float:
    """RFC 9438 5.1, without the Reno-friendly region."""
    share = cubic.C * (3 + cubic.BETA) / (4 * (1 - cubic.BETA))
    return float(share**0.25 * (rtt / SECOND / p) ** 0.75)


def window(cc: str, p: float, rtt: Micros) -> float | None:
    """The response function of `cc`; None when we know none for it, or there is no loss."""
    if not p:
        return None
    if cc == "reno":
        return reno_window(p)
    return cubic_window(p, rtt) if cc == "cubic" else None


@cache
def by_rules(cc: str, p: float, rtt: Micros, even: bool = False, seed: int = 1) -> float | None:
    """The mean window of the same rules, followed round trip by round trip, when each segment is lost with chance `p`.

    `even`: every 1/p-th is. What is lost in one round trip, and in that of its recovery, is one loss to the rules. A
    model, not TCP: windows are real numbers, and nothing ever times out. None as for `window`.
    """
    if not p or cc not in ("reno", "cubic"):
        return None
    rng = Random(f"{seed} {cc}")
    curve = _Reno() if cc == "reno" else _Cubic(rtt / SECOND)
    segments = rounds = passed = 0.0
    for epoch in range(_EPOCHS + FORGOTTEN):
        if epoch == FORGOTTEN:
            segments = rounds = 0.0
        while passed <= 0:
            passed += 1 / p if even else rng.expovariate(p)
        while passed > curve.cwnd:
            passed -= curve.cwnd
            segments += curve.cwnd
            rounds += 1
            curve.grow()
        # `passed` into this round one is lost, and that is known as far into the next; then comes one of recovery
        rounds += 1 + passed / curve.cwnd + 1
        before = curve.cwnd
        curve.grow()
        curve.reduce()
        segments += before + passed + curve.cwnd
        passed -= before + passed + curve.cwnd
    return segments / rounds


class _Reno:
    """RFC 5681 3.1 and 3.2, a round trip at a time."""

    def __init__(self) -> None:
        self.cwnd = 10.0

    def grow(self) -> None:
        self.cwnd += 1

    def reduce(self) -> None:
        self.cwnd = max(self.cwnd / 2, 1)


class _Cubic:
    """RFC 9438 4.2-4.7, a round trip at a time."""

    def __init__(self, rtt: float) -> None:
        self.cwnd = 10.0
        self._rtt = rtt
        self._w_max = self._prior = 0.0
        self.reduce()

    def grow(self) -> None:
        self._t += self._rtt
        self._w_est += cubic.ALPHA if self._w_est < self._prior else 1.0
        curve = self._origin + cubic.C * (self._t - self._k) ** 3
        self.cwnd = max(self.cwnd, min(max(curve, self._w_est), 1.5 * self.cwnd))

    def reduce(self) -> None:
        self._prior = cwnd = self.cwnd
        smaller = round(cwnd) < round(self._w_max)  # as TCP sees it: else chance would have it whenever loss is even
        self._w_max = cwnd * (1 + cubic.BETA) / 2 if smaller else cwnd
        self.cwnd = self._w_est = max(cwnd * cubic.BETA, 1)
        self._t = 0.0
        self._origin = max(self._w_max, self.cwnd)
        self._k = ((self._origin - self.cwnd) / cubic.C) ** (1 / 3)


def rate(window: float, mss: Octets, rtt: Micros) -> float:
    """Bits of payload per second when `window` segments of `mss` are sent each `rtt`."""
    return window * mss * 8 * SECOND / rtt


def reno_with_timeouts(p: float, mss: Octets, rtt: Micros, rto: Micros, b: int = 1) -> float:
    """Padhye et al. 1998 as RFC 5348 3.1 has it: bits of payload per second, timeouts included."""
    recovery = rtt * sqrt(2 * b * p / 3)
    timeouts = rto * 3 * sqrt(3 * b * p / 8) * p * (1 + 32 * p * p)
    return mss * 8 * SECOND / (recovery + timeouts)
