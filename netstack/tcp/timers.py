"""Deadlines: the queue that finds the earliest one of all connections, and what each of a connection's means.

A connection stores deadlines as ints and re-arms by storing another. An entry that comes due too early is put back at
the connection's real deadline; stale ones are thrown out once they are the majority.
"""

from __future__ import annotations

from errno import ETIMEDOUT
from heapq import heapify, heappop, heappush
from itertools import count
from typing import TYPE_CHECKING

from netstack.tcp import fast_open_client, mtu_probe, output, report, resend, why
from netstack.tcp.congestion import INFINITE
from netstack.tcp.rto import in_ticks
from netstack.tcp.state import (
    CLOSED,
    ESTABLISHED,
    FIN_WAIT_2,
    SYN_RECEIVED,
    SYN_SENT,
    Cause,
)
from netstack.tcp.timer_kind import LOSS_PROBE, REORDER, RETRANSMIT, WINDOW_PROBE
from netstack.units import MILLISECOND, Micros

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore

NEVER: Micros = 1 << 62

_LEAST = 64
_THIN, _THIN_TIMEOUTS = 4, 6
"""A thin flow has fewer segments out, and is patient after so many timeouts (Linux)."""


class TimerQueue:
    """A heap of (deadline, connection), lazily kept."""

    __slots__ = ("_heap", "_limit", "_order")

    def __init__(self) -> None:
        self._heap: list[tuple[Micros, int, ConnectionCore]] = []
        self._order = count()
        self._limit = _LEAST
        """Entries from which the stale ones are looked for: twice those that were not, last time."""

    def arm(self, conn: ConnectionCore, at: Micros) -> None:
        """Wake `conn` at `at`; the caller has seen that this is earlier than `conn.wake_at`."""
        conn.wake_at = at
        heappush(self._heap, (at, next(self._order), conn))
        if len(self._heap) > self._limit:
            self._prune()

    def _prune(self) -> None:
        """Keep one entry for each connection that has a deadline: a stale one may be due in hours (keepalive)."""
        heap = self._heap
        live = {conn: (at, n, conn) for at, n, conn in heap if at == conn.wake_at and conn.tcb.state is not CLOSED}
        heap[:] = live.values()
        heapify(heap)
        self._limit = max(2 * len(heap), _LEAST)

    def glance(self) -> Micros | None:
        """The earliest entry as it stands: never late, maybe stale, which costs one early and harmless `expire`.

        Each segment moves its connection's deadline, so a driver that asked for the exact one after every batch would
        put as many entries right as it had segments.
        """
        return self._heap[0][0] if self._heap else None

    def deadline(self) -> Micros | None:
        """The earliest deadline, stale entries put right."""
        heap = self._heap
        while heap:
            at, _, conn = heap[0]
            if at == conn.wake_at and conn.tcb.state is not CLOSED:
                real = conn.deadline()
                if real == at:
                    return at
                heappop(heap)
                conn.wake_at = NEVER
                if real < NEVER:
                    self.arm(conn, real)
            else:
                heappop(heap)
        return None

    def expire(self, now: Micros) -> None:
        """Let every connection whose deadline is reached act on it."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            at, _, conn = heappop(heap)
            if at != conn.wake_at:
                continue
            conn.wake_at = NEVER
            if conn.tcb.state is CLOSED:
                continue
            expire(conn, now)
            if conn.tcb.state is not CLOSED:
                real = conn.deadline()
                if real < conn.wake_at:
                    self.arm(conn, real)


def expire(conn: ConnectionCore, now: Micros) -> None:
    """Act on every deadline of `conn` that is reached."""
    acking, watched = conn.acking, conn.tcp.events is not None
    if acking.at and now >= acking.at:
        if watched:
            report.fired(conn, report.DELAYED_ACK, now)
        if acking.on_timer(conn.rtt.rto, conn.tcp.config):
            conn.tcp.counters.mib["TcpExtDelayedACKs"] += 1
        if acking.due:
            conn.mark()
    if conn.timer_at and now >= conn.timer_at:
        kind = conn.timer
        if watched:
            report.fired(conn, kind, now)
        conn.timer_at = 0
        _FIRED[kind](conn, now)
    if conn.pace_at and now >= conn.pace_at:
        conn.pace_at = 0
        conn.mark()
    if conn.keepalive_at and now >= conn.keepalive_at and conn.tcb.state is not CLOSED:
        if watched:
            report.fired(conn, report.KEEPALIVE, now)
        _keepalive(conn, now)
    if conn.close_at and now >= conn.close_at and conn.tcb.state is FIN_WAIT_2:
        if watched:
            report.fired(conn, report.FIN_WAIT, now)
        conn.close_at = 0
        conn.move(Cause.FIN_WAIT_TIMED_OUT)
        conn.finish()
    if watched:
        report.changes(conn, now)


def _retransmission_timeout(conn: ConnectionCore, now: Micros) -> None:
    """RFC 6298 5.4-5.6: back off, mark what is outstanding lost, let `output` send the first of it."""
    recovery, config = conn.recovery, conn.tcp.config
    fast = conn.fast_open
    if fast is not None and fast.speaking:
        conn.on_syn_ack_timeout(now)
        return
    if not recovery.scoreboard.records:
        return
    state = conn.tcb.state
    if state is SYN_RECEIVED and conn.listener is not None:
        conn.listener.syn_queue.on_timeout(conn, conn.listener.backlog, config, now)
        return
    mib = conn.tcp.counters.mib
    mib["TcpExtTCPTimeouts"] += 1
    if not recovery.timeouts and state is not SYN_SENT:
        recovery.stalled_since = now
    if conn.orphaned and _too_many_orphans(conn, now):
        return
    given_up = _given_up(conn, now)
    if fast is not None:
        fast_open_client.on_timeout(conn, fast, given_up, now)
    if given_up:
        mib["TcpExtTCPAbortOnTimeout"] += 1
        conn.fail(conn.soft_error or ETIMEDOUT, Cause.TIMED_OUT)
        return
    probe = conn.mtu_probe
    patience = _backoff_time(config.retries1, config.rto_min, config.rto_max)
    if probe is not None and recovery.timeouts and _timed_out(conn, patience, now):
        mtu_probe.black_hole(conn, probe, now)
    if state is SYN_SENT or state is SYN_RECEIVED:
        recovery.note_timeout(now)
        recovery.found, recovery.lost_at = why.RTO, conn.tcb.iss
        recovery.cwr_due = True
        conn.syn_due = True
        board = recovery.scoreboard
        board.retransmissions_lost += board.records[0].times > 0
        board.records[0].times += 1
        if recovery.retrans_stamp < 0:
            recovery.retrans_stamp = now
    else:
        recovery.on_timeout(now)
        conn.plain = False
    if _is_thin(conn):
        conn.rtt.backoff = 0
    elif state is not SYN_SENT or recovery.timeouts > config.syn_linear_timeouts:
        conn.rtt.backoff += 1
    conn.start_timer(RETRANSMIT, _next_timeout(conn, now))
    conn.mark()


def _is_thin(conn: ConnectionCore) -> bool:
    """A flow too small for duplicate ACKs, whose user would rather wait less: no back-off at first, as Linux offers."""
    if not (conn.options.thin or conn.tcp.config.thin_linear_timeouts) or conn.tcb.state is not ESTABLISHED:
        return False
    recovery = conn.recovery
    small = recovery.scoreboard.packets_out < _THIN and recovery.cc.ssthresh < INFINITE
    return small and recovery.timeouts <= _THIN_TIMEOUTS


def _next_timeout(conn: ConnectionCore, now: Micros) -> Micros:
    """When the timer fires again: after the RTO, or sooner when the user's patience (TCP_USER_TIMEOUT) ends first."""
    at, limit = now + conn.rtt.timeout(), conn.options.user_timeout
    if not limit:
        return at
    return min(at, max(conn.recovery.stalled_since + limit, now + 1))


