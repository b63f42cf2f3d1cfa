"""The neighbour cache: which MAC address a protocol address on the link has (RFC 4861 7.2 and 7.3).

One cache serves one address family; addresses are opaque octets here. How to ask is the resolver's business (ARP,
NDP): it is a callback.
"""

from collections.abc import Callable

from netstack.counters import Counters
from netstack.events import Dropped, Sink
from netstack.link.ethernet import Ethernet
from netstack.link.neighbor import (
    DELAY,
    FAILED,
    INCOMPLETE,
    PROBE,
    REACHABLE,
    REACHABLE_TIME,
    STALE,
    Entropy,
    Neighbor,
    NeighborChanged,
    State,
)
from netstack.units import SECOND, Micros, Octets

RETRANS_TIMER: Micros = 1 * SECOND  # RFC 4861 10; also RFC 1122 2.3.2.1: at most one request per second
DELAY_FIRST_PROBE_TIME: Micros = 5 * SECOND  # RFC 4861 10
MAX_SOLICIT = 3  # RFC 4861 10: MAX_MULTICAST_SOLICIT and MAX_UNICAST_SOLICIT
LOCK_TIME: Micros = 1 * SECOND  # Linux's locktime: of answers that come back to back the first one holds
EVICT_AFTER: Micros = 5 * SECOND  # Linux: a full table gives up nothing that changed within this time
QUEUE_OCTETS: Octets = 212_992  # Linux's unres_qlen_bytes: with super-segments, packets alone are no bound


