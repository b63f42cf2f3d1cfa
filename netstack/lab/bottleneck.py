"""Where the path is narrow: loss, then a queue that somebody manages, then a rate. One for each direction.

Packets leave at exact times, to the nanosecond, but are moved on only when somebody has to know: as long as the next
one is still travelling to its host, the queue need not be looked at. A run with a delay therefore costs few wake-ups.
"""

from array import array
from collections import deque
from random import Random

from netstack.counters import Tally
from netstack.lab.agenda import NEVER, Agenda
from netstack.lab.aqm import DROP, MARK, PASS, Aqm
from netstack.lab.burst import Burst
from netstack.lab.leg import Leg
from netstack.lab.loss import Loss
from netstack.lab.watch import Watch
from netstack.units import SECOND, Micros, Octets

_NS = 1_000


class Bottleneck:
    """One queue and one rate for all flows; `legs[flow]` is where their packets go on.

    `counts[flow]`: sent, lost, duplicated, queue_full, aqm_dropped, marked (packets). `waits[flow]`: how long
    each packet that left had queued, in microseconds. `octets`: what has left, in octets of Ethernet frames.
    """

    __slots__ = (
        "_agenda", "_aqm", "_backlog", "_duplicate", "_free_ns", "_least_delay", "_limit", "_limit_packets", "_loss",
        "_ns_per_octet", "_queue", "_random", "counts", "legs", "octets", "rate", "waits", "wake_at", "watch",
    )  # fmt: skip

    def __init__(
        self, agenda: Agenda, rate: int, limit: Octets, limit_packets: int, aqm: Aqm, loss: Loss | None,
        duplicate: float, rng: Random, flows: int, watch: Watch | None,
    ) -> None:  # fmt: skip
        self.rate = rate
        self.wake_at: Micros = NEVER
        self.legs: list[Leg] = []
        self.counts = [Tally() for _ in range(flows)]
        self.waits = [array("L") for _ in range(flows)]
        self.octets: Octets = 0
        self.watch = watch
        self._agenda = agenda
        self._aqm = aqm
        self._loss = loss
        self._duplicate = duplicate
        self._random = rng.random
        self._limit = limit or NEVER
        self._limit_packets = limit_packets or NEVER
        self._ns_per_octet = 8 * SECOND * _NS / rate if rate else 0.0
        self._queue: deque[tuple[int, Octets, Burst, int, bool]] = deque()  # arrived at (ns), octets, packet, marked
        self._backlog: Octets = 0
        self._free_ns = 0  # when the packet being sent is gone
        self._least_delay: Micros = -1

    def attach(self, leg: Leg) -> None:
        """The leg of the next flow."""
        self.legs.append(leg)
        self._least_delay = leg.delay if self._least_delay < 0 else min(self._least_delay, leg.delay)

    @property
    def backlog(self) -> Octets:
        """What waits, as of the last `advance`."""
        return self._backlog

    def offer(self, burst: Burst, now: Micros) -> None:
        """A host sent `burst`: all its packets are here now."""
        self.advance(now)
        loss, counts = self._loss, self.counts[burst.flow]
        segments = burst.segments
        counts["sent"] += segments
        for index in range(segments):
            if loss is not None and loss.lost():
                counts["lost"] += 1
                if self.watch is not None:
                    self.watch.on_drop(burst, index, now)
                continue
            if self._duplicate and self._random() < self._duplicate:
                counts["duplicated"] += 1
                self._enqueue(burst, index, now)
            self._enqueue(burst, index, now)
        if self.watch is not None:
            self.watch.on_queue(self._backlog, now)
        if self._queue:
            self._rest()

    def _enqueue(self, burst: Burst, index: int, now: Micros) -> None:
        octets = burst.last if index == burst.segments - 1 else burst.full
        queue, now_ns = self._queue, now * _NS
        if not self.rate:
            self.octets += octets
            self.legs[burst.flow].send(burst, index, False, now)
            return
        verdict = self._aqm.arrive(self._backlog, now_ns, burst.ect)
        full = self._backlog + octets > self._limit or len(queue) >= self._limit_packets
        if full or verdict == DROP:
            self.counts[burst.flow]["queue_full" if full else "aqm_dropped"] += 1
            if self.watch is not None:
                self.watch.on_drop(burst, index, now)
            return
        queue.append((now_ns, octets, burst, index, verdict == MARK))
        self._backlog += octets
        if self._free_ns <= now_ns:
            self.advance(now)  # nothing is being sent: it leaves at once, and takes no room in the queue

    def advance(self, now: Micros) -> None:
        """Send what could be sent by `now`, each packet at its time."""
        queue = self._queue
        if not queue:
            return
        now_ns, free_ns, leave = now * _NS, self._free_ns, self._aqm.leave
        while queue:
            arrived, octets, burst, index, marked = queue[0]
            start = free_ns if free_ns > arrived else arrived
            if start > now_ns:
                break
            queue.popleft()
            self._backlog -= octets
            flow = burst.flow
            verdict = leave(start - arrived, self._backlog, start, burst.ect)
            if verdict != PASS:
                if verdict == DROP:
                    self.counts[flow]["aqm_dropped"] += 1
                    if self.watch is not None:
                        self.watch.on_drop(burst, index, start // _NS)
                    continue
                marked = True
            if marked:
                self.counts[flow]["marked"] += 1
            self.waits[flow].append((start - arrived) // _NS)
            self.octets += octets
            free_ns = start + int(octets * self._ns_per_octet)
            self.legs[flow].send(burst, index, marked, -(-free_ns // _NS))
        self._free_ns = free_ns

    def run(self, now: Micros) -> None:
        """Move on what has left, and rest until the next one must be known of."""
        self.advance(now)
        if self._queue:
            self._rest()

    def _rest(self) -> None:
        """The next packet leaves when the one being sent is gone, and is due at its host no earlier than that."""
        self._agenda.wake(self, self._free_ns // _NS + self._least_delay)
