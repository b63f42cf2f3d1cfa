"""What happens when: the virtual clock of one experiment. Things have a `wake_at`; the earliest is woken."""

from heapq import heappop, heappush
from typing import Protocol

from netstack.units import Micros

NEVER: Micros = 1 << 62


class Sleeper(Protocol):
    """Something that is woken at a time of its choice."""

    wake_at: Micros
    """NEVER while asleep for good; kept by the agenda."""

    def run(self, now: Micros) -> None:
        """The time has come, or may have: being woken early is harmless."""
        ...


class Agenda:
    """A heap of (time, order of asking, who). Who asks for an earlier time leaves a stale entry behind."""

    __slots__ = ("_heap", "_order", "_stopped", "now")

    def __init__(self) -> None:
        self._heap: list[tuple[Micros, int, Sleeper]] = []
        self._order = 0
        self._stopped = False
        self.now: Micros = 0

    def wake(self, who: Sleeper, at: Micros) -> None:
        """Wake `who` at `at` (now, if that is past), unless it is to be woken earlier anyway."""
        if at < who.wake_at:
            if at < self.now:
                at = self.now
            who.wake_at = at
            self._order += 1
            heappush(self._heap, (at, self._order, who))

    def run(self, until: Micros) -> None:
        """Wake everybody whose time comes by `until`, in order, and stop there."""
        heap = self._heap
        while heap and heap[0][0] <= until and not self._stopped:
            at, _, who = heappop(heap)
            if at == who.wake_at:
                self.now = at
                who.wake_at = NEVER
                who.run(at)
        if not self._stopped:
            self.now = until

    def stop(self) -> None:
        """Let `run` return now: nobody is to be woken any more."""
        self._stopped = True
        self._heap.clear()
