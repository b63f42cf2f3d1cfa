"""A segment in SYN-RECEIVED or a synchronized state: the numbered checks of RFC 9293 3.10.7.4, in order.

| step | rule | where |
|------|------|-------|
| first   | sequence number acceptable? PAWS first (RFC 7323 5.3 R1) | `check_sequence`, `check_paws` |
| second  | RST (RFC 5961 3.2: only at RCV.NXT exactly; elsewhere in the window a challenge) | `check_reset` |
| third   | security: not implemented by anybody | |
| fourth  | SYN (RFC 5961 4.2: always a challenge) | `check_syn` |
| fifth   | ACK: opens SYN-RECEIVED, moves SND.UNA and the window, acknowledges our FIN (RFC 5961 5.2) | `check_ack` |
| sixth   | URG (RFC 6093: octets stay in line) | `check_urgent` |
| seventh | segment text | `take_text` |
| eighth  | FIN | `check_fin` |

`Connection.on_segment` predicts the common segment and skips all this; the path here is complete without it.
"""

from __future__ import annotations

from errno import ECONNRESET, EPIPE
from typing import TYPE_CHECKING

from netstack.tcp import challenge, half_open, opening, orphan, urgent, why
from netstack.tcp.emit import send_ack
from netstack.tcp.modelled import begin
from netstack.tcp.packets import Packet, cost_of
from netstack.tcp.segment import Arrival, echoed_at
from netstack.tcp.state import (
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LAST_ACK,
    SYN_RECEIVED,
    TIME_WAIT,
    Cause,
)
from netstack.units import MILLISECOND, Micros
from netstack.wire.tcp import ACK, FIN, PSH, RST, SYN, URG

if TYPE_CHECKING:
    from netstack.tcp.connection import Connection

_PAWS_IDLE: Micros = 24 * 24 * 3600 * 1_000_000
"""RFC 7323 5.5: after 24 days idle the timestamp clock may have wrapped, and TS.Recent says nothing."""
_FIN_HEARD = (CLOSE_WAIT, LAST_ACK, CLOSING)
_VIEW: int = 8192
"""Text at least this long is kept as a view of its frame; shorter text is copied, so that it pins no frame."""


def segment_arrives(conn: Connection, seg: Arrival, now: Micros) -> None:
    """One segment; leaves the connection marked when something is to be sent."""
    if conn.close_at:
        orphan.segment_arrives(conn, seg, now)
        return
    listener = conn.listener
    if listener is None or conn.tcb.state is not SYN_RECEIVED or half_open.check(conn, listener, seg, now):
        take_steps(conn, seg, now)


def take_steps(conn: Connection, seg: Arrival, now: Micros) -> None:
    """Steps one to eight.

    Deviation: what has none of ACK, RST and SYN is dropped before the first, as in Linux, so never answered.
    """
    if not seg.flags & (ACK | RST | SYN):
        conn.drop("no_ack", now)
        return
    if not (check_paws(conn, seg, now) and check_sequence(conn, seg, now)):
        return
    if seg.flags & RST:
        check_reset(conn, seg, now)
        return
    if not check_syn(conn, seg, now):
        return
    if not check_ack(conn, seg, now):
        return
    if seg.flags & URG:
        urgent.hear(conn, seg)
    if conn.urgent is not None:
        urgent.look(conn, conn.urgent, seg)
    if conn.ecn is None:
        take_text(conn, seg, now)
    else:
        expected = conn.tcb.rcv_nxt
        take_text(conn, seg, now)
        conn.ecn.on_text(conn, seg, expected)
    if seg.flags & FIN:
        check_fin(conn, seg, now)
    if conn.acking.scheduled > 0:
        conn.acking.scheduled = 2
    conn.predict()


def check_paws(conn: Connection, seg: Arrival, now: Micros) -> bool:
    """RFC 7323 5.3 R1: a segment older than TS.Recent is a ghost of an earlier wrap."""
    tcb, options = conn.tcb, seg.options
    if not tcb.ts_ok:
        return True
    if options.ts_val is None:
        # RFC 7323 3.2: once negotiated, a segment without timestamps is dropped, RST excepted. Deviation: accepted,
        # as Linux does, since middleboxes strip options; PAWS then has nothing to say about it.
        return True
    behind = (options.ts_val - tcb.ts_recent) & 0xFFFF_FFFF
    if behind <= 0x7FFF_FFFF or behind == 0xFFFF_FFFF:
        return True  # one tick is forgiven (Linux): segments of one burst may be swapped
    if seg.flags & RST or now - tcb.ts_recent_at >= _PAWS_IDLE or _is_reordered_ack(conn, seg, behind):
        return True
    conn.drop("paws", now)
    if seg.flags & SYN:
        _answer_syn(conn, seg, now)
    elif seg.seq == seg.end and seg.seq < tcb.rcv_nxt and seg.flags & ACK:
        conn.tcp.counters.mib["TcpExtPAWSOldAck"] += 1  # overtaken by others: common, and no answer helps (Linux)
    else:
        conn.tcp.counters.mib["TcpExtPAWSEstab"] += 1
        _answer_unacceptable(conn, seg, now, "TcpExtTCPACKSkippedPAWS")
    return False


