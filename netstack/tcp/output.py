"""What goes out now, given the variables: retransmissions, new data, FIN, probes, and an ACK if nothing carried it.

Arrivals and user calls only change variables; `transmit` looks at them and sends. What may be sent follows RFC 9293
3.8.6.2.1 (no silly windows) and 3.7.4 (Nagle, with Linux's refinement: only an outstanding *small* segment holds back
another small one), the peer's window and cwnd.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from netstack.events import SegmentSent
from netstack.seq import MASK
from netstack.tcp import chrono
from netstack.tcp.chrono import BUSY
from netstack.tcp.congestion import CongestionControl
from netstack.tcp.reduction import CWR, LOSS, OPEN
from netstack.tcp.scoreboard import Sent
from netstack.units import MILLISECOND, Micros, Octets, Seq
from netstack.wire.checksum import ones_sum
from netstack.wire.tcp import ACK, FIN, PSH
from netstack.wire.tcp_options import ALIGNED_TIMESTAMP, build_segment

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore

_PLAIN = Struct("!IIIHHHH")
"""Both ports as one word, seq, ack, offset and flags, window, checksum, urgent pointer."""
_STAMPED = Struct("!IIIHHHHIII")
"""`_PLAIN` and `<nop,nop,TS>`."""
MAX_SUPER_SEGMENT: Octets = 65_535 - 20 - 60
"""Payload of one super-segment at most: IPv4's total length, less the headers at their largest."""
_MOST_SEGMENTS = 256
"""What leaves in one go at most, however small the peer's segments: `limit_output` again, where each costs a frame."""
_MIN_TEXT: Octets = 8
"""SACK blocks leave a data segment at least this much (RFC 2018 3: as many as there is room for)."""


def _most_at_once(mss: Octets) -> Octets:
    """Full segments in one super-segment: at least one, which may be larger where the MTU is."""
    return MAX_SUPER_SEGMENT // mss * mss or mss


def unsent(conn: ConnectionCore) -> bool:
    """Whether data or a FIN waits that has never been sent."""
    return conn.send_buffer.end > conn.tcb.snd_nxt or (conn.fin_queued and not conn.fin_sent)


def transmit(conn: ConnectionCore, now: Micros) -> None:
    """Send everything that may and should leave now; owe an ACK only if one is due and nothing carried it."""
    if conn.recovery.scoreboard.lost_out and not _send_new_first(conn, now):
        _send_lost(conn, now)
    waits = conn.send_buffer.end > conn.tcb.snd_nxt or conn.fin_queued
    if waits and not conn.fin_sent and not _send_alone(conn, now):
        _send_new(conn, now)
    acking = conn.acking
    if acking.scheduled:
        if not acking.due:
            tcb, receive = conn.tcb, conn.receive_buffer
            held = receive.ready + receive.held
            unacked = tcb.rcv_nxt - tcb.rcv_wup
            # Linux waits when nobody reads and the window could not widen. Deviation: not with two segments, half free.
            may_widen = not receive.ready or (unacked >= 2 * acking.rcv_mss and 2 * held <= conn.window.clamp)
            may_widen = may_widen or conn.window.select(tcb, held, acking.rcv_mss) >= tcb.rcv_wnd
            acking.decide(unacked, receive.gaps, may_widen, conn.rtt.srtt, conn.tcp.config, now)
        if acking.due:
            send_ack(conn, now)
        elif acking.at:
            conn.arm(acking.at)


