"""The state machine as a Mermaid diagram, for pages that render one (GitHub does)."""

from netstack.states.edges import DRAWN, ENDS, Edge, ending, in_order, merged, where
from netstack.states.trail import Trail, clock, on, place, places
from netstack.tcp.state import CLOSED


def mermaid(trail: Trail = ()) -> str:
    """The lines of a stateDiagram-v2, without the fence around them and without a final line feed.

    As in Figure 5, CLOSED is drawn twice: where connections begin, and where those that once were synchronized end.
    With a trail, the states on it are filled, and its steps numbered, with their times; a step that charts do not draw
    is drawn then.
    """
    lines = ["stateDiagram-v2", "    direction TB"]
    lines += [f'    state "{state}" as {state.name}' for state in in_order()]
    lines.append(f'    state "{CLOSED}" as END')
    rare = tuple(dict.fromkeys(step.edge for step in trail if step.edge not in DRAWN))
    for (old, new), edges in merged((*DRAWN, *rare)).items():
        lines.append(f"    {old.name} --> {place(new, old)} : {_label(edges, trail)}")
    lines += ["    note right of END", "        Not drawn, all to CLOSED"]
    lines += [f"        {ending(cause)} in {where(cause)}" for cause in ENDS]
    lines.append("    end note")
    if trail:
        lines.append("    classDef taken fill:#fde68a,stroke:#b45309,stroke-width:3px,color:#111")
        lines.append(f"    class {','.join(sorted(places(trail)))} taken")
    return "\n".join(lines)


def _label(edges: list[Edge], trail: Trail) -> str:
    """What is beside an edge: its causes or, when the trail followed it, the steps."""
    steps = on(trail, edges[0].old, edges[0].new)
    taken = [f"{n}. at {clock(step.at)} s, {step.edge.label}" for n, step in steps]
    return "; ".join(taken) or " or ".join(edge.label for edge in edges)