def _note_timestamp(conn: Connection, seg: Arrival, now: Micros) -> None:
    """RFC 7323 5.3 R3: TS.Recent moves on, with a segment that is in the window and not beyond Last.ACK.sent."""
    tcb, ts_val = conn.tcb, seg.options.ts_val
    if ts_val is None or seg.seq > tcb.rcv_wup:  # or a hole's filler would move it
        return
    if (ts_val - tcb.ts_recent) & 0xFFFF_FFFF <= 0x7FFF_FFFF or now - tcb.ts_recent_at >= _PAWS_IDLE:
        tcb.ts_recent = ts_val
        tcb.ts_recent_at = now


def _is_reordered_ack(conn: Connection, seg: Arrival, behind: int) -> bool:
    """A pure ACK overtaken by a later one looks old to PAWS and does no harm (Linux's tcp_disordered_ack)."""
    tcb = conn.tcb
    late = 0x1_0000_0000 - behind
    pure = not seg.length and not seg.flags & (SYN | FIN) and seg.seq == tcb.rcv_nxt
    wnd = seg.wnd << tcb.snd_wscale
    updates = seg.seq > tcb.snd_wl1 or (seg.seq == tcb.snd_wl1 and (wnd > tcb.snd_wnd or not wnd))
    return pure and seg.ack == tcb.snd_una and not updates and late <= conn.rtt.rto * 1200 // 1_000_000


def check_sequence(conn: Connection, seg: Arrival, now: Micros) -> bool:
    """First: does any part of the segment lie in the window? (3.4, Table 6)

    Deviation: the left edge is Last.ACK.sent and the right one counts as inside, as in Linux, so that the ACK field of
    a segment whose text is old or does not fit is still heard. What goes beyond the window is taken whole when the user
    has read everything before it, as in Linux, which also refuses all of it otherwise.
    """
    tcb = conn.tcb
    end = seg.end
    edge = max(tcb.rcv_wup + tcb.rcv_wnd, tcb.rcv_nxt)
    # Only a user who waits for it gets more (Linux); one who has not gone is yet to hear of the FIN.
    full = conn.receive_buffer.ready or conn.packets.fin_waits
    beyond = full and end - (1 if seg.flags & FIN else 0) > edge
    if seg.seq <= edge and not beyond and end >= tcb.rcv_wup:
        return True
    if seg.flags & RST:
        if seg.seq == tcb.rcv_nxt - 1 and tcb.state in _FIN_HEARD:
            return True  # at the peer's FIN, which may have been acknowledged already: see `check_reset`
        conn.drop("unacceptable_rst", now)
        return False
    if seg.flags & SYN:
        _answer_syn(conn, seg, now)
        return False
    conn.drop("unacceptable", now)
    if seg.seq > edge or beyond:
        conn.tcp.counters.mib["TcpExtBeyondWindow"] += 1
        if seg.seq <= edge and tcb.state is not SYN_RECEIVED:
            check_ack(conn, seg, now, False)  # 3.10.7.4 first, MUST-66. Deviation: Linux no longer hears it
    _answer_unacceptable(conn, seg, now)
    return False


def _answer_unacceptable(conn: Connection, seg: Arrival, now: Micros, counter: str = "TcpExtTCPACKSkippedSeq") -> None:
    known = min(seg.end, conn.tcb.rcv_nxt)
    if seg.seq < known:
        _note_retransmission(conn, seg.seq, known)
    challenge.answer_unacceptable(conn, seg, now, counter)


def _note_retransmission(conn: Connection, left: int, right: int) -> None:
    """Text that we had already: our ACK was lost or late. Report it (RFC 2883), and ACK quickly for a while."""
    conn.tcp.counters.mib["TcpExtDelayedACKLost"] += 1
    conn.acking.hurry(16, conn.tcb.rcv_wnd)
    conn.note_duplicate(left, right)


