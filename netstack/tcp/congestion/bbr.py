"""BBR v1 (draft-cardwell-iccrg-bbr-congestion-control-00, as in Linux): a model of the path, not a reaction to loss.

The model is two numbers that cannot be measured at once: BtlBw, the most that was delivered lately (seen while there
is more in flight than the path holds), and RTprop, the least round-trip time (seen while there is less). Sent is at
BtlBw, with twice BtlBw x RTprop in flight at most; for an eighth of the time a quarter faster, to see whether there
is more, then slower, to drain what that queued; and every ten seconds almost nothing for 200 ms, to see RTprop.

Integers as in Linux: gains count 256ths, bandwidths `BW_UNIT`s.
"""

from netstack.tcp.congestion.aggregation import Aggregation
from netstack.tcp.congestion.base import INFINITE, Chance
from netstack.tcp.congestion.max_filter import MaxFilter
from netstack.tcp.congestion.policer import BELIEVED_ROUNDS, BW_UNIT, Policer
from netstack.tcp.rate import Sample
from netstack.units import MILLISECOND, SECOND, Micros, Octets

STARTUP, DRAIN, PROBE_BW, PROBE_RTT = "STARTUP", "DRAIN", "PROBE_BW", "PROBE_RTT"
UNIT = 256
HIGH_GAIN = UNIT * 2885 // 1000 + 1
"""2/ln 2: the least that doubles the rate each round trip."""
DRAIN_GAIN = UNIT * 1000 // 2885
CWND_GAIN = 2 * UNIT
"""Room for ACKs that come late or in bunches."""
PACING_CYCLE = (UNIT * 5 // 4, UNIT * 3 // 4, UNIT, UNIT, UNIT, UNIT, UNIT, UNIT)
BW_ROUNDS = 10
RTPROP_WINDOW: Micros = 10 * SECOND
PROBE_RTT_TIME: Micros = 200 * MILLISECOND
MIN_CWND = 4
"""Enough for delayed ACKs not to stop the flow."""
INITIAL_RTT: Micros = MILLISECOND
"""Before there is a sample."""
MIN_TSO_RATE = 1_200_000 // 8
"""Octets a second below which single segments leave."""
_MARGIN = 99
"""Per cent of BtlBw: a little less than the path takes, so that queues vanish."""
_GROWTH, _FULL_ROUNDS = UNIT * 5 // 4, 3
"""The pipe is full when BtlBw grew by less than a quarter for three rounds."""
_RECOVERY = 3
"""`reduction.RECOVERY`: LOSS is above it."""
_AGGREGATION_TIME: Micros = 100 * MILLISECOND
_GSO_MAX: Octets = 65_536 - 320
_UNKNOWN: Micros = 1 << 62


class Bbr:
    """The variables of the draft's section 3, with the names that it gives them."""

    __slots__ = (
        "_aggregation", "_chance", "_filter", "_initial_cwnd", "_policer", "_rtt_seen", "cwnd", "cwnd_gain",
        "cycle_index", "cycle_stamp", "filled_pipe", "full_bw", "full_bw_count", "idle_restart", "mode",
        "next_round_delivered", "pacing_gain", "pacing_rate", "packet_conservation", "prior_ca_state", "prior_cwnd",
        "probe_rtt_done_stamp", "probe_rtt_round_done", "round_count", "round_start", "rtprop", "rtprop_stamp",
        "sample", "ssthresh",
    )  # fmt: skip
    name = "bbr"
    sndbuf_expand = 3
    is_model = True

    def __init__(self, initial_cwnd: int, chance: Chance) -> None:
        self._chance = chance
        self._initial_cwnd = initial_cwnd
        self.cwnd = initial_cwnd
        self.ssthresh = INFINITE
        self.sample = Sample()
        self.pacing_rate = 0
        self._rtt_seen = False
        self._filter = MaxFilter(BW_ROUNDS)
        self._policer = Policer()
        self._aggregation = Aggregation()
        self.rtprop: Micros = _UNKNOWN
        self.rtprop_stamp: Micros = 0
        self.round_count = 0
        self.round_start = False
        self.next_round_delivered = 0
        """When so much is delivered, what is sent now is, and a round trip has passed."""
        self.mode = STARTUP
        self.pacing_gain = self.cwnd_gain = HIGH_GAIN
        self.filled_pipe = False
        self.full_bw = 0
        self.full_bw_count = 0
        self.cycle_index = 0
        self.cycle_stamp: Micros = 0
        self.probe_rtt_done_stamp: Micros = 0
        """0: not as little in flight yet as there should be."""
        self.probe_rtt_round_done = False
        self.idle_restart = False
        self.packet_conservation = False
        self.prior_cwnd = 0
        self.prior_ca_state = 0

    @property
    def starves(self) -> bool:
        """In PROBE_RTT."""
        return self.mode == PROBE_RTT

    @property
    def bw(self) -> int:
        """What the path is believed to deliver."""
        return self._policer.bw if self._policer.used else self._filter.best

    def info(self) -> dict[str, int]:
        """Linux's struct tcp_bbr_info: octets a second in two halves, microseconds, gains in 256ths."""
        octets = self.bw * self.sample.mss * SECOND // BW_UNIT
        return {
            "bbr_bw_lo": octets & 0xFFFF_FFFF,
            "bbr_bw_hi": octets >> 32,
            "bbr_min_rtt": min(self.rtprop, 0xFFFF_FFFF),
            "bbr_pacing_gain": self.pacing_gain,
            "bbr_cwnd_gain": self.cwnd_gain,
        }

    # -- what recovery asks of any congestion control ------------------------------------------------------------------

    def ssthresh_after_loss(self) -> int:
        """Loss alone reduces nothing; what is in flight during recovery is limited otherwise."""
        self._save_cwnd()
        return self.ssthresh

    def cwnd_after_undo(self, prior_cwnd: int) -> int:
        """There was no loss: what was concluded from it is void."""
        self.full_bw = self.full_bw_count = 0
        self._policer.reset(self.sample)
        return self.cwnd

    def on_ack(self, acked: int, srtt: Micros, now: Micros) -> None:
        """See `on_sample`."""

    def on_rtt(self, rtt: Micros, now: Micros) -> None:
        """The sample has it."""

    def on_round(self) -> None:
        """Rounds are counted by what is delivered."""

    def on_timeout(self, now: Micros) -> None:
        """See `on_loss_state`."""

    def on_idle(self, idle: Micros, now: Micros) -> None:
        """The path is still what it was."""

    # -- what a model is told ------------------------------------------------------------------------------------------

    def on_open(self, srtt: Micros, min_rtt: Micros, now: Micros) -> None:
        """Begin in STARTUP, at what the handshake's round trip makes of cwnd."""
        self.rtprop = min_rtt or _UNKNOWN
        self.rtprop_stamp = self.cycle_stamp = now
        self._aggregation.restart(now)
        self._policer.reset(self.sample)
        self._rtt_seen = srtt > 0
        self.pacing_rate = self._rate(self.cwnd * BW_UNIT // (srtt or INITIAL_RTT), HIGH_GAIN)

    def on_restart(self, limited: bool, now: Micros) -> None:
        """4.3.4.4: what was idle starts again at BtlBw, not with a burst; and idleness was as good as PROBE_RTT."""
        if not limited:
            return
        self.idle_restart = True
        self._aggregation.restart(now)
        if self.mode == PROBE_BW:
            self._set_pacing_rate(UNIT)
        elif self.mode == PROBE_RTT:
            self._check_probe_rtt_done(now)

    def on_loss_state(self, now: Micros) -> None:
        """The pipe's size is looked for anew, and a policer may be why."""
        self.prior_ca_state = self.sample.ca_state
        self.full_bw = 0
        self.round_start = True
        self._look_for_policer(1)

    def on_sample(self, now: Micros) -> None:
        """One ACK: first the model, then rate and window."""
        sample = self.sample
        if sample.delivered >= 0 and sample.interval > 0:
            self._update_bw()
            if self.sample.acked > 0:
                self._aggregation.add(self.sample, self.bw, self.round_start, self.cwnd)
        else:
            self.round_start = False
        self._update_cycle(now)
        self._check_full_pipe()
        self._check_drain(now)
        self._update_rtprop(now)
        self._update_gains()
        self._set_pacing_rate(self.pacing_gain)
        self._set_cwnd()

    # -- the model -----------------------------------------------------------------------------------------------------

    def _update_bw(self) -> None:
        sample = self.sample
        self.round_start = sample.prior_delivered >= self.next_round_delivered
        if self.round_start:
            self.next_round_delivered = sample.total_delivered
            self.round_count += 1
            self.packet_conservation = False
        self._look_for_policer(sample.losses)
        bw = sample.delivered * BW_UNIT // sample.interval
        if not sample.app_limited or bw >= self._filter.best:
            self._filter.add(bw, self.round_count)

    def _look_for_policer(self, losses: int) -> None:
        policer = self._policer
        if policer.used:
            if self.mode == PROBE_BW and self.round_start:
                policer.rounds += 1
                if policer.rounds >= BELIEVED_ROUNDS:
                    policer.reset(self.sample)
                    self._enter_probe_bw(self.sample.delivered_at)
        elif policer.look(self.sample, losses, self.round_start):
            self.pacing_gain = UNIT

    def _update_rtprop(self, now: Micros) -> None:
        """4.2.2, and PROBE_RTT (4.3.5) when it has not been as low for ten seconds."""
        sample = self.sample
        expired = now > self.rtprop_stamp + RTPROP_WINDOW
        if sample.rtt >= 0 and (sample.rtt < self.rtprop or (expired and not sample.rtt_is_late)):
            self.rtprop, self.rtprop_stamp = sample.rtt, now
        if expired and not self.idle_restart and self.mode != PROBE_RTT:
            self._save_cwnd()
            self.mode = PROBE_RTT
            self.probe_rtt_done_stamp = 0
        if self.mode == PROBE_RTT:
            if not self.probe_rtt_done_stamp:
                if sample.in_flight <= MIN_CWND:
                    self.probe_rtt_done_stamp = now + PROBE_RTT_TIME
                    self.probe_rtt_round_done = False
                    self.next_round_delivered = sample.total_delivered
            else:
                self.probe_rtt_round_done |= self.round_start
                if self.probe_rtt_round_done:
                    self._check_probe_rtt_done(now)
        if sample.delivered > 0:
            self.idle_restart = False

    def _check_probe_rtt_done(self, now: Micros) -> None:
        if not self.probe_rtt_done_stamp or now <= self.probe_rtt_done_stamp:
            return
        self.rtprop_stamp = now
        self.cwnd = max(self.cwnd, self.prior_cwnd)
        if self.filled_pipe:
            self._enter_probe_bw(now)
        else:
            self.mode = STARTUP

    # -- the state machine ---------------------------------------------------------------------------------------------

    def _check_full_pipe(self) -> None:
        """4.3.2.2."""
        if self.filled_pipe or not self.round_start or self.sample.app_limited:
            return
        if self._filter.best >= self.full_bw * _GROWTH // UNIT:
            self.full_bw = self._filter.best
            self.full_bw_count = 0
            return
        self.full_bw_count += 1
        self.filled_pipe = self.full_bw_count >= _FULL_ROUNDS

    def _check_drain(self, now: Micros) -> None:
        """4.3.3: what STARTUP queued drains."""
        if self.mode == STARTUP and self.filled_pipe:
            self.mode = DRAIN
            self.ssthresh = self._inflight(self._filter.best, UNIT)
        if self.mode != DRAIN:
            return
        if self._in_flight_then(self.sample.in_flight) <= self._inflight(self._filter.best, UNIT):
            self._enter_probe_bw(now)

    def _enter_probe_bw(self, now: Micros) -> None:
        """4.3.4.3: in any phase but the one that drains, so that flows do not march in step."""
        self.mode = PROBE_BW
        self.cycle_index = len(PACING_CYCLE) - 1 - self._chance.randrange(len(PACING_CYCLE) - 1)
        self._advance_cycle()

    def _advance_cycle(self) -> None:
        self.cycle_index = (self.cycle_index + 1) % len(PACING_CYCLE)
        self.cycle_stamp = self.sample.delivered_at

    def _update_cycle(self, now: Micros) -> None:
        """4.3.4: the next phase after an RTprop; probing lasts until it shows, draining no longer than it must."""
        if self.mode != PROBE_BW:
            return
        sample, gain = self.sample, self.pacing_gain
        full_length = sample.delivered_at - self.cycle_stamp > self.rtprop
        if gain != UNIT:
            in_flight = self._in_flight_then(sample.prior_in_flight)
            if gain > UNIT:
                showed = sample.losses > 0 or in_flight >= self._inflight(self._filter.best, gain)
                full_length = full_length and showed
            else:
                full_length = full_length or in_flight <= self._inflight(self._filter.best, UNIT)
        if full_length:
            self._advance_cycle()

    def _update_gains(self) -> None:
        mode = self.mode
        if mode == STARTUP:
            self.pacing_gain = self.cwnd_gain = HIGH_GAIN
        elif mode == DRAIN:
            self.pacing_gain, self.cwnd_gain = DRAIN_GAIN, HIGH_GAIN
        elif mode == PROBE_BW:
            self.pacing_gain = UNIT if self._policer.used else PACING_CYCLE[self.cycle_index]
            self.cwnd_gain = CWND_GAIN
        else:
            self.pacing_gain = self.cwnd_gain = UNIT

    # -- rate and window -----------------------------------------------------------------------------------------------

    def _rate(self, bw: int, gain: int) -> int:
        """Octets a second."""
        return (bw * self.sample.mss * gain // UNIT * (SECOND // 100) * _MARGIN) // BW_UNIT

    def _set_pacing_rate(self, gain: int) -> None:
        if not self._rtt_seen and self.sample.srtt:
            self._rtt_seen = True
            self.pacing_rate = self._rate(self.cwnd * BW_UNIT // self.sample.srtt, HIGH_GAIN)
        rate = self._rate(self.bw, gain)
        if self.filled_pipe or rate > self.pacing_rate:
            self.pacing_rate = rate

    def _bdp(self, bw: int, gain: int) -> int:
        if self.rtprop == _UNKNOWN:
            return self._initial_cwnd
        return (bw * self.rtprop * gain // UNIT + BW_UNIT - 1) // BW_UNIT

    def _burst(self) -> int:
        """Segments that leave together (tso_segs_goal)."""
        least = 1 if self.pacing_rate < MIN_TSO_RATE else 2
        return min(max(min(self.pacing_rate >> 10, _GSO_MAX) // max(self.sample.mss, 1), least), 127)

    def _quantized(self, cwnd: int) -> int:
        """4.2.3.2: room for bursts at both ends, and, while probing, for more to be seen on short paths."""
        cwnd = (cwnd + 3 * self._burst() + 1) & ~1
        return cwnd + 2 if self.mode == PROBE_BW and not self.cycle_index else cwnd

    def _inflight(self, bw: int, gain: int) -> int:
        return self._quantized(self._bdp(bw, gain))

    def _in_flight_then(self, in_flight: int) -> int:
        """How much will be in flight when what is sent next leaves: pacing decided that already."""
        if self.pacing_gain > UNIT:
            in_flight += self._burst()
        return max(in_flight - self.bw * self.sample.behind // BW_UNIT, 0)

    def _save_cwnd(self) -> None:
        if self.prior_ca_state < _RECOVERY and self.mode != PROBE_RTT:
            self.prior_cwnd = self.cwnd
        else:
            self.prior_cwnd = max(self.prior_cwnd, self.cwnd)

    def _set_cwnd(self) -> None:
        """4.2.3: towards the target; in the first round of recovery only as much as is delivered is sent."""
        sample = self.sample
        if sample.acked > 0 and not self._conserve(sample):
            target = self._bdp(self.bw, self.cwnd_gain)
            if self.filled_pipe:
                most = self.bw * _AGGREGATION_TIME // BW_UNIT
                target += min(self._aggregation.excess, most)
            target = self._quantized(target)
            if self.filled_pipe:
                self.cwnd = min(self.cwnd + sample.acked, target)
            elif self.cwnd < target or sample.total_delivered < self._initial_cwnd:
                self.cwnd += sample.acked
            self.cwnd = max(self.cwnd, MIN_CWND)
        if self.mode == PROBE_RTT:
            self.cwnd = min(self.cwnd, MIN_CWND)

    def _conserve(self, sample: Sample) -> bool:
        """4.2.3.4: recovery begins, goes on, or is over. True: cwnd is decided."""
        was, state = self.prior_ca_state, sample.ca_state
        if sample.losses:
            self.cwnd = max(self.cwnd - sample.losses, 1)
        if state == _RECOVERY and was != _RECOVERY:
            self.packet_conservation = True
            self.next_round_delivered = sample.total_delivered
            self.cwnd = sample.in_flight + sample.acked
        elif was >= _RECOVERY > state:
            self.cwnd = max(self.cwnd, self.prior_cwnd)
            self.packet_conservation = False
        self.prior_ca_state = state
        if self.packet_conservation:
            self.cwnd = max(self.cwnd, sample.in_flight + sample.acked)
        return self.packet_conservation
