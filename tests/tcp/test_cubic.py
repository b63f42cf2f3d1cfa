"""CUBIC (RFC 9438): its reduction, its curve, and the Reno-friendly region."""

import pytest

from netstack.tcp.congestion.cubic import ALPHA, BETA, C, Cubic
from netstack.tcp.congestion.hystart import CSS_ROUNDS, N_RTT_SAMPLE
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


def test_fast_convergence_lets_go_even_when_less_than_a_segment_is_missing():
    """Near its plateau a large window hardly moves: in whole segments it would seem to be back, and never give way."""
    cubic = after_loss(1000)
    k = (1000 * (1 - BETA) / C) ** (1 / 3)
    now = rounds(cubic, int(k * SECOND / RTT) - 10)
    assert cubic.cwnd == 999  # within a segment of where it was
    cubic.cwnd = cubic.ssthresh = cubic.ssthresh_after_loss()
    rounds(cubic, int(k * SECOND / RTT), now=now)
    assert cubic.cwnd == pytest.approx(1000 * (1 + BETA) / 2, rel=0.02)


def test_the_window_never_runs_ahead_of_the_curve():
    cubic = after_loss(1000)
    k = (1000 * (1 - BETA) / C) ** (1 / 3)
    now = SECOND
    for n in range(1, 300):
        now = rounds(cubic, 1, now=now)
        t = n * RTT / SECOND + RTT / SECOND  # of the last ACK, and a round trip ahead: RFC 9438 4.4
        assert cubic.cwnd <= max(1000 + C * (t - k) ** 3, 1000 * BETA + ALPHA * n) + 1


@pytest.mark.parametrize("rtt", [10 * MILLISECOND, RTT, SECOND])
def test_the_smallest_window_returns_as_well(rtt):
    cubic = after_loss(100)
    cubic.cwnd, cubic.ssthresh = 2, 2
    rounds(cubic, 12 * SECOND // rtt, rtt=rtt)
    assert cubic.cwnd >= 90


def test_a_slow_start_after_a_timeout_ends_at_ssthresh_and_nowhere_else():
    """Delay had begun to rise when the loss came: HyStart++ must not go on counting in the slow start after it."""
    cubic = Cubic(100)
    for rtt in (50, 70):
        for _ in range(N_RTT_SAMPLE):
            cubic.on_rtt(rtt * MILLISECOND, SECOND)
        cubic.on_round()
    cubic.ssthresh = cubic.ssthresh_after_loss()
    cubic.cwnd = 1  # the timer fired, within recovery: no second reduction, and nobody calls `on_timeout`
    for _ in range(CSS_ROUNDS):
        for _ in range(N_RTT_SAMPLE):
            cubic.on_rtt(90 * MILLISECOND, SECOND)
        cubic.on_round()
        cubic.on_ack(cubic.cwnd, 90 * MILLISECOND, SECOND)
    assert (cubic.cwnd, cubic.ssthresh) == (1 << CSS_ROUNDS, 70)
