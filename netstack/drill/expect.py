"""Outbound packets: taken as they leave, joined as far as the script allows, compared with what it expects."""

from dataclasses import replace

from netstack.drill import notation
from netstack.drill.codec import IPPROTO_TCP, TCP, Datagram, parse_ip
from netstack.drill.compare import Rules, differences
from netstack.drill.connections import Connections
from netstack.drill.flow import MASK, Flow
from netstack.drill.host import Host
from netstack.drill.nodes import (
    Event,
    IpFields,
    Md5,
    Packet,
    SeqKind,
    TcpOption,
    TcpSegment,
    Timestamps,
    UdpDatagram,
)
from netstack.drill.observe import Observed, join, joinable, observe
from netstack.drill.outcome import Entry, Mismatch, Unsupported
from netstack.drill.signatures import digest
from netstack.drill.tcp_options import decode_all
from netstack.drill.timing import Due
from netstack.units import MINUTE, SECOND, Micros

PATIENCE: Micros = 2 * SECOND
"""How long after its time a packet, or the return of a call, is still waited for."""
ANY_TIME: Micros = 2 * MINUTE
"""How long a packet expected at any time is waited for."""


class Expecting:
    """Takes outbound packets from the host; what no line asks for goes on the time line as such."""

    def __init__(
        self, host: Host, connections: Connections, rules: Rules, timeline: list[Entry], strict_segments: bool
    ) -> None:
        self.host, self.connections, self.rules = host, connections, rules
        self.timeline, self.strict_segments = timeline, strict_segments
        self.unscripted = 0

    def expect(self, event: Event, wanted: Packet, due: Due) -> Micros:
        """The next packet that leaves is the one of the script, at its time. Returns when it left."""
        _check_supported(wanted)
        begun = self.host.now()
        until = begun + ANY_TIME if due.start is None else due.end + PATIENCE
        got = self._next(wanted, until)
        if got is None:
            told = f"no packet left until {notation.seconds(until)}"
            raise Mismatch(event.line, told, event.text, "silence")
        got = self._joined(event, wanted, got, until)
        entry = Entry(got.at, shown(wanted, got), event.line, "out", got.packet)
        self.timeline.append(entry)
        wrong = differences(wanted, got, self.rules)
        if wrong:
            raise Mismatch(event.line, wrong[0], event.text, str(entry), wrong[1:])
        self._check_time(event, got, due, entry)
        self._learn_timestamp(wanted, got)
        return got.at

    def leftover(self, at: Micros, octets: bytes) -> None:
        """A packet that no line of the script asked for."""
        datagram = parse_ip(octets)
        flow = self.connections.outbound(datagram) if datagram is not None else None
        if datagram is not None and flow is not None:
            self.unscripted += 1
            got = observe(at, datagram, flow)
            self.timeline.append(Entry(at, shown(None, got), 0, "other", got.packet))

    def _next(self, wanted: Packet, until: Micros) -> Observed | None:
        """The next packet of a connection of the script."""
        while (left := self.host.outbound(until)) is not None:
            at, octets = left
            datagram = parse_ip(octets)
            if datagram is None or (flow := self.connections.outbound(datagram)) is None:
                continue
            another = self._is_of_another(flow, wanted)
            if datagram.protocol == IPPROTO_TCP and len(datagram.payload) >= 20 and not another:
                _learn_numbers(flow, datagram, wanted)
            got = observe(at, datagram, flow)
            if another and not self._fits(wanted, got):
                self.leftover(at, octets)
                continue
            if isinstance(wanted.body, TcpSegment) and Md5(None) in (wanted.body.options or ()):
                self._check_signature(got, flow)
            return got
        return None

    def _is_of_another(self, flow: Flow, wanted: Packet) -> bool:
        """The packet is of a connection that was under test before, and the line names no ports."""
        ports = wanted.body.ports if isinstance(wanted.body, TcpSegment | UdpDatagram) else None
        return ports is None and flow is not self.connections.flow is not None and flow.iss is not None

    def _fits(self, wanted: Packet, got: Observed) -> bool:
        """It is the one of the line all the same, or the first part of it; else it does not matter any more."""
        one, tcp = wanted.body, got.tcp
        if isinstance(one, TcpSegment) and tcp is not None and one.seq == tcp.seq and 0 < tcp.length < one.length:
            return True
        return not differences(wanted, got, self.rules)

    def _check_signature(self, got: Observed, flow: Flow) -> None:
        """The script says `md5 valid`; a segment without the option differs from it anyway."""
        carried = next((item.digest for item in got.raw_options if isinstance(item, Md5)), None)
        key = self.connections.keys.find(flow.remote[0])
        datagram = got.datagram
        if carried not in (None, digest(key, datagram.source, datagram.destination, datagram.payload)):
            got.faults.append("the MD5 signature is not valid")

    def _joined(self, event: Event, wanted: Packet, got: Observed, until: Micros) -> Observed:
        """`got`, with the segments behind it that the scripted length covers too."""
        if self.strict_segments or not isinstance(wanted.body, TcpSegment):
            return got
        while (tcp := got.tcp) is not None and 0 < tcp.length < wanted.body.length:
            if wanted.body.seq_kind is SeqKind.RELATIVE and tcp.seq != wanted.body.seq:
                return got
            then = self._next(wanted, until)
            why = "no more packets left" if then is None else joinable(got, then)
            if then is None or why:
                entry = Entry(got.at, shown(wanted, got), event.line, "out", got.packet)
                self.timeline.append(entry)
                told = f"length: expected {wanted.body.length}, got {tcp.length} and then {why}"
                detail = [f"next      {notation.seconds(then.at)} {shown(wanted, then)}"] if then else []
                raise Mismatch(event.line, told, event.text, str(entry), detail)
            got = join(got, then)
        return got

    def _check_time(self, event: Event, got: Observed, due: Due, entry: Entry) -> None:
        if due.start is None or due.start - due.slack <= got.at <= due.end + due.slack:
            return
        wanted = notation.seconds(due.start)
        if due.end > due.start:
            wanted += f"~{notation.seconds(due.end)}"
        told = f"time: expected {wanted} (give or take {notation.seconds(due.slack)}), got {notation.seconds(got.at)}"
        raise Mismatch(event.line, told, event.text, str(entry))

    def _learn_timestamp(self, wanted: Packet, got: Observed) -> None:
        flow = self.connections.outbound(got.datagram)
        if flow is None or not isinstance(wanted.body, TcpSegment):
            return
        scripted = _timestamps(wanted.body.options)
        live = _timestamps(got.raw_options)
        if scripted is not None and live is not None and scripted.val is not None and not scripted.raw_val:
            flow.learn_timestamp(live.val or 0, scripted.val)


