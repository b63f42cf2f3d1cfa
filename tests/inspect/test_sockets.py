"""The layout of ss and its filters, on rows of stacks in virtual time; beside the kernel's own ss in tests/e2e."""

import contextlib
import re

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstack.inspect.layers import layers
from netstack.inspect.snapshot import connections, endpoints
from netstack.inspect.socket_filter import EVERY, LISTENING, USUAL, row_filter
from netstack.inspect.socket_table import Show, duration, summary, table
from netstack.tcp.options import SocketOptions
from netstack.units import MILLISECOND, MINUTE, SECOND
from tests.tcp.pair import SERVER, Pair


@pytest.fixture(scope="module")
def rows():
    """A listener, an established connection with data in its queue, one in TIME-WAIT, a UDP endpoint."""
    pair = Pair()
    options = SocketOptions()
    options.keepalive, options.keepidle = True, 119 * SECOND
    ours, theirs = pair.open(server=options)
    ours.send(b"x" * 613)
    second = pair.client.tcp.connect(None, (SERVER, 80))
    pair.run(SECOND)
    (listener,) = pair.server.tcp.listeners.values()
    listener.accept().shutdown()
    pair.run(SECOND)
    second.shutdown()
    pair.server.udp.bind(port=53)
    pair.run(SECOND)
    theirs.send(b"y" * 5000)
    pair.run(SECOND)
    return connections(pair.server, pair.now) + endpoints(pair.server)


def chosen(rows, *words, states=EVERY):
    wanted = row_filter(words, states)
    return [row["state"] for row in rows if wanted(row)]


def test_columns_stand_under_their_names(rows):
    port = rows[1]["remote_port"]
    other = rows[2]["remote_port"]
    assert table(rows, Show(netid=True)) == [
        "Netid State     Recv-Q Send-Q Local Address:Port Peer Address:Port  Process",
        "tcp   LISTEN    0      16         192.0.2.2:80              *:*",
        f"tcp   ESTAB     613    0          192.0.2.2:80      192.0.2.1:{port}",
        f"tcp   TIME-WAIT 0      0          192.0.2.2:80      192.0.2.1:{other}",
        "udp   UNCONN    0      0                  *:53              *:*",
    ]


def test_without_a_header_columns_are_as_wide_as_what_is_in_them(rows):
    assert table(rows[:1], Show(header=False)) == ["LISTEN 0 16 192.0.2.2:80 *:*"]
    assert table([], Show(header=False)) == []


def test_timers_memory_and_age(rows):
    _, line = table(rows[1:2], Show(timers=True))
    assert "timer:(keepalive,1min55sec,0)" in line
    head, line, below = table(rows[1:2], Show(extended=True, memory=True))
    assert "age:4.0" in line
    assert "snd_una:5001 snd_nxt:5001" in line
    assert "rcv_nxt:614" in line
    assert "opts:(keepalive,keepidle)" in line
    assert below == "\t skmem:(r677,rb131072,t0,tb262144,f0,w0,o0,bl0)"
    assert head.startswith("State")
    _, waiting = table(rows[2:3], Show(timers=True))
    assert "timer:(timewait,58sec,0)" in waiting


def test_the_info_line_says_what_ss_says_in_its_order(rows):
    _, _, line = table(rows[1:2], Show(info=True))
    words = [word.partition(":")[0] for word in line.split() if not word.endswith("bps")]
    assert " ".join(words) == (
        "cubic wscale rto rtt ato mss pmtu rcvmss advmss cwnd bytes_sent bytes_acked bytes_received segs_out segs_in "
        "data_segs_out data_segs_in send lastsnd lastrcv lastack pacing_rate delivery_rate delivered app_limited busy "
        "rcv_rtt rcv_space rcv_ssthresh minrtt snd_wnd rcv_wnd"
    )
    assert " bytes_sent:5000 bytes_acked:5000 bytes_received:613 " in line
    assert " rtt:20/" in line
    _, _, line = table(rows[1:2], Show(info=True, timers=True))
    assert line.startswith("\t ts sack cubic wscale:7,7 rto:220 rtt:20/")


