"""`netstack lab`: transfers over simulated paths in virtual time, measured, drawn, and compared with theory."""

import csv
import json
from collections.abc import Callable
from concurrent.futures import Executor, Future, ProcessPoolExecutor
from dataclasses import asdict, replace
from typing import Any

import click

from netstack.config import TcpConfig
from netstack.lab import campaign, text
from netstack.lab.plot import NoMatplotlib, draw
from netstack.lab.report import report
from netstack.lab.result import Result
from netstack.lab.scenario import AQMS, Bursts, Flow, Link, Scenario
from netstack.lab.simulation import run
from netstack.service import quantities
from netstack.tcp.congestion import ALGORITHMS
from netstack.units import Micros

COALESCE: Micros = 200
"""What --offload waits for: about what network cards do."""
Parse = Callable[[str], Any]


def several(parse: Parse) -> Parse:
    """Values separated by commas."""
    return lambda words: tuple(parse(word) for word in words.split(","))


def algorithm(name: str) -> str:
    """One of the congestion controls there are."""
    if name not in ALGORITHMS:
        raise ValueError(f"{name!r} is no congestion control here; there are {', '.join(sorted(ALGORITHMS))}")
    return name


def aqm(name: str) -> str:
    """One of the queue disciplines there are."""
    if name not in AQMS:
        raise ValueError(f"{name!r} is no queue discipline; there are {', '.join(AQMS)}")
    return name


def bursts(words: str) -> Bursts:
    """`1%:8`: a mean loss and a mean length; or four chances: good to bad, bad to good, loss in bad, loss in good."""
    parts = words.split(":")
    if len(parts) == 2 and parts[1].replace(".", "", 1).isdecimal():
        return Bursts.of(quantities.probability(parts[0]), float(parts[1]))
    if len(parts) == 4:
        return Bursts(*map(quantities.probability, parts))
    raise ValueError(f"{words!r} is not LOSS:LENGTH such as 1%:8, nor TO_BAD:TO_GOOD:LOSS_BAD:LOSS_GOOD")


def quantity(name: str, parse: Parse, metavar: str, help: str, default: str | None = None) -> Callable[[Any], Any]:
    """An option read by `parse`; what it cannot read is wrong usage. Not given: None."""

    def convert(ctx: click.Context, param: click.Parameter, word: str | None) -> Any:
        try:
            return None if word is None else parse(word)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from error

    return click.option(name, callback=convert, metavar=metavar, help=help, default=default, show_default=True)


EXAMPLES = """\b
Examples:
  netstack lab --rate 10Mbit --rtt 40ms --flows 2 --cc cubic,reno --plot race.png
  netstack lab --rate 100Mbit --rtt 50ms --loss 1% --duration 60s
  netstack lab --aqm codel --ecn --burst-loss 0.1%:5 --json result.json
  netstack lab --duration 60s campaign --vary rtt=10ms,50ms --vary loss=0.1%,1% --seeds 5 -j 2
"""


