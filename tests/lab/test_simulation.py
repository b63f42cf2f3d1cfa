"""Whole experiments: what was sent arrives, whatever the path does; the same seed gives the same result."""

from dataclasses import replace

import pytest

from netstack.config import TcpConfig
from netstack.lab.endpoint import Host
from netstack.lab.report import report
from netstack.lab.result import fairness, percentiles
from netstack.lab.scenario import Bursts, Flow, Link, Scenario
from netstack.lab.simulation import Simulation, run
from netstack.units import MILLISECOND, SECOND

SMALL = Scenario(Link(rate=5_000_000, rtt=20 * MILLISECOND), size=150_000, duration=120 * SECOND)
PATHS = {
    "clean": Link(),
    "loss": Link(loss=0.05),
    "bursts": Link(bursts=Bursts.of(0.05, 4)),
    "evenly": Link(loss_every=13),
    "ack-loss": Link(ack_loss=0.2),
    "jitter": Link(jitter=15 * MILLISECOND),
    "reorder": Link(reorder=0.1),
    "duplicate": Link(duplicate=0.1),
    "short-queue": Link(queue_packets=5),
    "codel": Link(aqm="codel"),
    "red": Link(aqm="red", queue_bdp=3),
    "ecn": Link(aqm="codel", ecn=True, codel_target=2 * MILLISECOND, codel_interval=20 * MILLISECOND, queue_bdp=6),
    "everything": Link(loss=0.02, bursts=Bursts.of(0.01, 3), ack_loss=0.05, jitter=5000, reorder=0.05, duplicate=0.05),
}


def over(link, **changes):
    return replace(SMALL, link=replace(link, rate=5_000_000, rtt=20 * MILLISECOND), **changes)


@pytest.fixture
def checked(monkeypatch):
    """Every connection's invariants are asserted after each turn of its host."""
    turn = Host.turn

    def turn_and_check(host, now):
        turn(host, now)
        for conn in host.stack.tcp.connections.values():
            if hasattr(conn, "check"):
                conn.check()

    monkeypatch.setattr(Host, "turn", turn_and_check)


@pytest.mark.parametrize("coalesce", [0, 1_000], ids=["one-by-one", "joined"])
@pytest.mark.parametrize("name", PATHS)
def test_what_was_sent_arrives_over_any_path(checked, name, coalesce):
    scenario = over(PATHS[name], flows=(Flow("cubic"), Flow("reno")), coalesce=coalesce)
    result = run(scenario)
    assert result.intact
    assert result.duration < scenario.duration
    for flow in result.flows:
        assert flow.received == SMALL.size
        assert flow.error == 0
        assert flow.finished > flow.started >= 0
        assert sum(flow.limited.values()) == pytest.approx(1)


@pytest.mark.parametrize("name", ["clean", "everything", "red"])
def test_the_same_scenario_gives_the_same_result_and_another_seed_another(name):
    scenario = over(PATHS[name], flows=(Flow(), Flow("reno")))
    once, again = run(scenario, record=True), run(scenario, record=True)
    assert once.plain() == again.plain()
    assert [series.state.rows for series in once.series] == [series.state.rows for series in again.series]
    assert report(scenario, once) == report(scenario, again)
    other = replace(scenario, seed=2)
    assert run(other).plain() != once.plain()


def test_watching_changes_nothing():
    scenario = over(PATHS["everything"])
    assert run(scenario).plain() == run(scenario, record=True).plain()


def test_one_fault_more_leaves_the_others_chances_alone():
    """Loss is decided packet by packet in order: a rate of duplicates changes how many packets, not which are lost."""
    few = run(over(Link(loss=0.05), size=20_000))
    assert few.flows[0].lost > 0
    assert few.plain() == run(over(Link(loss=0.05, aqm="codel"), size=20_000)).plain()


def test_a_recording_shows_what_happened():
    result = run(over(PATHS["loss"]), record=True)
    series, flow = result.series[0], result.flows[0]
    assert len(series.drops) == flow.lost + flow.dropped
    assert series.sent.rows[0][1] == 0
    assert max(row[2] for row in series.sent.rows) == SMALL.size
    assert 0.8 * SMALL.size < series.acks.rows[-1][1] <= SMALL.size  # it ends when the reader has everything
    assert len(series.retransmissions) >= flow.lost
    assert {row[1] for row in series.state.rows} > {10}
    assert all(row[1] >= 20_000 for row in series.rtts.rows)
    assert all(seq < end <= SMALL.size for _, seq, end in series.retransmissions)
    assert result.queue.rows


