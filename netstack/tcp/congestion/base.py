"""How much may be in flight: the interface of congestion control (RFC 5681; RFC 9293 3.8.2).

Loss *recovery* (what to send again) is another matter: see `tcp.recovery`. Deviation: windows count segments, not
octets, as Linux does, so that figures compare with `ss` and tcp_info; RFC 5681 2 allows either.
"""

from typing import Protocol

from netstack.units import Micros

INFINITE = 0x7FFF_FFFF
"""ssthresh before the first loss: "arbitrarily high" (RFC 5681 3.1)."""


class CongestionControl(Protocol):
    """One algorithm with the state of one connection. Sizes in segments, times in microseconds."""

    name: str
    cwnd: int
    ssthresh: int

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