def check_reset(conn: Connection, seg: Arrival, now: Micros) -> None:
    """Second: RST. Only SEG.SEQ == RCV.NXT resets; anything else in the window may be forged (RFC 5961 3.2)."""
    tcb = conn.tcb
    state = tcb.state
    exact = seg.seq == tcb.rcv_nxt
    if not exact and conn.receive_buffer.gaps:
        exact = seg.seq == conn.receive_buffer.highest  # the peer's SND.NXT, as far as we can tell (Linux)
    if not exact and seg.seq == tcb.rcv_nxt - 1:
        exact = state in _FIN_HEARD  # some stacks reset at the FIN they sent (Linux)
    if not exact:
        challenge.send(conn, now)
        conn.drop("rst_not_exact", now)
        return
    conn.fail(EPIPE if state is CLOSE_WAIT else ECONNRESET, Cause.PEER_RESET)


def check_syn(conn: Connection, seg: Arrival, now: Micros) -> bool:
    """Fourth: a SYN in a synchronized state gets a challenge ACK, whatever its number (RFC 5961 4.2)."""
    if not seg.flags & SYN:
        return True
    _answer_syn(conn, seg, now)
    return False


def _answer_syn(conn: Connection, seg: Arrival, now: Micros) -> None:
    tcb = conn.tcb
    both = tcb.state is SYN_RECEIVED and conn.listener is None and seg.flags & ACK and seg.seq == tcb.irs
    if both and seg.end == tcb.rcv_nxt and seg.ack == tcb.snd_nxt:
        # Simultaneous open (3.5, Figure 8): the peer's SYN-ACK carries the ACK of our SYN.
        check_ack(conn, seg, now)
        conn.acking.enter_quick(16, tcb.rcv_wnd)
        conn.acking.ato = 40 * MILLISECOND
        conn.note_duplicate(tcb.irs, tcb.irs + 1)  # its SYN was here before: Linux reports it
        conn.acking.owe(why.ACK_HANDSHAKE)
        conn.mark()
        conn.predict()
        return
    mib = conn.tcp.counters.mib
    mib["TcpExtTCPSYNChallenge"] += 1
    mib["TcpInErrs"] += tcb.state is ESTABLISHED  # as Linux has it, for no state but this
    challenge.send(conn, now)


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


def take_text(conn: Connection, seg: Arrival, now: Micros) -> None:
    """Seventh: leave out what is known, then deliver what is in order and hold what is not."""
    tcb = conn.tcb
    if not seg.length:
        return
    state = tcb.state
    left, right = seg.seq, seg.seq + seg.length
    if not state.can_receive and left >= tcb.rcv_nxt:
        conn.drop("text_after_fin", now)  # 3.10.7.4: "this should not occur ... ignore the segment text"
        return
    if right > tcb.rcv_nxt and (not state.can_receive or _nobody_reads(conn)):  # across the peer's FIN, too (Linux)
        _refuse_text(conn, seg, now)
        return
    looked_at = tcb.rcv_nxt >= conn.window.tune.until
    if looked_at and state is ESTABLISHED and tcb.ts_ok and seg.options.ts_ecr:
        conn.hear_echo(seg.options.ts_ecr, seg.length, now)
    packets = conn.packets
    whole = seg.text + seg.length - seg.ip_at
    predicted = left == tcb.rcv_nxt and not seg.flags & (FIN | URG) and packets.has_spare(whole)
    if not predicted:
        conn.duplicate = None  # what no ACK has reported is old news now (Linux)
    if left < tcb.rcv_nxt:
        if right <= tcb.rcv_nxt:
            _note_retransmission(conn, left, min(seg.end, tcb.rcv_nxt))
        else:
            conn.note_duplicate(left, tcb.rcv_nxt)
        left = tcb.rcv_nxt
    edge = tcb.rcv_wup + tcb.rcv_wnd
    if right > left >= edge:
        if left == tcb.rcv_nxt:
            conn.tcp.counters.mib["TcpExtTCPZeroWindowDrop"] += 1
        else:
            conn.drop("text_at_edge", now)  # the ACK field was heard, and that is all: see `check_sequence`
        conn.acking.hurry(16, tcb.rcv_wnd)
        right = left
    if left >= right:
        conn.acking.scheduled = 2  # at once, in quick mode, but for a user who does not read (Linux)
        conn.mark()
        return
    start = seg.text + (left - seg.seq)
    if left > tcb.rcv_nxt:
        _hold(conn, seg, left, seg.data[start : start + right - left], now)
        return
    buffer, memory = conn.receive_buffer, conn.tcp.memory
    if not (predicted or memory.fits(conn, left)):
        conn.no_memory = True
        conn.acking.owe(why.ACK_NO_MEMORY)
        conn.mark()
        if buffer.ready:
            conn.tcp.counters.mib["TcpExtTCPRcvQDrop"] += 1
            conn.drop("no_memory", now)
            return
    if looked_at:
        conn.window.tune.measure(right, tcb.rcv_wnd, now)
    packets.arrives(seg.seq, right, whole)
    if left > seg.seq:
        conn.acking.overlaps(left - seg.seq, left)
    # A view keeps its whole frame in memory: only where most of that is wanted.
    most = right - left >= _VIEW and 2 * (right - left) >= seg.length
    stop = start + right - left
    data = memoryview(seg.data)[start:stop] if most else seg.data[start:stop]
    conn.deliver(data, seg.length, seg.flags & (PSH | FIN), now)
    if not packets.beyond and packets.settle() < conn.window.rcvbuf:
        packets.predicted = True


