"""From the bottleneck to one host: delay, jitter, reordering, and the card there that joins what belongs together.

The card (GRO) waits at most `coalesce` for more of a burst, and never when something else arrived in between.
"""

from collections import deque
from heapq import heappop, heappush
from random import Random
from typing import Protocol

from netstack.lab.agenda import NEVER, Agenda
from netstack.lab.burst import Burst
from netstack.units import Micros

Entry = tuple[Micros, int, Burst, int, bool]
"""When it arrives, order, burst, index in it, marked."""


class Receiver(Protocol):
    """The host at the end of a leg."""

    def receive(self, frame: bytes, now: Micros) -> None:
        """A frame has come."""
        ...

    def turn(self, now: Micros) -> None:
        """That was all for now: react."""
        ...


class Source(Protocol):
    """Who puts packets on the leg, a little late perhaps."""

    def advance(self, now: Micros) -> None:
        """Put on the leg what has left by `now`."""
        ...


class Leg:
    """Packets on their way to `receiver`; they are delivered in the order in which they are due."""

    __slots__ = (
        "_agenda", "_coalesce", "_jitter", "_late", "_latest", "_order", "_random", "_reorder", "_reorder_by",
        "_wire", "delay", "receiver", "reordered", "source", "wake_at",
    )  # fmt: skip

    def __init__(
        self, agenda: Agenda, receiver: Receiver, source: Source, delay: Micros, coalesce: Micros, rng: Random,
        jitter: Micros = 0, reorder: float = 0.0, reorder_by: Micros = 0,
    ) -> None:  # fmt: skip
        self.receiver = receiver
        self.source = source
        self.delay: Micros = delay
        self.wake_at: Micros = NEVER
        self.reordered = 0
        """Packets held back so far."""
        self._agenda = agenda
        self._coalesce = coalesce
        self._jitter = jitter
        self._reorder = reorder
        self._reorder_by = reorder_by
        self._random = rng.random
        self._wire: deque[Entry] = deque()
        self._late: list[Entry] = []  # held back, so not in the order of the wire
        self._latest: Micros = 0
        self._order = 0

    def send(self, burst: Burst, index: int, marked: bool, at: Micros) -> None:
        """A packet set out at `at`."""
        due = at + self.delay
        if self._jitter:
            due += int(self._random() * (self._jitter + 1))
            if due < self._latest:
                due = self._latest
        self._order += 1
        if self._reorder and self._random() < self._reorder:
            self.reordered += 1
            due += self._reorder_by
            heappush(self._late, (due, self._order, burst, index, marked))
        else:
            self._latest = due
            self._wire.append((due, self._order, burst, index, marked))
        if due < self.wake_at:
            self._agenda.wake(self, due)

    def run(self, now: Micros) -> None:
        """Deliver what is due, unless more of the same burst follows at once and the card waits for it."""
        if self._coalesce:
            wait_until = self._rest_due(now)
            if wait_until > now:
                self._agenda.wake(self, wait_until)
                return
        wire, late, receiver = self._wire, self._late, self.receiver
        coalesce = self._coalesce
        while True:
            if late and late[0][0] <= now and (not wire or late[0] < wire[0]):
                _, _, burst, first, marked = heappop(late)
                stop = first + 1
            elif wire and wire[0][0] <= now:
                _, _, burst, first, marked = wire.popleft()
                stop = first + 1
                if coalesce:
                    while wire and wire[0][0] <= now and wire[0][2] is burst and wire[0][3:] == (stop, marked):
                        wire.popleft()
                        stop += 1
            else:
                break
            receiver.receive(burst.frame(first, stop, marked), now)
        receiver.turn(now)
        if wire:
            self._agenda.wake(self, wire[0][0])
        if late:
            self._agenda.wake(self, late[0][0])

    def _rest_due(self, now: Micros) -> Micros:
        """When the last packet arrives that the card joins with the one that is due; `now` when it waits no longer."""
        wire = self._wire
        if not wire or self._late:
            return now
        due, _, burst, index, marked = wire[0]
        if due < now:
            return now  # it has waited already
        self.wake_at = now  # what this puts on the wire is no reason to be woken: that is decided here
        self.source.advance(now)
        self.wake_at = NEVER
        last, limit = due, due + self._coalesce
        for entry in wire:
            if entry[0] > limit or entry[2] is not burst or entry[3:] != (index, marked):
                break
            last = entry[0]
            index += 1
        return last
