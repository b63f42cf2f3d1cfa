"""What was measured, as values, as a table (ratios first) and as JSON."""

import json
import os
import platform
from collections.abc import Iterable
from dataclasses import asdict, dataclass, field
from datetime import UTC, datetime
from pathlib import Path
from statistics import median
from typing import Any

FIGURES = "{:,.0f}"
"""How to show a figure of many digits; rows of small figures bring their own."""


@dataclass(frozen=True)
class Spread:
    """The median of some rounds, the lowest and the highest of them."""

    median: float
    low: float
    high: float

    @classmethod
    def of(cls, values: Iterable[float]) -> "Spread | None":
        """None when there are no values."""
        known = sorted(values)
        return cls(median(known), known[0], known[-1]) if known else None


@dataclass
class Row:
    """One thing measured with several contenders, round by round."""

    group: str
    name: str
    unit: str
    pairs: list[tuple[str, str]]
    """Of which contenders to show the ratio: first / second."""
    rounds: dict[str, list[float | None]] = field(default_factory=dict)
    """Contender -> a figure for each round, None where it failed; those of one round were taken next to each other."""
    show: str = FIGURES

    def add(self, contender: str, figure: float | None) -> None:
        """The next round's figure."""
        self.rounds.setdefault(contender, []).append(figure)

    def figures(self, contender: str) -> Spread | None:
        """Of one contender."""
        return Spread.of(figure for figure in self.rounds.get(contender, []) if figure is not None)

    def ratio(self, one: str, other: str) -> Spread | None:
        """`one` / `other`, taken within each round; None when one of them was not measured."""
        pairs = zip(self.rounds.get(one, []), self.rounds.get(other, []), strict=False)
        return Spread.of(first / second for first, second in pairs if first is not None and second)


@dataclass
class Report:
    """One run."""

    conditions: dict[str, Any]
    legend: dict[str, dict[str, str]] = field(default_factory=dict)
    """Group of rows -> contender -> what it is there."""
    rows: list[Row] = field(default_factory=list)
    failures: list[str] = field(default_factory=list)

    def explain(self, group: str, contender: str, text: str) -> None:
        """For the legend."""
        self.legend.setdefault(group, {})[contender] = text

    def table(self) -> str:
        """For people: the ratios, the figures, what the words mean, what went wrong."""
        rounds = self.conditions["rounds"]
        lines = [
            "netstack bench: {python} on {system}, {cpus} cores; servers on core {server_core}, clients on core "
            "{client_core}; load from {load}".format(**self.conditions),
            f"{rounds} rounds, interleaved: median (lowest to highest)" if rounds > 1 else "one round",
            "", "RATIOS", *self._ratios(), "", "FIGURES", *self._figures(), "", "WHO",
        ]  # fmt: skip
        for group, texts in self.legend.items():
            lines += [f"  {group + ',':<12} {name:<16} {text}" for name, text in texts.items()]
        if self.failures:
            lines += ["", "NOT MEASURED", *(f"  {line}" for line in self.failures)]
        return "\n".join(lines)

    def _ratios(self) -> list[str]:
        lines = []
        for row in self.rows:
            for one, other in row.pairs:
                ratio = row.ratio(one, other)
                if ratio is not None:
                    lines.append(_line(row, f"{one} / {other}", ratio, "{:.2f}", ""))
        return lines

    def _figures(self) -> list[str]:
        lines = []
        for row in self.rows:
            for contender in row.rounds:
                figures = row.figures(contender)
                if figures is not None:
                    lines.append(_line(row, contender, figures, row.show, row.unit))
        return lines

    def write(self, path: Path) -> None:
        """Keep it as JSON; the file belongs to whoever called sudo."""
        record = asdict(self)
        for row, plain in zip(self.rows, record["rows"], strict=True):
            del plain["show"], plain["pairs"]
            plain["figures"] = {name: _plain(row.figures(name)) for name in row.rounds}
            plain["ratios"] = {f"{one} / {other}": _plain(row.ratio(one, other)) for one, other in row.pairs}
        path.write_text(json.dumps(record, indent=1) + "\n")
        if "SUDO_UID" in os.environ:
            os.chown(path, int(os.environ["SUDO_UID"]), int(os.environ["SUDO_GID"]))


def conditions(load: str, rounds: int, server_core: int, client_core: int) -> dict[str, Any]:
    """What a reader of the figures has to know about the run."""
    return {
        "time": datetime.now(UTC).isoformat(timespec="seconds"),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "system": f"{platform.system()} {platform.release()} {platform.machine()}",
        "cpus": os.cpu_count(),
        "server_core": server_core,
        "client_core": client_core,
        "load": load,
        "rounds": rounds,
    }


def _plain(spread: Spread | None) -> dict[str, float] | None:
    return None if spread is None else asdict(spread)


def _line(row: Row, who: str, spread: Spread, show: str, unit: str) -> str:
    between = "" if spread.low == spread.high else f"({show} to {show})".format(spread.low, spread.high)
    text = f"  {row.group + ', ' + row.name:<38} {who:<30} {show.format(spread.median):>10} {between:<24} {unit}"
    return text.rstrip()
