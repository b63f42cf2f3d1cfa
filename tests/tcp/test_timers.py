"""State x timer: what each timer does in each state in which it can run, and that it runs in no other."""

from errno import ETIMEDOUT

import pytest

from netstack.tcp import timer_kind
from netstack.tcp.connection import Connection
from netstack.units import MILLISECOND, SECOND
from tests.tcp.states import STATES, reach

TABLE = """
SYN-SENT | retransmission | S 0:0(0) | RFC 9293 3.10.8; RFC 6298 5.4
SYN-RECEIVED | retransmission | S. 0:0(0) ack 1 | RFC 9293 3.10.8; RFC 6298 5.4
SYN-RECEIVED (simultaneous) | retransmission | S. 0:0(0) ack 1 | RFC 9293 3.10.8; RFC 6298 5.4
ESTABLISHED | retransmission | P. 1:101(100) ack 1 | RFC 9293 3.10.8; RFC 6298 5.4
FIN-WAIT-1 | retransmission | FP. 1:101(100) ack 1 | RFC 9293 3.10.8; RFC 6298 5.4
CLOSE-WAIT | retransmission | P. 1:101(100) ack 2 | RFC 9293 3.10.8; RFC 6298 5.4
CLOSING | retransmission | F. 1:1(0) ack 2 | RFC 9293 3.10.8; RFC 6298 5.4
LAST-ACK | retransmission | FP. 1:101(100) ack 2 | RFC 9293 3.10.8; RFC 6298 5.4
CLOSED, LISTEN, FIN-WAIT-2, TIME-WAIT | retransmission | never | RFC 6298 5.2: nothing is outstanding

SYN-SENT, ESTABLISHED, FIN-WAIT-1, CLOSE-WAIT, CLOSING, LAST-ACK | user timeout | CLOSED | RFC 9293 3.10.8
SYN-RECEIVED, SYN-RECEIVED (simultaneous) | user timeout | never | RFC 9293 3.8.3: by count, as in Linux
CLOSED, LISTEN, FIN-WAIT-2, TIME-WAIT | user timeout | never | RFC 9293 3.10.8: there is nothing to wait for

TIME-WAIT | time-wait | CLOSED | RFC 9293 3.10.8: delete the TCB
CLOSED, LISTEN, SYN-SENT, SYN-RECEIVED, SYN-RECEIVED (simultaneous) | time-wait | never | RFC 9293 3.3.2
ESTABLISHED, FIN-WAIT-1, FIN-WAIT-2, CLOSE-WAIT, CLOSING, LAST-ACK | time-wait | never | RFC 9293 3.3.2

ESTABLISHED | delayed ack | . 101:101(0) ack 11 | RFC 9293 3.8.6.3
FIN-WAIT-1 | delayed ack | . 102:102(0) ack 11 | RFC 9293 3.8.6.3
FIN-WAIT-2 | delayed ack | . 2:2(0) ack 11 | RFC 9293 3.8.6.3
CLOSED, LISTEN, SYN-SENT, SYN-RECEIVED, SYN-RECEIVED (simultaneous) | delayed ack | never | RFC 9293 3.10.7.3
CLOSE-WAIT, CLOSING, LAST-ACK, TIME-WAIT | delayed ack | never | RFC 9293 3.10.7.4 seventh: no text after a FIN

ESTABLISHED | keepalive | . 100:100(0) ack 1 | RFC 9293 3.8.4
FIN-WAIT-2 | keepalive | . 1:1(0) ack 1 | RFC 9293 3.8.4
CLOSE-WAIT | keepalive | . 100:100(0) ack 2 | RFC 9293 3.8.4
FIN-WAIT-1, CLOSING, LAST-ACK | keepalive | never | RFC 9293 3.8.4: the FIN is sent again until it is acknowledged
CLOSED, LISTEN, SYN-SENT, SYN-RECEIVED, SYN-RECEIVED (simultaneous), TIME-WAIT | keepalive | never | RFC 9293 3.8.4

ESTABLISHED | window probe | . 100:100(0) ack 1 | RFC 9293 3.8.6.1
FIN-WAIT-1 | window probe | . 100:100(0) ack 1 | RFC 9293 3.8.6.1
CLOSE-WAIT | window probe | . 100:100(0) ack 2 | RFC 9293 3.8.6.1
LAST-ACK | window probe | . 100:100(0) ack 2 | RFC 9293 3.8.6.1
CLOSED, LISTEN, SYN-SENT, SYN-RECEIVED, SYN-RECEIVED (simultaneous) | window probe | never | RFC 9293 3.8.6.1
FIN-WAIT-2, CLOSING, TIME-WAIT | window probe | never | RFC 9293 3.8.6.1: nothing is left to send

FIN-WAIT-2 | fin-wait-2 | CLOSED | RFC 9293 3.6.1 has the half close; the limit is Linux's tcp_fin_timeout
CLOSED, LISTEN, SYN-SENT, SYN-RECEIVED, SYN-RECEIVED (simultaneous) | fin-wait-2 | never | RFC 9293 3.3.2
ESTABLISHED, FIN-WAIT-1, CLOSE-WAIT, CLOSING, LAST-ACK, TIME-WAIT | fin-wait-2 | never | RFC 9293 3.3.2
"""
TIMERS = ("retransmission", "user timeout", "time-wait", "delayed ack", "keepalive", "window probe", "fin-wait-2")


