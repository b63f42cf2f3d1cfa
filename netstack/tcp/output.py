"""What goes out now, given the variables: what is lost, new data, FIN, and an ACK if nothing carried it.

Arrivals and user calls only change variables; `transmit` looks at them and sends. What may be sent follows RFC 9293
3.8.6.2.1 (no silly windows) and 3.7.4 (Nagle, with Linux's refinement: only an outstanding *small* segment holds back
another small one), the peer's window and cwnd. `resend` sends again and probes; `emit` builds the segments.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.tcp import chrono, mtu_probe, send_room, super_segment, urgent, why
from netstack.tcp.chrono import BUSY
from netstack.tcp.congestion import CongestionControl
from netstack.tcp.emit import MOST_SEGMENTS, most_at_once, sack_room, segment, send_ack, send_range
from netstack.tcp.modelled import ModelRecovery
from netstack.tcp.reduction import CWR, OPEN
from netstack.tcp.resend import send_lost
from netstack.tcp.scoreboard import Sent
from netstack.tcp.timer_kind import LOSS_PROBE, WINDOW_PROBE
from netstack.tcp.write_queue import cut, grow
from netstack.units import MILLISECOND, Micros, Octets, Seq
from netstack.wire.tcp import ACK, FIN, PSH

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore


def unsent(conn: ConnectionCore) -> bool:
    """Whether data or a FIN waits that has never been sent."""
    return conn.send_buffer.end > conn.tcb.snd_nxt or (conn.fin_queued and not conn.fin_sent)


def transmit(conn: ConnectionCore, now: Micros) -> None:
    """Send everything that may and should leave now; owe an ACK only if one is due and nothing carried it."""
    if not conn.recovery.scoreboard.lost_out or _send_again(conn, now):
        waits = conn.send_buffer.end > conn.tcb.snd_nxt or conn.fin_queued
        if waits and not conn.fin_sent:
            _send_new(conn, now)
    acking = conn.acking
    if acking.scheduled:
        if acking.scheduled > 1 and not acking.due:
            acking.scheduled = 1
            tcb, receive = conn.tcb, conn.receive_buffer
            wide = tcb.rcv_nxt - tcb.rcv_wup > acking.rcv_mss  # RFC 5681 4.2: at least every second full segment
            if wide and receive.ready >= conn.options.rcvlowat and receive.ready:
                # Not if the user is to read first, and has the window wider then (Linux).
                wide = conn.window.select(tcb, conn.packets.settle(), acking) >= tcb.rcv_wnd
            if wide or (acking.quick and not acking.pingpong):
                acking.due = True
            elif conn.packets.beyond:
                acking.compress(tcb, conn.rtt.srtt, conn.tcp.config, now)
            else:
                acking.delay(conn.rtt.srtt, conn.tcp.config, now)
        if acking.due:
            send_ack(conn, now)
        elif acking.at:
            conn.arm(acking.at)


def send_alone(conn: ConnectionCore, now: Micros) -> bool:
    """The common answer, proven: all that is queued fits one segment, nothing is outstanding, and nothing is odd.

    `conn.plain` has been seen. cwnd is never below one segment, Nagle holds nothing back when nothing is outstanding,
    and the usage of cwnd is known; so what remains of `_send_new` is this. False: nothing was done. True: nothing is
    left to do, the segment carried the ACK.
    """
    tcb, buffer, recovery = conn.tcb, conn.send_buffer, conn.recovery
    snd_nxt, end, mss = tcb.snd_nxt, buffer.end, conn.send_mss
    length = end - snd_nxt
    board, watch, rtt = recovery.scoreboard, conn.chrono, conn.rtt
    if (
        not 0 < length <= mss
        or board.records
        or tcb.snd_una + tcb.snd_wnd < end
        or conn.more
        or conn.options.cork
        or conn.pieces
        or recovery.pace is not None
        or watch.kind
        or conn.path.mtu != conn.path_mtu
        or now - conn.last_sent_at > rtt.rto
    ):
        return False
    record = Sent(snd_nxt, end, 1, now)
    record.push = True
    delivered, rate = recovery.delivered, recovery.rate
    record.delivered, record.app_limited = delivered, rate.app_limited
    rate.first_at = rate.delivered_at = now
    rate.app_limited = delivered + 1
    board.records.append(record)
    board.packets_out = 1
    watch.kind = BUSY
    watch.since = now
    tcb.snd_nxt = end
    if length != mss:
        conn.small_sent = end
    data: bytes | memoryview = buffer.chunks[-1]
    if len(data) != length:  # several writes, or what is left of one
        data = buffer.read(snd_nxt, length)
    segment(conn, snd_nxt, data, ACK | PSH, mss, now, why.DATA)
    conn.last_sent_at = now
    acking = conn.acking
    if now - acking.last_data_at < acking.ato:
        acking.pingpong = True
    if recovery.may_probe and rtt.srtt8:  # `arm_after_send`: a loss probe, of a segment that may wait for a delayed ACK
        pto = (rtt.srtt8 >> 2) + rtt.rto_min
        conn.timer = LOSS_PROBE
        conn.timer_at = at = now + (pto if pto < rtt.rto else rtt.rto)
        if at < conn.wake_at:
            conn.tcp.timers.arm(conn, at)
    else:
        conn.arm_after_send(now)
    recovery.cwnd_limited = recovery.cc.cwnd <= 1
    recovery.max_packets_out = 1
    recovery.cwnd_limited_until = end
    return True


def _send_new(conn: ConnectionCore, now: Micros) -> None:
    """Data never sent before, as far as cwnd, the peer's window and Nagle allow; the FIN with the last of it."""
    tcb, buffer, recovery, pieces = conn.tcb, conn.send_buffer, conn.recovery, conn.pieces
    board = recovery.scoreboard
    if conn.path.mtu != conn.path_mtu:
        conn.on_path_mtu(now)
    if not board.records:
        _restart_after_idle(conn, now)
        conn.chrono.start(BUSY, now)
    before = tcb.snd_nxt
    mss = conn.send_mss
    whole = most_at_once(mss)
    # The limit in whole super-segments: a small frame at the end of each go would cost as much as a large one.
    stop_at = before + min(-(-conn.tcp.config.limit_output // whole) * whole, MOST_SEGMENTS * mss)
    limited = False
    while pieces and pieces[0].end <= before:
        del pieces[0]
    if pieces and pieces[-1].uncut:
        for until, one in cut(conn):
            limited |= _send_pieces(conn, until, one, True, stop_at, now)
    limited |= _send_pieces(conn, buffer.end, False, False, stop_at, now)
    if conn.push_now and buffer.end <= tcb.snd_nxt:
        conn.push_now = False
    if tcb.snd_nxt > before:
        conn.last_sent_at = now
        if conn.acking.ato:
            conn.acking.on_data_sent(now)
        conn.arm_after_send(now)
    elif not board.records and not conn.timer_at and not conn.pace_at:
        conn.start_window_probes(now)
    sent_any = tcb.snd_nxt > before
    if sent_any or limited:
        recovery.note_usage(limited, conn, now)
        rate = recovery.rate
        if buffer.end <= tcb.snd_nxt and not limited:  # the user has nothing more for a path that would take it
            if not board.pending_out:
                rate.app_limited = recovery.delivered + board.in_flight() or 1
        elif limited and rate.app_limited and rate.app_limited == recovery.delivered + board.in_flight():
            rate.app_limited = 0  # he has, before anything was acknowledged: it is the path that takes no more
    if conn.starved and sent_any:
        send_room.feed(conn, now)
    watch = conn.chrono
    if conn.starved or watch.kind > BUSY or (buffer.end > tcb.snd_nxt and not limited):
        chrono.note(conn, watch, sent_any and not recovery.cwnd_limited, now)


def _send_pieces(conn: ConnectionCore, until: Seq, one: bool, push: bool, stop_at: Seq, now: Micros) -> bool:
    """What may leave of the octets before `until` (Linux's tcp_write_xmit). True: cwnd kept something back.

    `one`: a single piece; `push`: Nagle holds nothing back.
    """
    tcb, buffer, recovery, pieces = conn.tcb, conn.send_buffer, conn.recovery, conn.pieces
    board, cc, pace = recovery.scoreboard, recovery.cc, recovery.pace
    mss = conn.send_mss - sack_room(conn)
    if conn.ecn is not None:
        mss -= conn.ecn.room(conn)
    edge = tcb.snd_una + tcb.snd_wnd
    most = most_at_once(mss) // mss if conn.path.offload and pace is None else 0
    last = until == buffer.end
    if not one and conn.mtu_probe is not None and mtu_probe.attempt(conn, conn.mtu_probe, now) == mtu_probe.WAIT:
        return False
    while True:
        snd_nxt = tcb.snd_nxt
        end = pieces[0].end if pieces else buffer.end
        tail = not pieces or end == buffer.end  # open, or closed by MSG_EOR with nothing behind it
        fin = last and tail and conn.fin_queued
        queued = end - snd_nxt
        if snd_nxt >= until and not fin:
            return False
        if snd_nxt >= stop_at:
            conn.tcp.resume(conn)
            return False
        quota = cc.cwnd - (board.packets_out - board.sacked_out - board.lost_out + board.retrans_out)
        if quota <= 0:
            return True
        if pace is not None and pace.holds(conn, now):
            return False
        if queued > mss or pieces:
            if not most:
                most = super_segment.burst(conn, mss)
            quota = min(quota, most, (stop_at - snd_nxt) // mss or 1)
            if conn.urgent is not None and urgent.sending(conn):
                quota = 1
            if not conn.path.offload and quota > cc.cwnd >> 1:
                quota = cc.cwnd >> 1 or 1
            if pieces and queued < quota * mss and end < until and not pieces[0].record:
                end = grow(conn, min(snd_nxt + quota * mss, until))
                tail = not pieces or end == buffer.end
                fin = last and tail and conn.fin_queued
                queued = end - snd_nxt
        room = edge - snd_nxt
        if (mss if queued > mss else queued + fin) > room:
            return False  # 3.8.6.2.1: wait for the window to open further, or for the probe timer to override
        length = queued
        if queued <= mss:
            if queued < mss and tail and not push and not fin and _hold_small(conn):
                return False
        else:
            if not one and _better_later(conn, queued, room, most, fin, now):
                return quota * mss <= room
            limit = quota * mss
            if limit > room or (end == buffer.end and limit > queued):
                limit = min(queued, room)
                if limit % mss and not push and _hold_small(conn):
                    limit -= limit % mss
            length = min(queued, limit)
        segments = -(-length // mss) or 1
        record = Sent(snd_nxt, snd_nxt + length, segments, now)
        flags = ACK
        if length == queued:
            record.push = bool(length) and (pieces[0].push if pieces else not conn.more)
            if fin:
                flags |= FIN
                record.end += 1
                record.fin = 1
                conn.fin_sent = True
                recovery.fin_alone = 0 if length else 1
            if pieces:
                del pieces[0]
        if record.push or segments > 1:  # several in one: the receiver's GRO need not wait for more (Linux)
            flags |= PSH
        recovery.rate.stamp(record, recovery.delivered, not board.records, now)
        board.records.append(record)
        board.packets_out += segments
        tcb.snd_nxt = record.end
        if recovery.ca_state != OPEN:
            recovery.prr_out += segments  # RFC 6937 3: prr_out counts everything sent during recovery
            if recovery.resent_at >= now:
                record.sent_at = recovery.resent_at + 1
        if length < segments * mss:
            conn.small_sent = record.end
        conn.last_sent_at = now
        send_range(conn, snd_nxt, length, flags, conn.send_mss, now, why.DATA if length else why.FIN)
        if pace is not None:
            pace.spend(conn, length, now)
        if one or record.fin:
            return False


def _better_later(conn: ConnectionCore, queued: Octets, room: Octets, most: int, fin: bool, now: Micros) -> bool:
    """Whether to wait for the next ACK, which is due any moment and will allow a larger piece (Linux's TSO deferral).

    Only where a window cuts what is queued, less than a third of it is open, and we sent within the last millisecond:
    otherwise every ACK would trickle out a few segments, each costing as much as 64 KiB. `most`: segments of a piece.
    """
    recovery, tcb, mss = conn.recovery, conn.tcb, conn.send_mss
    board, cwnd = recovery.scoreboard, recovery.cc.cwnd
    if recovery.ca_state > CWR or now - conn.last_sent_at > MILLISECOND:
        return False
    allowed = (cwnd - board.in_flight()) * mss
    limit = min(room, allowed)
    if limit >= most * mss or (conn.pieces and limit >= queued) or 3 * limit >= min(tcb.snd_wnd, cwnd * mss):
        return False
    if not board.records:
        return False
    srtt = conn.rtt.srtt
    if board.records[0].sent_at + srtt - now > min(srtt >> 1, MILLISECOND):
        return False
    return min(allowed, room) <= queued or not fin


def _hold_small(conn: ConnectionCore) -> bool:
    """Nagle (RFC 9293 3.7.4), Minshall's way: a segment less than full waits while such a one is outstanding."""
    options = conn.options
    if conn.push_now or urgent.sending(conn):
        return False
    if options.cork or conn.hold:
        return True
    if options.nodelay or not conn.recovery.scoreboard.records:
        return False
    return conn.tcb.snd_una < conn.small_sent <= conn.tcb.snd_nxt


def _restart_after_idle(conn: ConnectionCore, now: Micros) -> None:
    """RFC 5681 4.1: after an RTO without sending, what cwnd knew of the path is stale; halve it per RTO of idleness."""
    if isinstance(conn.recovery, ModelRecovery):
        conn.recovery.on_restart(now)
        return
    idle = now - conn.last_sent_at
    rto = conn.rtt.rto
    if conn.last_sent_at < 0 or idle <= rto:
        return
    cc: CongestionControl = conn.recovery.cc
    cc.on_idle(idle, now)
    config = conn.tcp.config
    if not config.slow_start_after_idle or conn.timer == WINDOW_PROBE or conn.send_buffer.end <= conn.tcb.snd_nxt:
        return  # what waited for the peer's window was no pause, and a FIN is no data (Linux)
    recovery = conn.recovery
    recovery.used_packets, recovery.used_at = 0, now
    floor = min(recovery.restart_cwnd, cc.cwnd)
    if recovery.ca_state == OPEN:
        cc.ssthresh = max(cc.ssthresh, (cc.cwnd >> 1) + (cc.cwnd >> 2))
    while idle > rto and cc.cwnd > floor:
        idle -= rto
        cc.cwnd >>= 1
    cc.cwnd = max(cc.cwnd, floor)


def _send_again(conn: ConnectionCore, now: Micros) -> bool:
    """What is lost. False: nothing new may follow, for it was a timer that asked, and that waits for an ACK (Linux)."""
    recovery = conn.recovery
    if not _send_new_first(conn, now):
        send_lost(conn, now)
    only_again, recovery.only_again = recovery.only_again, False
    return not only_again


def _send_new_first(conn: ConnectionCore, now: Micros) -> bool:
    """RFC 5682 2.1 2b, after a timeout that may have been needless. False: not asked for, or nothing new could go."""
    recovery, tcb = conn.recovery, conn.tcb
    if not recovery.prefer_new:
        return False
    recovery.prefer_new = False
    before, pushed = tcb.snd_nxt, conn.push_now
    conn.push_now = True  # Nagle would wait for what may be lost
    _send_new(conn, now)
    conn.push_now = pushed
    recovery.frto = tcb.snd_nxt > before
    return recovery.frto
