"""The server's side of Fast Open (RFC 7413 4.2.2): a SYN with a good cookie makes a connection that works at once.

Such a connection waits in the accept queue while its SYN-ACK is on the way: its user reads the SYN's data and may
answer. What Linux does about the rest is done here: the SYN-ACK has the retransmission timer to itself, and
data waits until the handshake is complete before it is sent again.
"""

from __future__ import annotations

from errno import ECONNRESET, ETIMEDOUT
from typing import TYPE_CHECKING

from netstack.seq import MASK
from netstack.tcp import challenge, opening, output, timer_kind, why
from netstack.tcp.arrive import take_steps
from netstack.tcp.closed import answer
from netstack.tcp.connection import Connection
from netstack.tcp.emit import send_ack
from netstack.tcp.fast_open import SERVER, SERVER_WITHOUT_COOKIE, FastOpen, cookie, good_by, said
from netstack.tcp.half_open import is_old
from netstack.tcp.md5 import SignedPath
from netstack.tcp.readiness import READABLE, WRITABLE
from netstack.tcp.segment import Arrival
from netstack.tcp.state import SYN_RECEIVED, Cause
from netstack.units import SECOND, Micros, Seq
from netstack.wire.tcp import ACK, RST, SYN

if TYPE_CHECKING:
    from netstack.tcp.listener import Listener


def on_syn(listener: Listener, conn: Connection, seg: Arrival, pair: bytes, now: Micros) -> bool:
    """A SYN was let in. True: `conn` may be used from now on; False: as any other, with a cookie for next time."""
    shown, experimental = said(seg.options)
    if shown is None and not seg.length:
        return False
    tcp, options = listener.tcp, listener.options
    mib, switches = tcp.counters.mib, tcp.config.fastopen
    mib["TcpExtTCPFastOpenCookieReqd"] += shown == b""
    if not switches & SERVER or isinstance(conn.path, SignedPath):
        return False
    if not listener.fast_open.has_room(options.fastopen, mib, now):
        return False
    better: FastOpen | None = None
    if not (switches & SERVER_WITHOUT_COOKIE or options.fastopen_no_cookie):
        if shown is None:
            return False
        keys = options.fastopen_key or tcp.fast_open_keys
        which = good_by(keys, pair, shown) if shown else None
        if which != 0:
            better = FastOpen(cookie(keys, pair), experimental)
        if which is None:
            mib["TcpExtTCPFastOpenPassiveFail"] += shown != b""
            conn.fast_open = better
            return False
        mib["TcpExtTCPFastOpenPassiveAltKey"] += which
    mib["TcpExtTCPFastOpenPassive"] += 1
    mib["TcpPassiveOpens"] += 1
    conn.fast_open = better or FastOpen()
    conn.__class__ = FastOpenChild
    _begin(conn, conn.fast_open, listener, seg, now)
    return True


def _begin(conn: Connection, fast: FastOpen, listener: Listener, seg: Arrival, now: Micros) -> None:
    """As if the handshake were complete. Our SYN is not among what is outstanding: it has its own timer."""
    tcb = conn.tcb
    fast.from_syn = fast.speaking = True
    fast.queue = listener.fast_open
    fast.queue.pending += 1
    fast.offered = tcb.rcv_wnd = conn.window.ssthresh
    tcb.snd_una = tcb.snd_nxt = tcb.iss + 1
    conn.opened_at = conn.last_received_at = now
    conn.rtt.settle()
    if seg.length:
        conn.bare_segs_in, conn.data_segs_in, conn.unpredicted_data = 0, 1, 1
        fast.data_acked = True
        tcb.rcv_nxt += seg.length
        conn.receive_buffer.append(seg.data[seg.text : seg.text + seg.length])
        conn.acking.last_data_at = now
        conn.notify(READABLE)
    tcb.rcv_wup = tcb.rcv_nxt
    conn.sync_mss()
    conn.begin_windows(now)
    conn.start_timer(timer_kind.RETRANSMIT, now + SECOND)
    listener.on_open(conn)


