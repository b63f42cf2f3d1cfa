"""Snapshots: each row's figures against the connection, the peer and nstat's names; all of it goes into JSON."""

import json

import pytest

from netstack.inspect.snapshot import connections, endpoints, layers
from netstack.tcp.info import tcp_info
from netstack.tcp.options import SocketOptions
from netstack.units import MILLISECOND, SECOND
from tests.tcp.pair import CLIENT, SERVER, Pair

COMMON = {"kind", "who", "state", "local", "remote", "local_address", "local_port", "remote_address", "remote_port",
          "recv_q", "send_q", "timer"}  # fmt: skip


def rows(pair, stack=None):
    found = connections(stack or pair.server, pair.now)
    assert all(row.keys() >= COMMON for row in found)
    return json.loads(json.dumps(found))


def test_an_established_connection_with_its_ends_and_figures():
    pair = Pair()
    ours, theirs = pair.open()
    pair.transfer(ours, theirs, 20_000, 10 * SECOND)
    listener, row = rows(pair)
    assert (listener["kind"], listener["local"], listener["remote"]) == ("listener", "192.0.2.2:80", "*:*")
    assert (listener["recv_q"], listener["send_q"]) == (0, 16)
    assert row["who"] == f"192.0.2.2:80 - 192.0.2.1:{ours.local[1]}"
    assert (row["state"], row["local_port"], row["remote_port"]) == ("ESTABLISHED", 80, ours.local[1])
    assert row["info"] == tcp_info(theirs, pair.now)
    assert row["info"]["bytes_received"] == 20_000
    assert row["variables"]["rcv_nxt"] - row["variables"]["irs"] == 20_001
    assert (row["cc"], row["ca_state"], row["options"]) == ("cubic", "open", ["ts", "sack", "wscale"])
    assert row["timer"] is None
    assert row["age"] > pair.delay


def test_queues_and_memory_show_what_waits_on_either_side():
    pair = Pair()
    ours, theirs = pair.open()
    ours.send(b"x" * 3_000)
    pair.client.transmit(pair.now)
    (sender,) = rows(pair, pair.client)
    assert (sender["send_q"], sender["in_flight"], sender["info"]["unacked"]) == (3_000, 3, 3)
    assert sender["timer"]["name"] == "loss-probe"
    assert sender["memory"]["send"] >= 3_000
    pair.run(SECOND)
    _, receiver = rows(pair)
    assert receiver["recv_q"] == 3_000
    assert receiver["memory"]["receive"] >= 3_000
    theirs.recv(1_000)
    assert rows(pair)[1]["recv_q"] == 2_000
    assert rows(pair, pair.client)[0]["send_q"] == 0


def test_a_fin_that_is_not_acknowledged_counts_as_one_in_the_send_queue():  # as in Linux's ss
    pair = Pair()
    ours, _ = pair.open()
    ours.shutdown()
    pair.client.transmit(pair.now)
    (row,) = rows(pair, pair.client)
    assert (row["state"], row["send_q"]) == ("FIN-WAIT-1", 1)
    pair.run(5 * pair.delay)
    (row,) = rows(pair, pair.client)
    assert (row["state"], row["send_q"]) == ("FIN-WAIT-2", 0)


def test_a_half_open_connection_counts_its_syn_ack_timeouts():
    pair = Pair({"syn_linear_timeouts": 0})
    pair.to_client = lambda frame: None if frame[33] == 6 else frame
    pair.server.tcp.listen(SERVER, 80, 16)
    pair.client.tcp.connect(None, (SERVER, 80))
    pair.run(2_500 * MILLISECOND)
    listener, row = rows(pair)
    assert (listener["half_open"], row["kind"], row["state"]) == (1, "half-open", "SYN-RECEIVED")
    assert (row["timer"]["name"], row["timer"]["retries"]) == ("retransmit", 1)
    assert 0 < row["timer"]["remaining"] <= 2 * SECOND


def test_both_ends_after_a_close():
    pair = Pair()
    ours, theirs = pair.open()
    ours.shutdown()
    pair.run(SECOND)
    theirs.shutdown()
    pair.run(SECOND)
    (row,) = rows(pair, pair.client)
    assert (row["kind"], row["state"], row["timer"]["name"]) == ("time-wait", "TIME-WAIT", "time-wait")
    assert 55 * SECOND < row["timer"]["remaining"] < 60 * SECOND
    assert [each["kind"] for each in rows(pair)] == ["listener"]


def test_keepalive_and_options_that_were_set():
    pair = Pair()
    options = SocketOptions()
    options.keepalive, options.keepidle, options.nodelay = True, 30 * SECOND, True
    pair.open(client=options)
    pair.run(SECOND)
    (row,) = rows(pair, pair.client)
    assert row["socket_options"] == {"keepalive": True, "keepidle": 30 * SECOND, "nodelay": True}
    assert row["timer"]["name"] == "keepalive"
    assert row["timers"]["keepalive"] == row["timer"]["remaining"] < 30 * SECOND


@pytest.mark.parametrize("closed", [False, True], ids=["open window", "closed window"])
def test_looking_changes_nothing(closed):
    pair = Pair()
    ours, _ = pair.open()
    taken = ours.send(b"y" * (4_000_000 if closed else 10))
    assert taken
    pair.run(3 * SECOND)
    before = [rows(pair, stack) for stack in pair.stacks], [layers(stack) for stack in pair.stacks]
    assert ([rows(pair, stack) for stack in pair.stacks], [layers(stack) for stack in pair.stacks]) == before
    if closed:
        assert rows(pair, pair.client)[0]["timer"]["name"] == "window-probe"


def test_layers_have_their_own_counters_drops_and_tables():
    pair = Pair()
    pair.open()
    pair.server.receive(bytes(12), pair.now)  # too short for Ethernet
    pair.client.tcp.connect(None, (SERVER, 81))
    pair.run(SECOND)
    found = json.loads(json.dumps(layers(pair.server)))
    assert list(found) == ["device", "ethernet", "arp", "ip", "icmp", "udp", "tcp"]
    assert found["ethernet"]["drops"] == {"ethernet.too_short": 1}
    assert found["tcp"]["drops"] == {"tcp.no_listener": 1}
    assert found["tcp"]["states"] == {"ESTABLISHED": 1}
    assert found["tcp"]["counters"]["TcpInSegs"] == pair.server.counters.snapshot()["TcpInSegs"] == 3
    assert found["ip"]["counters"]["IpInReceives"] == 3
    assert [(one["address"], one["state"]) for one in found["arp"]["neighbors"]] == [("192.0.2.1", "DELAY")]
    link = {"network": "192.0.2.0/24", "kind": "unicast", "gateway": None, "source": "192.0.2.2"}
    assert link in found["ip"]["routes"]
    every = {name for layer in found.values() for name in layer.get("counters", {})}
    assert every == {name for name, count in pair.server.counters.snapshot().items() if count}


def test_datagram_endpoints():
    pair = Pair()
    endpoint = pair.server.udp.bind(port=53)
    pair.server.udp.bind(SERVER, 54).connect((CLIENT, 99))
    sender = pair.client.udp.bind()
    sender.send(b"q" * 100, (SERVER, 53))
    pair.client.transmit(pair.now)
    pair.run(SECOND)
    first, second = json.loads(json.dumps(endpoints(pair.server)))
    assert (first["local"], first["remote"], first["recv_q"]) == ("*:53", "*:*", endpoint.queued)
    assert (second["local"], second["remote"], second["state"]) == ("192.0.2.2:54", "192.0.2.1:99", "ESTABLISHED")
    assert layers(pair.server)["udp"]["endpoints"] == 2
