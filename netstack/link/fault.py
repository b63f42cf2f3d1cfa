"""A device around a device with an imperfect path in between: loss, delay, reordering, duplication, corruption, rate.

Everything happens in the stack's time and by the random numbers handed in: the same seed and the same frames at the
same times give the same octets at the same times.

A frame on its way through a `Line`, in this order: lost? a bit flipped? sent twice? Then it queues for the line's
rate, or is dropped when the queue is full; then it travels for the delay and the jitter; and now and then one is held
back longer, so that those behind it arrive first.
"""

from collections import deque
from collections.abc import Callable
from dataclasses import dataclass
from heapq import heappop, heappush
from typing import Protocol

from netstack.counters import Tally
from netstack.link.device import GSO_NONE, NEEDS_CSUM, NO_OFFLOAD, VNET_LEN, Device
from netstack.units import MILLISECOND, SECOND, Micros, Octets
from netstack.wire import ethernet

READ_BURST = 64
"""Frames taken from the inner device per `read`: whoever floods it must not keep us from everything else."""
MAX_HELD = 65_536
"""Frames on their way in one direction, about 100 MB of them; more are dropped as by a full queue."""
NANOSECONDS_PER_MICRO = 1_000


class Random(Protocol):
    """The two methods of `random.Random` that are used here."""

    def random(self) -> float:
        """In [0, 1)."""
        ...

    def randrange(self, stop: int, /) -> int:
        """In 0 .. stop - 1."""
        ...


@dataclass(frozen=True, slots=True)
class Faults:
    """What a path does in one direction. Probabilities are per frame, 0 to 1; the default is a perfect path."""

    loss: float = 0.0
    corrupt: float = 0.0
    """One bit of the IP packet is flipped. ARP is left alone: no checksum protects it, and no router forwards it."""
    duplicate: float = 0.0
    """A second copy follows immediately."""
    delay: Micros = 0
    jitter: Micros = 0
    """Up to this much is added to the delay of each frame, evenly spread. Does not reorder: later frames wait."""
    reorder: float = 0.0
    """The frame is held for `reorder_by` longer, and does not hold up those behind it."""
    reorder_by: Micros = 5 * MILLISECOND
    rate: int = 0
    """Bits per second of Ethernet frames without preamble and FCS; 0: no limit."""
    queue_frames: int = 1_000
    """How many frames may wait for the rate, the one being sent included; more are dropped (drop-tail)."""
    queue_octets: Octets = 0
    """The same in octets of Ethernet frames; 0: no such limit."""

    def __post_init__(self) -> None:
        for name in ("loss", "corrupt", "duplicate", "reorder"):
            if not 0 <= getattr(self, name) <= 1:
                raise ValueError(f"{name} is a probability, 0 to 1, not {getattr(self, name)}")
        for name in ("delay", "jitter", "reorder_by", "rate", "queue_octets"):
            if getattr(self, name) < 0:
                raise ValueError(f"{name} cannot be negative: {getattr(self, name)}")
        if self.queue_frames < 1:
            raise ValueError(f"queue_frames must be at least 1, not {self.queue_frames}")


