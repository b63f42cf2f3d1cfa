"""Many experiments: a base scenario varied along axes, each combination with several seeds, by any Executor; a table.

    with ProcessPoolExecutor() as executor:
        rows = list(campaign(grid(Scenario(), {"rtt": [10_000, 50_000], "loss": [0.001, 0.01]}, range(5)), executor))

An executor only needs `submit`: those of concurrent.futures have it, and so do Dask's and Ray's.
"""

import csv
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import Executor
from dataclasses import dataclass, fields, replace
from itertools import product
from statistics import fmean
from typing import Any, TextIO

from netstack.lab import text
from netstack.lab.report import expectations, rules
from netstack.lab.result import Result
from netstack.lab.scenario import Flow, Link, Scenario
from netstack.lab.simulation import run

_LINK = frozenset(field.name for field in fields(Link))
_SCENARIO = frozenset(field.name for field in fields(Scenario)) - {"link", "flows", "tcp"}
AXES = sorted(_LINK | _SCENARIO | {"cc", "flows"})
"""What may be varied: fields of `Link` and `Scenario`, the congestion control of all flows, and their number."""

MEASURES = ("goodput", "utilisation", "fairness", "retransmitted", "timeouts", "mean_cwnd", "rtt_p50", "rtt_p95",
            "queueing_p50", "queueing_p95", "of_theory", "of_rules")  # fmt: skip
"""Columns of a row: bits per second, shares, numbers, segments, microseconds; the last are goodput over the response
function's, and over what its rules come to (`theory.by_rules`), empty where there is none."""


@dataclass(frozen=True, slots=True)
class Point:
    """One experiment of a campaign, and where it lies on the axes."""

    place: tuple[tuple[str, Any], ...]
    scenario: Scenario


@dataclass(frozen=True, slots=True)
class Row:
    """What one experiment measured."""

    place: tuple[tuple[str, Any], ...]
    seed: int
    measures: dict[str, float | None]


def vary(scenario: Scenario, axis: str, value: Any) -> Scenario:
    """`scenario` with one thing different. ValueError for an axis there is none of."""
    if axis == "cc":
        return replace(scenario, flows=tuple(replace(flow, cc=value) for flow in scenario.flows))
    if axis == "flows":
        flows = scenario.flows
        return replace(scenario, flows=tuple(flows[i % len(flows)] if flows else Flow() for i in range(value)))
    if axis in _LINK:
        return replace(scenario, link=replace(scenario.link, **{axis: value}))
    if axis in _SCENARIO:
        return replace(scenario, **{axis: value})
    raise ValueError(f"{axis!r} cannot be varied; these can: {', '.join(AXES)}")


def grid(base: Scenario, axes: Mapping[str, Sequence[Any]], seeds: Iterable[int]) -> list[Point]:
    """Every combination of the axes' values, each with every seed. The last axis moves fastest, seeds before that."""
    points = []
    seeds = list(seeds)
    for values in product(*axes.values()):
        place = tuple(zip(axes, values, strict=True))
        scenario = base
        for axis, value in place:
            scenario = vary(scenario, axis, value)
        points += [Point(place, replace(scenario, seed=seed)) for seed in seeds]
    return points


def campaign(points: Iterable[Point], executor: Executor) -> Iterator[Row]:
    """Run every point on `executor`; rows come in the order of the points."""
    futures = [executor.submit(measure, point) for point in points]
    for future in futures:
        yield future.result()


def measure(point: Point) -> Row:
    """Run one point."""
    result = run(point.scenario)
    return Row(point.place, point.scenario.seed, measures(point.scenario, result))


def measures(scenario: Scenario, result: Result) -> dict[str, float | None]:
    """One figure for each of `MEASURES`; of several flows, the mean (timeouts: the sum)."""
    flows = result.flows
    segments = sum(flow.segments for flow in flows)
    return {
        "goodput": result.goodput,
        "utilisation": result.utilisation,
        "fairness": result.fairness,
        "retransmitted": sum(flow.retransmits for flow in flows) / segments if segments else 0.0,
        "timeouts": sum(flow.timeouts for flow in flows),
        "mean_cwnd": fmean(flow.mean_cwnd for flow in flows),
        "rtt_p50": fmean(flow.rtt.get("p50", 0) for flow in flows),
        "rtt_p95": fmean(flow.rtt.get("p95", 0) for flow in flows),
        "queueing_p50": fmean(flow.queueing.get("p50", 0) for flow in flows),
        "queueing_p95": fmean(flow.queueing.get("p95", 0) for flow in flows),
        "of_theory": _of(expectations(scenario, result), result),
        "of_rules": _of(rules(scenario, result), result),
    }


def _of(expected: Sequence[float | None], result: Result) -> float | None:
    known = [each for each in expected if each is not None]
    return result.goodput / sum(known) if len(known) == len(expected) else None


def write_csv(rows: Sequence[Row], file: TextIO) -> None:
    """A line for each row: the axes, the seed, the measures in full precision."""
    writer = csv.writer(file, lineterminator="\n")
    writer.writerow([*(axis for axis, _ in rows[0].place), "seed", *MEASURES] if rows else MEASURES)
    for row in rows:
        writer.writerow([*(value for _, value in row.place), row.seed, *(row.measures[name] for name in MEASURES)])


def table(rows: Sequence[Row]) -> str:
    """A line for each place on the axes, its measures averaged over the seeds; goodput with its spread."""
    places: dict[tuple[tuple[str, Any], ...], list[Row]] = {}
    for row in rows:
        places.setdefault(row.place, []).append(row)
    if not places:
        return "nothing was run"
    first = next(iter(places))
    head = [*(axis for axis, _ in first), "runs", "goodput", "(least - most)", "utilisation", "fairness",
            "retransmitted", "RTO", "cwnd", "RTT p50", "p95", "of theory", "of rules"]  # fmt: skip
    lines = [head, *(_line(place, some) for place, some in places.items())]
    return "\n".join(text.columns(lines))


def _line(place: tuple[tuple[str, Any], ...], rows: list[Row]) -> list[str]:
    def mean(name: str) -> float:
        return fmean(row.measures[name] or 0.0 for row in rows)

    goodputs = [row.measures["goodput"] or 0.0 for row in rows]
    known = all(row.measures["of_theory"] is not None for row in rows)
    return [
        *(said(axis, value) for axis, value in place), str(len(rows)), text.rate(mean("goodput")),
        f"({text.rate(min(goodputs))} - {text.rate(max(goodputs))})", text.percent(mean("utilisation")),
        f"{mean('fairness'):.4f}", text.percent(mean("retransmitted")), f"{mean('timeouts'):.3g}",
        f"{mean('mean_cwnd'):.1f}", text.time(round(mean("rtt_p50"))), text.time(round(mean("rtt_p95"))),
        *(f"{mean(name):.2f}" if known else "-" for name in ("of_theory", "of_rules")),
    ]  # fmt: skip


def said(axis: str, value: Any) -> str:
    """A value of an axis as people write it."""
    if axis == "rate":
        return text.rate(value)
    if axis in ("loss", "ack_loss", "duplicate", "reorder"):
        return text.percent(value)
    if axis in ("rtt", "jitter", "reorder_by", "duration", "warmup", "coalesce", "codel_target", "codel_interval"):
        return text.time(value)
    return str(value)
