"""Pacing: pieces leave when their time has come, and nobody else is any slower for it."""

import pytest

from netstack.sockets.numbers import SO_MAX_PACING_RATE, SOL_SOCKET
from netstack.sockets.stream import StreamSocket
from netstack.tcp.info import tcp_info
from netstack.tcp.pace import UNLIMITED
from netstack.units import MILLISECOND, SECOND

MS = MILLISECOND


def paced(wire, rate, **setup):
    """Ten segments of 1000 octets are through, freely; now `rate` octets a second."""
    wire.setup(congestion_control="reno", **setup).established(syn="mss 1000,sackOK", paced=True, max_pacing_rate=rate)
    wire.send(9000).take()
    wire.after(100 * MS).rx(". 1:1(0) ack 9001")
    return wire


def left(wire):
    """Octets of each segment that left, and when, in milliseconds since the first."""
    lines = wire.run(most=2 * SECOND)
    return [((at - lines[0][0]) / MS, text.split("(")[1].split(")")[0]) for at, text in lines]


def test_pieces_leave_at_the_rate(wire):
    paced(wire, 100_000).send(6000)
    wire.tx(". 9001:10001(1000) ack 1").tx("P. 10001:11001(1000) ack 1")
    wire.after(9 * MS).quiet()  # half the time of the first piece is forgiven: the sender had paused
    wire.after(1 * MS).tx(". 11001:12001(1000) ack 1").tx("P. 12001:13001(1000) ack 1")
    wire.quiet(19 * MS)
    wire.after(1 * MS).tx(". 13001:14001(1000) ack 1").tx("P. 14001:15001(1000) ack 1")
    wire.rx(". 1:1(0) ack 15001")


def test_the_stack_knows_the_deadline(wire):
    paced(wire, 100_000).send(3000).take()
    assert wire.stack.deadline() == wire.bench.now + 10 * MS
    assert wire.conn.pace_at == wire.bench.now + 10 * MS
    wire.after(10 * MS).take()
    assert wire.conn.pace_at == 0


def test_a_late_timer_does_not_slow_the_sender(wire):
    """Who is woken a millisecond late each time still sends at the rate: he was not idle, but waiting."""
    paced(wire, 100_000).send(18_000).take()
    conn, bench = wire.conn, wire.bench
    bench.advance(conn.pace_at - bench.now)
    started = bench.now
    for _ in range(7):
        bench.now = conn.pace_at + 999
        bench.turn()
        bench.stack.expire(bench.now)
        bench.turn()
    wire.take()
    assert bench.now - started == 7 * 20 * MS + 999


def test_an_ack_and_a_closed_window_are_not_paced(wire):
    paced(wire, 1_000).send(4000).take()
    wire.rx(". 1:1001(1000) ack 9001").tx(". 11001:11001(0) ack 1001")
    wire.rx(". 1001:1001(0) ack 11001 win 0")
    assert wire.run(most=2 * SECOND)[0][1].endswith(". 11000:11000(0) ack 1001")


def test_nothing_is_paced_unless_asked_for(wire):
    wire.setup(congestion_control="reno").established(syn="mss 1000")
    assert wire.conn.recovery.pace is None
    wire.send(30_000).take()
    wire.after(100 * MS).rx(". 1:1(0) ack 10001")
    assert len(wire.take()) == 20
    assert wire.conn.pace_at == 0


def test_a_rate_of_nothing_paces_nothing(wire):
    """As in Linux, where it asks for nothing that can be done."""
    paced(wire, 0).send(9_000)
    assert len(wire.take()) == 9


def test_what_is_sent_again_is_paced_too(wire):
    wire.setup(congestion_control="reno").established(syn="mss 1000,sackOK").send(10_000).take()
    StreamSocket.of(wire.stack, wire.conn).setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, 100_000)
    wire.after(100 * MS).rx(". 1:1(0) ack 1 <sack 6001:10001>")
    wire.tx(". 1:1001(1000) ack 1").tx("P. 1001:2001(1000) ack 1").quiet(4 * MS)
    wire.rx(". 1:1(0) ack 2001 <sack 6001:10001>").quiet(5 * MS)
    wire.after(1 * MS).tx(". 2001:3001(1000) ack 1").tx("P. 3001:4001(1000) ack 1")
    wire.rx(". 1:1(0) ack 10001")


def test_a_connection_that_ends_while_it_waits_has_no_deadline_left(wire):
    paced(wire, 1_000).send(9_000).take()
    assert wire.conn.pace_at
    wire.rx("R. 1:1(0) ack 9001")
    assert wire.conn.pace_at == 0
    assert wire.stack.deadline() is None


def test_tcp_info_tells_the_rate_and_the_limit(wire):
    paced(wire, 50_000)
    info = tcp_info(wire.conn, wire.bench.now)
    assert (info["pacing_rate"], info["max_pacing_rate"]) == (50_000, 50_000)
    wire.conn.options.max_pacing_rate = UNLIMITED
    assert tcp_info(wire.conn, wire.bench.now)["pacing_rate"] == 2 * 1000 * 10 * wire.conn.recovery.cc.cwnd


def test_the_ratios_are_configured(wire):
    paced(wire, UNLIMITED, pacing_ss_ratio=300, pacing_ca_ratio=150)
    cc = wire.conn.recovery.cc
    cwnd, ssthresh = cc.cwnd, cc.ssthresh
    cc.cwnd = 20
    assert tcp_info(wire.conn, wire.bench.now)["pacing_rate"] == 3 * 20 * 1000 * 10
    cc.ssthresh = 20
    assert tcp_info(wire.conn, wire.bench.now)["pacing_rate"] == 3 * 20 * 1000 * 10 // 2
    cc.cwnd, cc.ssthresh = cwnd, ssthresh


@pytest.mark.parametrize(
    ("value", "buflen", "shown", "paces"),
    [
        (1_000, 0, 1_000, True),
        (-1, 0, -1, False),
        (0, 0, 0, True),
        ((5 << 32).to_bytes(8, "little"), 8, (5 << 32).to_bytes(8, "little"), True),
        ((5 << 32).to_bytes(8, "little"), 4, b"\xff" * 4, True),
        ((-1).to_bytes(4, "little", signed=True), 8, b"\xff" * 8, False),
        (b"\xff" * 8, 8, b"\xff" * 8, False),
    ],
)
def test_the_option_holds_32_bits_or_64(wire, value, buflen, shown, paces):
    sock = StreamSocket(wire.stack)
    sock.setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, value)
    assert sock.getsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, buflen) == shown
    assert sock.options.paced is paces


def test_an_option_on_a_live_connection_paces_from_now_on(wire):
    wire.setup(congestion_control="reno").established(syn="mss 1000,sackOK").send(9000).take()
    wire.after(100 * MS).rx(". 1:1(0) ack 9001")
    sock = StreamSocket.of(wire.stack, wire.conn)
    sock.setsockopt(SOL_SOCKET, SO_MAX_PACING_RATE, 100_000)
    wire.send(6_000)
    assert len(wire.take()) == 2
