"""The way from ourselves to ourselves: packets to our own address wait here until the stack delivers them."""

from collections import deque

from netstack.counters import Counters
from netstack.events import Dropped, Sink
from netstack.link.neighbor import Neighbor
from netstack.units import Micros, Octets

LIMIT = 1_024
"""Packets that wait at most: what an interface's transmit queue would hold."""
FOREVER: Micros = 1 << 62


class Loop:
    """Device and link in one, as far as a `Path` is concerned. In memory checksums can be left out.

    Its packets are those that `Path` would write to a device with offload, Ethernet header blank.
    """

    on_wire = False
    """What is sent here is no frame on any wire."""
    __slots__ = ("_frames", "counters", "events", "mtu", "neighbor", "offload", "packet_events", "since")

    def __init__(self, counters: Counters) -> None:
        self.counters = counters
        self.events: Sink | None = None
        self.packet_events: Sink | None = None
        self.mtu: Octets = 65_535
        self.offload = True
        self.neighbor = Neighbor(b"", 0)
        """Always there, and reachable for good."""
        self.neighbor.usable_until = FOREVER
        self.since: Micros = 0
        """When the oldest packet came, while one waits."""
        self._frames: deque[bytes] = deque()

    @property
    def device(self) -> "Loop":
        """What paths write to."""
        return self

    def __len__(self) -> int:
        return len(self._frames)

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        """Keep one packet for delivery; dropped and counted when too many wait."""
        if len(self._frames) >= LIMIT:
            self.counters.drops["ipv4.loop_full"] += 1
            if self.events is not None:
                self.events(Dropped(now, "ipv4.loop_full"))
            return
        if not self._frames:
            self.since = now
        self._frames.append(b"".join((head, payload)))

    def take(self) -> list[bytes]:
        """All that wait, oldest first."""
        frames = list(self._frames)
        self._frames.clear()
        return frames
