"""What TCP tells those who watch. Nothing here runs while nobody does (`Tcp.events` is None).

A segment is shown when it comes, with what its connection knew, and again when it has been acted on. Of everything
else (timers, windows, buffers, round-trip times, losses) the difference is told, after each of the verbs and each call
of the user: so the code that decides has nothing to do with being watched.
"""

from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import TYPE_CHECKING, Any

from netstack.events import (
    BufferChanged,
    LossDetected,
    LossRefuted,
    RttSampled,
    SegmentReceived,
    SegmentSent,
    SegmentTaken,
    TimerArmed,
    TimerCancelled,
    TimerFired,
    WindowChanged,
    Woken,
)
from netstack.seq import unwrap
from netstack.tcp import why
from netstack.tcp.state import CLOSED
from netstack.tcp.variables import variables, without_connection
from netstack.units import Micros, Octets, Seq
from netstack.wire.tcp import HEADER, SYN

if TYPE_CHECKING:
    from netstack.events import Sink, Variables
    from netstack.tcp.connection import Connection
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.demux import Tcp
    from netstack.tcp.state import State

DELAYED_ACK, KEEPALIVE, FIN_WAIT, TIME_WAIT = "delayed-ack", "keepalive", "fin-wait-2", "time-wait"
"""Timers, beside the send side's (`timers`)."""


class Shown:
    """What was last told of a connection, so that what is different can be told."""

    __slots__ = (
        "ack_at", "ack_why", "close_at", "cwnd", "keepalive_at", "lost", "queued_to", "ready", "snd_wnd",
        "ssthresh", "taken_to", "timer", "timer_at",
    )  # fmt: skip

    def __init__(self, conn: ConnectionCore) -> None:
        recovery = conn.recovery
        self.cwnd, self.ssthresh, self.snd_wnd = recovery.cc.cwnd, recovery.cc.ssthresh, conn.tcb.snd_wnd
        self.queued_to, self.taken_to = conn.send_buffer.end, conn.send_buffer.start
        self.ready = conn.receive_buffer.ready
        self.timer, self.timer_at = conn.timer, conn.timer_at
        self.ack_at, self.keepalive_at, self.close_at = conn.acking.at, conn.keepalive_at, conn.close_at
        self.lost = recovery.found
        """How the last loss was found, for what is sent again because of it."""
        self.ack_why = ""
        """While the connection transmits: why it would send an ACK of its own."""
        conn.rtt.latest = 0
        recovery.lost_at = -1
        recovery.refuted = ""
        conn.acking.reason = ""


def shown_of(conn: ConnectionCore) -> Shown:
    """What was told of `conn`; from its beginning, or from when somebody began to watch."""
    if conn.shown is None:
        conn.shown = Shown(conn)
    return conn.shown


# -- segments ----------------------------------------------------------------------------------------------------------


def segment(
    conn: Connection, frame: bytes, ip_at: int, at: int, text: int, end: int, wire_seq: int, wire_ack: int, flags: int,
    window: int, urgent: int, now: Micros,
) -> None:  # fmt: skip
    """`Connection.on_segment`, shown."""
    tcb, tcp = conn.tcb, conn.tcp
    changes(conn, now)
    before = variables(conn)
    seq, ack = unwrap(wire_seq, tcb.rcv_nxt), unwrap(wire_ack, tcb.snd_una)
    wnd = window if flags & SYN else window << tcb.snd_wscale
    _tell(tcp, SegmentReceived(now, conn.key, seq, ack, flags, wnd, end - text, before))
    conn.on_segment(frame, ip_at, at, text, end, wire_seq, wire_ack, flags, window, urgent, now)
    changes(conn, now)
    _tell(tcp, SegmentTaken(now, conn.key, before, variables(conn)))


