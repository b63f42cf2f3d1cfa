"""Sets of integers held as disjoint half-open ranges: which octets are SACKed, have arrived, wait to be sent again."""

from bisect import bisect_left, bisect_right
from collections.abc import Iterable, Iterator

Range = tuple[int, int]
"""[left, right), as in a SACK block: `right` is the first integer that is not in it."""


class RangeSet:
    """A set of ints in ascending, disjoint ranges that never touch (touching ones are joined).

    Finding costs a bisection over the number of ranges, not over the integers in them. Changing methods return by
    how many integers the set grew or shrank, which is what SACK accounting needs.
    """

    __slots__ = ("_lefts", "_rights", "octets")

    def __init__(self, ranges: Iterable[Range] = ()) -> None:
        self._lefts: list[int] = []
        self._rights: list[int] = []
        self.octets = 0
        """How many integers are in the set. Read only."""
        for left, right in ranges:
            self.add(left, right)

    def add(self, left: int, right: int) -> int:
        """Put [left, right) in; the number of integers that were not there before. ValueError when left > right."""
        lefts, rights = self._lefts, self._rights
        if left >= right:
            return _empty(left, right)
        if not rights or left > rights[-1]:  # beyond everything: the usual place for news
            lefts.append(left)
            rights.append(right)
            self.octets += right - left
            return right - left
        first = bisect_left(rights, left)
        last = bisect_right(lefts, right)  # ranges first..last-1 overlap or touch
        grown = right - left
        if first < last:
            left = min(left, lefts[first])
            right = max(right, rights[last - 1])
            grown = right - left - sum(rights[first:last]) + sum(lefts[first:last])
        lefts[first:last] = (left,)
        rights[first:last] = (right,)
        self.octets += grown
        return grown

    def subtract(self, left: int, right: int) -> int:
        """Take [left, right) out; the number of integers that were there. ValueError when left > right."""
        lefts, rights = self._lefts, self._rights
        if left >= right:
            return _empty(left, right)
        first = bisect_right(rights, left)
        last = bisect_left(lefts, right)  # ranges first..last-1 overlap
        if first >= last:
            return 0
        shrunk = sum(rights[first:last]) - sum(lefts[first:last])
        keep_lefts: list[int] = []
        keep_rights: list[int] = []
        if lefts[first] < left:
            keep_lefts.append(lefts[first])
            keep_rights.append(left)
        if rights[last - 1] > right:
            keep_lefts.append(right)
            keep_rights.append(rights[last - 1])
        shrunk -= sum(keep_rights) - sum(keep_lefts)
        lefts[first:last] = keep_lefts
        rights[first:last] = keep_rights
        self.octets -= shrunk
        return shrunk

    def discard_below(self, left: int) -> int:
        """Take out everything below `left` (a cumulative ACK); the number of integers that were there."""
        return self.subtract(self._lefts[0], left) if self._lefts and self._lefts[0] < left else 0

    def clear(self) -> None:
        """Take everything out."""
        self._lefts.clear()
        self._rights.clear()
        self.octets = 0

    def __contains__(self, value: int) -> bool:
        at = bisect_right(self._lefts, value) - 1
        return at >= 0 and value < self._rights[at]

    def covers(self, left: int, right: int) -> bool:
        """Whether all of [left, right) is in the set; nothing at all always is."""
        at = bisect_right(self._lefts, left) - 1
        return left >= right or (at >= 0 and right <= self._rights[at])

    def range_at(self, value: int) -> Range | None:
        """The range that contains `value`, or None."""
        at = bisect_right(self._lefts, value) - 1
        return (self._lefts[at], self._rights[at]) if at >= 0 and value < self._rights[at] else None

    def first_gap(self, left: int, right: int) -> Range | None:
        """The first stretch of [left, right) that is not in the set, or None when all of it is."""
        lefts, rights = self._lefts, self._rights
        at = bisect_right(rights, left)
        if at < len(lefts) and lefts[at] <= left:
            left = rights[at]
            at += 1
        if left >= right:
            return None
        return left, min(right, lefts[at]) if at < len(lefts) else right

    def gaps(self, left: int, right: int) -> Iterator[Range]:
        """Every stretch of [left, right) that is not in the set, ascending. The set must not change meanwhile."""
        gap = self.first_gap(left, right)
        while gap is not None:
            yield gap
            gap = self.first_gap(gap[1], right)

    @property
    def left(self) -> int:
        """The smallest integer. IndexError when empty."""
        return self._lefts[0]

    @property
    def right(self) -> int:
        """One more than the largest integer. IndexError when empty."""
        return self._rights[-1]

    def __iter__(self) -> Iterator[Range]:
        """The ranges, ascending."""
        return zip(self._lefts, self._rights, strict=True)

    def __getitem__(self, index: int) -> Range:
        """The range at `index` in ascending order; -1 is the last. IndexError beyond."""
        return self._lefts[index], self._rights[index]

    def __len__(self) -> int:
        """The number of ranges, not of integers."""
        return len(self._lefts)

    def __bool__(self) -> bool:
        return bool(self._lefts)

    def __eq__(self, other: object) -> bool:
        if not isinstance(other, RangeSet):
            return NotImplemented
        return self._lefts == other._lefts and self._rights == other._rights

    __hash__ = None  # type: ignore[assignment]

    def __repr__(self) -> str:
        return f"RangeSet({list(self)})"


def _empty(left: int, right: int) -> int:
    if left > right:
        raise ValueError(f"the range [{left}, {right}) ends before it begins")
    return 0
