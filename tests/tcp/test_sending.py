"""What is sent and when: segments, PSH, Nagle, cork, the send buffer, cwnd (RFC 9293 3.7.4, 3.9.1; RFC 5681)."""

import pytest

from netstack.tcp.readiness import WRITABLE
from netstack.units import MILLISECOND, SECOND
from tests.script import FULL
from tests.tcp.bursts import acks, burst, segments, sent


def test_full_segments_and_a_pushed_rest(wire):  # 3.9.1.2: PSH on the last of a write
    wire.established(syn="mss 1000").send(2500)
    wire.tx(". 1:1001(1000) ack 1").tx("P. 1001:2001(1000) ack 1").tx("P. 2001:2501(500) ack 1")


def test_several_writes_of_one_turn_are_one_segment(wire):
    wire.established().send(10).send(10).send(10).tx("P. 1:31(30) ack 1")


def test_writes_may_come_in_any_size(wire):  # segments do not follow the writes
    wire.established(syn="mss 1000").send(700).send(700).send(1600)
    burst(wire, 1, 3001)


# -- Nagle (RFC 896; 3.7.4) --------------------------------------------------------------------------------------------


def test_second_small_segment_waits_for_the_ack_of_the_first(wire):  # SHLD-7
    wire.established().send(10).tx("P. 1:11(10) ack 1").send(10).quiet(100 * MILLISECOND)
    wire.rx(". 1:1(0) ack 11").tx("P. 11:21(10) ack 1")


def test_what_waits_is_collected(wire):
    wire.established().send(10).tx("P. 1:11(10) ack 1").send(10).send(20).send(30).quiet(100 * MILLISECOND)
    wire.rx(". 1:1(0) ack 11").tx("P. 11:71(60) ack 1")


def test_full_segment_does_not_wait(wire):
    wire.established(syn="mss 1000").send(10).tx("P. 1:11(10) ack 1").send(500).quiet().send(700)
    wire.tx(". 11:1011(1000) ack 1").quiet()


def test_small_segment_behind_full_ones_does_not_wait(wire):  # Minshall: only an outstanding small one holds it back
    wire.established(syn="mss 1000").send(2500)
    burst(wire, 1, 2501).send(700).quiet().rx(". 1:1(0) ack 2001").quiet().rx(". 1:1(0) ack 2501")
    wire.tx("P. 2501:3201(700) ack 1")


def test_nodelay_switches_it_off(wire):  # MUST-17
    wire.established(nodelay=True).send(10).tx("P. 1:11(10) ack 1").send(10).tx("P. 11:21(10) ack 1")


def test_nodelay_set_later_lets_go_what_waits(wire):
    wire.established().send(10).tx("P. 1:11(10) ack 1").send(10).quiet()
    wire.conn.options.nodelay = True
    wire.send(5).tx("P. 11:26(15) ack 1")


def test_last_of_everything_is_not_held_back(wire):  # the FIN goes with it
    wire.established().send(10).tx("P. 1:11(10) ack 1").send(10).quiet().call("shutdown").tx("FP. 11:21(10) ack 1")


def test_nothing_waits_longer_than_the_timeout_of_the_first(wire):  # the retransmission may take it along
    wire.established().send(10).tx("P. 1:11(10) ack 1").send(10).quiet(300 * MILLISECOND - 1).after(1)
    assert sent(wire)[0] == ". 1:11(10) ack 1"


# -- cork and MSG_MORE -------------------------------------------------------------------------------------------------


def test_cork_holds_a_partial_segment(wire):  # Linux: TCP_CORK
    wire.established(syn="mss 1000", cork=True).send(10).quiet().send(1500).tx(". 1:1001(1000) ack 1").quiet()


def test_cork_lasts_not_for_ever(wire):  # Linux: about 200 ms (here the RTO)
    wire.established(cork=True).send(10).quiet(300 * MILLISECOND - 1).after(1).tx("P. 1:11(10) ack 1")


def test_more_is_promised_and_comes(wire):  # MSG_MORE
    wire.established().send(10, more=True).quiet().send(10).tx("P. 1:21(20) ack 1")


def test_fin_uncorks(wire):
    wire.established(cork=True).send(10).quiet().call("shutdown").tx("FP. 1:11(10) ack 1")


# -- the send buffer ---------------------------------------------------------------------------------------------------


def test_buffer_is_bounded_and_tells_when_there_is_room(wire):  # WRITABLE when a third is free, as in Linux
    wire.established(syn="mss 1000", sndbuf=9000)
    wire.send(10_000)  # one super-segment, begun with room left and filled, as in Linux
    assert wire.conn.send(b"x") == 0
    assert wire.conn.send_space == 0
    burst(wire, 1, 10_001).rx(". 1:1(0) ack 4001").quiet()
    assert wire.told == []
    wire.rx(". 1:1(0) ack 6001").quiet()
    assert wire.told == [WRITABLE]
    assert wire.conn.send_space == 44_000  # half the window, in whole segments, filled up again as twelve leave


def test_user_who_never_filled_the_buffer_is_not_told(wire):
    wire.established().send(10).tx("P. 1:11(10) ack 1").rx(". 1:1(0) ack 11").quiet()
    assert wire.told == []


def test_buffer_grows_with_cwnd(wire):  # Linux: send buffer auto-tuning, up to tcp_wmem[2]
    wire.setup(wmem=(4096, 16_384, 40_000), congestion_control="reno").established(syn="mss 1000")
    wire.send(60_000, accepted=20_000)
    burst(wire, 1, 10_001)
    acks(wire, *range(1001, 11_001, 1000))
    assert wire.conn.send_limit == 40_000
    wire.take()


