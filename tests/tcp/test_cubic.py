"""CUBIC (RFC 9438): its reduction, its curve, and the Reno-friendly region."""

import pytest

from netstack.tcp.congestion.cubic import ALPHA, BETA, C, Cubic
from netstack.units import MILLISECOND, SECOND

RTT = 100 * MILLISECOND


def after_loss(cwnd):
    """In congestion avoidance after one reduction from `cwnd`."""
    cubic = Cubic(10)
    cubic.cwnd = cwnd
    cubic.cwnd = cubic.ssthresh = cubic.ssthresh_after_loss()
    return cubic


def rounds(cubic, n, rtt=RTT, now=SECOND):
    """`n` round trips in which every segment of the window is acknowledged, in pairs. Returns the time."""
    for _ in range(n):
        for i in range(0, cubic.cwnd, 2):
            cubic.on_ack(2, rtt, now + i * rtt // cubic.cwnd)
        now += rtt
    return now


@pytest.mark.parametrize("cwnd", [2, 3, 10, 11, 30, 90, 1000, 12_345])
def test_a_loss_costs_three_tenths_in_whole_segments(cwnd):
    assert after_loss(cwnd).cwnd == max(cwnd * 717 // 1024, 2)


def test_a_large_window_is_back_where_it_was_after_k_seconds_and_nearly_flat_there():
    cubic = after_loss(1000)
    k = (1000 * (1 - BETA) / C) ** (1 / 3)
    now = rounds(cubic, int(k * SECOND / RTT))
    assert cubic.cwnd == pytest.approx(1000, rel=0.005)
    rounds(cubic, 10, now=now)
    assert cubic.cwnd == pytest.approx(1000, rel=0.005)
    rounds(cubic, 60, now=now + SECOND)
    assert cubic.cwnd > 1100


def test_a_small_window_grows_as_renos_would_from_what_it_was_reduced_to():
    cubic = after_loss(39)
    now, expected = SECOND, 39 * BETA
    for _ in range(8):
        now = rounds(cubic, 1, rtt=10 * MILLISECOND, now=now)
        expected += ALPHA
        assert cubic.cwnd == pytest.approx(expected, abs=0.6)  # on average neither more nor less than octets would give


def test_the_estimate_grows_by_a_segment_a_round_trip_once_it_is_where_the_loss_was():
    cubic = after_loss(20)
    now = rounds(cubic, 13, rtt=10 * MILLISECOND)
    before = cubic.cwnd
    assert before >= 20
    rounds(cubic, 10, rtt=10 * MILLISECOND, now=now)
    assert cubic.cwnd == pytest.approx(before + 10, abs=1.5)


def test_fast_convergence_lets_go_of_room_when_windows_shrink():
    cubic = after_loss(1000)
    cubic.cwnd = 800
    cubic.ssthresh = cubic.cwnd = cubic.ssthresh_after_loss()
    plateau = 800 * (1 + BETA) / 2
    k = ((plateau - 560) / C) ** (1 / 3)
    rounds(cubic, int(k * SECOND / RTT))
    assert cubic.cwnd == pytest.approx(plateau, rel=0.01)
