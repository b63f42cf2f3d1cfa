"""Dynamic right-sizing: the receive buffer follows what the user takes in a round trip (Linux's DRS).

A sender fills at most the window in a round trip. If the user takes that much, the window is the limit, so it doubles
what was taken, as slow start would; if the user is slower, there is no point. A receiver that does not send has no
round-trip time of its own, so it is measured here: from the timestamps that come back (RFC 7323 4), and without them
from how long a window full of data takes, which is at least a round trip.
"""

from netstack.units import Micros, Octets, Seq

_NEVER: Micros = 1 << 62
_CLOSELY = 32
"""Segments in order that are looked at one by one; after these, one for each window full of data (Linux: all)."""


class AutoTune:
    """rcv_rtt_est and rcvq_space of one connection, in Linux's words."""

    __slots__ = (
        "_echo", "_full_at", "_rtt8", "_since", "_taken_at", "closely", "look_at", "look_from", "space", "taken_to",
        "until",
    )  # fmt: skip

    def __init__(self) -> None:
        self._rtt8: Micros = 0
        self._echo = 0
        """The timestamp that was echoed last."""
        self._since: Micros = -1
        self._full_at: Seq = 0
        """Where a window full of data, counted from `_since`, ends."""
        self.closely = _CLOSELY
        """So many segments are still looked at one by one, as is every read until then."""
        self.until: Seq = 0
        """When RCV.NXT reaches this, `measure` is to be called."""
        self.space: Octets = 0
        """What the user took in the best round trip so far (tcpi_rcv_space)."""
        self.look_at: Seq = 0
        """When RCV.NXT is beyond this, the user reads, and it is `look_from` or later, `taken` is to be called."""
        self.look_from: Micros = _NEVER
        """A round trip after `_taken_at`."""
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
        self.until = self.taken_to = self.look_at = rcv_nxt
        self._taken_at = now
        if self._rtt8:
            self._set_rtt(self._rtt8)

    def measure(self, rcv_nxt: Seq, rcv_wnd: Octets, now: Micros) -> None:
        """Text up to `rcv_nxt` arrived in order: how long did a window full of it take?"""
        if self._since < 0 or rcv_nxt >= self._full_at:
            if self._since >= 0:
                window_full = max(now - self._since, 1) << 3
                if not self._rtt8 or window_full < self._rtt8:  # never more than it was: the peer may have paused
                    self._set_rtt(window_full)
            self._since = now
            self._full_at = rcv_nxt + rcv_wnd
        if self.closely:
            self.closely -= 1
            self.until = rcv_nxt
        else:
            self.until = max(self._full_at, rcv_nxt + 1)

    def hear_echo(self, ts_ecr: int, since: Micros, full: bool, keeps_up: bool) -> None:
        """Text arrives that echoes `ts_ecr`, which left `since` ago; `full`: it is a segment of the peer's largest.
        `keeps_up`: the user had taken everything before."""
        if ts_ecr == self._echo:
            return
        self._echo = ts_ecr
        if not full or since <= 0:
            return
        if not self._rtt8 or since << 3 < self._rtt8:
            self._set_rtt(since << 3)
        elif keeps_up:  # else the peer may have waited for the window
            self._set_rtt(self._rtt8 + since - (self._rtt8 >> 3))

    def _set_rtt(self, rtt8: Micros) -> None:
        self._rtt8 = rtt8
        self.look_from = self._taken_at + (rtt8 >> 3)

    def taken(self, copied: Seq, queued: Octets, now: Micros) -> Octets:
        """The user has everything below `copied`; `queued` octets wait. A round trip has passed since the last call.

        Returns what was taken in a round trip when that is more than ever before, else 0.
        """
        rtt, elapsed = self._rtt8 >> 3, now - self._taken_at
        amount = copied - self.taken_to - queued
        self.taken_to, self._taken_at = copied, now
        self.look_from = now + rtt
        if not self.closely:
            self.look_at = copied + self.space
            if elapsed > 2 * rtt:
                amount = amount * rtt // elapsed  # a slow stream, or one that paused
        return amount if amount > self.space else 0


def buffer_for(taken: Octets, before: Octets, beyond: Octets, ratio: int, most: Octets) -> Octets:
    """The receive buffer for a user who took `taken` octets in a round trip, `before` in the best one until then.

    The window is twice what was taken, so that losses do not close it, and more by as much as the rate is growing, so
    that a sender in slow start finds it open a round trip later; `beyond`: octets' span of holes. `ratio`: 256ths of
    the buffer that are window; `most` is tcp_rmem's last.
    """
    window = 2 * taken
    if taken > before > 0:
        window += 2 * (window * (taken - before) // before)
    return min(((window + beyond) << 8) // ratio, most)