def test_marks_take_the_place_of_drops():
    link = PATHS["ecn"]
    marked = run(over(link, size=1_000_000)).flows[0]
    dropped = run(over(replace(link, ecn=False), size=1_000_000)).flows[0]
    assert marked.marked > 0
    assert marked.retransmits == marked.dropped == 0
    assert dropped.marked == 0
    assert dropped.dropped > 0


def test_a_path_that_loses_everything_breaks_the_connection_off():
    result = run(Scenario(Link(loss=1.0), duration=600 * SECOND, size=1000))
    assert result.flows[0].error
    assert result.flows[0].received == 0
    assert result.flows[0].goodput == 0


def test_a_longer_way_has_a_longer_rtt_and_a_later_start_starts_later():
    flows = (Flow(), Flow(start=SECOND, extra_rtt=40 * MILLISECOND))
    result = run(Scenario(Link(rate=5_000_000, rtt=20 * MILLISECOND), flows, duration=3 * SECOND))
    first, second = result.flows
    assert 20_000 <= first.rtt["min"] < 60_000 <= second.rtt["min"]
    assert first.started < 20_000
    assert SECOND <= second.started < SECOND + 20_000


def test_small_buffers_hold_a_flow_back_and_ample_ones_do_not():
    link = Link(rate=50_000_000, rtt=100 * MILLISECOND)
    small = TcpConfig(rmem=(4096, 131_072, 200_000))
    held = run(Scenario(link, duration=4 * SECOND, tcp=small)).flows[0]
    assert held.limited["receiver"] > 0.8
    assert held.goodput < 10_000_000
    assert run(Scenario(link, duration=4 * SECOND)).flows[0].limited["cwnd"] > 0.7


def test_throughput_counts_from_the_end_of_the_warmup():
    link = Link(rate=5_000_000, rtt=100 * MILLISECOND)
    cold = run(Scenario(link, duration=4 * SECOND))
    warm = run(Scenario(link, duration=4 * SECOND, warmup=2 * SECOND))
    assert warm.utilisation > 0.99 > cold.utilisation
    assert warm.goodput > cold.goodput
    assert warm.flows[0].segments == cold.flows[0].segments


def test_the_sums_of_a_simulation_add_up():
    simulation = Simulation(over(PATHS["everything"]))
    result = simulation.run()
    counts = simulation.forward.counts[0]
    flow = result.flows[0]
    arrived = counts["sent"] + counts["duplicated"] - counts["lost"] - counts["queue_full"] - counts["aqm_dropped"]
    assert len(simulation.forward.waits[0]) == arrived
    assert flow.segments == counts["sent"] > flow.retransmits > 0


@pytest.mark.parametrize(
    ("changes", "complaint"),
    [
        ({"flows": ()}, "1 to 200 flows"),
        ({"duration": 0}, "more than 0"),
        ({"duration": SECOND, "warmup": SECOND}, "warmup must end"),
        ({"size": -1}, "negative"),
        ({"mtu": 100}, "mtu"),
        ({"flows": (Flow(),) * 201}, "1 to 200 flows"),
    ],
)
def test_a_scenario_that_cannot_be_is_refused_in_words(changes, complaint):
    with pytest.raises(ValueError, match=complaint):
        Scenario(**changes)


def test_an_unknown_congestion_control_is_refused_in_words():
    with pytest.raises(ValueError, match="no congestion control here; there are"):
        Flow("vegas")


def test_jains_index():
    assert fairness([3, 3, 3]) == 1
    assert fairness([1, 0, 0, 0]) == 0.25
    assert fairness([]) == fairness([0, 0]) == 1


def test_percentiles_are_samples():
    assert percentiles([]) == {}
    ranks = percentiles(range(1, 101))
    assert ranks == {"min": 1, "p50": 50, "p90": 90, "p95": 95, "p99": 99, "max": 100}
    assert set(percentiles([7]).values()) == {7}
