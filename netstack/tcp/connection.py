"""One connection: the four verbs over one TCB, the user's calls, and header prediction.

`receive` is `on_segment`: a short test proves the common segment (in order, only ACK and PSH, nothing odd going on)
and handles it in a dozen lines; everything else falls through to `arrive`, which is complete on its own. `transmit`
asks `output`; `deadline` and `expire` are with `timers`. User calls change variables and mark the connection: the next
`transmit(now)` acts on them.
"""

from __future__ import annotations

from collections.abc import Callable
from errno import EPIPE
from typing import TYPE_CHECKING

from netstack.events import Dropped, SegmentReceived, StateChanged
from netstack.ip.path import Path
from netstack.seq import MASK, unwrap
from netstack.tcp import loss_probe, opening, output, timers
from netstack.tcp.acking import AckPolicy
from netstack.tcp.arrive import segment_arrives
from netstack.tcp.options import SocketOptions
from netstack.tcp.readiness import FAILED, HANGUP, READABLE, WRITABLE
from netstack.tcp.reassembly import ReceiveBuffer
from netstack.tcp.recovery import OPEN, Recovery
from netstack.tcp.rto import RttEstimator
from netstack.tcp.segment import Arrival
from netstack.tcp.send_buffer import SendBuffer
from netstack.tcp.state import (
    CLOSED,
    ESTABLISHED,
    FIN_WAIT_2,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    TRANSITIONS,
    Cause,
    State,
)
from netstack.tcp.tcb import Tcb
from netstack.tcp.window import ReceiveWindow
from netstack.units import Micros, Octets, Seq
from netstack.wire.tcp import ACK, RST
from netstack.wire.tcp_options import ALIGNED, ALIGNED_TIMESTAMP

if TYPE_CHECKING:
    from netstack.tcp.demux import Tcp
    from netstack.tcp.listener import Listener

NEVER: Micros = 1 << 62
_VIEW: Octets = 8192