class Line:
    """One direction of the path: takes frames, and gives them back when they are due.

    `faults` may be replaced at any time (a partition: `line.faults = Faults(loss=1)`); frames on their way stay on it.
    `counts` says what became of the frames: sent, lost, corrupted, duplicated, reordered, queue_full, delivered.
    """

    __slots__ = ("_free_ns", "_held", "_latest", "_order", "_queue", "_queued", "_rng", "counts", "faults")

    def __init__(self, faults: Faults, rng: Random) -> None:
        self.faults = faults
        self.counts = Tally()
        self._rng = rng
        self._held: list[tuple[Micros, int, bytes]] = []
        self._order = 0
        self._latest: Micros = 0  # when the last frame arrives that was not held back
        self._free_ns = 0  # when the sender has sent all that waits; nanoseconds, for fast lines
        self._queue: deque[tuple[int, Octets]] = deque()  # (gone at, in nanoseconds, octets)
        self._queued: Octets = 0

    def send(self, frame: bytes, now: Micros) -> None:
        """Put a frame on the line. No random number is drawn for a fault that is switched off."""
        faults, counts, rng = self.faults, self.counts, self._rng
        counts["sent"] += 1
        if faults.loss and rng.random() < faults.loss:
            counts["lost"] += 1
            return
        if faults.corrupt and rng.random() < faults.corrupt:
            frame = self._corrupted(frame)
        copies = 1
        if faults.duplicate and rng.random() < faults.duplicate:
            counts["duplicated"] += 1
            copies = 2
        for _ in range(copies):
            gone_at = self._enqueue(len(frame) - VNET_LEN, now)
            if gone_at is None:
                counts["queue_full"] += 1
            else:
                self._travel(frame, gone_at)

    def _corrupted(self, frame: bytes) -> bytes:
        at = VNET_LEN + ethernet.HEADER_LEN
        if len(frame) <= at or frame[at - 2 : at] not in (ethernet.IPV4, ethernet.IPV6):
            return frame
        self.counts["corrupted"] += 1
        bit = self._rng.randrange((len(frame) - at) * 8)
        damaged = bytearray(frame)
        damaged[at + bit // 8] ^= 1 << bit % 8
        damaged[:VNET_LEN] = NO_OFFLOAD  # a device's word that the checksum is valid no longer holds
        return bytes(damaged)

    def _enqueue(self, octets: Octets, now: Micros) -> Micros | None:
        """When the last bit of a frame will have been sent; None when the queue is full."""
        if len(self._held) >= MAX_HELD:
            return None
        faults, queue = self.faults, self._queue
        now_ns = now * NANOSECONDS_PER_MICRO
        while queue and queue[0][0] <= now_ns:
            self._queued -= queue.popleft()[1]
        if not faults.rate:
            return now
        if len(queue) >= faults.queue_frames or 0 < faults.queue_octets < self._queued + octets:
            return None
        self._free_ns = max(self._free_ns, now_ns) + octets * 8 * SECOND * NANOSECONDS_PER_MICRO // faults.rate
        queue.append((self._free_ns, octets))
        self._queued += octets
        return -(-self._free_ns // NANOSECONDS_PER_MICRO)

    def _travel(self, frame: bytes, gone_at: Micros) -> None:
        faults, rng = self.faults, self._rng
        due = gone_at + faults.delay + (rng.randrange(faults.jitter + 1) if faults.jitter else 0)
        due = max(due, self._latest)
        if faults.reorder and rng.random() < faults.reorder:
            self.counts["reordered"] += 1
            due += faults.reorder_by
        else:
            self._latest = due
        self._order += 1
        heappush(self._held, (due, self._order, frame))

    def arrival(self, now: Micros) -> bytes | None:
        """The next frame that has come through by `now`."""
        if not self._held or self._held[0][0] > now:
            return None
        self.counts["delivered"] += 1
        return heappop(self._held)[2]

    def deadline(self) -> Micros | None:
        """When the next frame comes through; None when none is on its way."""
        return self._held[0][0] if self._held else None


class Impairment:
    """A Device whose frames pass an impaired path on their way from (`inbound`) and to (`outbound`) `inner`.

    `rng` is a seeded `random.Random` of its own: shared with anything else, runs would no longer repeat. Raises
    ValueError when `inner` offloads: losing a super-segment of 64 KiB is not what any path does.

    `spared`, when set, says of a frame whether it passes as if there were no path: what steers the faults must not
    be cut off by them.
    """

    __slots__ = ("inbound", "inner", "mtu", "offload", "outbound", "spared")

    def __init__(
        self, inner: Device, rng: Random, inbound: Faults = Faults(), outbound: Faults = Faults()
    ) -> None:
        if inner.offload:
            raise ValueError("a device with offload cannot be impaired: open it with offload=False (--no-offload)")
        self.inner = inner
        self.mtu = inner.mtu
        self.offload = False
        self.inbound = Line(inbound, rng)
        self.outbound = Line(outbound, rng)
        self.spared: Callable[[bytes], bool] | None = None

    def read(self, now: Micros) -> bytes | None:
        """Put what has arrived at the inner device on the line; the next frame that has come through, or None."""
        for _ in range(READ_BURST):
            frame = self.inner.read(now)
            if frame is None:
                break
            if self.spared is not None and self.spared(frame):
                return frame
            self.inbound.send(frame, now)
        return self.inbound.arrival(now)

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        """Put a frame on the line out, and pass on what has come through it. ValueError for one that needs offload."""
        if head[0] & NEEDS_CSUM or head[1] != GSO_NONE:
            raise ValueError("frame with NEEDS_CSUM or GSO written to a device without offload")
        frame = b"".join((head, payload))
        if self.spared is not None and self.spared(frame):
            self.inner.write(frame, b"", now)
            return
        self.outbound.send(frame, now)
        self._deliver(now)

    def _deliver(self, now: Micros) -> None:
        while (frame := self.outbound.arrival(now)) is not None:
            self.inner.write(frame, b"", now)

    def deadline(self) -> Micros | None:
        """When the next frame comes through in either direction, or the inner device's."""
        times = (self.inbound.deadline(), self.outbound.deadline(), self.inner.deadline())
        return min((at for at in times if at is not None), default=None)

    def expire(self, now: Micros) -> None:
        """Pass on what has come through the line out; the inner device's."""
        self._deliver(now)
        self.inner.expire(now)

    def fileno(self) -> int:
        """The inner device's; frames on the line make themselves known by `deadline`."""
        return self.inner.fileno()

    def close(self) -> None:
        """Close the inner device. What is still on the line out is lost."""
        self.inner.close()
