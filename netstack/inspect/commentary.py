"""What the stack thought of each frame, in words: the comments of a capture that explains itself.

A sink that keeps what is told between two frames. Whoever records asks: after a frame has been acted on, what it did
(`received`); before one leaves, why it does (`sent`).
"""

from collections import deque
from collections.abc import Sequence
from typing import Any

from netstack.events import (
    BufferChanged,
    Dropped,
    FrameReceived,
    LossDetected,
    LossRefuted,
    PacketReceived,
    PacketSent,
    RttSampled,
    SegmentReceived,
    SegmentSent,
    SegmentTaken,
    StateChanged,
    TimerFired,
    WindowChanged,
    Woken,
)
from netstack.inspect import reasons
from netstack.inspect.unasked import about
from netstack.inspect.variables import Numbers, known
from netstack.link.arp import AddressConflict
from netstack.link.device import GSO_NONE, VNET, VNET_LEN
from netstack.link.neighbor import NeighborChanged
from netstack.seq import MASK
from netstack.tcp import why
from netstack.tcp.congestion import INFINITE
from netstack.wire import ethernet, ipv4, pretty, tcp

_UNSENT = 4_096
"""Segments that may wait for their neighbour's MAC address."""
_TOLD = 16
"""Events before a segment of which its comment tells at most."""
_READY = (("READABLE", 1), ("WRITABLE", 2), ("HANGUP", 4), ("FAILED", 8))


