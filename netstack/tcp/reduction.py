"""How cwnd comes down after a loss or a mark, and goes back up when there was none (RFC 6937, 3522, 2883).

Proportional rate reduction, and undo: what recovery remembers in case the loss turns out to be reordering.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.config import TcpConfig
from netstack.counters import Tally
from netstack.tcp import why
from netstack.tcp.acknowledge import Acknowledger
from netstack.tcp.congestion import INFINITE, CongestionControl
from netstack.tcp.pace import Pace
from netstack.tcp.rack import Rack
from netstack.tcp.rate import Rate
from netstack.tcp.rto import RttEstimator
from netstack.tcp.scoreboard import Scoreboard
from netstack.tcp.tcb import Tcb
from netstack.units import Micros, Octets, Seq

if TYPE_CHECKING:
    from netstack.tcp.accecn import AccEcn
    from netstack.tcp.mtu_probe import MtuProbe

OPEN, DISORDER, CWR, RECOVERY, LOSS = range(5)
"""tcpi_ca_state's numbers."""
BETA_ECN = {"reno": 0.8, "cubic": 0.85}
"""RFC 8511 3.1, 4.1: what remains of cwnd after a mark; a queue that marks is shorter than one that overflows."""


class Reduction:
    """The variables of loss recovery of one connection, with PRR and undo; `recovery` adds the decisions."""

    __slots__ = (
        "_prior_cwnd",
        "_prior_ssthresh",
        "_prr_delivered",
        "acks",
        "again_in",
        "bytes_retrans",
        "ca_state",
        "cc",
        "config",
        "cwnd_limited",
        "cwnd_limited_until",
        "cwr_due",
        "data_repeated",
        "delivered",
        "doubt_in",
        "ecn_mark",
        "fin_alone",
        "found",
        "frto",
        "heard_at",
        "high_seq",
        "lost_at",
        "marks",
        "max_packets_out",
        "may_probe",
        "mib",
        "mtu_probe",
        "new_data_waits",
        "only_again",
        "pace",
        "prefer_new",
        "prr_out",
        "rack",
        "rate",
        "refuted",
        "repeated_until",
        "resent_at",
        "restart_cwnd",
        "retrans_stamp",
        "round_end",
        "rto_since",
        "rtt",
        "scoreboard",
        "stalled_since",
        "tcb",
        "timeout_to_answer",
        "timeouts",
        "tlp_high_seq",
        "tlp_is_retransmission",
        "total_retrans",
        "total_rto",
        "total_rto_recoveries",
        "total_rto_time",
        "undo_marker",
        "used_at",
        "used_packets",
    )

    def __init__(self, tcb: Tcb, cc: CongestionControl, rtt: RttEstimator, config: TcpConfig, mib: Tally) -> None:
        self.tcb = tcb
        self.cc = cc
        self.pace: Pace | None = None
        """None: what may leave leaves at once."""
        self.rtt = rtt
        self.config = config
        self.mib = mib
        self.scoreboard = Scoreboard(tcb.eff_snd_mss)
        self.rack = Rack(config.reordering, config.max_reordering, config.recovery)
        self.rate = Rate()
        self.acks = Acknowledger(tcb, self.scoreboard, self.rack, self.rate, rtt, mib)
        self.ca_state = OPEN
        self.high_seq: Seq = 0
        """The recovery point: SND.NXT when this episode began (RFC 6582's recover)."""
        self.undo_marker: Seq | None = None
        """SND.UNA when cwnd was reduced; None when there is nothing to undo."""
        self.resent_at: Micros = -1
        """When something was last sent again: RACK needs to know what left after it, however coarse the clock."""
        self.retrans_stamp: Micros = -1
        """When the first retransmission of this episode left; -1: none."""
        self.stalled_since: Micros = 0
        """When the first of the timeouts in a row fired (RFC 9293 3.8.3: R2 counts from it). Of a SYN: when it left."""
        self.delivered = 0
        self.total_retrans = 0
        """Segments retransmitted in the connection's life."""
        self.bytes_retrans: Octets = 0
        self.data_repeated = 0
        """Segments with data among them."""
        self.fin_alone = 0
        """1 when our FIN left in a segment of its own."""
        self.timeouts = 0
        """RTOs in a row (icsk_retransmits)."""
        self.total_rto = self.total_rto_recoveries = 0
        self.total_rto_time: Micros = 0
        """What timeouts cost: how many there were, in how many episodes, and how long those lasted that are over."""
        self.timeout_to_answer = False
        """The timer fired and nothing was sent again yet: that first retransmission belongs to the timeout itself."""
        self.rto_since: Micros = -1
        """When the first timeout of this episode happened; -1: there is none."""
        self.round_end: Seq = 0
        """SND.NXT when the current round trip began (RFC 9406 4.2)."""
        self.repeated_until: Seq = 0
        """Up to here records were sent again although, since an undo, nothing says so: Karn."""
        self.frto = False
        self.found = self.refuted = ""
        """How the last loss was found, and how one was found not to be one: names of `why`. For those who watch."""
        self.lost_at: Seq = -1
        """What was found lost last begins here; -1: those who watch know."""
        self.tlp_high_seq: Seq | None = None
        """SND.NXT when a loss probe left (TLP.end_seq of RFC 8985 7.1); None: none is out."""
        self.tlp_is_retransmission = False
        self.may_probe = False
        """Tail loss probes are allowed: SACK is in use (RFC 8985 7), and nobody forbade them."""
        self.marks: AccEcn | None = None
        """Asked about the ACK being taken in, once it is known what that delivered (RFC 9768)."""
        self.ecn_mark = False
        """The ACK being taken in says that a router marked something (RFC 3168 6.1.2)."""
        self.cwr_due = False
        """cwnd was reduced: with ECN, the next new data says so."""
        self.again_in: Micros = 0
        """RACK wants to look again this long from now; 0: no."""
        self.doubt_in: Micros = 0
        """The peer may have dropped what it had SACKed: the retransmission timer is to fire so soon; 0: no doubt."""
        self.mtu_probe: MtuProbe | None = None
        self.new_data_waits = False
        self.only_again = False
        """A timer found what is lost: nothing new is sent along with it."""
        self.prefer_new = False
        """F-RTO asks for new data before anything is sent again; once."""
        """Kept by `output`: unsent data exists and the window has room (F-RTO 2.b asks)."""
        self._prior_cwnd = 0
        self._prior_ssthresh = 0
        self._prr_delivered = 0
        self.prr_out = 0
        self.cwnd_limited = False
        self.cwnd_limited_until: Seq = 0
        self.max_packets_out = 0
        self.restart_cwnd = config.initial_cwnd
        """What cwnd falls to when nothing is sent for long (RFC 5681 4.1)."""
        self.used_packets = 0
        self.used_at: Micros = 0
        """When cwnd was the limit, or changed; and the most that was outstanding since, while it was not the limit."""
        self.heard_at: Micros = 0
        """When the ACK being taken in came."""

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
        self.tlp_high_seq = None
        cc.ssthresh = cc.ssthresh_after_loss()
        self.cwr_due = True

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

    def enter_cwr(self) -> None:
        """RFC 3168 6.1.2: the peer echoes a congestion mark; react once a window, with nothing to send again."""
        self._prior_ssthresh = 0
        if self.ca_state < CWR:
            self.undo_marker = None
            self._start_reduction()
            self.ca_state = CWR
            cc = self.cc
            if self.config.abe and cc.name in BETA_ECN:
                cc.ssthresh = max(cc.ssthresh, int(self._prior_cwnd * BETA_ECN[cc.name]))

    def _end_reduction(self) -> None:
        cc = self.cc
        if cc.ssthresh < INFINITE and (self.undo_marker is not None or self.ca_state == CWR):
            cc.cwnd = cc.ssthresh
            self.used_at = self.heard_at

    def _start_undo(self) -> None:
        self.undo_marker = self.tcb.snd_una
        probe = self.tlp_high_seq is not None and self.tlp_is_retransmission
        self.acks.undo_retrans = self.scoreboard.retrans_out + probe or -1  # on their way: D-SACKs may come of them

    def note_retransmission(self, segments: int, now: Micros) -> None:
        """`segments` went out again: PRR and undo count them."""
        self.prr_out += segments
        if self.retrans_stamp < 0:
            self.retrans_stamp = now
        self.acks.undo_retrans = max(0, self.acks.undo_retrans) + segments

    def note_timeout(self, now: Micros) -> None:
        """The retransmission timer fired once more."""
        if not self.timeouts:
            self.total_rto_recoveries += 1
            self.rto_since = now
        self.timeouts += 1
        self.total_rto += 1
        self.timeout_to_answer = True

    def end_timeouts(self, now: Micros) -> None:
        """What the timeout began is over."""
        if self.rto_since >= 0:
            self.total_rto_time += now - self.rto_since
            self.rto_since = -1

    def _may_undo(self, ts_ecr: Micros | None) -> bool:
        return self.undo_marker is not None and (not self.acks.undo_retrans or self._delayed(ts_ecr))

    def _delayed(self, ts_ecr: Micros | None) -> bool:
        """RFC 3522 3.2 (Eifel): the echoed timestamp is older than our first retransmission: the original arrived."""
        stamp = self.retrans_stamp
        return stamp >= 0 and ts_ecr is not None and ts_ecr < stamp - stamp % 1000

    def _undo(self, unmark: bool, how: str) -> None:
        cc = self.cc
        self.refuted = how
        if unmark:
            self.scoreboard.forgive()
            self.repeated_until = self.tcb.snd_nxt
        if self._prior_ssthresh:
            cc.cwnd = cc.cwnd_after_undo(self._prior_cwnd)
            cc.ssthresh = max(cc.ssthresh, self._prior_ssthresh)
            self.cwr_due = False
        self.used_at = self.heard_at
        self.undo_marker = None
        self.rack.advanced = True

    def _try_undo_recovery(self, ts_ecr: Micros | None) -> bool:
        """The episode is over. True: stay in the state until something above the recovery point is acknowledged."""
        if self._may_undo(ts_ecr):
            self.mib["TcpExtTCPLossUndo" if self.ca_state == LOSS else "TcpExtTCPFullUndo"] += 1
            self._undo(False, why.EIFEL if self.acks.undo_retrans else why.DSACK)
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
            self._undo(False, why.DSACK)
            return True
        return False

    def _try_undo_partial(self, prior_una: Seq, ts_ecr: Micros | None) -> bool:
        """A hole was filled by what was late, not by what was sent again. True: wait for the answer to that."""
        if self.undo_marker is None or not self._delayed(ts_ecr):
            return False
        if self.rack.on_reordering(prior_una, self.acks.fack(), self.scoreboard.mss):
            self.mib["TcpExtTCPTSReorder"] += 1
        if self.scoreboard.retrans_out:
            return True
        if not self._any_retransmitted():
            self.retrans_stamp = -1
        self.mib["TcpExtTCPPartialUndo"] += 1
        self._undo(True, why.EIFEL)
        self._keep_open()
        return False

    def _try_undo_loss(self, frto_says_so: bool, ts_ecr: Micros | None) -> bool:
        if not frto_says_so and not self._may_undo(ts_ecr):
            return False
        self._undo(True, why.FRTO if frto_says_so else why.EIFEL if self.acks.undo_retrans else why.DSACK)
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
        odd = board.sacked_out or board.lost_out or self._any_retransmitted()
        state = DISORDER if odd else OPEN
        if state != self.ca_state:
            self.ca_state = state
            self.high_seq = self.tcb.snd_nxt

    def _any_retransmitted(self) -> bool:
        board = self.scoreboard
        return board.retrans_out > 0 or bool(board.records and board.records[0].times)

    # -- duplicate ACKs standing in for SACK (RFC 6582) ----------------------------------------------------------------

    def _add_reno_sack(self) -> None:
        board = self.scoreboard
        before = board.sacked_out
        board.sacked_out += 1
        self._limit_reno_sacks()
        self.delivered += max(0, board.sacked_out - before)

    def _limit_reno_sacks(self) -> None:
        board = self.scoreboard
        most = self._most_reno_sacks()
        if board.sacked_out > most:
            board.sacked_out = max(0, most)
            self.rack.reordering = min(max(self.rack.reordering, board.packets_out), self.rack.most)
            self.rack.reord_seen += 1
            self.mib["TcpExtTCPRenoReorder"] += 1

    def _most_reno_sacks(self) -> int:
        """Duplicate ACKs stand for segments that arrived, and at least one did not: the hole that they report."""
        board = self.scoreboard
        return board.packets_out - min(max(board.lost_out, 1), board.packets_out)

    def _remove_reno_sacks(self, acked: int) -> int:
        """A cumulative ACK covers the hole and what the duplicates stood for. Returns what it delivered."""
        board = self.scoreboard
        newly = 0
        if acked > 0:
            newly = max(acked - board.sacked_out, 1)
            board.sacked_out = max(0, board.sacked_out - (acked - 1))
        board.sacked_out = min(board.sacked_out, self._most_reno_sacks())
        return newly
