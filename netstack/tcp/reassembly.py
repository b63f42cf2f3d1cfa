"""The receive buffer: octets in order for the user, and those beyond RCV.NXT that wait for a gap to fill.

Overlaps are resolved in favour of what arrived first, octet by octet (RFC 9293 3.10.7.4 leaves the choice; Linux and
most others keep the first copy). Positions are unwrapped sequence numbers.

Memory stays near the octet count whatever the segments' sizes: many small chunks are joined (Linux's "collapsing"),
and `charge` tells what is held with its overhead, so that the connection can bound it and `prune` what lies farthest.
"""

from bisect import bisect_right
from collections import deque
from collections.abc import Callable

from netstack.units import Octets, Seq

Chunk = bytes | memoryview

CHUNK_COST: Octets = 64
"""What CPython spends on a chunk beyond its octets: the object, its slot."""
RANGE_COST: Octets = 320
"""What it spends on a range beyond a gap: the object, its list, its numbers, their slots."""
SMALL: Octets = 256
"""Chunks smaller than this, when there are many, are joined: from here on the overhead is a quarter at most."""
_FEW = 32
"""Chunks that are left alone, however small."""
_MOST_BLOCKS = 4
_EXPECTED_BLOCKS = 2
"""A SACK block beyond these may not fit an ACK any more when the next one comes."""


class Range:
    """Octets [left, right) beyond a gap, in chunks that follow each other."""

    __slots__ = ("left", "parts", "right")

    def __init__(self, left: Seq) -> None:
        self.left: Seq = left
        self.right: Seq = left
        self.parts: list[bytes] = []


