"""The largest of what was seen lately: a maximum over a sliding window of rounds."""

from collections import deque


class MaxFilter:
    """Maximum of the values of this round and the `rounds` before it; 0 when there are none.

    Kept are only those that may still become the maximum: newer ones that are smaller. Linux keeps the best three of
    each window's parts, which is nearly the same.
    """

    __slots__ = ("_kept", "_rounds", "best")

    def __init__(self, rounds: int) -> None:
        self._rounds = rounds
        self._kept: deque[tuple[int, int]] = deque()
        self.best = 0

    def add(self, value: int, now: int) -> None:
        """`value` was seen in round `now`, which never goes back."""
        kept = self._kept
        while kept and kept[-1][1] <= value:
            kept.pop()
        kept.append((now, value))
        while now - kept[0][0] > self._rounds:
            kept.popleft()
        self.best = kept[0][1]