def test_buffer_does_not_shrink_when_cwnd_does(wire):  # Linux; recovery needs new data just then (RFC 6675 5)
    wire.setup(wmem=(4096, 16_384, 40_000), congestion_control="reno").established(syn="mss 1000,sackOK")
    wire.send(60_000, accepted=20_000)
    burst(wire, 1, 10_001)
    acks(wire, *range(1001, 11_001, 1000))
    assert wire.conn.send_limit == 40_000
    wire.conn.recovery.cc.cwnd = 5
    wire.conn.mark()  # a turn for it, in which those who watch are told
    assert wire.conn.send_limit == 40_000
    wire.take()


def test_memory_is_released_as_it_is_acknowledged(wire):
    wire.established(syn="mss 1000")
    for _ in range(50):
        wire.send(200)
    wire.take()
    for ack in range(201, 10_002, 200):
        wire.rx(f". 1:1(0) ack {ack}").take()
    assert len(wire.conn.send_buffer) == 0
    assert not any(wire.conn.send_buffer.chunks)


# -- slow start and congestion avoidance (RFC 5681 3.1) ----------------------------------------------------------------


def test_initial_window_is_ten_segments(wire):  # RFC 6928
    wire.established(syn="mss 1000").send(50_000)
    burst(wire, 1, 10_001).quiet(100 * MILLISECOND)


def test_initial_window_is_configurable(wire):
    wire.setup(initial_cwnd=3).established(syn="mss 1000").send(50_000)
    burst(wire, 1, 3001).quiet(100 * MILLISECOND)


def test_slow_start_doubles_every_round_trip(wire):  # RFC 5681 3.1: one segment more for each acknowledged
    wire.setup(congestion_control="reno").established(syn="mss 1000").send(100_000)
    burst(wire, 1, 10_001)
    right, ack = 10_001, 1
    for expected in (20, 40):
        wire.after(90 * MILLISECOND)
        out = right
        while ack < out:
            ack += 1000
            right += 1000 * len(acks(wire, ack))
        assert wire.conn.recovery.cc.cwnd == expected
        assert right - ack == 1000 * expected


def test_one_ack_for_several_segments_counts_for_all(wire):  # RFC 3465: by what was acknowledged
    wire.setup(congestion_control="reno").established(syn="mss 1000").send(100_000)
    burst(wire, 1, 10_001)
    assert len(acks(wire, 10_001)) == 20


def test_congestion_avoidance_adds_one_segment_a_round_trip(wire):  # RFC 5681 3.1
    wire.setup(congestion_control="reno").established(syn="mss 1000").send(200_000)
    wire.conn.recovery.cc.ssthresh = 10
    burst(wire, 1, 10_001)
    right, ack = 10_001, 1
    for expected in (11, 12, 13):
        wire.after(80 * MILLISECOND)
        out = right
        while ack < out:
            ack += 1000
            right += 1000 * len(acks(wire, ack))
        assert wire.conn.recovery.cc.cwnd == expected


def test_unused_window_does_not_grow(wire):  # RFC 7661's concern; RFC 5681 3.1 via Linux's is_cwnd_limited
    wire.setup(congestion_control="reno").established(syn="mss 1000", nodelay=True)
    for i in range(50):
        left = 1 + 100 * i
        wire.send(100).tx(f"P. {left}:{left + 100}(100) ack 1").after(10 * MILLISECOND).rx(f". 1:1(0) ack {left + 100}")
    assert wire.conn.recovery.cc.cwnd == 10


def test_idle_connection_starts_over(wire):  # RFC 5681 4.1, RFC 2861: halved for each RTO of idleness, not below IW
    wire.setup(congestion_control="reno").established(syn="mss 1000").send(40_000)
    burst(wire, 1, 10_001)
    assert len(acks(wire, 10_001, 30_001)) == 30
    acks(wire, 40_001)
    grown = wire.conn.recovery.cc.cwnd
    assert grown >= 40
    wire.after(10 * SECOND).send(50_000)
    assert sent(wire) == segments(40_001, 50_001)
    assert wire.conn.recovery.cc.ssthresh >= grown * 3 // 4


def test_idle_restart_can_be_switched_off(wire):  # Linux: tcp_slow_start_after_idle
    wire.setup(congestion_control="reno", slow_start_after_idle=False).established(syn="mss 1000").send(40_000)
    burst(wire, 1, 10_001)
    acks(wire, 10_001, 30_001, 40_001)
    grown = wire.conn.recovery.cc.cwnd
    wire.after(10 * SECOND).send(100_000)
    assert len(sent(wire)) == min(grown, 65)


@pytest.mark.parametrize("algorithm", ["reno", "cubic"])
def test_every_algorithm_carries_a_transfer(wire, algorithm):
    wire.setup(congestion_control=algorithm).established(syn=FULL).send(200_000)
    ack = 1
    for _ in range(100):
        right = max((int(text.split(":")[1].split("(")[0]) for text in wire.take()), default=ack)
        if right == ack:
            break
        wire.after(50 * MILLISECOND).rx(f". 1:1(0) ack {right}")
        ack = right
    assert ack == 200_001


def test_notsent_lowat_where_a_segment_exceeds_what_linux_sends_in_one_piece(wire):
    wire.setup(mtu=65_521).established("mss 65481,nop,wscale 14", notsent_lowat=1)
    wire.send(200_000).take()  # each piece leaves before the next one is begun
