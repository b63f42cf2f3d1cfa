"""Pacing: when the next piece may leave, so that a window does not leave as one burst (Linux's internal pacing).

Only who asks for it is paced: SO_MAX_PACING_RATE, or congestion control that names a rate. A piece is what leaves in
about a millisecond (`super_segment`), and takes its time at the rate; a connection that is held back has one more
deadline, `pace_at`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.units import MILLISECOND, SECOND, Micros, Octets

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore

UNLIMITED = (1 << 64) - 1
_NS = 1_000
_FREE_SEGMENTS = 10
"""Segments with data that leave before pacing begins: an initial window (Linux)."""
_LATENESS_NS = 10 * MILLISECOND * _NS
"""What a timer may be late, and is forgiven."""


def pacing_rate(conn: ConnectionCore) -> int:
    """Octets a second, paced or not: what congestion control names, else cwnd per SRTT with room to grow (Linux)."""
    cc, most = conn.recovery.cc, conn.options.max_pacing_rate
    if cc.pacing_rate:
        return min(cc.pacing_rate, most)
    srtt = conn.rtt.srtt
    if not srtt or not conn.tcb.state.synchronized:
        return most
    config = conn.tcp.config
    ratio = config.pacing_ss_ratio if cc.cwnd < cc.ssthresh >> 1 else config.pacing_ca_ratio
    segments = max(cc.cwnd, conn.recovery.scoreboard.packets_out)
    return min(conn.tcb.eff_snd_mss * segments * SECOND * ratio // (100 * srtt), most)


class Pace:
    """When the next piece may leave, to the nanosecond: pieces on a fast path take few microseconds each."""

    __slots__ = ("_free_ns", "_held")

    def __init__(self) -> None:
        self._free_ns = 0
        self._held = False
        """Something waited for `_free_ns`."""

    def delay(self, now: Micros) -> Micros:
        """How long from `now` until the next piece may leave; 0: it may."""
        left = self._free_ns - now * _NS
        return -(-left // _NS) if left > 0 else 0

    def holds(self, conn: ConnectionCore, now: Micros) -> bool:
        """Whether `conn`, which would send, has to wait; it is woken when it may."""
        wait = self.delay(now)
        if not wait:
            return False
        self._held = True
        conn.pace_at = now + wait
        conn.arm(conn.pace_at)
        return True

    def spend(self, conn: ConnectionCore, octets: Octets, now: Micros) -> None:
        """`octets` of text leave: the next piece waits as long as they take at the rate.

        Who paused is given up to half of that (Linux); who is late because the timer was, is given all he lost.
        """
        held, self._held = self._held, False
        rate = pacing_rate(conn)
        if rate == UNLIMITED or not rate or conn.data_segs_out < _FREE_SEGMENTS:
            return
        now_ns, cost = now * _NS, octets * SECOND * _NS // rate
        late = now_ns - self._free_ns
        start = self._free_ns
        if late > 0:
            if held:
                start = max(start, now_ns - _LATENESS_NS)
            else:
                start = now_ns
                cost -= min(cost >> 1, late)
        self._free_ns = start + cost
