"""When to acknowledge (RFC 9293 3.8.6.3; RFC 5681 4.2; Linux's quick ACKs at the start and its delays)."""

import pytest

from netstack.units import MILLISECOND, SECOND
from tests.script import FULL


def settled(wire, **options):
    """Past the quick ACKs of the start, in an exchange of requests and answers: ACKs wait for answers to ride on."""
    wire.established(**options)
    wire.rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").recv(10).send(10).tx("P. 1:11(10) ack 11")
    wire.after(10 * MILLISECOND).rx(". 11:11(0) ack 11").after(100 * MILLISECOND)
    return wire


def test_first_segments_are_acknowledged_at_once(wire):  # so that the peer's slow start is not slowed
    wire.established()
    for left in range(1, 161, 10):
        wire.rx(f"P. {left}:{left + 10}(10) ack 1").tx(f". 1:1(0) ack {left + 10}")
    wire.recv(160)


def test_later_ones_wait_40_ms(wire):  # RFC 9293 3.8.6.3 MUST-40: less than 0.5 s
    settled(wire).rx("P. 11:21(10) ack 11").quiet(40 * MILLISECOND - 1).after(1).tx(". 11:11(0) ack 21").recv(10)


def test_answer_carries_the_ack(wire):  # that is what the delay is for
    settled(wire).rx("P. 11:21(10) ack 11").after(20 * MILLISECOND).recv(10).send(10).tx("P. 11:21(10) ack 21")
    wire.rx(". 21:21(0) ack 21").quiet(1 * SECOND)


def test_answer_of_the_same_turn_carries_the_ack(wire):  # no bare ACK before it
    settled(wire)
    wire.conn.observer = lambda flags: wire.recv(10).send(10)
    wire.rx("P. 11:21(10) ack 11").tx("P. 11:21(10) ack 21")
    wire.conn.observer = None


def test_every_second_full_segment_is_acknowledged_at_once(wire):  # RFC 9293 3.8.6.3 SHLD-18; RFC 5681 4.2
    settled(wire).rx(". 11:1471(1460) ack 11").quiet()
    wire.rx("P. 1471:2931(1460) ack 11").tx(". 11:11(0) ack 2931").recv(2920)


def test_many_small_segments_are_acknowledged_by_the_octet(wire):  # more than one full segment's worth
    settled(wire).rx(". 11:1471(1460) ack 11").quiet().recv(1460).quiet()
    wire.conn.observer = lambda flags: wire.recv(1)
    wire.rx("P. 1471:1472(1) ack 11").tx(". 11:11(0) ack 1472")
    wire.conn.observer = None


def test_delay_counts_from_the_first_unacknowledged_segment(wire):  # MUST-40
    settled(wire).rx("P. 11:21(10) ack 11").after(20 * MILLISECOND).rx("P. 21:31(10) ack 11")
    wire.quiet(20 * MILLISECOND - 1).after(1).tx(". 11:11(0) ack 31").recv(20)


def test_delay_that_is_nearly_over_is_cut_short(wire):  # Linux: the last quarter of it
    settled(wire).rx("P. 11:21(10) ack 11").after(30 * MILLISECOND).rx("P. 21:31(10) ack 11").tx(". 11:11(0) ack 31")
    wire.recv(20)


def test_missed_delay_ends_the_exchange(wire):  # Linux: no answer came in time, so the next ACK is... still delayed
    settled(wire).rx("P. 11:21(10) ack 11").after(40 * MILLISECOND).tx(". 11:11(0) ack 21").recv(10)
    assert not wire.conn.acking.pingpong


def test_quick_acks_come_back_after_a_pause(wire):  # Linux: the sender probably starts over with a small window
    wire.established()
    wire.rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").recv(10).after(10 * SECOND)
    for left in range(11, 51, 10):
        wire.rx(f"P. {left}:{left + 10}(10) ack 1").tx(f". 1:1(0) ack {left + 10}").recv(10)


@pytest.mark.parametrize("held", [1, 2, 3, 4])
def test_out_of_order_segments_are_acknowledged_at_once(wire, held):  # RFC 5681 4.2: a duplicate ACK each
    settled(wire)
    for i in range(held):
        left = 111 + 100 * i
        wire.rx(f"P. {left}:{left + 100}(100) ack 11").tx(". 11:11(0) ack 11")
    wire.rx("P. 11:111(100) ack 11").tx(f". 11:11(0) ack {111 + 100 * held}").recv(100 + 100 * held)


def test_partly_filled_gap_is_acknowledged_at_once(wire):  # RFC 5681 4.2
    settled(wire).rx("P. 211:311(100) ack 11").tx(". 11:11(0) ack 11")
    wire.rx("P. 11:111(100) ack 11").tx(". 11:11(0) ack 111").rx("P. 111:211(100) ack 11").tx(". 11:11(0) ack 311")
    wire.recv(300)


def test_retransmitted_data_is_acknowledged_at_once(wire):  # RFC 9293 3.10.7.4: our ACK was lost
    settled(wire).rx("P. 1:11(10) ack 11").tx(". 11:11(0) ack 11")


def test_quickack_switches_the_delay_off(wire):  # Linux: TCP_QUICKACK
    settled(wire)
    wire.conn.options.quickack = True
    wire.conn.options_changed(quickack=True)
    wire.rx("P. 11:21(10) ack 11").tx(". 11:11(0) ack 21").recv(10)


def test_reading_sends_an_ack_that_is_owed(wire):  # Linux: tcp_cleanup_rbuf
    settled(wire).rx("P. 11:21(10) ack 11").rx("P. 21:31(10) ack 11").quiet()
    wire.recv(20).tx(". 11:11(0) ack 31").quiet(1 * SECOND)


def test_pure_acks_are_never_acknowledged(wire):  # or two stacks would never stop
    wire.established()
    for _ in range(5):
        wire.rx(". 1:1(0) ack 1").quiet()
    wire.send(10).tx("P. 1:11(10) ack 1").rx(". 1:1(0) ack 11").quiet(1 * SECOND)


def test_several_segments_of_one_turn_need_one_ack(wire):
    wire.established()
    with wire.turn():
        for left in range(1, 7301, 1460):
            wire.rx(f". {left}:{left + 1460}(1460) ack 1")
    wire.tx(". 1:1(0) ack 7301").recv(7300)


def test_ack_goes_out_although_the_user_does_not_read(wire):
    wire.established().rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").quiet(10 * SECOND)
    wire.rx("P. 11:21(10) ack 1").tx(". 1:1(0) ack 21")
    assert wire.conn.readable == 20


@pytest.mark.parametrize("syn", ["mss 1460", FULL])
def test_bulk_receiver_acknowledges_every_second_segment(wire, syn):  # once the quick ACKs are used up
    wire.setup(moderate_rcvbuf=False).established(syn=syn)
    wire.conn.window.set_clamp(60_000, 0)  # while the window grows, each that shows it goes at once (Linux)
    size = 1448 if syn == FULL else 1460
    wire.conn.acking.rcv_mss = size
    count = 0
    for i in range(100):
        left = 1 + i * size
        wire.after(1 * MILLISECOND).rx(f". {left}:{left + size}({size}) ack 1").recv(size)
        count += len(wire.take())
    assert 50 <= count <= 62
    wire.after(100 * MILLISECOND).take()
