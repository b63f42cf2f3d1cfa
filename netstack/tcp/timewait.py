"""TIME-WAIT (RFC 9293 3.6, 3.10.7.4): what remains of a connection for 2 MSL, in an object of a few hundred octets.

It answers a retransmitted FIN, absorbs strays, and lets a new incarnation open early when it is provably newer
(RFC 6191). Deviation: an exact RST ends TIME-WAIT unless tcp_rfc1337 is set, as in Linux.
"""

from __future__ import annotations

from heapq import heapify, heappop, heappush
from itertools import count
from struct import Struct
from typing import TYPE_CHECKING

from netstack.events import SegmentSent, StateChanged, TimerArmed
from netstack.seq import MASK, unwrap
from netstack.tcp import report, why
from netstack.tcp.closed import checksummed
from netstack.tcp.state import CLOSED, TIME_WAIT, Cause, State
from netstack.tcp.variables import without_connection
from netstack.units import Micros
from netstack.wire.tcp import ACK, FIN, RST, SYN
from netstack.wire.tcp_options import build_segment, parse

if TYPE_CHECKING:
    from netstack.events import Variables
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.demux import Tcp

_PLAIN = Struct("!IIIHHHH")


class TimeWait:
    """Takes a connection's place in the four-tuple table."""

    __slots__ = (
        "_duplicate",
        "_last_ack_at",
        "_owner",
        "_path",
        "_ports",
        "_rcv_wnd",
        "_ts_offset",
        "_wscale",
        "expires_at",
        "key",
        "marked",
        "rcv_nxt",
        "snd_nxt",
        "tcp",
        "ts_ok",
        "ts_recent",
    )

    def __init__(self, conn: ConnectionCore, now: Micros) -> None:
        tcb = conn.tcb
        self.tcp: Tcp = conn.tcp
        self.key = conn.key
        self.expires_at: Micros = now + conn.tcp.config.timewait_len
        self.marked = False
        self.rcv_nxt = tcb.rcv_nxt
        self.snd_nxt = tcb.snd_nxt
        self._rcv_wnd = max(tcb.rcv_wup + tcb.rcv_wnd - tcb.rcv_nxt, 0)
        self._wscale = tcb.rcv_wscale
        self.ts_ok = tcb.ts_ok
        self.ts_recent = tcb.ts_recent
        self._ts_offset = tcb.ts_offset
        self._ports = conn.ports
        self._path = conn.path
        self._last_ack_at: Micros = -1
        self._duplicate = [] if conn.duplicate is None else [conn.duplicate]
        self._owner = None if conn.user_gone else conn

    @property
    def state(self) -> State:
        """Always TIME-WAIT."""
        return TIME_WAIT

    def on_segment(
        self, frame: bytes, ip_at: int, at: int, text: int, end: int, wire_seq: int, wire_ack: int, flags: int,
        window: int, urgent: int, now: Micros,
    ) -> None:  # fmt: skip
        """A segment for the old connection, or the SYN of a new one."""
        seq = unwrap(wire_seq, self.rcv_nxt)
        options = parse(frame, at + 20, text)
        seg_len = end - text + (1 if flags & SYN else 0) + (1 if flags & FIN else 0)
        old = self.ts_ok and options.ts_val is not None and bool((options.ts_val - self.ts_recent) & 0x8000_0000)
        if not old and seq == self.rcv_nxt and (not seg_len or flags & RST):
            if flags & RST:
                if not self.tcp.config.rfc1337:
                    self.tcp.end_time_wait(self, Cause.PEER_RESET)
                return
            if options.ts_val is not None and self.ts_ok:
                self.ts_recent = options.ts_val
            if not flags & RST:
                self._prolong(now)
            return
        if flags & RST:
            return
        if flags & SYN and not flags & ACK and not old:
            newer = self.ts_ok and options.ts_val is not None and 0 < (options.ts_val - self.ts_recent) & MASK < 1 << 31
            if seq > self.rcv_nxt or newer:
                self.tcp.reopen(self, frame, ip_at, at, text, end, wire_seq, wire_ack, flags, window, urgent, now)
                return
        if old:
            self.tcp.counters.mib["TcpExtPAWSEstab"] += 1
        if old or flags & ACK:
            self._prolong(now)
        if not seg_len or flags & SYN:  # text and FINs are no part of a loop of ACKs
            if self._last_ack_at >= 0 and now - self._last_ack_at < self.tcp.config.invalid_ratelimit:
                self.tcp.counters.mib["TcpExtTCPACKSkippedTimeWait"] += 1
                return
            self._last_ack_at = now
        self.mark()

    def continues(self, conn: ConnectionCore) -> None:
        """FIN-WAIT-2 had no user: to Linux that is TIME-WAIT already. The window stays as it was before the FIN."""
        self._rcv_wnd += 1
        self._last_ack_at = conn.last_oow_ack_at

    def variables(self) -> Variables:
        """What is left to know of the connection."""
        return without_connection(TIME_WAIT, self.snd_nxt, self.rcv_nxt, self._rcv_wnd)

    def _prolong(self, now: Micros) -> None:
        """2 MSL from now on (3.10.7.4)."""
        self.expires_at = now + self.tcp.config.timewait_len
        if self.tcp.events is not None:
            self.tcp.events(TimerArmed(now, self.key, report.TIME_WAIT, self.expires_at))

    def mark(self) -> None:
        """An ACK is to leave with the next transmit."""
        if not self.marked:
            self.marked = True
            self.tcp.ready.append(self)

    def transmit(self, now: Micros) -> None:
        """The ACK of the peer's FIN (again)."""
        stamps = ((now // 1000 + self._ts_offset) & MASK, self.ts_recent) if self.ts_ok else None
        options = build_segment(stamps, self._duplicate)
        self._duplicate = []
        window = min(-(-self._rcv_wnd >> self._wscale), 0xFFFF)
        offset_flags = (20 + len(options)) << 10 | ACK
        head = _PLAIN.pack(self._ports, self.snd_nxt & MASK, self.rcv_nxt & MASK, offset_flags, window, 0, 0) + options
        self.tcp.counters.mib["TcpOutSegs"] += 1
        tell = self.tcp.events
        if tell is not None:
            wnd = window << self._wscale
            tell(SegmentSent(
                now, self.key, self.snd_nxt, self.rcv_nxt, ACK, wnd, 0, why.ACK_TIME_WAIT, self.variables()
            ))  # fmt: skip
        self._path.send(checksummed(head, self._path), b"", 0, 0, now)

    def release(self, cause: Cause) -> None:
        """2 MSL passed, or a RST: the connection is CLOSED for a user who still looks at it."""
        if self._owner is not None:
            self._owner.move(cause)
            self._owner.finish()
            self._owner = None
        elif self.tcp.events is not None:
            self.tcp.events(StateChanged(self.tcp.now, self.key, TIME_WAIT, CLOSED, cause))


_SLACK = 64


class TimeWaitQueue:
    """Everybody in TIME-WAIT, by when it ends. Lazily kept: what ended early or was prolonged keeps its first place."""

    __slots__ = ("_heap", "_living", "_order")

    def __init__(self) -> None:
        self._heap: list[tuple[Micros, int, TimeWait]] = []
        self._order = count()
        self._living = 0

    def __len__(self) -> int:
        return self._living

    def add(self, wait: TimeWait) -> None:
        """`wait` has begun. Those that are over are thrown out when they are more than half of what is kept."""
        self._living += 1
        heap = self._heap
        if len(heap) > 2 * self._living + _SLACK:
            heap[:] = [(one.expires_at, n, one) for _, n, one in heap if one.expires_at]
            heapify(heap)
        heappush(heap, (wait.expires_at, next(self._order), wait))

    def end(self, wait: TimeWait) -> None:
        """`wait` is over."""
        self._living -= 1
        wait.expires_at = 0

    def deadline(self) -> Micros | None:
        """When the first of them may end; None when there is none."""
        heap = self._heap
        while heap and not heap[0][2].expires_at:
            heappop(heap)
        return heap[0][0] if heap else None

    def due(self, now: Micros) -> TimeWait | None:
        """One whose time is over by `now`, for the caller to end; None: no more."""
        heap = self._heap
        while heap and heap[0][0] <= now:
            _, _, wait = heappop(heap)
            if wait.expires_at > now:  # restarted since it was queued
                heappush(heap, (wait.expires_at, next(self._order), wait))
            elif wait.expires_at:
                return wait
        return None
