"""Loss recovery with SACK: RFC 2018 5, RFC 6675, RFC 8985 (RACK and TLP), RFC 2883 and RFC 3522 (undo), RFC 5682 3."""

from netstack.tcp.reduction import DISORDER, LOSS, OPEN, RECOVERY
from netstack.units import MILLISECOND, SECOND
from tests.script import FULL
from tests.tcp.bursts import APART, acks, burst, flight, segments, sent

SACK = "mss 1000,nop,nop,sackOK"


def sacks(wire, *blocks, ack=1):
    """ACKs of `ack` arrive that SACK one more of these blocks each, newest first; what they let go."""
    left = []
    for i in range(len(blocks)):
        known = " ".join(reversed(blocks[: i + 1][-3:]))
        left += acks(wire, ack, sack=known)
    return left


def state(wire):
    """(recovery state, cwnd, ssthresh)"""
    recovery = wire.conn.recovery
    return recovery.ca_state, recovery.cc.cwnd, recovery.cc.ssthresh


# -- finding losses ----------------------------------------------------------------------------------------------------


def test_three_segments_sacked_beyond_a_hole_retransmit_it(wire):  # RFC 6675 2 DupThresh; RFC 8985 6.2 step 4
    flight(wire, syn=SACK)
    assert sacks(wire, "1001:2001") == segments(10_001, 11_001)  # limited transmit
    assert wire.conn.recovery.ca_state == DISORDER
    assert sacks(wire, "1001:3001") == segments(11_001, 12_001)
    assert sacks(wire, "1001:4001") == segments(1, 1001)
    assert wire.conn.recovery.ca_state == RECOVERY
    assert wire.conn.recovery.cc.ssthresh == 5
    assert wire.mib["TcpExtTCPSackRecovery"] == 1


def test_every_hole_is_filled_within_one_round_trip(wire):  # RFC 6675 5 (C)
    flight(wire, queued=10_000, syn=SACK)
    left = sacks(wire, "1001:2001", "3001:4001", "5001:6001", "7001:8001", "9001:10001")
    left += acks(wire, 2001, sack="9001:10001 7001:8001 5001:6001")
    left += acks(wire, 4001, 6001, sack="9001:10001 7001:8001")
    holes = [hole for start in range(1, 9001, 2000) for hole in segments(start, start + 1000)]
    assert sorted(set(left), key=left.index) == left, "sent twice"
    assert left == holes
    assert acks(wire, 10_001) == []
    wire.quiet(10 * SECOND)
    assert wire.mib["TcpExtTCPTimeouts"] == 0


def test_one_sack_is_enough_after_a_quarter_of_the_round_trip(wire):  # RFC 8985 6.2 step 4: reo_wnd, 6.3: its timer
    wire.established(syn=SACK).send(2000)
    burst(wire, 1, 2001).after(100 * MILLISECOND).rx(". 1:1(0) ack 1 <sack 1001:2001>")
    wire.quiet(28 * MILLISECOND - 1).after(1).tx(". 1:1001(1000) ack 1")  # and 2 ms more, in ticks of 4 ms (Linux)
    assert wire.conn.recovery.ca_state == RECOVERY


def test_reordering_within_that_time_is_no_loss(wire):  # RFC 8985 6.2
    wire.established(syn=SACK).send(2000)
    burst(wire, 1, 2001).after(100 * MILLISECOND).rx(". 1:1(0) ack 1 <sack 1001:2001>").quiet(24 * MILLISECOND)
    wire.rx(". 1:1(0) ack 2001").quiet(10 * SECOND)
    assert wire.conn.recovery.ca_state == OPEN
    assert wire.conn.recovery.rack.reord_seen


def test_path_that_reorders_is_given_more_time(wire):  # RFC 8985 6.2 step 4: no DupThresh once reordering was seen
    flight(wire, queued=10_000, syn=SACK)
    sacks(wire, "1001:2001", "1001:3001")
    acks(wire, 3001)
    assert sacks(wire, "4001:5001", "4001:6001", "4001:7001", "4001:8001", ack=3001) == []
    wire.after(25 * MILLISECOND)
    assert sent(wire) == segments(3001, 4001)