class ReceiveBuffer:
    """In-order chunks (`ready` octets) and disjoint out-of-order ranges sorted by sequence number."""

    __slots__ = ("_lefts", "_parts", "_ranges", "before_change", "chunks", "held", "out_of_order", "ready", "recent")

    def __init__(self) -> None:
        self.chunks: deque[Chunk] = deque()
        """Octets in order, `ready` of them."""
        self.ready: Octets = 0
        """Octets in order that the user has not read."""
        self.held: Octets = 0
        """Octets beyond a gap."""
        self._ranges: list[Range] = []
        self._lefts: list[Seq] = []
        self._parts = 0
        self.out_of_order = 0
        """Segments that came with a gap before them, ever."""
        self.recent: list[tuple[Seq, Seq]] = []
        """SACK blocks, the one that changed last first (RFC 2018 4)."""
        self.before_change: Callable[[], object] | None = None
        """To be called before chunks in order are split or joined."""

    @property
    def charge(self) -> Octets:
        """What all this takes, overhead included."""
        return (
            self.ready + self.held + CHUNK_COST * (len(self.chunks) + self._parts) + RANGE_COST * len(self._ranges)
        )

    # -- in order ------------------------------------------------------------------------------------------------------

    def append(self, data: Chunk) -> None:
        """Octets that arrived exactly at RCV.NXT."""
        self.chunks.append(data)
        self.ready += len(data)

    def join_small(self) -> int:
        """Join chunks that are many for what they hold. Returns how many that were; each octet is copied rarely."""
        chunks = self.chunks
        count = len(chunks)
        if count <= _FEW + self.ready // SMALL:
            return 0
        if self.before_change is not None:
            self.before_change()
        joined = b"".join(chunks)
        chunks.clear()
        chunks.append(joined)
        return count

    def collapse(self) -> int:
        """Join whatever is in pieces. Returns how many those were."""
        joined = self.join_small()
        for target in self._ranges:
            count = len(target.parts)
            if count > 1:
                target.parts = [b"".join(target.parts)]
                self._parts -= count - 1
                joined += count
        return joined

    # -- beyond a gap --------------------------------------------------------------------------------------------------

    def hold(self, seq: Seq, data: bytes, fin: int = 0) -> None:
        """Octets beyond RCV.NXT; `fin`: 1 if the peer's FIN follows them."""
        self.out_of_order += 1
        right = seq + len(data)
        if data:
            self._insert(seq, right, data)
        self._note(seq, right + fin)

    def _insert(self, left: Seq, right: Seq, data: bytes) -> None:
        lefts, ranges = self._lefts, self._ranges
        i = bisect_right(lefts, left) - 1
        if i >= 0 and ranges[i].right >= left:
            target = ranges[i]
        else:
            i += 1
            target = Range(left)
            ranges.insert(i, target)
            lefts.insert(i, left)
        while target.right < right:
            following = ranges[i + 1] if i + 1 < len(ranges) else None
            stop = right if following is None else min(right, following.left)
            if stop > target.right:
                target.parts.append(data[target.right - left : stop - left])
                self._parts += 1
                self.held += stop - target.right
                target.right = stop
            if following is None or following.left > stop:
                break
            target.parts += following.parts
            target.right = following.right
            del ranges[i + 1], lefts[i + 1]
        if right - left < SMALL:
            self._join_parts(target)

    def _join_parts(self, target: Range) -> None:
        count = len(target.parts)
        if count > _FEW + (target.right - target.left) // SMALL:
            target.parts = [b"".join(target.parts)]
            self._parts -= count - 1

    def comes_late(self, left: Seq, right: Seq) -> bool:
        """[left, right) touches none of the first two SACK blocks: an ACK that waits for more should leave before."""
        return not any(left <= b and a <= right for a, b in self.recent[:_EXPECTED_BLOCKS]) and (
            len(self.recent) >= _EXPECTED_BLOCKS
        )

    def _note(self, left: Seq, right: Seq) -> None:
        """[left, right) arrived: its SACK block comes first, joined with those that it touches (RFC 2018 4).

        Deviation: this goes by the blocks that are remembered, four at most, as in Linux; a range that was forgotten
        comes back in pieces.
        """
        blocks = self.recent
        at = next((i for i, (a, b) in enumerate(blocks) if left <= b and a <= right), None)
        if at is None:
            del blocks[_MOST_BLOCKS - 1 :]
        else:
            a, b = blocks.pop(at)
            left, right = min(a, left), max(b, right)
            for a, b in blocks.copy():
                if left <= b and a <= right:
                    left, right = min(a, left), max(b, right)
                    blocks.remove((a, b))
        blocks.insert(0, (left, right))

    def advance(self, rcv_nxt: Seq) -> Seq:
        """RCV.NXT reached `rcv_nxt`: move every range that now is in order to the user. Returns the new RCV.NXT."""
        ranges, chunks = self._ranges, self.chunks
        n = 0
        for target in ranges:
            if target.left > rcv_nxt:
                break
            n += 1
            self._parts -= len(target.parts)
            self.held -= target.right - target.left
            known = rcv_nxt - target.left
            rcv_nxt = max(rcv_nxt, target.right)
            for part in target.parts:
                if known >= len(part):
                    known -= len(part)
                    continue
                chunk = part[known:] if known else part
                known = 0
                chunks.append(chunk)
                self.ready += len(chunk)
        if n:
            del ranges[:n], self._lefts[:n]
        return rcv_nxt

    def forget_blocks(self, rcv_nxt: Seq, all_filled: bool) -> None:
        """SACK blocks that RCV.NXT has reached say nothing any more; none does when no gap is left."""
        self.recent = [] if all_filled else [(a, b) for a, b in self.recent if a > rcv_nxt]

    def cut(self, end: Seq) -> None:
        """Forget octets beyond a gap from `end` on, and what SACK said (RFC 2018 8, reneging)."""
        ranges = self._ranges
        while ranges and ranges[-1].right > end:
            target = ranges[-1]
            self.held -= target.right - target.left
            self._parts -= len(target.parts)
            if target.left >= end:
                ranges.pop()
                self._lefts.pop()
                continue
            target.parts = [b"".join(target.parts)[: end - target.left]]
            target.right = end
            self.held += end - target.left
            self._parts += 1
        self.recent = []

    def prune(self, goal: Octets = 0) -> None:
        """Forget octets beyond a gap, the farthest first, until `charge` is `goal` at most.

        Memory is short, and the peer still has them (RFC 2018 8, reneging). A goal of 0 leaves none.
        """
        ranges = self._ranges
        if not ranges:
            return
        while ranges and self.charge > goal:
            target = ranges.pop()
            self._lefts.pop()
            self._parts -= len(target.parts)
            self.held -= target.right - target.left
        end = ranges[-1].right if ranges else 0
        self.recent = [(a, b) for a, b in self.recent if b <= end]

    @property
    def gaps(self) -> bool:
        """True while something beyond RCV.NXT is held."""
        return bool(self._ranges)

    @property
    def highest(self) -> Seq:
        """One past the highest octet held out of order; only when `gaps`."""
        return self._ranges[-1].right

    def blocks(self) -> list[tuple[Seq, Seq]]:
        """Every out-of-order range, in order: what `check` and tests look at."""
        return [(target.left, target.right) for target in self._ranges]

    def octets(self, left: Seq) -> bytes:
        """What the out-of-order range that begins at `left` holds."""
        return b"".join(self._ranges[self._lefts.index(left)].parts)

    # -- the user ------------------------------------------------------------------------------------------------------

    def read(self, limit: Octets) -> bytes:
        """Up to `limit` octets in order, at least one chunk joined with no more copies than needed."""
        chunks = self.chunks
        if limit >= self.ready:
            self.ready = 0
            if len(chunks) == 1:
                return bytes(chunks.pop())  # itself, if it is bytes
            data = b"".join(chunks)
            chunks.clear()
            return data
        if self.before_change is not None:
            self.before_change()
        parts: list[Chunk] = []
        missing = limit
        while missing:
            chunk = chunks.popleft()
            if len(chunk) > missing:
                view = memoryview(chunk)
                chunks.appendleft(view[missing:])
                chunk = view[:missing]
            parts.append(chunk)
            missing -= len(chunk)
        self.ready -= limit
        return b"".join(parts)

    def peek(self, limit: Octets) -> bytes:
        """Like `read`, but leaves the octets where they are (MSG_PEEK)."""
        parts: list[Chunk] = []
        for chunk in self.chunks:
            if limit <= 0:
                break
            parts.append(chunk[:limit])
            limit -= len(chunk)
        return b"".join(parts)

    def check(self, rcv_nxt: Seq) -> None:
        """Assert the invariants: ranges apart, sorted, beyond RCV.NXT; counts true."""
        position = rcv_nxt
        for left, target in zip(self._lefts, self._ranges, strict=True):
            assert left == target.left < target.right
            assert left > position, "ranges touch, or lie at RCV.NXT"
            assert all(target.parts)
            assert sum(map(len, target.parts)) == target.right - left
            position = target.right
        assert self.held == sum(target.right - target.left for target in self._ranges)
        assert self._parts == sum(len(target.parts) for target in self._ranges)
        assert self.ready == sum(map(len, self.chunks))