def stray(
    tcp: Tcp, act: Callable[[], None], key: bytes, before: Variables, seq: int, ack: int, flags: int, window: int,
    length: Octets, now: Micros,
) -> None:  # fmt: skip
    """A segment for a listener, for nobody, or for what waits in TIME-WAIT; `act` does what is to be done with it."""
    if before.state.synchronized:
        seq, ack = unwrap(seq, before.rcv_nxt), unwrap(ack, before.snd_nxt)
    _tell(tcp, SegmentReceived(now, key, seq, ack, flags, window, length, before))
    act()
    conn: Any = tcp.connections.get(key)
    after = before
    if conn is None:
        after = without_connection(CLOSED) if before.state.synchronized else before
    elif hasattr(conn, "recovery"):
        changes(conn, now)
        after = variables(conn)
    _tell(tcp, SegmentTaken(now, key, before, after))


def sent(conn: ConnectionCore, seq: Seq, flags: int, wnd: Octets, length: Octets, rule: str, now: Micros) -> None:
    """A segment leaves."""
    if rule == why.ACK:
        rule = shown_of(conn).ack_why or why.ACK
    elif rule == why.RETRANSMISSION:
        rule = f"{rule}: {conn.recovery.found or shown_of(conn).lost or why.RTO}"
    _tell(conn.tcp, SegmentSent(now, conn.key, seq, conn.tcb.rcv_nxt, flags, wnd, length, rule, variables(conn)))


def sent_without_connection(tell: Sink, pair: bytes, head: bytes, rule: str, state: State, now: Micros) -> None:
    """A segment that belongs to no connection leaves, in answer to one from `pair`."""
    ours, theirs, seq, ack, offset_flags, window, _, _ = HEADER.unpack_from(head)
    key = pair + theirs.to_bytes(2, "big") + ours.to_bytes(2, "big")
    after = without_connection(state)
    tell(SegmentSent(now, key, seq, ack, offset_flags & 0x1FF, window, 0, rule, after))


def transmit(conn: ConnectionCore, now: Micros) -> None:
    """`ConnectionCore.transmit`, shown."""
    changes(conn, now)
    shown_of(conn).ack_why = why_acked(conn)
    conn.transmit(now)
    conn.acking.reason = ""
    changes(conn, now)


def why_acked(conn: ConnectionCore) -> str:
    """Why the connection would now send an ACK that nothing carries, in the order of `AckPolicy`."""
    acking, tcb = conn.acking, conn.tcb
    if acking.reason:
        return acking.reason
    if acking.due:
        return why.ACK_READ
    if tcb.rcv_nxt - tcb.rcv_wup > acking.rcv_mss:
        return why.ACK_SECOND
    if conn.receive_buffer.gaps:
        return why.ACK_GAP
    if conn.peer_fin_at is not None and tcb.rcv_nxt - tcb.rcv_wup == 1:
        return why.ACK_FIN
    return why.ACK_QUICK if (acking.quick and not acking.pingpong) or not acking.ato else why.ACK_DELAYED


# -- what is different -------------------------------------------------------------------------------------------------


def changes(conn: ConnectionCore, now: Micros) -> None:
    """Tell what has changed since this was called last."""
    tell = conn.tcp.events
    if tell is None:
        return
    shown = conn.shown
    if shown is None:
        conn.shown = Shown(conn)
        return
    recovery, send, acking = conn.recovery, conn.send_buffer, conn.acking
    if conn.rtt.latest or recovery.lost_at >= 0 or recovery.refuted:
        _losses(conn, shown, tell, now)
    cc, snd_wnd = recovery.cc, conn.tcb.snd_wnd
    if cc.cwnd != shown.cwnd or cc.ssthresh != shown.ssthresh or snd_wnd != shown.snd_wnd:
        shown.cwnd, shown.ssthresh, shown.snd_wnd = cc.cwnd, cc.ssthresh, snd_wnd
        tell(WindowChanged(now, conn.key, cc.cwnd, cc.ssthresh, snd_wnd))
    if send.end != shown.queued_to or send.start != shown.taken_to or conn.receive_buffer.ready != shown.ready:
        _buffers(conn, shown, tell, now)
    if conn.timer_at != shown.timer_at or conn.timer != shown.timer or acking.at != shown.ack_at:
        _timers(conn, shown, tell, now)
    if conn.keepalive_at != shown.keepalive_at or conn.close_at != shown.close_at:
        _rare_timers(conn, shown, tell, now)


