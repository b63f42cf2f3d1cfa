"""How a script ended, and what is told about it."""

from dataclasses import dataclass, field

from netstack.drill.nodes import Packet
from netstack.drill.notation import seconds
from netstack.units import Micros

PASSED, FAILED, SKIPPED = "passed", "failed", "skipped"


class Unsupported(Exception):
    """The host lacks what the script asks for: the script is skipped, with this reason."""


class Mismatch(Exception):
    """What happened is not what the script says."""

    def __init__(
        self, line: int, what: str, expected: str = "", actual: str = "", detail: list[str] | None = None
    ) -> None:
        super().__init__(what)
        self.line = line
        self.what = what
        self.expected = expected
        self.actual = actual
        self.detail = detail or []


@dataclass(slots=True)
class Entry:
    """One line of the time line: what happened when. `line` 0: not of the script."""

    at: Micros
    text: str
    line: int = 0
    side: str = "local"
    """local (system calls and the like), in, out, or other (packets that no script line asked for)."""
    packet: Packet | None = None
    state: str = ""
    """The local end afterwards: state and variables, where the host tells them."""

    def __str__(self) -> str:
        mark = " (not in the script)" if self.side == "other" else ""
        return f"{seconds(self.at)} {self.text}{mark}"


@dataclass(slots=True)
class Outcome:
    """The verdict on one script."""

    name: str
    status: str = PASSED
    line: int = 0
    message: str = ""
    """The reason, in one line."""
    detail: list[str] = field(default_factory=list)
    """Expected, actual and what differs, where there is such a thing."""
    timeline: list[Entry] = field(default_factory=list)
    ignored: list[str] = field(default_factory=list)
    """Settings of the init command that were not understood."""
    late: bool = False
    """What failed is a time: in real time that can be the machine's fault."""
    unscripted: int = 0
    """Outbound packets that no line of the script asked for."""
    elapsed: float = 0.0
    """Seconds of real time."""

    @property
    def place(self) -> str:
        """`file:line`"""
        return f"{self.name}:{self.line}" if self.line else self.name

    def report(self, timeline: int = 40) -> str:
        """All there is to say, `timeline` lines of the time line at most."""
        lines = [f"{self.place}: {self.message}", *(f"  {line}" for line in self.detail)]
        if self.timeline and timeline:
            shown = sorted(self.timeline, key=lambda entry: entry.at)[-timeline:]
            lines.append("  time line so far:" if len(shown) == len(self.timeline) else f"  last {len(shown)} events:")
            lines += [f"    {entry}" for entry in shown]
        return "\n".join(lines)
