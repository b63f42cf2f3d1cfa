"""A segment in SYN-RECEIVED or a synchronized state: the numbered checks of RFC 9293 3.10.7.4, in order.

| step | rule | where |
|------|------|-------|
| first   | sequence number acceptable? PAWS first (RFC 7323 5.3 R1) | `check_sequence`, `check_paws` |
| second  | RST (RFC 5961 3.2: only at RCV.NXT exactly; elsewhere in the window a challenge) | `check_reset` |
| third   | security: not implemented by anybody | |
| fourth  | SYN (RFC 5961 4.2: always a challenge) | `check_syn` |
| fifth   | ACK: opens SYN-RECEIVED, moves SND.UNA and the window (RFC 5961 5.2) | `arrive_ack.check_ack` |
| sixth   | URG (RFC 6093: octets stay in line) | `urgent.hear` |
| seventh | segment text | `arrive_text.take_text` |
| eighth  | FIN | `arrive_text.check_fin` |

`Connection.on_segment` predicts the common segment and skips all this; the path here is complete without it.
"""

from __future__ import annotations

from errno import ECONNRESET, EPIPE
from typing import TYPE_CHECKING

from netstack.tcp import challenge, half_open, orphan, urgent, why
from netstack.tcp.arrive_ack import PAWS_IDLE, check_ack
from netstack.tcp.arrive_text import check_fin, note_retransmission, take_text
from netstack.tcp.segment import Arrival
from netstack.tcp.state import (
    CLOSE_WAIT,
    CLOSING,
    ESTABLISHED,
    LAST_ACK,
    SYN_RECEIVED,
    Cause,
)
from netstack.units import MILLISECOND, Micros
from netstack.wire.tcp import ACK, FIN, RST, SYN, URG

if TYPE_CHECKING:
    from netstack.tcp.connection import Connection

_FIN_HEARD = (CLOSE_WAIT, LAST_ACK, CLOSING)


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
    if seg.flags & RST or now - tcb.ts_recent_at >= PAWS_IDLE or _is_reordered_ack(conn, seg, behind):
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
        note_retransmission(conn, seg.seq, known)
    challenge.answer_unacceptable(conn, seg, now, counter)


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
