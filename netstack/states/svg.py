"""The state machine as one self-contained SVG file, readable on a light and on a dark page.

States and edges have ids (`FIN_WAIT_1`, `FIN_WAIT_1-CLOSING`), so that a page that includes the drawing can mark them.
"""

from xml.sax.saxutils import escape

from netstack.states.edges import DRAWN, ENDS, Edge, ending, merged, where
from netstack.states.layout import (
    BOX_HEIGHT,
    BOX_WIDTH,
    CENTERS,
    CHART_HEIGHT,
    END,
    LEGEND_LINE,
    ROUTES,
    WIDTH,
    Point,
    Route,
)
from netstack.states.trail import Trail, clock, on, places
from netstack.tcp.state import CLOSED, TRANSITIONS, State

_CORNER = 10
_STYLE = """\
text { font: 13px system-ui, "DejaVu Sans", sans-serif; fill: #333 }
.page { fill: #fff }
.state rect { fill: #eef3fb; stroke: #2f5fa8; stroke-width: 1.5 }
.state text { font-weight: 600; fill: #123; text-anchor: middle }
.state .ends { font-size: 11px; font-weight: 400; fill: #8a4b08; letter-spacing: 3px }
.edge path { fill: none; stroke: #567; stroke-width: 1.5 }
#head path { fill: #567 }
.legend .number { fill: #8a4b08 }
.legend .paragraph { fill: #678 }
.taken path { stroke: #c2410c; stroke-width: 3.5 }
.taken rect { fill: #fde68a; stroke: #c2410c; stroke-width: 3 }
#taken-head path { fill: #c2410c }
.step, .legend .step { fill: #c2410c; font-weight: 700 }
@media (prefers-color-scheme: dark) {
text { fill: #ccd }
.page { fill: #14181f }
.state rect { fill: #1e2a3d; stroke: #7ba4e8 }
.state text { fill: #eef }
.state .ends, .legend .number { fill: #f0b060 }
.edge path { stroke: #9ab }
#head path { fill: #9ab }
.legend .paragraph { fill: #89a }
.taken path { stroke: #fb923c }
.taken rect { fill: #5a3410; stroke: #fb923c }
#taken-head path { fill: #fb923c }
.step, .legend .step { fill: #fb923c }
}"""


def svg(trail: Trail = (), title: str = "") -> str:
    """The whole file. Raises KeyError when the table has an edge to draw and the layout no way for it.

    With a trail, its states and edges stand out, its steps are numbered, and listed below with their causes; `title`
    says whose it is.
    """
    lines = len(ENDS) + 1 + (len(trail) + 2 if trail else 0)
    height = CHART_HEIGHT + lines * LEGEND_LINE + 20
    been = places(trail)
    return "\n".join([
        f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {height}" width="{WIDTH}" height="{height}">',
        "<title>TCP states</title>",
        f"<style>\n{_STYLE}\n</style>",
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="8" markerHeight="8" '
        'orient="auto"><path d="M0 0L10 5L0 10z"/></marker>'
        '<marker id="taken-head" viewBox="0 0 10 10" refX="8" refY="5" markerWidth="5" markerHeight="5" '
        'orient="auto"><path d="M0 0L10 5L0 10z"/></marker></defs>',
        f'<rect class="page" width="{WIDTH}" height="{height}"/>',
        *(_edge(way, edges, ROUTES[way], trail) for way, edges in sorted(
            merged(DRAWN).items(), key=lambda item: bool(on(trail, *item[0]))  # what was taken lies above
        )),
        *(_box(state, center, state.name, been) for state, center in CENTERS.items()),
        _box(CLOSED, END, "END", been),
        *_legend(),
        *_path_taken(trail, title),
        "</svg>\n",
    ])  # fmt: skip


