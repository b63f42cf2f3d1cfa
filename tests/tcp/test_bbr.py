"""BBR: the filters and the policer by themselves, the state machine on a scripted wire and on simulated paths."""

from random import Random

import pytest

from netstack.lab.scenario import Flow, Link, Scenario
from netstack.lab.simulation import Simulation
from netstack.sockets.numbers import IPPROTO_TCP, TCP_CC_INFO, TCP_CONGESTION
from netstack.sockets.stream import StreamSocket
from netstack.tcp.congestion.aggregation import Aggregation
from netstack.tcp.congestion.bbr import (
    CWND_GAIN,
    DRAIN_GAIN,
    HIGH_GAIN,
    PACING_CYCLE,
    PROBE_BW,
    PROBE_RTT,
    STARTUP,
    UNIT,
    Bbr,
)
from netstack.tcp.congestion.max_filter import MaxFilter
from netstack.tcp.congestion.policer import BELIEVED_ROUNDS, BW_UNIT, Policer
from netstack.tcp.info import tcp_info
from netstack.tcp.info_layout import decode_congestion
from netstack.tcp.modelled import ModelRecovery
from netstack.tcp.rate import Sample
from netstack.tcp.recovery import Recovery
from netstack.units import MILLISECOND, SECOND

MS = MILLISECOND


# -- the filters


def test_the_maximum_is_of_the_last_rounds_only():
    rng = Random(1)
    values = [rng.randrange(100) for _ in range(300)]
    window = MaxFilter(10)
    for now, value in enumerate(values):
        window.add(value, now)
        assert window.best == max(values[max(0, now - 10) : now + 1])


def test_nothing_seen_is_no_bandwidth():
    assert MaxFilter(10).best == 0


def test_what_runs_ahead_of_the_bandwidth_is_counted_for_a_while():
    aggregation, sample, segment_per_ms = Aggregation(), Sample(), BW_UNIT // 1000
    now = 0
    for _ in range(20):  # ten segments at once, every 10 ms: so many were not due yet
        now += 10 * MS
        sample.delivered_at, sample.acked = now, 10
        aggregation.add(sample, segment_per_ms, False, 100)
    assert aggregation.excess == 11
    sample.acked = 1
    for _ in range(30):  # one by one, and slower: after two windows of five rounds the bunches are forgotten
        now += 2 * MS
        sample.delivered_at = now
        aggregation.add(sample, segment_per_ms, True, 100)
    assert aggregation.excess <= 2


def policed(policer, rounds, delivered=100, lost=40, app_limited=False):
    """So many rounds of 100 ms with losses each. Whether the policer's rate is used, round by round."""
    sample = Sample()
    sample.mss = 1000
    used = []
    for n in range(rounds):
        sample.total_delivered += delivered
        sample.total_lost += lost
        sample.delivered_at = (n + 1) * 100 * MS
        sample.app_limited = app_limited
        used.append(policer.look(sample, lost, True))
        if policer.used:
            break
    return used


def test_two_stretches_of_heavy_loss_at_one_rate_are_a_policer():
    policer = Policer()
    used = policed(policer, 12)
    assert used == [False] * (len(used) - 1) + [True]
    assert 8 <= len(used) <= 10
    assert policer.bw == pytest.approx(BW_UNIT * 100 / (100 * MS), rel=0.01)


@pytest.mark.parametrize("case", [{"lost": 15}, {"lost": 0}, {"app_limited": True}])
def test_light_loss_and_idle_users_are_no_policer(case):
    assert not any(policed(Policer(), 40, **case))


# -- on a wire


def opened(wire, **options):
    return wire.setup(congestion_control="bbr").established(syn="mss 1000,sackOK,wscale 7", win=600, **options)


def test_it_begins_at_what_the_handshake_makes_of_cwnd(wire):
    opened(wire)
    info = tcp_info(wire.conn, wire.bench.now)
    assert info["pacing_rate"] == pytest.approx(10 * 1000 * 10 * 2.89 * 0.99, rel=0.01)
    assert info["snd_cwnd"] == 10


def test_startup_follows_delivery_and_paces(wire):
    opened(wire).send(60_000)
    assert len(wire.take()) == 10
    wire.after(100 * MS).rx(". 1:1(0) ack 10001")
    assert len(wire.take()) == 2
    cc = wire.conn.recovery.cc
    assert (cc.mode, cc.cwnd, cc.pacing_gain) == (STARTUP, 20, HIGH_GAIN)
    assert len(wire.after(15 * MS).take()) == 4  # 285,000 octets a second, half of the first piece forgiven


def test_loss_reduces_nothing_for_long(wire):
    opened(wire).send(60_000).take()
    wire.after(100 * MS).rx(". 1:1(0) ack 1 <sack 1001:9001>").take()
    conn = wire.conn
    assert conn.recovery.cc.packet_conservation
    wire.after(200 * MS).take()
    wire.rx(f". 1:1(0) ack {conn.tcb.snd_nxt - conn.tcb.iss}").take()
    assert conn.recovery.ca_state == 0
    assert conn.recovery.cc.cwnd >= 10


def test_a_timeout_collapses_the_window_and_progress_restores_it(wire):
    opened(wire).send(60_000).take()
    wire.after(100 * MS).rx(". 1:1(0) ack 10001").take()
    wire.after(5 * SECOND).take()
    conn = wire.conn
    assert conn.recovery.timeouts
    assert conn.recovery.cc.cwnd == 1
    wire.rx(f". 1:1(0) ack {conn.tcb.snd_nxt - conn.tcb.iss}").take()
    assert conn.recovery.cc.cwnd >= 20


