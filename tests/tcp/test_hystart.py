"""HyStart++ (RFC 9406): when slow start is left, and when it is resumed."""

from netstack.tcp.congestion.base import INFINITE
from netstack.tcp.congestion.hystart import CSS_ROUNDS, N_RTT_SAMPLE, HyStart
from netstack.units import MILLISECOND


class Window:
    def __init__(self, cwnd):
        self.cwnd = cwnd
        self.ssthresh = INFINITE


def round_of(hystart, window, rtts):
    for rtt in rtts:
        hystart.on_rtt(rtt * MILLISECOND)
    hystart.on_round(window)


def test_a_risen_rtt_slows_growth_as_soon_as_there_are_samples_enough_not_at_the_end_of_the_round():
    hystart, window = HyStart(), Window(100)
    round_of(hystart, window, [50] * N_RTT_SAMPLE)
    for _ in range(N_RTT_SAMPLE - 1):
        hystart.on_rtt(57 * MILLISECOND)
    hystart.grow(4, window)
    assert window.cwnd == 104
    hystart.on_rtt(57 * MILLISECOND)
    hystart.grow(4, window)
    assert window.cwnd == 105


def test_a_rise_below_an_eighth_is_noise():
    hystart, window = HyStart(), Window(100)
    round_of(hystart, window, [50] * N_RTT_SAMPLE)
    round_of(hystart, window, [56] * N_RTT_SAMPLE)
    hystart.grow(4, window)
    assert window.cwnd == 104


def test_one_early_packet_in_a_round_says_that_the_queue_was_empty_then():
    hystart, window = HyStart(), Window(100)
    round_of(hystart, window, [50] * N_RTT_SAMPLE)
    round_of(hystart, window, [50] + [90] * 50)
    hystart.grow(4, window)
    assert window.cwnd == 104


def test_slow_start_ends_after_the_rounds_of_conservative_growth():
    hystart, window = HyStart(), Window(100)
    round_of(hystart, window, [50] * N_RTT_SAMPLE)
    for _ in range(CSS_ROUNDS - 1):
        round_of(hystart, window, [70] * N_RTT_SAMPLE)
    assert window.ssthresh == INFINITE
    round_of(hystart, window, [70] * N_RTT_SAMPLE)
    assert window.ssthresh == window.cwnd


def test_an_rtt_that_falls_again_resumes_slow_start():
    hystart, window = HyStart(), Window(100)
    round_of(hystart, window, [50] * N_RTT_SAMPLE)
    round_of(hystart, window, [70] * N_RTT_SAMPLE)
    round_of(hystart, window, [60] * N_RTT_SAMPLE)
    hystart.grow(4, window)
    assert window.cwnd == 104
    for _ in range(CSS_ROUNDS):
        round_of(hystart, window, [60] * N_RTT_SAMPLE)
    assert window.ssthresh == INFINITE
