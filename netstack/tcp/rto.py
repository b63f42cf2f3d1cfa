"""The round-trip estimator and the retransmission timeout (RFC 6298).

Pure arithmetic in integer microseconds; the caller applies Karn's rule (section 3) and keeps the timer.
"""

from netstack.tcp.min_rtt import MinRtt
from netstack.units import MILLISECOND, SECOND, Micros, Seq

FALLBACK: Micros = 3 * SECOND
"""RFC 6298 5.7."""
TICK: Micros = 4 * MILLISECOND
"""The granularity G of the clock that timers run by (RFC 6298 2.3): a jiffy of a Linux with HZ = 250, as most have."""


def in_ticks(wait: Micros) -> Micros:
    """Whole ticks, not less than `wait`."""
    return -(-wait // TICK) * TICK


class RttEstimator:
    """SRTT, RTTVAR and RTO of one connection, with Linux's refinements of RFC 6298 2.

    Deviation: the floor (`rto_min`) applies to the variance term, RTO = SRTT + max(4 * RTTVAR, rto_min), as Linux has
    it, and RTTVAR falls only once a round trip: fewer spurious timeouts when an application pauses and resumes.
    """

    __slots__ = (
        "_mdev", "_mdev_max", "_round_end", "backoff", "latest", "min_rtt", "minimum", "rto", "rto_max", "rto_min",
        "rttvar4", "srtt8",
    )  # fmt: skip

    def __init__(self, initial: Micros, rto_min: Micros, rto_max: Micros, min_rtt_wlen: Micros) -> None:
        self.rto: Micros = initial
        """RTO before any back-off."""
        self.backoff = 0
        """How often the timer fired since the last sample (RFC 6298 5.5; a sample ends it, 5.7)."""
        self.rto_min: Micros = rto_min
        self.rto_max: Micros = rto_max
        self.srtt8 = 0
        """SRTT * 8, so that the gain of 1/8 is a shift; 0 before the first sample."""
        self.rttvar4: Micros = initial
        """RTTVAR * 4, floored at rto_min."""
        self._mdev = initial
        self._mdev_max = 0
        self._round_end: Seq = 0
        self.min_rtt: Micros = 0
        """The smallest sample of the last minutes; 0 before the first."""
        self.minimum = MinRtt(min_rtt_wlen)
        self.latest: Micros = 0
        """The last sample; those who watch set it back to 0 to see the next."""

    @property
    def srtt(self) -> Micros:
        """SRTT in microseconds; 0 before the first sample."""
        return self.srtt8 >> 3

    @property
    def rttvar(self) -> Micros:
        """The mean deviation (RTTVAR) in microseconds."""
        return self._mdev >> 2

    def sample(self, rtt: Micros, shortest: Micros, snd_una: Seq, snd_nxt: Seq, now: Micros) -> None:
        """Fold in one measurement (RFC 6298 2.2-2.3). `snd_una` and `snd_nxt` tell when a round trip has passed.

        `rtt`: of the first segment that the ACK is for, with the peer's delay; `shortest`: of the last one.
        """
        if rtt <= 0:
            rtt = 1
        self.backoff = 0
        self.latest = rtt
        minimum = self.minimum
        if shortest < minimum.ask_below or now > minimum.ask_from:
            self.min_rtt = minimum.take(shortest, now)
        srtt8 = self.srtt8
        if not srtt8:
            self._first(rtt, snd_nxt)
            return
        mdev = self._mdev
        error = rtt - (srtt8 >> 3)
        self.srtt8 = srtt8 = srtt8 + error
        if error < 0:
            error = -error - (mdev >> 2)
            if error > 0:  # a falling RTT must not raise the variance at full gain (Linux, after Eifel)
                error >>= 3
        else:
            error -= mdev >> 2
        self._mdev = mdev = mdev + error
        if mdev > self._mdev_max:
            self._mdev_max = mdev
            if mdev > self.rttvar4:
                self.rttvar4 = mdev
        rttvar4 = self.rttvar4
        if snd_una > self._round_end:
            if self._mdev_max < rttvar4:
                self.rttvar4 = rttvar4 = rttvar4 - ((rttvar4 - self._mdev_max) >> 2)
            self._round_end = snd_nxt
            self._mdev_max = self.rto_min
        rto = (srtt8 >> 3) + rttvar4
        self.rto = rto if rto < self.rto_max else self.rto_max

    def _first(self, rtt: Micros, snd_nxt: Seq) -> None:
        """RFC 6298 2.2."""
        self.srtt8 = rtt << 3
        self._mdev = rtt << 1
        self.rttvar4 = self._mdev_max = max(self._mdev, self.rto_min)
        self._round_end = snd_nxt
        self.rto = min(rtt + self.rttvar4, self.rto_max)

    def settle(self) -> None:
        """RFC 6298 5.7: the handshake gave no sample, so a SYN was lost or late; be patient from here on."""
        if not self.srtt8:
            self.rto = self.rttvar4 = self._mdev = FALLBACK

    def timeout(self) -> Micros:
        """The RTO to arm now, in whole ticks: doubled once per back-off, at most rto_max (RFC 6298 5.5)."""
        return min(in_ticks(self.rto) << min(self.backoff, 32), self.rto_max)
