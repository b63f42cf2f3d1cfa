"""What is noted while a request travels: records of every layer of both ends, in order, each with its own time.

A stack's events carry the time of their turn, which is one for a whole batch. Here each gets the time at which it was
noted, in nanoseconds, so that what one layer costs can be seen; noting has its cost too, a few microseconds a record.
"""

from collections.abc import Callable
from dataclasses import dataclass
from time import perf_counter_ns
from typing import Any

from netstack.events import Event
from netstack.link.device import Device
from netstack.units import Micros

CLIENT, SERVER = "client", "server"

Clock = Callable[[], int]
"""Nanoseconds from any origin, never going back."""


@dataclass(slots=True)
class OnLink:
    """A frame is on the link: the client has put it there, or (not `to_server`) it has come through to the client."""

    frame: bytes
    to_server: bool


@dataclass(slots=True)
class Did:
    """A program did something: `what` names it (see `telling_programs.py`), `value` is what it did it with."""

    what: str
    value: Any = None


@dataclass(slots=True)
class Moment:
    """`record` was noted at `at` nanoseconds, at one `end` (CLIENT or SERVER)."""

    at: int
    end: str
    record: Event | OnLink | Did | Any


class Recorder:
    """Collects moments while `on`, in `moments`, up to `limit`; `left_out` counts those beyond."""

    def __init__(self, clock: Clock = perf_counter_ns, limit: int = 200_000) -> None:
        self.moments: list[Moment] = []
        self.on = False
        self.limit = limit
        self.left_out = 0
        self._clock = clock

    def note(self, end: str, record: Any) -> None:
        """Something happened at `end` just now."""
        if not self.on:
            return
        if len(self.moments) >= self.limit:
            self.left_out += 1
        else:
            self.moments.append(Moment(self._clock(), end, record))

    def sink(self, end: str) -> Callable[[Any], None]:
        """A sink for the events of the stack (or the ASGI server) at `end`."""

        def sink(event: Any) -> None:
            self.note(end, event)

        return sink


class WatchedDevice:
    """A Device around the real one: notes each frame as it passes between the link and whoever is on the other side."""

    __slots__ = ("_recorder", "inner", "mtu", "offload")

    def __init__(self, inner: Device, recorder: Recorder) -> None:
        self.inner = inner
        self.mtu = inner.mtu
        self.offload = inner.offload
        self._recorder = recorder

    def read(self, now: Micros) -> bytes | None:
        """The inner device's next frame, noted."""
        frame = self.inner.read(now)
        if frame is not None:
            self._recorder.note(CLIENT, OnLink(frame, True))
        return frame

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        """Written, then noted."""
        self.inner.write(head, payload, now)
        self._recorder.note(CLIENT, OnLink(b"".join((head, payload)), False))

    def deadline(self) -> Micros | None:
        """The inner device's."""
        return self.inner.deadline()

    def expire(self, now: Micros) -> None:
        """The inner device's."""
        self.inner.expire(now)

    def fileno(self) -> int:
        """The inner device's."""
        return self.inner.fileno()

    def close(self) -> None:
        """Close the inner device."""
        self.inner.close()
