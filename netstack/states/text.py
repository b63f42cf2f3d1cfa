"""The state machine for a terminal: a table for each state, cause -> next state, with the paragraph."""

from netstack.states.edges import EDGES, in_order, leaving

_CAUSE = max(len(edge.label) for edge in EDGES)
_STATE = max(len(str(edge.new)) for edge in EDGES)


def text() -> str:
    """Lines of at most 120 columns, without a final line feed."""
    blocks = []
    for state in in_order():
        lines = [str(state)]
        lines += [
            f"  {edge.label:<{_CAUSE}}  -> {edge.new!s:<{_STATE}}  {edge.cause.paragraph}" for edge in leaving(state)
        ]
        blocks.append("\n".join(lines))
    return "\n\n".join(blocks)
