"""What the stack says about itself: small typed records, handed to one optional callable.

Every layer has an attribute `events: Sink | None`. Nobody watching costs one `is not None` test. The live
trace, a JSON-lines file, a timeline and the assertions of tests are all just sinks. `at` is the stack's time
in microseconds; `who` names a connection by its four-tuple (see `wire.pretty`).
"""

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from netstack.units import Micros, Octets, Seq


@dataclass(slots=True)
class Event:
    """Something that happened at `at` microseconds."""

    at: Micros


@dataclass(slots=True)
class FrameReceived(Event):
    """A frame came out of the device (with its virtio_net_hdr in front)."""

    frame: bytes


@dataclass(slots=True)
class FrameSent(Event):
    """A frame went into the device (with its virtio_net_hdr in front)."""

    frame: bytes


@dataclass(slots=True)
class Dropped(Event):
    """Input refused; `reason` is the key counted in `Counters.drops`."""

    reason: str


@dataclass(slots=True)
class StateChanged(Event):
    """A connection moved along one edge of `tcp.state.TRANSITIONS`."""

    who: Any
    old: Any
    new: Any
    cause: Any


@dataclass(slots=True)
class SegmentReceived(Event):
    """A TCP segment reached its connection. Sequence numbers are unwrapped."""

    who: Any
    seq: Seq
    ack: Seq
    flags: int
    wnd: Octets
    length: Octets


@dataclass(slots=True)
class SegmentSent(Event):
    """A TCP segment was handed to IP; `why` names the rule that sent it (data, ack, retransmit, probe ...)."""

    who: Any
    seq: Seq
    ack: Seq
    flags: int
    wnd: Octets
    length: Octets
    why: str


@dataclass(slots=True)
class RttSampled(Event):
    """RFC 6298: a round-trip time was measured and folded in. All in microseconds."""

    who: Any
    rtt: Micros
    srtt: Micros
    rttvar: Micros
    rto: Micros


@dataclass(slots=True)
class WindowChanged(Event):
    """cwnd or ssthresh (segments) or the peer's window (octets) changed."""

    who: Any
    cwnd: int
    ssthresh: int
    snd_wnd: Octets


@dataclass(slots=True)
class LossDetected(Event):
    """Loss recovery concluded that octets are lost; `how` is fast-retransmit, sack, rack, rto ..."""

    who: Any
    how: str
    seq: Seq


@dataclass(slots=True)
class TimerFired(Event):
    """A named deadline of a connection (or of another layer) was reached."""

    who: Any
    name: str


Sink = Callable[[Event], None]