def test_lost_retransmission_is_found_without_the_timer(wire):  # RFC 8985 3.2
    flight(wire, syn=SACK)
    assert segments(1, 1001)[0] in sacks(wire, "1001:2001", "1001:3001", "1001:4001")
    wire.after(100 * MILLISECOND)
    assert segments(12_001, 13_001)[0] in sacks(wire, "1001:5001", "1001:6001", "1001:8001", "1001:10001")
    wire.after(100 * MILLISECOND)
    left = sacks(wire, "1001:13001")
    assert segments(1, 1001)[0] in left
    assert wire.mib["TcpExtTCPTimeouts"] == 0


def test_new_data_is_sent_in_recovery_when_no_hole_is_left(wire):  # RFC 6675 4 NextSeg (2)
    flight(wire, syn=SACK)
    left = sacks(wire, *(f"1001:{right}" for right in range(2001, 11_001, 1000)))
    assert left.count(segments(1, 1001)[0]) == 1
    assert segments(12_001, 13_001)[0] in left
    assert wire.conn.recovery.scoreboard.in_flight() <= wire.conn.recovery.cc.cwnd


def test_recovery_ends_at_half_the_window(wire):  # RFC 6937; RFC 6675 5 (A)
    flight(wire, queued=12_000, syn=SACK)
    sacks(wire, *(f"1001:{right}" for right in range(2001, 12_001, 1000)))
    acks(wire, 12_001)
    assert state(wire) == (OPEN, 5, 5)


def test_fin_is_recovered_like_data(wire):  # it has a sequence number
    wire.established(syn=SACK).send(3000).call("shutdown")
    wire.tx(". 1:1001(1000) ack 1").tx("P. 1001:2001(1000) ack 1").tx("FP. 2001:3001(1000) ack 1")
    wire.after(50 * MILLISECOND).rx(". 1:1(0) ack 2001").next()
    wire.tx("FP. 2001:3001(1000) ack 1").rx(". 1:1(0) ack 3002").quiet(1 * SECOND)


# -- SACK blocks that say nothing, or too much -------------------------------------------------------------------------


def test_impossible_blocks_are_ignored(wire):  # RFC 2018 5, RFC 6675 3
    flight(wire, queued=10_000, syn=SACK)
    for block in ("20001:21001", "3001:2001", "-5000:-4000", "9001:20001", "5:5", "2000000001:2000001001"):
        assert sacks(wire, block) == []
    assert wire.conn.recovery.scoreboard.sacked_out == 0
    assert acks(wire, 10_001) == []


def test_block_that_covers_part_of_a_segment_does_not_count_it(wire):
    flight(wire, queued=10_000, syn=SACK)
    sacks(wire, "1501:1900")
    assert wire.conn.recovery.scoreboard.sacked_out == 0
    sacks(wire, "1501:3200")
    assert wire.conn.recovery.scoreboard.sacked_out == 1  # 2001:3001 is the only whole one
    assert acks(wire, 10_001) == []


def test_sack_of_what_was_cumulatively_acknowledged_is_a_dsack_only(wire):
    flight(wire, queued=10_000, syn=SACK)
    assert acks(wire, 5001) == []
    assert acks(wire, 5001, sack="1:1001") == []
    assert wire.conn.recovery.ca_state == OPEN


def test_peer_that_takes_its_sacks_back_is_believed_at_the_timeout(wire):  # RFC 2018 8: reneging
    flight(wire, queued=10_000, syn=SACK)
    sacks(wire, "1001:10001")
    wire.next()
    assert segments(1, 1001)[0] in sent(wire)
    assert acks(wire, 1001) == []  # it does not have them after all, or something else is on its way
    assert sent(wire.next()) == segments(1001, 2001)
    assert wire.mib["TcpExtTCPSACKReneging"] == 1
    assert acks(wire, 2001) == segments(2001, 4001)


