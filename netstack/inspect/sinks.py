"""Sinks for the events of a stack: several observers at once, and a memory of what happened last."""

from collections import deque
from collections.abc import Callable, Iterator
from typing import Any

from netstack.events import FrameReceived, FrameSent
from netstack.inspect.who import who

AnySink = Callable[[Any], None]
"""Takes the records of `netstack.events`, and those of `asgi.events` where a server is observed too."""
Switch = Callable[[AnySink | None], None]
"""What turns events on and off somewhere: `stack.observe`, `server.observe`."""


class Observers:
    """Everybody who watches: added and removed while the stack runs.

        observers = Observers(stack.observe, server.observe)
        observers.add(trace)

    With nobody left, the switches are told None, so that being watchable costs nothing. A sink that raises is removed
    and the rest goes on: `failures` says who and why.
    """

    __slots__ = ("_sinks", "_switches", "failures")

    def __init__(self, *switches: Switch) -> None:
        self._switches = switches
        self._sinks: tuple[AnySink, ...] = ()
        self.failures: list[tuple[AnySink, Exception]] = []

    def __len__(self) -> int:
        return len(self._sinks)

    def __contains__(self, sink: AnySink) -> bool:
        return sink in self._sinks

    def add(self, sink: AnySink) -> None:
        """`sink` is called with every event from now on. Adding it again changes nothing."""
        if sink not in self._sinks:
            self._sinks += (sink,)
            if len(self._sinks) == 1:
                self._switch(self)

    def remove(self, sink: AnySink) -> None:
        """`sink` is called no more. Removing one that is not there changes nothing."""
        if sink in self._sinks:
            self._sinks = tuple(other for other in self._sinks if other != sink)
            if not self._sinks:
                self._switch(None)

    def __call__(self, event: Any) -> None:
        """Hand one event to everybody."""
        for sink in self._sinks:
            try:
                sink(event)
            except Exception as error:
                self.failures.append((sink, error))
                self.remove(sink)

    def _switch(self, sink: AnySink | None) -> None:
        for switch in self._switches:
            switch(sink)


class Ring:
    """Remembers the last `limit` events, and of each of the last `connections` connections the last `each`.

    Frames are left out unless `frames`: each holds up to 64 KiB, and what was in them is told by other events.
    """

    __slots__ = ("_connections", "_each", "_frames", "_last", "_of")

    def __init__(self, limit: int = 1_000, each: int = 200, connections: int = 256, frames: bool = False) -> None:
        self._last: deque[Any] = deque(maxlen=limit)
        self._of: dict[Any, deque[Any]] = {}
        self._each = each
        self._connections = connections
        self._frames = frames

    def __call__(self, event: Any) -> None:
        """A sink."""
        if not self._frames and isinstance(event, FrameReceived | FrameSent):
            return
        self._last.append(event)
        key = who(event)
        if key is None:
            return
        events = self._of.pop(key, None)
        if events is None:
            events = deque(maxlen=self._each)
            if len(self._of) >= self._connections:
                del self._of[next(iter(self._of))]  # whose last event is longest ago
        self._of[key] = events
        events.append(event)

    def __len__(self) -> int:
        return len(self._last)

    def __iter__(self) -> Iterator[Any]:
        """The last events, oldest first."""
        return iter(list(self._last))

    def of(self, key: Any) -> list[Any]:
        """The last events of one connection (the `who` of its events), oldest first."""
        return list(self._of.get(key, ()))

    @property
    def known(self) -> list[Any]:
        """The connections of which there is something, the one heard of last at the end."""
        return list(self._of)