def segment(
    conn: ConnectionCore, seq: Seq, payload: bytes | memoryview, flags: int, mss: Octets, now: Micros, why: str
) -> None:
    """Build and hand to IP one segment, or one super-segment that the device cuts at `mss`.

    The one place where a header is built for a synchronized connection; every segment carries the current ACK and
    window. For a device that does not segment, the caller has cut already.
    """
    tcb, path, acking, receive = conn.tcb, conn.path, conn.acking, conn.receive_buffer
    rcv_nxt = tcb.rcv_nxt
    offered = tcb.rcv_wnd
    tcb.rcv_wnd = conn.window.select(tcb, receive.ready + receive.held, acking.rcv_mss)
    if not tcb.rcv_wnd or not offered:
        _count_zero_window(conn, offered)
    tcb.rcv_wup = rcv_nxt
    window = tcb.rcv_wnd >> tcb.rcv_wscale
    if window > 0xFFFF:
        window = 0xFFFF
        tcb.rcv_wnd = 0xFFFF << tcb.rcv_wscale
    if acking.scheduled or acking.quick:
        acking.on_sent(1)
    length = len(payload)
    options = conn.options
    tos = options.tos
    if conn.ecn is not None:
        flags, tos = conn.ecn.stamp(conn.recovery, seq, length, flags, tos)
    if tcb.sack_ok and (receive.held or conn.duplicate is not None):
        head = _head_with_sack(conn, seq, flags, window, bool(length), now)
        total = path.pseudo + len(head) + length
        if path.offload:
            checksum = total % 0xFFFF
        else:
            checksum = -(total + ones_sum(head) + ones_sum(payload)) % 0xFFFF
        head = head[:16] + checksum.to_bytes(2, "big") + head[18:]
    elif tcb.ts_ok:
        ts_val = (now // 1000 + tcb.ts_offset) & MASK
        offset_flags = 0x8000 | flags
        total = path.pseudo + 32 + length
        if path.offload:
            checksum = total % 0xFFFF
        else:
            total += conn.ports + (seq & MASK) + (rcv_nxt & MASK) + offset_flags + window
            checksum = -(total + ALIGNED_TIMESTAMP + ts_val + tcb.ts_recent + ones_sum(payload)) % 0xFFFF
        head = _STAMPED.pack(
            conn.ports, seq & MASK, rcv_nxt & MASK, offset_flags, window, checksum, 0,
            ALIGNED_TIMESTAMP, ts_val, tcb.ts_recent,
        )  # fmt: skip
    else:
        offset_flags = 0x5000 | flags
        total = path.pseudo + 20 + length
        if path.offload:
            checksum = total % 0xFFFF
        else:
            total += conn.ports + (seq & MASK) + (rcv_nxt & MASK) + offset_flags + window
            checksum = -(total + ones_sum(payload)) % 0xFFFF
        head = _PLAIN.pack(conn.ports, seq & MASK, rcv_nxt & MASK, offset_flags, window, checksum, 0)
    tcp = conn.tcp
    segments = 1 if length <= mss else -(-length // mss)
    tcp.counters.mib["TcpOutSegs"] += segments
    conn.segs_out += segments
    if length:
        conn.data_segs_out += segments
    if tcp.events is not None:
        tcp.events(SegmentSent(now, conn.key, seq, rcv_nxt, flags, tcb.rcv_wnd, length, why))
    path.send(head, payload, mss, tos, now, options.ttl or 64)


def _count_zero_window(conn: ConnectionCore, before: Octets) -> None:
    """The window closes, or opens again."""
    if conn.tcb.rcv_wnd != before:
        name = "FromZeroWindowAdv" if conn.tcb.rcv_wnd else "ToZeroWindowAdv"
        conn.tcp.counters.mib["TcpExtTCP" + name] += 1


def _head_with_sack(conn: ConnectionCore, seq: Seq, flags: int, window: int, text: bool, now: Micros) -> bytes:
    """A header that reports what lies beyond a gap (RFC 2018 4), or arrived twice (RFC 2883 4, first block)."""
    tcb = conn.tcb
    stamps = ((now // 1000 + tcb.ts_offset) & MASK, tcb.ts_recent) if tcb.ts_ok else None
    options = build_segment(stamps, conn.sack_blocks()[: _block_limit(conn, text)])
    conn.duplicate = None
    offset_flags = (20 + len(options)) << 10 | flags
    return _PLAIN.pack(conn.ports, seq & MASK, tcb.rcv_nxt & MASK, offset_flags, window, 0, 0) + options


def _block_limit(conn: ConnectionCore, text: bool) -> int:
    """How many SACK blocks a segment has room for: one with text keeps some, any other need only fit the path."""
    ts_ok = conn.tcb.ts_ok
    room = conn.send_mss - _MIN_TEXT if text else conn.path.mtu - (52 if ts_ok else 40)
    return max(min((room - 4) // 8, 3 if ts_ok else 4), 0)


def _sack_room(conn: ConnectionCore) -> Octets:
    """Octets that SACK blocks will take from a data segment."""
    if not conn.tcb.sack_ok or not (conn.receive_buffer.held or conn.duplicate is not None):
        return 0
    blocks = min(len(conn.receive_buffer.recent) + (conn.duplicate is not None), _block_limit(conn, True))
    return 4 + 8 * blocks if blocks else 0


def send_ack(conn: ConnectionCore, now: Micros) -> None:
    """A pure ACK: <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>."""
    segment(conn, conn.tcb.snd_nxt, b"", ACK, 1, now, "ack")


def _send_range(conn: ConnectionCore, seq: Seq, length: Octets, flags: int, mss: Octets, now: Micros, why: str) -> None:
    """Octets [seq, seq + length), PSH and FIN on the last: in one piece if the device segments, else cut here."""
    mss -= _sack_room(conn)
    merge = conn.path.offload and (conn.ecn is None or conn.ecn.may_merge(conn.recovery))
    if length <= mss or (merge and length <= MAX_SUPER_SEGMENT):
        payload = conn.send_buffer.read(seq, length) if length else b""
        segment(conn, seq, payload, flags, mss, now, why)
        return
    step = _most_at_once(mss) if merge else mss
    end = seq + length
    while seq < end:
        take = min(step, end - seq)
        last = seq + take == end
        segment(conn, seq, conn.send_buffer.read(seq, take), flags if last else flags & ~(FIN | PSH), mss, now, why)
        seq += take


# -- new data and FIN ------------------------------------------------------------------------------------------------


def _send_alone(conn: ConnectionCore, now: Micros) -> bool:
    """The common answer, proven: all that is queued fits one segment, and nothing is outstanding or odd.

    cwnd is never below one segment, Nagle holds nothing back when nothing is outstanding, and the usage of cwnd is
    known; so what remains of `_send_new` is this. False: nothing was done.
    """
    tcb, buffer, recovery = conn.tcb, conn.send_buffer, conn.recovery
    snd_nxt, end, mss = tcb.snd_nxt, buffer.end, conn.send_mss
    length = end - snd_nxt
    board = recovery.scoreboard
    if (
        board.records
        or not 0 < length <= mss
        or tcb.snd_una + tcb.snd_wnd < end
        or recovery.ca_state != OPEN
        or conn.fin_queued
        or conn.more
        or conn.options.cork
        or conn.push_at
        or conn.receive_buffer.held
        or conn.duplicate is not None
        or conn.chrono.kind > BUSY
        or conn.path.mtu != conn.path_mtu
        or now - conn.last_sent_at > conn.rtt.rto
    ):
        return False
    board.records.append(Sent(snd_nxt, end, 1, now))
    board.packets_out = 1
    watch = conn.chrono
    if not watch.kind:
        watch.kind = BUSY
        watch.since = now
    tcb.snd_nxt = end
    if length != mss:
        conn.small_sent = end
    segment(conn, snd_nxt, buffer.read(snd_nxt, length), ACK | PSH, mss, now, "data")
    conn.last_sent_at = now
    acking = conn.acking
    if now - acking.last_data_at < acking.ato:
        acking.pingpong = True
    conn.arm_after_send(now)
    recovery.cwnd_limited = recovery.cc.cwnd <= 1
    recovery.max_packets_out = 1
    recovery.cwnd_limited_until = end
    return True


def _send_new(conn: ConnectionCore, now: Micros) -> None:
    """Data never sent before, as far as cwnd, the peer's window and Nagle allow; the FIN with the last of it."""
    tcb, buffer, recovery = conn.tcb, conn.send_buffer, conn.recovery
    board, cc = recovery.scoreboard, recovery.cc
    if conn.path.mtu != conn.path_mtu:
        conn.on_path_mtu(now)
    mss = conn.send_mss
    if not board.records:
        _restart_after_idle(conn, now)
        conn.chrono.start(BUSY, now)
    edge = tcb.snd_una + tcb.snd_wnd
    limited = False
    sent_any = False
    stop_at = tcb.snd_nxt + min(conn.tcp.config.limit_output, _MOST_SEGMENTS * mss)
    while True:
        snd_nxt = tcb.snd_nxt
        queued = buffer.end - snd_nxt
        if queued <= 0 and not (conn.fin_queued and not conn.fin_sent):
            break
        if snd_nxt >= stop_at:
            conn.tcp.resume(conn)
            break
        quota = cc.cwnd - (board.packets_out - board.sacked_out - board.lost_out + board.retrans_out)
        if quota <= 0:
            limited = True
            break
        room = edge - snd_nxt
        cut_short = queued > quota * mss or queued > room > mss
        if cut_short and _better_later(conn, min(quota * mss, room), mss, now):
            limited = quota * mss <= room
            break
        length = _amount(conn, queued, room, quota, mss)
        if conn.push_at:
            length = _up_to_push(conn, length)
        if length < 0:
            break
        flags = ACK
        end = snd_nxt + length
        if conn.push_at and end == conn.push_at[0]:
            flags |= PSH
        if end == buffer.end:
            if length and not conn.more:
                flags |= PSH
            if conn.fin_queued and (end < edge or not length):
                flags |= FIN
                end += 1
                conn.fin_sent = True
        record = Sent(snd_nxt, end, -(-length // mss) or 1, now)
        record.fin = end - snd_nxt - length
        board.records.append(record)
        board.packets_out += record.segments
        tcb.snd_nxt = end
        if recovery.ca_state != OPEN:
            recovery.prr_out += record.segments  # RFC 6937 3: prr_out counts everything sent during recovery
        if length % mss:
            conn.small_sent = end
        _send_range(conn, snd_nxt, length, flags, mss, now, "data" if length else "fin")
        sent_any = True
        if flags & FIN:
            recovery.fin_alone = 0 if length else 1
            break
    if sent_any:
        conn.last_sent_at = now
        if conn.acking.ato:
            conn.acking.on_data_sent(now)
        conn.arm_after_send(now)
    elif not board.records and not conn.timer_at:
        conn.start_window_probes(now)
    if sent_any or limited:
        recovery.note_usage(limited)
    watch = conn.chrono
    if conn.starved or watch.kind > BUSY or (buffer.end > tcb.snd_nxt and not limited):
        chrono.note(conn, watch, sent_any and not recovery.cwnd_limited, now)


def _amount(conn: ConnectionCore, queued: Octets, room: Octets, quota: int, mss: Octets) -> Octets:
    """How many of `queued` octets to send in one go; -1: nothing now. 0: the bare FIN."""
    if queued <= 0:
        return 0 if room > 0 else -1
    if room < queued and room < mss:
        return -1  # 3.8.6.2.1: wait for the window to open further, or for the probe timer to override
    most = min(min(quota, _MOST_SEGMENTS) * mss, _most_at_once(mss))
    length = min(queued, room, most)
    partial = length % mss
    if not partial:
        return length
    if length < queued and length == most:
        return length - partial  # unreachable while `most` is a multiple of mss; kept true for any mss
    if _hold_small(conn):
        return length - partial or -1
    return length


def _better_later(conn: ConnectionCore, limit: Octets, mss: Octets, now: Micros) -> bool:
    """Whether to wait for the next ACK, which is due any moment and will allow a larger piece (Linux's TSO deferral).

    Only where a window cuts a longer queue, less than a third of it is open, and we sent within the last millisecond:
    otherwise every ACK would trickle out a few segments, each costing as much as 64 KiB.
    """
    recovery, tcb = conn.recovery, conn.tcb
    records = recovery.scoreboard.records
    if not records or recovery.ca_state > CWR or now - conn.last_sent_at > MILLISECOND:
        return False
    if limit >= _most_at_once(mss) or 3 * limit >= min(tcb.snd_wnd, recovery.cc.cwnd * mss):
        return False
    srtt = conn.rtt.srtt
    return records[0].sent_at + srtt - now <= min(srtt >> 1, MILLISECOND)


def _up_to_push(conn: ConnectionCore, length: Octets) -> Octets:
    """At most up to where the next PSH belongs."""
    pushes, snd_nxt = conn.push_at, conn.tcb.snd_nxt
    while pushes and pushes[0] <= snd_nxt:
        del pushes[0]
    return min(length, pushes[0] - snd_nxt) if pushes else length


def _hold_small(conn: ConnectionCore) -> bool:
    """Nagle (RFC 9293 3.7.4), Minshall's way: a segment less than full waits while such a one is outstanding."""
    options = conn.options
    if conn.fin_queued:
        return False
    if options.cork or conn.more:
        return True
    if options.nodelay or not conn.recovery.scoreboard.records:
        return False
    return conn.tcb.snd_una < conn.small_sent <= conn.tcb.snd_nxt


def _restart_after_idle(conn: ConnectionCore, now: Micros) -> None:
    """RFC 5681 4.1: after an RTO without sending, what cwnd knew of the path is stale; halve it per RTO of idleness."""
    idle = now - conn.last_sent_at
    rto = conn.rtt.rto
    if conn.last_sent_at < 0 or idle <= rto:
        return
    cc: CongestionControl = conn.recovery.cc
    cc.on_idle(idle, now)
    config = conn.tcp.config
    if not config.slow_start_after_idle:
        return
    floor = min(config.initial_cwnd, cc.cwnd)
    if conn.recovery.ca_state == OPEN:
        cc.ssthresh = max(cc.ssthresh, (cc.cwnd >> 1) + (cc.cwnd >> 2))
    while idle > rto and cc.cwnd > floor:
        idle -= rto
        cc.cwnd >>= 1
    cc.cwnd = max(cc.cwnd, floor)


# -- retransmissions and probes --------------------------------------------------------------------------------------


def _send_lost(conn: ConnectionCore, now: Micros) -> None:
    """What the scoreboard says is lost and not on its way again, lowest first (RFC 6675 NextSeg 1), within cwnd."""
    recovery, tcb = conn.recovery, conn.tcb
    board, mss = recovery.scoreboard, conn.send_mss
    edge = tcb.snd_una + tcb.snd_wnd
    sent_any = False
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
        if record.segments > quota and record.seq + quota * mss < record.end - record.fin:
            board.split(i - 1, record.seq + quota * mss, mss)
        retransmit(conn, record, now, "retransmit")
        board.pending_from = record.end
        sent_any = True
    if sent_any and board.records[0].sent_at == now and not (recovery.again_in or recovery.timeouts):
        conn.restart_timer(now)  # what is waited for was sent just now (RFC 6298 5.3); no probe is due any more
    elif sent_any and not conn.timer_at:
        conn.arm_after_send(now)


def _send_new_first(conn: ConnectionCore, now: Micros) -> bool:
    """RFC 5682 2.1 2b, after a timeout that may have been needless. False: not asked for, or nothing new could go."""
    recovery, tcb = conn.recovery, conn.tcb
    if not recovery.prefer_new:
        return False
    recovery.prefer_new = False
    before = tcb.snd_nxt
    _send_new(conn, now)
    recovery.frto = tcb.snd_nxt > before
    return recovery.frto


def retransmit(conn: ConnectionCore, record: Sent, now: Micros, why: str) -> None:
    """Send one record again."""
    buffer, mib = conn.send_buffer, conn.tcp.counters.mib
    flags = ACK
    length = min(record.end, buffer.end) - record.seq
    if record.end > buffer.end:
        flags |= FIN
    if record.end >= buffer.end and length:
        flags |= PSH
    conn.plain = False  # a clean ACK samples the RTT of what it acknowledges (Karn: not of this)
    recovery = conn.recovery
    if why == "loss-probe":  # nothing is known to be lost: pipe and undo do not count it (Linux)
        record.sent_at = now
        record.times += 1
    else:
        recovery.scoreboard.mark_retransmitted(record, now)
        recovery.note_retransmission(record.segments, now)
    recovery.total_retrans += record.segments
    recovery.acks.retransmitted += record.segments
    mib["TcpRetransSegs"] += record.segments
    mib["TcpOutSegs"] -= record.segments  # which leaves out what only repeats (RFC 4022)
    if length:
        recovery.bytes_retrans += length
        recovery.data_repeated += record.segments
    if recovery.timeout_to_answer:
        recovery.timeout_to_answer = False
    elif recovery.ca_state > CWR:
        in_loss = recovery.ca_state == LOSS
        mib["TcpExtTCPSlowStartRetrans" if in_loss else "TcpExtTCPFastRetrans"] += record.segments
    _send_range(conn, record.seq, length, flags, conn.send_mss, now, why)


def send_loss_probe(conn: ConnectionCore, now: Micros) -> None:
    """RFC 8985 7.3: the next new segment if the window allows, else the last one sent, once more."""
    tcb, recovery, mss = conn.tcb, conn.recovery, conn.send_mss
    board = recovery.scoreboard
    if conn.tlp_high_seq is not None:
        return
    queued = conn.send_buffer.end - tcb.snd_nxt
    room = tcb.snd_una + tcb.snd_wnd - tcb.snd_nxt
    if 0 < min(queued, mss) <= room:
        length = min(queued, mss)
        end = tcb.snd_nxt + length
        flags = ACK | PSH if end == conn.send_buffer.end else ACK
        record = Sent(tcb.snd_nxt, end, 1, now)
        board.records.append(record)
        board.packets_out += 1
        tcb.snd_nxt = end
        conn.tlp_is_retransmission = False
        _send_range(conn, record.seq, length, flags, mss, now, "loss-probe")
    else:
        last = board.records[-1]
        before_it = (last.end - last.fin - 1 - last.seq) // mss * mss
        if before_it > 0:
            board.split(len(board.records) - 1, last.seq + before_it, mss)
            last = board.records[-1]
        conn.tlp_is_retransmission = True
        retransmit(conn, last, now, "loss-probe")
    conn.tcp.counters.mib["TcpExtTCPLossProbes"] += 1
    conn.tlp_high_seq = tcb.snd_nxt


def send_window_probe(conn: ConnectionCore, now: Micros) -> None:
    """RFC 9293 3.8.6.1: whatever fits the window, be it a silly amount; else a segment that asks for an ACK."""
    tcb, buffer, board = conn.tcb, conn.send_buffer, conn.recovery.scoreboard
    room = tcb.snd_una + tcb.snd_wnd - tcb.snd_nxt
    if room <= 0:
        send_probe(conn, now)
        conn.tcp.counters.mib["TcpExtTCPWinProbe"] += 1
        return
    length = min(buffer.end - tcb.snd_nxt, room, conn.send_mss)
    flags = ACK | PSH if length else ACK
    end = tcb.snd_nxt + length
    if conn.fin_queued and end == buffer.end and room > length:
        flags |= FIN
        end += 1
        conn.fin_sent = True
    record = Sent(tcb.snd_nxt, end, 1, now)
    record.fin = end - tcb.snd_nxt - length
    board.records.append(record)
    board.packets_out += 1
    tcb.snd_nxt = end
    _send_range(conn, record.seq, length, flags, conn.send_mss, now, "window-probe")
    conn.last_sent_at = now
    conn.arm_after_send(now)


def send_probe(conn: ConnectionCore, now: Micros) -> None:
    """An empty segment one below SND.UNA, which the peer must answer with an ACK (3.8.4).

    Deviation: window probes too are such segments, as Linux sends them, and not one octet of data (3.8.6.1): what the
    peer must refuse need not be sent.
    """
    segment(conn, conn.tcb.snd_una - 1, b"", ACK, 1, now, "probe")
