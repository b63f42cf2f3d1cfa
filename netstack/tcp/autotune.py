"""Dynamic right-sizing: the receive buffer follows what the user takes in a round trip (Linux's DRS).

A sender fills at most the window in a round trip. If the user takes that much, the window is the limit, so it doubles
what was taken, as slow start would; if the user is slower, there is no point. A receiver that does not send has no
round-trip time of its own, so it is measured here: from the timestamps that come back (RFC 7323 4), and without them
from how long a window full of data takes, which is at least a round trip.
"""

from netstack.units import Micros, Octets, Seq


class AutoTune:
    """rcv_rtt_est and rcvq_space of one connection, in Linux's words."""

    __slots__ = ("_rtt8", "_since", "_taken_at", "space", "taken_to", "until")

    def __init__(self) -> None:
        self._rtt8: Micros = 0
        self._since: Micros = -1
        self.until: Seq = 0
        """When RCV.NXT reaches this, `measure` is to be called."""
        self.space: Octets = 0
        """What the user took in the best round trip so far (tcpi_rcv_space)."""
        self.taken_to: Seq = 0
        """Where the user was, and when, at the end of the last round trip that was looked at."""
        self._taken_at: Micros = 0

    @property
    def rtt(self) -> Micros:
        """The round-trip time as the receiver sees it; 0: not known."""
        return self._rtt8 >> 3

    def start(self, space: Octets, rcv_nxt: Seq, now: Micros) -> None:
        """ESTABLISHED; `space`: the first guess of what the user takes in a round trip."""
        self.space = space
        self.until = self.taken_to = rcv_nxt
        self._taken_at = now

    def measure(self, rcv_nxt: Seq, rcv_wnd: Octets, echo: Micros, keeps_up: bool, now: Micros) -> None:
        """Text up to `rcv_nxt` arrived. `echo`: how long ago left what its timestamp echoes, 0 when it does not tell.
        `keeps_up`: the user had taken everything before."""
        if echo > 0:
            if not self._rtt8 or echo << 3 < self._rtt8:
                self._rtt8 = echo << 3
            elif keeps_up:  # else the peer may have waited for the window
                self._rtt8 += echo - (self._rtt8 >> 3)
        elif self._since >= 0:
            window_full = max(now - self._since, 1) << 3
            if not self._rtt8 or window_full < self._rtt8:  # never more than it was: the peer may have paused
                self._rtt8 = window_full
        self._since = now
        self.until = rcv_nxt + max(rcv_wnd, 1)

    def taken(self, copied: Seq, queued: Octets, now: Micros) -> Octets:
        """More than `space` came since `taken_to`. The user has everything below `copied`; `queued` octets wait.

        Returns what was taken in a round trip when that is more than ever before, else 0.
        """
        rtt, elapsed = self._rtt8 >> 3, now - self._taken_at
        if not self._rtt8 or elapsed < rtt:
            return 0
        amount = copied - self.taken_to - queued
        if elapsed > 2 * rtt:
            amount = amount * rtt // elapsed  # a slow stream, or one that paused
        self.taken_to, self._taken_at = copied, now
        if amount <= self.space:
            return 0
        self.space = amount
        return amount


def buffer_for(taken: Octets, before: Octets, beyond: Octets, most: Octets) -> Octets:
    """The receive buffer for a user who took `taken` octets in a round trip, `before` in the best one until then.

    The window is twice what was taken, so that losses do not close it, and more by as much as the rate is growing, so
    that a sender in slow start finds it open a round trip later; `beyond`: octets' span of holes. The buffer is twice
    the window, for overhead; `most` is tcp_rmem's last.
    """
    window = 2 * taken
    if taken > before > 0:
        window += 2 * (window * (taken - before) // before)
    return min(2 * (window + beyond), most)
