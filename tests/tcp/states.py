"""How to bring a connection into each of the eleven states, and where its windows then are."""

from typing import NamedTuple

from netstack.tcp.connection import Connection
from netstack.tcp.state import (
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LAST_ACK,
    LISTEN,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    State,
)
from tests.script import Wire

SIMULTANEOUS = "SYN-RECEIVED (simultaneous)"
STATES: dict[str, State] = {str(state): state for state in State} | {SIMULTANEOUS: SYN_RECEIVED}
"""By the names that the table uses. SYN-RECEIVED is the one reached from LISTEN."""


class Position(NamedTuple):
    """Where a connection is, in relative numbers: SND.UNA, SND.NXT, RCV.NXT, the right edge of the receive window."""

    una: int
    nxt: int
    rcv: int
    edge: int


def reach(wire: Wire, name: str, **options: object) -> Position:
    """Bring `wire` into a state. Wherever data may be outstanding, 100 octets are; the receive window is 64,240."""
    state = STATES[name]
    if state is LISTEN:
        wire.listen(**options)
    elif state is SYN_SENT:
        wire.connect(40_000, **options).tx("S 0:0(0)")
    elif name == SIMULTANEOUS:
        wire.connect(40_000, **options).tx("S 0:0(0)")
        wire.rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    elif state is SYN_RECEIVED:
        wire.listen(**options).rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    else:
        wire.established(nodelay=True, **options)
        _leave_established(wire, state)
    wire.state(state)
    return position(wire)


def _leave_established(wire: Wire, state: State) -> None:
    if state is ESTABLISHED:
        wire.send(100).tx("P. 1:101(100) ack 1")
    elif state is FIN_WAIT_1:
        wire.send(100).tx("P. 1:101(100) ack 1").call("shutdown").tx("F. 101:101(0) ack 1")
    elif state is FIN_WAIT_2:
        wire.call("shutdown").tx("F. 1:1(0) ack 1").rx(". 1:1(0) ack 2")
    elif state is CLOSING:
        wire.call("shutdown").tx("F. 1:1(0) ack 1").rx("F. 1:1(0) ack 1").tx(". 2:2(0) ack 2")
    elif state is TIME_WAIT:
        wire.call("shutdown").tx("F. 1:1(0) ack 1").rx("F. 1:1(0) ack 2").tx(". 2:2(0) ack 2")
    elif state is CLOSE_WAIT:
        wire.rx("F. 1:1(0) ack 1").next().tx(". 1:1(0) ack 2").send(100).tx("P. 1:101(100) ack 2")
    elif state is LAST_ACK:
        wire.rx("F. 1:1(0) ack 1").next().tx(". 1:1(0) ack 2").send(100).tx("P. 1:101(100) ack 2")
        wire.call("shutdown").tx("F. 101:101(0) ack 2")
    elif state is CLOSED:
        assert wire.listener is not None
        wire.listener.close()
        wire.rx("R 1:1(0)")


def position(wire: Wire) -> Position:
    """Where the connection in `wire` is; where it would begin when there is none."""
    found = wire.stack.tcp.connections.get(wire.key)
    if not isinstance(found, Connection):
        return Position(1, 1, 1, 64_241) if found is None else Position(2, 2, 2, 64_241)
    tcb = found.tcb
    if tcb.state is SYN_SENT:
        return Position(0, 1, 0, 64_240)
    return Position(
        tcb.snd_una - tcb.iss, tcb.snd_nxt - tcb.iss, tcb.rcv_nxt - tcb.irs, tcb.rcv_wup + tcb.rcv_wnd - tcb.irs
    )
