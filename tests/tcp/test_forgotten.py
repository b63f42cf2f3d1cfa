"""Nothing is forgotten: a timer runs while something is outstanding, and an answer that is due leaves in its turn.

And what is over is: neither time nor table is kept for it.
"""

import pytest

from netstack.tcp.state import CLOSED, SYN_RECEIVED, TIME_WAIT
from netstack.units import MILLISECOND, SECOND
from tests.script import FULL, US, Wire


def test_new_data_has_a_timer_after_a_spurious_timeout(wire):
    """F-RTO undoes the timeout and RACK wants to look again; before it does, everything is acknowledged."""
    wire.established(FULL).send(2_896).tx(". 1:1449(1448) ack 1").tx("P. 1449:2897(1448) ack 1").after(80 * MILLISECOND)
    wire.send(1_448).tx("P. 2897:4345(1448) ack 1").after(80 * MILLISECOND).send(1_000).tx("P. 4345:5345(1000) ack 1")
    for _ in range(2):  # the loss probe, then the timeout
        wire.run(most=SECOND)
    assert wire.conn.recovery.timeouts
    wire.after(150 * MILLISECOND)
    wire.rx(". 1:1(0) ack 2897 <TS val 200 ecr 100>").rx(". 1:1(0) ack 5345 <TS val 200 ecr 100>")
    wire.take()
    wire.send(10).tx("P. 5345:5355(10) ack 1")
    assert wire.conn.timer_at
    assert wire.run(most=5 * SECOND)
    wire.rx(". 1:1(0) ack 5355")


@pytest.mark.parametrize("options", ["<nop,nop,TS val 0 ecr 77>", "<nop,nop,TS val 0 ecr 0>", ""])
def test_segment_behind_the_syn_in_the_same_turn(wire, options):
    """Our SYN-ACK has not left, so there is nothing yet that could be echoed."""
    wire.listen()
    with wire.turn():
        wire.rx(f"S 0:0(0) <{FULL}>")
        wire.rx(f"P 1:11(10) {options}".strip())
    wire.tx("S. 0:0(0) ack 1").state(SYN_RECEIVED)


def test_connecting_to_a_closed_port_of_ours_is_refused_at_once(wire):
    conn = wire.stack.tcp.connect(None, (US, 9))
    wire.bench.turn()
    assert conn.state is CLOSED
    assert not wire.stack.tcp.replies.waiting


def test_connection_to_ourselves_carries_more_than_one_segment(wire):  # MTU 65,535: the MSS exceeds a super-segment
    wire.listen()
    near = wire.stack.tcp.connect(None, (US, 80))
    wire.bench.turn()
    far = wire.listener.accept()
    data, got = bytes(3_000_000), b""
    sent = 0
    for _ in range(200):
        sent += near.send(data[sent:])
        wire.bench.advance(10 * MILLISECOND)
        got += far.recv(1 << 20) or b""
        if len(got) == len(data):
            break
    assert len(got) == len(data)
    near.abort()
    far.abort()


def test_exchanges_with_keepalive_leave_no_timers_behind(wire):
    """Each exchange arms earlier deadlines than the one in two hours, and goes back to it."""
    wire.established(keepalive=True)
    for i in range(200):
        wire.send(1).tx(f"P. {1 + i}:{2 + i}(1) ack 1").rx(f". 1:1(0) ack {2 + i}").after(500 * MILLISECOND)
    assert wire.conn.keepalive_at
    assert len(wire.stack.tcp.timers._heap) <= 64


def test_connections_that_ended_leave_no_timers_behind(wire):
    wire.listen(keepalive=True)
    for port in range(40_000, 40_200):
        one = wire.another(port).established().rx("R 1:1(0)")
        assert one.conn.state is CLOSED
    wire.quiet()
    assert len(wire.stack.tcp.timers._heap) <= 64


def time_wait(wire: Wire, port: int) -> Wire:
    """A conversation that we have closed."""
    other = wire.another(port).established()
    other.call("close").tx("F. 1:1(0) ack 1").rx("F. 1:1(0) ack 2").tx(". 2:2(0) ack 2")
    return other


def test_time_waits_that_were_reset_make_room_at_once(wire):
    wire.setup(max_tw_buckets=2).listen()
    for port in range(40_000, 40_200):
        time_wait(wire, port).state(TIME_WAIT).rx("R 2:2(0)").state(CLOSED)
    assert not wire.mib["TcpExtTCPTimeWaitOverflow"]
    assert len(wire.stack.tcp.time_waits) == 0
    assert len(wire.stack.tcp.time_waits._heap) <= 66
    two = [time_wait(wire, port).state(TIME_WAIT) for port in (1, 2)]
    time_wait(wire, 3).state(CLOSED)
    assert wire.mib["TcpExtTCPTimeWaitOverflow"] == 1
    wire.after(60 * SECOND)
    for one in two:
        one.state(CLOSED)
