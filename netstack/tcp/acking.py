"""When to acknowledge: delayed ACK (RFC 9293 3.8.6.3, RFC 5681 4.2) with quick ACKs at the start, as Linux does it.

The policy of one connection. It keeps no timer: it says *now* (`due`) or *by when* (`at`), and hears when an ACK left.
"""

from netstack.config import TcpConfig
from netstack.tcp import why
from netstack.tcp.packets import Packets
from netstack.tcp.tcb import Tcb
from netstack.tcp.window import ReceiveWindow
from netstack.units import MILLISECOND, Micros, Octets, Seq

_MAX_QUICK = 16
_MIN_ATO = 40 * MILLISECOND
_MAX_ATO = 500 * MILLISECOND
_LARGE: Octets = 524
"""Less, with PSH, says nothing of the largest segment that the peer sends."""
_AT_ONCE = 3
_TICK = MILLISECOND
"""A delay of nothing, by Linux's clock: a FIN that is all there was waits so long for the user's own."""


class AckPolicy:
    """ATO, quick ACKs and "ping-pong" (an interactive exchange, where the answer will carry the ACK)."""

    __slots__ = (
        "_small_end", "_small_size", "advmss", "at", "ato", "compressed", "due", "dup_acks", "last_data_at", "merged",
        "merges", "packets", "pingpong", "pushed", "quick", "rcv_mss", "reason", "repeated_at", "scheduled",
        "window",
    )  # fmt: skip

    def __init__(self, rcv_mss: Octets, advmss: Octets, window: ReceiveWindow, packets: Packets, merges: bool) -> None:
        self.window, self.packets = window, packets
        """Who learn from the size of full segments."""
        self.merges = merges
        """The device joins segments: what is larger than one was several."""
        self.advmss: Octets = advmss
        """What we told the peer, less the timestamps: `rcv_mss` never exceeds it, however large an aggregate is."""
        self.due = False
        """An ACK is to leave at once."""
        self.scheduled = 0
        """Something arrived that no ACK has answered yet. 2: and nobody has looked yet whether one is due. -1: nothing
        did, and yet one is."""
        self.at: Micros = 0
        """When a delayed ACK leaves at the latest; 0: none is waiting."""
        self.ato: Micros = 0
        """The delay in use; 0 before the first data."""
        self.quick = 0
        """ACKs still to be sent without delay."""
        self.pingpong = False
        self.pushed = 0
        """1: what is not acknowledged yet has a small segment, or one with PSH; 2: another one after that."""
        self.last_data_at: Micros = 0
        self.merged = 0
        """Segments that came as the second and further ones of a super-segment."""
        self.rcv_mss: Octets = rcv_mss
        """The peer's segment size as seen (Linux's icsk_ack.rcv_mss)."""
        self._small_size: Octets = 0
        self._small_end: Seq = 0
        """The last segment that was smaller than `rcv_mss` and yet looked like a full one."""
        self.compressed = 0
        """ACKs that were left out since the last one (SACK compression)."""
        self.dup_acks = 0
        """ACKs sent at once for text beyond the gap at `repeated_at`."""
        self.repeated_at: Seq = -1
        self.reason = ""
        """Why `due` was set, for those who watch (`why`); stale when no ACK is due."""

    def on_data(self, length: Octets, push: int, tcb: Tcb, rto: Micros, config: TcpConfig, now: Micros) -> None:
        """`length` new octets in order arrived; RCV.NXT is behind them."""
        self.scheduled = 2
        if length >= self.rcv_mss:
            if length != self.rcv_mss:
                self._learn_size(length)
            if push and not self.pushed:
                self.pushed = 1
        elif (push and length < _LARGE) or not self._is_full(length, push, tcb.rcv_nxt - length, tcb):
            self.pushed = 2 if self.pushed else 1
        delack_min = config.delack_min
        if not self.ato:
            self.enter_quick(_MAX_QUICK, tcb.rcv_wnd)
            self.ato = delack_min
        else:
            gap = now - self.last_data_at
            if gap <= delack_min // 2:
                self.ato = (self.ato >> 1) + delack_min // 2
            elif gap < self.ato:
                self.ato = min((self.ato >> 1) + gap, rto)
            elif gap > rto:
                self.enter_quick(_MAX_QUICK, tcb.rcv_wnd)  # the sender probably starts over: its window is small
        self.last_data_at = now

    def measure(self, length: Octets, push: int, tcb: Tcb) -> None:
        """`length` octets arrived out of order: they tell of the peer's segment size too."""
        if length >= self.rcv_mss:
            self._small_size = 0
            if length != self.rcv_mss:
                self._learn_size(length)
            if push and not self.pushed:
                self.pushed = 1
        elif not self._is_full(length, push, tcb.rcv_nxt, tcb):
            self.pushed = 2 if self.pushed else 1

    def jumps(self, before: Seq, rcv_nxt: Seq) -> None:
        """RCV.NXT went on over what was beyond a gap."""
        if self._small_end == before:
            self._small_end = rcv_nxt

    def overlaps(self, known: Octets, rcv_nxt: Seq) -> None:
        """The next segment in order has `known` octets from below RCV.NXT."""
        if self._small_end == rcv_nxt:
            self._small_end -= known

    def _learn_size(self, length: Octets) -> None:
        self.window.learn(length, self.packets)
        if length > self.advmss:
            if self.merges:
                self.merged += (length - 1) // self.advmss
            length = self.advmss
        self.rcv_mss = length

    def _is_full(self, length: Octets, push: int, expected: Seq, tcb: Tcb) -> bool:
        """Two in a row, of one size, that would not be so small if the peer could send more: that is its size now.

        `expected`: where RCV.NXT was when it came.
        """
        before = self._small_size if self._small_end == expected else 0
        self._small_size = 0
        header = 32 if tcb.ts_ok else 20
        if length + header >= 556 or (length + header >= 108 and not push):
            self._small_size, self._small_end = length, tcb.rcv_nxt
            if length == before:
                self.rcv_mss = length
                return True
        return False

    def owe(self, reason: str) -> None:
        """An ACK is to leave at once, whatever the policy would have said of what arrived."""
        self.due = True
        self.scheduled = 1
        self.reason = reason

    def answer(self, reason: str) -> None:
        """An ACK is to leave at once that is not for what arrived: it does not count among the quick ones (Linux)."""
        self.due = True
        self.scheduled = self.scheduled or -1
        self.reason = reason

    def enter_quick(self, most: int, rcv_wnd: Octets) -> None:
        """Acknowledge the next few segments at once, so that the peer's slow start is not slowed."""
        quick = rcv_wnd // (2 * self.rcv_mss) or 2
        self.quick = max(self.quick, min(quick, most))

    def hurry(self, most: int, rcv_wnd: Octets) -> None:
        """The same, in the middle of a connection: whatever exchange went on, and however it was paced, is over."""
        self.enter_quick(most, rcv_wnd)
        self.pingpong = False
        self.ato = _MIN_ATO

    def delay(self, srtt: Micros, config: TcpConfig, now: Micros) -> None:
        """What arrived need not be acknowledged now. By when?"""
        ato = self.ato
        if not ato:
            self.at = now + _TICK
            return
        if ato > config.delack_min:
            most = config.delack_max if self.pingpong or self.pushed else _MAX_ATO
            if srtt:
                most = min(most, max(srtt, config.delack_min))
            ato = min(ato, most)
        ato = min(ato, config.delack_max)
        at = now + ato
        if self.at:
            if self.at <= now + (ato >> 2):
                self.due = True
                return
            at = min(at, self.at)
        self.at = at

    def compress(self, tcb: Tcb, srtt: Micros, config: TcpConfig, now: Micros) -> None:
        """Text came beyond a gap: a duplicate ACK (RFC 5681 4.2). The first three since RCV.NXT moved leave at once, so
        that the peer retransmits; those after that wait for each other, a twentieth of the round-trip time (Linux)."""
        if self.repeated_at != tcb.rcv_nxt:
            self.repeated_at = tcb.rcv_nxt
            self.dup_acks = 0
        if not tcb.sack_ok or self.compressed >= config.comp_sack_nr:
            self.due = True
        elif self.dup_acks < _AT_ONCE:
            self.dup_acks += 1
            self.due = True
        else:
            self.compressed += 1
            if self.compressed == 1:
                rtt = self.window.tune.rtt
                if srtt:
                    rtt = min(rtt, srtt)
                self.at = now + min(config.comp_sack_delay, rtt // 20) + config.comp_sack_slack

    def on_sent(self, segments: int) -> None:
        """A segment with an ACK left: nothing is owed."""
        if self.quick and self.scheduled > 0:
            self.quick = self.quick - segments if self.quick > segments else 0
            if not self.quick:
                self.ato = _MIN_ATO
        self.due = False
        self.scheduled = self.pushed = 0
        self.at = 0

    def on_data_sent(self, now: Micros) -> None:
        """We sent data soon after receiving some: an exchange, so ACKs may wait for answers to ride on."""
        if now - self.last_data_at < self.ato:
            self.pingpong = True

    def on_timer(self, rto: Micros, config: TcpConfig) -> bool:
        """The delayed ACK's time came: no answer carried it. False: what waited were duplicate ACKs."""
        self.at = 0
        if self.compressed:
            self.compressed -= 1
            self.owe(why.ACK_GAP)
            return False
        if not self.scheduled:
            return False
        self.owe(why.ACK_DELAYED if self.ato else why.ACK_FIN)
        if self.pingpong:
            self.pingpong = False
            self.ato = config.delack_min
        else:
            self.ato = min(self.ato << 1, rto)
        return True