@click.group("lab", epilog=EXAMPLES, invoke_without_command=True)
@quantity("--rate", quantities.rate, "RATE", "Of the bottleneck; 0: no limit.", "100Mbit")
@quantity("--rtt", quantities.duration, "TIME", "Round trip without queueing.  [default: 50ms]")
@quantity("--delay", quantities.duration, "TIME", "The same as one-way delay: half of --rtt.")
@quantity(
    "--jitter", quantities.duration, "TIME",
    "Up to this much more for each packet.  [default: with several flows, what a packet takes at the rate; else none]",
)  # fmt: skip
@quantity("--loss", quantities.probability, "SHARE", "Data lost, each packet for itself, as 1%.")
@click.option("--loss-every", type=click.IntRange(2), metavar="N", help="Lose exactly every N-th packet of data.")
@quantity(
    "--burst-loss", bursts, "LOSS:LENGTH", "Data lost in bursts, as 1%:5; or the four chances of Gilbert-Elliott."
)
@quantity("--ack-loss", quantities.probability, "SHARE", "ACKs lost.")
@quantity("--reorder", quantities.probability, "SHARE", "Packets held back by --reorder-by.")
@quantity("--reorder-by", quantities.duration, "TIME", "For how long.  [default: 5ms]")
@quantity("--duplicate", quantities.probability, "SHARE", "Packets sent twice.")
@quantity("--queue", text.queue, "SIZE", "What may wait: 1bdp, 100 (packets) or 64kB.", "1bdp")
@click.option("--aqm", type=click.Choice(AQMS), default="droptail", show_default=True, help="Queue discipline.")
@click.option("--ecn", is_flag=True, help="Negotiate ECN; CoDel and RED mark rather than drop.")
@click.option("--flows", type=click.IntRange(1), metavar="N", help="How many.  [default: as many as --cc names]")
@quantity("--cc", several(algorithm), "NAME,...", "Congestion control, of each flow in turn.", "cubic")
@quantity("--start", several(quantities.duration), "TIME,...", "When each flow starts, in turn.")
@quantity("--extra-rtt", several(quantities.duration), "TIME,...", "How much longer each flow's way is, in turn.")
@quantity("--duration", quantities.duration, "TIME", "The end.  [default: 10s, with --bytes an hour]")
@quantity("--bytes", text.octets, "SIZE", "What each flow transfers.  [default: as much as it can]")
@quantity("--warmup", quantities.duration, "TIME", "Measure throughput from here on.")
@click.option("--seed", type=int, default=1, show_default=True, help="Of all chance.")
@click.option("--mtu", type=click.IntRange(576, 65_535), default=1_500, show_default=True, metavar="OCTETS")
@click.option("--offload/--no-offload", help="Receivers join segments that come back to back (GRO).  [default: not]")
@quantity("--rmem", text.octets, "SIZE", "Largest receive buffer (tcp_rmem), as 6MB.  [default: ample]")
@quantity("--wmem", text.octets, "SIZE", "Largest send buffer (tcp_wmem).  [default: ample]")
@click.option("--plot", metavar="FILE", type=click.Path(dir_okay=False), help="Draw it: .png, .svg or .pdf.")
@click.option("--json", "json_file", metavar="FILE", type=click.Path(dir_okay=False), help="Write the figures.")
@click.option("--csv", "csv_file", metavar="FILE", type=click.Path(dir_okay=False), help="Write cwnd etc. over time.")
@click.pass_context
def command(
    ctx: click.Context, /, plot: str | None, json_file: str | None, csv_file: str | None, **options: Any
) -> None:
    """Transfers between stacks over a shared, imperfect path, in virtual time.

    Prints what each flow got, and how that compares with its response function. The same options and the same seed
    give the same output to the byte.
    """
    try:
        ctx.obj = wanted = scenario(**options)
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    if ctx.invoked_subcommand is not None:
        if plot or json_file or csv_file:
            raise click.UsageError("--plot, --json and --csv are for one experiment; a campaign has its own --csv")
        return
    result = run(wanted, record=bool(plot or csv_file))
    click.echo(report(wanted, result))
    try:
        if json_file:
            _write_json(wanted, result, json_file)
        if csv_file:
            _write_series(result, csv_file)
        if plot:
            draw(wanted, result, plot)
    except (OSError, ValueError, NoMatplotlib) as error:
        raise click.ClickException(str(error)) from None


def scenario(
    rate: int, rtt: int | None, delay: int | None, jitter: int | None, loss: float | None, loss_every: int | None,
    burst_loss: Bursts | None, ack_loss: float | None, reorder: float | None, reorder_by: int | None,
    duplicate: float | None, queue: dict[str, Any], aqm: str, ecn: bool, flows: int | None, cc: tuple[str, ...],
    start: tuple[int, ...] | None, extra_rtt: tuple[int, ...] | None, duration: int | None, bytes: int | None,
    warmup: int | None, seed: int, mtu: int, offload: bool, rmem: int | None, wmem: int | None,
) -> Scenario:  # fmt: skip
    """What the options describe. ValueError when they do not go together."""
    if rtt is not None and delay is not None:
        raise ValueError("--rtt or --delay, not both")
    if delay is not None:
        rtt = 2 * delay
    named = {"rtt": rtt, "jitter": jitter, "loss": loss, "loss_every": loss_every, "bursts": burst_loss,
             "ack_loss": ack_loss, "reorder": reorder, "reorder_by": reorder_by, "duplicate": duplicate}  # fmt: skip
    given: dict[str, Any] = {name: value for name, value in named.items() if value is not None}
    link = Link(rate=rate, aqm=aqm, ecn=ecn, **queue, **given)
    tcp = None
    if rmem is not None or wmem is not None:
        tcp = TcpConfig()
        tcp = replace(tcp, rmem=(*tcp.rmem[:2], rmem or tcp.rmem[2]), wmem=(*tcp.wmem[:2], wmem or tcp.wmem[2]))
    starts, extras = start or (0,), extra_rtt or (0,)
    count = flows or max(len(cc), len(starts), len(extras))
    each = tuple(Flow(cc[i % len(cc)], starts[i % len(starts)], extras[i % len(extras)]) for i in range(count))
    end = duration or (3_600_000_000 if bytes else 10_000_000)
    return Scenario(
        link, each, duration=end, size=bytes or 0, warmup=warmup or 0, seed=seed, mtu=mtu,
        coalesce=COALESCE if offload else 0, tcp=tcp,
    )  # fmt: skip


