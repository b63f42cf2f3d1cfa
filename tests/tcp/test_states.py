"""State x event x edge: every kind of segment at every window position, and every call, in every state.

What is to happen stands in `states.txt`, one line and one paragraph of an RFC for each; timers are in `test_timers.py`.
"""

import re
from errno import errorcode
from pathlib import Path

import pytest

from netstack.tcp.state import State
from tests.script import PEER, US
from tests.tcp.states import STATES, Position, reach

EDGES = ("left outside", "left edge", "middle", "right edge", "right outside")
SEGMENTS: dict[str, tuple[str, ...]] = {
    "SYN": EDGES,
    "SYN,ACK": EDGES,
    "ACK": ("ancient", "old", "expected", "future"),
    "text": EDGES,
    "FIN": EDGES,
    "RST": EDGES,
}
CALLS = ("OPEN", "SEND", "RECEIVE", "SHUTDOWN", "CLOSE", "ABORT", "STATUS")
EVENTS = {**SEGMENTS, **dict.fromkeys(CALLS, ("",))}

Row = tuple[str, str, str, str, str, str]


def rows(table: str) -> dict[tuple[str, str, str], Row]:
    """The table by (state, event, position). ValueError when something is said twice."""
    found: dict[tuple[str, str, str], Row] = {}
    groups = {"any": list(STATES)}
    for line in table.splitlines():
        if "|" not in line or line.startswith("#"):
            name, equals, members = line.partition(" = ")
            if equals:
                groups[name] = [state for member in members.split(", ") for state in groups.get(member, [member])]
            continue
        states, events, edges, leaves, after, paragraph = (part.strip() for part in line.split("|"))
        for state in (state for name in states.split(", ") for state in groups.get(name, [name])):
            for event in events.split(", "):
                for edge in EVENTS[event] if edges in ("any", "") else edges.split(", "):
                    if (state, event, edge) in found:
                        raise ValueError(f"twice: {state}, {event}, {edge}")
                    found[state, event, edge] = (state, event, edge, leaves, after, paragraph)
    return found


ROWS = rows((Path(__file__).parent / "states.txt").read_text())


def test_the_table_is_complete():
    wanted = {(state, event, edge) for state in STATES for event, edges in EVENTS.items() for edge in edges}
    assert set(ROWS) == wanted
    assert {str(state) for state in State} <= set(STATES)
    assert all(re.match(r"RFC \d+ \d", row[5]) for row in ROWS.values()), "a row cites no paragraph"


@pytest.mark.parametrize("row", ROWS.values(), ids=lambda row: "-".join(filter(None, row[:3])).replace(" ", "-"))
def test_state_event_edge(wire, row):
    state, event, edge, leaves, after, _ = row
    at = reach(wire, state)
    leaves = {"its name": "-"}.get(leaves, leaves)
    if event in SEGMENTS:
        text, numbers = segment(event, edge, at)
        wire.rx(text)
    else:
        numbers = {}
        leaves = call(wire, event, leaves)
    values = {**at._asdict(), **numbers}
    leaves = re.sub(r"\{([^}]*)\}", lambda m: str(eval(m[1], values)), leaves)
    if leaves.startswith("later "):  # at the next tick: the user's own FIN could carry it
        wire.next()
    if leaves != "-":
        wire.tx(leaves.removeprefix("later "))
    wire.quiet()
    name, _, error = (state if after == "=" else after).partition(" ")
    wire.state(STATES[state if after == "=" else name])
    if error and after != "=":
        assert errorcode[wire.conn.error] == error


def segment(event: str, edge: str, at: Position) -> tuple[str, dict[str, int]]:
    """The segment in shorthand, and its SEQ, end and ACK. Acknowledges nothing new where that is possible."""
    if event == "ACK":
        old = max(at.una - 1, 0)
        ack = {"ancient": at.una - 100_000, "old": old, "expected": at.nxt, "future": at.nxt + 1000}[edge]
        return f". {at.rcv}:{at.rcv}(0) ack {ack}", {"seq": at.rcv, "end": at.rcv, "ack": ack}
    length = 10 if event == "text" else 0
    occupied = 10 if event == "text" else 0 if event == "RST" else 1
    seq = {
        "left outside": at.rcv - (occupied or 2),
        "left edge": at.rcv,
        "middle": at.rcv + 100,
        "right edge": at.edge - (occupied or 1),
        "right outside": at.edge + 1,
    }[edge]
    ack = at.nxt if at.una == 0 else at.una
    flags = {"SYN": "S", "SYN,ACK": "S.", "text": "P.", "FIN": "F.", "RST": "R."}[event]
    text = f"{flags} {seq}:{seq + length}({length})"
    if event != "SYN":
        text += f" ack {ack}"
    if event.startswith("SYN"):
        text += " <mss 1460>"
    return text, {"seq": seq, "end": seq + occupied, "ack": ack}


def call(wire, event: str, leaves: str) -> str:
    """Make the call; returns what is to leave."""
    listening = wire.listener is not None and not wire.listener.closed and wire.key not in wire.stack.tcp.connections
    if leaves == "no such call":
        assert not hasattr(wire.listener, {"SEND": "send", "RECEIVE": "recv", "SHUTDOWN": "shutdown"}[event])
        return "-"
    if leaves.startswith("E"):
        with pytest.raises(OSError, match=r"\[Errno") as raised:
            _perform(wire, event, listening)
        assert errorcode[raised.value.errno] == leaves
        return "-"
    result = _perform(wire, event, listening)
    if event == "RECEIVE":
        assert result == {"nothing yet": None, "end of stream": b""}[leaves]
        return "-"
    return leaves


def _perform(wire, event: str, listening: bool):
    if event == "OPEN":
        return wire.stack.tcp.connect((US, wire.local_port), (PEER, wire.remote_port))
    if listening:
        return {"STATUS": lambda: None}.get(event, wire.listener.close)()
    if event == "STATUS":
        return str(wire.conn.state)
    if event == "SEND":
        wire.sent = wire.conn.send_buffer.end - wire.conn.tcb.iss - 1
        return wire.send(10)
    if event == "RECEIVE":
        return wire.conn.recv(100)
    return getattr(wire.conn, event.lower())()
