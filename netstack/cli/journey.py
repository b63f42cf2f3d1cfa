"""`netstack journey`: one HTTP request, from the first SYN to TIME-WAIT, layer by layer."""

import logging
import random
import shutil
import sys
from pathlib import Path
from typing import Any

import click
from rich.console import Console

from asgi import LifespanError
from netstack.cli.up import find_app, one_line, quantity
from netstack.host import HostError
from netstack.journey.drawing import svg
from netstack.journey.html import page
from netstack.journey.ladder import ladder
from netstack.journey.record import Recorder
from netstack.journey.request import make_request
from netstack.journey.steps import Step, folded
from netstack.journey.teller import steps
from netstack.journey.travel import CURL, KERNEL, STACK, NoAnswer, Trip, travel
from netstack.link.fault import Faults
from netstack.service import quantities

EXAMPLES = """\b
Examples:
  netstack journey                                     GET /plaintext of the welcome application
  netstack journey --explain /echo -d 'hello, stack'   a sentence for each step
  netstack journey --html journey.html                 every header octet by octet, in a browser
  netstack journey --app main:app /items/1?q=2         your own application
  netstack journey --loss 20% --seed 7                 what a loss sets in motion
  sudo netstack journey --tap                          curl and this kernel's TCP at the other end
"""


@click.command("journey", epilog=EXAMPLES, short_help="One request, layer by layer, from the first SYN to TIME-WAIT.")
@click.argument("url", metavar="[URL]", default="/plaintext")
@click.option("-X", "--method", metavar="METHOD", help="Instead of GET, or POST with --data.")
@click.option("-d", "--data", metavar="TEXT", help="The request's content.")
@click.option("-H", "--header", "fields", metavar="FIELD", multiple=True, help="'Name: value'; as often as wanted.")
@click.option("--app", "application", metavar="MODULE:ATTR", help="The ASGI application.  [default: a built-in one]")
@click.option("--factory", is_flag=True, help="ATTR is a function that makes the application.")
@click.option("--app-dir", type=click.Path(exists=True, file_okay=False), default=".", help="Where MODULE is.")
@click.option("--closes", type=click.Choice(["client", "server"]), default="client", show_default=True,
              help="Who closes first, and so goes through TIME-WAIT.")  # fmt: skip
@click.option("--tap", is_flag=True, help="Real traffic: a TAP in a network namespace made for it (root).")
@click.option("--client", type=click.Choice([CURL, KERNEL]), default=CURL, show_default=True,
              help="With --tap: who asks, curl or a socket of this kernel.")  # fmt: skip
@click.option("--offload", is_flag=True, help="Checksums and segmentation are the device's.")
@quantity("--loss", quantities.probability, "SHARE", "Frames lost in each direction, as 2% or 0.02.")
@quantity("--delay", quantities.duration, "TIME", "One-way delay, as 20ms.")
@click.option("--seed", type=int, help="Repeats the same ports, sequence numbers and losses.")
@click.option("--explain", is_flag=True, help="Say why each step is taken, and which paragraph says so.")
@click.option("--times/--no-times", default=True, help="Without, the same request and --seed give the same text.")
@click.option("--html", "html_file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write a page instead.")  # fmt: skip
@click.option("--svg", "svg_file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
              help="Write a drawing instead.")  # fmt: skip
@click.option("--width", type=click.IntRange(80), metavar="COLUMNS", help="Of the text.  [default: the terminal's]")
@click.option("--limit", type=click.IntRange(10), default=400, show_default=True, metavar="STEPS",
              help="Leave out the middle of longer journeys.")  # fmt: skip
def command(url: str, **options: Any) -> None:
    """Send one HTTP request through the stack and show each step that it takes: where, when, with which octets, and
    what both ends' states are by then.

    URL is http://host:port/path?query or only the path. Without --tap nothing leaves this process: two stacks on a
    link in memory, real event loop, real server; times are measured, and contain the cost of noting them.
    """
    if options["loss"] == 1:
        raise click.BadParameter("nothing would ever arrive", param_hint="--loss")
    trip = make_trip(url, options)
    logging.basicConfig(level="WARNING", format="%(levelname)s: %(message)s", stream=sys.stderr)
    recorder = Recorder()
    failure = ""
    try:
        travel(trip, find_app(options), recorder)
    except NoAnswer as error:
        failure = one_line(error)
    except (HostError, LifespanError) as error:
        raise click.ClickException(one_line(error)) from error
    found = folded(steps(recorder.moments), options["limit"])
    title = f"{trip.request.method} {trip.request.url}"
    if options["html_file"]:
        write(options["html_file"], page(found, title, about(trip, found)))
    if options["svg_file"]:
        write(options["svg_file"], svg(found, title))
    if not options["html_file"] and not options["svg_file"]:
        show(found, options["width"], options["explain"], options["times"])
    if failure:
        raise click.ClickException(failure)


def make_trip(url: str, options: dict[str, Any]) -> Trip:
    """The options as a trip; click.UsageError for a URL or field that is none."""
    try:
        request = make_request(
            url, options["method"], options["data"], options["fields"], server_closes=options["closes"] == "server"
        )
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    faults = Faults(loss=options["loss"], delay=options["delay"])
    seed = options["seed"]
    if seed is None and faults != Faults():
        seed = random.randrange(1_000_000)
    client = options["client"] if options["tap"] else STACK
    return Trip(request, client, faults, seed, options["offload"])


def about(trip: Trip, found: list[Step]) -> str:
    """A line that says what was done, and how long it took."""
    where = {STACK: "two stacks on a link in memory", CURL: "curl over a TAP", KERNEL: "this kernel's TCP over a TAP"}
    path = []
    if trip.faults.loss:
        path.append(f"{trip.faults.loss:.0%} loss")
    if trip.faults.delay:
        path.append(f"{trip.faults.delay / 1000:g} ms delay")
    if path:
        path.append(f"--seed {trip.seed}")
    took = f"{found[-1].at / 1000:,.0f} µs" if found else "nothing happened"
    return ", ".join([where[trip.client], *path, f"{len(found)} steps", took])


def show(found: list[Step], width: int | None, explained: bool, timed: bool) -> None:
    """The ladder on standard output, in color if that is a terminal."""
    console = Console(width=width or max(shutil.get_terminal_size().columns, 80), highlight=False, soft_wrap=True)
    for line in ladder(found, console.width, explained, timed):
        console.print(line)


def write(path: Path, text: str) -> None:
    """A file, and a word about it."""
    try:
        path.write_text(text, encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {path}: {error.strerror}") from error
    click.echo(f"wrote {path}")