def test_what_bbr_takes_the_path_for_and_the_limit_of_pacing():
    pair = Pair()
    options = SocketOptions()
    options.congestion, options.paced, options.max_pacing_rate = "bbr", True, 50_000
    _, theirs = pair.open(server=options)
    theirs.send(b"y" * 50_000)
    pair.run(SECOND // 2)
    (row,) = (row for row in connections(pair.server, pair.now) if row["kind"] == "connection")
    assert row["model"]["bbr_min_rtt"] == 20 * MILLISECOND
    assert 0 < row["timers"]["pacing"] <= 60 * MILLISECOND
    _, _, line = table([row], Show(info=True))
    assert re.search(r" bbr:\(bw:\d+bps,mrtt:20,pacing_gain:[\d.]+,cwnd_gain:[\d.]+\) send ", line)
    assert " pacing_rate 400000bps/400000bps" in line


@pytest.mark.parametrize(
    ("remaining", "said"),
    [(204 * MILLISECOND, "204ms"), (1_200 * MILLISECOND, "1.200ms"), (9 * SECOND, "9sec"),
     (51_900 * MILLISECOND, "51sec"), (119 * SECOND, "1min59sec"), (120 * MINUTE, "120min"),
     (10 * MINUTE + 5 * SECOND, "10min"), (0, "")],
)  # fmt: skip
def test_durations_get_coarser_the_longer_they_are(remaining, said):
    assert duration(remaining) == said


def test_the_summary_counts():
    pair = Pair()
    pair.open()
    pair.client.udp.bind(port=5)
    rows = connections(pair.client, pair.now) + endpoints(pair.client)
    assert summary(rows, layers(pair.client)) == [
        "Total: 2", "TCP:   1 (estab 1, closed 0, orphaned 0, timewait 0)", "",
        "Transport Total     IP        IPv6", "RAW       0         0         0", "UDP       1         1         0",
        "TCP       1         1         0", "INET      2         2         0", "FRAG      0         0         0",
    ]  # fmt: skip


@pytest.mark.parametrize(
    ("words", "states"),
    [
        ("", ["LISTEN", "ESTABLISHED", "TIME-WAIT", "UNCONNECTED"]),
        ("state established", ["ESTABLISHED"]),
        ("state listening state time-wait", ["LISTEN", "TIME-WAIT"]),
        ("exclude established exclude unconnected", ["LISTEN", "TIME-WAIT"]),
        ("state connected exclude time-wait", ["ESTABLISHED"]),
        ("state bucket", ["TIME-WAIT"]),
        ("sport = :80", ["LISTEN", "ESTABLISHED", "TIME-WAIT"]),
        ("sport eq 53 or sport = 80 and state", None),
        ("not sport = :80", ["UNCONNECTED"]),
        ("! sport :80", None),
        ("sport != 80", ["UNCONNECTED"]),
        ("dst 192.0.2.0/24", ["ESTABLISHED", "TIME-WAIT"]),
        ("dst 192.0.2.1 sport = 80", ["ESTABLISHED", "TIME-WAIT"]),
        ("src 192.0.2.2:80 and not dst 192.0.2.1", ["LISTEN"]),
        ("( src :53 or dst 192.0.2.1 ) and sport < 60", ["UNCONNECTED"]),
        ("state established dport gt 1024 & dport <= 65535", ["ESTABLISHED"]),
        ("dst != 192.0.2.1 | src *:80", ["LISTEN", "ESTABLISHED", "TIME-WAIT", "UNCONNECTED"]),
        ("dst 198.51.100.7", []),
    ],
)
def test_filters_choose_rows(rows, words, states):
    if states is None:
        with pytest.raises(ValueError, match=r"port|condition|state"):
            row_filter(words.split(), EVERY)
    else:
        assert chosen(rows, words) == chosen(rows, *words.split()) == states


def test_what_is_shown_when_nothing_is_said(rows):
    assert chosen(rows, states=USUAL) == ["ESTABLISHED"]
    assert chosen(rows, states=LISTENING) == ["LISTEN", "UNCONNECTED"]
    assert chosen(rows, "state time-wait", states=USUAL) == ["TIME-WAIT"]


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        ("state", "state is followed by a state such as established or fin-wait-1, not by nothing"),
        ("state open", "state is followed by a state such as established or fin-wait-1, not by 'open'"),
        ("sport", "sport is compared with a port, as in sport = :80"),
        ("sport = :http", "'http' is not a port from 0 to 65535"),
        ("dst 300.1.1.1", "'300.1.1.1' is not an address or a network such as 192.0.2.0/24"),
        ("dst > 192.0.2.1", "dst is the same as an address or not: > means nothing"),
        ("( sport = 80", ") is missing at the end of the filter"),
        ("sport = 80 )", "')' closes nothing"),
        ("frob 1", "'frob' is no condition: src, dst, sport, dport are"),
        ("not", "a condition such as sport = :80 is missing at the end of the filter"),
        ("( " * 100, "the filter is nested too deeply"),
    ],
)
def test_filters_that_mean_nothing_are_refused_in_words(words, complaint):
    with pytest.raises(ValueError, match=re.escape(complaint)):
        row_filter([words], EVERY)


WORDS = ("state", "established", "sport", "dst", "=", ":80", "192.0.2.1", "and", "or", "not", "(", ")", "!", "<", "&")
ROW = {"state": "ESTABLISHED", "local_port": 80, "local_address": "192.0.2.2", "remote_port": 9,
       "remote_address": "192.0.2.1"}  # fmt: skip


@given(st.lists(st.sampled_from(WORDS), max_size=10))
def test_any_words_choose_or_are_refused(words):
    with contextlib.suppress(ValueError):
        assert row_filter(words, EVERY)(ROW) in (True, False)
