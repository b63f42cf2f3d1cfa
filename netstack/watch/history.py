"""What was sampled: the latest rows, what changed since the sample before, and a short past of each connection."""

from collections import deque
from dataclasses import dataclass, field
from typing import Any

from netstack.units import SECOND, Micros

Row = dict[str, Any]
PAST = 240
"""Samples that are remembered of each connection."""


@dataclass(slots=True)
class Series:
    """One connection over time; rates are per second."""

    cwnd: deque[float] = field(default_factory=lambda: deque(maxlen=PAST))
    rtt: deque[float] = field(default_factory=lambda: deque(maxlen=PAST))
    received: deque[float] = field(default_factory=lambda: deque(maxlen=PAST))
    sent: deque[float] = field(default_factory=lambda: deque(maxlen=PAST))
    retransmitted: float = 0.0


class History:
    """Fed with samples. `rows` are the latest, `layers` too; `series[who]` is a connection's past."""

    def __init__(self) -> None:
        self.rows: list[Row] = []
        self.layers: dict[str, Any] = {}
        self.now: Micros = 0
        self.series: dict[str, Series] = {}
        self.totals: dict[str, deque[float]] = {}
        """nstat's counters that changed: name -> increments per second."""
        self.drop_rates: dict[str, float] = {}
        self._before: dict[str, Row] = {}
        self._counters: dict[str, int] = {}
        self._drops: dict[str, int] = {}

    def add(self, now: Micros, rows: list[Row], layers: dict[str, Any]) -> None:
        """A sample taken at `now`."""
        seconds = (now - self.now) / SECOND if self.now else 0.0
        self.now, self.rows, self.layers = now, rows, layers
        tcp = {row["who"]: row for row in rows if row["kind"] in ("connection", "half-open")}
        for who, row in tcp.items():
            self._follow(self.series.setdefault(who, Series()), row, self._before.get(who), seconds)
        for gone in self.series.keys() - {row["who"] for row in rows}:
            del self.series[gone]
        self._before = tcp
        self._count(seconds)

    def _follow(self, series: Series, row: Row, before: Row | None, seconds: float) -> None:
        info = row["info"]
        series.cwnd.append(info["snd_cwnd"])
        series.rtt.append(info["rtt"])
        if before is None or not seconds or row["age"] < before["age"]:  # new, or its four-tuple used again
            series.received.append(0)
            series.sent.append(0)
            series.retransmitted = 0.0
            return
        series.received.append((info["bytes_received"] - before["info"]["bytes_received"]) / seconds)
        series.sent.append((info["bytes_sent"] - before["info"]["bytes_sent"]) / seconds)
        series.retransmitted = (info["total_retrans"] - before["info"]["total_retrans"]) / seconds

    def _count(self, seconds: float) -> None:
        counters = {name: n for layer in self.layers.values() for name, n in layer.get("counters", {}).items()}
        drops = self.drops
        if seconds:
            for name, number in counters.items():
                rates = self.totals.setdefault(name, deque(maxlen=PAST))
                rates.append(max(number - self._counters.get(name, 0), 0) / seconds)
            self.drop_rates = {why: max(n - self._drops.get(why, 0), 0) / seconds for why, n in drops.items()}
        self._counters, self._drops = counters, drops

    @property
    def drops(self) -> dict[str, int]:
        """Reason -> how often, of all layers."""
        return {why: n for layer in self.layers.values() for why, n in layer["drops"].items()}

    def counter(self, name: str) -> int:
        """One of nstat's counters; 0 if it never counted."""
        return self._counters.get(name, 0)

    def rate(self, name: str) -> float:
        """How fast a counter grew between the last two samples, per second."""
        rates = self.totals.get(name)
        return rates[-1] if rates else 0.0

    def traffic(self, row: Row) -> tuple[float, float]:
        """(octets received, sent) a second by one connection."""
        series = self.series.get(row["who"])
        return (series.received[-1], series.sent[-1]) if series is not None and series.sent else (0.0, 0.0)
