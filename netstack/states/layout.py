"""Where everything stands in the drawing: by hand, after RFC 9293 Figure 5. Pixels; y grows downwards.

As there, CLOSED is drawn twice: at the top, where connections begin, and at the bottom (`END`), where they end.
"""

from itertools import pairwise
from typing import NamedTuple

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

Point = tuple[int, int]

WIDTH = 1000
CHART_HEIGHT = 900
BOX_WIDTH, BOX_HEIGHT = 152, 48
LEGEND_LINE = 22
LINE = 16
"""From a line of text beside an edge to the next."""

_LEFT, _MIDDLE, _RIGHT = 150, 500, 850

CENTERS: dict[State, Point] = {
    CLOSED: (_MIDDLE, 50),
    LISTEN: (_MIDDLE, 160),
    SYN_RECEIVED: (_LEFT, 280),
    SYN_SENT: (_RIGHT, 280),
    ESTABLISHED: (_MIDDLE, 420),
    FIN_WAIT_1: (_LEFT, 570),
    CLOSE_WAIT: (_RIGHT, 570),
    FIN_WAIT_2: (_LEFT, 690),
    CLOSING: (_MIDDLE, 690),
    LAST_ACK: (_RIGHT, 690),
    TIME_WAIT: (_MIDDLE, 810),
}
END: Point = (_RIGHT, 810)


class Route(NamedTuple):
    """The way of an edge: corners from the border of one box to that of the other, and where its label is.

    `anchor` says which end of the label is at `label` (start, middle or end); y is the baseline of the text.
    """

    corners: tuple[Point, ...]
    label: Point
    anchor: str

    @property
    def second_line(self) -> int:
        """The baseline of a further line of text at the label: on its side that is away from the edge."""
        x, y = self.label
        for (x1, y1), (x2, y2) in pairwise(self.corners):
            if y1 == y2 and min(x1, x2) < x < max(x1, x2) and y - 2 * LINE < y1 < y:
                return y + LINE
        return y - LINE


ROUTES: dict[tuple[State, State], Route] = {
    # opening
    (CLOSED, LISTEN): Route(((470, 74), (470, 136)), (460, 110), "end"),
    (LISTEN, CLOSED): Route(((530, 136), (530, 74)), (540, 110), "start"),
    (CLOSED, SYN_SENT): Route(((576, 40), (890, 40), (890, 256)), (733, 30), "middle"),
    (SYN_SENT, CLOSED): Route(((810, 256), (810, 60), (576, 60)), (800, 160), "end"),
    (LISTEN, SYN_RECEIVED): Route(((424, 160), (150, 160), (150, 256)), (287, 150), "middle"),
    (SYN_SENT, SYN_RECEIVED): Route(((774, 280), (226, 280)), (500, 270), "middle"),
    (SYN_RECEIVED, ESTABLISHED): Route(((200, 304), (200, 420), (424, 420)), (312, 410), "middle"),
    (SYN_SENT, ESTABLISHED): Route(((850, 304), (850, 408), (576, 408)), (713, 398), "middle"),
    # closing
    (SYN_RECEIVED, FIN_WAIT_1): Route(((100, 304), (100, 546)), (110, 526), "start"),
    (SYN_RECEIVED, CLOSE_WAIT): Route(
        ((150, 304), (150, 490), (640, 490), (640, 570), (774, 570)), (312, 480), "middle"
    ),
    (ESTABLISHED, FIN_WAIT_1): Route(((500, 444), (500, 558), (226, 558)), (363, 548), "middle"),
    (ESTABLISHED, CLOSE_WAIT): Route(((576, 432), (850, 432), (850, 546)), (713, 452), "middle"),
    (FIN_WAIT_1, FIN_WAIT_2): Route(((120, 594), (120, 666)), (130, 634), "start"),
    (FIN_WAIT_1, CLOSING): Route(((226, 582), (500, 582), (500, 666)), (363, 602), "middle"),
    (CLOSE_WAIT, LAST_ACK): Route(((850, 594), (850, 666)), (840, 634), "end"),
    (FIN_WAIT_2, TIME_WAIT): Route(((150, 714), (150, 810), (424, 810)), (287, 800), "middle"),
    (CLOSING, TIME_WAIT): Route(((500, 714), (500, 786)), (510, 754), "start"),
    (LAST_ACK, CLOSED): Route(((850, 714), (850, 786)), (840, 754), "end"),
    (TIME_WAIT, CLOSED): Route(((576, 810), (774, 810)), (675, 800), "middle"),
    # once more
    (TIME_WAIT, SYN_RECEIVED): Route(
        ((500, 834), (500, 874), (36, 874), (36, 280), (74, 280)), (268, 864), "middle"
    ),
}  # fmt: skip
"""One for every edge that is drawn (`edges.DRAWN`, those with the same ends as one)."""
