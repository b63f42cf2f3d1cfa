"""The memory of all connections of one stack: how much, and what happens when it gets short (Linux's tcp_mem).

Counted is what connections hold for users and peers: octets in order and beyond gaps, octets queued or not
acknowledged, each with what CPython adds (`reassembly.CHUNK_COST` ...). A connection is charged when it passes a mark,
`hold_freely` or `send_freely`, and gets the next mark a quarter or 4 KiB above; what it gives back is noticed when all
are counted anew, which is before pressure is declared, and now and then while it lasts.

`TcpConfig.mem` has three limits: *low*, *pressure*, *high*. Pressure begins above the second and ends below the first.

* A connection's own limit (SO_RCVBUF, or what auto-tuning came to) is passed: its small chunks are joined; if that is
  not enough, what lies farthest beyond a gap is dropped, for the peer still has it (RFC 2018 8).
* Under pressure: windows go down to four segments as data waits (right edges never move left); neither receive nor
  send buffers grow; a connection gets more, to send or beyond gaps, only while it has less than its equal share of
  *high*.
* Above *high*: nobody gets more, whatever the share. Text is dropped, unless everything before it was read; `send`
  takes nothing; what waits beyond gaps is dropped from those who would add to it.
* Always: the first tcp_rmem[0] octets of a receive buffer and the first tcp_wmem[0] of a send buffer are granted, so
  that everybody gets on, however slowly.
* Users who leave (close): with more than `max_orphans` such connections, or above *high*, theirs are reset, at once or
  when a timer fires (TCPAbortOnMemory).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.units import MILLISECOND, Micros, Octets, Seq

if TYPE_CHECKING:
    from netstack.config import TcpConfig
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.demux import Tcp

FREE: Octets = 4_096
"""What a connection holds before anybody counts it, each way."""
RECORD_COST: Octets = 256
"""One record of the scoreboard."""
_RECOUNT: Micros = 100 * MILLISECOND


class Memory:
    """The sum, the marks, and the orphans."""

    __slots__ = ("_counted_at", "_pressed_since", "_tcp", "_used_then", "orphans", "pressed", "used")

    def __init__(self, tcp: Tcp) -> None:
        self._tcp = tcp
        self.used: Octets = 0
        self.pressed = False
        """Memory is getting short."""
        self.orphans = 0
        """Connections whose user left, not in TIME-WAIT nor waiting for nothing but the peer's FIN."""
        self._pressed_since: Micros = 0
        self._counted_at: Micros = -_RECOUNT
        self._used_then: Octets = 0

    @property
    def config(self) -> TcpConfig:
        """Of the stack."""
        return self._tcp.config

    def count(self, name: str) -> None:
        """One more of what nstat calls `name`."""
        self._tcp.counters.mib[name] += 1

    @property
    def exhausted(self) -> bool:
        """Above the last mark."""
        return self.used > self._tcp.config.mem[2]

    def persists(self) -> bool:
        """There was pressure. Is there still?"""
        if self._tcp.now - self._counted_at >= _RECOUNT:
            self._count()
            if self.used < self._tcp.config.mem[0]:
                self._relieve()
        return self.pressed

    # -- what connections hold -----------------------------------------------------------------------------------------

    def settle(self, conn: ConnectionCore) -> None:
        """`conn` passed a mark: charge it for what it holds now, and set the next marks."""
        self._charge(conn)
        tcp = self._tcp
        low, pressure, high = tcp.config.mem
        if self.used <= (low if self.pressed else pressure):
            if self.pressed:
                self._relieve()
        elif self._worth_counting(pressure):
            self._count()
            if self.used > pressure and not self.pressed:
                self._press()
            elif self.used < low and self.pressed:
                self._relieve()
        if self.used > high:
            self._look_closely()
        self._set_marks(conn)

    def _charge(self, conn: ConnectionCore) -> None:
        receive, send = conn.receive_buffer, conn.send_buffer
        held = receive.charge + len(send) + RECORD_COST * len(conn.recovery.scoreboard.records)
        self.used += held - conn.charged
        conn.charged = held

    def _set_marks(self, conn: ConnectionCore) -> None:
        receive, send = conn.receive_buffer, conn.send_buffer
        held = receive.ready + receive.held
        if conn.window.is_tight(conn.packets):
            conn.plain = False
        conn.hold_freely = held + max(held >> 2, FREE)
        options, config = conn.options, self._tcp.config
        if self.pressed or options.sndbuf or options.notsent_lowat:
            conn.send_freely = 0
        else:
            queued = len(send)
            conn.send_freely = min(queued + max(queued >> 2, FREE), config.wmem[1], config.notsent_lowat)

    def _worth_counting(self, pressure: Octets) -> bool:
        """Not for every octet that is added near a mark."""
        grown = self.used - self._used_then > pressure >> 5
        return grown or self._tcp.now - self._counted_at >= _RECOUNT

    def _count(self) -> None:
        for conn in self._tcp.living():
            if conn.charged:
                self._charge(conn)
        self._counted_at, self._used_then = self._tcp.now, self.used

        if self.exhausted:
            self._look_closely()

    def _look_closely(self) -> None:
        """Header prediction does not look at memory: see `may_hold`."""
        for conn in self._tcp.living():
            conn.plain = False

    def _press(self) -> None:
        self.pressed = True
        self._pressed_since = self._tcp.now
        self._tcp.counters.mib["TcpExtTCPMemoryPressures"] += 1
        for conn in self._tcp.living():
            conn.send_freely = 0

    def _relieve(self) -> None:
        tcp = self._tcp
        self.pressed = False
        tcp.counters.mib["TcpExtTCPMemoryPressuresChrono"] += (tcp.now - self._pressed_since) // 1000

    def release(self, conn: ConnectionCore) -> None:
        """`conn` is over."""
        self.used -= conn.charged
        conn.charged = 0
        if self.pressed and self.used < self._tcp.config.mem[0]:
            self._relieve()
        if conn.orphaned:
            self.abandon(conn)

    # -- who gets more -------------------------------------------------------------------------------------------------

    def may_hold(self, conn: ConnectionCore) -> bool:
        """Whether `conn` may add to what it has received."""
        if not self.pressed:
            return True
        return conn.receive_buffer.charge < self._tcp.config.rmem[0] or self._has_share(conn)

    def room(self, conn: ConnectionCore) -> Octets:
        """Under pressure: how many octets `conn` may add to what it has to send, its own limit aside."""
        config = self._tcp.config
        granted = max(config.wmem[0] - len(conn.send_buffer), 0)
        if not self._has_share(conn):
            return granted
        high = config.mem[2]
        share = high // len(self._tcp.connections) - conn.charged if self.pressed else high
        return max(granted, share)

    def _has_share(self, conn: ConnectionCore) -> bool:
        self.settle(conn)
        high = self._tcp.config.mem[2]
        return not self.pressed or (self.used <= high and conn.charged * len(self._tcp.connections) < high)

    def fits(self, conn: ConnectionCore, seq: Seq) -> bool:
        """Whether a segment at `seq` may be kept. If the receive buffer is full, packets are collapsed, and then those
        farthest beyond it are dropped (Linux). What is in order needs no share of the whole, as long as there is some.
        """
        in_order = seq == conn.tcb.rcv_nxt
        packets, buffer, window = conn.packets, conn.receive_buffer, conn.window
        rmem = packets.settle()
        if rmem <= window.rcvbuf and ((in_order and not self.exhausted) or self.may_hold(conn)):
            return True
        if not rmem:
            return False
        mib = self._tcp.counters.mib
        mib["TcpExtPruneCalled"] += 1
        if rmem > window.rcvbuf:
            window.squeeze(rmem, conn.acking)
            if rmem > window.rcvbuf:
                mib["TcpExtTCPRcvCollapsed"] += packets.collapse(window.ratio, window.rcvbuf)
                buffer.collapse()
        short = not ((in_order and not self.exhausted) or self.may_hold(conn))
        if short or packets.settle() > window.rcvbuf:
            kept = packets.prune(seq, window.rcvbuf, short)
            if kept is not None:
                buffer.cut(kept)
                conn.duplicate = None
                mib["TcpExtOfoPruned"] += 1
        if packets.settle() <= window.rcvbuf and (not short or self.may_hold(conn)):
            return True
        mib["TcpExtRcvPruned"] += 1
        conn.plain = False
        return False

    # -- orphans -------------------------------------------------------------------------------------------------------

    def adopt(self, conn: ConnectionCore) -> bool:
        """The user of `conn` left. False: there are too many such, or no memory; it must go."""
        conn.orphaned = True
        self.orphans += 1
        return not self._is_short(conn, 0)

    def abandon(self, conn: ConnectionCore) -> None:
        """`conn` is no orphan that counts any more."""
        conn.orphaned = False
        self.orphans -= 1

    def too_many(self, conn: ConnectionCore, now: Micros) -> bool:
        """Whether the orphan `conn`, whose timer fired, is to go. One that was silent for long, or of which ICMP said
        that it cannot be reached, counts double, and fourfold if both (Linux)."""
        penalty = 1 if now - conn.last_sent_at > 2 * self._tcp.config.rto_max else 0
        return self._is_short(conn, penalty + bool(conn.soft_error))

    def _is_short(self, conn: ConnectionCore, penalty: int) -> bool:
        crowded = self.orphans << penalty > self._tcp.config.max_orphans
        return crowded or (self.exhausted and len(conn.send_buffer) > self._tcp.config.wmem[0])
