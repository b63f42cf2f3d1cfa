"""TCP held against theory: response functions, fairness, a long fat path. Longer runs: `netstack lab campaign`."""

from math import sqrt

import pytest

from netstack.lab import theory
from netstack.lab.scenario import Flow, Link, Scenario
from netstack.lab.simulation import run
from netstack.units import MILLISECOND, SECOND

RATE = 1_000_000_000  # far beyond what loss allows


@pytest.mark.parametrize(("p", "window"), [(1e-2, 12), (1e-3, 39), (1e-4, 122), (1e-6, 1225)])
def test_renos_response_function(p, window):
    assert theory.reno_window(p) == pytest.approx(window, rel=0.03)
    assert theory.reno_window(p, b=2) == pytest.approx(window / sqrt(2), rel=0.03)


@pytest.mark.parametrize(
    ("p", "rtt", "window"),
    [(1e-4, 100, 187), (1e-5, 100, 1054), (1e-6, 100, 5926), (1e-5, 10, 387), (1e-6, 10, 1225), (1e-2, 100, 12)],
)
def test_cubics_response_function(p, rtt, window):
    """The tables of RFC 9438 5.1-5.2 where the curve is above Reno's, else Reno's."""
    assert theory.cubic_window(p, rtt * MILLISECOND) == pytest.approx(window, rel=0.03)


def test_losses_by_chance_give_reno_about_131_over_the_root_of_p():
    assert theory.by_rules("reno", 1e-4, 1) * sqrt(1e-4) == pytest.approx(1.31, rel=0.03)


@pytest.mark.parametrize(("p", "rtt"), [(1e-3, 10), (1e-3, 100), (1e-4, 100)])
def test_losses_by_chance_give_cubic_some_more_than_its_response_function(p, rtt):
    more = theory.by_rules("cubic", p, rtt * MILLISECOND) / theory.cubic_window(p, rtt * MILLISECOND)
    assert 1.08 < more < 1.25


@pytest.mark.parametrize("cc", ["reno", "cubic"])
def test_evenly_spaced_losses_give_the_response_function_but_for_the_round_trips_of_recovery(cc):
    shares = [theory.by_rules(cc, p, 20_000, even=True) / theory.window(cc, p, 20_000) for p in (2e-2, 1e-3, 1e-4)]
    assert shares == pytest.approx([0.84, 0.96, 0.99], abs=0.015)


def test_without_loss_or_without_a_function_there_is_nothing_to_compare_with():
    assert theory.window("reno", 0, 1000) is None
    assert theory.by_rules("cubic", 0, 1000) is None
    assert theory.window("unheard-of", 0.01, 1000) is None
    assert theory.by_rules("unheard-of", 0.01, 1000) is None


def test_timeouts_cost_reno_most_at_high_loss():
    plain = theory.rate(theory.reno_window(0.1), 1448, 50_000)
    with_timeouts = theory.reno_with_timeouts(0.1, 1448, 50_000, 250_000)
    assert 0.3 < with_timeouts / plain < 0.5
    assert theory.reno_with_timeouts(1e-5, 1448, 50_000, 250_000) == pytest.approx(
        theory.rate(theory.reno_window(1e-5), 1448, 50_000), rel=0.01
    )


def reached(cc, rtt, segments, **loss):
    """Goodput of one flow that only loss limits, over what its response function gives: `segments` of them or so.

    Before that, ten losses for CUBIC to forget where slow start ended.
    """
    p = loss.get("loss") or 1 / loss["loss_every"]
    window = theory.window(cc, p, rtt)
    warmup, duration = (int(n / window * rtt) for n in (10 / p, segments))
    link = Link(rate=RATE, rtt=rtt, queue_bdp=4, **loss)
    flow = run(Scenario(link, (Flow(cc),), duration=warmup + duration, warmup=warmup)).flows[0]
    return flow.goodput / theory.rate(window, flow.mss, rtt)


@pytest.mark.parametrize(
    ("cc", "rtt", "every"),
    [("reno", 50, 300), ("reno", 100, 1000), ("cubic", 50, 100), ("cubic", 20, 1000), ("cubic", 100, 1000),
     ("cubic", 200, 300)],
)  # fmt: skip
def test_throughput_is_the_response_functions_when_loss_is_evenly_spaced(cc, rtt, every):
    assert reached(cc, rtt * MILLISECOND, 12_000, loss_every=every) == pytest.approx(1, abs=0.15)


@pytest.mark.parametrize(("cc", "rtt", "p"), [("reno", 50, 0.01), ("reno", 100, 0.003), ("cubic", 50, 0.01)])
def test_throughput_is_the_response_functions_when_loss_is_by_chance(cc, rtt, p):
    assert reached(cc, rtt * MILLISECOND, 20_000, loss=p) == pytest.approx(1, abs=0.15)


def test_cubic_gains_what_chance_gives():
    rtt, p = 100 * MILLISECOND, 0.002
    gain = theory.by_rules("cubic", p, rtt) / theory.cubic_window(p, rtt)
    assert reached("cubic", rtt, 25_000, loss=p) == pytest.approx(gain, rel=0.15)


@pytest.mark.parametrize(("cc", "aqm"), [("cubic", "droptail"), ("cubic", "codel"), ("reno", "droptail")])
def test_two_flows_share_within_a_tenth(cc, aqm):
    link = Link(rate=10_000_000, rtt=20 * MILLISECOND, aqm=aqm)
    result = run(Scenario(link, (Flow(cc), Flow(cc)), duration=22 * SECOND, warmup=2 * SECOND))
    half = sum(flow.goodput for flow in result.flows) / 2
    assert all(flow.goodput == pytest.approx(half, rel=0.1) for flow in result.flows)
    assert result.fairness > 0.99
    assert result.utilisation > 0.95


def test_a_gigabit_over_100_milliseconds_is_full():
    """Window scaling and the tuning of both buffers: 12.5 MB are on their way."""
    link = Link(rate=1_000_000_000, rtt=100 * MILLISECOND, queue_bdp=1)
    result = run(Scenario(link, duration=5 * SECOND, warmup=3 * SECOND, coalesce=200))
    assert result.utilisation > 0.98
    assert result.flows[0].limited["cwnd"] > 0.98
    assert result.flows[0].timeouts == 0


def test_the_receiver_does_not_hold_slow_start_back():
    """Its buffer has to be ahead of a window that doubles each round trip, though what it sees is a round trip old."""
    link = Link(rate=200_000_000, rtt=100 * MILLISECOND)
    flow = run(Scenario(link, duration=1800 * MILLISECOND, coalesce=200)).flows[0]
    assert flow.limited["receiver"] < 0.4


def test_at_one_percent_loss_nothing_but_cwnd_holds_a_flow_back():
    link = Link(rate=100_000_000, rtt=50 * MILLISECOND, loss=0.01)
    flow = run(Scenario(link, duration=60 * SECOND)).flows[0]
    assert flow.limited["cwnd"] > 0.98
    assert flow.retransmits <= flow.lost * 1.02 + 1
    assert flow.timeouts <= 2
