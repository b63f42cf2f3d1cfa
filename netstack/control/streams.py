"""What a visitor of the control socket has subscribed to: frames or events, as lines, while there is room for them."""

from __future__ import annotations

import json
from base64 import b64encode
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from netstack.events import FrameReceived, FrameSent
from netstack.inspect.expression import predicate
from netstack.inspect.plain import plain
from netstack.link.device import VNET_LEN
from netstack.wire import pretty

if TYPE_CHECKING:
    from netstack.inspect.sinks import Observers
    from netstack.units import Octets

Deliver = Callable[[bytes], bool]
"""Takes a line; False: there is no room for it."""
DEFAULT_SNAP: Octets = 262_144


class Stream:
    """A sink that passes on what it is called with. `lost` counts what there was no room for."""

    def __init__(self, number: int, deliver: Deliver, observers: Observers) -> None:
        self.number = number
        self.lost = 0
        self._deliver = deliver
        self._observers = observers
        observers.add(self)

    def __call__(self, event: Any) -> None:
        """One event of the stack."""
        line = self.line(event)
        if line is not None and not self._deliver(line):
            self.lost += 1

    def line(self, event: Any) -> bytes | None:
        """What to say about it; None: nothing."""
        raise NotImplementedError

    def close(self) -> None:
        """No more."""
        self._observers.remove(self)

    def confess(self) -> None:
        """There is room again: say what was lost."""
        if self.lost and self._deliver(b'{"stream":%d,"lost":%d}\n' % (self.number, self.lost)):
            self.lost = 0


class Frames(Stream):
    """Frames that pass a filter, with their virtio_net_hdr, cut to `snap` octets behind it.

    The filter runs here, in the stack's process: a frame that nobody wants costs a few comparisons, one that is handed
    over twenty times as much. ValueError, in words, for an expression that means nothing.
    """

    def __init__(
        self, number: int, deliver: Deliver, observers: Observers, wanted: str, snap: int, epoch: int
    ) -> None:
        self._passes = predicate(wanted, VNET_LEN)
        self._keep = VNET_LEN + snap
        self._epoch = epoch
        super().__init__(number, deliver, observers)

    def line(self, event: Any) -> bytes | None:
        kind = type(event)
        if kind is not FrameReceived and kind is not FrameSent:
            return None
        frame = event.frame
        if not self._passes(frame):
            return None
        return b'{"stream":%d,"at":%d,"out":%d,"length":%d,"frame":"%s"}\n' % (
            self.number, self._epoch + event.at, kind is FrameSent, len(frame), b64encode(frame[: self._keep])
        )  # fmt: skip


class Events(Stream):
    """Events without the frames; `who`: those of one connection only."""

    def __init__(self, number: int, deliver: Deliver, observers: Observers, who: str | None) -> None:
        self._who = who
        self._key: Any = None
        """The four-tuple of `who`, once it was heard of: cheaper to compare."""
        super().__init__(number, deliver, observers)

    def line(self, event: Any) -> bytes | None:
        if isinstance(event, FrameReceived | FrameSent) or (self._who is not None and not self._is_of(event)):
            return None
        return json.dumps({"stream": self.number, **plain(event)}, separators=(",", ":")).encode() + b"\n"

    def _is_of(self, event: Any) -> bool:
        key = getattr(event, "who", None)
        if key is None or self._key is not None:
            return key is not None and bool(key == self._key)
        if pretty.who(key) != self._who:
            return False
        self._key = key
        return True