class FastOpenChild(Connection):
    """A connection whose SYN-ACK is not acknowledged yet, in the hands of its user all the same.

    SYN-RECEIVED, or FIN-WAIT-1 when the user has closed it. When the handshake is complete it becomes a `Connection`.
    """

    __slots__ = ()

    def _fast(self) -> FastOpen:
        assert self.fast_open is not None
        return self.fast_open

    def transmit(self, now: Micros) -> None:
        """The SYN-ACK, then as any other. What is lost, and a FIN that `shutdown` asked for, wait for the handshake, as
        in Linux."""
        if self.reset_due:
            super().transmit(now)
            return
        if self.syn_due:
            self.syn_due = False
            opening.send_early_syn_ack(self, self._fast(), now)
        if self.recovery.scoreboard.lost_out:
            if self.acking.due:
                send_ack(self, now)
            return
        if self.tcb.state is not SYN_RECEIVED:
            output.transmit(self, now)
            return
        waits, self.fin_queued = self.fin_queued, False
        output.transmit(self, now)
        self.fin_queued = waits

    def take(self, seg: Arrival, now: Micros) -> None:
        """The handshake may be completed by it; until it is, a bad ACK is answered with a RST."""
        tcb, ack = self.tcb, seg.ack
        if not _acceptable(self, seg, now):
            return
        if tcb.iss < ack <= tcb.snd_nxt:
            self._complete(now)
            if self.ecn is not None:
                self.ecn.on_flags(seg)
                self.ecn.on_third_ack(self, seg)
            take_steps(self, seg, now)
            if not self.rtt.srtt8 and not self.recovery.total_retrans:
                rtt = now - self.opened_at
                self.rtt.sample(rtt, rtt, tcb.snd_una, tcb.snd_nxt, now)
            self.rtt.settle()
        elif tcb.state is SYN_RECEIVED:
            self.tcp.reset_for(self, ack, now)  # 3.10.7.4 fifth
            self.drop("ack_unacceptable", now)
        else:
            take_steps(self, seg, now)

    def _complete(self, now: Micros) -> None:
        """The peer has seen our SYN-ACK: it is who it says."""
        self._leave()
        plain: type[Connection] = Connection
        self.__class__ = plain  # type: ignore[assignment]
        if self.ecn is not None:
            self.tcp.make_ecn_capable(self)
        tcb, recovery = self.tcb, self.recovery
        recovery.delivered += 1
        recovery.timeouts = self.rtt.backoff = 0
        if not recovery.scoreboard.records:
            recovery.on_late_handshake()
        recovery.end_timeouts(now)
        self.timer_at = 0
        if recovery.scoreboard.records:
            self.arm_after_ack(now)
        self.acking.rcv_mss = min(self.acking.rcv_mss, max(tcb.rcv_wnd >> 1, 88))
        self.established_at = now
        if tcb.state is SYN_RECEIVED:
            self.move(Cause.SYN_ACKED)
            self.last_sent_at = now
            self.start_keepalive(now)
            self.notify(WRITABLE)
            if self.fin_queued:
                self.move(Cause.CLOSE_CALLED)

    def _leave(self, reset_at: Micros | None = None) -> None:
        """Out of the listener's count. A user who has not accepted it yet has not been harmed by a reset."""
        fast = self._fast()
        if fast.queue is not None:
            fast.queue.leave(reset_at if self.listener is None else None)
        fast.queue = None
        fast.speaking = False

    def on_reset(self, now: Micros) -> None:
        """The peer does not know of this connection: somebody may have forged its address."""
        self._leave(now)
        self.tcp.counters.mib["TcpAttemptFails"] += 1
        self.fail(ECONNRESET, Cause.PEER_RESET)

    def on_syn_ack_timeout(self, now: Micros) -> None:
        """No ACK: the SYN-ACK again, once more often than without Fast Open, since the user has the connection."""
        fast, recovery, config = self._fast(), self.recovery, self.tcp.config
        mib = self.tcp.counters.mib
        mib["TcpExtTCPTimeouts"] += 1
        if fast.timeouts >= (self.options.syncnt or config.synack_retries + 1):
            mib["TcpExtTCPAbortOnTimeout"] += 1
            self.fail(self.soft_error or ETIMEDOUT, Cause.TIMED_OUT)
            return
        if fast.timeouts == 1:
            recovery.on_timeout(now)
        else:
            recovery.note_timeout(now)
            recovery.found, recovery.lost_at = why.RTO, self.tcb.iss
        if recovery.retrans_stamp < 0:
            recovery.retrans_stamp = now
        fast.timeouts += 1
        self.syn_due = True
        self.start_timer(timer_kind.RETRANSMIT, now + min(SECOND << fast.timeouts, config.rto_max))
        self.mark()

    def arm_after_send(self, now: Micros) -> None:
        """The timer is the SYN-ACK's."""

    def start_window_probes(self, now: Micros) -> None:
        """The timer is the SYN-ACK's."""

    def close(self) -> None:
        """As ever, and the FIN goes out before the handshake is complete (3.10.4)."""
        super().close()
        if self.tcb.state is SYN_RECEIVED and self.fin_queued:
            self.move(Cause.CLOSE_CALLED)

    def finish(self) -> None:
        """It came to nothing."""
        self._leave()
        super().finish()


def _acceptable(conn: FastOpenChild, seg: Arrival, now: Micros) -> bool:
    """Whether `seg` goes on to the numbered checks: Linux's order, as in `half_open`."""
    tcb, flags = conn.tcb, seg.flags
    if flags & RST:
        if seg.seq == tcb.rcv_nxt:
            conn.on_reset(now)
            return False
        if _in_window(conn, seg):
            challenge.send(conn, now)
        conn.drop("rst_not_exact", now)
        return False
    old = is_old(conn, seg, now)
    if seg.seq == tcb.irs and flags & (SYN | ACK) == SYN and not old:
        if not challenge.too_soon(conn, now, "TcpExtTCPACKSkippedSynRecv"):
            if conn.ecn is not None:
                conn.ecn.on_syn_again(seg)
            conn.recovery.found, conn.recovery.lost_at = why.SYN_AGAIN, tcb.iss
            conn.syn_due = True  # with whatever data came again
            conn.mark()
        return False
    if old or not _in_window(conn, seg):
        conn.tcp.counters.mib["TcpExtPAWSEstab"] += old
        conn.drop("unacceptable", now)
        challenge.answer_unacceptable(conn, seg, now, "TcpExtTCPACKSkippedSynRecv")
        return False
    if flags & SYN and seg.seq != tcb.irs:
        conn.tcp.counters.mib["TcpAttemptFails"] += 1
        head = answer(conn.ports, seg.seq & MASK, seg.ack & MASK, flags, seg.length)
        if head is not None:
            conn.tcp.reply(conn.key[:-4], head)
        conn.drop("new_syn", now)
        return False
    if not flags & ACK:
        conn.drop("no_ack", now)
        return False
    return True


def _in_window(conn: FastOpenChild, seg: Arrival) -> bool:
    left: Seq = conn.tcb.rcv_nxt
    edge = left + conn.tcb.rcv_wnd
    if seg.seq == left or (seg.seq == edge and seg.end == seg.seq):
        return True
    return seg.end > left and seg.seq < edge
