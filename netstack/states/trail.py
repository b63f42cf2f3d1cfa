"""The way that one connection took through the state machine, for the drawings to show."""

from collections.abc import Sequence
from typing import NamedTuple

from netstack.states.edges import Edge
from netstack.tcp.state import CLOSED, Cause, State
from netstack.units import Micros


class Step(NamedTuple):
    """`cause` took the connection from `old` to `new` at `at`, in microseconds from any origin."""

    at: Micros
    old: State
    cause: Cause
    new: State

    @property
    def edge(self) -> Edge:
        """The edge of the table that was followed."""
        return Edge(self.old, self.cause, self.new)


Trail = Sequence[Step]
"""Steps in the order in which they were taken."""


def clock(at: Micros) -> str:
    """Seconds with six places."""
    return f"{at / 1_000_000:.6f}"


def on(trail: Trail, old: State, new: State) -> list[tuple[int, Step]]:
    """Which steps, counted from 1, went this way."""
    return [(n, step) for n, step in enumerate(trail, 1) if (step.old, step.new) == (old, new)]


def place(state: State, before: State | None) -> str:
    """Where a chart draws `state` when it was reached from `before`: CLOSED is there twice, as in Figure 5."""
    return "END" if state is CLOSED and before is not None and before.synchronized else state.name


def places(trail: Trail) -> set[str]:
    """Everywhere the connection has been."""
    been = {place(trail[0].old, None)} if trail else set()
    return been | {place(step.new, step.old) for step in trail}
