"""Loss recovery: what an ACK or a timeout means for what is sent next (RFC 5681 3.2, 6582, 6675, 6937, 5682, 8985).

Five states, as Linux names them: OPEN (nothing odd), DISORDER (duplicate ACKs or SACKs, not yet loss), CWR (the window
shrinks on an ECN mark), RECOVERY (fast retransmit happened), LOSS (the timer fired). This module marks records lost
and moves cwnd; it never sends: `output` asks the scoreboard what is pending.
"""

from __future__ import annotations

from collections.abc import Sequence

from netstack.tcp import why
from netstack.tcp.acknowledge import NONE
from netstack.tcp.reduction import CWR, DISORDER, LOSS, OPEN, RECOVERY
from netstack.tcp.rto import in_ticks
from netstack.tcp.usage import Usage
from netstack.units import MILLISECOND, Micros, Octets, Seq

_LEAST_WAIT: Micros = 2 * MILLISECOND
"""What a timer that waits for reordering waits beside (Linux's TCP_TIMEOUT_MIN)."""


class Recovery(Usage):
    """The recovery state of one connection."""

    __slots__ = ()

    # -- an ACK --------------------------------------------------------------------------------------------------------

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
        self.only_again = False
        self.heard_at = now
        prior_una, prior_delivered = tcb.snd_una, self.delivered
        prior_lost, prior_packets = board.total_lost, board.packets_out
        prior_fack = acks.fack()
        if blocks and tcb.sack_ok:
            self.delivered += acks.selective(blocks, ack, self, now)
            if self.ca_state != LOSS or self.undo_marker is not None:
                self._note_reordering()
            facts.reordered_from = NONE
        if ack > prior_una:
            newly = acks.cumulative(ack, self.high_seq, ts_ecr, now)
            tcb.snd_una = ack
            if self.mtu_probe is not None:
                self.mtu_probe.on_acked(ack, board.mss, self.cc)
            if ack >= self.round_end:
                self.round_end = tcb.snd_nxt
                self.cc.on_round()
            if not tcb.sack_ok:
                newly = self._remove_reno_sacks(facts.acked)
                if facts.retransmission_acked:  # it may have been what arrived, and the others before (RFC 5682 2.1)
                    facts.original_delivered = False
            elif facts.reordered_from < prior_fack:
                self._note_reordering()
            self.delivered += newly
        if self.marks is not None:
            delivered, octets = self.delivered - prior_delivered, tcb.snd_una - prior_una
            if facts.sacked or board.sacked_out:
                octets = delivered * board.mss
            self.ecn_mark = self.marks.marked(self, delivered, octets, facts.una_advanced or facts.sacked > 0)
        if not prior_packets:
            if facts.dsack:
                self._alert(prior_una, False, ts_ecr, now)
            if self.tlp_high_seq is not None:
                self.on_probe_answered(ack, duplicate and not (facts.una_advanced or facts.sacked))
            return False
        self._measure(ts_ecr, now)
        self.rack.on_round(prior_delivered, self.delivered)
        counts_as_duplicate = duplicate and not facts.una_advanced and not facts.dsack
        not_dup = facts.una_advanced or not duplicate
        if self.tlp_high_seq is not None:
            self.on_probe_answered(ack, not (not_dup or facts.sacked))
        if not not_dup or facts.sacked or facts.dsack or self.ca_state != OPEN or self.ecn_mark:
            self._alert(prior_una, counts_as_duplicate, ts_ecr, now)
        newly_delivered = self.delivered - prior_delivered
        rate = self.rate
        if rate.newest is not None:
            if rate.newest.end > tcb.iss + 1:  # a SYN says nothing of rates
                rate.close(rate.newest, self.delivered, now)
        elif newly_delivered:
            rate.delivered_at = now
        self._control(newly_delivered, board.total_lost - prior_lost, now)
        rate.newest = None
        # Also for a SACK of what left before the first segment did once more: its answer is still to come (Linux).
        return facts.acked > 0 or (facts.first_sacked_at >= 0 and board.records[0].sent_at > facts.first_sacked_at)

    def on_clean_ack(self, ack: Seq, now: Micros) -> None:
        """The common ACK, proven by the caller: OPEN, nothing SACKed or lost, SND.UNA advances. Same result."""
        tcb, board = self.tcb, self.scoreboard
        records = board.records
        tcb.snd_una = ack
        first_sent_at = records[0].sent_at
        if ack == tcb.snd_nxt:
            last = records[-1]
            acked = board.packets_out
            board.packets_out = 0
            records.clear()
        else:
            last, acked = board.take(ack)
        if acked:
            rack = self.rack
            rack.xmit_at, rack.end_seq, rack.rtt, rack.advanced = last.sent_at, last.end, now - last.sent_at, True
            self.rtt.sample(now - first_sent_at, rack.rtt, ack, tcb.snd_nxt, now)
            self.delivered = delivered = self.delivered + acked
            self.rate.close(last, delivered, now)
        cc = self.cc
        if self.cwnd_limited or (cc.cwnd < cc.ssthresh and cc.cwnd < 2 * self.max_packets_out):  # as `limited`
            if acked:
                cc.on_rtt(now - last.sent_at, now)
            if ack >= self.round_end:
                self.round_end = tcb.snd_nxt
                cc.on_round()
            if acked:
                cc.on_ack(acked, self.rtt.srtt8 >> 3, now)

    def _note_reordering(self) -> None:
        """Did something original arrive although what was sent after it had arrived before?"""
        if self.rack.on_reordering(self.acks.facts.reordered_from, self.acks.fack(), self.scoreboard.mss):
            self.mib["TcpExtTCPSACKReorder"] += 1

    def _measure(self, ts_ecr: Micros | None, now: Micros) -> None:
        """One RTT sample: of the oldest record never retransmitted (Karn, RFC 6298 3), else of the echoed timestamp."""
        facts, tcb = self.acks.facts, self.tcb
        sample = shortest = -1
        if facts.first_sent_at >= 0 and not facts.retransmission_acked:
            sample, shortest = now - facts.first_sent_at, now - facts.last_sent_at
            self.cc.on_rtt(shortest, now)
        elif facts.first_sacked_at >= 0:
            sample, shortest = now - facts.first_sacked_at, now - facts.last_sacked_at
        elif ts_ecr is not None and facts.acked:
            sample = shortest = now - ts_ecr  # RFC 7323 4.1: a millisecond clock, but unambiguous
        if sample >= 0:
            self.rtt.sample(sample, shortest, tcb.snd_una, tcb.snd_nxt, now)
        if facts.una_advanced:
            self.timeouts = 0

    def _control(self, delivered: int, newly_lost: int, now: Micros) -> None:
        """cwnd after this ACK: proportional rate reduction while it shrinks, else the algorithm's growth."""
        facts = self.acks.facts
        if self.ca_state in (CWR, RECOVERY):
            self._reduce(delivered, newly_lost)
            return
        progress = facts.acked or (facts.sacked and self.rack.reordering > self.config.reordering)
        if delivered and progress and self.limited():
            self.cc.on_ack(delivered, self.rtt.srtt, now)

    # -- the state machine of recovery ---------------------------------------------------------------------------------

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
                self._try_to_open()
            self._find_losses(now)
            if self.ca_state != RECOVERY and board.lost_out:
                self.enter_recovery()
            return
        if self.ca_state == LOSS:
            self._in_loss(duplicate, ts_ecr)
            if self.ca_state != LOSS:
                self.end_timeouts(now)
            on_their_way = board.retrans_out
            self._find_losses(now)
            if self.ca_state != OPEN and board.retrans_out >= on_their_way:
                return  # else it was undone, or a retransmission is lost as well: no need to wait for the timer
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
        probe = self.mtu_probe
        if probe is not None and probe.size and self.ca_state < CWR and tcb.snd_una == probe.start:
            lost = board.records[board.find(probe.start)]  # too large, not too many: cwnd stays (RFC 4821 7.6.2)
            probe.failed()
            self.cc.cwnd += 1
            board.recount(lost, board.mss)
            board.mark_lost(lost)
            self._send_again_calmly()
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
        first, remaining = self.rack.detect(board, window, now)
        self.again_in = min(in_ticks(remaining + _LEAST_WAIT), self.rtt.rto) if remaining else 0
        if first is not None:
            self.found, self.lost_at = why.RACK, first

    def _newreno_mark_lost(self) -> None:
        """RFC 6582 3.2: the first segment, on the third duplicate ACK and on every partial ACK."""
        board = self.scoreboard
        fast = self.ca_state < RECOVERY and board.sacked_out >= self.rack.reordering
        partial = self.ca_state == RECOVERY and self.acks.facts.una_advanced
        if not (fast or partial) or not board.records or board.records[0].lost:
            return
        first, mss = board.records[0], board.mss
        if first.segments > 1 and first.end - first.fin - first.seq > mss:
            board.split(0, first.seq + mss, mss)
        board.mark_lost(first)
        board.sacked_out = min(board.sacked_out, self._most_reno_sacks())
        self.found, self.lost_at = why.DUPACK if fast else why.PARTIAL, first.seq

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

    def on_probe_answered(self, ack: Seq, bare: bool) -> None:
        """RFC 8985 7.4.2: was the loss probe a repair? `bare`: the ACK says nothing but that something came twice."""
        high = self.tlp_high_seq
        if high is None or ack < high:
            return
        if not self.tlp_is_retransmission or self.acks.facts.probe_dsack:
            self.tlp_high_seq = None
        elif ack > high:  # more than the probe is acknowledged, and nothing came twice: slow down
            self._on_probe_repaired_loss()
        elif bare:
            self.tlp_high_seq = None

    def _on_probe_repaired_loss(self) -> None:
        """A tail loss probe hid a loss; cwnd is reduced all the same."""
        self.mib["TcpExtTCPLossProbeRecovery"] += 1
        self.found, self.lost_at = why.TLP, self.tcb.snd_una
        self.undo_marker = None
        self._start_reduction()
        self.ca_state = CWR
        self._end_reduction()
        self._keep_open()

    def on_timeout(self, now: Micros) -> None:
        """The retransmission timer fired (RFC 5681 3.1, RFC 6298 5.4-5.6; F-RTO, RFC 5682 3.1 step 1)."""
        tcb, board, cc = self.tcb, self.scoreboard, self.cc
        fresh = self.ca_state < RECOVERY
        if not self.timeouts:
            self._count_failure()
        reneged = bool(board.records) and board.records[0].sacked
        self.found, self.lost_at = why.RENEGED if reneged else why.RTO, tcb.snd_una
        if reneged:
            self.mib["TcpExtTCPSACKReneging"] += 1
            self.acks.forget_sacked()
            for record in board.records:
                record.sacked = False
        if reneged or not tcb.sack_ok:
            board.sacked_out = 0
        timed = tcb.sack_ok and not reneged and self.rack.end_seq > tcb.iss + 1  # a SYN-ACK tells RACK nothing (Linux)
        for i, record in enumerate(board.records):
            recent = i and timed and self.rack.overdue_in(record, 0, now) > 0
            if not record.sacked and not recent:
                board.mark_lost(record)
        already = self.ca_state > DISORDER and self.high_seq > tcb.snd_una
        if not already or (self.ca_state == LOSS and not self.timeouts):
            self._prior_ssthresh = self._current_ssthresh()
            self._prior_cwnd = cc.cwnd
            cc.ssthresh = cc.ssthresh_after_loss()
            cc.on_timeout(now)
            self._start_undo()
        if self.ca_state <= DISORDER and board.sacked_out >= self.config.reordering:
            self.rack.reordering = min(self.rack.reordering, self.config.reordering)
        cc.cwnd = board.in_flight() + 1
        self.used_at = now
        self.frto = self.config.frto > 0 and (fresh or self.timeouts > 0)
        self.ca_state = LOSS
        self.high_seq = tcb.snd_nxt
        self.note_timeout(now)
        self.again_in = 0
        self.only_again = True
        self.cwr_due = True
        self.tlp_high_seq = None

    def _count_failure(self) -> None:
        """What the timer had to help out: it fired although something else was at work on a loss."""
        kind = "Sack" if self.tcb.sack_ok else "Reno"
        if self.ca_state == RECOVERY:
            self.mib[f"TcpExtTCP{kind}RecoveryFail"] += 1
        elif self.ca_state == LOSS:
            self.mib["TcpExtTCPLossFailures"] += 1
        elif self.ca_state == DISORDER or self.scoreboard.sacked_out:
            self.mib[f"TcpExtTCP{kind}Failures"] += 1

    def on_too_big(self, old_mss: Octets, mss: Octets) -> None:
        """Segments larger than `mss` cannot arrive (RFC 1191 6.4): lost, but not for congestion, so cwnd stays."""
        board = self.scoreboard
        for record in board.records:
            if not record.sacked and min(record.end - record.seq, old_mss) > mss:
                board.recount(record, mss)
                board.mark_lost(record)
                self.found, self.lost_at = why.TOO_BIG, self.tcb.snd_una
        if board.lost_out:
            self._send_again_calmly()

    def _send_again_calmly(self) -> None:
        """What is lost was not lost for congestion."""
        if self.ca_state != LOSS:
            self.high_seq = self.tcb.snd_nxt
            self.undo_marker = None
            self.ca_state = LOSS

    def on_not_taken(self) -> None:
        """What a SYN carried beside itself arrived and was not wanted (RFC 7413 4.2.1): once more, and cwnd stays."""
        board = self.scoreboard
        for record in board.records:
            board.recount(record, board.mss)
            board.mark_lost(record)
        self.high_seq = self.tcb.snd_nxt
        self.undo_marker = None
        self.ca_state = LOSS

    def on_late_handshake(self) -> None:
        """The ACK of a SYN-ACK that timed out, when a user could send meanwhile (RFC 7413), but nothing is out."""
        self.retrans_stamp = -1
        if self.ca_state == LOSS:
            self._try_undo_recovery(None)

    def on_reorder_timer(self, now: Micros) -> bool:
        """RFC 8985 6.3: the reordering window of something outstanding has passed. True: there is something to send."""
        board = self.scoreboard
        self.again_in = 0
        self.acks.facts.reset()  # no ACK brought this about
        before = board.in_flight()
        window = self.rack.window(self.ca_state >= RECOVERY, board.sacked_out, self.rtt.min_rtt, self.rtt.srtt)
        first, _ = self.rack.detect(board, window, now)
        if board.in_flight() == before:
            return False
        self.found, self.lost_at = why.RACK, self.tcb.snd_una if first is None else first
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
                    self.prefer_new = True  # RFC 5682 2.1 2b: `output` sends new data, and nothing that may be lost
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
        """RFC 2018 8: the peer seems to have dropped what it had SACKed. If nothing else comes soon, time out."""
        board = self.scoreboard
        if self.acks.facts.una_advanced and board.records and board.records[0].sacked:
            self.doubt_in = max(self.rtt.srtt >> 1, 10 * MILLISECOND)
            return True
        return False
