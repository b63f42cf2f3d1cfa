"""What kept the sender from being done: the network, the peer's window, or the send buffer (busy_time in tcp_info).

At any moment one reason holds, the gravest one, as in Linux: a sender that waits for the window is busy too, so
`busy_time` covers all three. RFC 4898's tcpEStatsPerf "SndLim" times are the same idea.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.tcp.state import CLOSE_WAIT, ESTABLISHED
from netstack.units import Micros

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore

IDLE, BUSY, RWND_LIMITED, SNDBUF_LIMITED = range(4)
"""Nothing to send or be acknowledged; something is; it waits for the peer's window; for the user, whose writes find
the send buffer full although everything in it has left."""


class Chrono:
    """The stop watches of one connection: `kind` runs since `since`, the others show what they have."""

    __slots__ = ("busy", "kind", "rwnd_limited", "since", "sndbuf_limited")

    def __init__(self) -> None:
        self.kind = IDLE
        self.since: Micros = 0
        self.busy: Micros = 0
        """Busy for no other reason."""
        self.rwnd_limited: Micros = 0
        self.sndbuf_limited: Micros = 0

    def turn(self, kind: int, now: Micros) -> None:
        """From now on it is `kind`."""
        spent = now - self.since
        if self.kind == BUSY:
            self.busy += spent
        elif self.kind == RWND_LIMITED:
            self.rwnd_limited += spent
        elif self.kind == SNDBUF_LIMITED:
            self.sndbuf_limited += spent
        self.kind = kind
        self.since = now

    def start(self, kind: int, now: Micros) -> None:
        """`kind` holds; a graver one goes on."""
        if kind > self.kind:
            self.turn(kind, now)

    def stop(self, kind: int, now: Micros) -> None:
        """`kind` holds no longer: merely busy."""
        if kind == self.kind:
            self.turn(BUSY, now)

    def rest(self, now: Micros) -> None:
        """Everything sent is acknowledged and nothing waits."""
        if self.kind == BUSY:
            self.busy += now - self.since
            self.kind = IDLE
        elif self.kind:
            self.turn(IDLE, now)

    def read(self, now: Micros) -> tuple[Micros, Micros, Micros]:
        """busy_time, rwnd_limited, sndbuf_limited as of `now`."""
        self.turn(self.kind, now)
        return self.busy + self.rwnd_limited + self.sndbuf_limited, self.rwnd_limited, self.sndbuf_limited


def note(conn: ConnectionCore, watch: Chrono, sent_freely: bool, now: Micros) -> None:
    """After a round of sending: what stopped it? `sent_freely`: something left, and cwnd would have taken more."""
    tcb = conn.tcb
    waiting = conn.send_buffer.end - tcb.snd_nxt
    room = tcb.snd_una + tcb.snd_wnd - tcb.snd_nxt
    recovery = conn.recovery
    if room < min(waiting, conn.send_mss) and recovery.scoreboard.in_flight() < recovery.cc.cwnd:
        watch.start(RWND_LIMITED, now)
    else:
        watch.stop(RWND_LIMITED, now)
    if sent_freely and waiting <= 0 and conn.starved and (tcb.state is ESTABLISHED or tcb.state is CLOSE_WAIT):
        watch.start(SNDBUF_LIMITED, now)
