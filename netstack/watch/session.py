"""The loop: samples, keys, events of the open connection; and one picture of it all whenever something changed."""

import contextlib
import io
import select
import sys
import time
from collections.abc import Iterator
from typing import TYPE_CHECKING

from rich.console import Console, Group
from rich.live import Live
from rich.text import Text

from netstack.watch import keys, table
from netstack.watch.ladder import Ladder
from netstack.watch.screen import View, screen
from netstack.watch.table import ORDERS

if TYPE_CHECKING:
    from netstack.control.client import Client

FASTEST, SLOWEST = 0.25, 10.0
DRAW_AT_MOST = 0.1
"""Seconds between two pictures while events pour in."""
_EVENTS_AT_ONCE = 500


class Session:
    """One user in front of one stack."""

    def __init__(self, client: "Client", interval: float, order: str, expression: str) -> None:
        self.client = client
        self.view = View(client.hello, interval=interval, order=order, filter=expression)
        self._stream: int | None = None
        self._running = True

    def sample(self) -> None:
        """Ask the stack how it is."""
        found = self.client.ask("connections")
        self.view.history.add(found["now"], found["rows"], self.client.ask("layers"))

    def run(self, console: Console) -> None:
        """Until q is pressed."""
        fd = sys.stdin.fileno()
        with keys.one_by_one(fd), Live(console=console, screen=True, auto_refresh=False) as live:
            next_sample = time.monotonic()
            while self._running:
                if not self.view.paused and time.monotonic() >= next_sample:
                    self.sample()
                    next_sample = time.monotonic() + self.view.interval  # from the answer on: a busy stack has its rest
                live.update(picture(self.view, console), refresh=True)
                wait = 1.0 if self.view.paused else max(next_sample - time.monotonic(), 0.0)
                self._wait(fd, wait)

    def _wait(self, fd: int, timeout: float) -> None:
        """For a key, an event of the open connection, or the time to look again."""
        following = self._stream is not None and not self.view.paused
        sources = [fd, self.client.fileno()] if following else [fd]
        ready, _, _ = select.select(sources, [], [], 0 if following and self.client.pending else timeout)
        if fd in ready:
            for key in keys.read(fd):
                self.press(key)
        elif following and (ready or self.client.pending):
            self._follow()

    def _follow(self) -> None:
        until = time.monotonic() + DRAW_AT_MOST
        for _ in range(_EVENTS_AT_ONCE):
            told = self.client.told(max(until - time.monotonic(), 0.001))
            if told is None:
                return
            if self.view.ladder is not None and told.get("stream") == self._stream:
                self.view.ladder.add(told)

    # -- keys

    def press(self, key: str) -> None:
        """What a key does depends on what is shown."""
        view = self.view
        if view.typing is not None:
            self._type(key)
        elif view.helping:
            view.helping = False
        elif key == "q":
            self._running = False
        elif key in ("p", " "):
            view.paused = not view.paused
        elif key in ("?", "h"):
            view.helping = True
        elif view.ladder is not None:
            if key in ("escape", "enter", "backspace"):
                self._close()
        elif key == "enter":
            self._open()
        else:
            self._arrange(key)

    def _arrange(self, key: str) -> None:
        view = self.view
        names = list(ORDERS)
        if key == "s":
            view.order = names[(names.index(view.order) + 1) % len(names)]
        elif key == "r":
            view.turned = not view.turned
        elif key in ("f", "/"):
            view.typing = view.filter
        elif key in ("+", "-"):
            view.interval = min(max(view.interval * (0.5 if key == "+" else 2.0), FASTEST), SLOWEST)
        else:
            self._move(key)

    def _move(self, key: str) -> None:
        rows = self.view.rows()
        steps = {"up": -1, "down": 1, "pageup": -10, "pagedown": 10, "home": -len(rows), "end": len(rows)}
        if key in steps and rows:
            to = min(max(self.view.index(rows) + steps[key], 0), len(rows) - 1)
            self.view.selected = rows[to]["who"]

    def _type(self, key: str) -> None:
        view = self.view
        assert view.typing is not None
        if key == "escape":
            view.typing, view.error = None, ""
        elif key == "enter":
            try:
                table.test_of(view.typing)
            except ValueError as error:
                view.error = str(error)
                return
            view.filter, view.typing, view.error = view.typing.strip(), None, ""
        elif key == "backspace":
            view.typing, view.error = view.typing[:-1], ""
        elif len(key) == 1:
            view.typing, view.error = view.typing + key, ""

    def _open(self) -> None:
        rows = self.view.rows()
        if not rows:
            return
        row = rows[self.view.index(rows)]
        self.view.selected = row["who"]
        if row["kind"] in ("connection", "half-open"):
            v = row["variables"]
            self.view.ladder = Ladder(row["who"], v["iss"], v["irs"])
            self._stream = self.client.subscribe("events", who=row["who"])

    def _close(self) -> None:
        self.view.ladder = None
        if self._stream is not None:
            with contextlib.suppress(ValueError):
                self.client.ask("stop", stream=self._stream)
            self._stream = None


def picture(view: View, console: Console) -> Group:
    """The screen for the terminal as large as it is now."""
    return Group(*_unwrapped(screen(view, console.width, console.height)))


def _unwrapped(lines: list[Text]) -> Iterator[Text]:
    for line in lines:
        line.no_wrap, line.overflow = True, "crop"
        yield line


def still(view: View, width: int, height: int, svg: str | None = None) -> str:
    """One picture as text, or as a drawing with the title `svg`."""
    console = Console(width=width, height=height, record=True, file=io.StringIO(), color_system="truecolor",
                      force_terminal=svg is not None, legacy_windows=False)  # fmt: skip
    console.print(Group(*_unwrapped(screen(view, width, height))))
    return console.export_svg(title=svg) if svg is not None else console.export_text()
