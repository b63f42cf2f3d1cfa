"""HyStart++ (RFC 9406): leave slow start when the round-trip time begins to rise, before packets are lost.

Deviation: the limit L on growth per ACK (RFC 9406 4.2, for unpaced senders) is not applied, as in Linux: one ACK
stands for dozens of segments here, and receivers acknowledge them so.
"""

from typing import Protocol

from netstack.units import MILLISECOND, Micros

MIN_RTT_THRESH: Micros = 4 * MILLISECOND  # RFC 9406 4.3, all of these
MAX_RTT_THRESH: Micros = 16 * MILLISECOND
MIN_RTT_DIVISOR = 8
N_RTT_SAMPLE = 8
CSS_GROWTH_DIVISOR = 4
CSS_ROUNDS = 5
_NONE: Micros = 1 << 62


class Window(Protocol):
    """What slow start moves."""

    cwnd: int
    ssthresh: int


class HyStart:
    """RTT minima of this round and the last, and Conservative Slow Start."""

    __slots__ = ("_baseline", "_credit", "_css_rounds", "_current", "_last", "_samples")

    def __init__(self) -> None:
        self._last: Micros = _NONE
        self._current: Micros = _NONE
        self._samples = 0
        self._baseline: Micros = _NONE
        """RTT when Conservative Slow Start began; _NONE: not in it."""
        self._css_rounds = 0
        self._credit = 0

    def grow(self, acked: int, window: Window) -> int:
        """RFC 9406 4.2: cwnd by what was acknowledged, in Conservative Slow Start a quarter. Returns what it used."""
        room = window.ssthresh - window.cwnd
        if self._baseline == _NONE:
            grown = min(acked, room)
            window.cwnd += grown
            return grown
        self._credit += acked
        window.cwnd += min(self._credit // CSS_GROWTH_DIVISOR, room)
        self._credit %= CSS_GROWTH_DIVISOR
        return acked

    def on_rtt(self, rtt: Micros) -> None:
        """RFC 9406 4.2, with each sample of a round: has its minimum risen? Then go slower. Was that a false alarm?

        Not only at the round's end: by then the window has doubled once more.
        """
        if rtt < self._current:
            self._current = rtt
        self._samples += 1
        if self._samples < N_RTT_SAMPLE or self._last == _NONE:
            return
        if self._baseline == _NONE:
            threshold = max(MIN_RTT_THRESH, min(self._last // MIN_RTT_DIVISOR, MAX_RTT_THRESH))
            if self._current >= self._last + threshold:
                self._baseline = self._current
                self._css_rounds = 0
        elif self._current < self._baseline:
            self._baseline = _NONE

    def on_round(self, window: Window) -> None:
        """The end of a round: after CSS_ROUNDS of Conservative Slow Start, the first one counted too, that was it."""
        if self._baseline != _NONE:
            self._css_rounds += 1
            if self._css_rounds >= CSS_ROUNDS:
                window.ssthresh = window.cwnd
        self._last = self._current
        self._current = _NONE
        self._samples = 0