def test_the_user_changes_the_algorithm_and_back(wire):
    wire.established(syn="mss 1000,sackOK").send(30_000).take()
    wire.after(100 * MS).rx(". 1:1(0) ack 10001").take()
    conn = wire.conn
    sock, cwnd = StreamSocket.of(wire.stack, conn), conn.recovery.cc.cwnd
    sock.setsockopt(IPPROTO_TCP, TCP_CONGESTION, b"bbr")
    assert isinstance(conn.recovery, ModelRecovery)
    assert conn.recovery.cc.cwnd == cwnd
    assert tcp_info(conn, wire.bench.now)["pacing_rate"] == pytest.approx(20 * 1000 * 10 * 2.89 * 0.99, rel=0.01)
    wire.after(100 * MS).rx(". 1:1(0) ack 30001").take()
    told = decode_congestion(sock.getsockopt(IPPROTO_TCP, TCP_CC_INFO, 20))
    assert told["bbr_min_rtt"] == 100 * MS
    assert told["bbr_pacing_gain"] == HIGH_GAIN
    assert told["bbr_bw_lo"] == pytest.approx(20 * 1000 * 10, rel=0.01)
    sock.setsockopt(IPPROTO_TCP, TCP_CONGESTION, b"cubic")
    assert type(conn.recovery) is Recovery
    assert sock.getsockopt(IPPROTO_TCP, TCP_CC_INFO, 20) == b""


def test_sending_restarts_from_idle_at_the_bandwidth(wire):
    opened(wire)
    conn, at = wire.conn, 1
    for _ in range(12):  # full windows, until the pipe counts as full
        wire.send(60_000).take()
        wire.after(100 * MS).take()
        while conn.tcb.snd_nxt - conn.tcb.iss > at:
            at = conn.tcb.snd_nxt - conn.tcb.iss
            wire.rx(f". 1:1(0) ack {at}").take()
            wire.after(100 * MS).take()
    cc = conn.recovery.cc
    cwnd = cc.cwnd
    wire.after(5 * SECOND).quiet().send(1000).take()
    assert cc.cwnd == cwnd  # slow_start_after_idle is for those who do not pace
    assert cc.idle_restart
    wire.after(100 * MS).rx(f". 1:1(0) ack {conn.tcb.snd_nxt - conn.tcb.iss}")
    assert not cc.idle_restart


# -- on paths


def flow(link, seconds, warmup=0, **scenario):
    """(the simulation, what the first flow got)."""
    flows = scenario.pop("flows", (Flow("bbr"),))
    wanted = Scenario(link, flows, duration=int(seconds * SECOND), warmup=int(warmup * SECOND), **scenario)
    simulation = Simulation(wanted)
    return simulation, simulation.run()


def model(simulation, i=0) -> Bbr:
    return simulation.transfers[i].meter.conn.recovery.cc


def test_the_model_finds_the_path():
    simulation, result = flow(Link(rate=20_000_000, rtt=40 * MS), 6, warmup=2)
    cc = model(simulation)
    assert cc.mode == PROBE_BW
    assert cc.cwnd_gain == CWND_GAIN
    assert cc.pacing_gain in PACING_CYCLE
    assert cc.bw * 8 * 1514 * SECOND / BW_UNIT == pytest.approx(20_000_000, rel=0.02)
    assert cc.rtprop == pytest.approx(40 * MS, rel=0.05)
    assert result.flows[0].goodput > 0.93 * 20_000_000 * 1448 / 1514
    assert result.flows[0].queueing["p50"] < 5 * MS


def test_it_probes_for_the_round_trip_every_ten_seconds():
    simulation = Simulation(Scenario(Link(rate=2_000_000, rtt=20 * MS), (Flow("bbr"),), duration=30 * SECOND))
    modes = []
    for at in range(0, 25_000, 50):
        simulation.agenda.run(at * MS)
        cc = model(simulation) if simulation.transfers[0].meter.conn else None
        if cc is not None and (not modes or modes[-1][1] != cc.mode):
            modes.append((at * MS, cc.mode))
    probes = [at for at, mode in modes if mode == PROBE_RTT]
    assert len(probes) == 2
    assert 10 * SECOND <= probes[1] - probes[0] < 11 * SECOND


def test_random_loss_hardly_matters():
    _, result = flow(Link(rate=10_000_000, rtt=50 * MS, loss=0.01), 8, warmup=2)
    assert result.flows[0].goodput > 0.9 * 10_000_000 * 1448 / 1514
    assert result.flows[0].timeouts == 0


def test_two_flows_share():
    _, result = flow(Link(rate=4_000_000, rtt=20 * MS, queue_bdp=4), 40, warmup=15, flows=(Flow("bbr"), Flow("bbr")))
    assert result.fairness > 0.95
    assert result.utilisation > 0.95


def test_neither_starves_beside_cubic():
    _, result = flow(Link(rate=5_000_000, rtt=40 * MS, queue_bdp=3), 30, warmup=10, flows=(Flow("bbr"), Flow("cubic")))
    shares = [flow.goodput / result.goodput for flow in result.flows]
    assert min(shares) > 0.15


def test_the_gains_are_linuxs():
    assert (HIGH_GAIN, DRAIN_GAIN, CWND_GAIN) == (739, 88, 2 * UNIT)
    assert sum(PACING_CYCLE) == 8 * UNIT
    assert BELIEVED_ROUNDS == 48
