"""The receive window: what to offer, without silly windows (RFC 9293 3.8.6.2.2).

The right edge does not move left (3.8.6: "shrinking the window" is discouraged), unless tcp_shrink_window says so.
Packets cost memory beyond their octets (`packets`), and the window is the part of the buffer that octets will fill, as
Linux has it: half to begin with, then the share they have in the peer's full segments. How the buffer grows is
`autotune`'s.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.config import TcpConfig
from netstack.tcp.autotune import AutoTune, buffer_for
from netstack.tcp.memory import Memory
from netstack.tcp.options import SocketOptions
from netstack.tcp.packets import Packets, cost_of
from netstack.tcp.tcb import Tcb
from netstack.units import Octets

if TYPE_CHECKING:
    from netstack.tcp.acking import AckPolicy

MAX_UNSCALED = 65_535
_NO_CLAMP: Octets = MAX_UNSCALED << 14
LEAST_TEXT: Octets = 128
"""Segments with less text than this do not widen the window: they cost more than they carry (Linux)."""
_HALF = 128
"""The share of the buffer that is window at first, in 256ths."""
_LEAST_CLAMP: Octets = 1152
_ANY: Octets = 1 << 30
_ROOMY: Octets = 1 << 16
"""A buffer from this size on holds whatever comes until somebody looks (`Memory.settle`)."""


def scale_for(config: TcpConfig, options: SocketOptions) -> int:
    """Rcv.Wind.Shift: enough for the largest window the connection may come to (RFC 7323 2.3).

    That is what tcp_rmem allows, or half of SO_RCVBUF, which does not grow; TCP_WINDOW_CLAMP bounds both.
    """
    if not config.window_scaling:
        return 0
    space = min(max(config.rmem[2], config.rmem_max), clamp_of(config, options), options.rcvbuf >> 1 or _NO_CLAMP)
    shift = 0
    while space > MAX_UNSCALED and shift < 14:
        space >>= 1
        shift += 1
    return shift


def clamp_of(config: TcpConfig, options: SocketOptions) -> Octets:
    """The largest window that anybody asked for."""
    return options.window_clamp or config.window_clamp or _NO_CLAMP


def initial(config: TcpConfig, options: SocketOptions, mss: Octets, passive: bool = False) -> Octets:
    """The window to begin with: half the buffer, in whole segments. A SYN's field says less when it is more than that
    can hold (RFC 7323 2.2); the first segment behind it says the rest.

    `TcpConfig.initial_rwnd` bounds it, and may be more than the buffer holds in a passive open (Linux).
    """
    asked = config.initial_rwnd * mss
    space = (options.rcvbuf or config.rmem[1]) >> 1
    space = min(max(space, asked) if passive else space, clamp_of(config, options))
    if space > mss:
        space -= space % mss
    return min(space, asked) if asked else space


class ReceiveWindow:
    """Buffer size and the share of it that may be offered, for one connection."""

    __slots__ = ("_memory", "clamp", "enough", "locked", "ratio", "rcvbuf", "ssthresh", "steady", "tight", "tune")

    def __init__(self, options: SocketOptions, offered: Octets, memory: Memory) -> None:
        config = memory.config
        self.rcvbuf: Octets = (rcvbuf := options.rcvbuf or config.rmem[1])
        self.locked = bool(options.rcvbuf)
        """SO_RCVBUF was set: no auto-tuning."""
        self._memory = memory
        self.ratio = _HALF
        """256ths of the buffer that octets will fill (Linux's scaling_ratio)."""
        self.clamp: Octets = min(rcvbuf >> 1, clamp_of(config, options))
        """The largest window: what the buffer allows, or TCP_WINDOW_CLAMP."""
        self.ssthresh: Octets = offered
        """The most that may be offered now (Linux's rcv_ssthresh): grows as the peer shows that it fills segments."""
        self.steady: Octets = 0
        """What `select` says whenever nothing is held, if the edge does not move left by it; 0: ask."""
        self.enough: Octets = _ANY
        """Segments in order of this size or more do not let `ssthresh` grow any further, even if nothing else waits."""
        self.tight = rcvbuf < _ROOMY
        """Memory may not do for the next segment: no header prediction."""
        self.tune = AutoTune()

    def is_tight(self, packets: Packets) -> bool:
        """Look again whether it is so."""
        self.tight = self.rcvbuf < _ROOMY or 2 * packets.settle() > self.rcvbuf
        return self.tight

    def open(self, tcb: Tcb, advmss: Octets) -> None:
        """ESTABLISHED: the scale is settled. A segment's worth of the buffer is kept back until data shows how well it
        is filled, as in Linux."""
        whole = self.window_of(self.rcvbuf)
        clamp = min(self.clamp, MAX_UNSCALED << tcb.rcv_wscale, whole)
        if clamp > 2 * advmss and clamp + advmss > whole:
            clamp = max(2 * advmss, whole - advmss)
        self.clamp = clamp
        self._changes()
        self.ssthresh = min(self.ssthresh, clamp)

    def _changes(self) -> None:
        """Of buffer, share, clamp or `ssthresh` there is more or less: what was worked out from them is void."""
        self.steady = 0
        self.enough = _ANY

    def window_of(self, space: Octets) -> Octets:
        """The octets that so much memory will hold."""
        return space * self.ratio >> 8

    def select(self, tcb: Tcb, rmem: Octets, acking: AckPolicy) -> Octets:
        """The window to offer now, in octets (a multiple of the scale unit); `rmem`: what received packets cost.

        RFC 9293 3.8.6.2.2: nothing less than min(segment, a sixteenth) is opened from zero; the edge stays otherwise.
        """
        shift = tcb.rcv_wscale
        current = max(tcb.rcv_wup + tcb.rcv_wnd - tcb.rcv_nxt, 0)
        window = self._wanted(tcb, rmem, acking)
        if window < current and not (shift and self._memory.config.shrink_window):
            if not window:
                self._memory.count("TcpExtTCPWantZeroWindowAdv")
            return -(-current >> shift) << shift  # rounded up, or the edge moved left
        return window

    def _wanted(self, tcb: Tcb, rmem: Octets, acking: AckPolicy) -> Octets:
        shift, mss = tcb.rcv_wscale, acking.rcv_mss
        free, whole = self.window_of(self.rcvbuf - rmem), self.window_of(self.rcvbuf)
        clamp = min(self.clamp, whole)
        if mss > clamp:
            mss = clamp
        shrinks = shift and self._memory.config.shrink_window
        if shrinks:
            free = free >> shift << shift
        if free < clamp >> 1:
            acking.quick = 0
            if self._memory.pressed and self._memory.persists():
                self.ssthresh = min(self.ssthresh, 4 * acking.advmss)
                self._changes()
            free = free >> shift << shift
            if free < whole >> 4 or free < mss or (shrinks and free < 1 << shift):
                return 0
        if shrinks:
            return min(free, -(-self.ssthresh >> shift) << shift)
        free = min(free, self.ssthresh)
        if shift:
            window = -(-free >> shift) << shift
            if not rmem and window <= MAX_UNSCALED << shift:
                self.steady = window
            return window
        window = tcb.rcv_wnd
        if window <= free - mss or window > free:
            return free - free % mss
        if mss == clamp and free > window + (clamp >> 1):
            return free
        return window

    def on_data(self, length: Octets, packets: Packets, acking: AckPolicy, held: Octets = -1) -> None:
        """`length` octets arrived in one segment: the offered share grows, by two segments if such a one will fit what
        is offered, and that is told at once (Linux). `held`: they are beyond a gap, and cost so much of what is held.
        """
        if held < 0 and self.window_of(self.rcvbuf - packets.ready) <= self.ssthresh:
            return  # what waits costs its octets at least: no need to count
        rmem = packets.settle()
        if held >= 0:
            rmem -= held
        cost = cost_of(length + packets.header)[0]
        room = min(self.clamp, self.window_of(self.rcvbuf - rmem)) - self.ssthresh
        if room <= 0:
            if held < 0 and min(self.clamp, self.window_of(self.rcvbuf - cost)) <= self.ssthresh:
                self.enough = min(self.enough, length)
            return
        if self._memory.pressed and self._memory.persists():
            self.ssthresh = min(self.ssthresh, 4 * acking.advmss)
            self._changes()
            return
        cost = self.window_of(cost)
        more = 2 * acking.advmss if cost <= length else self._less(cost >> 1, length, acking.rcv_mss)
        if more:
            self.ssthresh += min(room, max(more, 2 * length))
            self.steady = 0
            acking.quick |= 1

    def _less(self, cost: Octets, length: Octets, mss: Octets) -> Octets:
        """A segment that costs more than it carries widens a window that is small still."""
        window = self.window_of(self._memory.config.rmem[2]) >> 1
        while self.ssthresh <= window:
            if cost <= length:
                return 2 * mss
            cost >>= 1
            window >>= 1
        return 0

    def learn(self, length: Octets, packets: Packets) -> None:
        """A full segment, of another size than those before, had `length` octets of text."""
        ratio = (length << 8) // cost_of(length + packets.header)[0] or 1
        if ratio == self.ratio:
            return
        self.ratio = ratio
        self.set_clamp(self.window_of(self.rcvbuf), packets.rcv_wnd)
        self.tune.space = min(self.tune.space, self.clamp)

    def set_clamp(self, clamp: Octets, rcv_wnd: Octets) -> None:
        """The largest window from now on. TCP_WINDOW_CLAMP does the same, and holds until the next segment of another
        size, or until the buffer grows (Linux)."""
        clamp = max(clamp, _LEAST_CLAMP)
        before, self.clamp = self.clamp, clamp
        self._changes()
        if clamp < before:
            self.ssthresh = min(self.ssthresh, clamp)
        elif clamp > before:
            self.ssthresh = max(self.ssthresh, min(rcv_wnd, clamp))

    def resize(self, rcvbuf: Octets) -> None:
        """The buffer holds `rcvbuf` from now on; what was offered stays offered."""
        self.rcvbuf = rcvbuf
        self.tight = rcvbuf < _ROOMY
        self._changes()

    def reserve(self, least: Octets) -> None:
        """SO_RCVLOWAT: the window is not to close before there are so many octets."""
        rcvbuf = (least << 8) // self.ratio
        if not self.locked and rcvbuf > self.rcvbuf:
            self.resize(rcvbuf)
            self.clamp = max(self.clamp, least)

    def fit(self, taken: Octets, beyond: Octets) -> None:
        """Fit the buffer to a user who took `taken` octets in a round trip; `beyond`: octets' span of holes.

        Not when SO_RCVBUF fixed it.
        """
        before, self.tune.space = self.tune.space, taken
        config = self._memory.config
        if self.locked or not config.moderate_rcvbuf:
            return
        rcvbuf = buffer_for(taken, before, beyond, self.ratio, config.rmem[2])
        if rcvbuf > self.rcvbuf:
            self.resize(rcvbuf)
            self.clamp = self.window_of(rcvbuf)

    def squeeze(self, rmem: Octets, acking: AckPolicy) -> None:
        """The buffer is full. It grows by what is over, if it may; else the window is to shrink (Linux)."""
        acking.quick = 0
        most = self._memory.config.rmem[2]
        if self.rcvbuf < most and not self.locked and not self._memory.pressed:
            self.resize(min(rmem, most))
        if rmem > self.rcvbuf:
            self.ssthresh = min(self.clamp, 2 * acking.advmss)
            self._changes()