def _check_supported(wanted: Packet) -> None:
    if wanted.headers:
        raise Unsupported(f"outer header {wanted.headers[0].kind}")
    if isinstance(wanted.body, TcpSegment) and wanted.body.encapsulation is not None:
        raise Unsupported("TCP inside UDP")


def _learn_numbers(flow: Flow, datagram: Datagram, wanted: Packet) -> None:
    """Before a segment is mapped: its SYN may fix the initial number, its timestamp the shift."""
    _, _, seq, ack, word, _, _, _ = TCP.unpack_from(datagram.payload)
    segment = wanted.body if isinstance(wanted.body, TcpSegment) else TcpSegment(frozenset(), 0, 0)
    if word & 0x002:
        if flow.iss is None:
            flow.learn_syn(seq, segment.seq if "S" in segment.flags else 0)
        elif (
            flow.finished
            and flow.last_syn is not None
            and word & 0x010
            and flow.seq_to_script(seq, syn=True) != segment.seq
            and ack == flow.last_syn + 1 & MASK
        ):
            flow.reincarnate(seq, segment.seq)
    live = _timestamps(decode_all(datagram.payload[20 : (word >> 12) * 4]))
    scripted = _timestamps(segment.options)
    if live is not None and flow.timestamp_shift is None:
        first = scripted.val if scripted is not None and not scripted.raw_val else None
        if first is not None:
            flow.timestamp_shift = (live.val or 0) - first & MASK


def _timestamps(options: tuple[TcpOption, ...] | None) -> Timestamps | None:
    return next((item for item in options or () if isinstance(item, Timestamps)), None)


def shown(wanted: Packet | None, got: Observed) -> str:
    """The packet that left, with what the script's line mentions (all of it, when there is no such line)."""
    packet = got.packet
    ip = wanted.ip if wanted is not None else IpFields()
    kept = IpFields(
        packet.ip.ecn if ip.ecn or (wanted is None and packet.ip.ecn != "noecn") else None,
        packet.ip.tos if ip.tos is not None else None,
        packet.ip.ttl if ip.ttl is not None else None,
        packet.ip.flowlabel if ip.flowlabel is not None else None,
    )
    body = packet.body
    asked = wanted.body if wanted is not None else None
    if isinstance(body, TcpSegment):
        ports = body.ports if isinstance(asked, TcpSegment) and asked.ports is not None else None
        body = replace(body, ports=ports)
        if isinstance(asked, TcpSegment) and asked.ace is not None:
            ace = 4 * ("A" in body.flags) + 2 * ("W" in body.flags) + ("E" in body.flags)
            body = replace(body, flags=body.flags - set("EWA"), ace=ace)
        if isinstance(asked, TcpSegment) and asked.seq_kind is SeqKind.RAW:
            body = replace(body, seq=got.raw_seq, seq_kind=SeqKind.RAW)
    elif isinstance(body, UdpDatagram) and not (isinstance(asked, UdpDatagram) and asked.ports is not None):
        body = replace(body, ports=None)
    return notation.packet(Packet(False, body, kept))
