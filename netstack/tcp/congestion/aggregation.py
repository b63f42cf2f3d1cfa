"""ACKs that come in bunches (as from Wi-Fi, or hosts that coalesce): how far they run ahead of the path's bandwidth."""

from netstack.tcp.congestion.policer import BW_UNIT
from netstack.tcp.rate import Sample
from netstack.units import Micros

_ROUNDS = 5
_RESET = 1 << 20
"""An epoch ends when so many segments were acknowledged in it."""


class Aggregation:
    """extra_acked and its epoch, in Linux's words: so much more in flight keeps the path full until the next bunch."""

    __slots__ = ("_acked", "_index", "_most", "_rounds", "_since")

    def __init__(self) -> None:
        self._most = [0, 0]
        """The largest excess of this window of rounds and of the last one."""
        self._index = self._rounds = 0
        self._since: Micros = 0
        self._acked = 0

    @property
    def excess(self) -> int:
        """Segments."""
        return max(self._most)

    def restart(self, now: Micros) -> None:
        """What comes from now on is counted afresh."""
        self._since, self._acked = now, 0

    def add(self, sample: Sample, bw: int, round_start: bool, cwnd: int) -> None:
        """Another ACK, while the path is believed to deliver `bw`."""
        if round_start:
            self._rounds += 1
            if self._rounds >= _ROUNDS:
                self._rounds = 0
                self._index ^= 1
                self._most[self._index] = 0
        expected = bw * (sample.delivered_at - self._since) // BW_UNIT
        if self._acked <= expected or self._acked + sample.acked >= _RESET:
            self.restart(sample.delivered_at)
            expected = 0
        self._acked += sample.acked
        excess = min(self._acked - expected, cwnd)
        if excess > self._most[self._index]:
            self._most[self._index] = excess
