"""The smallest round-trip time of the last minutes, for a path may become longer (RFC 8985 6.2: a windowed minimum).

Three samples do for a sliding window (Nichols's filter, as Linux has it): the smallest, the smallest since that one,
and the smallest since the second. When the first is too old, the others move up.
"""

from netstack.units import Micros

NEVER: Micros = 1 << 62
Sample = tuple[Micros, Micros]
"""A round-trip time, and when it was measured."""


class MinRtt:
    """A sample below `ask_below`, or after `ask_from`, is one to `take`; any other changes nothing."""

    __slots__ = ("_best", "_second", "_third", "ask_below", "ask_from", "window")

    def __init__(self, window: Micros) -> None:
        self.window: Micros = window
        """How far back samples count."""
        self._best: Sample = (0, -1)
        self._second: Sample = self._best
        self._third: Sample = self._best
        self.ask_below: Micros = NEVER
        self.ask_from: Micros = NEVER

    def take(self, rtt: Micros, now: Micros) -> Micros:
        """Returns the minimum, this sample included."""
        new = (max(rtt, 1), now)
        if self.ask_below == NEVER or new[0] <= self._best[0] or now - self._third[1] > self.window:
            self._best = self._second = self._third = new
        else:
            if new[0] <= self._second[0]:
                self._second = self._third = new
            elif new[0] <= self._third[0]:
                self._third = new
            self._move_up(new)
        self.ask_below = self._third[0] if self._third[0] > 1 else 0  # nothing is less than 1
        self.ask_from = self._best[1] + self._patience()
        return self._best[0]

    def _move_up(self, new: Sample) -> None:
        age = new[1] - self._best[1]
        if age > self.window:
            self._best, self._second, self._third = self._second, self._third, new
            if new[1] - self._best[1] > self.window:
                self._best, self._second, self._third = self._second, self._third, new
        elif age > self._patience():
            if self._second[1] == self._best[1]:
                self._second = new
            self._third = new

    def _patience(self) -> Micros:
        """How old the best may be before there is something to do: a second sample after a quarter of the window, a
        third one after half of it, and after all of it the best is too old."""
        if self._second[1] == self._best[1]:
            return self.window >> 2
        return self.window >> 1 if self._third[1] == self._second[1] else self.window
