"""The retransmission timer and the round-trip times behind it (RFC 6298; RFC 9293 3.8.1, 3.8.3), without SACK."""

from errno import ETIMEDOUT
from itertools import pairwise

import pytest

from netstack.tcp.rto import RttEstimator
from netstack.tcp.state import CLOSED, ESTABLISHED
from netstack.units import MILLISECOND, SECOND
from tests.tcp.bursts import acks, burst, segments, sent


def test_rto_is_srtt_and_four_deviations(wire):  # RFC 6298 2.2: R + 4 * R/2
    wire.established(rtt=100 * MILLISECOND)
    assert (wire.conn.rtt.srtt, wire.conn.rtt.rto) == (100 * MILLISECOND, 300 * MILLISECOND)


def test_rto_is_never_below_200_ms_more_than_srtt(wire):  # 2.4 says 1 s. Deviation: Linux's floor and clock
    wire.established(rtt=1 * MILLISECOND).send(10).tx("P. 1:11(10) ack 1")
    wire.quiet(204 * MILLISECOND - 1).after(1).tx("P. 1:11(10) ack 1")


def test_samples_are_folded_in():  # 2.3: alpha 1/8, beta 1/4
    rtt = RttEstimator(1 * SECOND, 200 * MILLISECOND, 120 * SECOND, 300 * SECOND)
    rtt.sample(800 * MILLISECOND, 700 * MILLISECOND, 10, 20, 1 * SECOND)
    assert (rtt.srtt, rtt.rto) == (800 * MILLISECOND, 2400 * MILLISECOND)
    rtt.sample(1600 * MILLISECOND, 1600 * MILLISECOND, 20, 30, 3 * SECOND)
    assert rtt.srtt == 900 * MILLISECOND
    assert rtt.min_rtt == 700 * MILLISECOND
    assert rtt.rto == 900 * MILLISECOND + 4 * (400 * 3 + 800) // 4 * MILLISECOND  # RTTVAR = 3/4 * 400 + 1/4 * 800


def test_every_ack_of_new_data_is_a_sample(wire):  # 3, 4: no timer granularity, several a window
    wire.established(rtt=100 * MILLISECOND).send(100).tx("P. 1:101(100) ack 1").after(180 * MILLISECOND)
    wire.rx(". 1:1(0) ack 101")
    assert wire.conn.rtt.srtt == 110 * MILLISECOND


