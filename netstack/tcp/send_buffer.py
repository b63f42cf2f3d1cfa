"""The send buffer: octets from SND.UNA on, kept until they are acknowledged (RFC 9293 3.7, 3.8.1).

Chunks are immutable and kept by reference; an ACK only moves an index. Positions are sequence numbers.
"""

from bisect import bisect_right

from netstack.units import Octets, Seq

_COMPACT = 64
_SMALL = 1024
"""Below this a copied slice is cheaper than a memoryview."""


class SendBuffer:
    """The octets `[start, end)` of the stream; `start` is the first one not acknowledged yet."""

    __slots__ = ("_head", "_starts", "chunks", "end", "grown", "start")

    def __init__(self, start: Seq) -> None:
        self.start: Seq = start
        self.end: Seq = start
        self.grown: Octets = 0
        """The most that auto-tuning has allowed so far."""
        self.chunks: list[bytes] = []
        """What is kept, the oldest first; below an index that `acknowledge` knows, nothing any more."""
        self._starts: list[Seq] = []
        self._head = 0

    def __len__(self) -> Octets:
        return self.end - self.start

    def append(self, data: bytes) -> None:
        """Add octets at the end. `data` must not be empty."""
        self.chunks.append(data)
        self._starts.append(self.end)
        self.end += len(data)

    def read(self, seq: Seq, length: Octets) -> bytes | memoryview:
        """The `length` octets from `seq` on; the caller keeps `start <= seq` and `seq + length <= end`."""
        starts = self._starts
        i = bisect_right(starts, seq, self._head) - 1
        offset = seq - starts[i]
        chunk = self.chunks[i]
        if offset + length <= len(chunk):
            if not offset and length == len(chunk):
                return chunk
            return chunk[offset : offset + length] if length < _SMALL else memoryview(chunk)[offset : offset + length]
        parts: list[bytes | memoryview] = [memoryview(chunk)[offset:]]
        missing = length - (len(chunk) - offset)
        while missing:
            i += 1
            chunk = self.chunks[i]
            if len(chunk) > missing:
                parts.append(memoryview(chunk)[:missing])
                break
            parts.append(chunk)
            missing -= len(chunk)
        return b"".join(parts)

    def acknowledge(self, una: Seq) -> None:
        """Octets below `una` have arrived; forget them."""
        if una >= self.end:
            self.start = self.end
            self.chunks.clear()
            self._starts.clear()
            self._head = 0
            return
        self.start = una
        starts, head = self._starts, self._head
        last = len(starts) - 1
        while head < last and starts[head + 1] <= una:
            self.chunks[head] = b""  # the chunk is released now; the empty slot goes with the next compaction
            head += 1
        if head >= _COMPACT:
            del starts[:head], self.chunks[:head]
            head = 0
        self._head = head

    def clear(self) -> None:
        """Forget everything (the connection was aborted)."""
        self.acknowledge(self.end)
