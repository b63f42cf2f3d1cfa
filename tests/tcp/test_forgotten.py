"""Nothing is forgotten: a timer runs while something is outstanding, and an answer that is due leaves in its turn."""

import pytest

from netstack.tcp.state import CLOSED, SYN_RECEIVED
from netstack.units import MILLISECOND, SECOND
from tests.script import FULL, US


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