# -- tail loss probes (RFC 8985 7) -------------------------------------------------------------------------------------


def test_tail_is_probed_before_the_timeout(wire):  # 7.2: PTO = 2 SRTT; 7.3: no new data, so the last segment again
    wire.established(syn=SACK).send(3000)
    burst(wire, 1, 3001).quiet(202 * MILLISECOND - 1).after(1).tx("P. 2001:3001(1000) ack 1")
    assert wire.mib["TcpExtTCPLossProbes"] == 1
    wire.quiet(300 * MILLISECOND - 1).after(1).tx(". 1:1001(1000) ack 1")
    assert wire.mib["TcpExtTCPTimeouts"] == 1


def test_probe_of_a_single_segment_waits_for_a_delayed_ack(wire):  # 7.2: WCDelAckT, but never beyond the RTO
    wire.established(syn=SACK, rtt=10 * MILLISECOND).send(100).tx("P. 1:101(100) ack 1")
    wire.quiet(210 * MILLISECOND - 1).after(1).tx("P. 1:101(100) ack 1")  # the RTO comes first: 10 + 200 ms
    assert wire.mib["TcpExtTCPLossProbes"] == 1


def test_probe_sends_new_data_when_there_is_some(wire):  # 7.3
    flight(wire, queued=11_000, syn=SACK)
    wire.after(152 * MILLISECOND).tx("P. 10001:11001(1000) ack 1")
    assert acks(wire, 11_001) == []
    assert wire.conn.recovery.cc.cwnd >= 10


def test_probe_reveals_lost_segments(wire):  # 7.4: the SACK of the probe starts fast recovery
    wire.established(syn=SACK).send(4000)
    burst(wire, 1, 4001).after(202 * MILLISECOND).tx("P. 3001:4001(1000) ack 1").after(100 * MILLISECOND)
    left = sacks(wire, "3001:4001", ack=1001)
    wire.after(30 * MILLISECOND)
    left += sent(wire)
    assert left == segments(1001, 2001)  # RFC 6937 3: each as something is delivered
    assert acks(wire, 2001) == segments(2001, 3001)
    assert acks(wire, 4001) == []
    wire.quiet(10 * SECOND)
    assert wire.mib["TcpExtTCPTimeouts"] == 0


def test_probe_that_repaired_a_loss_slows_down(wire):  # 7.4.2: no D-SACK, so the original was lost
    wire.setup(congestion_control="reno").established(syn=SACK).send(3000)
    burst(wire, 1, 3001).after(100 * MILLISECOND).rx(". 1:1(0) ack 2001").next()
    wire.tx("P. 2001:3001(1000) ack 1").after(100 * MILLISECOND).rx(". 1:1(0) ack 3001").send(1000)
    wire.tx("P. 3001:4001(1000) ack 1").rx(". 1:1(0) ack 4001")
    assert wire.mib["TcpExtTCPLossProbeRecovery"] == 1
    assert wire.conn.recovery.cc.cwnd < 10


def test_needless_probe_does_not_slow_down(wire):  # 7.4.1: a D-SACK says that both arrived
    wire.setup(congestion_control="reno").established(syn=SACK).send(3000)
    burst(wire, 1, 3001).after(202 * MILLISECOND).tx("P. 2001:3001(1000) ack 1").rx(". 1:1(0) ack 3001")
    wire.rx(". 1:1(0) ack 3001 <sack 2001:3001>").send(1000).tx("P. 3001:4001(1000) ack 1").rx(". 1:1(0) ack 4001")
    assert wire.mib["TcpExtTCPLossProbeRecovery"] == 0
    assert wire.conn.recovery.cc.cwnd >= 10


def test_one_probe_only(wire):  # 7.2: then the retransmission timer
    wire.established(syn=SACK).send(100).tx("P. 1:101(100) ack 1").after(300 * MILLISECOND).tx("P. 1:101(100) ack 1")
    wire.after(300 * MILLISECOND).tx("P. 1:101(100) ack 1").after(600 * MILLISECOND).tx("P. 1:101(100) ack 1")
    assert wire.mib["TcpExtTCPLossProbes"] == 1
    assert wire.mib["TcpExtTCPTimeouts"] == 2


