"""Delivery-rate samples (draft-cheng-iccrg-delivery-rate-estimation), as tcp_info shows them."""

from netstack.tcp.info import tcp_info
from netstack.tcp.rate import Rate, Sample
from netstack.tcp.scoreboard import Sent
from netstack.units import MILLISECOND, SECOND

MS = MILLISECOND


def rate(wire):
    """(octets a second, whether that is the user's pace)."""
    info = tcp_info(wire.conn, wire.bench.now)
    return info["delivery_rate"], info["delivery_rate_app_limited"]


def test_before_anything_is_delivered_there_is_no_rate(wire):
    wire.established(syn="mss 1000")
    assert rate(wire) == (0, 1)


def test_a_lone_segment_is_the_users_pace(wire):
    wire.established(syn="mss 1000").send(1000).tx("P. 1:1001(1000) ack 1")
    wire.after(100 * MS).rx(". 1:1(0) ack 1001")
    assert rate(wire) == (10_000, 1)


def test_a_full_window_is_the_paths_pace(wire):
    wire.setup(congestion_control="reno").established(syn="mss 1000,sackOK").send(100_000).take()
    wire.after(100 * MS).rx(". 1:1(0) ack 10001").take()  # the first flight still counts as the user's
    assert rate(wire) == (100_000, 1)
    wire.after(100 * MS).rx(". 1:1(0) ack 30001").take()
    assert rate(wire) == (200_000, 0)


def test_the_slower_phase_counts(wire):
    """ACKs that come compressed do not make a path faster than what it was sent at."""
    wire.setup(congestion_control="reno").established(syn="mss 1000,sackOK").send(100_000).take()
    wire.after(100 * MS).rx(". 1:1(0) ack 5001").take()
    wire.after(50 * MS).rx(". 1:1(0) ack 10001").take()
    wire.after(50 * MS).rx(". 1:1(0) ack 20001").take()  # sent at 100 ms, with five delivered: 15 in 100 ms
    assert rate(wire) == (150_000, 0)
    wire.after(1 * MS).rx(". 1:1(0) ack 30001").take()
    # Sent 150 ms after the last that had been acknowledged by then; all these twenty were within 51 ms.
    assert rate(wire) == (133_333, 0)


def test_the_users_pace_replaces_only_a_slower_sample(wire):
    wire.established(syn="mss 1000").send(4000).take()
    wire.after(100 * MS).rx(". 1:1(0) ack 4001")
    assert rate(wire) == (40_000, 1)
    wire.send(1000).take()
    wire.after(100 * MS).rx(". 1:1(0) ack 5001")
    assert rate(wire) == (40_000, 1)
    wire.send(6000).take()
    wire.after(100 * MS).rx(". 1:1(0) ack 11001")
    assert rate(wire) == (60_000, 1)


def test_a_record_that_leaves_again_does_not_change_the_sample_that_stands(wire):
    wire.setup(congestion_control="reno", offload=True).established(syn="mss 1000,sackOK").send(100_000).take()
    wire.after(100 * MS).rx(". 1:1(0) ack 10001").take()
    wire.after(100 * MS).rx(". 1:1(0) ack 12001").take()  # part of what left in one piece
    stands = rate(wire)
    wire.after(3 * SECOND).take()  # all of it again, and again
    assert wire.conn.recovery.total_retrans > 0
    assert rate(wire) == stands


def test_writing_while_cwnd_is_full_is_not_the_users_pace(wire):
    """What was sent filled the window, and more was there before the path took more."""
    wire.setup(congestion_control="reno").established(syn="mss 1000,sackOK").send(10_000).take()
    assert wire.conn.recovery.rate.app_limited == 11  # the SYN counts as delivered
    wire.send(50_000).quiet(0)
    assert wire.conn.recovery.rate.app_limited == 0


def test_what_is_lost_and_not_sent_again_yet_keeps_a_user_from_being_the_limit(wire):
    wire.setup(congestion_control="reno").established(syn="mss 1000,sackOK").send(100_000).take()
    wire.after(100 * MS).rx(". 1:1(0) ack 10001").take()
    assert wire.conn.recovery.rate.app_limited == 0
    wire.after(3 * SECOND).take()
    assert wire.conn.recovery.scoreboard.pending_out
    assert wire.conn.recovery.rate.app_limited == 0


def sent(at, delivered, delivered_at, first_at):
    """A record that left at `at` when so much had been delivered."""
    record = Sent(0, 1000, 1, at)
    record.delivered, record.delivered_at, record.first_at = delivered, delivered_at, first_at
    return record


def test_a_sample_in_less_than_any_round_trip_takes_is_none():
    sample = Sample()
    Rate().fill(sample, sent(90, 5, 100, 0), 10, 200, 150)
    assert (sample.delivered, sample.interval) == (5, -1)
    Rate().fill(sample, sent(90, 5, 100, 0), 10, 60, 150)
    assert sample.interval == 90  # sending took longer than acknowledging
    Rate().fill(sample, None, 10, 60, 150)
    assert (sample.delivered, sample.interval) == (-1, -1)