def _losses(conn: ConnectionCore, shown: Shown, tell: Sink, now: Micros) -> None:
    recovery, rtt = conn.recovery, conn.rtt
    if rtt.latest:
        tell(RttSampled(now, conn.key, rtt.latest, rtt.srtt, rtt.rttvar, rtt.rto))
        rtt.latest = 0
    if recovery.refuted:
        tell(LossRefuted(now, conn.key, recovery.refuted))
        recovery.refuted = ""
    if recovery.lost_at >= 0:
        shown.lost = recovery.found
        tell(LossDetected(now, conn.key, recovery.found, recovery.lost_at))
        recovery.lost_at = -1


def _buffers(conn: ConnectionCore, shown: Shown, tell: Sink, now: Micros) -> None:
    send, ready = conn.send_buffer, conn.receive_buffer.ready
    if send.end != shown.queued_to:
        change, shown.queued_to = send.end - shown.queued_to, send.end
        tell(BufferChanged(now, conn.key, "send", change, send.end - shown.taken_to))
    if send.start != shown.taken_to:
        change, shown.taken_to = shown.taken_to - send.start, send.start
        tell(BufferChanged(now, conn.key, "send", change, len(send)))
    if ready != shown.ready:
        change, shown.ready = ready - shown.ready, ready
        tell(BufferChanged(now, conn.key, "receive", change, ready))


def _timers(conn: ConnectionCore, shown: Shown, tell: Sink, now: Micros) -> None:
    if conn.timer_at != shown.timer_at or conn.timer != shown.timer:
        if shown.timer_at and (not conn.timer_at or conn.timer != shown.timer):
            tell(TimerCancelled(now, conn.key, shown.timer))
        if conn.timer_at:
            tell(TimerArmed(now, conn.key, conn.timer, conn.timer_at))
        shown.timer, shown.timer_at = conn.timer, conn.timer_at
    if conn.acking.at != shown.ack_at:
        shown.ack_at = conn.acking.at
        _timer(conn, DELAYED_ACK, shown.ack_at, tell, now)


def _rare_timers(conn: ConnectionCore, shown: Shown, tell: Sink, now: Micros) -> None:
    if conn.keepalive_at != shown.keepalive_at:
        shown.keepalive_at = conn.keepalive_at
        _timer(conn, KEEPALIVE, shown.keepalive_at, tell, now)
    if conn.close_at != shown.close_at:
        shown.close_at = conn.close_at
        _timer(conn, FIN_WAIT, shown.close_at, tell, now)


def _timer(conn: ConnectionCore, name: str, at: Micros, tell: Sink, now: Micros) -> None:
    tell(TimerArmed(now, conn.key, name, at) if at else TimerCancelled(now, conn.key, name))


def fired(conn: ConnectionCore, name: str, now: Micros) -> None:
    """A deadline of `conn` is reached, and what follows from it comes next."""
    changes(conn, now)
    shown = shown_of(conn)
    if name == DELAYED_ACK:
        shown.ack_at = 0
    elif name == KEEPALIVE:
        shown.keepalive_at = 0
    elif name == FIN_WAIT:
        shown.close_at = 0
    else:
        shown.timer_at = 0
    _tell(conn.tcp, TimerFired(now, conn.key, name))


# -- users -------------------------------------------------------------------------------------------------------------


def woken(tcp: Tcp, who: Any, ready: int, now: Micros) -> None:
    """The observer of a connection or a listener is about to be called."""
    if hasattr(who, "key"):
        changes(who, now)
        observer = who.observer
        if isinstance(observer, partial):  # a transport's, run in its context
            observer = observer.args[0]
        user = getattr(observer, "__self__", observer)
        _tell(tcp, Woken(now, who.key, ready, getattr(user, "woken", "observer")))
    else:
        _tell(tcp, Woken(now, (who.address, who.port), ready, "listener"))


def _tell(tcp: Tcp, event: Any) -> None:
    """To whoever still watches: a sink may have left in the middle of what it was told of."""
    if tcp.events is not None:
        tcp.events(event)
