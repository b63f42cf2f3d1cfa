"""The receive window: what to offer, without silly windows (RFC 9293 3.8.6.2.2).

The right edge never moves left (3.8.6: "shrinking the window" is discouraged; here it does not happen). The buffer is
counted twice the window, as Linux does at its default scaling, since data costs memory beyond its octets. How the
buffer grows is `autotune`'s.
"""

from netstack.config import TcpConfig
from netstack.tcp.autotune import AutoTune
from netstack.tcp.memory import Memory
from netstack.tcp.tcb import Tcb
from netstack.units import Octets

MAX_UNSCALED = 65_535
_NO_CLAMP: Octets = MAX_UNSCALED << 14
LEAST_TEXT: Octets = 128
"""Segments with less text than this do not widen the window: they cost more than they carry (Linux)."""


def scale_for(config: TcpConfig, rcvbuf: Octets, clamp: Octets = 0) -> int:
    """Rcv.Wind.Shift: enough for the largest window the connection may come to (RFC 7323 2.3).

    That is what tcp_rmem allows, or half of SO_RCVBUF (`rcvbuf`, 0: not set), which does not grow; TCP_WINDOW_CLAMP
    (`clamp`, 0: not set) bounds both.
    """
    if not config.window_scaling:
        return 0
    space = min(max(config.rmem[2], config.rmem_max), clamp or _NO_CLAMP, rcvbuf >> 1 or _NO_CLAMP)
    shift = 0
    while space > MAX_UNSCALED and shift < 14:
        space >>= 1
        shift += 1
    return shift


def initial(rcvbuf: Octets, mss: Octets, clamp: Octets = 0) -> Octets:
    """The window to begin with: half the buffer, in whole segments. A SYN's field says less when it is more than that
    can hold (RFC 7323 2.2); the first segment behind it says the rest."""
    space = min(rcvbuf >> 1, clamp or _NO_CLAMP)
    return space - space % mss if space > mss else space


class ReceiveWindow:
    """Buffer size and the share of it that may be offered, for one connection."""

    __slots__ = ("_memory", "chosen", "clamp", "locked", "rcvbuf", "ssthresh", "steady", "tune")

    def __init__(self, rcvbuf: Octets, locked: bool, clamp: Octets, offered: Octets, memory: Memory) -> None:
        self.rcvbuf: Octets = rcvbuf
        self.locked = locked
        """SO_RCVBUF was set: no auto-tuning."""
        self.chosen: Octets = clamp or _NO_CLAMP
        """TCP_WINDOW_CLAMP."""
        self._memory = memory
        self.clamp: Octets = min(rcvbuf >> 1, self.chosen)
        """The largest window the buffer allows."""
        self.ssthresh: Octets = offered
        """The most that may be offered now (Linux's rcv_ssthresh): grows as the peer shows that it fills segments."""
        self.steady: Octets = 0
        """What `select` says whenever nothing is held, if the edge does not move left by it; 0: ask."""
        self.tune = AutoTune()

    def open(self, tcb: Tcb, advmss: Octets) -> None:
        """ESTABLISHED: the scale is settled. A segment's worth of the buffer is kept back until data shows how well it
        is filled, as in Linux."""
        whole = self.rcvbuf >> 1
        self.chosen = min(self.chosen, MAX_UNSCALED << tcb.rcv_wscale)
        clamp = min(self.chosen, whole)
        if clamp > 2 * advmss and clamp + advmss > whole:
            clamp = max(2 * advmss, whole - advmss)
        self.clamp = clamp
        self.steady = 0
        self.ssthresh = min(self.ssthresh, clamp)
        tcb.rcv_wnd = min(tcb.rcv_wnd, MAX_UNSCALED << tcb.rcv_wscale)

    def select(self, tcb: Tcb, held: Octets, mss: Octets) -> Octets:
        """The window to offer now, in octets (a multiple of the scale unit); `held`: octets buffered, in order or not.

        RFC 9293 3.8.6.2.2: nothing less than min(segment, a sixteenth) is opened from zero; the edge stays otherwise.
        """
        clamp = self.clamp
        current = tcb.rcv_wup + tcb.rcv_wnd - tcb.rcv_nxt
        free = (self.rcvbuf >> 1) - held
        if mss > clamp:
            mss = clamp
        shift = tcb.rcv_wscale
        if free < clamp >> 1:
            if self._memory.pressed and self._memory.persists():
                self.ssthresh = min(self.ssthresh, 4 * mss)
                self.steady = 0
            if free < mss or free < self.rcvbuf >> 5:
                return -(-current >> shift) << shift if current > 0 else 0
        if free > self.ssthresh:
            free = self.ssthresh
        if shift:
            window = -(-free >> shift) << shift
            if not held and window <= MAX_UNSCALED << shift:
                self.steady = window
        else:
            window = current
            if window <= free - mss or window > free:
                window = free - free % mss
            elif mss == clamp and free > window + (clamp >> 1):
                window = free
        return window if window >= current else -(-current >> shift) << shift  # rounded up, or the edge moved left

    def on_data(self, length: Octets, advmss: Octets) -> None:
        """A segment in order arrived: as in slow start, the offered share grows by two segments each (Linux)."""
        room = self.clamp - self.ssthresh
        memory = self._memory
        if room > 0 and length >= LEAST_TEXT and not (memory.pressed and memory.persists()):
            self.ssthresh += min(room, 2 * max(length, advmss))
            self.steady = 0

    def use_all(self) -> None:
        """Data has come: nothing is kept back any more."""
        self.clamp = min(self.rcvbuf >> 1, self.chosen)

    def resize(self, rcvbuf: Octets) -> None:
        """The buffer holds `rcvbuf` from now on; what was offered stays offered."""
        self.rcvbuf = rcvbuf
        self.clamp = min(rcvbuf >> 1, self.chosen)
        self.steady = 0

    def choose_clamp(self, clamp: Octets, tcb: Tcb) -> None:
        """TCP_WINDOW_CLAMP was set on a connection that exists. It bounds from now on what is offered.

        Deviation: Linux forgets it when the buffer grows; here it holds.
        """
        before, self.chosen = self.clamp, min(clamp or _NO_CLAMP, MAX_UNSCALED << tcb.rcv_wscale)
        self.clamp = min(self.rcvbuf >> 1, self.chosen)
        self.steady = 0
        if self.clamp < before:
            self.ssthresh = min(self.ssthresh, self.clamp)
        else:
            self.ssthresh = max(self.ssthresh, min(tcb.rcv_wnd, self.clamp))
