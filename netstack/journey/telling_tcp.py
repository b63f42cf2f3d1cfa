"""Steps of TCP: segments, states, timers, losses, buffers; the server's in full, the client's on one lane."""

from typing import Any

from netstack import events
from netstack.journey.frames import what_is
from netstack.journey.steps import (
    ASGI,
    BUFFER,
    CLIENT_LANE,
    CLOSE,
    HTTP,
    LOOP,
    TCP,
    End,
)
from netstack.journey.telling import Telling
from netstack.tcp import why
from netstack.wire import pretty, tcp


class TcpTelling(Telling):
    """What the two stacks say of the connection."""

    def server_SegmentReceived(self, record: events.SegmentReceived) -> None:
        server = self.server
        if record.flags & tcp.SYN:
            server.irs = record.seq
        server.variables = record.before
        start = self._cursor if self._cursor < TCP else TCP
        self._add(f"segment in {what_is(record.flags, record.length)}", start, TCP, self._segment(record, server),
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
        what = what_is(record.flags, record.length)
        if record.why.startswith("probe"):
            what = record.why
        elif record.why.startswith(why.RETRANSMISSION):
            what = why.RETRANSMISSION
        because, source = why.explain(record.why)
        self._add(f"segment out {what}", BUFFER if record.length else TCP, TCP, self._segment(record, server, True),
                  octets=record.length, because=because, source=source, notes=[f"sent as {record.why}"])  # fmt: skip

    def server_StateChanged(self, record: events.StateChanged) -> None:
        self.server.state = str(record.new)
        start = self._cursor if CLIENT_LANE < self._cursor < TCP else TCP
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

    def client_RttSampled(self, record: events.RttSampled) -> None:
        self.client.learn(record)

    def client_WindowChanged(self, record: events.WindowChanged) -> None:
        self.client.learn(record)

    def server_RttSampled(self, record: events.RttSampled) -> None:
        self.server.learn(record)
        self._remark(f"round trip {record.rtt:,} µs: SRTT {record.srtt:,}, RTO {record.rto:,} µs")

    def server_WindowChanged(self, record: events.WindowChanged) -> None:
        self.server.learn(record)
        threshold = "none yet" if record.ssthresh >= 1 << 30 else f"{record.ssthresh} segments"
        self._remark(f"cwnd {record.cwnd} segments, ssthresh {threshold}, peer's window {record.snd_wnd:,}")

    def server_TimerArmed(self, record: events.TimerArmed) -> None:
        self._remark(f"timer armed: {record.name}")

    def server_TimerCancelled(self, record: events.TimerCancelled) -> None:
        self._remark(f"timer stopped: {record.name}")

    def _remark(self, note: str) -> None:
        if self.steps:
            self.steps[-1].notes.append(note)

    def client_BufferChanged(self, record: events.BufferChanged) -> None:
        self.client.learn(record)

    def server_BufferChanged(self, record: events.BufferChanged) -> None:
        self.server.learn(record)
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
        start = BUFFER if record.ready & 1 and record.what != "listener" else TCP
        self._add("woken", start, LOOP, f"{record.what} is told: {names}")

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