class NeighborCache:
    """The neighbours of one interface in one family.

    `solicit(address, mac, now)` sends one request: to `mac`, or to everybody when it is None. `on_failure(frames, now)`
    is told which frames nobody answered for.
    """

    __slots__ = (
        "_full_until",
        "_next",
        "_reachable_time",
        "_timed",
        "counters",
        "entries",
        "entry_limit",
        "ethertype",
        "events",
        "link",
        "on_failure",
        "queue_limit",
        "solicit",
    )

    def __init__(
        self,
        link: Ethernet,
        ethertype: bytes,
        solicit: Callable[[bytes, bytes | None, Micros], None],
        rng: Entropy,
        counters: Counters,
        queue_limit: int,
        entry_limit: int,
        events: Sink | None = None,
    ) -> None:
        self.link = link
        self.ethertype = ethertype
        self.solicit = solicit
        self.counters = counters
        self.queue_limit = queue_limit
        self.entry_limit = entry_limit
        self.events = events
        self.on_failure: Callable[[list[bytes], Micros], None] | None = None
        self.entries: dict[bytes, Neighbor] = {}
        # One draw for the cache: it is there so that hosts on one link do not probe in step (RFC 4861 6.3.2).
        self._reachable_time = REACHABLE_TIME // 2 + REACHABLE_TIME * rng.getrandbits(16) // 65_536
        self._timed: set[Neighbor] = set()
        self._next: Micros | None = None
        self._full_until: Micros = 0

    # -- sending

    def resolve(self, address: bytes, now: Micros) -> Neighbor | None:
        """The entry through which a frame to `address` goes now; None when the table has no room for it.

        When `now < usable_until` in what comes back, send to its `header`; otherwise hand the frame to `wait`.
        Using an entry that is not known to be fresh starts its verification (RFC 4861 7.3.3).
        """
        neighbor = self.entries.get(address) or self._create(address, now)
        if neighbor is None or now < neighbor.usable_until:
            return neighbor
        if neighbor.due_at is not None:  # its timer is late: the clock has moved on since `expire`
            if neighbor.due_at <= now:
                self._on_timer(neighbor, now)
        elif neighbor.state is REACHABLE and now < neighbor.confirmed_at + self._reachable_time:
            neighbor.usable_until = neighbor.confirmed_at + self._reachable_time
        elif neighbor.state is REACHABLE or neighbor.state is STALE:
            self._enter(neighbor, DELAY, now)
            self._arm(neighbor, now + DELAY_FIRST_PROBE_TIME)
            neighbor.usable_until = now + DELAY_FIRST_PROBE_TIME
        return neighbor

    def wait(self, neighbor: Neighbor, frame: bytes, now: Micros) -> None:
        """Keep `frame` until `neighbor` is resolved, and ask for it if nobody has. Its Ethernet header may be anything.

        The oldest frames make room for the newest (RFC 1122 2.3.2.2 wants at least the newest kept).
        """
        queue = neighbor.queue
        queue.append(frame)
        neighbor.queued += len(frame)
        while len(queue) > 1 and (len(queue) > self.queue_limit or neighbor.queued > QUEUE_OCTETS):
            neighbor.queued -= len(queue.popleft())
            self._drop("neighbor.queue_full", now)
        if neighbor.due_at is None:
            neighbor.probes = 0
            self._enter(neighbor, INCOMPLETE, now)
            self._solicit(neighbor, None, now)

    def send(self, address: bytes, frame: bytes, now: Micros) -> bool:
        """Send `frame`, its Ethernet header still blank, to the neighbour `address`, now or when it is known.

        False: the table is full, and the frame is dropped and counted.
        """
        neighbor = self.resolve(address, now)
        if neighbor is None:
            return False
        if now < neighbor.usable_until:
            self._forward(neighbor, frame, now)
        else:
            self.wait(neighbor, frame, now)
        return True

    def _forward(self, neighbor: Neighbor, frame: bytes, now: Micros) -> None:
        self.link.transmit(frame[:10] + neighbor.header, memoryview(frame)[24:], now)

    # -- learning

    def learn(
        self, address: bytes, mac: bytes, now: Micros, *, reachable: bool, override: bool, create: bool = False
    ) -> bool:
        """Somebody says that `address` is at `mac`. False: no entry of ours is about that.

        `reachable`: it answered a request of ours (RFC 4861 7.2.5). `override`: believe it even against what was
        learnt a moment ago. `create`: make an entry when there is none; without it an unasked claim changes only
        what we already keep.
        """
        neighbor = self.entries.get(address)
        if neighbor is None:
            neighbor = self._create(address, now) if create else None
            if neighbor is None:
                return False
        elif neighbor.state is not INCOMPLETE and neighbor.state is not FAILED:
            if neighbor.mac == mac:
                if not reachable:
                    return True
            elif not override and now - neighbor.updated_at < LOCK_TIME:
                self._drop("neighbor.locked", now)
                return True
        neighbor.mac = mac
        neighbor.header = mac + self.link.mac + self.ethertype
        neighbor.updated_at = now
        self._disarm(neighbor)
        if reachable:
            neighbor.confirmed_at = now
            neighbor.usable_until = now + self._reachable_time
        else:
            neighbor.usable_until = 0
        self._enter(neighbor, REACHABLE if reachable else STALE, now)
        if neighbor.queue:
            self._flush(neighbor, now)
        return True

    def _flush(self, neighbor: Neighbor, now: Micros) -> None:
        """What waited goes out. That is using the entry, so one that is STALE moves on to DELAY."""
        waiting = list(neighbor.queue)
        neighbor.queue.clear()
        neighbor.queued = 0
        self.resolve(neighbor.address, now)
        for frame in waiting:
            self._forward(neighbor, frame, now)

    # -- time

    def deadline(self) -> Micros | None:
        """When `expire` has something to do, at the earliest; None when nothing is being resolved or verified."""
        return self._next

    def expire(self, now: Micros) -> None:
        """Ask again, or give up, wherever that is due."""
        if self._next is None or now < self._next:
            return
        for neighbor in [n for n in self._timed if n.due_at is not None and n.due_at <= now]:
            self._on_timer(neighbor, now)
        self._next = min((n.due_at for n in self._timed if n.due_at is not None), default=None)

    def _on_timer(self, neighbor: Neighbor, now: Micros) -> None:
        confirmed_until = neighbor.confirmed_at + self._reachable_time
        if neighbor.state is not INCOMPLETE and now < confirmed_until:
            self._disarm(neighbor)
            neighbor.usable_until = confirmed_until
            self._enter(neighbor, REACHABLE, now)
        elif neighbor.state is DELAY:
            neighbor.probes = 0
            self._enter(neighbor, PROBE, now)
            self._solicit(neighbor, neighbor.mac, now)
            neighbor.usable_until = now + RETRANS_TIMER
        elif neighbor.probes >= MAX_SOLICIT:
            self._fail(neighbor, now)
        elif neighbor.state is PROBE:
            self._solicit(neighbor, neighbor.mac, now)
            neighbor.usable_until = now + RETRANS_TIMER
        else:
            self._solicit(neighbor, None, now)

    def _solicit(self, neighbor: Neighbor, mac: bytes | None, now: Micros) -> None:
        neighbor.probes += 1
        self._arm(neighbor, now + RETRANS_TIMER)
        self.solicit(neighbor.address, mac, now)

    def _fail(self, neighbor: Neighbor, now: Micros) -> None:
        """Nobody answers: what waited is lost, and whoever sent it is told (RFC 4861 7.2.2)."""
        self._disarm(neighbor)
        neighbor.usable_until = 0
        self._full_until = 0
        lost = list(neighbor.queue)
        neighbor.queue.clear()
        neighbor.queued = 0
        self._enter(neighbor, FAILED, now)
        for _ in lost:
            self._drop("neighbor.unresolved", now)
        if lost and self.on_failure is not None:
            self.on_failure(lost, now)

    def _enter(self, neighbor: Neighbor, state: State, now: Micros) -> None:
        old, neighbor.state = neighbor.state, state
        if self.events is not None and old is not state:
            self.events(NeighborChanged(now, neighbor.address, old, state, neighbor.mac))

    def _drop(self, reason: str, now: Micros) -> None:
        self.counters.drops[reason] += 1
        if self.events is not None:
            self.events(Dropped(now, reason))

    def _arm(self, neighbor: Neighbor, due_at: Micros) -> None:
        neighbor.due_at = due_at
        self._timed.add(neighbor)
        if self._next is None or due_at < self._next:
            self._next = due_at

    def _disarm(self, neighbor: Neighbor) -> None:
        neighbor.due_at = None
        self._timed.discard(neighbor)
        if not self._timed:
            self._next = None

    # -- room

    def _create(self, address: bytes, now: Micros) -> Neighbor | None:
        """A new entry; when the table is full, in place of one that failed or that nobody has used for a while."""
        if len(self.entries) >= self.entry_limit and not self._evict(now):
            self._drop("neighbor.table_full", now)
            return None
        neighbor = self.entries[address] = Neighbor(address, now)
        return neighbor

    def _evict(self, now: Micros) -> bool:
        if now < self._full_until:
            return False  # nothing has aged since the last look: a flood must not make us walk the table every time
        for neighbor in self.entries.values():
            settled_at = max(neighbor.updated_at, neighbor.confirmed_at)
            idle = now >= neighbor.usable_until and now - settled_at >= EVICT_AFTER
            if neighbor.due_at is None and (neighbor.state is FAILED or idle):
                neighbor.usable_until = 0
                del self.entries[neighbor.address]
                return True
        self._full_until = min(n.updated_at for n in self.entries.values()) + EVICT_AFTER
        self._full_until = max(self._full_until, now + RETRANS_TIMER // 10)
        return False
