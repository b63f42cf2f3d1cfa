"""SYN cookies (RFC 4987 3.6) and the SYN queue that they stand in for, between two stacks and under a flood."""

from random import Random

import pytest

from netstack.link.device import NO_OFFLOAD
from netstack.tcp import syn_cookie
from netstack.tcp.listener import Listener
from netstack.tcp.state import ESTABLISHED
from netstack.units import MILLISECOND, MINUTE, SECOND
from netstack.wire import ethernet, ipv4, tcp
from netstack.wire.tcp_options import build_syn
from tests.tcp.pair import SERVER, Pair

KEY = bytes((192, 0, 2, 1, 192, 0, 2, 2, 0x9C, 0x40, 0, 80))


def listener(**config) -> Listener:
    return Pair(server=config).server.tcp.listen(SERVER, 80, 1)


SIZES = {0: 536, 536: 536, 1299: 536, 1300: 1300, 1440: 1440, 1459: 1440, 1460: 1460, 9000: 1460}


@pytest.mark.parametrize(("mss", "said"), SIZES.items())
def test_a_cookie_says_the_largest_size_that_fits(mss, said):
    ours = listener()
    now = 7 * MINUTE
    cookie = syn_cookie.build(ours, KEY, 0xFFFF_FFF0, mss, now)
    assert syn_cookie.check(ours, KEY, 0xFFFF_FFF0, cookie, now) == said


def test_a_cookie_is_good_in_its_minute_and_the_next():
    ours, start = listener(), 300 * MINUTE  # the counter has eight bits: it has wrapped by then
    cookie = syn_cookie.build(ours, KEY, 1, 1460, start)
    good = [minute for minute in range(-2, 5) if syn_cookie.check(ours, KEY, 1, cookie, start + minute * MINUTE)]
    assert good == [0, 1]


def test_a_cookie_belongs_to_one_connection_of_one_stack():
    ours, theirs = listener(), Pair().client.tcp.listen(bytes((192, 0, 2, 1)), 80, 1)
    cookie = syn_cookie.build(ours, KEY, 1000, 1460, 0)
    others = [KEY[:i] + bytes((KEY[i] ^ 1,)) + KEY[i + 1 :] for i in range(len(KEY))]
    assert all(syn_cookie.check(ours, other, 1000, cookie, 0) is None for other in others)
    assert syn_cookie.check(ours, KEY, 2000, cookie, 0) is None
    assert syn_cookie.check(theirs, KEY, 1000, cookie, 0) is None


def test_a_guess_succeeds_once_in_millions():
    ours, guess = listener(), Random(1)
    assert not any(syn_cookie.check(ours, KEY, 1, guess.getrandbits(32), 0) for _ in range(20_000))


def flood(pair: Pair, count: int) -> None:
    """SYNs from as many addresses, none of which will ever answer."""
    options = build_syn(1460, 7, True, None)
    for i in range(count):
        source = bytes((192, 0, 2, 3 + i % 250))
        segment = tcp.with_checksum(tcp.build(1024 + i // 250, 80, i, 0, tcp.SYN, 65_535, options), source + SERVER)
        packet = ipv4.build(source + SERVER, tcp.PROTOCOL, len(segment), ident=i & 0xFFFF, ttl=64) + segment
        pair.server.receive(NO_OFFLOAD + pair.server.config.mac + bytes(6) + ethernet.IPV4 + packet, pair.now)
        pair.server.transmit(pair.now)


@pytest.mark.parametrize("timestamps", [True, False])
def test_a_client_gets_through_a_flood(timestamps):
    pair = Pair({"timestamps": timestamps})
    listener = pair.server.tcp.listen(SERVER, 80, 4)
    flood(pair, 1000)
    assert (listener.half_open, len(pair.server.tcp.connections)) == (5, 5)
    conn = pair.client.tcp.connect(None, (SERVER, 80))
    pair.run(50 * MILLISECOND)
    child = listener.accept()
    assert child is not None
    assert (conn.state, child.state) == (ESTABLISHED, ESTABLISHED)
    kept = (child.tcb.ts_ok, child.tcb.sack_ok, child.tcb.snd_wscale)
    assert kept == ((True, True, conn.tcb.rcv_wscale) if timestamps else (False, False, 0))
    assert (conn.tcb.ts_ok, conn.tcb.sack_ok, conn.tcb.snd_wscale) == (*kept[:2], child.tcb.rcv_wscale)
    pair.transfer(child, conn, 200_000, 10 * SECOND)
    pair.transfer(conn, child, 200_000, 10 * SECOND)
    mib = pair.server.counters.mib
    assert (mib["TcpExtSyncookiesSent"], mib["TcpExtSyncookiesRecv"], mib["TcpExtSyncookiesFailed"]) == (996, 1, 0)
    assert (mib["TcpExtTCPReqQFullDoCookies"], mib["TcpExtTCPReqQFullDrop"], mib["TcpExtListenDrops"]) == (996, 0, 0)
    assert mib["TcpPassiveOpens"] == 1


def test_without_cookies_a_flood_shuts_everybody_out():
    pair = Pair(server={"syncookies": 0})
    listener = pair.server.tcp.listen(SERVER, 80, 4)
    flood(pair, 1000)
    conn = pair.client.tcp.connect(None, (SERVER, 80))
    pair.run(500 * MILLISECOND)
    assert conn.state is not ESTABLISHED
    mib = pair.server.counters.mib
    assert (listener.half_open, mib["TcpExtTCPReqQFullDrop"], mib["TcpExtListenDrops"]) == (5, 996, 996)
    assert mib["TcpExtSyncookiesSent"] == 0


def test_the_last_quarter_of_the_backlog_is_kept_free_without_cookies():
    pair = Pair(server={"syncookies": 0, "max_syn_backlog": 8})
    listener = pair.server.tcp.listen(SERVER, 80, 100)
    flood(pair, 20)
    assert listener.half_open == 7
    assert pair.server.counters.mib["TcpExtTCPReqQFullDrop"] == 0


def test_a_flood_leaves_nothing_behind():
    pair = Pair()
    listener = pair.server.tcp.listen(SERVER, 80, 4)
    flood(pair, 100)
    pair.run(3 * MINUTE)
    assert (listener.half_open, len(pair.server.tcp.connections)) == (0, 0)
    assert pair.server.tcp.deadline() is None


def test_a_cookie_that_promises_what_is_switched_off_by_now_opens_nothing():
    pair = Pair(server={"syncookies": 2})
    listener = pair.server.tcp.listen(SERVER, 80, 4)
    pair.client.tcp.connect(None, (SERVER, 80))
    pair.run(35 * MILLISECOND)  # the cookie is on its way
    object.__setattr__(pair.server.tcp.config, "sack", False)
    pair.run(30 * MILLISECOND)
    assert listener.accept() is None
    assert pair.server.counters.mib["TcpExtSyncookiesRecv"] == 1
    assert pair.server.counters.mib["TcpOutRsts"] == 1
