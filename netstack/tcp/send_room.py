"""How much more a user may queue for sending, and when to say that there is room (SO_SNDBUF, TCP_NOTSENT_LOWAT)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.tcp.chrono import SNDBUF_LIMITED
from netstack.tcp.readiness import WRITABLE
from netstack.units import Micros, Octets

_WHOLE: Octets = 65_000
"""About what a super-segment holds."""

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore


def limit(conn: ConnectionCore) -> Octets:
    """The send buffer's size: SO_SNDBUF, or what keeps twice cwnd, within tcp_wmem (Linux's auto-tuning).

    It never becomes smaller: what a loss leaves unacknowledged takes room just when cwnd is reduced, and new data must
    be there for recovery to send. Under memory pressure it does not become larger either.
    """
    if conn.options.sndbuf:
        return conn.options.sndbuf
    _, default, most = conn.tcp.config.wmem
    wanted = min(max(default, 2 * conn.recovery.cc.cwnd * conn.tcb.smss), most)
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
    if conn.tcp.memory.pressed:
        space = min(space, conn.tcp.memory.room(conn))
    if space <= 0:
        return 0
    lowat = low_water(conn)
    if lowat < queued + space:
        waiting = unsent(conn)
        if waiting >= lowat:
            return 0
        # As Linux, which looks each time it begins another super-segment.
        whole = max(_WHOLE // conn.send_mss, 1) * conn.send_mss
        space = min(space, -(-(lowat - waiting) // whole) * whole)
    return space


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
