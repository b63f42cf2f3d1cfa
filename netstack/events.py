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
class Variables:
    """What a connection knew at one moment: RFC 9293 3.3.1 and the sender's own. Sequence numbers are unwrapped.

    Where there is no connection all but the state is 0: CLOSED, or LISTEN where a listener has the port.
    """

    state: Any
    snd_una: Seq
    snd_nxt: Seq
    snd_wnd: Octets
    rcv_nxt: Seq
    rcv_wnd: Octets
    cwnd: int  # segments
    ssthresh: int  # segments
    in_flight: int  # segments
    srtt: Micros
    rto: Micros
    send_queued: Octets  # in the send buffer: not sent, or not acknowledged
    recv_queued: Octets  # in order, not yet read by the user


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
class PacketReceived(Event):
    """An IP packet passed the checks of RFC 1122 3.2.1 and is about to go to its protocol (after reassembly)."""

    source: bytes
    destination: bytes
    protocol: int
    length: Octets
    ttl: int
    tos: int


@dataclass(slots=True)
class PacketSent(Event):
    """An IP packet (or super-segment: `gso_size` is not 0) was handed to the link."""

    source: bytes
    destination: bytes
    protocol: int
    length: Octets
    ttl: int
    tos: int
    gso_size: Octets


@dataclass(slots=True)
class Dropped(Event):
    """Input refused; `reason` is the key counted in `Counters.drops`, `who` the connection that refused it, if any."""

    reason: str
    who: Any = None


@dataclass(slots=True)
class StateChanged(Event):
    """A connection moved along one edge of `tcp.state.TRANSITIONS`; `cause` knows its RFC paragraph.

    `who` is a listener's (address, port) when it comes to LISTEN, or leaves it for CLOSED.
    """

    who: Any
    old: Any
    new: Any
    cause: Any


@dataclass(slots=True)
class SegmentReceived(Event):
    """A TCP segment reached its connection, which is in the state `before`. Sequence numbers are unwrapped."""

    who: Any
    seq: Seq
    ack: Seq
    flags: int
    wnd: Octets
    length: Octets
    before: Variables


@dataclass(slots=True)
class SegmentTaken(Event):
    """The segment received last has been acted on: what it changed is the difference between the two."""

    who: Any
    before: Variables
    after: Variables


@dataclass(slots=True)
class SegmentSent(Event):
    """A TCP segment was handed to IP; `why` names the rule that sent it: see `tcp.why`."""

    who: Any
    seq: Seq
    ack: Seq
    flags: int
    wnd: Octets
    length: Octets
    why: str
    after: Variables


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
    """Loss recovery concluded that octets from `seq` on are lost; `how` is a key of `tcp.why.FOUND`."""

    who: Any
    how: str
    seq: Seq


@dataclass(slots=True)
class LossRefuted(Event):
    """What was held lost had only been late: cwnd is what it was. `how` is a key of `tcp.why.REFUTED`."""

    who: Any
    how: str


@dataclass(slots=True)
class TimerFired(Event):
    """A named timer of a connection went off: retransmit, reorder, loss-probe, window-probe, delayed-ack ..."""

    who: Any
    name: str


@dataclass(slots=True)
class TimerArmed(Event):
    """A named timer of a connection was set (or set anew) to go off at `deadline`."""

    who: Any
    name: str
    deadline: Micros


@dataclass(slots=True)
class TimerCancelled(Event):
    """A named timer of a connection was stopped before it went off."""

    who: Any
    name: str


@dataclass(slots=True)
class BufferChanged(Event):
    """Octets went into (`change` > 0) or out of (`change` < 0) a connection's "send" or "receive" buffer."""

    who: Any
    buffer: str
    change: Octets
    level: Octets


@dataclass(slots=True)
class Woken(Event):
    """The user of a connection is told: `ready` are bits of `tcp.readiness`; `what` says who it is.

    "transport", "coroutine" (one that waits for a stream), "listener", or "observer" for any other callable.
    """

    who: Any
    ready: int
    what: str


Sink = Callable[[Event], None]