def _given_up(conn: ConnectionCore, now: Micros) -> bool:
    """RFC 9293 3.8.3: R2 reached, in retransmissions for a SYN, in time for data (as Linux models it)."""
    config, recovery = conn.tcp.config, conn.recovery
    state = conn.tcb.state
    if state is SYN_SENT or state is SYN_RECEIVED:
        retries = conn.options.syncnt or config.syn_retries
        most = retries + config.syn_linear_timeouts if state is SYN_SENT else retries
        limit = conn.options.user_timeout or _backoff_time(retries, config.initial_rto, conn.rtt.rto_max)
        return recovery.timeouts >= most or (recovery.timeouts > 0 and _timed_out(conn, limit, now))
    retries = config.retries2
    if conn.user_gone:
        retries = config.orphan_retries if conn.rtt.timeout() < conn.rtt.rto_max else 0
        if not retries:
            return True
    if not recovery.timeouts:
        return False
    limit = conn.options.user_timeout or _backoff_time(retries, config.rto_min, conn.rtt.rto_max)
    return _timed_out(conn, limit, now)


def _too_many_orphans(conn: ConnectionCore, now: Micros) -> bool:
    """Memory is short, or there are too many connections without a user: this one, which does not get on, is reset."""
    if not conn.tcp.memory.too_many(conn, now):
        return False
    conn.tcp.counters.mib["TcpExtTCPAbortOnMemory"] += 1
    conn.abort()
    return True


