"""From moments to steps: what each record means on the way of the request, on which lane, with both ends beside it.

A step goes from lane to lane, or happens on one. Records that say more about a step than they are one (a round-trip
time measured, a timer armed) become its notes. The order is that of the records; nothing here depends on times.
"""

from collections import Counter
from dataclasses import dataclass, field, replace
from typing import Any

from asgi import events as served
from netstack import events
from netstack.drill.explain import Peer
from netstack.drill.nodes import TcpSegment
from netstack.events import Variables
from netstack.inspect import reasons
from netstack.journey.record import Did, Moment, OnLink
from netstack.link.device import VNET_LEN
from netstack.tcp import why
from netstack.units import Octets, Seq
from netstack.wire import ethernet, ipv4, pretty, tcp

LANES = ("client", "TAP", "Ethernet", "IP", "TCP", "buffer", "event loop", "HTTP", "ASGI", "application")
CLIENT_LANE, TAP, ETHERNET, IP, TCP, BUFFER, LOOP, HTTP, ASGI, APPLICATION = range(len(LANES))

HANDSHAKE, REQUEST, RESPONSE, CLOSE = "The handshake", "The request", "The response", "The close"
PHASES = (HANDSHAKE, REQUEST, RESPONSE, CLOSE)


@dataclass(slots=True)
class End:
    """One end of the connection after a step."""

    state: str = "CLOSED"
    variables: Variables | None = None
    iss: Seq | None = None
    irs: Seq | None = None

    def copy(self) -> "End":
        """As it is now."""
        return End(self.state, self.variables, self.iss, self.irs)


@dataclass(slots=True)
class Step:
    """What happened `at` nanoseconds after the first one, between two lanes (or on one)."""

    at: int
    kind: str
    """What kind of step it is: the key to its explanation."""
    start: int
    end: int
    phase: str
    text: str
    octets: Octets | None = None
    frame: bytes | None = None
    """The frame that moved, with its virtio_net_hdr."""
    shown: bytes | None = None
    """The frame that this step is about, whether it moved just now or not."""
    because: str = ""
    """The rule that the record itself names ..."""
    source: str = ""
    """... and its paragraph."""
    notes: list[str] = field(default_factory=list)
    lost: bool = False
    """The frame never came out at the other side."""
    client: End = field(default_factory=End)
    server: End = field(default_factory=End)


def steps(moments: list[Moment]) -> list[Step]:
    """The steps that `moments` tell of, in order."""
    teller = _Teller()
    for moment in moments:
        teller.tell(moment)
    _mark_lost(teller.steps, teller.passed)
    return teller.steps


