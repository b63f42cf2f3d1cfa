"""SYN-RECEIVED of a passive open: what a segment must be to complete the handshake (RFC 9293 3.10.7.4, RFC 5961).

Deviation: Linux's order, because a half-open connection is cheap to forge and cheap to lose. The ACK field comes
before the sequence number, a SYN in the window gives the connection up, and the timestamp echoed must be one of ours.
What passes goes through the ordinary steps in `arrive`. After a simultaneous open only those apply.
"""

from __future__ import annotations

from errno import ECONNREFUSED
from typing import TYPE_CHECKING

from netstack.seq import MASK
from netstack.tcp import challenge, why
from netstack.tcp.closed import answer
from netstack.tcp.state import Cause
from netstack.tcp.syn_queue import deferred_timeouts
from netstack.units import MINUTE, Micros
from netstack.wire.tcp import ACK, RST, SYN

if TYPE_CHECKING:
    from netstack.tcp.connection import Connection
    from netstack.tcp.listener import Listener
    from netstack.tcp.segment import Arrival


def check(conn: Connection, listener: Listener, seg: Arrival, now: Micros) -> bool:
    """Whether `seg` opens the connection; everything else is answered, counted or dropped here."""
    tcb, flags = conn.tcb, seg.flags
    old = is_old(conn, seg, now)
    if flags & RST:
        _check_reset(conn, seg, old, now)
        return False
    if seg.seq == tcb.irs and flags & (SYN | ACK) == SYN and not old:
        if not challenge.too_soon(conn, now, "TcpExtTCPACKSkippedSynRecv"):
            if conn.ecn is not None:
                conn.ecn.on_syn_again(seg)
            conn.resend_syn_ack(why.SYN_AGAIN, now)  # the peer did not see our SYN-ACK
        return False
    if flags & ACK and (seg.ack != tcb.iss + 1 or tcb.snd_nxt != tcb.iss + 1):
        conn.drop("ack_unacceptable", now)
        conn.tcp.reset_for(conn, seg.ack, now)  # 3.10.7.4 fifth; the handshake goes on
        return False
    if old or not _echo_is_ours(conn, seg) or not in_window(conn, seg):
        conn.tcp.counters.mib["TcpExtPAWSEstab"] += old
        conn.drop("unacceptable", now)
        challenge.answer_unacceptable(conn, seg, now, "TcpExtTCPACKSkippedSynRecv")
        return False
    if flags & SYN and seg.seq != tcb.irs:
        _give_up(conn, seg, now)  # another SYN in the window: the peer has begun anew
        return False
    if not flags & ACK:
        conn.drop("no_ack", now)
        return False
    return _may_open(conn, listener, seg, now)


def _check_reset(conn: Connection, seg: Arrival, old: bool, now: Micros) -> None:
    """RFC 5961 3.2: only a RST exactly at RCV.NXT ends the handshake; one elsewhere in the window is challenged."""
    if seg.seq == conn.tcb.rcv_nxt and not old:
        _give_up(conn, seg, now)
        return
    conn.tcp.counters.mib["TcpExtPAWSEstab"] += old
    if in_window(conn, seg) and not old:
        challenge.send(conn, now)
    conn.drop("rst_not_exact", now)


def _give_up(conn: Connection, seg: Arrival, now: Micros) -> None:
    """The handshake is over; a peer that sent something else than RST is told so."""
    mib = conn.tcp.counters.mib
    mib["TcpAttemptFails"] += bool(seg.flags & (RST | SYN))
    mib["TcpExtEmbryonicRsts"] += 1
    head = answer(conn.ports, seg.seq & MASK, seg.ack & MASK, seg.flags, seg.length)
    if head is not None:
        conn.tcp.reply(conn.key[:-4], head)
    conn.drop("handshake_reset", now)
    conn.fail(ECONNREFUSED, Cause.PEER_RESET)


def is_old(conn: Connection, seg: Arrival, now: Micros) -> bool:
    """PAWS (RFC 7323 5.3 R1). Deviation: for a RST, too, unless nothing was heard for 60 s, as in Linux."""
    ts_val, tcb = seg.options.ts_val, conn.tcb
    if not tcb.ts_ok or ts_val is None or not (ts_val - tcb.ts_recent) & 0x8000_0000:
        return False
    return not seg.flags & RST or now - tcb.ts_recent_at < MINUTE


def _echo_is_ours(conn: Connection, seg: Arrival) -> bool:
    """TSecr lies between the TSvals of our first SYN-ACK and our last: else the ACK answers something else."""
    ecr = seg.options.ts_ecr
    if not conn.tcb.ts_ok or not ecr:
        return True
    sent = conn.recovery.scoreboard.records
    if sent:  # else our SYN-ACK has not left yet: they came in one turn
        first = conn.opened_at // 1000 + conn.tcb.ts_offset
        last = sent[0].sent_at // 1000 + conn.tcb.ts_offset
        if (ecr - first) & MASK <= (last - first) & MASK:
            return True
    conn.tcp.counters.mib["TcpExtTSEcrRejected"] += 1
    return False


def in_window(conn: Connection, seg: Arrival) -> bool:
    """Table 6 of RFC 9293 3.4 (Linux: an empty segment at the right edge counts as inside)."""
    tcb = conn.tcb
    edge = max(tcb.rcv_wup + tcb.rcv_wnd, tcb.rcv_nxt)
    if seg.seq == tcb.rcv_nxt or (seg.seq == edge and not seg.end - seg.seq):
        return True
    return seg.end > tcb.rcv_nxt and seg.seq < edge


def _may_open(conn: Connection, listener: Listener, seg: Arrival, now: Micros) -> bool:
    """The ACK is right. Is it enough (TCP_DEFER_ACCEPT), and is there room for one more in the accept queue?"""
    tcb, config = conn.tcb, conn.tcp.config
    deferred = deferred_timeouts(listener.options.defer_accept, config.rto_max)
    if conn.recovery.timeouts < deferred and seg.end == tcb.rcv_nxt:
        conn.tcp.counters.mib["TcpExtTCPDeferAcceptDrop"] += 1
        conn.drop("deferred_accept", now)
    elif listener.is_full:
        listener.count_overflow(now)
        if config.abort_on_overflow:
            _give_up(conn, seg, now)
            return False
    else:
        return True
    listener.syn_queue.note_ack(conn)
    return False