def _timed_out(conn: ConnectionCore, limit: Micros, now: Micros) -> bool:
    return now - conn.recovery.stalled_since >= limit


def _backoff_time(retries: int, base: Micros, most: Micros) -> Micros:
    """How long `retries` doublings from `base`, each at most `most`, take."""
    total, step = 0, base
    for _ in range(retries + 1):
        total += step
        step = min(step * 2, most)
    return total


def _reorder(conn: ConnectionCore, now: Micros) -> None:
    if conn.recovery.scoreboard.records:
        conn.resume_timer(now)
    if conn.recovery.on_reorder_timer(now):
        conn.plain = False
        conn.recovery.only_again = True
        conn.mark()


def _loss_probe(conn: ConnectionCore, now: Micros) -> None:
    """RFC 8985 7.3: one probe, new data if there is any, to draw out the ACK that tells of a tail loss."""
    if not conn.recovery.scoreboard.records:
        return
    since = now if resend.send_loss_probe(conn, now) else conn.recovery.scoreboard.records[0].sent_at
    conn.start_timer(RETRANSMIT, max(since + conn.rtt.timeout(), now + 1))


def _window_probe(conn: ConnectionCore, now: Micros) -> None:
    """RFC 9293 3.8.6.1: the peer's window is closed (or a small segment is held back): ask, with back-off, for ever
    as long as the peer answers."""
    config = conn.tcp.config
    if conn.recovery.scoreboard.records or not output.unsent(conn):
        conn.probes_out = conn.probe_backoff = 0
        return
    if conn.probes_since < 0:
        conn.probes_since = now
    limit = conn.options.user_timeout
    most = config.retries2
    if conn.user_gone:
        most = config.orphan_retries
        if conn.orphaned and _too_many_orphans(conn, now):
            return
    if conn.probes_out >= most or (limit and now - conn.probes_since >= limit):
        conn.tcp.counters.mib["TcpExtTCPAbortOnTimeout"] += 1
        conn.fail(conn.soft_error or ETIMEDOUT, Cause.TIMED_OUT)
        return
    resend.send_window_probe(conn, now)
    if conn.recovery.scoreboard.records:
        conn.probes_out = conn.probe_backoff = 0
        return
    conn.probes_out += 1
    if conn.probe_backoff < config.retries2:
        conn.probe_backoff += 1
    at = now + probe_interval(conn)
    conn.start_timer(WINDOW_PROBE, min(at, conn.probes_since + limit) if limit else at)


def probe_interval(conn: ConnectionCore) -> Micros:
    """The next probe's delay: as the RTO, doubled each time (3.8.6.1 SHLD-30)."""
    base = max(in_ticks(conn.rtt.rto), 200 * MILLISECOND)
    return min(base << min(conn.probe_backoff, 32), conn.rtt.rto_max)


def _keepalive(conn: ConnectionCore, now: Micros) -> None:
    """RFC 9293 3.8.4: after an idle time, probe; after so many unanswered, the peer is gone."""
    config, options = conn.tcp.config, conn.options
    conn.keepalive_at = 0
    if not options.keepalive or conn.tcb.state in (SYN_SENT, SYN_RECEIVED):
        return
    idle_limit = options.keepidle or config.keepalive_time
    idle = now - max(conn.last_received_at, conn.acking.last_data_at)
    if conn.recovery.scoreboard.records or output.unsent(conn):
        conn.keepalive_at = now + idle_limit  # retransmission or window probes speak for the connection
        return
    if idle < idle_limit:
        conn.keepalive_at = now + idle_limit - idle
        return
    if options.user_timeout:
        dead = idle >= options.user_timeout and conn.keepalives_out > 0
    else:
        dead = conn.keepalives_out >= (options.keepcnt or config.keepalive_probes)
    if dead:
        conn.tcp.counters.mib["TcpExtTCPAbortOnTimeout"] += 1
        conn.reset_now(now)
        conn.fail(conn.soft_error or ETIMEDOUT, Cause.TIMED_OUT)
        return
    resend.send_probe(conn, now, why.KEEPALIVE)
    conn.tcp.counters.mib["TcpExtTCPKeepAlive"] += 1
    conn.keepalives_out += 1
    conn.plain = False  # so that the answer is noticed
    conn.keepalive_at = now + (options.keepintvl or config.keepalive_intvl)


_FIRED = {
    RETRANSMIT: _retransmission_timeout,
    REORDER: _reorder,
    LOSS_PROBE: _loss_probe,
    WINDOW_PROBE: _window_probe,
}