def _write_json(wanted: Scenario, result: Result, path: str) -> None:
    with open(path, "w", encoding="utf-8") as file:
        json.dump({"scenario": asdict(wanted), "result": result.plain()}, file, indent=1, sort_keys=True)
        file.write("\n")


def _write_series(result: Result, path: str) -> None:
    with open(path, "w", encoding="utf-8", newline="") as file:
        writer = csv.writer(file, lineterminator="\n")
        writer.writerow(["flow", *result.series[0].state.names])
        for i, series in enumerate(result.series):
            writer.writerows([i + 1, *row] for row in series.state.rows)


# -- campaigns

VALUES: dict[str, Parse] = {
    "rate": quantities.rate, "cc": algorithm, "aqm": aqm, "flows": int, "loss_every": int, "mtu": int,
    "queue": text.octets, "queue_packets": int, "queue_bdp": float, "size": text.octets,
    **dict.fromkeys(("loss", "ack_loss", "reorder", "duplicate"), quantities.probability),
    **dict.fromkeys(("rtt", "jitter", "reorder_by", "duration", "warmup", "codel_target", "codel_interval"),
                    quantities.duration),
}  # fmt: skip
"""How the values of an axis are read."""


def axes(ctx: click.Context, param: click.Parameter, words: tuple[str, ...]) -> dict[str, tuple[Any, ...]]:
    """`--vary NAME=VALUE,VALUE...`, any number of them."""
    found: dict[str, tuple[Any, ...]] = {}
    for word in words:
        name, _, values = word.partition("=")
        name = name.strip().replace("-", "_")
        if name not in VALUES:
            raise click.BadParameter(f"{name!r} cannot be varied; these can: {', '.join(sorted(VALUES))}", ctx, param)
        try:
            found[name] = several(VALUES[name])(values)
        except ValueError as error:
            raise click.BadParameter(f"{word}: {error}", ctx, param) from error
    return found


@command.command("campaign")
@click.option("--vary", multiple=True, callback=axes, metavar="NAME=VALUE,...",
              help=f"An axis of the grid; may be repeated. NAME: {', '.join(sorted(VALUES))}.")  # fmt: skip
@click.option("--seeds", type=click.IntRange(1), default=3, show_default=True, help="Runs of each place on the grid.")
@click.option("-j", "jobs", type=click.IntRange(1), default=1, show_default=True, help="Experiments at a time.")
@click.option("--csv", "csv_file", metavar="FILE", type=click.Path(dir_okay=False), help="Write every run.")
@click.pass_obj
def run_campaign(base: Scenario, vary: dict[str, tuple[Any, ...]], seeds: int, jobs: int, csv_file: str | None) -> None:
    """Run every combination of the values given by --vary, several times each, and print a table.

    The options before `campaign` describe what is not varied; --seed is the first seed.

    \b
    Example:
      netstack lab --rate 1Gbit --duration 60s campaign --vary loss=0.01%,0.1%,1% --vary cc=cubic,reno -j 4 --csv t.csv
    """
    try:
        points = campaign.grid(base, vary, range(base.seed, base.seed + seeds))
    except ValueError as error:
        raise click.UsageError(str(error)) from None
    with ProcessPoolExecutor(min(jobs, len(points))) if jobs > 1 else _Here() as executor:
        rows = list(campaign.campaign(points, executor))
    click.echo(campaign.table(rows))
    if csv_file:
        try:
            with open(csv_file, "w", encoding="utf-8", newline="") as file:
                campaign.write_csv(rows, file)
        except OSError as error:
            raise click.ClickException(f"{csv_file}: {error.strerror}") from None


class _Here(Executor):
    """Runs what is submitted at once, in this process."""

    def submit(self, call: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Future[Any]:
        future: Future[Any] = Future()
        future.set_result(call(*args, **kwargs))
        return future
