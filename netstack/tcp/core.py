"""What a connection does by itself: its changes of state, what it owes, whom it tells and when it wants to be woken.

`parts` is what it holds; `user` adds the user's calls, `connection` the arrival of segments. The modules that decide
(`output`, `timers`, `opening`, `loss_probe`, `challenge`) work on this.
"""

from __future__ import annotations

from netstack.events import Dropped, StateChanged
from netstack.tcp import loss_probe, mtu_probe, opening, output, report, timer_kind, timers, why, write_queue
from netstack.tcp.emit import segment
from netstack.tcp.md5 import SignedPath, signature_room
from netstack.tcp.parts import NEVER, Parts
from netstack.tcp.readiness import FAILED, HANGUP, READABLE, WRITABLE
from netstack.tcp.reduction import OPEN
from netstack.tcp.state import (
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    ESTABLISHED,
    LAST_ACK,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    TRANSITIONS,
    Cause,
)
from netstack.tcp.urgent import AWAITED
from netstack.units import SECOND, Micros, Seq
from netstack.wire.tcp import ACK, RST


class ConnectionCore(Parts):
    """One connection, without the user's calls and the arrival of segments."""

    __slots__ = ()

    def note_duplicate(self, left: Seq, right: Seq) -> None:
        """Octets [left, right) arrived twice: the next ACK says so (RFC 2883)."""
        if self.tcb.sack_ok and self.tcp.config.dsack and not self.close_at:
            self.duplicate = (left, right)
            self.plain = False
            old = left < self.tcb.rcv_nxt
            self.tcp.counters.mib["TcpExtTCPDSACKOldSent" if old else "TcpExtTCPDSACKOfoSent"] += 1

    def extend_duplicate(self, left: Seq, right: Seq) -> None:
        """Octets [left, right) arrived twice, too: one report for both if they touch, else the first one stands."""
        known = self.duplicate
        if known is None:
            self.note_duplicate(left, right)
        elif left <= known[1] and known[0] <= right:
            self.duplicate = (min(left, known[0]), max(right, known[1]))

    def sack_blocks(self) -> list[tuple[Seq, Seq]]:
        """SACK blocks for the next ACK, D-SACK first."""
        recent = self.receive_buffer.recent
        return recent if self.duplicate is None else [self.duplicate, *recent]

    @property
    def reports_gaps(self) -> bool:
        """The next segment carries SACK blocks."""
        return self.tcb.sack_ok and (bool(self.receive_buffer.recent) or self.duplicate is not None)

    def move(self, cause: Cause) -> None:
        """Follow one edge of the table."""
        tcb = self.tcb
        old = tcb.state
        new = TRANSITIONS[cause].get(old, old)
        if new is old:
            return
        tcb.state = new
        self.plain = False
        if new is CLOSED and (old is ESTABLISHED or old is CLOSE_WAIT):
            self.tcp.counters.mib["TcpEstabResets"] += 1
        if self.tcp.events is not None:
            self.tcp.events(StateChanged(self.tcp.now, self.key, old, new, cause))

    def on_open(self, now: Micros) -> None:
        """ESTABLISHED: the options are settled, the user may write.

        A CLOSE in SYN-RECEIVED changes the state only here; its FIN may have left already: see `opening`.
        """
        self.sync_mss()
        recovery = self.recovery
        recovery.retrans_stamp = -1
        recovery.timeouts = 0
        recovery.used_at = now
        self.rtt.backoff = 0
        if self.tcp.config.mtu_probing:
            mtu_probe.on_open(self, now)
        self.begin_windows(now)
        self.established_at = now
        recovery.end_timeouts(now)
        self.last_sent_at = -1
        self.start_keepalive(now)
        self.predict()
        self.notify(WRITABLE)
        if self.fin_queued:
            self.move(Cause.CLOSE_CALLED)

    def begin_windows(self, now: Micros) -> None:
        """The receive window, now that its scale is settled."""
        tcb = self.tcb
        advmss = tcb.rmss - (12 if tcb.ts_ok else 0)
        self.acking.advmss = advmss
        self.acking.rcv_mss = max(min(advmss, tcb.eff_snd_mss, tcb.rcv_wnd >> 1, self.tcp.config.default_mss), 88)
        self.window.open(tcb, advmss)
        first_guess = min(self.window.ssthresh, tcb.rcv_wnd, self.tcp.config.initial_cwnd * advmss)
        self.window.tune.start(first_guess, tcb.rcv_nxt, now)

    def sync_mss(self) -> None:
        """The segment size to use now: Eff.snd.MSS, at most half the window of a peer with a small one (Linux)."""
        tcb = self.tcb
        most = tcb.max_snd_wnd >> 1 if tcb.max_snd_wnd > 536 else tcb.max_snd_wnd
        mss, probe = tcb.eff_snd_mss, self.mtu_probe
        if probe is not None and probe.enabled:
            mss = min(mss, probe.mss(probe.low))
        self.send_mss = min(mss, max(most, 36 if tcb.ts_ok else 48)) if 0 < most < mss else mss
        if self.options.md5 is not None:
            self.send_mss -= signature_room(self.path)
        self.recovery.scoreboard.mss = self.send_mss
        self.size_goal = write_queue.goal(self.send_mss, tcb.max_snd_wnd)
        if self.send_mss < mss and isinstance(self.path, SignedPath):
            self.size_goal = self.send_mss  # each segment is signed for itself, so Linux queues them so

    def on_path_mtu(self, now: Micros) -> None:
        """The path takes another size (RFC 1191). If less: those segments that were too big again, at once."""
        tcb, old = self.tcb, self.send_mss
        self.path_mtu = self.path.mtu
        tcb.smss = min(self.mss_clamp, self.path_mtu - 40)
        tcb.eff_snd_mss = tcb.smss - (12 if tcb.ts_ok else 0)
        if self.ecn is not None:
            tcb.eff_snd_mss -= self.ecn.option_len(self)
        if self.mtu_probe is not None:
            self.mtu_probe.high = min(self.mtu_probe.high, self.path_mtu)
        self.sync_mss()
        if tcb.state.synchronized and self.send_mss < old:
            self.recovery.on_too_big(old, self.send_mss)
            self.plain = False
            self.mark()

    def on_fin_wait_2(self, now: Micros) -> None:
        """FIN-WAIT-2 with nobody left to read would last for ever if the peer forgot us (Linux's tcp_fin_timeout).

        Deviation: Linux waits twice for what TCP_LINGER2 says beyond a minute, and not for that: 61 s become 2 s.
        """
        if self.user_gone:
            options = self.options
            if options.linger2 < 0:
                self.tcp.reset_for(self, self.tcb.snd_nxt, now)
                self.move(Cause.FIN_WAIT_TIMED_OUT)
                self.finish()
                return
            self.last_oow_ack_at = -1
            # At least three and a half RTOs (Linux): the peer may have to send its FIN again.
            wait = max(options.linger2 or self.tcp.config.fin_timeout, 7 * self.rtt.timeout() >> 1)
            self.close_at = now + wait
            self.tcp.counters.mib["TcpExtTW" if wait > 4 * SECOND else "TcpExtTWKilled"] += 1  # as Linux counts it
            self.arm(self.close_at)
            if self.orphaned:
                self.tcp.memory.abandon(self)

    def fail(self, errno: int, cause: Cause) -> None:
        """The connection ended in error; what is in order may still be read."""
        self.error = errno
        state = self.tcb.state
        if state is SYN_SENT or (state is SYN_RECEIVED and self.listener is None):
            self.tcp.counters.mib["TcpAttemptFails"] += 1
        self.move(cause)
        self.finish()
        self.notify(FAILED)

    def abort(self, always: bool = False) -> None:
        """3.10.5: reset the connection; what was queued is lost. `always`: also where the RFC needs no RST."""
        self.user_gone = True
        self.observer = None
        state = self.tcb.state
        if state is CLOSED or state is TIME_WAIT:
            return
        if always or state not in (SYN_SENT, CLOSING, LAST_ACK):
            self.reset_now()
        self.move(Cause.ABORT_CALLED)
        self.finish()

    def vanish(self) -> None:
        """The listener is closed before the handshake was complete: no word to the peer, as Linux does it."""
        self.move(Cause.ABORT_CALLED)
        self.finish()

    def finish(self) -> None:
        """CLOSED: out of the table, timers off, buffers released."""
        if self.listener is not None:
            self.listener.forget(self)
        self.tcp.remove(self)
        self.timer_at = self.keepalive_at = self.close_at = self.acking.at = self.pace_at = 0
        self.acking.scheduled, self.acking.due = 0, False
        self.recovery.scoreboard.clear()
        self.send_buffer.clear()
        if not self.reset_due:  # which still tells what lies beyond gaps
            self.receive_buffer.prune()
        self.notify(READABLE | WRITABLE | HANGUP)
        if self.tcp.events is not None:
            report.changes(self, self.tcp.now)

    def reset_now(self, now: Micros = 0) -> None:
        """A RST leaves with the next transmit: <SEQ=SND.NXT><ACK=RCV.NXT><CTL=RST,ACK>."""
        self.reset_due = True
        self.tcp.counters.mib["TcpOutRsts"] += 1
        self.mark()

    def predict(self) -> None:
        """After the slow path: may header prediction be used for the next segment?"""
        recovery = self.recovery
        self.plain = (
            self.tcb.state is ESTABLISHED
            and not self.packets.beyond
            and not self.window.tight
            and recovery.ca_state == OPEN
            and not recovery.scoreboard.sacked_out
            and not recovery.scoreboard.retrans_out
            and self.tcb.snd_una >= recovery.repeated_until
            and self.peer_fin_at is None
            and self.duplicate is None
            and (self.mtu_probe is None or not self.mtu_probe.size)
            and (self.urgent is None or self.urgent.what != AWAITED)
            and not self.keepalives_out
            and not recovery.timeouts
            and not self.rtt.backoff
            and not self.tcp.memory.exhausted
        )

    def resend_syn_ack(self, how: str, now: Micros) -> None:
        """The peer sent its SYN again, or our SYN-ACK timed out."""
        self.recovery.found, self.recovery.lost_at = how, self.tcb.iss
        if self.recovery.scoreboard.records:  # else ours has not left yet: both SYNs came in one turn
            self.recovery.scoreboard.records[0].times += 1
            self.restart_timer(now)
        self.syn_due = True
        self.mark()

    def on_syn_ack_timeout(self, now: Micros) -> None:
        """Of a connection that its user had before the handshake was complete: see `fast_open_server`."""
        raise NotImplementedError

    def drop(self, reason: str, now: Micros) -> None:
        """Count, and tell who watches, that input was refused."""
        self.tcp.counters.drops["tcp." + reason] += 1
        if self.tcp.events is not None:
            self.tcp.events(Dropped(now, "tcp." + reason, self.key))

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

    def transmit(self, now: Micros) -> None:
        """Send what should leave now."""
        if self.plain:
            if not output.send_alone(self, now):
                output.transmit(self, now)
            return
        state = self.tcb.state
        if self.reset_due:
            self.reset_due = False
            segment(self, self.tcb.snd_nxt, b"", RST | ACK, 1, now, why.RESET)
            self.receive_buffer.prune()
        elif state is SYN_SENT or state is SYN_RECEIVED:
            opening.transmit(self, now)
        elif state is not CLOSED:
            output.transmit(self, now)

    # -- deadlines -----------------------------------------------------------------------------------------------------

    def deadline(self) -> Micros:
        """The earliest of the connection's deadlines; NEVER when none is armed."""
        earliest = NEVER
        for at in (self.timer_at, self.acking.at, self.keepalive_at, self.close_at, self.pace_at):
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
            self.timer_at = recovery.again_in = 0
        elif recovery.again_in:
            self.start_timer(timer_kind.REORDER, now + recovery.again_in)
        elif loss_probe.allowed(self):
            self.start_timer(timer_kind.LOSS_PROBE, now + loss_probe.timeout(self))
        elif self.timer_at and (self.timer == timer_kind.REORDER or self.timer == timer_kind.LOSS_PROBE):
            self.resume_timer(now)
        else:
            self.start_timer(timer_kind.RETRANSMIT, now + self.rtt.timeout())

    def resume_timer(self, now: Micros) -> None:
        """Something else ran in its place: the retransmission timer, as from when the first segment left."""
        since = self.recovery.scoreboard.records[0].sent_at
        self.start_timer(timer_kind.RETRANSMIT, max(since + self.rtt.timeout(), now + 1))

    def arm_after_send(self, now: Micros) -> None:
        """RFC 6298 5.1: a timer runs while anything is outstanding; the loss probe counts from the last segment, but
        who keeps sending does not put off the RTO of the first (RFC 8985 7.2)."""
        recovery = self.recovery
        if loss_probe.allowed(self):
            self.timer = timer_kind.LOSS_PROBE
            at = now + loss_probe.timeout(self)
            limit = recovery.scoreboard.records[0].sent_at + self.rtt.rto
            self.timer_at = at = at if at < limit or limit <= now else limit
            if at < self.wake_at:
                self.tcp.timers.arm(self, at)
        elif not self.timer_at or self.timer == timer_kind.WINDOW_PROBE:
            self.start_timer(timer_kind.RETRANSMIT, now + self.rtt.timeout())

    def revert_back_off(self, now: Micros) -> None:
        """RFC 6069 4.2: a router had no way for what timed out: no congestion, so take one back-off back."""
        rtt, records = self.rtt, self.recovery.scoreboard.records
        if not self.recovery.timeouts or not rtt.backoff or not records or not self.tcb.state.synchronized:
            return
        rtt.backoff -= 1
        self.start_timer(timer_kind.RETRANSMIT, max(records[0].sent_at + rtt.timeout(), now + 1))

    def start_window_probes(self, now: Micros) -> None:
        """Unsent data, nothing outstanding, and the window does not take it: begin to ask (3.8.6.1)."""
        if output.unsent(self):
            self.start_timer(timer_kind.WINDOW_PROBE, now + timers.probe_interval(self))

    def start_keepalive(self, now: Micros) -> None:
        """Arm the keepalive timer when SO_KEEPALIVE is on."""
        if self.options.keepalive:
            self.keepalive_at = now + (self.options.keepidle or self.tcp.config.keepalive_time)
            self.arm(self.keepalive_at)

    def restart_timer(self, now: Micros) -> None:
        """RFC 6298 5.3: the retransmission timer, anew."""
        self.start_timer(timer_kind.RETRANSMIT, now + self.rtt.timeout())

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