def folded(found: list[Step], limit: int) -> list[Step]:
    """`found`, or its beginning and its end with one step between them that says how many were left out."""
    if len(found) <= limit:
        return found
    head, tail = found[: limit - limit // 2], found[len(found) - limit // 2 :]
    left = len(found) - len(head) - len(tail)
    gap = replace(
        head[-1], kind="left out", start=APPLICATION, end=APPLICATION, text=f"… {left:,} steps left out (see --limit)",
        octets=None, frame=None, shown=None, because="", source="", notes=[], lost=False,
    )  # fmt: skip
    return [*head, gap, *tail]


def summary(frame: bytes, isns: pretty.Isns) -> str:
    """A frame as people write it, without the addresses that are the same every time."""
    line = pretty.frame(frame, VNET_LEN, isns)
    return line.split(": ", 1)[1] if line.startswith("IP ") and ": " in line else line


def segment_of(frame: bytes) -> tuple[ipv4.Header, int] | None:
    """The IPv4 header of a frame with a TCP segment, and where the segment begins."""
    at = VNET_LEN + ethernet.HEADER_LEN
    if frame[at - 2 : at] != ethernet.IPV4:
        return None
    header = ipv4.parse(frame, at, len(frame), quoted=True)
    if header is None or header.protocol != tcp.PROTOCOL or header.is_fragment:
        return None
    at += header.header_len
    return (header, at) if len(frame) - at >= tcp.HEADER_LEN else None


def concerns_us(frame: bytes) -> bool:
    """ARP and IPv4 to one host: what else the kernel says on a TAP (IPv6, multicast) is not about this request."""
    at = VNET_LEN + ethernet.HEADER_LEN
    kind = frame[at - 2 : at]
    return kind == ethernet.ARP or (kind == ethernet.IPV4 and not frame[VNET_LEN] & 1)


class _Teller:
    """Takes moments in order and makes steps; knows where the last one ended, and how both ends stand."""

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
        segment = _relative(record.frame, header, at, self._isns)
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

    # TCP.

    def server_SegmentReceived(self, record: events.SegmentReceived) -> None:
        server = self.server
        if record.flags & tcp.SYN:
            server.irs = record.seq
        server.variables = record.before
        start = self._cursor if self._cursor < TCP else TCP
        self._add(f"segment in {_what(record.flags, record.length)}", start, TCP, self._segment(record, server),
                  octets=record.length)  # fmt: skip

    def server_SegmentTaken(self, record: events.SegmentTaken) -> None:
        self.server.variables = record.after
        if self.steps and self.steps[-1].end >= TCP:
            self.steps[-1].server = self.server.copy()

    def server_SegmentSent(self, record: events.SegmentSent) -> None:
        server = self.server
        if record.flags & tcp.SYN:
            server.iss = record.seq
            server.irs = record.ack - 1
        if record.flags & tcp.FIN:
            self._enter(CLOSE)
        server.variables = record.after
        what = _what(record.flags, record.length)
        if record.why.startswith("probe"):
            what = record.why
        elif record.why.startswith(why.RETRANSMISSION):
            what = why.RETRANSMISSION
        because, source = why.explain(record.why)
        self._add(f"segment out {what}", BUFFER if record.length else TCP, TCP, self._segment(record, server, True),
                  octets=record.length, because=because, source=source, notes=[f"sent as {record.why}"])  # fmt: skip

    def server_StateChanged(self, record: events.StateChanged) -> None:
        if str(record.old) == self.server.state or str(record.new) != "LISTEN":
            self.server.state = str(record.new)
            start = self._cursor if self._cursor < TCP and self._cursor != CLIENT_LANE else TCP
            self._add(f"state {record.cause.name}", start, TCP, f"{record.old} → {record.new}: {record.cause.label}",
                      source=record.cause.paragraph)  # fmt: skip

    def server_TimerFired(self, record: events.TimerFired) -> None:
        self._add("timer", TCP, TCP, f"the timer went off: {record.name}")

    def server_LossDetected(self, record: events.LossDetected) -> None:
        sentence, source = why.FOUND.get(record.how, (record.how, ""))
        seq = record.seq - (self.server.iss or 0)
        self._add("loss", TCP, TCP, f"{seq} on is taken for lost: {sentence}", source=source)

    def server_LossRefuted(self, record: events.LossRefuted) -> None:
        sentence, source = why.REFUTED.get(record.how, (record.how, ""))
        self._add("not lost", TCP, TCP, f"it was not lost: {sentence}", source=source)

    def server_RttSampled(self, record: events.RttSampled) -> None:
        self._remark(f"round trip {record.rtt:,} µs: SRTT {record.srtt:,}, RTO {record.rto:,} µs")

    def server_WindowChanged(self, record: events.WindowChanged) -> None:
        threshold = "none yet" if record.ssthresh >= 1 << 30 else f"{record.ssthresh} segments"
        self._remark(f"cwnd {record.cwnd} segments, ssthresh {threshold}, peer's window {record.snd_wnd:,}")

    def server_TimerArmed(self, record: events.TimerArmed) -> None:
        self._remark(f"timer armed: {record.name}")

    def server_TimerCancelled(self, record: events.TimerCancelled) -> None:
        self._remark(f"timer stopped: {record.name}")

    def _remark(self, note: str) -> None:
        if self.steps:
            self.steps[-1].notes.append(note)

    def server_BufferChanged(self, record: events.BufferChanged) -> None:
        size, level = abs(record.change), f"{record.level:,} in the {record.buffer} buffer"
        if record.buffer == "receive":
            start, end = (TCP, BUFFER) if record.change > 0 else (BUFFER, LOOP)
            kind = "buffer in" if record.change > 0 else "buffer read"
        else:
            above = ASGI if self._cursor == ASGI else HTTP
            start, end = (above, BUFFER) if record.change > 0 else (TCP, BUFFER)
            kind = "buffer out" if record.change > 0 else "buffer freed"
        verb = {"buffer in": "kept in order", "buffer read": "read", "buffer out": "written", "buffer freed": "let go"}
        self._add(kind, start, end, f"{size:,} octets {verb[kind]}: {level}", octets=size)

    def server_Woken(self, record: events.Woken) -> None:
        bits = (("READABLE", 1), ("WRITABLE", 2), ("HANGUP", 4), ("FAILED", 8))
        names = " ".join(name for name, bit in bits if record.ready & bit)
        self._add("woken", BUFFER if record.ready & 1 else TCP, LOOP, f"{record.what} is told: {names}")

    def _segment(self, record: Any, end: End, outbound: bool = False) -> str:
        """A segment in the shorthand, numbers relative to the handshake."""
        seq = record.seq - ((end.iss if outbound else end.irs) or 0)
        ack = record.ack - ((end.irs if outbound else end.iss) or 0)
        text = f"{pretty.flags(record.flags)} {seq}:{seq + record.length}({record.length})"
        if record.flags & tcp.ACK:
            text += f" ack {ack}"
        return f"{text} win {record.wnd}"

    # The client's own stack.

    def client_SegmentSent(self, record: events.SegmentSent) -> None:
        if record.flags & tcp.SYN:
            self.client.iss = record.seq
        if record.flags & tcp.FIN:
            self._enter(CLOSE)
        self.client.variables = record.after

    def client_SegmentReceived(self, record: events.SegmentReceived) -> None:
        if record.flags & tcp.SYN:
            self.client.irs = record.seq
        self.client.variables = record.before

    def client_SegmentTaken(self, record: events.SegmentTaken) -> None:
        self.client.variables = record.after

    def client_StateChanged(self, record: events.StateChanged) -> None:
        self.client.state = str(record.new)
        self._add(f"state {record.cause.name}", CLIENT_LANE, CLIENT_LANE,
                  f"client: {record.old} → {record.new}: {record.cause.label}",
                  source=record.cause.paragraph)  # fmt: skip

    def client_TimerFired(self, record: events.TimerFired) -> None:
        self._add("timer", CLIENT_LANE, CLIENT_LANE, f"the client's timer went off: {record.name}")

    def client_LossDetected(self, record: events.LossDetected) -> None:
        sentence, source = why.FOUND.get(record.how, (record.how, ""))
        self._add("loss", CLIENT_LANE, CLIENT_LANE, f"the client takes octets for lost: {sentence}", source=source)

    # The programs.

    def did_connect(self, record: Did) -> None:
        self._add("connect", CLIENT_LANE, CLIENT_LANE, f"connect to {record.value}")

    def did_request(self, record: Did) -> None:
        self._enter(REQUEST)
        line = record.value.partition(b"\r\n")[0].decode("latin-1")
        self._add("request", CLIENT_LANE, CLIENT_LANE, f"writes {line}", octets=len(record.value))

    def did_response(self, record: Did) -> None:
        status, octets = record.value
        self._add("response", CLIENT_LANE, CLIENT_LANE, f"has the response: {status}, {octets:,} octets of content")

    def did_close(self, record: Did) -> None:
        self._enter(CLOSE)
        self._add("close", CLIENT_LANE, CLIENT_LANE, "closes")

    def did_end_of_stream(self, record: Did) -> None:
        self._add("end of stream", CLIENT_LANE, CLIENT_LANE, "the stream has ended; closes")

    # The ASGI server.

    def server_ConnectionMade(self, record: served.ConnectionMade) -> None:
        self._add("accepted", LOOP, HTTP, "connection_made(): a protocol for this connection")

    def server_ConnectionLost(self, record: served.ConnectionLost) -> None:
        self._add("connection lost", LOOP, HTTP, "connection_lost()" + (f": {record.error}" if record.error else ""))

    def server_RequestParsed(self, record: served.RequestParsed) -> None:
        text = f"{record.method} {record.target}, {record.fields} header fields: {record.octets:,} octets"
        self._add("parsed", LOOP, HTTP, text, octets=record.octets)

    def server_RequestRefused(self, record: served.RequestRefused) -> None:
        self._enter(RESPONSE)
        self._add("refused", HTTP, HTTP, f"the server answers by itself: {record.status}")

    def server_ScopeMade(self, record: served.ScopeMade) -> None:
        scope = record.scope
        query = f", query_string {scope['query_string']!r}" if scope["query_string"] else ""
        self._add("scope", HTTP, ASGI, f"scope: {scope['method']} {scope['path']!r}{query}")

    def server_TaskStarted(self, record: served.TaskStarted) -> None:
        self._add("called", ASGI, APPLICATION, "await app(scope, receive, send), in a task")

    def server_Received(self, record: served.Received) -> None:
        size = f", {record.octets:,} octets" if record.type == "http.request" else ""
        more = ", more to come" if record.more else ""
        self._add("received", ASGI, APPLICATION, f"await receive(): {record.type}{size}{more}")

    def server_Sent(self, record: served.Sent) -> None:
        self._enter(RESPONSE)
        detail = f" {record.status}" if record.status else f", {record.octets:,} octets"
        more = ", more to come" if record.more else ""
        self._add(f"sent {record.type}", APPLICATION, ASGI, f"await send(): {record.type}{detail}{more}")

    def server_ResponseWritten(self, record: served.ResponseWritten) -> None:
        self._add("written", HTTP, HTTP, f"the response is complete: {record.status}, {record.octets:,} octets")

    def server_TaskEnded(self, record: served.TaskEnded) -> None:
        if record.error:
            self._add("raised", APPLICATION, APPLICATION, f"the application raises {record.error}")
        else:
            self._add("returned", APPLICATION, APPLICATION, "the application returns")


def _relative(frame: bytes, header: ipv4.Header, at: int, isns: pretty.Isns) -> TcpSegment:
    """A segment with numbers relative to the handshake, as the inference about the kernel's state wants it."""
    _, _, seq, ack, word, window, _, _ = tcp.HEADER.unpack_from(frame, at)
    end = min(len(frame), VNET_LEN + ethernet.HEADER_LEN + header.total_length)
    flow = header.pair + frame[at : at + 4]
    reverse = header.pair[4:] + header.pair[:4] + frame[at + 2 : at + 4] + frame[at : at + 2]
    return TcpSegment(
        flags=frozenset(pretty.flags(word & 0x1FF)) - {"-"},
        seq=seq - isns.get(flow, 0) & 0xFFFF_FFFF,
        length=end - at - (word >> 12 << 2),
        ack=ack - isns.get(reverse, 0) & 0xFFFF_FFFF if word & tcp.ACK else None,
        window=window,
    )


def _what(flags: int, length: Octets) -> str:
    """What a segment is, in a word."""
    if flags & tcp.RST:
        return "RST"
    if flags & tcp.SYN:
        return "SYN-ACK" if flags & tcp.ACK else "SYN"
    if flags & tcp.FIN:
        return "FIN"
    return "data" if length else "ACK"


def _protocol(number: int) -> str:
    return {tcp.PROTOCOL: "TCP", 1: "ICMP"}.get(number, f"protocol {number}")


def _mark_lost(found: list[Step], passed: dict[bool, Counter[bytes]]) -> None:
    """Frames that went onto the link and never came out."""
    for step in reversed(found):  # of copies, the last ones are those that came through; the octets are the same
        if step.frame is None:
            continue
        octets = step.frame[VNET_LEN:]
        to_server = step.kind == "client sends"
        if to_server or step.kind.startswith("frame out"):
            if passed[to_server][octets] > 0:
                passed[to_server][octets] -= 1
            else:
                step.lost = True
                step.text += " ✗ lost on the way"