def _nobody_reads(conn: Connection) -> bool:
    state = conn.tcb.state
    return conn.user_gone or (conn.read_shut and (state is FIN_WAIT_1 or state is FIN_WAIT_2))


def _refuse_text(conn: Connection, seg: Arrival, now: Micros) -> None:
    """RFC 9293 3.6.1, RFC 1122 4.2.2.13: text for a user who is gone is answered with a RST."""
    state = conn.tcb.state
    conn.tcp.counters.mib["TcpExtTCPAbortOnData"] += state is not FIN_WAIT_2
    conn.tcp.reset_for(conn, seg.ack, now)
    conn.fail(EPIPE if state is CLOSE_WAIT else ECONNRESET, Cause.ABORT_CALLED)


def _hold(conn: Connection, seg: Arrival, left: int, data: bytes, now: Micros) -> None:
    """Text, or a FIN, beyond a gap, as long as there is memory for it."""
    tcb, tcp, buffer, packets, acking = conn.tcb, conn.tcp, conn.receive_buffer, conn.packets, conn.acking
    mib = tcp.counters.mib
    whole = seg.text + seg.length - seg.ip_at
    packets.predicted = False
    if not tcp.memory.fits(conn, left):
        mib["TcpExtTCPOFODrop"] += 1
        conn.drop("no_memory", now)
        return
    acking.measure(len(data), seg.flags & (PSH | FIN), tcb)
    mib["TcpExtTCPOFOQueue"] += 1
    fin = 1 if seg.flags & FIN else 0
    right = left + len(data) + fin
    if acking.compressed and buffer.comes_late(left, right):
        mib["TcpExtTCPAckCompressed"] += acking.compressed - 1
        acking.compressed = 0
        send_ack(conn, now)
    packet = Packet(left, right, cost_of(whole), bool(fin))
    double, merged = packets.hold(packet)
    for once in double:
        conn.extend_duplicate(*once)
    mib["TcpExtTCPOFOMerge"] += merged
    buffer.hold(left, data, fin)
    if tcb.sack_ok and conn.window.ssthresh < conn.window.clamp and double != [(left, right)]:
        conn.window.on_data(len(data), packets, acking, packet.truesize if packet in packets.beyond else 0)
    if buffer.ready + buffer.held > conn.hold_freely:
        tcp.memory.settle(conn)
    conn.grow_buffer(conn.window.tune.space)
    acking.scheduled = 2  # RFC 5681 4.2: a gap is reported at once, at first; see `AckPolicy.compress`
    conn.mark()


def check_fin(conn: Connection, seg: Arrival, now: Micros) -> None:
    """Eighth: FIN. It counts when everything before it has arrived; one that we had already is acknowledged again."""
    tcb, acking = conn.tcb, conn.acking
    fin_at = seg.seq + seg.length
    if not tcb.state.synchronized:
        return
    if fin_at < tcb.rcv_nxt:
        if not seg.length:
            _note_retransmission(conn, fin_at, fin_at + 1)
        acking.owe(why.ACK_DUPLICATE)
        conn.mark()
    elif not tcb.state.can_receive:
        conn.drop("fin_after_fin", now)
    elif fin_at > tcb.rcv_nxt and _nobody_reads(conn):
        _refuse_text(conn, seg, now)  # there was text before it
    elif fin_at > tcb.rcv_nxt:
        if seg.seq < tcb.rcv_wup + tcb.rcv_wnd:
            conn.peer_fin_at = fin_at
            if not seg.length:
                _hold(conn, seg, fin_at, b"", now)
        elif not seg.length:
            acking.hurry(16, tcb.rcv_wnd)
            acking.scheduled = 2
            conn.mark()
    else:
        conn.peer_fin_at = fin_at
        conn.take_fin(not seg.length)

