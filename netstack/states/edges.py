"""The table of transitions as edges: one for each (state, cause), in the order of the table."""

from collections.abc import Iterable
from typing import NamedTuple

from netstack.tcp.state import CLOSED, TRANSITIONS, Cause, State


class Edge(NamedTuple):
    """`cause` takes a connection from `old` to `new`."""

    old: State
    cause: Cause
    new: State

    @property
    def label(self) -> str:
        """What to print beside it."""
        return ending(self.cause) if self.new is CLOSED else self.cause.label


def ending(cause: Cause) -> str:
    """The label of a cause that leads to CLOSED: without its "snd ...", since that depends on the state it is left in.

    CLOSE sends no FIN from LISTEN or SYN-SENT, and ABORT no RST from there (RFC 9293 3.10.4, 3.10.5).
    """
    return cause.label.partition(", snd ")[0]


EDGES = tuple(Edge(old, cause, new) for cause, ways in TRANSITIONS.items() for old, new in ways.items())
"""Everything that the table says."""

ENDS = tuple(
    cause
    for cause, ways in TRANSITIONS.items()
    if cause is not Cause.TWO_MSL_PASSED and all(new is CLOSED for new in ways.values())
)
"""Causes that end a connection from wherever it is: like Figure 5, charts list them instead of drawing their edges."""

DRAWN = tuple(edge for edge in EDGES if edge.cause not in ENDS)


def leaving(state: State) -> list[Edge]:
    """The edges out of a state."""
    return [edge for edge in EDGES if edge.old is state]


def in_order() -> list[State]:
    """The eleven states, from CLOSED on in the order in which following the table meets them."""
    found = [CLOSED]
    for state in found:
        found += dict.fromkeys(edge.new for edge in leaving(state) if edge.new not in found)
    return found


def where(cause: Cause) -> str:
    """In which states a cause means something, in words: those, or all but those that are missing."""
    has = [str(state) for state in in_order() if state in TRANSITIONS[cause]]
    lacks = [str(state) for state in in_order() if state not in TRANSITIONS[cause]]
    return f"every state but {', '.join(lacks)}" if len(lacks) < len(has) else ", ".join(has)


def merged(edges: Iterable[Edge]) -> dict[tuple[State, State], list[Edge]]:
    """Edges by where they begin and end."""
    ways: dict[tuple[State, State], list[Edge]] = {}
    for edge in edges:
        ways.setdefault((edge.old, edge.new), []).append(edge)
    return ways
