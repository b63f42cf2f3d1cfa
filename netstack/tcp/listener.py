"""A listener: LISTEN is not a connection in an odd mood but a type of its own (RFC 9293 3.10.7.2).

Connections in SYN-RECEIVED are its SYN queue (`syn_queue`, `half_open`), opened ones its accept queue, each with a
limit: the backlog that the user gave, as Linux counts it. When the accept queue is full, SYNs and the ACKs that would
complete a handshake are dropped, and the peer tries again; when the SYN queue is full, cookies take its place.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable
from typing import TYPE_CHECKING

from netstack.tcp import fast_open_server, syn_cookie
from netstack.tcp.closed import answer
from netstack.tcp.fast_open import Queue
from netstack.tcp.md5_connection import listener_admits, make_room
from netstack.tcp.options import SocketOptions
from netstack.tcp.readiness import READABLE
from netstack.tcp.segment import Arrival
from netstack.tcp.state import LISTEN, Cause, State
from netstack.tcp.syn_queue import SynQueue
from netstack.units import Micros
from netstack.wire.tcp import ACK, FIN, RST, SYN

if TYPE_CHECKING:
    from netstack.tcp.connection import Connection
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.demux import Tcp


class Listener:
    """Passive open on one address (or any, if `address` is zeros) and port."""

    __slots__ = (
        "_queue", "address", "backlog", "closed", "fast_open", "observer", "options", "overflowed_at", "pending",
        "port", "syn_queue", "tcp",
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
        self.syn_queue = SynQueue()
        self.fast_open = Queue()
        """Of the connections that their users got before the handshake was complete."""
        self.overflowed_at: Micros = -1
        """When the last SYN cookie was sent; -1: never."""
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
        return len(self.syn_queue)

    @property
    def is_full(self) -> bool:
        """No more connections may wait to be accepted."""
        return len(self._queue) > self.backlog

    def accept(self) -> Connection | None:
        """The connection that waits longest, or None."""
        if not self._queue:
            return None
        conn = self._queue.popleft()
        conn.listener = None
        return conn

    def close(self) -> None:
        """Stop listening. Connections nobody accepted are reset; half-open ones vanish, and a late ACK finds nobody."""
        if self.closed:
            return
        self.closed = True
        self.observer = None
        self.tcp.unlisten(self)
        for half_open in self.syn_queue:
            half_open.listener = None
            half_open.vanish()
        self.syn_queue.clear()
        for conn in self._queue:
            conn.listener = None
            conn.abort()
        self._queue.clear()

    def syn_arrives(self, seg: Arrival, key: bytes, pair: bytes, now: Micros, iss: int | None = None) -> None:
        """3.10.7.2: first RST, second ACK, third SYN, fourth anything else."""
        tcp = self.tcp
        if (seg.options.md5 is not None or self.options.md5 is not None) and not listener_admits(self, seg, pair, now):
            return
        if seg.flags & RST:
            tcp.drop("rst_to_listener", now)
            return
        if seg.flags & ACK:
            if syn_cookie.open_by_ack(self, seg, key, pair, now):
                return
            ports = int.from_bytes(key[-2:] + key[-4:-2], "big")
            head = answer(ports, seg.seq, seg.ack, seg.flags, seg.length)
            if head is not None:
                tcp.reply(pair, head)
            tcp.drop("ack_to_listener", now)
            return
        if not seg.flags & SYN or seg.flags & FIN:
            tcp.drop("no_syn_to_listener" if not seg.flags & SYN else "syn_with_fin", now)
            return
        cookie = iss is None and self._wants_cookie()
        if self.is_full:
            self.count_overflow(now)
            return
        if cookie:
            syn_cookie.answer(self, seg, key, pair, now)
            return
        if iss is None and self._drops(now):
            return
        if self.options.md5 is not None:
            make_room(self, seg, pair)
        conn = tcp.passive(self, key, pair, seg, now, iss)
        if conn is None:
            return
        conn.syn_due = True
        conn.mark()
        if not fast_open_server.on_syn(self, conn, seg, pair, now):
            self.syn_queue.add(conn)

    def _wants_cookie(self) -> bool:
        """The SYN queue is full (one more than the backlog, as in Linux), or tcp_syncookies is 2."""
        mode = self.tcp.config.syncookies
        if not mode or (mode != 2 and len(self.syn_queue) <= self.backlog):
            return False
        self.tcp.counters.mib["TcpExtTCPReqQFullDoCookies"] += 1
        return True

    def _drops(self, now: Micros) -> bool:
        """Without cookies: no room beyond the backlog, nor in the last quarter of tcp_max_syn_backlog.

        Deviation: Linux keeps that quarter for peers whose round-trip time it remembers; we remember nobody's.
        """
        config, waiting = self.tcp.config, len(self.syn_queue)
        if config.syncookies:
            return False
        mib = self.tcp.counters.mib
        if waiting > self.backlog:
            mib["TcpExtTCPReqQFullDrop"] += 1
        elif config.max_syn_backlog - waiting >= config.max_syn_backlog >> 2:
            return False
        mib["TcpExtListenDrops"] += 1
        self.tcp.drop("syn_queue_full", now)
        return True

    def count_overflow(self, now: Micros) -> None:
        """The accept queue had no room for a SYN or for the ACK that completes a handshake."""
        mib = self.tcp.counters.mib
        mib["TcpExtListenOverflows"] += 1
        mib["TcpExtListenDrops"] += 1
        self.tcp.drop("accept_queue_full", now)

    def on_open(self, conn: Connection) -> None:
        """The handshake is complete, or need not be (Fast Open): the connection waits for `accept`."""
        self.syn_queue.discard(conn)
        self._queue.append(conn)
        self.notify(READABLE)

    def forget(self, conn: ConnectionCore) -> None:
        """A half-open connection came to nothing. One in the accept queue stays: its user is to see the error."""
        self.syn_queue.discard(conn)

    def notify(self, flags: int) -> None:
        """Tell the observer at the next transmit."""
        if not self.pending:
            self.tcp.upcalls.append(self)
        self.pending |= flags


OPENS = Cause.PEER_SYN
"""Why a listener's child leaves LISTEN."""
