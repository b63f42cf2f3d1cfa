"""FIN-WAIT-2 without a user: nobody is left to read, so a FIN is all that may come (RFC 9293 3.6.1, RFC 1122 4.2.2.13).

Deviation: Linux keeps no more of such a connection than of one in TIME-WAIT. So the rules are few: the ACK field is not
looked at, a RST anywhere in the window ends it, text or a SYN in the window is answered with a RST and ends it too.
"""

from __future__ import annotations

from errno import ECONNRESET
from typing import TYPE_CHECKING

from netstack.seq import MASK
from netstack.tcp import challenge, half_open, why
from netstack.tcp.closed import answer
from netstack.tcp.state import Cause
from netstack.tcp.timewait import TimeWait
from netstack.units import Micros
from netstack.wire.tcp import ACK, FIN, RST, SYN

if TYPE_CHECKING:
    from netstack.tcp.connection import Connection
    from netstack.tcp.segment import Arrival


def segment_arrives(conn: Connection, seg: Arrival, now: Micros) -> None:
    """What is outside the window is acknowledged, be it a RST; in it only a FIN is welcome."""
    tcb, flags = conn.tcb, seg.flags
    conn.receive_buffer.prune()  # what lies beyond gaps will never be read
    conn.packets.forget_beyond()
    if half_open.is_old(conn, seg, now) or not half_open.in_window(conn, seg):
        conn.drop("unacceptable", now)
        if (seg.seq < seg.end and not flags & SYN) or not challenge.too_soon(conn, now, "TcpExtTCPACKSkippedFinWait2"):
            conn.acking.owe(why.ACK_UNACCEPTABLE)
            conn.mark()
    elif flags & RST:
        conn.fail(ECONNRESET, Cause.PEER_RESET)
    elif flags & SYN and seg.seq >= tcb.rcv_nxt:
        _reset(conn, seg)
    elif not flags & ACK or seg.end <= tcb.rcv_nxt or seg.end == seg.seq:
        conn.drop("nobody_reads", now)
    elif flags & FIN and seg.end == tcb.rcv_nxt + 1:
        if tcb.ts_ok and seg.options.ts_val is not None:
            tcb.ts_recent = seg.options.ts_val
        conn.peer_fin_at = tcb.rcv_nxt
        conn.take_fin(orphan=True)
        wait = conn.tcp.connections.get(conn.key)
        if isinstance(wait, TimeWait):
            wait.continues(conn)
    else:
        _reset(conn, seg)


def _reset(conn: Connection, seg: Arrival) -> None:
    head = answer(conn.ports, seg.seq & MASK, seg.ack & MASK, seg.flags, seg.length)
    if head is not None:
        conn.tcp.reply(conn.key[:-4], head)
    conn.fail(ECONNRESET, Cause.ABORT_CALLED)