def test_backoff_doubles_up_to_the_limit_and_then_it_gives_up(wire):  # 5.5; RFC 9293 3.8.3 R2
    wire.established().send(100).tx("P. 1:101(100) ack 1")
    left = wire.run()
    assert {text for _, text in left} == {"P. 1:101(100) ack 1"}
    times = [0] + [at for at, _ in left]
    gaps = [(later - earlier) // MILLISECOND for earlier, later in pairwise(times)]
    assert gaps == [300, 600, 1200, 2400, 4800, 9600, 19_200, 38_400, 76_800] + [120_000] * 6
    assert wire.state(CLOSED).conn.error == ETIMEDOUT
    assert 924 * SECOND < wire.now < 924 * SECOND + 2 * 120 * SECOND  # Linux: as long as 15 doublings from 200 ms take


@pytest.mark.parametrize(("retries", "times"), [(1, 1), (3, 3), (5, 5)])
def test_it_gives_up_by_count(wire, retries, times):  # 3.8.3; the count stands for a time, as in Linux
    wire.setup(retries2=retries).established().send(100).tx("P. 1:101(100) ack 1")
    assert len(wire.run()) == times
    assert wire.conn.error == ETIMEDOUT
    assert wire.mib["TcpExtTCPAbortOnTimeout"] == 1


def test_user_timeout_counts_from_the_first_retransmission(wire):  # 3.8.3, RFC 5482; as in Linux
    wire.established(user_timeout=3 * SECOND).send(100).tx("P. 1:101(100) ack 1")
    for delay in (300, 600, 1200):
        wire.after(delay * MILLISECOND).tx("P. 1:101(100) ack 1")
    wire.quiet(1200 * MILLISECOND - 1).state(ESTABLISHED).quiet(1).state(CLOSED)
    assert wire.conn.error == ETIMEDOUT


def test_an_ack_renews_the_users_patience(wire):
    wire.established(user_timeout=1 * SECOND).send(100).tx("P. 1:101(100) ack 1").after(300 * MILLISECOND)
    wire.tx("P. 1:101(100) ack 1").after(500 * MILLISECOND).rx(". 1:1(0) ack 101").quiet(10 * SECOND)
    wire.send(100).tx("P. 101:201(100) ack 1").after(600 * MILLISECOND).tx("P. 101:201(100) ack 1").state(ESTABLISHED)


def test_progress_counts_however_slow(wire):  # 3.8.3: R2 is about one segment, not about the episode
    wire.setup(retries2=2, congestion_control="reno").established(syn="mss 1000").send(10_000)
    burst(wire, 1, 10_001).next()
    for ack in range(1001, 9002, 1000):  # each segment has to be sent a second time
        wire.take()
        wire.next().take()
        wire.rx(f". 1:1(0) ack {ack}")
    wire.take()
    wire.state(ESTABLISHED)
    assert wire.now > 5 * SECOND


def test_karn_no_sample_from_a_retransmission_and_the_backoff_stays(wire):  # 3, 5.7
    wire.established().send(100).tx("P. 1:101(100) ack 1").after(300 * MILLISECOND).tx("P. 1:101(100) ack 1")
    wire.after(10 * MILLISECOND).rx(". 1:1(0) ack 101")
    assert wire.conn.rtt.srtt == 100 * MILLISECOND
    wire.send(100).tx("P. 101:201(100) ack 1").quiet(600 * MILLISECOND - 1).after(1).tx("P. 101:201(100) ack 1")


def test_a_sample_ends_the_backoff(wire):  # 5.7
    wire.established().send(100).tx("P. 1:101(100) ack 1").after(300 * MILLISECOND).tx("P. 1:101(100) ack 1")
    wire.rx(". 1:1(0) ack 101").send(100).tx("P. 101:201(100) ack 1").after(100 * MILLISECOND).rx(". 1:1(0) ack 201")
    assert wire.conn.rtt.backoff == 0
    rto = wire.conn.rtt.timeout()
    assert rto <= 300 * MILLISECOND
    wire.send(100).tx("P. 201:301(100) ack 1").quiet(rto - 1).after(1).tx("P. 201:301(100) ack 1")


def test_the_timer_starts_anew_with_every_ack_of_new_data(wire):  # 5.3
    wire.established(syn="mss 1000").send(2000).tx(". 1:1001(1000) ack 1").tx("P. 1001:2001(1000) ack 1")
    wire.after(200 * MILLISECOND).rx(". 1:1(0) ack 1001")
    rto = wire.conn.rtt.timeout()
    wire.quiet(rto - 1).after(1).tx("P. 1001:2001(1000) ack 1")


def test_a_duplicate_ack_does_not_restart_it(wire):  # 5.3: only new data
    wire.established().send(100).tx("P. 1:101(100) ack 1").after(200 * MILLISECOND).rx(". 1:1(0) ack 1")
    wire.quiet(100 * MILLISECOND - 1).after(1).tx("P. 1:101(100) ack 1")


def test_the_timer_stops_when_nothing_is_outstanding(wire):  # 5.2
    wire.established().send(100).tx("P. 1:101(100) ack 1").rx(". 1:1(0) ack 101").quiet(100 * SECOND)
    assert wire.stack.deadline() is None


def test_sending_more_does_not_restart_it(wire):  # 5.1
    wire.established(nodelay=True).send(100).tx("P. 1:101(100) ack 1").after(200 * MILLISECOND)
    wire.send(100).tx("P. 101:201(100) ack 1").quiet(100 * MILLISECOND - 1).after(1).tx("P. 1:201(200) ack 1")


def test_timeout_sends_the_first_segment_and_starts_slowly(wire):  # 5.4; RFC 5681 3.1: cwnd 1, then slow start
    wire.setup(congestion_control="reno")
    wire.established(syn="mss 1000").send(10_000)
    burst(wire, 1, 10_001).after(300 * MILLISECOND).tx(". 1:1001(1000) ack 1")
    assert (wire.conn.recovery.cc.cwnd, wire.conn.recovery.cc.ssthresh) == (1, 5)
    assert acks(wire, 1001) == segments(1001, 3001)
    assert acks(wire, 2001, 3001) == segments(3001, 7001)
    assert wire.conn.recovery.cc.cwnd == 4


def test_everything_outstanding_may_be_lost(wire):  # RFC 6298 5.4 again and again
    wire.established(syn="mss 1000").send(3000)
    burst(wire, 1, 3001).after(300 * MILLISECOND).tx(". 1:1001(1000) ack 1")
    wire.after(600 * MILLISECOND).tx(". 1:1001(1000) ack 1").after(50 * MILLISECOND).rx(". 1:1(0) ack 1001")
    burst(wire, 1001, 3001).rx(". 1:1(0) ack 3001").quiet(10 * SECOND)


def test_an_ack_of_everything_after_a_timeout_resends_nothing(wire):  # only our ACKs were lost
    wire.established(syn="mss 1000").send(5000)
    burst(wire, 1, 5001).after(300 * MILLISECOND).tx(". 1:1001(1000) ack 1")
    wire.after(50 * MILLISECOND).rx(". 1:1(0) ack 5001").quiet(10 * SECOND)


def test_partial_octets_acknowledged_are_not_sent_again(wire):  # a peer may acknowledge in the middle of a segment
    wire.established(syn="mss 1000").send(2000)
    burst(wire, 1, 2001).rx(". 1:1(0) ack 501").after(wire.conn.rtt.rto)
    assert sent(wire) == segments(501, 1501)


def test_what_was_sent_together_may_be_cut_again(wire):  # the peer's window shrank below the segment
    wire.established(syn="mss 1000").send(2000)
    burst(wire, 1, 2001).rx(". 1:1(0) ack 1001 win 400").after(wire.conn.rtt.rto)
    wire.take()
    wire.rx(". 1:1(0) ack 2001 win 400").quiet(10 * SECOND)


# -- F-RTO (RFC 5682): was the timeout needless? -----------------------------------------------------------------------


def _late(wire):
    """Everything is delayed by more than the RTO: the first of ten segments went out again."""
    wire.setup(congestion_control="reno").established(syn="mss 1000").send(20_000)
    burst(wire, 1, 10_001).after(300 * MILLISECOND)
    assert sent(wire) == segments(1, 1001)
    assert acks(wire, 1001) == segments(10_001, 12_001)  # 2b: two new segments, and nothing that may be lost


def test_frto_finds_a_needless_timeout(wire):  # RFC 5682 2.1 3b: both ACKs advance, so nothing was lost, only late
    _late(wire)
    assert segments(2001, 3001)[0] not in acks(wire, 2001, 3001)
    assert wire.mib["TcpExtTCPSpuriousRTOs"] == 1
    assert wire.conn.recovery.scoreboard.lost_out == 0
    assert wire.conn.recovery.cc.cwnd >= 10


def test_frto_falls_back_when_the_second_ack_is_a_duplicate(wire):  # RFC 5682 2.1 3a
    _late(wire)
    assert acks(wire, 1001, 1001) == segments(1001, 3001)
    assert wire.mib["TcpExtTCPSpuriousRTOs"] == 0


def test_frto_without_new_data_is_plain_slow_start(wire):  # RFC 5682 2.1 2b needs new data
    wire.established(syn="mss 1000").send(4000)
    burst(wire, 1, 4001).after(300 * MILLISECOND).tx(". 1:1001(1000) ack 1").rx(". 1:1(0) ack 1001")
    burst(wire, 1001, 3001)
