"""`netstack drill`: scripts in the packetdrill language against the stack in virtual time, or against Linux."""

import time
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from concurrent.futures.process import BrokenProcessPool
from pathlib import Path
from xml.etree import ElementTree

import click

from netstack.drill.explain import ladder
from netstack.drill.outcome import FAILED, PASSED, SKIPPED, Outcome
from netstack.drill.preprocess import definitions
from netstack.drill.runner import Wishes, run_text

LABELS = {PASSED: "ok", FAILED: "FAIL", SKIPPED: "skip"}


@click.command("drill")
@click.argument("scripts", nargs=-1, required=True, type=click.Path(path_type=Path))
@click.option(
    "--against",
    type=click.Choice(["stack", "kernel"]),
    default="stack",
    show_default=True,
    help="Who is tested: netstack in virtual time, or Linux over a TUN in a namespace of its own (root).",
)
@click.option(
    "--relaxed",
    is_flag=True,
    help="Do not compare option order, nops, PSH, outbound windows and the layout of SYN options.",
)
@click.option("-j", "jobs", metavar="N", type=click.IntRange(1), default=1, help="Run N scripts at a time.")
@click.option("--junit", metavar="FILE", type=click.Path(path_type=Path), help="Also write the verdicts as JUnit XML.")
@click.option("--tolerance", metavar="USECS", type=click.IntRange(0), help="Override the scripts' --tolerance_usecs.")
@click.option("-D", "--define", "defines", metavar="SYMBOL=VALUE", multiple=True, help="Define a symbol, as --define.")
@click.option("--explain", is_flag=True, help="Draw each exchange as a ladder with the state of both ends.")
@click.option("-v", "--verbose", is_flag=True, help="Tell settings that were ignored and packets no line asked for.")
def command(
    scripts: tuple[Path, ...], against: str, relaxed: bool, jobs: int, junit: Path | None, tolerance: int | None,
    defines: tuple[str, ...], explain: bool, verbose: bool,
) -> int:  # fmt: skip
    """Run packetdrill SCRIPTS (files, or directories with *.pkt in them).

    A line for each script; the last line counts. Exit status 0: nothing failed, 1: something did, 2: wrong usage.

    \b
    Examples:
      netstack drill tests/drill                     every script of the project, against the stack
      netstack drill --explain tests/drill/handshake/passive_open.pkt
      sudo netstack drill --against kernel tests/drill/loss
    """
    wishes = Wishes(relaxed, explain, tolerance, tuple(definitions([("define", one) for one in defines]).items()))
    outcomes = []
    for outcome in _run_all(_find(scripts), against, wishes, jobs):
        outcomes.append(outcome)
        click.echo(_told(outcome, explain, verbose))
    if junit is not None:
        _write_junit(junit, outcomes)
    counts = {status: sum(outcome.status == status for outcome in outcomes) for status in LABELS}
    skipped = f", {counts[SKIPPED]} skipped" if counts[SKIPPED] else ""
    click.echo(f"{counts[PASSED]} passed, {counts[FAILED]} failed{skipped}")
    return 1 if counts[FAILED] else 0


def _find(paths: tuple[Path, ...]) -> list[Path]:
    found: list[Path] = []
    for path in paths:
        if path.is_dir():
            found += sorted(path.rglob("*.pkt"))
        elif path.is_file():
            found.append(path)
        else:
            raise click.UsageError(f"{path}: no such file or directory")
    if not found:
        raise click.UsageError(f"no *.pkt in {', '.join(map(str, paths))}")
    return found


def _run_all(paths: list[Path], against: str, wishes: Wishes, jobs: int) -> Iterator[Outcome]:
    if jobs == 1 or len(paths) == 1:
        yield from (run_file(path, against, wishes) for path in paths)
        return
    with ProcessPoolExecutor(min(jobs, len(paths))) as pool:
        running = [(path, pool.submit(run_file, path, against, wishes)) for path in paths]
        for path, future in running:
            try:
                yield future.result()
            except BrokenProcessPool:
                yield Outcome(str(path), FAILED, 0, "not run to its end: a process that runs scripts died")


def run_file(path: Path, against: str, wishes: Wishes) -> Outcome:
    """The verdict on one script."""

    def read(name: str) -> str | None:
        file = path.parent / name
        return file.read_text(errors="replace") if file.is_file() else None

    begun = time.perf_counter()
    try:
        text = path.read_text(encoding="utf-8", errors="replace")
    except OSError as error:
        return Outcome(str(path), FAILED, 0, f"cannot be read: {error.strerror}")
    if against == "kernel":
        from netstack.drill.kernel.child import run_on_kernel

        outcome = run_on_kernel(text, str(path), wishes, read)
    else:
        from netstack.drill.virtual.host import StackHost

        outcome = run_text(text, str(path), StackHost, wishes, read)
    outcome.elapsed = time.perf_counter() - begun
    return outcome


def _told(outcome: Outcome, explain: bool, verbose: bool) -> str:
    label = f"{LABELS[outcome.status]:<4} "
    if outcome.status == FAILED:
        lines = [label + outcome.report(0 if explain else 40)]
    elif outcome.status == SKIPPED:
        lines = [f"{label}{outcome.place}: {outcome.message}"]
    else:
        lines = [label + outcome.name]
    if verbose:
        lines += [f"     ignored: {setting}" for setting in outcome.ignored]
        if outcome.unscripted:
            lines.append(f"     outbound packets that no line asked for: {outcome.unscripted}")
        lines.append(f"     {outcome.elapsed:.3f} s")
    if explain:
        lines.append(ladder(outcome.timeline))
    return "\n".join(lines)


def _printable(text: str) -> str:
    """XML 1.0 has no way to write most control characters, and a script may hold them."""
    return "".join(letter if letter.isprintable() or letter in "\n\t" else "?" for letter in text)


def _write_junit(path: Path, outcomes: list[Outcome]) -> None:
    suite = ElementTree.Element("testsuite", name="netstack drill", tests=str(len(outcomes)))
    suite.set("failures", str(sum(outcome.status == FAILED for outcome in outcomes)))
    suite.set("skipped", str(sum(outcome.status == SKIPPED for outcome in outcomes)))
    suite.set("errors", "0")
    suite.set("time", f"{sum(outcome.elapsed for outcome in outcomes):.3f}")
    for outcome in outcomes:
        folder, _, name = outcome.name.rpartition("/")
        case = ElementTree.SubElement(suite, "testcase", name=name, classname=folder, time=f"{outcome.elapsed:.3f}")
        if outcome.status == FAILED:
            failure = ElementTree.SubElement(case, "failure", message=_printable(outcome.message))
            failure.text = _printable(outcome.report())
        elif outcome.status == SKIPPED:
            ElementTree.SubElement(case, "skipped", message=_printable(outcome.message))
    try:
        ElementTree.ElementTree(suite).write(path, encoding="utf-8", xml_declaration=True)
    except OSError as error:
        raise click.ClickException(f"{path}: {error.strerror}") from None
