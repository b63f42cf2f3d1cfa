"""The state machine as a Mermaid diagram, for pages that render one (GitHub does)."""

from netstack.states.edges import DRAWN, ENDS, ending, in_order, merged, where
from netstack.tcp.state import CLOSED


def mermaid() -> str:
    """The lines of a stateDiagram-v2, without the fence around them and without a final line feed.

    As in Figure 5, CLOSED is drawn twice: where connections begin, and where those that once were synchronized end.
    """
    lines = ["stateDiagram-v2", "    direction TB"]
    lines += [f'    state "{state}" as {state.name}' for state in in_order()]
    lines.append(f'    state "{CLOSED}" as END')
    for (old, new), edges in merged(DRAWN).items():
        name = "END" if new is CLOSED and old.synchronized else new.name
        lines.append(f"    {old.name} --> {name} : {' or '.join(edge.label for edge in edges)}")
    lines += ["    note right of END", "        Not drawn, all to CLOSED"]
    lines += [f"        {ending(cause)} in {where(cause)}" for cause in ENDS]
    lines.append("    end note")
    return "\n".join(lines)
