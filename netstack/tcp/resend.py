"""Sending again what is lost; probes for tail loss (RFC 8985 7), closed windows and idle peers (RFC 9293 3.8)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.tcp import mtu_probe, super_segment, urgent, why
from netstack.tcp.emit import segment, send_range
from netstack.tcp.reduction import CWR, LOSS
from netstack.tcp.scoreboard import Sent
from netstack.tcp.write_queue import grow
from netstack.units import Micros
from netstack.wire.tcp import ACK, FIN, PSH

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore


def send_lost(conn: ConnectionCore, now: Micros) -> None:
    """What the scoreboard says is lost and not on its way again, lowest first (RFC 6675 NextSeg 1), within cwnd."""
    recovery, tcb = conn.recovery, conn.tcb
    if conn.path.mtu != conn.path_mtu:  # the path belongs to others too, who may have learnt more of it (RFC 1191 6.3)
        conn.on_path_mtu(now)
    board, mss = recovery.scoreboard, conn.send_mss
    edge = tcb.snd_una + tcb.snd_wnd
    sent_any, pace = False, recovery.pace
    if conn.mtu_probe is not None and conn.mtu_probe.size:
        mtu_probe.inconclusive(conn, conn.mtu_probe)
    recovery.resent_at = max(now, recovery.resent_at + 1, board.records[-1].sent_at + 1 if board.records else 0)
    i = board.find(board.pending_from)
    while board.pending_out and i < len(board.records):
        record = board.records[i]
        i += 1
        if not record.lost or record.retransmitted:
            continue
        board.pending_from = record.seq
        quota = recovery.cc.cwnd - board.in_flight()
        if quota <= 0 or (record.seq >= edge and record.seq != tcb.snd_una):
            break
        if record.end - record.fin - record.seq > record.segments * mss:
            board.recount(record, mss)  # segments have become smaller since
        if pace is not None:
            if pace.holds(conn, now):
                break
            quota = min(quota, super_segment.burst(conn, mss))
        elif record.segments > 2 and not conn.path.offload:
            quota = min(quota, super_segment.burst(conn, mss))
        if record.segments > quota and record.seq + quota * mss < record.end - record.fin:
            board.split(i - 1, record.seq + quota * mss, mss)
        retransmit(conn, record, now, why.RETRANSMISSION)
        board.pending_from = record.end
        sent_any = True
    if sent_any and board.records[0].sent_at == recovery.resent_at and not (recovery.again_in or recovery.timeouts):
        conn.restart_timer(now)  # what is waited for was sent just now (RFC 6298 5.3); no probe is due any more
    elif sent_any and not conn.timer_at:
        conn.arm_after_send(now)


def retransmit(conn: ConnectionCore, record: Sent, now: Micros, rule: str) -> None:
    """Send one record again."""
    buffer, mib, recovery = conn.send_buffer, conn.tcp.counters.mib, conn.recovery
    flags = ACK
    length = min(record.end, buffer.end) - record.seq
    if record.segments == 1 and length < conn.send_mss:
        edge = conn.tcb.snd_una + conn.tcb.snd_wnd
        room = min(conn.send_mss, edge - record.seq if edge > record.seq else conn.send_mss)
        recovery.scoreboard.collapse(record, room - length, edge)
        length = min(record.end, buffer.end) - record.seq
    if record.end > buffer.end:
        flags |= FIN
    if length and (record.push or record.segments > 1):
        flags |= PSH
    conn.plain = False  # a clean ACK samples the RTT of what it acknowledges (Karn: not of this)
    if rule == why.TAIL_PROBE:  # nothing is known to be lost: pipe and undo do not count it (Linux)
        record.sent_at = now
        record.times += 1
        recovery.repeated_until = max(recovery.repeated_until, record.end)
    else:
        recovery.scoreboard.mark_retransmitted(record, recovery.resent_at)
        recovery.note_retransmission(record.segments, now)
    recovery.rate.settle()
    recovery.rate.stamp(record, recovery.delivered, False, now)
    recovery.total_retrans += record.segments
    recovery.acks.retransmitted += record.segments
    mib["TcpRetransSegs"] += record.segments
    mib["TcpOutSegs"] -= record.segments  # which leaves out what only repeats (RFC 4022)
    if length:
        conn.last_sent_at = now
        recovery.bytes_retrans += length
        recovery.data_repeated += record.segments
    if recovery.timeout_to_answer:
        recovery.timeout_to_answer = False
    elif recovery.ca_state > CWR:
        in_loss = recovery.ca_state == LOSS
        mib["TcpExtTCPSlowStartRetrans" if in_loss else "TcpExtTCPFastRetrans"] += record.segments
    send_range(conn, record.seq, length, flags, conn.send_mss, now, rule)
    if recovery.pace is not None:
        recovery.pace.spend(conn, length, now)


def send_loss_probe(conn: ConnectionCore, now: Micros) -> bool:
    """RFC 8985 7.3: the next new segment if the window allows, else the last one sent, once more. False: neither."""
    tcb, recovery, mss = conn.tcb, conn.recovery, conn.send_mss
    board = recovery.scoreboard
    if recovery.tlp_high_seq is not None:
        return False
    queued = conn.send_buffer.end - tcb.snd_nxt
    room = tcb.snd_una + tcb.snd_wnd - tcb.snd_nxt
    if conn.pieces:
        queued = conn.pieces[0].end - tcb.snd_nxt
    if 0 < min(queued, mss) <= room:
        if conn.pieces and queued < mss:
            queued = grow(conn, tcb.snd_nxt + mss) - tcb.snd_nxt
        length = min(queued, mss)
        if length > room:
            return False
        end = tcb.snd_nxt + length
        record = Sent(tcb.snd_nxt, end, 1, now)
        if length == queued:
            record.push = conn.pieces.pop(0).push if conn.pieces else not conn.more
        flags = ACK | PSH if record.push else ACK
        recovery.rate.stamp(record, recovery.delivered, False, now)
        board.records.append(record)
        board.packets_out += 1
        tcb.snd_nxt = end
        recovery.tlp_is_retransmission = False
        conn.last_sent_at = now
        send_range(conn, record.seq, length, flags, mss, now, why.TAIL_PROBE)
        if recovery.pace is not None:
            recovery.pace.spend(conn, length, now)
    else:
        last = board.records[-1]
        before_it = (last.end - last.fin - 1 - last.seq) // mss * mss
        if before_it > 0:
            board.split(len(board.records) - 1, last.seq + before_it, mss)
            last = board.records[-1]
        if last.seq >= tcb.snd_una + tcb.snd_wnd and last.seq != tcb.snd_una:
            return False  # the window has shrunk since
        recovery.tlp_is_retransmission = True
        retransmit(conn, last, now, why.TAIL_PROBE)
    conn.tcp.counters.mib["TcpExtTCPLossProbes"] += 1
    recovery.tlp_high_seq = tcb.snd_nxt
    return True


def send_window_probe(conn: ConnectionCore, now: Micros) -> None:
    """RFC 9293 3.8.6.1: whatever fits the window, be it a silly amount; else a segment that asks for an ACK."""
    tcb, buffer, board = conn.tcb, conn.send_buffer, conn.recovery.scoreboard
    room = tcb.snd_una + tcb.snd_wnd - tcb.snd_nxt
    if room <= 0:
        if urgent.sending(conn):  # nobody waits for a window to hear of urgent data (3.8.5)
            segment(conn, tcb.snd_una, b"", ACK, 1, now, why.WINDOW_PROBE)
        send_probe(conn, now, why.WINDOW_PROBE)
        conn.tcp.counters.mib["TcpExtTCPWinProbe"] += 1
        return
    pieces = conn.pieces
    queued = (pieces[0].end if pieces else buffer.end) - tcb.snd_nxt
    length = min(queued, room, conn.send_mss)
    flags = ACK | PSH if length else ACK
    end = tcb.snd_nxt + length
    if conn.fin_queued and end == buffer.end and room > length:
        flags |= FIN
        end += 1
        conn.fin_sent = True
    record = Sent(tcb.snd_nxt, end, 1, now)
    record.fin = end - tcb.snd_nxt - length
    record.push = bool(length)
    if pieces and length == queued:
        del pieces[0]
    conn.recovery.rate.stamp(record, conn.recovery.delivered, not board.records, now)
    board.records.append(record)
    board.packets_out += 1
    tcb.snd_nxt = end
    send_range(conn, record.seq, length, flags, conn.send_mss, now, why.WINDOW_PROBE)
    conn.last_sent_at = now
    conn.arm_after_send(now)


def send_probe(conn: ConnectionCore, now: Micros, rule: str) -> None:
    """An empty segment one below SND.UNA, which the peer must answer with an ACK (3.8.4).

    Deviation: window probes too are such segments, as Linux sends them, and not one octet of data (3.8.6.1): what the
    peer must refuse need not be sent.
    """
    segment(conn, conn.tcb.snd_una - 1, b"", ACK, 1, now, rule)
