"""How much more a user may queue for sending, and when to say that there is room (SO_SNDBUF, TCP_NOTSENT_LOWAT)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.tcp.chrono import SNDBUF_LIMITED
from netstack.tcp.readiness import WRITABLE
from netstack.units import Micros, Octets

_WHOLE: Octets = 65_535 - 320
"""What a super-segment holds at most, headers apart."""
_SMALL_WINDOW: Octets = 536
"""Of a window as small as this a segment may be all, of a larger one half (Linux)."""

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


def room(conn: ConnectionCore) -> Octets:
    """Octets that may be queued now."""
    queued = len(conn.send_buffer)
    space = limit(conn) - queued
    share = conn.tcp.memory.room(conn) if conn.tcp.memory.pressed else space
    if space <= 0 or share <= 0:
        return 0
    lowat = low_water(conn)
    if conn.options.sndbuf or lowat < queued + space:
        # As Linux, which looks each time it begins another super-segment, and fills each one.
        waiting, whole = unsent(conn), super_segment(conn)
        if waiting >= lowat:
            return 0
        if conn.options.sndbuf:
            space = _filled(space, waiting, whole, _sendable(conn))
        if lowat < queued + space:
            space = min(space, _sendable(conn) + -(-lowat // whole) * whole - waiting)
    return min(space, share) if conn.tcp.memory.pressed else space


def super_segment(conn: ConnectionCore) -> Octets:
    """What Linux puts into one piece of its queue: whole segments, up to half the largest window the peer offered."""
    most, mss = conn.tcb.max_snd_wnd, conn.send_mss
    most = min(_WHOLE, most >> 1 if most > _SMALL_WINDOW else most)
    return max(most // mss, 1) * mss


def _filled(space: Octets, waiting: Octets, whole: Octets, sendable: Octets) -> Octets:
    """`space`, in super-segments: the last one begun is filled, once more when part of it leaves on the way."""
    tail = -waiting % whole
    total = tail + max(-(-(space - tail) // whole), 0) * whole
    leaves = sendable - (total - whole)
    return total + (leaves if 0 < leaves < whole else 0)


def _sendable(conn: ConnectionCore) -> Octets:
    """Octets that would leave at once if they were queued: cwnd and the peer's window have room for them."""
    tcb, recovery = conn.tcb, conn.recovery
    if not tcb.state.synchronized or conn.fin_queued:
        return 0
    quota = recovery.cc.cwnd - recovery.scoreboard.in_flight()
    return max(0, min(quota * conn.send_mss, tcb.snd_una + tcb.snd_wnd - tcb.snd_nxt) - unsent(conn))


def writable(conn: ConnectionCore) -> bool:
    """Whether poll says so: a third of the send buffer is free, and less than half of the low water mark waits (Linux).

    Less than that may be queued all the same.
    """
    return 3 * len(conn.send_buffer) <= 2 * limit(conn) and 2 * unsent(conn) < low_water(conn)


def feed(conn: ConnectionCore, now: Micros) -> None:
    """The user was refused and waits: octets were acknowledged, or left. Tell when it is writable again."""
    if writable(conn):
        conn.starved = False
        conn.chrono.stop(SNDBUF_LIMITED, now)
        conn.notify(WRITABLE)
