"""Delivery rate: how fast what we sent arrived (draft-cheng-iccrg-delivery-rate-estimation, as in Linux's tcp_rate).

Each record notes, when it is sent, how much had been delivered by then and when. The ACK that delivers it closes a
sample: so much was delivered in the meantime, and that took as long as the slower of sending it and having it
acknowledged. A sample begun while the user had nothing more to send says how fast the user is, not the path.
"""

from __future__ import annotations

from netstack.tcp.scoreboard import Sent
from netstack.units import SECOND, Micros, Octets

_NO_MARK = 0


class Sample:
    """One sample: `delivered` segments in `interval` microseconds, with what a model of the path wants besides."""

    __slots__ = (
        "acked",
        "app_limited",
        "delivered",
        "in_flight",
        "interval",
        "losses",
        "prior_delivered",
        "prior_in_flight",
        "rtt",
        "rtt_is_late",
    )

    def __init__(self) -> None:
        self.delivered = -1
        """-1: this ACK closes no sample."""
        self.interval: Micros = -1
        self.prior_delivered = 0
        """What had been delivered when the sample began."""
        self.app_limited = False
        self.acked = 0
        """Segments that this ACK delivered."""
        self.losses = 0
        """Segments found lost by it."""
        self.prior_in_flight = 0
        self.in_flight = 0
        self.rtt: Micros = -1
        self.rtt_is_late = False
        """One lone segment: the peer may have delayed the ACK."""


class Rate:
    """The counts that records copy, and the last samples."""

    __slots__ = (
        "_free", "_free_at", "_free_total", "_limited", "_limited_at", "_limited_total", "app_limited", "delivered_at",
        "first_at", "newest",
    )  # fmt: skip

    def __init__(self) -> None:
        self.delivered_at: Micros = 0
        """When anything was delivered last; when nothing was outstanding before, when sending began."""
        self.first_at: Micros = 0
        """When the last record left that was delivered: where the sending of the next sample begins."""
        self.app_limited = 1
        """Until so many segments are delivered, samples say how fast the user is; 0: they do not."""
        self.newest: Sent | None = None
        """While an ACK is taken in: of the records that it delivers, the one sent last."""
        self._free: Sent | None = None
        self._free_at: Micros = 0
        self._free_total = 0
        self._limited: Sent | None = None
        self._limited_at: Micros = 0
        self._limited_total = 0

    # -- sending -------------------------------------------------------------------------------------------------------

    def stamp(self, record: Sent, delivered: int, idle: bool, now: Micros) -> None:
        """`record` leaves (again); `delivered` segments so far; `idle`: nothing was outstanding before it."""
        if idle:
            self.first_at = self.delivered_at = now
        record.first_at = self.first_at
        record.delivered_at = self.delivered_at
        record.delivered = delivered
        record.app_limited = self.app_limited

    # -- an ACK --------------------------------------------------------------------------------------------------------

    def on_delivered(self, record: Sent) -> None:
        """One of the records that this ACK delivers."""
        newest = self.newest
        if (
            newest is None
            or record.sent_at > newest.sent_at
            or (record.sent_at == newest.sent_at and record.end > newest.end)
        ):
            self.newest = record

    def close(self, record: Sent, delivered: int, now: Micros) -> None:
        """An ACK delivered something, `record` having been sent last; `delivered` segments in all."""
        self.delivered_at = now
        self.first_at = record.sent_at
        if self.app_limited and delivered > self.app_limited:
            self.app_limited = _NO_MARK
        if record.app_limited:
            self._limited, self._limited_total, self._limited_at = record, delivered, now
        else:
            self._free, self._free_total, self._free_at = record, delivered, now
            self._limited = None

    def fill(self, sample: Sample, record: Sent | None, delivered: int, min_rtt: Micros, now: Micros) -> None:
        """What `close` heard, as a sample; none when it took less than any round trip can (Linux)."""
        sample.delivered = sample.interval = -1
        if record is None:
            return
        sample.prior_delivered = record.delivered
        sample.app_limited = bool(record.app_limited)
        interval = max(record.sent_at - record.first_at, now - record.delivered_at)
        sample.delivered = delivered - record.delivered
        if interval >= min_rtt:
            sample.interval = interval

    # -- what is told --------------------------------------------------------------------------------------------------

    def delivery_rate(self, mss: Octets, min_rtt: Micros) -> tuple[Octets, bool]:
        """Octets a second, and whether that is the user's pace: the last sample, or, if the user limited that, the
        last one that nobody limited when it was faster (Linux)."""
        free = _per_second(self._free, self._free_total, self._free_at, mss, min_rtt)
        limited = _per_second(self._limited, self._limited_total, self._limited_at, mss, min_rtt)
        if not free and not limited:
            return 0, True
        return (limited, True) if limited >= free else (free, False)


def _per_second(record: Sent | None, total: int, at: Micros, mss: Octets, min_rtt: Micros) -> Octets:
    if record is None:
        return 0
    interval = max(record.sent_at - record.first_at, at - record.delivered_at)
    if interval < max(min_rtt, 1):
        return 0
    return (total - record.delivered) * mss * SECOND // interval
