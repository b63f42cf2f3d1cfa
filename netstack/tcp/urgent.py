"""Urgent data (RFC 9293 3.8.5, RFC 6093), as Linux lets users see it: one octet out of band, and a mark in the stream.

A connection has an `Urgent` only once urgent data was sent or has arrived. The octet that the pointer names is taken
out of the stream, for recv(MSG_OOB), unless SO_OOBINLINE leaves it in line as RFC 6093 3.2 asks; reading stops at it
once, so that the user knows where it was. Pointers mean the octet before them (RFC 6093 3.1 names both readings) unless
tcp_stdurg is set.
"""

from __future__ import annotations

from errno import EAGAIN, EINVAL
from typing import TYPE_CHECKING

from netstack.tcp.readiness import READABLE
from netstack.units import Octets, Seq

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.segment import Arrival

NONE, AWAITED, HERE, READ = range(4)
"""No mark; told of, not here yet; here, to be read; read, and the mark still lies ahead of the user."""
_FAR = 0xFFFF


class Urgent:
    """What one connection knows of urgent data, in both directions."""

    __slots__ = ("octet", "seq", "snd_up", "what")

    def __init__(self) -> None:
        self.snd_up: Seq = 0
        """SND.UP: behind the last octet that the user sent as urgent."""
        self.what = NONE
        self.seq: Seq = 0
        """Where in the peer's stream the urgent octet is."""
        self.octet = b""

    def pointer(self, seq: Seq, una: Seq) -> int:
        """The urgent pointer of a segment that begins at `seq`; 0: it says nothing of urgent data."""
        ahead = self.snd_up - seq
        return min(ahead, _FAR) if ahead > 0 and self.snd_up > una else 0


def of(conn: ConnectionCore) -> Urgent:
    """The connection's, made when it is first needed."""
    if conn.urgent is None:
        conn.urgent = Urgent()
    return conn.urgent


def sending(conn: ConnectionCore) -> bool:
    """Urgent data is on its way: no segment waits for another, and none is merged with others (Linux)."""
    return conn.urgent is not None and conn.urgent.snd_up > conn.tcb.snd_una


def with_pointer(head: bytes, pointer: int, whole_sum: bool) -> bytes:
    """The header with its urgent pointer filled in; `whole_sum`: the checksum field covers it."""
    checksum = int.from_bytes(head[16:18], "big")
    if whole_sum:
        checksum = (checksum - pointer) % 0xFFFF
    return head[:16] + checksum.to_bytes(2, "big") + pointer.to_bytes(2, "big") + head[20:]


# -- receiving ---------------------------------------------------------------------------------------------------------


def copied(conn: ConnectionCore) -> Seq:
    """Up to where the user has read."""
    tcb = conn.tcb
    ended = conn.peer_fin_at is not None and conn.peer_fin_at < tcb.rcv_nxt
    return tcb.rcv_nxt - ended - conn.receive_buffer.ready


def hear(conn: ConnectionCore, seg: Arrival) -> None:
    """Sixth: a segment with URG moves the mark forward, never back (3.10.7.4)."""
    tcb = conn.tcb
    seq = seg.seq + seg.urgent - (1 if seg.urgent and not conn.tcp.config.stdurg else 0)
    if copied(conn) > seq or seq < tcb.rcv_nxt:
        return  # read already, or told of again
    urgent = of(conn)
    if urgent.what and seq <= urgent.seq:
        return
    tcb.rcv_up = seg.seq + seg.urgent
    if urgent.what and urgent.seq == copied(conn) and not conn.options.oobinline and conn.receive_buffer.ready:
        conn.receive_buffer.read(1)  # the last mark lies right ahead: that octet is not to be read as data now
    urgent.what, urgent.seq = AWAITED, seq
    conn.plain = False
    conn.notify(READABLE)


def look(conn: ConnectionCore, urgent: Urgent, seg: Arrival) -> None:
    """Is the octet in this segment's text?"""
    at = urgent.seq - seg.seq
    if urgent.what == AWAITED and 0 <= at < seg.length:
        urgent.octet = bytes(seg.data[seg.text + at : seg.text + at + 1])
        urgent.what = HERE
        conn.notify(READABLE)


def in_the_way(conn: ConnectionCore, urgent: Urgent) -> int:
    """1 when the next octet is the urgent one, which a plain read skips."""
    return 1 if urgent.what and urgent.seq == copied(conn) and not conn.options.oobinline else 0


def before_mark(conn: ConnectionCore, urgent: Urgent, limit: Octets) -> Octets:
    """How many of `limit` octets a read may take; the urgent octet, when it is next, goes out of the way first."""
    if not urgent.what:
        return limit
    buffer = conn.receive_buffer
    if buffer.ready and in_the_way(conn, urgent):
        buffer.read(1)
        passed(conn, urgent)
        return limit
    ahead = urgent.seq - copied(conn)
    return min(limit, ahead) if ahead > 0 else limit


def passed(conn: ConnectionCore, urgent: Urgent) -> None:
    """After reading: is the mark behind the user?"""
    if urgent.what and copied(conn) > urgent.seq:
        urgent.what = NONE


def receive(conn: ConnectionCore, peek: bool) -> bytes:
    """recv(MSG_OOB): the urgent octet; b"" at the end. EINVAL: none was told of, or it was read; EAGAIN."""
    urgent = conn.urgent
    if urgent is None or conn.options.oobinline or urgent.what in (NONE, READ):
        raise OSError(EINVAL, "Invalid argument")
    if urgent.what == AWAITED:
        if not conn.tcb.state.can_receive:
            return b""
        raise BlockingIOError(EAGAIN, "Resource temporarily unavailable")
    if not peek:
        urgent.what = READ
    return urgent.octet


def at_mark(conn: ConnectionCore) -> bool:
    """SIOCATMARK: the user has read up to the urgent octet, and not beyond."""
    return conn.urgent is not None and bool(conn.urgent.what) and conn.urgent.seq == copied(conn)


def readable(conn: ConnectionCore, urgent: Urgent) -> Octets:
    """What SIOCINQ tells: octets up to the mark, when there is one ahead."""
    ready = conn.receive_buffer.ready
    ahead = urgent.seq - copied(conn)
    return ahead if urgent.what and not conn.options.oobinline and 0 <= ahead < ready else ready
