"""A listener: LISTEN is not a connection in an odd mood but a type of its own (RFC 9293 3.10.7.2).

Connections in SYN-RECEIVED are its SYN queue, opened ones its accept queue, each with a limit: the backlog that the
user gave, as Linux counts it. When the accept queue is full, SYNs and the ACKs that would complete a handshake are
dropped, and the peer tries again.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from netstack.tcp.closed import answer
from netstack.tcp.options import SocketOptions
from netstack.tcp.readiness import READABLE
from netstack.tcp.segment import Arrival
from netstack.tcp.state import LISTEN, Cause, State
from netstack.units import Micros
from netstack.wire.tcp import ACK, RST, SYN

if TYPE_CHECKING:
    from netstack.tcp.connection import Connection
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.demux import Tcp


class Listener:
    """Passive open on one address (or any, if `address` is zeros) and port."""

    __slots__ = (
        "_half_open", "_queue", "address", "backlog", "closed", "observer", "options", "pending", "port", "tcp",
    )  # fmt: skip

    def __init__(self, tcp: Tcp, address: bytes, port: int, backlog: int, options: SocketOptions) -> None:
        self.tcp = tcp
        self.address = address
        self.port = port
        self.backlog = backlog
        """Connections that may wait to be accepted; like Linux, one more than it says."""
        self.options = options
        """Copied to each child."""
        self.observer: Callable[[int], None] | None = None
        self.pending = 0
        self.closed = False
        self._half_open: set[ConnectionCore] = set()
        self._queue: deque[Connection] = deque()

    @property
    def state(self) -> State:
        """Always LISTEN."""
        return LISTEN

    @property
    def waiting(self) -> int:
        """Connections ready to be accepted."""
        return len(self._queue)

    @property
    def half_open(self) -> int:
        """Connections in SYN-RECEIVED."""
        return len(self._half_open)

    def accept(self) -> Connection | None:
        """The connection that waits longest, or None."""
        if not self._queue:
            return None
        conn = self._queue.popleft()
        conn.listener = None
        return conn

    def close(self) -> None:
        """Stop listening; connections nobody accepted are reset."""
        if self.closed:
            return
        self.closed = True
        self.observer = None
        self.tcp.unlisten(self)
        for conn in [*self._half_open, *self._queue]:
            conn.listener = None
            conn.abort()
        self._half_open.clear()
        self._queue.clear()

    def syn_arrives(self, seg: Arrival, key: bytes, pair: bytes, now: Micros, iss: int | None = None) -> None:
        """3.10.7.2: first RST, second ACK, third SYN, fourth anything else."""
        tcp = self.tcp
        if seg.flags & RST:
            tcp.drop("rst_to_listener", now)
            return
        if seg.flags & ACK:
            ports = int.from_bytes(key[-2:] + key[-4:-2], "big")
            head = answer(ports, seg.seq, seg.ack, seg.flags, seg.length)
            if head is not None:
                tcp.reply(pair, head)
            tcp.drop("ack_to_listener", now)
            return
        if not seg.flags & SYN:
            tcp.drop("no_syn_to_listener", now)
            return
        mib = tcp.counters.mib
        if len(self._queue) > self.backlog:
            mib["TcpExtListenOverflows"] += 1
            mib["TcpExtListenDrops"] += 1
            tcp.drop("accept_queue_full", now)
            return
        if len(self._half_open) >= min(max(self.backlog, 8), tcp.config.max_syn_backlog):
            mib["TcpExtTCPReqQFullDrop"] += 1
            mib["TcpExtListenDrops"] += 1
            tcp.drop("syn_queue_full", now)
            return
        conn = tcp.passive(self, key, pair, seg, now, iss)
        if conn is None:
            return
        self._half_open.add(conn)
        conn.syn_due = True
        conn.mark()

    def may_accept(self, conn: Connection, seg: Arrival, now: Micros) -> bool:
        """The ACK that completes a handshake: is there room for one more in the accept queue?"""
        mib = self.tcp.counters.mib
        if len(self._queue) > self.backlog:
            mib["TcpExtListenOverflows"] += 1
            mib["TcpExtListenDrops"] += 1
            conn.drop("accept_queue_full", now)
            return False
        if self.options.defer_accept and not seg.length:
            sent_at = conn.recovery.scoreboard.records[0].sent_at
            if now - sent_at < self.options.defer_accept:
                mib["TcpExtTCPDeferAcceptDrop"] += 1
                conn.drop("deferred_accept", now)
                return False
        return True

    def on_open(self, conn: Connection) -> None:
        """The handshake is complete: the connection waits for `accept`."""
        self._half_open.discard(conn)
        self._queue.append(conn)
        self.notify(READABLE)

    def forget(self, conn: ConnectionCore) -> None:
        """A half-open connection came to nothing. One in the accept queue stays: its user is to see the error."""
        self._half_open.discard(conn)

    def notify(self, flags: int) -> None:
        """Tell the observer at the next transmit."""
        if not self.pending:
            self.tcp.upcalls.append(self)
        self.pending |= flags


OPENS = Cause.PEER_SYN
"""Why a listener's child leaves LISTEN."""
