"""Delivery rate: how fast what we sent arrived (draft-cheng-iccrg-delivery-rate-estimation, as in Linux's tcp_rate).

Each record notes, when it is sent, how much had been delivered by then and when. The ACK that delivers it closes a
sample: so much was delivered in the meantime, and that took as long as the slower of sending it and having it
acknowledged. A sample begun while the user had nothing more to send says how fast the user is, not the path.
"""

from __future__ import annotations

from netstack.tcp.scoreboard import Sent
from netstack.units import SECOND, Micros, Octets, Seq

_NO_MARK = 0


class Sample:
    """One sample: `delivered` segments in `interval` microseconds, with what a model of the path wants besides."""

    __slots__ = (
        "acked",
        "app_limited",
        "behind",
        "ca_state",
        "delivered",
        "delivered_at",
        "in_flight",
        "interval",
        "losses",
        "mss",
        "prior_delivered",
        "prior_in_flight",
        "prior_lost",
        "prior_una",
        "rtt",
        "rtt_is_late",
        "srtt",
        "total_delivered",
        "total_lost",
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
        self.prior_lost = 0
        self.prior_una: Seq = 0
        """As it was before the ACK: in flight, lost in all, SND.UNA."""
        self.in_flight = 0
        self.rtt: Micros = -1
        """-1: it tells none."""
        self.rtt_is_late = False
        """One lone, small segment: the peer may have delayed the ACK."""
        self.total_delivered = 0
        self.total_lost = 0
        self.delivered_at: Micros = 0
        """When anything was delivered last."""
        self.srtt: Micros = 0
        self.mss: Octets = 0
        self.ca_state = 0
        """Of recovery, after this ACK."""
        self.behind: Micros = 0
        """How long pacing will hold back what is sent next."""


class Rate:
    """The counts that records copy, and the sample that stands."""

    __slots__ = (
        "_at", "_count", "_interval", "_limited", "_record", "_total", "app_limited", "delivered_at", "first_at",
        "newest",
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
        self._record: Sent | None = None
        self._total = 0
        self._at: Micros = 0
        """The sample that stands: its record, what was delivered in all when it was closed, and when that was."""
        self._count = 0
        self._interval: Micros = 0
        self._limited = True
        """The same as segments, how long they took, and whether the user set the pace; a count of 0: not worked out."""

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
        """An ACK delivered something, `record` having been sent last; `delivered` segments in all.

        A sample that the user limited replaces the one that stands only if it is as fast (Linux).
        """
        self.delivered_at = now
        self.first_at = record.sent_at
        if self.app_limited and delivered > self.app_limited:
            self.app_limited = _NO_MARK
        if not record.app_limited:
            self._record, self._total, self._at = record, delivered, now
            self._count = 0
        elif (delivered - record.delivered) * self._interval >= self._count * (now - record.delivered_at):
            self._replace_if_faster(record, delivered, now)

    def _replace_if_faster(self, record: Sent, delivered: int, now: Micros) -> None:
        self.settle()
        count, interval = delivered - record.delivered, _interval(record, now)
        if count * self._interval >= self._count * interval:
            self._record, self._total, self._at = record, delivered, now
            self._count, self._interval = count, interval
            self._limited = True

    def settle(self) -> None:
        """Work out the sample that stands, before its record leaves again (or when somebody asks)."""
        if not self._count and self._record is not None:
            self._count, self._interval = self._total - self._record.delivered, _interval(self._record, self._at)
            self._limited = False

    def fill(self, sample: Sample, record: Sent | None, delivered: int, min_rtt: Micros, now: Micros) -> None:
        """What `close` heard, as a sample; none when it took less than any round trip can (Linux)."""
        sample.delivered = sample.interval = -1
        if record is None:
            return
        sample.prior_delivered = record.delivered
        sample.app_limited = bool(record.app_limited)
        sample.delivered = delivered - record.delivered
        interval = _interval(record, now)
        if interval >= min_rtt:
            sample.interval = interval

    # -- what is told --------------------------------------------------------------------------------------------------

    def delivery_rate(self, mss: Octets, min_rtt: Micros) -> tuple[Octets, bool]:
        """Octets a second, and whether that is the user's pace: the last sample that nobody limited, or one since
        then that the user limited and that was as fast all the same."""
        self.settle()
        if not self._count or self._interval < max(min_rtt, 1):
            return 0, True
        return self._count * mss * SECOND // self._interval, self._limited


def _interval(record: Sent, now: Micros) -> Micros:
    """The slower of two phases: sending what came before `record`, having it acknowledged. The draft's 3.1."""
    return max(record.sent_at - record.first_at, now - record.delivered_at)
