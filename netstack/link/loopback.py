"""A link in memory: two devices back to back. What one writes, the other reads, in order, with no delay."""

from collections import deque
from collections.abc import Callable, Iterator

from netstack.counters import Tally
from netstack.link.device import GSO_NONE, MAX_FRAME, NEEDS_CSUM, VNET_LEN
from netstack.units import Micros, Octets
from netstack.wire import ethernet


class LoopbackDevice:
    """One end of a `LoopbackPair`, a Device.

    `wake`, when set, is called with no arguments as soon as a frame waits here that did not before: an event
    loop has no file descriptor to watch. `drops` counts what the link lost, by reason: queue_full, too_long, closed.
    """

    __slots__ = ("_frames", "_limit", "_since", "closed", "drops", "mtu", "offload", "peer", "wake")

    peer: "LoopbackDevice"

    def __init__(self, mtu: Octets, offload: bool, limit: int) -> None:
        self.mtu = mtu
        self.offload = offload
        self.wake: Callable[[], None] | None = None
        self.drops = Tally()
        self.closed = False
        self._limit = limit
        self._frames: deque[bytes] = deque()
        self._since: Micros = 0

    def read(self, now: Micros) -> bytes | None:
        """The oldest frame that the other end wrote, or None."""
        return self._frames.popleft() if self._frames else None

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        """Queue `head + payload` at the other end, joined; dropped and counted when that queue is full.

        Raises ValueError for a frame that needs offload on a link without it: no such frame may leave the stack.
        """
        frame = b"".join((head, payload))
        if (frame[0] & NEEDS_CSUM or frame[1] != GSO_NONE) and not self.offload:
            raise ValueError("frame with NEEDS_CSUM or GSO written to a link without offload")
        if len(frame) > (MAX_FRAME if frame[1] != GSO_NONE else VNET_LEN + ethernet.HEADER_LEN + self.mtu):
            self.drops["loopback.too_long"] += 1
        elif self.closed or self.peer.closed:
            self.drops["loopback.closed"] += 1
        else:
            self.peer._arrive(frame, now)

    def _arrive(self, frame: bytes, now: Micros) -> None:
        if len(self._frames) >= self._limit:
            self.drops["loopback.queue_full"] += 1
            return
        self._frames.append(frame)
        if len(self._frames) == 1:
            self._since = now
            if self.wake is not None:
                self.wake()

    def deadline(self) -> Micros | None:
        """The time at which the queue stopped being empty while frames wait; else None."""
        return self._since if self._frames else None

    def expire(self, now: Micros) -> None:
        """Nothing is ever due here."""

    def fileno(self) -> int:
        """-1: there is nothing to watch; see `wake` and `deadline`."""
        return -1

    def close(self) -> None:
        """Unplug this end: frames that wait are lost, and so is whatever either end writes from now on."""
        self.closed = True
        self._frames.clear()


class LoopbackPair:
    """Two devices joined by a link in memory: `left, right = LoopbackPair()`.

    `mtu` in octets of IP packet; `offload` lets super-segments and partial checksums pass as they are, in both
    directions; `limit` bounds the frames that wait at each end.
    """

    __slots__ = ("left", "right")

    def __init__(self, mtu: Octets = 1500, offload: bool = False, limit: int = 1024) -> None:
        self.left = LoopbackDevice(mtu, offload, limit)
        self.right = LoopbackDevice(mtu, offload, limit)
        self.left.peer, self.right.peer = self.right, self.left

    def __iter__(self) -> Iterator[LoopbackDevice]:
        return iter((self.left, self.right))
