"""How much may be in flight, and how fast: the interface of congestion control (RFC 5681; RFC 9293 3.8.2).

Two kinds: one moves its window by losses and ACKs, and recovery reduces it; a `Model` is told what each ACK delivered
and how fast, and decides window and pacing rate itself, in recovery too (Linux's cong_control).

Loss *recovery* (what to send again) is another matter: see `tcp.recovery`. Deviation: windows count segments, not
octets, as Linux does, so that figures compare with `ss` and tcp_info; RFC 5681 2 allows either.
"""

from typing import Protocol

from netstack.tcp.rate import Sample
from netstack.units import Micros

INFINITE = 0x7FFF_FFFF
"""ssthresh before the first loss: "arbitrarily high" (RFC 5681 3.1)."""


class Chance(Protocol):
    """What an algorithm may ask of a random source."""

    def randrange(self, stop: int, /) -> int:
        """An int in [0, stop)."""
        ...


class CongestionControl(Protocol):
    """One algorithm with the state of one connection. Sizes in segments, times in microseconds."""

    name: str
    cwnd: int
    ssthresh: int
    pacing_rate: int
    """Octets a second at which to send; 0: no opinion, what cwnd and SRTT come to will do."""
    sndbuf_expand: int
    """So many times cwnd the send buffer is to hold: what a loss leaves unacknowledged besides what is in flight."""
    is_model: bool
    """It is a `Model`."""

    def ssthresh_after_loss(self) -> int:
        """The ssthresh to use when a loss (or an ECN mark) has been found now."""
        ...

    def on_ack(self, acked: int, srtt: Micros, now: Micros) -> None:
        """`acked` segments arrived outside recovery while cwnd was the limit: grow."""
        ...

    def on_rtt(self, rtt: Micros, now: Micros) -> None:
        """A round-trip time was measured."""
        ...

    def on_round(self) -> None:
        """A round trip has passed: what was outstanding when the last one ended is acknowledged."""
        ...

    def on_timeout(self, now: Micros) -> None:
        """An RTO collapsed cwnd (RFC 5681 3.1): forget what was learnt of the path."""
        ...

    def cwnd_after_undo(self, prior_cwnd: int) -> int:
        """The window to return to when a loss turns out never to have happened."""
        ...

    def on_idle(self, idle: Micros, now: Micros) -> None:
        """Sending restarts after `idle` without a segment out."""
        ...


class Model(CongestionControl, Protocol):
    """One that goes by a model of the path. `sample` is filled in before each of these calls."""

    sample: Sample
    starves: bool
    """It keeps the path empty for a while, so samples say nothing about it (as if the user sent too little)."""

    def on_open(self, srtt: Micros, min_rtt: Micros, now: Micros) -> None:
        """It takes over: the connection is established, or its user chose another algorithm."""
        ...

    def on_sample(self, now: Micros) -> None:
        """An ACK was taken in, in whatever state recovery is now."""
        ...

    def on_loss_state(self, now: Micros) -> None:
        """The retransmission timer fired, everything outstanding counts as lost, and cwnd is one segment."""
        ...

    def on_restart(self, limited: bool, now: Micros) -> None:
        """Sending begins with nothing outstanding; `limited`: because the user had nothing to send."""
        ...