def test_without_sack_there_are_no_probes(wire):  # 7.2
    wire.established(syn="mss 1000").send(3000)
    burst(wire, 1, 3001).quiet(300 * MILLISECOND - 1).after(1).tx(". 1:1001(1000) ack 1")


# -- undo: the loss never happened -------------------------------------------------------------------------------------


def test_dsack_for_every_retransmission_undoes_the_reduction(wire):  # RFC 2883 5, RFC 3708
    flight(wire, queued=10_000, syn=SACK)
    assert sacks(wire, "1001:2001", "1001:3001", "1001:4001") == segments(1, 1001)
    assert wire.conn.recovery.cc.ssthresh == 5
    acks(wire, 4001)
    acks(wire, 10_001, sack="1:1001")
    assert wire.conn.recovery.ca_state == OPEN
    assert wire.conn.recovery.cc.cwnd >= 10
    assert wire.conn.recovery.cc.ssthresh > 5


def test_echoed_timestamp_older_than_the_retransmission_undoes_it(wire):  # RFC 3522 3.2 (Eifel)
    flight(wire, queued=10_000, syn="mss 1012,sackOK,TS,nop,wscale 7")
    echo = wire.now // MILLISECOND - 50
    left = []
    for right in (2001, 3001, 4001):
        wire.after(APART).rx(f". 1:1(0) ack 1 <sack 1001:{right}>")
        left += sent(wire)
    assert left == segments(1, 1001)
    wire.after(APART).rx(". 1:1(0) ack 4001", ts=(wire.now // MILLISECOND, echo))
    assert wire.conn.recovery.ca_state == OPEN
    assert wire.conn.recovery.cc.cwnd >= 10


def test_timeout_undone_when_originals_are_sacked(wire):  # RFC 5682 3: SACK-enhanced F-RTO
    flight(wire, queued=10_000, syn=SACK)
    wire.after(152 * MILLISECOND).tx("P. 9001:10001(1000) ack 1").after(300 * MILLISECOND).tx(". 1:1001(1000) ack 1")
    assert wire.conn.recovery.ca_state == LOSS
    assert acks(wire, 1, sack="2001:3001") == []
    assert wire.mib["TcpExtTCPSpuriousRTOs"] == 1
    assert wire.conn.recovery.ca_state != LOSS


def test_timeout_of_a_lost_flight_resends_all_of_it(wire):  # RFC 6298 5.4; slow start from one segment
    flight(wire, queued=10_000, syn=SACK)
    wire.after(152 * MILLISECOND).tx("P. 9001:10001(1000) ack 1").after(300 * MILLISECOND).tx(". 1:1001(1000) ack 1")
    assert wire.conn.recovery.cc.cwnd == 1
    wire.after(100 * MILLISECOND)
    left = acks(wire, 1001)
    assert left == segments(1001, 3001)
    wire.after(100 * MILLISECOND)
    assert acks(wire, 2001, 3001) == segments(3001, 7001)
    wire.after(100 * MILLISECOND)
    assert acks(wire, 4001, 5001, 6001, 7001, 10_001)[:3] == segments(7001, 10_001)
    wire.quiet(10 * SECOND)


def test_everything_works_with_timestamps_and_scaling(wire):
    flight(wire, queued=12_000, syn=FULL.replace("1460", "1012"))
    left = []
    for right in (2001, 3001, 4001, 5001):
        wire.after(APART).rx(f". 1:1(0) ack 1 <sack 1001:{right}>")
        left += sent(wire)
    assert left == [*segments(10_001, 12_001), *segments(1, 1001)]
    wire.after(50 * MILLISECOND).rx(". 1:1(0) ack 12001").quiet(10 * SECOND)
    assert wire.conn.recovery.ca_state == OPEN
    assert wire.conn.recovery.cc.cwnd in (5, 6)
