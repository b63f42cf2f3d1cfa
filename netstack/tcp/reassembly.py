"""The receive buffer: octets in order for the user, and those beyond RCV.NXT that wait for a gap to fill.

Overlaps are resolved in favour of what arrived first, octet by octet (RFC 9293 3.10.7.4 leaves the choice; Linux and
most others keep the first copy). Positions are unwrapped sequence numbers.
"""

from bisect import bisect_right
from collections import deque

from netstack.units import Octets, Seq

Chunk = bytes | memoryview


class ReceiveBuffer:
    """In-order chunks (`ready` octets) and disjoint out-of-order blocks sorted by sequence number."""

    __slots__ = ("_blocks", "_chunks", "_lefts", "held", "out_of_order", "ready", "recent")

    def __init__(self) -> None:
        self._chunks: deque[Chunk] = deque()
        self.ready: Octets = 0
        """Octets in order that the user has not read."""
        self.held: Octets = 0
        """Octets beyond a gap."""
        self._lefts: list[Seq] = []
        self._blocks: list[bytes] = []
        self.out_of_order = 0
        """Segments that came with a gap before them, ever."""
        self.recent: list[tuple[Seq, Seq]] = []
        """SACK blocks, the one that changed last first (RFC 2018 4)."""

    def append(self, data: Chunk) -> None:
        """Octets that arrived exactly at RCV.NXT."""
        self._chunks.append(data)
        self.ready += len(data)

    def hold(self, seq: Seq, data: bytes) -> tuple[Seq, Seq] | None:
        """Octets beyond RCV.NXT. Returns the first range that was already held (for a D-SACK), or None."""
        left, right = seq, seq + len(data)
        lefts, blocks = self._lefts, self._blocks
        duplicate: tuple[Seq, Seq] | None = None
        self.out_of_order += 1
        i = bisect_right(lefts, left) - 1
        if i < 0:
            i = 0
        position = left
        while position < right:
            while i < len(lefts) and lefts[i] + len(blocks[i]) <= position:
                i += 1
            if i < len(lefts) and lefts[i] <= position:
                known = min(lefts[i] + len(blocks[i]), right)
                if duplicate is None:
                    duplicate = (position, known)
                position = known
                continue
            stop = min(right, lefts[i]) if i < len(lefts) else right
            lefts.insert(i, position)
            blocks.insert(i, data[position - left : stop - left])
            self.held += stop - position
            position = stop
        self._note(left, right)
        return duplicate

    def _note(self, left: Seq, right: Seq) -> None:
        """Put the range that now holds [left, right) first among the SACK blocks, merged with its neighbours.

        Usually it touches one of the recent ranges and nothing else, so that most of it need not be looked at.
        """
        lefts, blocks = self._lefts, self._blocks
        start, stop = left, right
        for a, b in self.recent:
            if a <= right and b >= left:
                start, stop = min(start, a), max(stop, b)
        i = bisect_right(lefts, start) - 1
        while i >= 0 and lefts[i] + len(blocks[i]) >= start:
            start = min(start, lefts[i])
            i -= 1
        i = bisect_right(lefts, stop - 1) - 1
        stop = max(stop, lefts[i] + len(blocks[i]))
        i += 1
        while i < len(lefts) and lefts[i] == stop:
            stop += len(blocks[i])
            i += 1
        self.recent = [(start, stop), *[(a, b) for a, b in self.recent if b < start or a > stop][:3]]

    def overlap(self, rcv_nxt: Seq) -> tuple[Seq, Seq] | None:
        """What was held already of the text that just took RCV.NXT to `rcv_nxt` (the first of it, for a D-SACK)."""
        left = self._lefts[0]
        return (left, min(left + len(self._blocks[0]), rcv_nxt)) if left < rcv_nxt else None

    def advance(self, rcv_nxt: Seq) -> Seq:
        """RCV.NXT reached `rcv_nxt`: move every block that now is in order to the user. Returns the new RCV.NXT."""
        lefts, blocks = self._lefts, self._blocks
        n = 0
        for n, left in enumerate(lefts):
            if left > rcv_nxt:
                break
            block = blocks[n]
            self.held -= len(block)
            if left + len(block) > rcv_nxt:
                self.append(block[rcv_nxt - left :])
                rcv_nxt = left + len(block)
        else:
            n = len(lefts)
        del lefts[:n], blocks[:n]
        self.recent = [(a, b) for a, b in self.recent if a > rcv_nxt]
        return rcv_nxt

    def prune(self) -> None:
        """Forget the out-of-order octets: memory is short, and the peer still has them (RFC 2018 8, reneging)."""
        self._lefts.clear()
        self._blocks.clear()
        self.recent.clear()
        self.held = 0

    @property
    def gaps(self) -> bool:
        """True while something beyond RCV.NXT is held."""
        return bool(self._lefts)

    @property
    def highest(self) -> Seq:
        """One past the highest octet held out of order; only when `gaps`."""
        return self._lefts[-1] + len(self._blocks[-1])

    def blocks(self) -> list[tuple[Seq, Seq]]:
        """Every out-of-order range, merged, in order: what `check` and tests look at."""
        merged: list[tuple[Seq, Seq]] = []
        for left, block in zip(self._lefts, self._blocks, strict=True):
            if merged and merged[-1][1] == left:
                merged[-1] = (merged[-1][0], left + len(block))
            else:
                merged.append((left, left + len(block)))
        return merged

    def read(self, limit: Octets) -> bytes:
        """Up to `limit` octets in order, at least one chunk joined with no more copies than needed."""
        chunks = self._chunks
        if not chunks:
            return b""
        if limit >= self.ready:
            data = b"".join(chunks) if len(chunks) > 1 or type(chunks[0]) is not bytes else chunks[0]
            chunks.clear()
            self.ready = 0
            return data
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
        for chunk in self._chunks:
            if limit <= 0:
                break
            parts.append(chunk[:limit])
            limit -= len(chunk)
        return b"".join(parts)

    def check(self, rcv_nxt: Seq) -> None:
        """Assert the invariants: blocks disjoint, sorted, beyond RCV.NXT; counts true."""
        position = rcv_nxt
        for left, block in zip(self._lefts, self._blocks, strict=True):
            assert block
            assert left >= position, "blocks overlap, or lie at RCV.NXT"
            position = left + len(block)
        assert not self._lefts or self._lefts[0] > rcv_nxt
        assert self.held == sum(map(len, self._blocks))
        assert self.ready == sum(map(len, self._chunks))
