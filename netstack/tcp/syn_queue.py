"""The SYN queue of a listener: connections in SYN-RECEIVED, how long each may stay, and what a full queue does.

Linux's rules, since RFC 9293 leaves them open: the backlog limits both queues; SYN-ACKs are sent again after 1 s, 2 s,
4 s ... and given up by count; when more than half of the room is taken, the old give way to the young; with
TCP_DEFER_ACCEPT an ACK without data is noted, and silence follows until the time is over.
"""

from __future__ import annotations

from collections.abc import Iterator
from errno import ETIMEDOUT
from typing import TYPE_CHECKING

from netstack.tcp import why
from netstack.tcp.state import Cause
from netstack.units import SECOND, Micros

if TYPE_CHECKING:
    from netstack.config import TcpConfig
    from netstack.tcp.core import ConnectionCore

_ALWAYS_ROOM = 8
"""A queue of up to half as many is never pruned."""
_LEAST_RETRIES = 2


class SynQueue:
    """Half-open connections, in the order of their SYNs."""

    __slots__ = ("_acked", "_old", "_waiting")

    def __init__(self) -> None:
        self._waiting: dict[ConnectionCore, None] = {}
        self._old: set[ConnectionCore] = set()
        """Their SYN-ACK has timed out at least once."""
        self._acked: set[ConnectionCore] = set()
        """The handshake is complete, but nobody may have the connection yet: deferred, or the accept queue is full."""

    def __len__(self) -> int:
        return len(self._waiting)

    def __iter__(self) -> Iterator[ConnectionCore]:
        return iter(list(self._waiting))

    def add(self, conn: ConnectionCore) -> None:
        """A SYN was let in."""
        self._waiting[conn] = None

    def discard(self, conn: ConnectionCore) -> None:
        """It opened, or came to nothing."""
        self._waiting.pop(conn, None)
        self._old.discard(conn)
        self._acked.discard(conn)

    def clear(self) -> None:
        """The listener is closed."""
        for conn in self:
            self.discard(conn)

    def note_ack(self, conn: ConnectionCore) -> None:
        """The peer acknowledged our SYN, and has to wait."""
        self._acked.add(conn)

    def on_timeout(self, conn: ConnectionCore, backlog: int, config: TcpConfig, now: Micros) -> None:
        """The SYN-ACK's timer fired: send it again (RFC 6298 5.4-5.6), wait for data, or give up without a word."""
        conn.tcp.counters.mib["TcpExtTCPTimeouts"] += 1
        timeouts = conn.recovery.timeouts
        acked = conn in self._acked
        deferred = deferred_timeouts(conn.options.defer_accept, config.rto_max)
        retries = self._retries(conn.options.syncnt or config.synack_retries, backlog)
        if timeouts >= retries and not (acked and timeouts < deferred):
            conn.fail(ETIMEDOUT, Cause.TIMED_OUT)
            return
        self._old.add(conn)
        conn.recovery.timeouts += 1
        conn.rtt.backoff += 1
        if not acked or timeouts >= deferred - 1:
            conn.resend_syn_ack(why.RTO, now)
        else:
            conn.restart_timer(now)

    def _retries(self, most: int, backlog: int) -> int:
        """Fewer for the old ones when they fill more than half of the queue, so that there is room for the young."""
        waiting = len(self._waiting)
        if 2 * waiting <= max(_ALWAYS_ROOM, backlog):
            return most
        young = 2 * (waiting - len(self._old))
        while most > _LEAST_RETRIES and waiting >= young:
            most -= 1
            young *= 2
        return most


def deferred_timeouts(period: Micros, most: Micros) -> int:
    """TCP_DEFER_ACCEPT's time as Linux keeps it: in timeouts of the SYN-ACK, of 1 s, 2 s, 4 s ... `most`; 0: off."""
    if not period:
        return 0
    passed = wait = SECOND
    times = 1
    while passed < period and times < 255:
        wait = min(2 * wait, most)
        passed += wait
        times += 1
    return times
