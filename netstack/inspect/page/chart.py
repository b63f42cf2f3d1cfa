"""The state chart of the page: from the table and the layout that `netstack states --svg` draws too.

Boxes are higher, so that tokens have room in them; ids (`s-FIN_WAIT_1`, `e-FIN_WAIT_1-CLOSING`) are for the script.
"""

from xml.sax.saxutils import escape

from netstack.states.edges import DRAWN, ENDS, Edge, ending, merged, where
from netstack.states.layout import BOX_HEIGHT, BOX_WIDTH, CENTERS, CHART_HEIGHT, END, ROUTES, WIDTH, Point, Route
from netstack.tcp.state import CLOSED, TRANSITIONS, State

STRETCH = 1.25
"""Of the vertical: the boxes grow by as much as the distances, so that edges still end at their borders."""
_TOP = -8
_CORNER = 12


def chart() -> str:
    """An inline <svg> without colours of its own."""
    height = _y(CHART_HEIGHT) - _TOP
    return "\n".join([
        f'<svg id="chart" viewBox="0 {_TOP} {WIDTH} {height}" role="img" aria-label="TCP state chart">',
        '<defs><marker id="head" viewBox="0 0 10 10" refX="9" refY="5" markerWidth="16" '
        'markerHeight="16" markerUnits="userSpaceOnUse" '
        'orient="auto-start-reverse"><path d="M0 0L10 5L0 10z"/></marker></defs>',
        *(_edge(way, edges, ROUTES[way]) for way, edges in merged(DRAWN).items()),
        *(_box(state, center, state.name) for state, center in CENTERS.items()),
        _box(CLOSED, END, "END"),
        '<g id="tokens"></g>',
        "</svg>",
    ])  # fmt: skip


def endings() -> str:
    """What the chart does not draw, as the items of an HTML list."""
    return "\n".join(
        f"<li><b>{escape(ending(cause))}</b> in {escape(where(cause))} <small>{escape(cause.paragraph)}</small></li>"
        for cause in ENDS
    )


def _y(y: float) -> int:
    return round(y * STRETCH)


def _edge(way: tuple[State, State], edges: list[Edge], route: Route) -> str:
    old, new = way
    label = " or ".join(edge.label for edge in edges)
    paragraphs = "; ".join(dict.fromkeys(edge.cause.paragraph for edge in edges))
    x, y = route.label
    return (
        f'<g class="edge" id="e-{old.name}-{new.name}"><title>{old} to {new}: {escape(label)} ({escape(paragraphs)})'
        f'</title><path d="{_path(route.corners)}" marker-end="url(#head)"/>'
        f'<text x="{x}" y="{_y(y)}" text-anchor="{route.anchor}">{escape(label)}</text></g>'
    )


def _path(corners: tuple[Point, ...]) -> str:
    """Straight lines, horizontal or vertical, with rounded corners."""
    points = [(x, _y(y)) for x, y in corners]
    parts = [f"M{points[0][0]} {points[0][1]}"]
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        near, far = _towards(corner, before), _towards(corner, after)
        parts.append(f"L{near[0]} {near[1]}Q{corner[0]} {corner[1]} {far[0]} {far[1]}")
    return "".join([*parts, f"L{points[-1][0]} {points[-1][1]}"])


def _towards(corner: Point, other: Point) -> Point:
    dx, dy = other[0] - corner[0], other[1] - corner[1]
    return corner[0] + _CORNER * ((dx > 0) - (dx < 0)), corner[1] + _CORNER * ((dy > 0) - (dy < 0))


def _box(state: State, center: Point, name: str) -> str:
    x, y = center[0], _y(center[1])
    height = round(BOX_HEIGHT * STRETCH)
    leaves = [str(cause) for cause in ENDS if state in TRANSITIONS[cause]] if name != "END" else []
    title = f"{state}: to CLOSED by {', '.join(leaves)}" if leaves else str(state)
    spelling = "" if name == "END" else str(state)
    return (
        f'<g class="state" id="s-{name}" data-state="{spelling}" data-x="{x}" data-y="{y}">'
        f"<title>{escape(title)}</title>"
        f'<rect x="{x - BOX_WIDTH // 2}" y="{y - height // 2}" width="{BOX_WIDTH}" height="{height}" rx="9"/>'
        f'<text x="{x}" y="{y - 8}">{state}</text>'
        f'<text class="more" x="{x + BOX_WIDTH // 2 - 8}" y="{y + 22}"></text></g>'
    )