class Connection:
    """A TCP connection, from its first SYN to CLOSED or TIME-WAIT.

    `observer`, when set, is called from `Tcp.transmit` with readiness bits (`readiness`) whenever something changed.
    """

    __slots__ = (
        "acking",
        "close_at",
        "duplicate",
        "error",
        "fin_queued",
        "fin_sent",
        "keepalive_at",
        "keepalives_out",
        "key",
        "last_oow_ack_at",
        "last_received_at",
        "last_sent_at",
        "listener",
        "marked",
        "more",
        "observer",
        "options",
        "path",
        "peer_fin_at",
        "pending",
        "plain",
        "ports",
        "probe_backoff",
        "probes_out",
        "probes_since",
        "receive_buffer",
        "recovery",
        "reset_due",
        "rtt",
        "send_buffer",
        "send_mss",
        "small_sent",
        "soft_error",
        "starved",
        "syn_due",
        "tcb",
        "tcp",
        "timer",
        "timer_at",
        "tlp_high_seq",
        "tlp_is_retransmission",
        "user_gone",
        "wake_at",
        "window",
        "wscale_seen",
    )

    def __init__(self, tcp: Tcp, key: bytes, path: Path, iss: Seq, options: SocketOptions) -> None:
        config = tcp.config
        self.tcp = tcp
        self.key = key
        """Remote address, local address, remote port, local port, as they arrive on the wire."""
        self.path = path
        self.options = options
        self.ports = int.from_bytes(key[-2:] + key[-4:-2], "big")
        """Local and remote port as the first word of our headers."""
        rmss = opening.receive_mss(path, options)
        self.tcb = Tcb(iss, rmss, rmss)
        self.send_mss: Octets = rmss
        """`tcb.eff_snd_mss`, bounded by half the largest window a small peer ever offered."""
        self.send_buffer = SendBuffer(iss + 1)
        self.receive_buffer = ReceiveBuffer()
        self.rtt = RttEstimator(config.initial_rto, config.rto_min, config.rto_max)
        self.recovery = Recovery(self.tcb, tcp.congestion(options), self.rtt, config, tcp.counters.mib)
        rcvbuf = options.rcvbuf or config.rmem[1]
        self.window = ReceiveWindow(rcvbuf, bool(options.rcvbuf), opening.initial_window(rcvbuf, rmss))
        self.acking = AckPolicy(min(config.base_mss, rmss), rmss)
        self.observer: Callable[[int], None] | None = None
        self.listener: Listener | None = None
        """Until accepted by the user, the listener that this connection belongs to."""
        self.error = 0
        self.soft_error = 0
        """errno of the last ICMP error that does not end a connection by itself (RFC 9293 3.9.2.2)."""
        self.pending = 0
        self.marked = False
        self.plain = False
        """Header prediction may be used: ESTABLISHED, no gap, nothing lost."""
        self.user_gone = False
        self.starved = False
        """The user was told that the send buffer is full, and waits for WRITABLE."""
        self.more = False
        self.fin_queued = False
        self.fin_sent = False
        self.peer_fin_at: Seq | None = None
        self.reset_due = False
        self.syn_due = False
        self.wscale_seen = False
        """The peer's SYN carried a window scale option, so ours may too (RFC 7323 2.2)."""
        self.duplicate: tuple[Seq, Seq] | None = None
        """What arrived twice and the next ACK reports (D-SACK)."""
        self.small_sent: Seq = iss
        self.last_sent_at: Micros = -1
        self.last_received_at: Micros = 0
        self.last_oow_ack_at: Micros = -1
        self.timer = timers.RETRANSMIT
        self.timer_at: Micros = 0
        self.keepalive_at: Micros = 0
        self.close_at: Micros = 0
        self.wake_at: Micros = NEVER
        self.probes_out = 0
        self.probe_backoff = 0
        self.probes_since: Micros = -1
        self.keepalives_out = 0
        self.tlp_high_seq: Seq | None = None
        self.tlp_is_retransmission = False

    # -- what the user sees -----------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """One of the eleven states."""
        return self.tcb.state

    @property
    def local(self) -> tuple[bytes, int]:
        """Our address and port."""
        return self.path.source, int.from_bytes(self.key[-2:], "big")

    @property
    def remote(self) -> tuple[bytes, int]:
        """The peer's address and port."""
        return self.path.destination, int.from_bytes(self.key[-4:-2], "big")

    @property
    def readable(self) -> Octets:
        """Octets in order that wait for the user."""
        return self.receive_buffer.ready

    @property
    def eof(self) -> bool:
        """The peer's FIN was reached, or the connection is over: after `readable` octets nothing more comes."""
        state = self.tcb.state
        return not state.can_receive and state is not SYN_SENT and state is not SYN_RECEIVED

    @property
    def send_space(self) -> Octets:
        """Octets that `send` would accept now."""
        space = self.send_limit - len(self.send_buffer)
        return space if space > 0 else 0

    @property
    def send_limit(self) -> Octets:
        """The send buffer's size: SO_SNDBUF, or what keeps twice cwnd, within tcp_wmem (Linux's auto-tuning)."""
        if self.options.sndbuf:
            return self.options.sndbuf
        _, default, most = self.tcp.config.wmem
        return min(max(default, 2 * self.recovery.cc.cwnd * self.tcb.smss), most)

    def send(self, data: bytes, more: bool = False) -> Octets:
        """Queue octets; returns how many were taken (0: the buffer is full; WRITABLE will say when it is not).

        `data` is kept by reference. `more` (MSG_MORE) holds a last, partial segment back. BrokenPipeError after
        `shutdown`, `close` or the end of the connection.
        """
        if self.fin_queued or self.tcb.state is CLOSED or self.tcb.state is TIME_WAIT:
            raise BrokenPipeError(EPIPE, "Broken pipe")
        size = len(data)
        space = self.send_space
        self.more = more
        if size > space:
            self.starved = True
            if not space:
                return 0
            data, size = data[:space], space
        if size:
            self.send_buffer.append(data)
            self.mark()
        return size

    def recv(self, limit: Octets) -> bytes | None:
        """Up to `limit` octets in order; None: nothing yet; b"": the end of the stream."""
        buffer = self.receive_buffer
        if not buffer.ready:
            return b"" if self.eof else None
        data = buffer.read(limit)
        self._taken(len(data))
        return data

    def recv_into(self, target: bytearray | memoryview) -> Octets | None:
        """Like `recv` into a writable buffer; returns the octets written, 0 at the end of the stream."""
        view = memoryview(target)
        data = self.recv(len(view))
        if data is None:
            return None
        view[: len(data)] = data
        return len(data)

    def peek(self, limit: Octets) -> bytes | None:
        """What `recv` would return, left where it is."""
        if not self.receive_buffer.ready:
            return b"" if self.eof else None
        return self.receive_buffer.peek(limit)

    def _taken(self, size: Octets) -> None:
        """The user read `size` octets: an owed ACK may go, and a window that doubled is announced (3.8.6.2.2)."""
        tcb, acking, tcp = self.tcb, self.acking, self.tcp
        if not tcb.state.can_receive:
            return
        self.window.on_read(size, acking.rcv_mss, self.rtt.srtt, tcp.config, tcp.now)
        if acking.scheduled:
            if tcb.rcv_nxt - tcb.rcv_wup > acking.rcv_mss or (
                acking.pushed and not acking.pingpong and not self.receive_buffer.ready
            ):
                acking.due = True
            self.mark()
            return
        remains = tcb.rcv_wup + tcb.rcv_wnd - tcb.rcv_nxt
        if 2 * remains <= self.window.clamp:
            buffer = self.receive_buffer
            window = self.window.select(tcb, buffer.ready + buffer.held, acking.rcv_mss)
            if window and window >= 2 * remains:
                acking.due = acking.scheduled = True
                self.mark()

    def shutdown(self) -> None:
        """No more sending: a FIN follows what is queued (3.10.4 CLOSE, of which half closes half the connection)."""
        if self.fin_queued:
            return
        self.fin_queued = True
        self.more = False
        if self.tcb.state in TRANSITIONS[Cause.CLOSE_CALLED] and self.tcb.state is not SYN_SENT:
            self.move(Cause.CLOSE_CALLED)
        self.mark()

    def close(self) -> None:
        """The user is gone. Unread data makes it a reset, since it will never be delivered (RFC 2525 2.17)."""
        if self.user_gone:
            return
        self.user_gone = True
        self.observer = None
        state = self.tcb.state
        if state is CLOSED or state is TIME_WAIT:
            return
        if self.options.linger == 0 or self.receive_buffer.ready:
            self.tcp.counters.mib["TcpExtTCPAbortOnClose" if self.receive_buffer.ready else "TcpExtTCPAbortOnData"] += 1
            self.abort()
        elif state is SYN_SENT:
            self.move(Cause.CLOSE_CALLED)
            self.finish()
        elif self.fin_queued:
            if state is FIN_WAIT_2:
                self.on_fin_wait_2(self.tcp.now)
        else:
            self.shutdown()

    def abort(self) -> None:
        """3.10.5: reset the connection; what was queued is lost."""
        self.user_gone = True
        self.observer = None
        state = self.tcb.state
        if state is CLOSED or state is TIME_WAIT:
            return
        if state is not SYN_SENT:
            self.reset_now()
        self.move(Cause.ABORT_CALLED)
        self.finish()

    # -- arrivals -----------------------------------------------------------------------------------------------------

    def on_segment(
        self,
        frame: bytes,
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
        """A segment with a valid checksum: header at `at`, text at `text`..`end` of `frame`, fields as on the wire."""
        tcb = self.tcb
        self.last_received_at = now
        self.keepalives_out = 0
        if self.tcp.events is not None:
            self._report(text, end, wire_seq, wire_ack, flags, window, now)
        # Header prediction. Proves: ESTABLISHED, no gap, recovery OPEN (`plain`); no SYN FIN RST URG ECE CWR, ACK set;
        # exactly in order; timestamps as expected and not older; ACK within what is outstanding; text fits the window.
        if self.plain and flags & 0x1F7 == 0x10 and wire_seq == tcb.rcv_nxt & MASK:
            ts_val = 0
            if tcb.ts_ok:
                if text - at != 32:
                    return self._arrive(frame, at, text, end, wire_seq, wire_ack, flags, window, urgent, now)
                word, ts_val, _ = ALIGNED.unpack_from(frame, at + 20)
                if word != ALIGNED_TIMESTAMP or (ts_val - tcb.ts_recent) & 0x8000_0000:
                    return self._arrive(frame, at, text, end, wire_seq, wire_ack, flags, window, urgent, now)
            elif text - at != 20:
                return self._arrive(frame, at, text, end, wire_seq, wire_ack, flags, window, urgent, now)
            una = tcb.snd_una
            ack = una + ((wire_ack - una) & MASK)
            length = end - text
            if ack <= tcb.snd_nxt and length <= tcb.rcv_wup + tcb.rcv_wnd - tcb.rcv_nxt:
                wnd = window << tcb.snd_wscale
                if length or ack > una or not self.recovery.scoreboard.records or wnd != tcb.snd_wnd:
                    return self._predicted(frame, text, end, ack, wnd, ts_val, flags, now)
        return self._arrive(frame, at, text, end, wire_seq, wire_ack, flags, window, urgent, now)

    def _predicted(
        self, frame: bytes, text: int, end: int, ack: Seq, wnd: Octets, ts_val: int, flags: int, now: Micros
    ) -> None:
        """The common segment: an ACK that advances or text in order, or both."""
        tcb = self.tcb
        if tcb.ts_ok and tcb.rcv_wup == tcb.rcv_nxt:
            tcb.ts_recent = ts_val
            tcb.ts_recent_at = now
        tcb.snd_wl1 = tcb.rcv_nxt
        if wnd != tcb.snd_wnd:
            tcb.snd_wnd = wnd
            if wnd > tcb.max_snd_wnd:
                tcb.max_snd_wnd = wnd
                self.sync_mss()
        recovery = self.recovery
        if ack > tcb.snd_una:
            recovery.on_clean_ack(ack, now)
            self.send_buffer.acknowledge(ack)
            self.path.confirm(now)
            if self.tlp_high_seq is not None:
                loss_probe.on_ack(self, ack, False)
            if recovery.scoreboard.records:
                self.arm_after_ack(now)
            else:
                self.timer_at = 0
            if self.starved:
                self._fed()
        elif not recovery.scoreboard.records:
            self._window_probe_answered(now)
        if self.send_buffer.end > tcb.snd_nxt or self.fin_queued:
            self.mark()
        if end > text:
            data = memoryview(frame)[text:end] if end - text >= _VIEW else frame[text:end]
            self.deliver(data, bool(flags & 8), now)

    def _arrive(
        self, frame: bytes, at: int, text: int, end: int, wire_seq: int, wire_ack: int, flags: int, window: int,
        urgent: int, now: Micros,
    ) -> None:  # fmt: skip
        tcb = self.tcb
        seq, ack = unwrap(wire_seq, tcb.rcv_nxt), unwrap(wire_ack, tcb.snd_una)
        seg = Arrival(frame, text, end, at + 20, seq, ack, flags, window, urgent)
        if tcb.state is SYN_SENT:
            opening.syn_sent_arrives(self, seg, now)
        elif tcb.state is not CLOSED:
            segment_arrives(self, seg, now)

    def _report(
        self, text: int, end: int, wire_seq: int, wire_ack: int, flags: int, window: int, now: Micros
    ) -> None:
        tcb, events = self.tcb, self.tcp.events
        if events is not None:
            seq, ack = unwrap(wire_seq, tcb.rcv_nxt), unwrap(wire_ack, tcb.snd_una)
            events(SegmentReceived(now, self.key, seq, ack, flags, window << tcb.snd_wscale, end - text))

    def predict(self) -> None:
        """After the slow path: may header prediction be used for the next segment?"""
        recovery = self.recovery
        self.plain = (
            self.tcb.state is ESTABLISHED
            and not self.receive_buffer.held
            and recovery.ca_state == OPEN
            and not recovery.scoreboard.sacked_out
            and self.peer_fin_at is None
        )

    def deliver(self, data: bytes | memoryview, push: bool, now: Micros) -> None:
        """Text exactly at RCV.NXT: to the user, with whatever waited behind it."""
        tcb, acking, buffer = self.tcb, self.acking, self.receive_buffer
        size = len(data)
        tcb.rcv_nxt += size
        buffer.append(data)
        acking.on_data(size, push, tcb.rcv_wnd, self.rtt.rto, self.tcp.config, now)
        self.window.on_data(size, acking.rcv_mss)
        if buffer.held:
            tcb.rcv_nxt = buffer.advance(tcb.rcv_nxt)
            if not buffer.held:
                acking.due = True  # RFC 5681 4.2: at once when a segment fills the gap
        if self.peer_fin_at is not None:
            self.take_fin()
        self.notify(READABLE)
        self.mark()

    def take_fin(self) -> None:
        """Eighth: the peer's FIN, once everything before it is here."""
        tcb = self.tcb
        if self.peer_fin_at != tcb.rcv_nxt:
            return
        tcb.rcv_nxt += 1
        self.plain = False
        acking = self.acking
        acking.scheduled = True
        state = tcb.state
        self.move(Cause.PEER_FIN)
        if state is ESTABLISHED or state is SYN_RECEIVED:
            acking.pingpong = True  # as Linux: the user will probably close, and our FIN then carries the ACK
        else:
            acking.due = True
        self.notify(READABLE)
        if tcb.state is TIME_WAIT:
            self.tcp.enter_time_wait(self, self.tcp.now)
        else:
            self.mark()

    def on_acked(self, prior_una: Seq, had_packets: bool, restart: bool, seg: Arrival, now: Micros) -> None:
        """The slow path applied an ACK: buffers, timers, probes, and the user who waits for space."""
        tcb, recovery = self.tcb, self.recovery
        una = tcb.snd_una
        self.probes_out = 0
        if una > prior_una:
            self.send_buffer.acknowledge(min(una, self.send_buffer.end))
            self.path.confirm(now)
            if self.starved:
                self._fed()
        if self.tlp_high_seq is not None:
            facts = recovery.acks.facts
            loss_probe.on_ack(self, seg.ack, facts.dsack or not (facts.una_advanced or facts.sacked or seg.length))
        if not had_packets:
            self._window_probe_answered(now)
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
            self.start_timer(timers.WINDOW_PROBE, now + timers.probe_interval(self))

    def _fed(self) -> None:
        """Linux's rule: WRITABLE again when at least a third of the buffer is free."""
        if 3 * len(self.send_buffer) <= 2 * self.send_limit:
            self.starved = False
            self.notify(WRITABLE)

    def note_duplicate(self, left: Seq, right: Seq) -> None:
        """Octets [left, right) arrived twice: the next ACK says so (RFC 2883)."""
        if self.tcb.sack_ok and self.tcp.config.dsack:
            self.duplicate = (left, right)
            self.tcp.counters.mib["TcpExtTCPDSACKOldSent"] += 1

    def sack_blocks(self) -> list[tuple[Seq, Seq]]:
        """SACK blocks for the next ACK, D-SACK first."""
        recent = self.receive_buffer.recent
        return recent if self.duplicate is None else [self.duplicate, *recent]

    # -- state ----------------------------------------------------------------------------------------------------------

    def move(self, cause: Cause) -> None:
        """Follow one edge of the table."""
        tcb = self.tcb
        old = tcb.state
        new = TRANSITIONS[cause].get(old, old)
        if new is old:
            return
        tcb.state = new
        self.plain = False
        if self.tcp.events is not None:
            self.tcp.events(StateChanged(self.tcp.now, self.key, old, new, cause))

    def on_open(self, now: Micros) -> None:
        """ESTABLISHED: the options are settled, the user may write."""
        self.sync_mss()
        self.acking.rcv_mss = min(self.acking.rcv_mss, max(self.tcb.rcv_wnd >> 1, 88))
        recovery = self.recovery
        if recovery.timeouts > 1:
            recovery.cc.cwnd = 1  # RFC 6298 5.7, RFC 5681 3.1: more than one SYN was needed
        self.rtt.backoff = 0
        self.last_sent_at = -1
        self.start_keepalive(now)
        self.predict()
        self.notify(WRITABLE)

    def sync_mss(self) -> None:
        """The segment size to use now: Eff.snd.MSS, at most half the window of a peer with a small one (Linux)."""
        tcb = self.tcb
        most = tcb.max_snd_wnd >> 1 if tcb.max_snd_wnd > 536 else tcb.max_snd_wnd
        mss = tcb.eff_snd_mss
        self.send_mss = max(most, 28) if 0 < most < mss else mss

    def on_path_mtu(self, now: Micros) -> None:
        """The path takes less than it did (RFC 1191): smaller segments, and those that were too big again, at once."""
        tcb, old = self.tcb, self.send_mss
        tcb.smss = min(tcb.smss, self.path.mtu - 40)
        tcb.eff_snd_mss = tcb.smss - (12 if tcb.ts_ok else 0)
        self.sync_mss()
        if tcb.state.synchronized:
            self.recovery.on_too_big(old, self.send_mss)
            self.plain = False
            self.mark()

    def on_fin_wait_2(self, now: Micros) -> None:
        """FIN-WAIT-2 with nobody left to read would last for ever if the peer forgot us (Linux's tcp_fin_timeout)."""
        if self.user_gone:
            self.close_at = now + self.tcp.config.fin_timeout
            self.arm(self.close_at)

    def fail(self, errno: int, cause: Cause) -> None:
        """The connection ended in error; what is in order may still be read."""
        self.error = errno
        self.move(cause)
        self.finish()
        self.notify(FAILED)

    def finish(self) -> None:
        """CLOSED: out of the table, timers off, buffers released."""
        if self.listener is not None:
            self.listener.forget(self)
        self.tcp.remove(self)
        self.timer_at = self.keepalive_at = self.close_at = self.acking.at = 0
        self.acking.scheduled = self.acking.due = False
        self.recovery.scoreboard.clear()
        self.send_buffer.clear()
        self.receive_buffer.prune()
        self.notify(READABLE | WRITABLE | HANGUP)

    def reset_now(self, now: Micros = 0) -> None:
        """A RST leaves with the next transmit: <SEQ=SND.NXT><ACK=RCV.NXT><CTL=RST,ACK>."""
        self.reset_due = True
        self.tcp.counters.mib["TcpOutRsts"] += 1
        self.mark()

    def resend_syn_ack(self, now: Micros) -> None:
        """The peer sent its SYN again."""
        self.recovery.scoreboard.records[0].times += 1
        self.syn_due = True
        self.mark()

    def drop(self, reason: str, now: Micros) -> None:
        """Count, and tell who watches, that input was refused."""
        self.tcp.counters.drops["tcp." + reason] += 1
        if self.tcp.events is not None:
            self.tcp.events(Dropped(now, "tcp." + reason))

    def mark(self) -> None:
        """Something may want to leave: `transmit` will be asked."""
        if not self.marked:
            self.marked = True
            self.tcp.ready.append(self)

    def notify(self, flags: int) -> None:
        """Tell the observer at the next transmit."""
        if not self.pending:
            self.tcp.upcalls.append(self)
        self.pending |= flags

    # -- transmit, timers -------------------------------------------------------------------------------------------------

    def transmit(self, now: Micros) -> None:
        """Send what should leave now."""
        state = self.tcb.state
        if self.reset_due:
            self.reset_due = False
            output.segment(self, self.tcb.snd_nxt, b"", RST | ACK, 1, now, "reset")
        elif state is SYN_SENT or state is SYN_RECEIVED:
            opening.transmit(self, now)
        elif state is not CLOSED:
            output.transmit(self, now)

    def deadline(self) -> Micros:
        """The earliest of the connection's deadlines; NEVER when none is armed."""
        earliest = NEVER
        for at in (self.timer_at, self.acking.at, self.keepalive_at, self.close_at):
            if at and at < earliest:
                earliest = at
        return earliest

    def arm(self, at: Micros) -> None:
        """Make sure that `timers` wakes us at `at` or earlier."""
        if at < self.wake_at:
            self.tcp.timers.arm(self, at)

    def start_timer(self, kind: str, at: Micros) -> None:
        """Arm the one timer of the send side for `kind`."""
        self.timer = kind
        self.timer_at = at
        if at < self.wake_at:
            self.tcp.timers.arm(self, at)

    def arm_after_ack(self, now: Micros) -> None:
        """RFC 6298 5.2-5.3, RFC 8985 6.3 and 7.2: what to wait for while something is outstanding."""
        recovery = self.recovery
        if not recovery.scoreboard.records:
            self.timer_at = 0
        elif recovery.again_in:
            self.start_timer(timers.REORDER, now + recovery.again_in)
        elif loss_probe.allowed(self):
            self.start_timer(timers.LOSS_PROBE, now + loss_probe.timeout(self))
        else:
            self.start_timer(timers.RETRANSMIT, now + self.rtt.timeout())

    def arm_after_send(self, now: Micros) -> None:
        """RFC 6298 5.1: a timer runs while anything is outstanding; the loss probe counts from the last segment."""
        if loss_probe.allowed(self):
            if not self.recovery.again_in:
                self.start_timer(timers.LOSS_PROBE, now + loss_probe.timeout(self))
        elif not self.timer_at or self.timer == timers.WINDOW_PROBE:
            self.start_timer(timers.RETRANSMIT, now + self.rtt.timeout())

    def start_window_probes(self, now: Micros) -> None:
        """Unsent data, nothing outstanding, and the window does not take it: begin to ask (3.8.6.1)."""
        if output.unsent(self):
            self.start_timer(timers.WINDOW_PROBE, now + timers.probe_interval(self))

    def start_keepalive(self, now: Micros) -> None:
        """Arm the keepalive timer when SO_KEEPALIVE is on."""
        if self.options.keepalive:
            self.keepalive_at = now + (self.options.keepidle or self.tcp.config.keepalive_time)
            self.arm(self.keepalive_at)

    def check(self) -> None:
        """Assert every invariant; tests call this after each step."""
        tcb = self.tcb
        tcb.check()
        if tcb.state is not CLOSED and tcb.state is not TIME_WAIT:
            self.recovery.scoreboard.check(tcb.snd_una, tcb.snd_nxt, tcb.sack_ok)
            self.receive_buffer.check(tcb.rcv_nxt)
            if tcb.state.synchronized:
                assert self.send_buffer.start == min(tcb.snd_una, self.send_buffer.end)
            if self.recovery.scoreboard.records:
                assert self.timer_at, "something is outstanding and no timer runs"
                assert self.wake_at <= self.timer_at
