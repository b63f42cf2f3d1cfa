"""The ACK field: the fifth check of RFC 9293 3.10.7.4, and TS.Recent, which moves with it (RFC 7323 5.3 R3)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.tcp import challenge, opening
from netstack.tcp.modelled import begin
from netstack.tcp.segment import Arrival, echoed_at
from netstack.tcp.state import (
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT_1,
    LAST_ACK,
    SYN_RECEIVED,
    TIME_WAIT,
    Cause,
)
from netstack.units import Micros
from netstack.wire.tcp import ACK, FIN, PSH, SYN

if TYPE_CHECKING:
    from netstack.tcp.connection import Connection

PAWS_IDLE: Micros = 24 * 24 * 3600 * 1_000_000
"""RFC 7323 5.5: after 24 days idle the timestamp clock may have wrapped, and TS.Recent says nothing."""


def check_ack(conn: Connection, seg: Arrival, now: Micros, acceptable: bool = True) -> bool:
    """Fifth: the ACK field. False: drop the segment."""
    tcb = conn.tcb
    if not seg.flags & ACK:
        conn.drop("no_ack", now)
        return False
    opens = tcb.state is SYN_RECEIVED
    if opens and not _open(conn, seg, now):
        return False
    if seg.ack > tcb.snd_nxt:
        # It acknowledges something not yet sent: answer, drop (3.10.7.4); the answer is rate-limited (RFC 5961 5).
        conn.drop("ack_unsent", now)
        challenge.send(conn, now)
        return False
    if seg.ack < tcb.snd_una:
        common = seg.seq == tcb.rcv_nxt and seg.flags & ~PSH == ACK and seg.wnd << tcb.snd_wscale == tcb.snd_wnd
        if common and tcb.ts_ok and tcb.state is ESTABLISHED:
            _note_timestamp(conn, seg, now)  # an old ACK, otherwise what was predicted: Linux goes by the prediction
        first = tcb.iss + (not conn.active)
        if seg.ack < max(tcb.snd_una - tcb.max_snd_wnd, first):  # or before the first octet: never sent (Linux)
            conn.drop("ack_too_old", now)
            challenge.send(conn, now)  # RFC 5961 5.2
            return False
        if seg.options.sack and tcb.sack_ok:
            _apply_ack(conn, seg, tcb.snd_una, False, now)  # a late ACK may still carry SACK news
        return True
    if acceptable and tcb.ts_ok:
        _note_timestamp(conn, seg, now)
    changed = update_window(conn, seg)
    duplicate = not (seg.length or changed or seg.flags & (SYN | FIN))
    _apply_ack(conn, seg, seg.ack, duplicate, now)
    if opens:
        conn.rtt.settle()
        begin(conn.recovery, now)
    if conn.close_at:  # FIN-WAIT-2, and nobody reads: a FIN is all that counts, and text that is new
        return bool(seg.flags & FIN) or seg.end > tcb.rcv_nxt
    return tcb.state is not CLOSED and tcb.state is not TIME_WAIT  # the ACK of our FIN may have ended it


def _open(conn: Connection, seg: Arrival, now: Micros) -> bool:
    """SYN-RECEIVED: an acceptable ACK of our SYN opens the connection; any other is answered with a RST.

    Deviation: so is SEG.ACK = SND.UNA, with which Linux opens after a simultaneous open, our SYN unacknowledged.
    """
    tcb = conn.tcb
    if not tcb.snd_una < seg.ack <= tcb.snd_nxt:
        conn.tcp.reset_for(conn, seg.ack, now)
        return False
    listener, recovery = conn.listener, conn.recovery
    if listener is None:
        recovery.delivered += 1  # as Linux counts the SYN-ACK that this ACK is for
    elif recovery.timeouts:
        recovery.total_rto, recovery.total_rto_recoveries = recovery.timeouts, 1
        recovery.total_rto_time = now - conn.opened_at
    tcb.snd_wnd = seg.wnd << tcb.snd_wscale  # also on the SYN-ACK of a simultaneous open, as in Linux
    tcb.snd_wl1 = seg.seq
    tcb.max_snd_wnd = tcb.snd_wnd
    opening.note_retransmissions(conn, seg.options.ts_ecr)
    conn.move(Cause.SYN_ACKED)
    conn.on_open(now)
    if conn.ecn is not None:
        conn.ecn.on_third_ack(conn, seg)
    if listener is not None:
        conn.rtt.rto_max = conn.options.rto_max or conn.tcp.config.rto_max
        conn.acking.last_data_at = now
        conn.last_oow_ack_at = -1  # what was answered in SYN-RECEIVED counts no longer
        conn.tcp.counters.mib["TcpPassiveOpens"] += 1
        listener.on_open(conn)
    return True


def update_window(conn: Connection, seg: Arrival) -> bool:
    """3.10.7.4 fifth: SND.WND from a segment that is not older than the last one used. True when it changed."""
    tcb = conn.tcb
    newer = seg.seq > tcb.snd_wl1 or seg.ack > tcb.snd_una
    wnd = seg.wnd << tcb.snd_wscale
    if not newer and not (seg.seq == tcb.snd_wl1 and (wnd > tcb.snd_wnd or not wnd)):
        return False
    tcb.snd_wl1 = seg.seq
    if wnd == tcb.snd_wnd:
        return False
    tcb.snd_wnd = wnd
    if wnd > tcb.max_snd_wnd:
        tcb.max_snd_wnd = wnd
        conn.sync_mss()
    return True


def _apply_ack(conn: Connection, seg: Arrival, ack: int, duplicate: bool, now: Micros) -> None:
    """SND.UNA, the scoreboard, cwnd, the timers, and our FIN if this acknowledges it."""
    tcb, recovery = conn.tcb, conn.recovery
    prior_una = tcb.snd_una
    ecr = seg.options.ts_ecr
    ts_ecr = echoed_at(ecr, tcb.ts_offset, now) if ecr is not None and tcb.ts_ok else None
    had_packets = bool(recovery.scoreboard.records)
    recovery.new_data_waits = conn.send_buffer.end > tcb.snd_nxt and ack + tcb.snd_wnd > tcb.snd_nxt
    if conn.ecn is None:
        restart = recovery.on_ack(ack, seg.options.sack, duplicate, ts_ecr, now)
    else:
        restart = conn.ecn.on_ack(recovery, seg, ack, duplicate, ts_ecr, now)
    conn.on_acked(prior_una, had_packets, restart, seg, now)
    if conn.fin_sent and prior_una <= conn.send_buffer.end < ack:
        _fin_acked(conn, now)


def _fin_acked(conn: Connection, now: Micros) -> None:
    state = conn.tcb.state
    if state is FIN_WAIT_1 or state is CLOSING or state is LAST_ACK:
        conn.move(Cause.FIN_ACKED)
        if state is FIN_WAIT_1:
            conn.on_fin_wait_2(now)
        elif state is CLOSING:
            conn.tcp.enter_time_wait(conn, now)
        else:
            conn.finish()


def _note_timestamp(conn: Connection, seg: Arrival, now: Micros) -> None:
    """RFC 7323 5.3 R3: TS.Recent moves on, with a segment that is in the window and not beyond Last.ACK.sent."""
    tcb, ts_val = conn.tcb, seg.options.ts_val
    if ts_val is None or seg.seq > tcb.rcv_wup:  # or a hole's filler would move it
        return
    if (ts_val - tcb.ts_recent) & 0xFFFF_FFFF <= 0x7FFF_FFFF or now - tcb.ts_recent_at >= PAWS_IDLE:
        tcb.ts_recent = ts_val
        tcb.ts_recent_at = now