def _rows():
    found = {}
    for line in filter(None, TABLE.splitlines()):
        states, timer, effect, paragraph = (part.strip() for part in line.split("|"))
        for state in states.split(", "):
            assert (state, timer) not in found, f"twice: {state}, {timer}"
            found[state, timer] = (state, timer, effect, paragraph)
    return found


ROWS = _rows()


def test_the_table_is_complete():
    assert set(ROWS) == {(state, timer) for state in STATES for timer in TIMERS}


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: f"{row[0]}-{row[1]}".replace(" ", "-"))
def test_state_timer(wire, row):
    state, timer, effect, _ = row
    {
        "retransmission": retransmission,
        "user timeout": user_timeout,
        "time-wait": time_wait,
        "delayed ack": delayed_ack,
        "keepalive": keepalive,
        "window probe": window_probe,
        "fin-wait-2": fin_wait_2,
    }[timer](wire, state, effect)


def _connection(wire) -> Connection | None:
    found = wire.stack.tcp.connections.get(wire.key)
    return found if isinstance(found, Connection) else None


def retransmission(wire, state, effect):
    reach(wire, state)
    conn = _connection(wire)
    if effect == "never":
        assert conn is None or not conn.timer_at
        return
    assert conn.timer == timer_kind.RETRANSMIT
    wire.next().tx(effect).state(STATES[state])


def user_timeout(wire, state, effect):
    reach(wire, state, user_timeout=2 * SECOND)
    if effect == "never":
        wire.run(most=1 * SECOND)
        wire.state(STATES[state])
        return
    wire.run(most=5 * SECOND)
    wire.state(STATES["CLOSED"])
    assert wire.conn.error == ETIMEDOUT


def time_wait(wire, state, effect):
    reach(wire, state)
    if effect == "never":
        assert not wire.stack.tcp.time_waits
        return
    wire.quiet(60 * SECOND - 1).state(STATES[state]).quiet(1).state(STATES[effect])


def delayed_ack(wire, state, effect):
    at = reach(wire, state)
    conn = _connection(wire)
    if conn is None or effect == "never":
        assert conn is None or not conn.acking.at
        if state in ("CLOSE-WAIT", "CLOSING", "LAST-ACK"):
            wire.rx(f"P. {at.rcv}:{at.rcv + 10}(10) ack {at.una}").quiet(40 * MILLISECOND)
        return
    conn.acking.pingpong = True  # an exchange, past the quick ACKs of the start
    wire.rx(f"P. {at.rcv}:{at.rcv + 10}(10) ack {at.una}").quiet(40 * MILLISECOND - 1).after(1).tx(effect)


def keepalive(wire, state, effect):
    at = reach(wire, state, keepalive=True, keepidle=10 * SECOND)
    if state in ("ESTABLISHED", "CLOSE-WAIT"):
        wire.rx(f". {at.rcv}:{at.rcv}(0) ack {at.nxt}")
    if effect == "never":
        probe = f". {at.nxt - 1}:{at.nxt - 1}(0) ack {at.rcv}"
        assert probe not in [text for _, text in wire.run(most=12 * SECOND)]
        return
    wire.quiet(10 * SECOND - 1).after(1).tx(effect).state(STATES[state])


def window_probe(wire, state, effect):
    """The peer closes its window over everything sent; then there is more to send: octets, or at least a FIN."""
    if effect == "never":
        reach(wire, state)
        conn = _connection(wire)
        assert conn is None or conn.timer != timer_kind.WINDOW_PROBE
        return
    began = {"FIN-WAIT-1": "ESTABLISHED", "LAST-ACK": "CLOSE-WAIT"}.get(state, state)
    at = reach(wire, began)
    wire.rx(f". {at.rcv}:{at.rcv}(0) ack {at.nxt} win 0")
    if began == state:
        wire.sent = 100
        wire.send(10)
    else:
        wire.call("shutdown")
    wire.quiet(wire.conn.rtt.timeout() - 1).after(1).tx(effect).state(STATES[state])


def fin_wait_2(wire, state, effect):
    reach(wire, state)
    conn = _connection(wire)
    if effect == "never":
        assert conn is None or not conn.close_at
        return
    wire.call("close").quiet(60 * SECOND - 1).state(STATES[state]).quiet(1).state(STATES[effect])
