"""One connection: the four verbs over one TCB, and header prediction.

`receive` is `on_segment`: a short test proves the common segment (in order, only ACK and PSH, nothing odd going on)
and handles it in a dozen lines; everything else falls through to `arrive`, which is complete on its own. `transmit`
asks `output`; `deadline` is in `core` and `expire` in `timers`. User calls (`user`) change variables and mark the
connection: the next `transmit(now)` acts on them.
"""

from __future__ import annotations

from netstack.seq import MASK, unwrap
from netstack.tcp import opening, output, send_room, timer_kind, timers, why
from netstack.tcp.arrive import segment_arrives
from netstack.tcp.emit import segment
from netstack.tcp.md5 import SignedPath
from netstack.tcp.readiness import READABLE
from netstack.tcp.reassembly import SMALL
from netstack.tcp.segment import Arrival, echoed_at
from netstack.tcp.state import CLOSED, ESTABLISHED, SYN_RECEIVED, SYN_SENT, TIME_WAIT, Cause
from netstack.tcp.user import UserCalls
from netstack.tcp.window import LEAST_TEXT
from netstack.units import Micros, Octets, Seq
from netstack.wire.tcp import ACK
from netstack.wire.tcp_options import ALIGNED, ALIGNED_TIMESTAMP

_MANY: Octets = 2048
"""With less than this in order, nobody cares in how many chunks it is."""
_VIEW: Octets = 8192
"""Text at least this long is kept as a view of its frame; shorter text is copied, so that it pins no frame."""


