"""BBR's long-term bandwidth sampling: finds the rate of a token-bucket policer, which drops whatever is above it.

A policer lets bursts pass, so the largest delivery rate seen is not what lasts. Two stretches of loss in a row with
the same throughput, losses of a fifth and more in both, mean that there is one: for a while its rate is believed.
"""

from netstack.tcp.rate import Sample
from netstack.units import SECOND, Micros

BW_UNIT = 1 << 24
"""Bandwidths are segments per microsecond times this, as in Linux: integers, and exact enough."""
MIN_ROUNDS = 4
LOSS_THRESHOLD = 50
"""Lost of 256 delivered."""
_SAME = 8
"""Bandwidths that differ by no more than an eighth are the same."""
_SAME_OCTETS = 4_000 // 8
"""... or by so many octets a second."""
BELIEVED_ROUNDS = 48
_MILLISECOND = 1_000


class Policer:
    """lt_bw and its interval, in Linux's words."""

    __slots__ = ("_delivered", "_lost", "_sampling", "_since", "bw", "rounds", "used")

    def __init__(self) -> None:
        self.bw = 0
        self.used = False
        """`bw` is the policer's rate."""
        self.rounds = 0
        """Of this interval, or, while it is used, since it is believed."""
        self._sampling = False
        self._delivered = self._lost = 0
        self._since: Micros = 0

    def reset(self, sample: Sample) -> None:
        """Forget what was seen."""
        self.bw = 0
        self.used = self._sampling = False
        self._begin(sample)

    def _begin(self, sample: Sample) -> None:
        self._since = sample.delivered_at
        self._delivered, self._lost = sample.total_delivered, sample.total_lost
        self.rounds = 0

    def look(self, sample: Sample, losses: int, round_start: bool) -> bool:
        """Another ACK, or a timeout. True: from now on `bw` is to be used."""
        if not self._sampling:
            if not losses:
                return False
            self._begin(sample)  # at a loss the bucket is empty
            self._sampling = True
        if sample.app_limited:
            self.reset(sample)
            return False
        self.rounds += round_start
        if self.rounds < MIN_ROUNDS:
            return False
        if self.rounds > 4 * MIN_ROUNDS:
            self.reset(sample)
            return False
        if not losses:
            return False
        lost, delivered = sample.total_lost - self._lost, sample.total_delivered - self._delivered
        if not delivered or lost << 8 < LOSS_THRESHOLD * delivered:
            return False
        elapsed = (sample.delivered_at - self._since) // _MILLISECOND * _MILLISECOND
        if elapsed < _MILLISECOND:
            return False
        return self._interval_done(delivered * BW_UNIT // elapsed, sample)

    def _interval_done(self, bw: int, sample: Sample) -> bool:
        if self.bw:
            apart = abs(bw - self.bw)
            if apart * _SAME <= self.bw or apart * sample.mss * SECOND // BW_UNIT <= _SAME_OCTETS:
                self.bw = (bw + self.bw) >> 1
                self.used = True
                self.rounds = 0
                return True
        self.bw = bw
        self._begin(sample)
        return False
