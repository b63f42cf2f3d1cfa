"""Segment text and FIN: the seventh and eighth check of RFC 9293 3.10.7.4."""

from __future__ import annotations

from errno import ECONNRESET, EPIPE
from typing import TYPE_CHECKING

from netstack.tcp import why
from netstack.tcp.emit import send_ack
from netstack.tcp.packets import Packet, cost_of
from netstack.tcp.segment import Arrival
from netstack.tcp.state import CLOSE_WAIT, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, Cause
from netstack.units import Micros
from netstack.wire.tcp import FIN, PSH, URG

if TYPE_CHECKING:
    from netstack.tcp.connection import Connection

_VIEW: int = 8192
"""Text at least this long is kept as a view of its frame; shorter text is copied, so that it pins no frame."""


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
            note_retransmission(conn, left, min(seg.end, tcb.rcv_nxt))
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
            note_retransmission(conn, fin_at, fin_at + 1)
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


def note_retransmission(conn: Connection, left: int, right: int) -> None:
    """Text that we had already: our ACK was lost or late. Report it (RFC 2883), and ACK quickly for a while."""
    conn.tcp.counters.mib["TcpExtDelayedACKLost"] += 1
    conn.acking.hurry(16, conn.tcb.rcv_wnd)
    conn.note_duplicate(left, right)