def _edge(way: tuple[State, State], edges: list[Edge], route: Route, trail: Trail) -> str:
    old, new = way
    steps = on(trail, old, new)
    taken, head = (" taken", "taken-head") if steps else ("", "head")
    label = " or ".join(edge.label for edge in edges)
    paragraphs = "; ".join(dict.fromkeys(edge.cause.paragraph for edge in edges))
    x, y = route.label
    times = ", ".join(f"{n}: {clock(step.at)} s" for n, step in steps)
    beside = f'<text class="step" x="{x}" y="{route.second_line}" text-anchor="{route.anchor}">{times}</text>'
    beside = beside if times else ""
    return (
        f'<g class="edge{taken}" id="{old.name}-{new.name}"><title>{old} to {new}: {escape(label)} '
        f'({escape(paragraphs)})</title><path d="{_path(route.corners)}" marker-end="url(#{head})"/>'
        f'<text x="{x}" y="{y}" text-anchor="{route.anchor}">{escape(label)}</text>{beside}</g>'
    )


def _path(corners: tuple[Point, ...]) -> str:
    """Straight lines with rounded corners. Lines are horizontal or vertical, and longer than a corner."""
    parts = [f"M{corners[0][0]} {corners[0][1]}"]
    for previous, corner, following in zip(corners, corners[1:], corners[2:], strict=False):
        before, after = _towards(corner, previous), _towards(corner, following)
        parts.append(f"L{before[0]} {before[1]}Q{corner[0]} {corner[1]} {after[0]} {after[1]}")
    return "".join([*parts, f"L{corners[-1][0]} {corners[-1][1]}"])


def _towards(corner: Point, other: Point) -> Point:
    """The point at which the curve around a corner begins, on the way to `other`."""
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    return corner[0] + _CORNER * ((dx > 0) - (dx < 0)), corner[1] + _CORNER * ((dy > 0) - (dy < 0))


def _box(state: State, center: Point, name: str, been: set[str]) -> str:
    """A state; below its name the numbers, from the legend, of what ends a connection there."""
    x, y = center
    ends = "" if name == "END" else " ".join(str(n) for n, cause in enumerate(ENDS, 1) if state in TRANSITIONS[cause])
    corner = f'x="{x - BOX_WIDTH // 2}" y="{y - BOX_HEIGHT // 2}"'
    taken = " taken" if name in been else ""
    return (
        f'<g class="state{taken}" id="{name}"><rect {corner} width="{BOX_WIDTH}" height="{BOX_HEIGHT}" rx="8"/>'
        f'<text x="{x}" y="{y if ends else y + 5}">{state}</text>'
        + (f'<text class="ends" x="{x}" y="{y + 17}">{ends}</text>' if ends else "")
        + "</g>"
    )


def _legend() -> list[str]:
    y = CHART_HEIGHT + LEGEND_LINE
    lines = [f'<g class="legend"><text x="36" y="{y}">Not drawn: to CLOSED, from the states with the number</text>']
    for n, cause in enumerate(ENDS, 1):
        y += LEGEND_LINE
        lines.append(
            f'<text x="36" y="{y}"><tspan class="number">{n}</tspan><tspan x="60">{escape(ending(cause))}</tspan>'
            f'<tspan x="220">{escape(where(cause))}</tspan>'
            f'<tspan class="paragraph" x="560">{escape(cause.paragraph)}</tspan></text>'
        )
    return [*lines, "</g>"]


def _path_taken(trail: Trail, title: str) -> list[str]:
    """The steps below the legend, a line each."""
    if not trail:
        return []
    y = CHART_HEIGHT + (len(ENDS) + 3) * LEGEND_LINE
    lines = [f'<g class="legend" id="path"><text x="36" y="{y}">The path of {escape(title or "the connection")}</text>']
    for n, step in enumerate(trail, 1):
        y += LEGEND_LINE
        lines.append(
            f'<text x="36" y="{y}"><tspan class="step">{n}</tspan><tspan x="60">{clock(step.at)} s</tspan>'
            f'<tspan x="170">{step.old} to {step.new}</tspan><tspan x="410">{escape(step.edge.label)}</tspan>'
            f'<tspan class="paragraph" x="600">{escape(step.cause.paragraph)}</tspan></text>'
        )
    return [*lines, "</g>"]
