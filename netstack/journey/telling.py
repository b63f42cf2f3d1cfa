"""How a record becomes a step: what all tellers share, and the link and IP."""

from collections import Counter
from typing import Any

from netstack import events
from netstack.drill.explain import Peer
from netstack.inspect import reasons
from netstack.journey.frames import concerns_us, relative, segment_of, summary
from netstack.journey.record import Did, Moment, OnLink
from netstack.journey.steps import (
    CLIENT_LANE,
    CLOSE,
    ETHERNET,
    IP,
    PHASES,
    REQUEST,
    TAP,
    TCP,
    End,
    Step,
)
from netstack.link.device import VNET_LEN
from netstack.wire import ethernet, icmpv4, pretty, tcp


class Telling:
    """Takes records in order and makes steps; knows where the last one ended, and how both ends stand.

    A method END_RECORD, or did_WHAT for what programs do, tells of a record; one without a method is no step.
    """

    def __init__(self) -> None:
        self.steps: list[Step] = []
        self.passed: dict[bool, Counter[bytes]] = {True: Counter(), False: Counter()}
        """Frames that came out at the server's (True) or the client's side."""
        self.client, self.server = End(), End("LISTEN")
        self._isns: pretty.Isns = {}
        self._phase = 0
        self._start: int | None = None
        self._cursor = CLIENT_LANE
        self._foreign = False  # the frame on its way up is not about this request
        self._inbound: bytes | None = None
        self._peer: Peer | None = None
        self._at = 0

    def tell(self, moment: Moment) -> None:
        """One more."""
        record = moment.record
        if self._start is None:
            self._start = moment.at
        self._at = moment.at - self._start
        if isinstance(record, Did):
            name = "did_" + record.what.replace(" ", "_")
        else:
            name = f"{moment.end}_{type(record).__name__}"
        tell = getattr(self, name, None)
        if tell is not None:
            tell(record)

    def _add(self, kind: str, start: int, end: int, text: str, **more: Any) -> Step:
        step = Step(
            self._at, kind, start, end, PHASES[self._phase], text,
            client=self.client.copy(), server=self.server.copy(), **more,
        )  # fmt: skip
        step.shown = step.frame or (self._inbound if kind.startswith(("packet in", "segment in", "dropped")) else None)
        self.steps.append(step)
        self._cursor = end
        return step

    def _enter(self, phase: str) -> None:
        self._phase = max(self._phase, PHASES.index(phase))

    # The link.

    def client_OnLink(self, record: OnLink) -> None:
        if not concerns_us(record.frame):
            return
        self._imply(record)
        if record.to_server:
            self.client_FrameSent(events.FrameSent(0, record.frame))
        else:
            self.client_FrameReceived(events.FrameReceived(0, record.frame))

    def client_FrameSent(self, record: events.FrameSent) -> None:
        frame = record.frame
        if segment_of(frame):
            self._note_phase(frame)
        text = summary(frame, self._isns)
        self._add("client sends", CLIENT_LANE, TAP, text, frame=frame, octets=len(frame) - VNET_LEN)

    def client_FrameReceived(self, record: events.FrameReceived) -> None:
        frame = record.frame
        self.passed[False][frame[VNET_LEN:]] += 1
        text = summary(frame, self._isns)
        self._add("client hears", TAP, CLIENT_LANE, text, frame=frame, octets=len(frame) - VNET_LEN)

    def server_FrameReceived(self, record: events.FrameReceived) -> None:
        frame = record.frame
        self._foreign = not concerns_us(frame)
        if self._foreign:
            return
        self.passed[True][frame[VNET_LEN:]] += 1
        self._inbound = frame
        header = ethernet.parse(frame, VNET_LEN)
        assert header is not None
        kind = "ARP" if header.ethertype == ethernet.ARP else "IPv4"
        to = "for everybody" if header.destination == ethernet.BROADCAST else f"for {pretty.mac(header.destination)}"
        self._add(f"frame in {kind}", TAP, ETHERNET, f"{to}, EtherType {kind}", frame=frame,
                  octets=len(frame) - VNET_LEN)  # fmt: skip

    def server_FrameSent(self, record: events.FrameSent) -> None:
        frame = record.frame
        if not concerns_us(frame):
            return
        header = ethernet.parse(frame, VNET_LEN)
        assert header is not None
        kind = "ARP" if header.ethertype == ethernet.ARP else "IPv4"
        start = self._cursor if self._cursor in (IP, TCP) and kind == "IPv4" else ETHERNET
        to = f"to {pretty.mac(header.destination)}"
        text = summary(frame, self._isns) if kind == "ARP" else f"{to}, EtherType {kind}"
        for step in reversed(self.steps):  # what became of the segment and the packet made just before
            if step.shown is not None or not step.kind.startswith(("segment out", "packet out")):
                break
            step.shown = frame
        self._add(f"frame out {kind}", start, TAP, text, frame=frame, octets=len(frame) - VNET_LEN)

    def _imply(self, record: OnLink) -> None:
        """The kernel does not say what it thinks: its state is what its segments imply."""
        found = segment_of(record.frame)
        if found is None:
            return
        header, at = found
        if self._peer is None:
            self._peer = Peer()
        pretty.frame(record.frame, VNET_LEN, self._isns)  # learns initial sequence numbers
        segment = relative(record.frame, header, at, self._isns)
        (self._peer.sent if record.to_server else self._peer.received)(segment)
        self.client.state = self._peer.state

    def _note_phase(self, frame: bytes) -> None:
        found = segment_of(frame)
        assert found is not None
        header, at = found
        word = int.from_bytes(frame[at + 12 : at + 14], "big")
        if word & tcp.FIN:
            self._enter(CLOSE)
        if VNET_LEN + ethernet.HEADER_LEN + header.total_length > at + (word >> 12 << 2):
            self._enter(REQUEST)

    # IP.

    def server_PacketReceived(self, record: events.PacketReceived) -> None:
        if not self._foreign:
            pair = f"{pretty.address(record.source)} > {pretty.address(record.destination)}"
            self._add("packet in", self._cursor, IP, f"{pair}, TTL {record.ttl}, {_protocol(record.protocol)}",
                      octets=record.length)  # fmt: skip

    def server_PacketSent(self, record: events.PacketSent) -> None:
        pair = f"{pretty.address(record.source)} > {pretty.address(record.destination)}"
        self._add("packet out", self._cursor, IP, f"{pair}, TTL {record.ttl}, {_protocol(record.protocol)}",
                  octets=record.length)  # fmt: skip

    def server_Dropped(self, record: events.Dropped) -> None:
        if not self._foreign:
            lane = {"ethernet": ETHERNET, "arp": ETHERNET, "neighbor": ETHERNET, "ip": IP, "ipv4": IP}
            where = lane.get(record.reason.partition(".")[0], TCP)
            self._add("dropped", where, where, f"dropped: {record.reason}", notes=[reasons.explain(record.reason)])


def _protocol(number: int) -> str:
    return {tcp.PROTOCOL: "TCP", icmpv4.PROTOCOL: "ICMP"}.get(number, f"protocol {number}")