class Connection(UserCalls):
    """A TCP connection, from its first SYN to CLOSED or TIME-WAIT."""

    __slots__ = ()

    def on_segment(
        self,
        frame: bytes,
        ip_at: int,
        at: int,
        text: int,
        end: int,
        wire_seq: int,
        wire_ack: int,
        flags: int,
        window: int,
        urgent: int,
        now: Micros,
    ) -> None:
        """A segment with a valid checksum: header at `at`, text at `text`..`end` of `frame`, fields as on the wire.

        `ip_at`: where the header of IP is, for those who look at its ECN field.
        """
        tcb = self.tcb
        self.last_received_at = now
        # Header prediction. Proves: ESTABLISHED, no gap, recovery OPEN (`plain`); no SYN FIN RST URG ECE CWR, ACK set;
        # exactly in order; timestamps as expected and not older; ACK within what is outstanding; text fits the window.
        if self.plain and flags & 0x1F7 == 0x10 and wire_seq == tcb.rcv_nxt & MASK:
            ts_val = 0
            if tcb.ts_ok:
                if text - at != 32:
                    return self._arrive(frame, ip_at, at, text, end, wire_seq, wire_ack, flags, window, urgent, now)
                word, ts_val, _ = ALIGNED.unpack_from(frame, at + 20)
                if word != ALIGNED_TIMESTAMP or (ts_val - tcb.ts_recent) & 0x8000_0000:
                    return self._arrive(frame, ip_at, at, text, end, wire_seq, wire_ack, flags, window, urgent, now)
            elif text - at != 20:
                return self._arrive(frame, ip_at, at, text, end, wire_seq, wire_ack, flags, window, urgent, now)
            una = tcb.snd_una
            ack = una + ((wire_ack - una) & MASK)
            length = end - text
            if ack <= tcb.snd_nxt and length <= tcb.rcv_wup + tcb.rcv_wnd - tcb.rcv_nxt:
                wnd = window << tcb.snd_wscale
                if length or ack > una or not self.recovery.scoreboard.records or wnd != tcb.snd_wnd:
                    return self._predicted(frame, text, end, ack, wnd, ts_val, flags, now)
        return self._arrive(frame, ip_at, at, text, end, wire_seq, wire_ack, flags, window, urgent, now)

    def _predicted(
        self, frame: bytes, text: int, end: int, ack: Seq, wnd: Octets, ts_val: int, flags: int, now: Micros
    ) -> None:
        """The common segment: an ACK that advances or text in order, or both."""
        tcb = self.tcb
        if tcb.ts_ok and tcb.rcv_wup == tcb.rcv_nxt:
            tcb.ts_recent = ts_val
            tcb.ts_recent_at = now
        if wnd != tcb.snd_wnd and (wnd > tcb.snd_wnd or not wnd or ack > tcb.snd_una or tcb.rcv_nxt > tcb.snd_wl1):
            tcb.snd_wnd = wnd
            if wnd > tcb.max_snd_wnd:
                tcb.max_snd_wnd = wnd
                self.sync_mss()
        tcb.snd_wl1 = tcb.rcv_nxt
        recovery, una = self.recovery, tcb.snd_una
        if ack > una:
            recovery.on_clean_ack(ack, now)
            self.send_buffer.acknowledge(ack)
            self.path.neighbor.confirmed_at = now  # forward progress (RFC 4861 7.3.1)
            if recovery.tlp_high_seq is not None:
                recovery.on_probe_answered(ack, False)
            if recovery.scoreboard.records:
                self.arm_after_ack(now)
            else:
                self.timer_at = 0
                if ack == self.send_buffer.end:
                    self.chrono.rest(now)
            if self.starved:
                send_room.feed(self, now)
        elif self.timer_at and not recovery.scoreboard.records:
            self._window_probe_answered(now)
        if not self.marked and self.send_buffer.end > tcb.snd_nxt:
            if self.hold:
                self.hold = end > text and ack == una
            self.mark()
        if end > text:
            self.data_segs_in += 1
            if tcb.rcv_nxt >= self.window.tune.until:
                if tcb.ts_ok:
                    self.hear_echo(int.from_bytes(frame[text - 4 : text], "big"), end - text, now)
                self.window.tune.measure(tcb.rcv_nxt + end - text, tcb.rcv_wnd, now)
            length = end - text
            data = memoryview(frame)[text:end] if length >= _VIEW else frame[text:end]
            self.deliver(data, length, flags & 8, now)
        else:
            self.bare_segs_in += 1

    def _arrive(
        self, frame: bytes, ip_at: int, at: int, text: int, end: int, wire_seq: int, wire_ack: int, flags: int,
        window: int, urgent: int, now: Micros,
    ) -> None:  # fmt: skip
        tcb = self.tcb
        if end > text:
            self.data_segs_in += 1
            self.unpredicted_data += 1
        else:
            self.bare_segs_in += 1
            self.unpredicted_bare += 1
        self.keepalives_out = 0
        seq, ack = unwrap(wire_seq, tcb.rcv_nxt), unwrap(wire_ack, tcb.snd_una)
        self.take(Arrival(frame, ip_at, text, end, at + 20, seq, ack, flags, window, urgent), now)

    def take(self, seg: Arrival, now: Micros) -> None:
        """What header prediction did not prove: the whole of 3.10.7."""
        if seg.options.md5 is not None and not isinstance(self.path, SignedPath):
            self.tcp.counters.mib["TcpExtTCPMD5Unexpected"] += 1  # RFC 2385 2: signed, and nobody agreed on a key
            self.drop("md5_unexpected", now)
            return
        state = self.tcb.state
        if state is SYN_SENT:
            opening.syn_sent_arrives(self, seg, now)
        elif state is not CLOSED:
            segment_arrives(self, seg, now)

    def deliver(self, data: bytes | memoryview, size: Octets, push: int, now: Micros) -> None:
        """Text exactly at RCV.NXT: to the user, with whatever waited behind it. The segment had `size` octets, of which
        some may have been known."""
        tcb, acking, buffer, window = self.tcb, self.acking, self.receive_buffer, self.window
        tcb.rcv_nxt += len(data)
        buffer.append(data)
        acking.on_data(size, push, tcb, self.rtt.rto, self.tcp.config, now)
        if LEAST_TEXT <= size < window.enough:
            window.on_data(size, self.packets, acking)
        if buffer.ready > self.hold_freely:
            self.tcp.memory.settle(self)
        if size < SMALL and buffer.ready > _MANY:
            self.tcp.counters.mib["TcpExtTCPRcvCollapsed"] += buffer.join_small()
        if not self.plain:
            self._fill_gap()
        if not self.pending:  # `notify` and `mark`, without the calls
            self.tcp.upcalls.append(self)
        self.pending |= READABLE
        if not self.marked:
            self.marked = True
            self.tcp.ready.append(self)

    def _fill_gap(self) -> None:
        """RCV.NXT moved, perhaps up to what waited behind a gap."""
        tcb, buffer, packets, acking = self.tcb, self.receive_buffer, self.packets, self.acking
        if packets.beyond:
            for left, right in packets.advance(tcb.rcv_nxt):
                self.extend_duplicate(left, right)
            if buffer.held:
                before = tcb.rcv_nxt
                tcb.rcv_nxt = buffer.advance(before)
                acking.jumps(before, tcb.rcv_nxt)
            if not packets.beyond:
                acking.owe(why.ACK_FILLED)  # RFC 5681 4.2: at once when a segment fills the gap
        if self.peer_fin_at is not None:
            self.take_fin()
            acking.owe(why.ACK_FIN)  # it came first: a gap too
        if buffer.recent:
            buffer.forget_blocks(tcb.rcv_nxt, not packets.beyond)
        if acking.compressed and not buffer.recent:
            self.tcp.counters.mib["TcpExtTCPAckCompressed"] += acking.compressed  # the ACK that leaves now is for all
            acking.compressed = acking.at = 0

    def hear_echo(self, ts_ecr: int, length: Octets, now: Micros) -> None:
        """Text arrives whose timestamp may tell how long a round trip is."""
        sent_at = echoed_at(ts_ecr, self.tcb.ts_offset, now)
        since = 0 if sent_at is None else now // 1000 * 1000 - sent_at
        full = length >= self.acking.rcv_mss
        self.window.tune.hear_echo(ts_ecr, since, full, not self.receive_buffer.ready)

    def take_fin(self, alone: bool = False, orphan: bool = False) -> None:
        """Eighth: the peer's FIN, once everything before it is here. `alone`: without text, and in order. `orphan`: for
        nobody, see there."""
        tcb = self.tcb
        if self.peer_fin_at != tcb.rcv_nxt:
            return
        tcb.rcv_nxt += 1
        self.packets.take_fin(alone)
        self.plain = False
        acking = self.acking
        acking.scheduled = 2
        state = tcb.state
        self.move(Cause.PEER_FIN)
        if state is ESTABLISHED or state is SYN_RECEIVED:
            self.duplicate = None
            acking.pingpong = True  # as Linux: the user will probably close, and our FIN then carries the ACK
        else:
            acking.owe(why.ACK_FIN)
            if not orphan:  # by itself, before what may leave now, and with what was beyond gaps (Linux)
                segment(self, tcb.snd_nxt, b"", ACK, 1, self.tcp.now, why.ACK_FIN)
        self.receive_buffer.prune()  # beyond the FIN there is nothing
        self.packets.forget_beyond()
        self.notify(READABLE)
        if tcb.state is TIME_WAIT:
            self.tcp.enter_time_wait(self, self.tcp.now)
        else:
            self.mark()

    def on_acked(self, prior_una: Seq, had_packets: bool, restart: bool, seg: Arrival, now: Micros) -> None:
        """The slow path applied an ACK: buffers, timers, probes, and the user who waits for space."""
        tcb, recovery = self.tcb, self.recovery
        una = tcb.snd_una
        self.probes_out = self.soft_error = 0
        self.hold = False
        if una > prior_una:
            if self.mtu_probe is not None and self.mtu_probe.found:
                self.mtu_probe.found = False
                self.tcp.counters.mib["TcpExtTCPMTUPSuccess"] += 1
                self.sync_mss()
            self.send_buffer.acknowledge(min(una, self.send_buffer.end))
            self.path.neighbor.confirmed_at = now
            if self.starved:
                send_room.feed(self, now)
        if una == self.send_buffer.end + (1 if self.fin_queued else 0):
            self.chrono.rest(now)
        if not had_packets:
            self._window_probe_answered(now)
        elif recovery.doubt_in:
            self.start_timer(timer_kind.RETRANSMIT, now + recovery.doubt_in)
            recovery.doubt_in = 0
        elif restart or recovery.again_in or not recovery.scoreboard.records:
            self.arm_after_ack(now)
        self.mark()

    def _window_probe_answered(self, now: Micros) -> None:
        """Nothing was outstanding: the ACK answered a probe. The window is open, or we go on asking (3.8.6.1)."""
        self.probes_out = 0
        if not output.unsent(self):
            return
        tcb = self.tcb
        waiting = min(max(self.send_buffer.end - tcb.snd_nxt, 1), self.send_mss)
        if tcb.snd_una + tcb.snd_wnd >= tcb.snd_nxt + waiting:
            self.probe_backoff = 0
            self.probes_since = -1
            self.timer_at = 0
        else:
            self.start_timer(timer_kind.WINDOW_PROBE, now + timers.probe_interval(self))


