"""The whole screen for a size: always exactly that many lines, none wider than the terminal."""

from dataclasses import dataclass, field
from typing import Any

from rich.console import Console
from rich.text import Text

from netstack.watch import figures, ladder, panels, table
from netstack.watch.history import History, Row
from netstack.watch.ladder import Ladder
from netstack.watch.table import ORDERS

KEYS = (
    ("↑ ↓", "choose a connection; PgUp, PgDn, Home, End too"),
    ("Enter", "open it: its segments as they come and go; Esc closes"),
    ("s", "sort by the next of: " + ", ".join(ORDERS)),
    ("r", "the other way round"),
    ("f or /", "filter, as for ss: dst 192.0.2.0/24 and state established; or part of an address"),
    ("p or Space", "pause: nothing is asked of the stack, the screen stays"),
    ("+ -", "look more or less often"),
    ("?", "this help"),
    ("q", "quit"),
)
SMALLEST = (40, 10)


@dataclass(slots=True)
class View:
    """What the user has chosen to see."""

    hello: dict[str, Any]
    history: History = field(default_factory=History)
    interval: float = 1.0
    order: str = "rate"
    turned: bool = False
    filter: str = ""
    typing: str | None = None
    """What has been typed of a filter; None: nobody is typing."""
    error: str = ""
    paused: bool = False
    helping: bool = False
    selected: str = ""
    """`who` of the chosen connection."""
    ladder: Ladder | None = None

    def rows(self) -> list[Row]:
        """The connections to show, in order."""
        return table.chosen(self.history, self.order, self.turned, table.test_of(self.filter))

    def index(self, rows: list[Row]) -> int:
        """Where the chosen one is; the first when it is gone."""
        return next((i for i, row in enumerate(rows) if row["who"] == self.selected), 0)


def screen(view: View, width: int, height: int) -> list[Text]:
    """`height` lines of `width` columns at most."""
    if width < SMALLEST[0] or height < SMALLEST[1]:
        lines = [Text(f"too small: {SMALLEST[0]} x {SMALLEST[1]} at least")]
    elif view.helping:
        lines = _help(width)
    elif view.ladder is not None:
        lines = _one(view, view.ladder, width, height)
    else:
        lines = _all(view, width, height)
    lines = lines[:height]
    lines += [Text()] * (height - len(lines))
    for line in lines:
        line.truncate(width)
    return lines


def _all(view: View, width: int, height: int) -> list[Text]:
    top = [panels.title(view.hello, view.history, view.paused, view.interval), *panels.traffic(view.history, width)]
    below = _below(view, width, height)
    rows = view.rows()
    room = height - len(top) - len(below) - 1
    middle = table.lines(view.history, rows, view.index(rows), width, room)
    if not rows:
        none = "no connections" if not view.filter else f"no connection passes {view.filter!r}"
        middle.append(Text(f" {none}", style="dim"))
    middle += [Text()] * (room - len(middle))
    return [*top, *middle[:room], *below, _footer(view, len(rows))]


def _below(view: View, width: int, height: int) -> list[Text]:
    """Layers at the left and drops at the right; without layers where there are few lines."""
    if height < 18:
        return []
    left = panels.layers(view.history)
    split = min(max(width // 2 + 6, 50), 64)
    right = panels.drops(view.history, len(left)) if width - split >= 20 else []
    lines = [_rule("layers", split - 1)]
    if right:
        lines[0] = Text.assemble(lines[0], " ", _rule("dropped, by reason", width - split))
    for i, line in enumerate(left):
        line.truncate(split - 1, overflow="ellipsis")
        line.pad_right(split - len(line))
        lines.append(Text.assemble(line, right[i] if i < len(right) else ""))
    return lines


def _rule(title: str, width: int) -> Text:
    return Text(f"── {title} ".ljust(max(width, 0), "─")[: max(width, 0)], style="dim")


def _footer(view: View, shown: int) -> Text:
    if view.typing is not None:
        return Text.assemble(("filter: ", "bold"), view.typing, "▏  ", (view.error, "red"))
    order = view.order + (" (turned)" if view.turned else "")
    text = Text.assemble(
        ("q", "bold"), " quit  ", ("?", "bold"), " help  ", ("Enter", "bold"), " open  ", ("s", "bold"),
        f" sort: {order}  ", ("p", "bold"), " pause  ", ("f", "bold"), " filter",
    )  # fmt: skip
    if view.filter:
        text.append(f": {view.filter} ({shown})", style="yellow")
    return text


def _help(width: int) -> list[Text]:
    lines = [Text("netstack watch: the keys", style="bold"), Text()]
    for key, meaning in KEYS:
        words = Text.assemble((f"  {key:<11}", "bold"), meaning)
        lines += _wrapped(words, width)
    notes = (
        "CWND counts segments; it is yellow in recovery, red after a timeout. RETR counts retransmissions, bold while "
        "there are more. Rates are of the last interval, the bars beside CWND and RTT one for each look. The figures "
        "are those of netstack ss. What came and went between two looks is in the rates of segments only."
    )
    return [*lines, Text(), *_wrapped(Text("  " + notes, style="dim"), width), Text(), Text("  any key: back")]


def _wrapped(text: Text, width: int) -> list[Text]:
    """In lines of `width`, the further ones indented as the second word of a key's line."""
    lines = list(text.wrap(Console(width=width), width - 13))
    return [Text(" " * 13) + line if i else line for i, line in enumerate(lines)]


def _one(view: View, chosen: Ladder, width: int, height: int) -> list[Text]:
    row = next((row for row in view.history.rows if row["who"] == chosen.who), None)
    top = ladder.heading(chosen, view.history, row, width)
    top.append(_rule("peer ▶ stack, stack ◀ peer; seconds since it was opened here", width))
    room = height - len(top) - 1
    lines = chosen.lines(width, room)
    if not lines:
        lines = [Text("  nothing has happened since; waiting", style="dim")]
    lines += [Text()] * (room - len(lines))
    footer = Text.assemble(("Esc", "bold"), " back  ", ("p", "bold"), " pause  ", ("q", "bold"), " quit")
    if view.paused:
        footer.append("  PAUSED", style="bold yellow")
    if chosen.lost:
        footer.append(f"  {figures.count(chosen.lost)} events missed", style="yellow")
    return [*top, *lines, footer]
