"""How much more a user may queue for sending, and when to say that there is room (SO_SNDBUF, TCP_NOTSENT_LOWAT)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.tcp.chrono import SNDBUF_LIMITED
from netstack.tcp.readiness import WRITABLE
from netstack.tcp.super_segment import burst
from netstack.units import Micros, Octets, Seq

_OVERHEAD: Octets = 832
"""What a piece weighs beside its octets: Linux's struct sk_buff, its end, and room for headers."""

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore


def limit(conn: ConnectionCore) -> Octets:
    """The send buffer's size: SO_SNDBUF, or twice cwnd (BBR: three times), within tcp_wmem (Linux's auto-tuning).

    It never becomes smaller: what a loss leaves unacknowledged takes room just when cwnd is reduced, and new data must
    be there for recovery to send. Under memory pressure it does not become larger either.
    """
    if conn.options.sndbuf:
        return conn.options.sndbuf
    _, default, most = conn.tcp.config.wmem
    cc = conn.recovery.cc
    wanted = min(max(default, cc.sndbuf_expand * cc.cwnd * conn.tcb.smss), most)
    buffer = conn.send_buffer
    if wanted > buffer.grown and not (buffer.grown and conn.tcp.memory.pressed):
        buffer.grown = wanted
    return buffer.grown


def low_water(conn: ConnectionCore) -> Octets:
    """TCP_NOTSENT_LOWAT, or the stack's: with so much not sent yet nothing more is taken."""
    return conn.options.notsent_lowat or conn.tcp.config.notsent_lowat


def unsent(conn: ConnectionCore) -> Octets:
    """Octets that have never left."""
    buffer = conn.send_buffer
    return buffer.end - max(conn.tcb.snd_nxt, buffer.start)


def weight(conn: ConnectionCore) -> Octets:
    """What the send buffer counts as: with SO_SNDBUF each piece, sent or not, weighs more than its octets (Linux)."""
    queued = len(conn.send_buffer)
    if not conn.options.sndbuf:
        return queued
    pieces = len(conn.recovery.scoreboard.records) + len(conn.pieces)
    if conn.send_buffer.end > _begins(conn):
        pieces += 1
    return queued + pieces * _OVERHEAD


def _begins(conn: ConnectionCore) -> Seq:
    """Where the open piece begins."""
    return max(conn.pieces[-1].end if conn.pieces else conn.send_buffer.start, conn.tcb.snd_nxt)


def room(conn: ConnectionCore) -> Octets:
    """Octets that may be queued now."""
    most, lowat = limit(conn), low_water(conn)
    if conn.options.sndbuf or lowat < most:
        space = _copied(conn, most, lowat)
    else:
        space = max(most - len(conn.send_buffer), 0)
    return max(min(space, conn.tcp.memory.room(conn)), 0) if conn.tcp.memory.pressed else space


def _copied(conn: ConnectionCore, most: Octets, lowat: Octets) -> Octets:
    """How many octets of an endless write Linux would copy before it waits: as `write_queue.cut`, ahead of time.

    It asks whether there is room before each piece, and fills every piece that it began; what is full leaves on the
    way, as far as it may, and the piece that it leaves is filled up again.
    """
    tcb, full, mss = conn.tcb, conn.size_goal, conn.send_mss
    overhead = _OVERHEAD if conn.options.sndbuf else 0
    sent, copied, half = max(tcb.snd_nxt, conn.send_buffer.start), conn.send_buffer.end, tcb.max_snd_wnd >> 1
    begins, pushed, heavy = _begins(conn), conn.pushed_to if conn.more else copied, weight(conn)
    edge, quota = sent, 0
    if tcb.state.synchronized and not conn.fin_queued:
        edge, quota = tcb.snd_una + tcb.snd_wnd, conn.recovery.cc.cwnd - conn.recovery.scoreboard.in_flight()
    at_once = burst(conn, mss)
    if conn.marked:  # what was written before leaves in this turn; Linux would have sent it
        sent = min(copied, sent + quota * mss, max(edge, sent))
        quota -= -(-(sent - tcb.snd_nxt) // mss)
        begins = max(begins, sent)
    while True:
        room = full - (copied - begins) if copied > begins else 0
        if room <= 0:
            if heavy >= most or copied - sent >= lowat:
                return copied - conn.send_buffer.end
            begins, room = copied, full
            heavy += overhead
        copied += room
        heavy += room
        waits = copied - sent
        if copied - pushed > half:
            pushed = copied
        elif sent < begins:
            continue
        else:
            waits = min(waits, at_once * mss)
        while waits > 0 and quota > 0 and sent + min(mss, waits) <= edge:
            leaves = min(waits, min(at_once, quota) * mss, edge - sent)
            sent += leaves
            waits -= leaves
            quota -= -(-leaves // mss)
            heavy += overhead if sent < copied else 0
        begins = max(begins, sent)


def writable(conn: ConnectionCore) -> bool:
    """Whether poll says so: a third of the send buffer is free, and less than half of the low water mark waits (Linux).

    Less than that may be queued all the same.
    """
    return 3 * weight(conn) <= 2 * limit(conn) and 2 * unsent(conn) < low_water(conn)


def feed(conn: ConnectionCore, now: Micros) -> None:
    """The user was refused and waits: octets were acknowledged, or left. Tell when it is writable again."""
    if writable(conn):
        conn.starved = False
        conn.chrono.stop(SNDBUF_LIMITED, now)
        conn.notify(WRITABLE)
