"""RFC 4821: the path MTU where no router says what it is."""

from netstack.units import MILLISECOND, MINUTE
from tests.tcp.bursts import sent

OPEN = "mss 1460,nop,nop,sackOK,nop,wscale 7"


def searching(wire, **config):
    """Probing from the start; twelve segments may be out."""
    wire.setup(mtu_probing=2, initial_cwnd=12, **config).established(syn=OPEN, win=1000)
    return wire


def probes(wire):
    """The sizes of the segments that left and are neither full nor last."""
    return [int(text.split("(")[1].split(")")[0]) for text in sent(wire)]


def test_probe_lies_halfway(wire):  # 7.3: between what surely arrives (1064) and what the path may take (1500)
    searching(wire).send(30_000)
    assert probes(wire)[0] == (1500 + 1064) // 2 - 40
    assert wire.conn.mtu_probe.size == (1500 + 1064) // 2


def test_arrival_makes_segments_larger_and_the_search_goes_on(wire):  # 7.6.1
    searching(wire).send(60_000)
    wire.take()
    wire.after(100 * MILLISECOND).rx(". 1:1(0) ack 1243").tx(". 15843:17194(1351) ack 1")  # the next probe
    assert wire.conn.mtu_probe.low == 1282
    assert wire.conn.send_mss == 1242
    assert wire.mib["TcpExtTCPMTUPSuccess"] == 1


def test_search_ends_when_its_range_is_small(wire):  # 7.2; tcp_probe_threshold
    searching(wire, probe_threshold=1000).send(30_000)
    assert set(probes(wire)) == {1460}
    assert wire.conn.mtu_probe.size == 0


def test_search_begins_anew_after_a_while(wire):  # 7.2: paths change; tcp_probe_interval
    searching(wire, probe_threshold=1000, probe_interval=10 * MINUTE).after(11 * MINUTE).send(30_000)
    assert wire.take()
    assert wire.conn.mtu_probe.since >= 11 * MINUTE


def test_no_probe_without_data_enough_for_the_answer_to_mean_something(wire):  # 7.4
    searching(wire).send(5000)
    assert set(probes(wire)[:-1]) == {1460}


def test_connections_without_it_have_nothing_of_it(wire):
    wire.established(syn=OPEN).send(30_000)
    assert wire.take()
    assert wire.conn.mtu_probe is None
