"""Loss recovery: what an ACK or a timeout means for what is sent next (RFC 5681 3.2, 6582, 6675, 6937, 5682, 8985).

Five states, as Linux names them: OPEN (nothing odd), DISORDER (duplicate ACKs or SACKs, not yet loss), CWR (the window
shrinks on an ECN mark), RECOVERY (fast retransmit happened), LOSS (the timer fired). This module marks records lost
and moves cwnd; it never sends: `output` asks the scoreboard what is pending.
"""

from collections.abc import Sequence

from netstack.config import TcpConfig
from netstack.counters import Tally
from netstack.tcp.acknowledge import Acknowledger
from netstack.tcp.congestion import INFINITE, CongestionControl
from netstack.tcp.rack import MAX_REORDERING, Rack
from netstack.tcp.rto import RttEstimator
from netstack.tcp.scoreboard import Scoreboard
from netstack.tcp.tcb import Tcb
from netstack.units import Micros, Octets, Seq

OPEN, DISORDER, CWR, RECOVERY, LOSS = range(5)
"""tcpi_ca_state's numbers."""


class Recovery:
    """The recovery state of one connection."""

    __slots__ = (
        "_prior_cwnd",
        "_prior_ssthresh",
        "_prr_delivered",
        "acks",
        "again_in",
        "ca_state",
        "cc",
        "config",
        "cwnd_limited",
        "cwnd_limited_until",
        "delivered",
        "ecn_mark",
        "frto",
        "high_seq",
        "max_packets_out",
        "mib",
        "new_data_waits",
        "prr_out",
        "rack",
        "retrans_stamp",
        "rtt",
        "scoreboard",
        "tcb",
        "timeouts",
        "undo_marker",
    )

    def __init__(self, tcb: Tcb, cc: CongestionControl, rtt: RttEstimator, config: TcpConfig, mib: Tally) -> None:
        self.tcb = tcb
        self.cc = cc
        self.rtt = rtt
        self.config = config
        self.mib = mib
        self.scoreboard = Scoreboard()
        self.rack = Rack(config.reordering)
        self.acks = Acknowledger(tcb, self.scoreboard, self.rack, rtt)
        self.ca_state = OPEN
        self.high_seq: Seq = 0
        """The recovery point: SND.NXT when this episode began (RFC 6582's recover)."""
        self.undo_marker: Seq | None = None
        """SND.UNA when cwnd was reduced; None when there is nothing to undo."""
        self.retrans_stamp: Micros = -1
        """When the first retransmission of this episode left; -1: none."""
        self.delivered = 0
        self.timeouts = 0
        """RTOs in a row (icsk_retransmits)."""
        self.frto = False
        self.ecn_mark = False
        self.again_in: Micros = 0
        """RACK wants to look again this long from now; 0: no."""
        self.new_data_waits = False
        """Kept by `output`: unsent data exists and the window has room (F-RTO 2.b asks)."""
        self._prior_cwnd = 0
        self._prior_ssthresh = 0
        self._prr_delivered = 0
        self.prr_out = 0
        self.cwnd_limited = False
        self.cwnd_limited_until: Seq = 0
        self.max_packets_out = 0

    # -- an ACK ---------------------------------------------------------------------------------------------------

    def on_ack(
        self, ack: Seq, blocks: Sequence[tuple[int, int]], duplicate: bool, ts_ecr: Micros | None, now: Micros
    ) -> bool:
        """Apply one acceptable ACK (SND.UNA <= ack <= SND.NXT). True when the retransmission timer starts anew.

        `duplicate`: no data, no window change, no FIN or SYN in the segment: if it does not advance SND.UNA it is a
        duplicate ACK by RFC 5681 2. `ts_ecr`: the echoed time in microseconds on our clock, None without timestamps.
        """
        tcb, board, acks = self.tcb, self.scoreboard, self.acks
        facts = acks.facts
        facts.reset()
        prior_una, prior_delivered = tcb.snd_una, self.delivered
        prior_lost, prior_packets = board.lost_out, board.packets_out
        prior_highest = acks.highest_sacked
        if blocks and tcb.sack_ok:
            self.delivered += acks.selective(blocks, ack, self.high_seq, now)
            if facts.reordered_from < acks.highest_sacked and (self.ca_state != LOSS or self.undo_marker is not None):
                self.rack.on_reordering(facts.reordered_from, acks.highest_sacked, tcb.eff_snd_mss)
        if ack > prior_una:
            newly = acks.cumulative(ack, self.high_seq, now)
            tcb.snd_una = ack
            if not tcb.sack_ok:
                newly = self._remove_reno_sacks(facts.acked)
            elif facts.reordered_from < prior_highest:
                self.rack.on_reordering(facts.reordered_from, prior_highest, tcb.eff_snd_mss)
            self.delivered += newly
        if not prior_packets:
            return False
        self._measure(ts_ecr, now)
        self.rack.on_round(prior_delivered, self.delivered)
        counts_as_duplicate = duplicate and not facts.una_advanced and not facts.dsack
        not_dup = facts.una_advanced or not duplicate
        if not not_dup or facts.sacked or facts.dsack or self.ca_state != OPEN or self.ecn_mark:
            self._alert(prior_una, counts_as_duplicate, ts_ecr, now)
        newly_delivered = self.delivered - prior_delivered
        self._control(newly_delivered, max(0, board.lost_out - prior_lost), now)
        return facts.acked > 0

    def on_clean_ack(self, ack: Seq, now: Micros) -> None:
        """The common ACK, proven by the caller: OPEN, nothing SACKed or lost, it advances SND.UNA. Same result, less work."""
        board = self.scoreboard
        records = board.records
        acked = n = 0
        last = records[0]
        first_sent_at = last.sent_at
        for record in records:
            if record.end > ack:
                if record.seq < ack:
                    acked += board.trim(record, ack, self.tcb.eff_snd_mss)
                break
            n += 1
            acked += record.segments
            board.packets_out -= record.segments
            last = record
        tcb = self.tcb
        tcb.snd_una = ack
        if n:
            del records[:n]
            rack = self.rack
            rack.xmit_at, rack.end_seq, rack.rtt, rack.advanced = last.sent_at, last.end, now - last.sent_at, True
            self.rtt.sample(now - first_sent_at, ack, tcb.snd_nxt)
            self.cc.on_rtt(now - last.sent_at, now)
        self.delivered += acked
        self.timeouts = 0
        if acked and self._limited():
            self.cc.on_ack(acked, self.rtt.srtt8 >> 3, now)

    def _measure(self, ts_ecr: Micros | None, now: Micros) -> None:
        """One RTT sample: of the oldest record never retransmitted (Karn, RFC 6298 3), else of the echoed timestamp."""
        facts, tcb = self.acks.facts, self.tcb
        sample: Micros = -1
        if facts.first_sent_at >= 0 and not facts.retransmission_acked:
            sample = now - facts.first_sent_at
            self.cc.on_rtt(now - facts.last_sent_at, now)
        elif facts.first_sacked_at >= 0:
            sample = now - facts.first_sacked_at
        elif ts_ecr is not None and facts.una_advanced:
            sample = now - ts_ecr  # RFC 7323 4.1: a millisecond clock, but unambiguous
        if sample >= 0:
            self.rtt.sample(sample, tcb.snd_una, tcb.snd_nxt)
        if facts.una_advanced:
            self.timeouts = 0

    def _control(self, delivered: int, newly_lost: int, now: Micros) -> None:
        """cwnd after this ACK: proportional rate reduction while it shrinks, else the algorithm's growth."""
        facts = self.acks.facts
        if self.ca_state in (CWR, RECOVERY):
            self._reduce(delivered, newly_lost)
        elif facts.acked or (facts.sacked and self.rack.reordering > self.config.reordering):
            if delivered and self._limited():
                self.cc.on_ack(delivered, self.rtt.srtt, now)

    def _limited(self) -> bool:
        """Whether cwnd was what held us back: an unused window must not grow (RFC 7661's concern, Linux's rule)."""
        if self.cwnd_limited:
            return True
        cc = self.cc
        return cc.cwnd < cc.ssthresh and cc.cwnd < 2 * self.max_packets_out

    def note_usage(self, limited: bool) -> None:
        """After sending: was cwnd the limit? Remembered for one window's worth of data."""
        board = self.scoreboard
        limited = limited or board.in_flight() >= self.cc.cwnd
        if (
            limited
            or self.tcb.snd_una >= self.cwnd_limited_until
            or (not self.cwnd_limited and board.packets_out > self.max_packets_out)
        ):
            self.cwnd_limited = limited
            self.max_packets_out = board.packets_out
            self.cwnd_limited_until = self.tcb.snd_nxt

    # -- the state machine of recovery ------------------------------------------------------------------------------

    def _alert(self, prior_una: Seq, duplicate: bool, ts_ecr: Micros | None, now: Micros) -> None:
        tcb, board, facts = self.tcb, self.scoreboard, self.acks.facts
        if self.ecn_mark:
            self._prior_ssthresh = 0  # a congestion mark is no false alarm: nothing to undo
        if self._reneged():
            return
        if self.ca_state == OPEN:
            self.retrans_stamp = -1
        elif tcb.snd_una >= self.high_seq:
            if self.ca_state == CWR:
                if tcb.snd_una != self.high_seq:
                    self._end_reduction()
                    self.ca_state = OPEN
            elif self.ca_state == RECOVERY:
                if not tcb.sack_ok:
                    board.sacked_out = 0
                if self._try_undo_recovery(ts_ecr):
                    return
                self._end_reduction()
        if self.ca_state == RECOVERY:
            if not facts.una_advanced:
                if not tcb.sack_ok and duplicate:
                    self._add_reno_sack()
            elif self._try_undo_partial(prior_una, ts_ecr):
                return
            if self._try_undo_dsack():
                self._keep_open()
                return
            self._find_losses(now)
            return
        if self.ca_state == LOSS:
            self._in_loss(duplicate, ts_ecr)
            if self.ca_state != LOSS:
                self._find_losses(now)
            if self.ca_state != OPEN and not self._loss_retransmission_lost():
                return
        else:
            if not tcb.sack_ok:
                if facts.una_advanced:
                    board.sacked_out = 0
                if duplicate:
                    self._add_reno_sack()
            if self.ca_state <= DISORDER:
                self._try_undo_dsack()
        self._find_losses(now)
        if not board.lost_out:
            self._try_to_open()
            return
        self.enter_recovery()

    def _find_losses(self, now: Micros) -> None:
        board, tcb = self.scoreboard, self.tcb
        if not tcb.sack_ok:
            self._newreno_mark_lost()
            return
        if not self.rack.advanced:
            return
        window = self.rack.window(
            self.ca_state >= RECOVERY, board.sacked_out, self.rtt.min_rtt, self.rtt.srtt
        )
        _, self.again_in = self.rack.detect(board, window, now)

    def _newreno_mark_lost(self) -> None:
        """RFC 6582 3.2: the first segment, on the third duplicate ACK and on every partial ACK."""
        board = self.scoreboard
        fast = self.ca_state < RECOVERY and board.sacked_out >= self.rack.reordering
        partial = self.ca_state == RECOVERY and self.acks.facts.una_advanced
        if not (fast or partial) or not board.records or board.records[0].lost:
            return
        first, mss = board.records[0], self.tcb.eff_snd_mss
        if first.segments > 1 and first.end - first.seq > mss:
            board.split(0, first.seq + mss, mss)
        board.mark_lost(first)

    def _loss_retransmission_lost(self) -> bool:
        return False

    def enter_recovery(self) -> None:
        """RFC 5681 3.2 step 2, RFC 6675 5 step 4: fast retransmit; cwnd shrinks proportionally from here."""
        self.mib["TcpExtTCPSackRecovery" if self.tcb.sack_ok else "TcpExtTCPRenoRecovery"] += 1
        self._prior_ssthresh = 0
        self._start_undo()
        if self.ca_state not in (CWR, RECOVERY):
            if not self.ecn_mark:
                self._prior_ssthresh = self._current_ssthresh()
            self._start_reduction()
        self.ca_state = RECOVERY

    def enter_cwr(self) -> None:
        """RFC 3168 6.1.2: the peer echoes a congestion mark; react once a window, with nothing to send again."""
        self._prior_ssthresh = 0
        if self.ca_state < CWR:
            self.undo_marker = None
            self._start_reduction()
            self.ca_state = CWR

    def on_probe_repaired_loss(self) -> None:
        """RFC 8985 7.4.2: a tail loss probe hid a loss; cwnd is reduced all the same."""
        self.undo_marker = None
        self._start_reduction()
        self.ca_state = CWR
        self._end_reduction()
        self._keep_open()

    def on_timeout(self, now: Micros) -> None:
        """The retransmission timer fired (RFC 5681 3.1, RFC 6298 5.4-5.6; F-RTO, RFC 5682 3.1 step 1)."""
        tcb, board, cc = self.tcb, self.scoreboard, self.cc
        fresh = self.ca_state < RECOVERY
        reneged = bool(board.records) and board.records[0].sacked
        if reneged:
            self.mib["TcpExtTCPSACKReneging"] += 1
            for record in board.records:
                record.sacked = False
        if reneged or not tcb.sack_ok:
            board.sacked_out = 0
        rack_window = self.rack.window(True, board.sacked_out, self.rtt.min_rtt, self.rtt.srtt)
        for i, record in enumerate(board.records):
            recent = i and tcb.sack_ok and not reneged and self.rack.overdue_in(record, rack_window, now) > 0
            if not record.sacked and not recent:
                board.mark_lost(record)
        if fresh or self.high_seq <= tcb.snd_una or (self.ca_state == LOSS and not self.timeouts):
            self._prior_ssthresh = self._current_ssthresh()
            self._prior_cwnd = cc.cwnd
            cc.ssthresh = cc.ssthresh_after_loss()
            cc.on_timeout(now)
            self._start_undo()
        if self.ca_state <= DISORDER and board.sacked_out >= self.config.reordering:
            self.rack.reordering = min(self.rack.reordering, self.config.reordering)
        cc.cwnd = board.in_flight() + 1
        self.frto = fresh or self.timeouts > 0
        self.ca_state = LOSS
        self.high_seq = tcb.snd_nxt
        self.timeouts += 1
        self.again_in = 0

    def on_too_big(self, old_mss: Octets, mss: Octets) -> None:
        """Segments larger than `mss` cannot arrive (RFC 1191 6.4): lost, but not for congestion, so cwnd stays."""
        board = self.scoreboard
        for record in board.records:
            if not record.sacked and min(record.end - record.seq, old_mss) > mss:
                board.recount(record, mss)
                board.mark_lost(record)
        if board.lost_out and self.ca_state != LOSS:
            self.high_seq = self.tcb.snd_nxt
            self.undo_marker = None
            self.ca_state = LOSS

    def on_reorder_timer(self, now: Micros) -> bool:
        """RFC 8985 6.3: the reordering window of something unacknowledged has passed. True: there is something to send."""
        board = self.scoreboard
        self.again_in = 0
        before = board.in_flight()
        window = self.rack.window(self.ca_state >= RECOVERY, board.sacked_out, self.rtt.min_rtt, self.rtt.srtt)
        _, self.again_in = self.rack.detect(board, window, now)
        if board.in_flight() == before:
            return False
        if self.ca_state != RECOVERY:
            self.enter_recovery()
            self._reduce(1, 0)
        return True

    def _in_loss(self, duplicate: bool, ts_ecr: Micros | None) -> None:
        """RFC 5682 3.1 (with SACK: 3.2) and plain go-back-N after a timeout."""
        tcb, board, facts = self.tcb, self.scoreboard, self.acks.facts
        recovered = tcb.snd_una >= self.high_seq
        if facts.una_advanced and self._try_undo_loss(False, ts_ecr):
            return
        if self.frto:
            if facts.original_delivered and self._try_undo_loss(True, ts_ecr):
                return
            if tcb.snd_nxt > self.high_seq:
                if facts.sacked or duplicate:
                    self.frto = False
            elif facts.una_advanced and not recovered:
                self.high_seq = tcb.snd_nxt
                if self.new_data_waits:
                    return
                self.frto = False
        if recovered:
            self._try_undo_recovery(ts_ecr)
            return
        if not tcb.sack_ok:
            if tcb.snd_nxt > self.high_seq and duplicate:
                self._add_reno_sack()
            elif facts.una_advanced:
                board.sacked_out = 0

    def _reneged(self) -> bool:
        """RFC 2018 8: the peer dropped what it had SACKed. The timer will find out; nothing may be concluded now."""
        board = self.scoreboard
        if self.acks.facts.una_advanced and board.records and board.records[0].sacked:
            self.on_timeout(self.rack.xmit_at)
            self.timeouts = 0
            return True
        return False

    # -- duplicate ACKs standing in for SACK (RFC 6582) ---------------------------------------------------------------

    def _add_reno_sack(self) -> None:
        board = self.scoreboard
        before = board.sacked_out
        board.sacked_out += 1
        self._limit_reno_sacks()
        self.delivered += max(0, board.sacked_out - before)

    def _limit_reno_sacks(self) -> None:
        board = self.scoreboard
        most = board.packets_out - board.lost_out
        if board.sacked_out > most:
            board.sacked_out = max(0, most)
            self.rack.reordering = min(max(self.rack.reordering, board.packets_out), MAX_REORDERING)
            self.rack.reord_seen += 1

    def _remove_reno_sacks(self, acked: int) -> int:
        """A cumulative ACK covers the hole and what the duplicates stood for. Returns what it delivered."""
        board = self.scoreboard
        newly = 0
        if acked > 0:
            newly = max(acked - board.sacked_out, 1)
            board.sacked_out = max(0, board.sacked_out - (acked - 1))
        board.sacked_out = min(board.sacked_out, max(0, board.packets_out - board.lost_out))
        return newly

    # -- cwnd: reduction and undo ------------------------------------------------------------------------------------

    def _current_ssthresh(self) -> int:
        cc = self.cc
        if self.ca_state in (CWR, RECOVERY):
            return cc.ssthresh
        return max(cc.ssthresh, (cc.cwnd >> 1) + (cc.cwnd >> 2))

    def _start_reduction(self) -> None:
        """RFC 6937 3, initialization."""
        cc = self.cc
        self.high_seq = self.tcb.snd_nxt
        self._prior_cwnd = cc.cwnd
        self._prr_delivered = self.prr_out = 0
        cc.ssthresh = cc.ssthresh_after_loss()

    def _reduce(self, delivered: int, newly_lost: int) -> None:
        """RFC 6937 3: cwnd follows what is delivered down to ssthresh, then rebuilds by slow start up to it."""
        if delivered <= 0 or not self._prior_cwnd:
            return
        cc = self.cc
        in_flight = self.scoreboard.in_flight()
        room = cc.ssthresh - in_flight
        self._prr_delivered += delivered
        if room < 0:
            send = -(-cc.ssthresh * self._prr_delivered // self._prior_cwnd) - self.prr_out
        else:
            send = max(self._prr_delivered - self.prr_out, delivered)
            if self.acks.facts.una_advanced and not newly_lost:
                send += 1
            send = min(room, send)
        cc.cwnd = in_flight + max(send, 0 if self.prr_out else 1)

    def _end_reduction(self) -> None:
        cc = self.cc
        if cc.ssthresh < INFINITE and (self.undo_marker is not None or self.ca_state == CWR):
            cc.cwnd = cc.ssthresh

    def _start_undo(self) -> None:
        self.undo_marker = self.tcb.snd_una
        self.acks.undo_retrans = self.scoreboard.retrans_out or -1

    def note_retransmission(self, segments: int, now: Micros) -> None:
        """`segments` went out again: PRR and undo count them."""
        self.prr_out += segments
        if self.retrans_stamp < 0:
            self.retrans_stamp = now
        self.acks.undo_retrans = max(0, self.acks.undo_retrans) + segments

    def _may_undo(self, ts_ecr: Micros | None) -> bool:
        return self.undo_marker is not None and (not self.acks.undo_retrans or self._delayed(ts_ecr))

    def _delayed(self, ts_ecr: Micros | None) -> bool:
        """RFC 3522 3.2 (Eifel): the echoed timestamp is older than our first retransmission: the original arrived."""
        return self.retrans_stamp >= 0 and ts_ecr is not None and ts_ecr < self.retrans_stamp - self.retrans_stamp % 1000

    def _undo(self, unmark: bool) -> None:
        cc = self.cc
        if unmark:
            for record in self.scoreboard.records:
                record.lost = False
            self.scoreboard.lost_out = 0
        if self._prior_ssthresh:
            cc.cwnd = cc.cwnd_after_undo(self._prior_cwnd)
            cc.ssthresh = max(cc.ssthresh, self._prior_ssthresh)
        self.undo_marker = None
        self.rack.advanced = True

    def _try_undo_recovery(self, ts_ecr: Micros | None) -> bool:
        """The episode is over. True: stay in the state until something above the recovery point is acknowledged."""
        if self._may_undo(ts_ecr):
            self.mib["TcpExtTCPLossUndo" if self.ca_state == LOSS else "TcpExtTCPFullUndo"] += 1
            self._undo(False)
        elif self.rack.persist:
            self.rack.persist -= 1
        if self.tcb.snd_una == self.high_seq and not self.tcb.sack_ok:
            if not self._any_retransmitted():
                self.retrans_stamp = -1
            return True  # RFC 6582 4.1: no false fast retransmit from the duplicates still on their way
        if self.ca_state == RECOVERY:
            self._end_reduction()
        self.ca_state = OPEN
        return False

    def _try_undo_dsack(self) -> bool:
        if self.undo_marker is not None and not self.acks.undo_retrans:
            self.mib["TcpExtTCPDSACKUndo"] += 1
            self._undo(False)
            return True
        return False

    def _try_undo_partial(self, prior_una: Seq, ts_ecr: Micros | None) -> bool:
        if self.undo_marker is None or not self._delayed(ts_ecr):
            return False
        self.rack.on_reordering(prior_una, self.acks.highest_sacked, self.tcb.eff_snd_mss)
        if self.scoreboard.retrans_out:
            return True
        if not self._any_retransmitted():
            self.retrans_stamp = -1
        self.mib["TcpExtTCPPartialUndo"] += 1
        self._undo(True)
        self._keep_open()
        return True

    def _try_undo_loss(self, frto_says_so: bool, ts_ecr: Micros | None) -> bool:
        if not frto_says_so and not self._may_undo(ts_ecr):
            return False
        self._undo(True)
        self.mib["TcpExtTCPLossUndo"] += 1
        if frto_says_so:
            self.mib["TcpExtTCPSpuriousRTOs"] += 1
        self.timeouts = 0
        if frto_says_so or self.tcb.sack_ok:
            self.ca_state = OPEN
        return True

    def _try_to_open(self) -> None:
        if not self._any_retransmitted():
            self.retrans_stamp = -1
        if self.ecn_mark:
            self.enter_cwr()
        if self.ca_state != CWR:
            self._keep_open()

    def _keep_open(self) -> None:
        board = self.scoreboard
        odd = board.sacked_out or board.lost_out or self._any_retransmitted() or self.undo_marker is not None
        state = DISORDER if odd else OPEN
        if state != self.ca_state:
            self.ca_state = state
            self.high_seq = self.tcb.snd_nxt

    def _any_retransmitted(self) -> bool:
        board = self.scoreboard
        return board.retrans_out > 0 or bool(board.records and board.records[0].times)
