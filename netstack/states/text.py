"""The state machine for a terminal: a table for each state, cause -> next state, with the paragraph."""

from netstack.states.edges import EDGES, in_order, leaving
from netstack.states.trail import Trail, clock
from netstack.tcp.state import State

_CAUSE = max(len(edge.label) for edge in EDGES)
_STATE = max(len(str(edge.new)) for edge in EDGES)
_CLOCK = 12


def text(trail: Trail = ()) -> str:
    """Lines of at most 120 columns, without a final line feed.

    With a trail, only the states on it, in its order: each with all the ways out, and the time at the one taken.
    """
    if not trail:
        return "\n\n".join("\n".join([str(state), *_ways(state)]) for state in in_order())
    blocks = []
    for step in trail:
        lines = [f"{'':<{_CLOCK}}   {step.old}"]
        for edge, line in zip(leaving(step.old), _ways(step.old), strict=True):
            taken = edge == step.edge
            lines.append(f"{clock(step.at) if taken else '':>{_CLOCK}} {'>' if taken else ' '} {line}")
        blocks.append("\n".join(lines))
    return "\n".join([*blocks, f"{'':<{_CLOCK}}   {trail[-1].new}"])


def _ways(state: State) -> list[str]:
    """The ways out of a state, a line each."""
    return [f"  {edge.label:<{_CAUSE}}  -> {edge.new!s:<{_STATE}}  {edge.cause.paragraph}" for edge in leaving(state)]
