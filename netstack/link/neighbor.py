"""One neighbour: its state, what is known of it, and the packets that wait to know. Of either address family.

The states are those of RFC 4861 7.3.2, which Linux uses for ARP as well; `neighbor_cache` has the rules.
"""

from collections import deque
from dataclasses import dataclass
from enum import Enum
from typing import Protocol

from netstack.events import Event
from netstack.units import SECOND, Micros, Octets
from netstack.wire.ethernet import NO_ADDRESS

REACHABLE_TIME: Micros = 30 * SECOND  # RFC 4861 10; each confirmation holds for 0.5 to 1.5 of it (6.3.2)


class State(Enum):
    """RFC 4861 7.3.2; FAILED is Linux's name for an entry that nobody answered for."""

    INCOMPLETE = "INCOMPLETE"
    REACHABLE = "REACHABLE"
    STALE = "STALE"
    DELAY = "DELAY"
    PROBE = "PROBE"
    FAILED = "FAILED"


INCOMPLETE, REACHABLE, STALE = State.INCOMPLETE, State.REACHABLE, State.STALE
DELAY, PROBE, FAILED = State.DELAY, State.PROBE, State.FAILED


class Entropy(Protocol):
    """What we ask of a random.Random."""

    def getrandbits(self, k: int, /) -> int:
        """`k` random bits as an int."""
        ...


@dataclass(slots=True)
class NeighborChanged(Event):
    """An entry moved from one state to another; `mac` is what is known now."""

    address: bytes
    old: State
    new: State
    mac: bytes


class Neighbor:
    """One entry. `now < usable_until` is all that a sender on the fast path asks, and `header` what it prepends."""

    __slots__ = (
        "address",
        "confirmed_at",
        "due_at",
        "header",
        "mac",
        "probes",
        "queue",
        "queued",
        "state",
        "updated_at",
        "usable_until",
    )

    def __init__(self, address: bytes, now: Micros) -> None:
        self.address = address
        self.state = INCOMPLETE
        self.mac = NO_ADDRESS
        self.header = b""
        """The whole Ethernet header towards it."""
        self.usable_until: Micros = 0
        """Frames may go to `header` before this time with nothing else to do or to note."""
        self.confirmed_at: Micros = -REACHABLE_TIME * 2
        """When it was last known that packets reach it: written by whoever sees forward progress (7.3.1)."""
        self.updated_at = now
        self.due_at: Micros | None = None
        self.probes = 0
        self.queue: deque[bytes] = deque()
        """Frames without their Ethernet header's content, oldest first."""
        self.queued: Octets = 0


UNRESOLVED = Neighbor(b"", 0)
"""Belongs to no cache and is never usable: what a sender holds before it asked."""
