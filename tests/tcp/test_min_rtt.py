"""The windowed minimum of round-trip times, against all samples kept (RFC 8985 6.2; Nichols's filter)."""

from random import Random

import pytest

from netstack.tcp.min_rtt import MinRtt
from netstack.units import SECOND

WINDOW = 300 * SECOND


def running(samples):
    """Minima after each (rtt, time), asking as an estimator does."""
    minimum, least, found = MinRtt(WINDOW), 0, []
    for rtt, now in samples:
        if rtt < minimum.ask_below or now > minimum.ask_from:
            least = minimum.take(rtt, now)
        found.append(least)
    return found


def test_the_smallest_counts_at_once_and_for_the_length_of_the_window():
    assert running([(50, 0), (40, 1), (90, 2), (90, WINDOW)]) == [50, 40, 40, 40]
    assert running([(40, 0), (90, WINDOW + 1)]) == [40, 90]


def test_the_best_since_takes_over():
    quarter = WINDOW // 4
    samples = [(40, 0), (70, quarter + 1), (60, quarter + 2), (90, 2 * quarter + 2), (80, WINDOW), (95, WINDOW + 1)]
    assert running(samples) == [40, 40, 40, 40, 40, 60]


def test_nothing_measured_is_no_minimum():
    assert running([(0, 0)]) == [1]  # a link in memory


@pytest.mark.parametrize("seed", range(10))
def test_it_lies_between_the_least_of_the_window_and_that_of_its_last_quarter(seed):
    rng, now, samples = Random(seed), 0, []
    for _ in range(2_000):
        now += rng.randrange(1, 3 * SECOND)
        samples.append((rng.randrange(20, 400) + now // (20 * SECOND), now))
    for i, least in enumerate(running(samples)):
        at = samples[i][1]
        within = [rtt for rtt, then in samples[: i + 1] if at - then <= WINDOW]
        recent = [rtt for rtt, then in samples[: i + 1] if at - then <= WINDOW // 4]
        assert min(within) <= least <= min(recent)