class Commentary:
    """Call it with every event of one stack. Comments are a few short lines of text."""

    def __init__(self) -> None:
        self._in: list[Any] | None = None
        """What was told since the last frame came; None: no frame has, since `received` was asked."""
        self._taken: SegmentTaken | None = None
        self._before: dict[Any, deque[Any]] = {}
        """By connection, what was told since its last segment left, except of what a frame did."""
        self._leaving: deque[tuple[SegmentSent, Sequence[Any]]] = deque(maxlen=_UNSENT)
        self._numbers = Numbers()

    def __call__(self, event: Any) -> None:
        """A sink."""
        self._numbers.learn(event)
        kind = type(event)
        if kind is FrameReceived:
            self._in, self._taken = [], None
        elif kind is SegmentSent:
            self._leaving.append((event, self._before.pop(event.who, [])))
        elif self._in is not None and self._is_of_the_frame(event):
            self._in.append(event)
            if kind is SegmentTaken:
                self._taken = event
        elif isinstance(event, _TOLD_BEFORE) and isinstance(getattr(event, "who", None), bytes):
            self._before.setdefault(event.who, deque(maxlen=_TOLD)).append(event)
            if isinstance(event, StateChanged) and str(event.new) == "CLOSED":
                self._before.pop(event.who)

    def _is_of_the_frame(self, event: Any) -> bool:
        """Until it has been acted on, all is; after that, whom its octets wake, and what they then read."""
        if self._taken is None:
            return True
        if getattr(event, "who", None) != self._taken.who:
            return False
        return isinstance(event, Woken) or (isinstance(event, BufferChanged) and event.buffer == "receive")

    # -- frames that came ----------------------------------------------------------------------------------------------

    def received(self, frame: bytes) -> str:
        """What the frame received last did, now that it is done."""
        events, self._in, self._taken = self._in, None, None
        if events is None:
            return "never acted on: the stack was stopped first"
        arrived = next((event for event in events if isinstance(event, SegmentReceived)), None)
        taken = next((event for event in events if isinstance(event, SegmentTaken)), None)
        if arrived is not None and taken is not None:
            events = [event for event in events if not isinstance(event, WindowChanged)]  # the variables say it
            done = events.index(taken)
            lines = self._told(events[:done], str(taken.after.state))
            lines += known(arrived.who, taken.before, taken.after, self._numbers)
            return "\n".join(lines + self._told(events[done:]))
        return "\n".join(self._told(events) or [_nothing(frame, events)])

    # -- frames that leave ---------------------------------------------------------------------------------------------

    def sent(self, frame: bytes) -> str:
        """Why `frame`, virtio_net_hdr included, is about to leave."""
        found = self._find(frame)
        if found is None:
            return about(frame)
        segment, told = found
        lines = self._told(told, str(segment.after.state))
        sentence, paragraph = why.explain(segment.why)
        lines.append(f"sent because: {segment.why}; {sentence} ({paragraph})")
        lines += known(segment.who, segment.after, segment.after, self._numbers)
        _, gso_type, _, gso_size, _, _ = VNET.unpack_from(frame)
        if gso_type != GSO_NONE and segment.length > gso_size:
            count = -(-segment.length // gso_size)
            lines.append(f"a super-segment: the device makes {count} segments of {gso_size} octets of it")
        return "\n".join(lines)

    def _find(self, frame: bytes) -> tuple[SegmentSent, Sequence[Any]] | None:
        """The segment that `frame` carries, as it was told of: most often the first that has not left yet."""
        at = VNET_LEN + ethernet.HEADER_LEN
        header = ipv4.parse(frame, at, quoted=True) if frame[at - 2 : at] == ethernet.IPV4 else None
        if header is None or header.protocol != tcp.PROTOCOL or len(frame) < at + header.header_len + tcp.HEADER_LEN:
            return None
        at += header.header_len
        ours, theirs, seq, _, offset_flags, _, _, _ = tcp.HEADER.unpack_from(frame, at)
        key = header.destination + header.source + theirs.to_bytes(2, "big") + ours.to_bytes(2, "big")
        flags = offset_flags & 0x1FF
        for i, (segment, told) in enumerate(self._leaving):
            if segment.who == key and segment.seq & MASK == seq and segment.flags == flags:
                del self._leaving[i]
                return segment, told
        return None

    # -- words ---------------------------------------------------------------------------------------------------------

    def _told(self, events: Sequence[Any], state: str = "") -> list[str]:
        """What was told, changes of state first; where there was none, the state."""
        moves = [self._line(event) for event in events if isinstance(event, StateChanged)] or [state]
        others = [self._line(event) for event in events if not isinstance(event, StateChanged)]
        return [line for line in (*moves, *others) if line]

    def _line(self, event: Any) -> str:
        """One event in words; empty when the rest of the comment says it."""
        if isinstance(event, Dropped):
            return f"dropped: {event.reason}; {reasons.explain(event.reason)}"
        if isinstance(event, StateChanged):
            return f"{event.old} -> {event.new}: {event.cause} ({event.cause.paragraph})"
        if isinstance(event, TimerFired):
            return f"the timer {event.name} went off"
        if isinstance(event, LossDetected):
            sentence, paragraph = why.FOUND[event.how]
            at = self._numbers.ours(event.who, event.seq)
            return f"found lost from {at} on: {event.how}; {sentence} ({paragraph})"
        if isinstance(event, LossRefuted):
            sentence, paragraph = why.REFUTED[event.how]
            return f"not lost after all: {event.how}; {sentence} ({paragraph})"
        if isinstance(event, RttSampled):
            return f"round trip {event.rtt} us: SRTT {event.srtt}, RTTVAR {event.rttvar}, RTO {event.rto} us"
        if isinstance(event, WindowChanged):
            ssthresh = "none yet" if event.ssthresh >= INFINITE else event.ssthresh
            return f"now cwnd {event.cwnd} segments, ssthresh {ssthresh}, the peer's window {event.snd_wnd}"
        if isinstance(event, BufferChanged) and event.buffer == "receive":
            what = "for the user" if event.change > 0 else "read by the user"
            return f"{abs(event.change)} octets {what}, {event.level} wait"
        if isinstance(event, Woken):
            return f"woken: {event.what} ({' '.join(name for name, bit in _READY if event.ready & bit)})"
        if isinstance(event, NeighborChanged):
            mac = f" at {pretty.mac(event.mac)}" if any(event.mac) else ""
            return f"neighbour {pretty.address(event.address)}{mac}: {event.old.value} -> {event.new.value}"
        if isinstance(event, AddressConflict):
            return "we say again that the address is ours" if event.defended else "we said so a moment ago"
        return ""


_TOLD_BEFORE = (StateChanged, TimerFired, LossDetected, LossRefuted, WindowChanged, Dropped)
"""What explains a segment that leaves later."""


def _nothing(frame: bytes, events: list[Any]) -> str:
    """A frame that was taken and changed nothing that is told: whose it was."""
    if any(isinstance(event, PacketSent) for event in events):
        return "answered at once"
    packet = next((event for event in events if isinstance(event, PacketReceived)), None)
    if packet is not None:
        return f"handed to {pretty.protocol_name(packet.protocol)}"
    ethertype = frame[VNET_LEN + 12 : VNET_LEN + 14]
    return "heard, and nothing new in it" if ethertype == ethernet.ARP else "a fragment: kept until the others come"
