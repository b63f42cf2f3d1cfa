"""Loss recovery without SACK: RFC 5681 3.2, RFC 6582 (NewReno), RFC 3042 (limited transmit), RFC 6937 (PRR)."""

from netstack.tcp.reduction import DISORDER, LOSS, OPEN, RECOVERY
from netstack.units import MILLISECOND, SECOND
from tests.tcp.bursts import acks, burst, flight, segments, sent


def test_third_duplicate_ack_retransmits(wire):  # RFC 5681 3.2 step 2; RFC 3042: the first two send new data
    flight(wire)
    assert acks(wire, 1) == segments(10_001, 11_001)
    assert wire.conn.recovery.ca_state == DISORDER
    assert acks(wire, 1) == segments(11_001, 12_001)
    assert acks(wire, 1) == segments(1, 1001)
    assert wire.conn.recovery.ca_state == RECOVERY
    assert wire.conn.recovery.cc.ssthresh == 5
    assert wire.mib["TcpExtTCPRenoRecovery"] == 1


def test_limited_transmit_needs_room_in_the_peers_window(wire):  # RFC 3042 2
    flight(wire, win=10_000)
    assert acks(wire, 1, 1) == []
    assert acks(wire, 1) == segments(1, 1001)


def test_full_acknowledgment_ends_recovery_with_half_the_window(wire):  # RFC 6582 3.2 step 3
    flight(wire)
    acks(wire, 1, 1, 1)
    left = acks(wire, 12_001)
    assert len(left) <= 5
    acks(wire, 12_001 + 1000 * len(left))
    assert wire.conn.recovery.ca_state == OPEN
    assert wire.conn.recovery.cc.cwnd in (5, 6)
    assert wire.conn.recovery.cc.ssthresh == 5


def test_partial_acknowledgment_retransmits_the_next_hole(wire):  # RFC 6582 3.2 step 5: without waiting for the timer
    flight(wire, queued=12_000)
    assert acks(wire, 1, 1, 1) == segments(10_001, 12_001) + segments(1, 1001)
    assert acks(wire, 4001, 4001) == segments(4001, 5001)
    assert acks(wire, 8001, 8001) == segments(8001, 9001)
    assert acks(wire, 12_001) == []
    wire.quiet(10 * SECOND)
    assert (wire.mib["TcpExtTCPTimeouts"], wire.mib["TcpRetransSegs"]) == (0, 3)


def test_segments_with_data_or_news_of_the_window_are_no_duplicates(wire):  # RFC 5681 2
    flight(wire, queued=10_000)
    wire.rx("P. 1:11(10) ack 1").tx(". 10001:10001(0) ack 11").rx("P. 11:21(10) ack 1").tx(". 10001:10001(0) ack 21")
    wire.rx(". 21:21(0) ack 1 win 60000").rx(". 21:21(0) ack 1 win 60001").rx(". 21:21(0) ack 1 win 60002").quiet()
    wire.recv(20)
    assert wire.conn.recovery.ca_state == OPEN


def test_acks_without_anything_outstanding_are_no_duplicates(wire):  # RFC 5681 2 (a)
    wire.established()
    assert acks(wire, 1, 1, 1, 1, 1) == []
    wire.send(10).tx("P. 1:11(10) ack 1")
    assert wire.conn.recovery.ca_state == OPEN


def test_prr_sends_one_segment_for_two_acknowledged(wire):  # RFC 6937 3
    flight(wire)
    acks(wire, 1, 1, 1)
    counts = [len(acks(wire, 1)) for _ in range(8)]
    assert max(counts) == 1
    assert 3 <= sum(counts) <= 5


def test_second_loss_in_one_window_does_not_halve_again(wire):  # RFC 6582 3.2: one reduction for each window
    flight(wire)
    acks(wire, 1, 1, 1)
    assert segments(4001, 5001)[0] in acks(wire, 4001, 4001)
    assert segments(9001, 10_001)[0] in acks(wire, 9001, 9001)
    assert wire.conn.recovery.cc.ssthresh == 5


def test_pipe_stays_within_cwnd(wire):  # RFC 5681 3.2 step 4
    flight(wire)
    for ack in (1, 1, 1, 1, 1, 1, 3001, 3001, 5001, 12_001):
        acks(wire, ack)
        assert wire.conn.recovery.scoreboard.in_flight() <= wire.conn.recovery.cc.cwnd


def test_lost_retransmission_is_found_by_the_timer(wire):  # without SACK there is no other way
    flight(wire, queued=10_000)
    assert acks(wire, 1, 1, 1) == segments(1, 1001)
    wire.next().tx(". 1:1001(1000) ack 1")
    assert wire.conn.recovery.ca_state == LOSS
    wire.after(100 * MILLISECOND).rx(". 1:1(0) ack 10001").quiet(10 * SECOND)


def test_no_fast_retransmit_for_what_the_timer_resent(wire):  # RFC 6582 4.1: "recover" forbids it
    flight(wire, queued=10_000)
    wire.after(250 * MILLISECOND).tx(". 1:1001(1000) ack 1").after(100 * MILLISECOND)
    left = acks(wire, 5001, 5001, 5001, 5001)
    assert len(left) == len(set(left)), left


def test_two_duplicates_are_not_enough(wire):  # RFC 5681 3.2: a window of three waits for the timer
    wire.established(syn="mss 1000").send(3000)
    burst(wire, 1, 3001)
    assert acks(wire, 1, 1) == []
    wire.quiet(296 * MILLISECOND - 1).after(1).tx(". 1:1001(1000) ack 1")


def test_duplicates_after_recovery_start_no_second_one(wire):  # RFC 6582 4.1: they are echoes of the first
    flight(wire, queued=10_000)
    assert acks(wire, 1, 1, 1, 1, 1) == segments(1, 1001)
    assert acks(wire, 10_001) == []
    wire.send(1000)
    assert sent(wire) == segments(10_001, 11_001)
    assert acks(wire, 10_001, 10_001) == []


def test_small_windows_make_small_segments_and_small_losses(wire):  # counted by the segments that are really sent
    wire.setup(congestion_control="reno").established(syn="mss 1000", win=1500, nodelay=True).send(300).send(900)
    wire.take()
    wire.rx(". 1:1(0) ack 751").send(1000).take()
    for _ in range(5):
        acks(wire, 751)
        board = wire.conn.recovery.scoreboard
        assert wire.conn.recovery.cc.cwnd > 0
        assert board.sacked_out + board.lost_out <= board.packets_out
    acks(wire, 2201)
