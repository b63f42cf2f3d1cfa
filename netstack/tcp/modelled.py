"""Recovery with a model of the path (BBR): it says what each ACK delivered, and reduces nothing itself.

A class of its own, put on a connection that chose such an algorithm, as `EcnConnection` is: nobody else is asked for
anything. What is lost, and when that is known, is as in `recovery`.
"""

from collections.abc import Sequence

from netstack.tcp.congestion import CongestionControl, Model
from netstack.tcp.pace import Pace
from netstack.tcp.recovery import Recovery
from netstack.tcp.reduction import OPEN
from netstack.units import Micros, Seq


class ModelRecovery(Recovery):
    """`Recovery` where cwnd is the model's, in all states; only a timeout still collapses it."""

    __slots__ = ()
    cc: Model

    def on_clean_ack(self, ack: Seq, now: Micros) -> None:
        """The model wants to know of the common ACK all that it wants to know of any."""
        self.on_ack(ack, (), False, None, now)

    def on_ack(
        self, ack: Seq, blocks: Sequence[tuple[int, int]], duplicate: bool, ts_ecr: Micros | None, now: Micros
    ) -> bool:
        """As `Recovery.on_ack`; what was so before the ACK belongs to the sample."""
        sample, board = self.cc.sample, self.scoreboard
        sample.prior_in_flight, sample.prior_lost = board.in_flight(), board.total_lost
        sample.prior_una = self.tcb.snd_una
        return super().on_ack(ack, blocks, duplicate, ts_ecr, now)

    def on_timeout(self, now: Micros) -> None:
        """As `Recovery.on_timeout`, and the model is told."""
        super().on_timeout(now)
        self._fill_in(now)
        sample = self.cc.sample
        sample.app_limited = False
        self.cc.on_loss_state(now)

    def on_open(self, now: Micros) -> None:
        """The connection is established, or this algorithm was chosen for it later."""
        self._fill_in(now)
        self.cc.on_open(self.rtt.srtt, self.rtt.min_rtt, now)

    def on_restart(self, now: Micros) -> None:
        """Sending begins with nothing outstanding."""
        self.cc.on_restart(self.rate.app_limited > 0, now)

    def _control(self, delivered: int, newly_lost: int, now: Micros) -> None:
        sample, rate = self.cc.sample, self.rate
        if self.tcb.snd_una <= self.tcb.iss + 1 and sample.prior_una <= self.tcb.iss:
            return  # only a SYN was acknowledged
        self._fill_in(now)
        sample.acked = delivered
        sample.losses = sample.total_lost - sample.prior_lost
        rate.fill(sample, rate.newest, self.delivered, self.rtt.min_rtt, now)
        self._time(now)
        self.cc.on_sample(now)
        if self.cc.starves:
            rate.app_limited = self.delivered + sample.in_flight or 1

    def _fill_in(self, now: Micros) -> None:
        """What the sample says of the connection as it is now."""
        sample, board = self.cc.sample, self.scoreboard
        sample.total_delivered, sample.total_lost = self.delivered, board.total_lost
        sample.delivered_at = self.rate.delivered_at
        sample.in_flight = board.in_flight()
        sample.srtt, sample.mss = self.rtt.srtt, board.mss
        sample.ca_state = self.ca_state
        sample.behind = 0 if self.pace is None else self.pace.delay(now)

    def _time(self, now: Micros) -> None:
        """The round-trip time of what was delivered last and never sent again; whether the peer may have waited with
        the ACK."""
        sample, facts = self.cc.sample, self.acks.facts
        sample.rtt = -1
        if facts.last_sacked_at >= 0:
            sample.rtt = now - facts.last_sacked_at
        elif facts.first_sent_at >= 0 and not facts.retransmission_acked:
            sample.rtt = now - facts.last_sent_at
        lone = facts.acked == 1 and self.tcb.snd_una - sample.prior_una < sample.mss and sample.delivered == 1
        sample.rtt_is_late = lone and self.ca_state == OPEN and not facts.sacked

    def _reduce(self, delivered: int, newly_lost: int) -> None:
        """The model decides."""

    def _end_reduction(self) -> None:
        """The model restores what it saved."""


def choose(recovery: Recovery, cc: CongestionControl) -> None:
    """`cc` controls the connection of `recovery` from now on."""
    recovery.cc = cc
    recovery.__class__ = ModelRecovery if cc.is_model else Recovery
    if cc.is_model and recovery.pace is None:
        recovery.pace = Pace()


def begin(recovery: Recovery, now: Micros) -> None:
    """The connection is established and has its first round-trip time, or changed its algorithm."""
    if isinstance(recovery, ModelRecovery):
        recovery.on_open(now)
