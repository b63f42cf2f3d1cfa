"""Queue disciplines: what happens to a packet when it arrives at a queue, and when it leaves.

Times are nanoseconds here: on a fast link packets leave several to the microsecond.
"""

from math import sqrt
from random import Random
from typing import Protocol

from netstack.units import Octets

PASS, MARK, DROP = range(3)
"""Verdicts. MARK: it would have been dropped, but its ends understand ECN."""

NS = int


class Aqm(Protocol):
    """Active queue management; the queue's limit is the bottleneck's own business."""

    def arrive(self, backlog: Octets, now: NS, ect: bool) -> int:
        """A packet arrives while `backlog` octets wait."""
        ...

    def leave(self, waited: NS, backlog: Octets, now: NS, ect: bool) -> int:
        """A packet has reached the head after `waited`, `backlog` octets behind it. DROP: the next one's turn."""
        ...


class DropTail:
    """None: a full queue drops what comes."""

    __slots__ = ()

    def arrive(self, backlog: Octets, now: NS, ect: bool) -> int:
        """Welcome."""
        return PASS

    def leave(self, waited: NS, backlog: Octets, now: NS, ect: bool) -> int:
        """Go."""
        return PASS


class CoDel:
    """RFC 8289: drop when even the *least* wait within `interval` was more than `target`, more often as that lasts."""

    __slots__ = (
        "_count", "_drop_next", "_dropped", "_dropping", "_first_above", "_interval", "_last_count", "_mtu", "_target",
    )  # fmt: skip

    def __init__(self, target: NS, interval: NS, mtu: Octets) -> None:
        self._target = target
        self._interval = interval
        self._mtu = mtu
        self._first_above: NS = 0
        """When the wait will have been above target for an interval; 0: it is not above."""
        self._dropping = False
        self._dropped = False
        """The packet before this one was dropped in the dropping state: the next time is still to be set."""
        self._drop_next: NS = 0
        self._count = 0
        self._last_count = 0

    def arrive(self, backlog: Octets, now: NS, ect: bool) -> int:
        """CoDel decides when packets leave."""
        return PASS

    def leave(self, waited: NS, backlog: Octets, now: NS, ect: bool) -> int:
        """RFC 8289 5.3-5.5."""
        too_long = self._too_long(waited, backlog, now)
        if self._dropping:
            if not too_long:
                self._dropping = self._dropped = False
                return PASS
            if self._dropped:
                self._dropped = False
                self._drop_next = self._after(self._drop_next)
            if now < self._drop_next:
                return PASS
            self._count += 1
            if ect:
                self._drop_next = self._after(self._drop_next)
                return MARK
            self._dropped = True
            return DROP
        if not too_long:
            return PASS
        self._dropping = True
        # A state left a short while ago resumes about where it was, for the load has probably not changed.
        since = self._count - self._last_count
        self._count = since if since > 1 and now - self._drop_next < 16 * self._interval else 1
        self._last_count = self._count
        self._drop_next = self._after(now)
        return MARK if ect else DROP

    def _too_long(self, waited: NS, backlog: Octets, now: NS) -> bool:
        if waited < self._target or backlog <= self._mtu:
            self._first_above = 0
            return False
        if not self._first_above:
            self._first_above = now + self._interval
            return False
        return now >= self._first_above

    def _after(self, at: NS) -> NS:
        """The control law: intervals shrink with the square root of the drops, so that throughput falls linearly."""
        return at + int(self._interval / sqrt(self._count))


class Red:
    """Random early detection (Floyd and Jacobson 1993; RFC 2309), "gentle": by the average queue, in octets.

    From `minimum` to `maximum` the chance rises to MAX_P, from there to twice `maximum` to certainty. Above `maximum`
    packets are dropped even if they could be marked (RFC 3168 7).
    """

    __slots__ = ("_average", "_count", "_empty_since", "_maximum", "_minimum", "_packet_time", "_random")

    WEIGHT = 0.002
    MAX_P = 0.1

    def __init__(self, limit: Octets, packet_time: NS, rng: Random) -> None:
        """`limit`: the queue's; `packet_time`: how long sending a full packet takes, for the time the queue idles."""
        self._maximum = limit / 2
        self._minimum = limit / 6
        self._packet_time = max(packet_time, 1)
        self._random = rng.random
        self._average = 0.0
        self._count = -1
        """Packets since the last that was dropped or marked; -1: the average is below `minimum`."""
        self._empty_since: NS = 0

    def arrive(self, backlog: Octets, now: NS, ect: bool) -> int:
        """Fold the queue into the average, and throw."""
        if backlog or self._empty_since < 0:
            self._average += self.WEIGHT * (backlog - self._average)
        else:
            self._average *= (1 - self.WEIGHT) ** ((now - self._empty_since) // self._packet_time)
        self._empty_since = -1
        average, minimum, maximum = self._average, self._minimum, self._maximum
        if average < minimum:
            self._count = -1
            return PASS
        self._count += 1
        if average < maximum:
            chance = self.MAX_P * (average - minimum) / (maximum - minimum)
        elif average < 2 * maximum:
            chance = self.MAX_P + (1 - self.MAX_P) * (average - maximum) / maximum
        else:
            chance = 1.0
        spread = 1 - self._count * chance
        if spread > 0 and self._random() >= chance / spread:
            return PASS
        self._count = 0
        return MARK if ect and average < maximum else DROP

    def leave(self, waited: NS, backlog: Octets, now: NS, ect: bool) -> int:
        """Only notes when the queue became empty."""
        if not backlog:
            self._empty_since = now
        return PASS
