"""The steps as a ladder for the terminal: a lane for each layer, an arrow for each step, from 80 columns on."""

import re
import textwrap
from collections.abc import Sequence
from dataclasses import dataclass, replace

from rich.text import Text

from netstack.journey.explain import explain
from netstack.journey.steps import CLIENT_LANE, LANES, TAP, Step

WIDE = 132
"""Columns from which there is room for whole names and for the states at both sides."""
_NARROW_NAMES = ("cli", "tap", "eth", "ip", "tcp", "buf", "evl", "htt", "asg", "app")
_WIDE_NAMES = ("client", "TAP", "Ether", "IP", "TCP", "buffer", "loop", "HTTP", "ASGI", "app")
_OPTIONS = re.compile(r" <[^>]*>")
_TIME = 10
_STATE = 13


@dataclass(frozen=True, slots=True)
class _Shape:
    """How wide what is."""

    width: int
    lane: int
    names: Sequence[str]
    states: bool
    time: int
    """Columns of the time; 0: it is left out."""

    @property
    def text_at(self) -> int:
        """The column where words begin."""
        return self.time + (2 * _STATE if self.states else 0) + self.lane * len(LANES) + 1


def ladder(steps: list[Step], width: int = 80, explained: bool = False, timed: bool = True) -> list[Text]:
    """The drawing, a line each, none wider than `width` (at least 80). Not `timed`: without what differs each time."""
    width = max(width, 80)
    wide = width >= WIDE
    shape = _Shape(width, 6 if wide else 4, _WIDE_NAMES if wide else _NARROW_NAMES, wide, 0)
    if timed and steps:
        shape = replace(shape, time=max(_TIME, len(f" {steps[-1].at / 1000:.1f} ")))
    lines = [_heading(shape)]
    phase = told = ""
    for step in steps:
        if step.phase != phase:
            phase = step.phase
            lines.append(Text(f"── {phase} ".ljust(width, "─"), "bold"))
        states = f"client {step.client.state}, server {step.server.state}"
        if not shape.states and states != told and not step.kind.startswith("state "):
            lines += _states(step, shape)
        told = states
        lines += _rows(step, shape, explained)
    return lines


def _heading(shape: _Shape) -> Text:
    line = "µs ".rjust(shape.time) if shape.time else ""
    if shape.states:
        line += "client is".ljust(_STATE)
    line += "".join(name.center(shape.lane) for name in shape.names)
    if shape.states:
        line += " " + "server is".ljust(_STATE - 1)
    return Text(line.rstrip(), "bold")


def _states(step: Step, shape: _Shape) -> list[Text]:
    """Where both ends stand, for who has no columns for it."""
    lines = []
    for end, state, style in (("client", step.client.state, "cyan"), ("server", step.server.state, "green")):
        lines.append((Text(" " * shape.time) + _bars(shape)).append(f" {end}: {state}", style))
    return lines


def _rows(step: Step, shape: _Shape, explained: bool) -> list[Text]:
    room = shape.width - shape.text_at
    words = [(line, "") for line in _wrapped(_what(step, shape), room)]
    if explained:
        sentence, source = explain(step)
        words += [(line, "italic dim") for line in _wrapped(f"{sentence} [{source}]" if source else sentence, room)]
    rows = []
    for n, (line, style) in enumerate(words):
        time = f"{step.at / 1000:{shape.time - 1}.1f} " if n == 0 and shape.time else " " * shape.time
        row = Text().append(time, "dim")
        if shape.states:
            row.append((step.client.state if n == 0 else "").ljust(_STATE), "cyan")
        row.append_text(_arrow(step, shape) if n == 0 else _bars(shape))
        if shape.states:
            row.append(" " + (step.server.state if n == 0 else "").ljust(_STATE - 1), "green")
        row.append(" ")
        row.append(line, ("red" if step.lost or step.kind in ("dropped", "timer", "loss") else style))
        row.rstrip()
        rows.append(row)
    return rows


def _what(step: Step, shape: _Shape) -> str:
    """The step's own words, with the size of the frame where one moves. In a narrow drawing without TCP's options."""
    text = step.text if shape.states else _OPTIONS.sub("", step.text)
    return f"{text} ({step.octets} octets)" if step.frame is not None and not step.lost else text


def _wrapped(words: str, room: int) -> list[str]:
    return textwrap.wrap(words, room, break_on_hyphens=False) or [""]


def _bars(shape: _Shape) -> Text:
    return Text().append("".join("│".center(shape.lane) for _ in LANES), "dim")


def _arrow(step: Step, shape: _Shape) -> Text:
    """All lanes, and on them the way of this step."""
    cells = list("".join("│".center(shape.lane) for _ in LANES))
    begin, end = (lane * shape.lane + (shape.lane - 1) // 2 for lane in (step.start, step.end))
    low, high = min(begin, end), max(begin, end)
    for at in range(low, high + 1):
        cells[at] = "─"
    cells[begin] = "●"
    if begin != end:
        cells[end] = "✗" if step.lost else "▶" if end > begin else "◀"
    text = Text("".join(cells))
    text.stylize("dim", 0, low)
    text.stylize("dim", high + 1)
    text.stylize("bold red" if step.lost else _COLORS[step.end if step.end not in (CLIENT_LANE, TAP) else step.start],
                 low, high + 1)  # fmt: skip
    return text


_COLORS = (
    "bold cyan", "bold blue", "bold blue", "bold magenta", "bold green", "bold yellow", "bold yellow", "bold red",
    "bold red", "bold white",
)  # fmt: skip
