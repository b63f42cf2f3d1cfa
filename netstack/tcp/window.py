"""The receive window: what to offer, without silly windows (RFC 9293 3.8.6.2.2), and how the buffer grows.

The right edge never moves left (3.8.6: "shrinking the window" is discouraged; here it does not happen). The buffer is
counted twice the window, as Linux does at its default scaling, since data costs memory beyond its octets.
"""

from netstack.config import TcpConfig
from netstack.tcp.tcb import Tcb
from netstack.units import Micros, Octets

MAX_UNSCALED = 65_535


def scale_for(config: TcpConfig, rcvbuf: Octets) -> int:
    """Rcv.Wind.Shift: enough for the largest buffer the connection may grow to (RFC 7323 2.3)."""
    if not config.window_scaling:
        return 0
    space = max(config.rmem[2], rcvbuf)
    shift = 0
    while space > MAX_UNSCALED and shift < 14:
        space >>= 1
        shift += 1
    return shift


def initial(rcvbuf: Octets, mss: Octets) -> Octets:
    """The window offered in a SYN: half the buffer, in whole segments, at most what 16 bits say unscaled."""
    space = rcvbuf >> 1
    if space > mss:
        space -= space % mss
    return min(space, MAX_UNSCALED)


class ReceiveWindow:
    """Buffer size and the share of it that may be offered, for one connection."""

    __slots__ = ("_copied", "_round_at", "locked", "rcvbuf", "space", "ssthresh")

    def __init__(self, rcvbuf: Octets, locked: bool, offered: Octets) -> None:
        self.rcvbuf: Octets = rcvbuf
        self.locked = locked
        """SO_RCVBUF was set: no auto-tuning."""
        self.ssthresh: Octets = offered
        """The most that may be offered now (Linux's rcv_ssthresh): grows as the peer shows that it fills segments."""
        self.space: Octets = offered
        """What the user was seen to take in a round trip (rcv_space)."""
        self._copied: Octets = 0
        self._round_at: Micros = 0

    @property
    def clamp(self) -> Octets:
        """The largest window the buffer allows."""
        return self.rcvbuf >> 1

    def select(self, tcb: Tcb, held: Octets, mss: Octets) -> Octets:
        """The window to offer now, in octets (a multiple of the scale unit); `held`: octets buffered, in order or not.

        RFC 9293 3.8.6.2.2: nothing less than min(segment, a sixteenth) is opened from zero; the edge stays otherwise.
        """
        clamp = self.rcvbuf >> 1
        current = tcb.rcv_wup + tcb.rcv_wnd - tcb.rcv_nxt
        free = clamp - held
        if mss > clamp:
            mss = clamp
        shift = tcb.rcv_wscale
        if free < clamp >> 1 and free < mss:
            return -(-current >> shift) << shift if current > 0 else 0
        if free < 0:
            free = 0
        if free > self.ssthresh:
            free = self.ssthresh
        if shift:
            window = -(-free >> shift) << shift
        else:
            window = current
            if window <= free - mss or window > free:
                window = free - free % mss
            elif mss == clamp and free > window + (clamp >> 1):
                window = free
        return window if window >= current else -(-current >> shift) << shift  # rounded up, or the edge moved left

    def on_data(self, length: Octets, mss: Octets) -> None:
        """Segments in order arrived: as in slow start, the offered share grows two segments at a time."""
        if self.ssthresh < self.rcvbuf >> 1 and length >= mss >> 1:
            self.ssthresh = min(self.ssthresh + 2 * max(length, mss), self.rcvbuf >> 1)

    def on_read(self, copied: Octets, mss: Octets, srtt: Micros, config: TcpConfig, now: Micros) -> None:
        """The user took `copied` octets: once a round trip, make the buffer fit twice what was taken (auto-tuning)."""
        self._copied += copied
        if now - self._round_at < srtt:
            return
        taken = self._copied
        if self._round_at and taken > self.space and not self.locked:
            wanted = 2 * taken + 16 * mss
            if taken > self.space:
                wanted += 2 * (wanted * (taken - self.space) // self.space)
            rcvbuf = min(2 * wanted, config.rmem[2])
            if rcvbuf > self.rcvbuf:
                self.rcvbuf = rcvbuf
            self.space = taken
        self._round_at = now
        self._copied = 0
