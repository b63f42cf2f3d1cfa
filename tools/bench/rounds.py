"""Rounds: every contender in turn, then all again in reverse, so that what drifts, drifts for all of them alike."""

from collections.abc import Callable, Sequence

from bench.contenders import Contender
from bench.program import Failure, Program
from bench.report import Report, Row

Runner = tuple[Contender, Program]
Measure = Callable[[Contender], float]


def interleave(
    report: Report, row: Row, rounds: int, runners: Sequence[Runner], measure: Measure, warm_up: Measure
) -> None:
    """Fill `row`, and put it into the report. Who fails once takes no further part, and the report says why."""
    row.rounds = {contender.name: [] for contender, _ in runners}
    report.rows.append(row)
    for contender, _ in runners:
        report.explain(row.group, contender.name, contender.text)
    able = [runner for runner in runners if _attempt(report, row, runner, warm_up) is not None]
    for number in range(rounds):
        for runner in able if number % 2 == 0 else able[::-1]:
            figures = row.rounds[runner[0].name]
            if None not in figures:
                figures.append(_attempt(report, row, runner, measure))


def _attempt(report: Report, row: Row, runner: Runner, measure: Measure) -> float | None:
    contender, program = runner
    try:
        figure = measure(contender)
        program.check()
    except (Failure, OSError) as error:
        report.failures.append(f"{row.group}, {row.name}, {contender.name}: {error}")
        return None
    return figure
