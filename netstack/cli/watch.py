"""`netstack watch`: a running stack on the whole terminal."""

import sys
import time
from pathlib import Path

import click
from rich.console import Console

from netstack.cli._looking import chooses_stack, looking
from netstack.watch import session, table

EXAMPLES = """\b
Examples:
  sudo netstack watch
  sudo netstack watch --sort rtt --interval 0.5
  sudo netstack watch dst 192.0.2.0/24 and state established
  sudo netstack watch --once                  one picture, as text, for a terminal that is none
  sudo netstack watch --svg watch.svg --size 120x40
"""


def size(ctx: click.Context, param: click.Parameter, text: str | None) -> tuple[int, int] | None:
    """120x40"""
    if text is None:
        return None
    width, _, height = text.partition("x")
    if not (width.isdecimal() and height.isdecimal() and 0 < int(width) < 1000 and 0 < int(height) < 1000):
        raise click.BadParameter(f"{text!r} is not a size such as 120x40", ctx, param)
    return int(width), int(height)


@click.command("watch", epilog=EXAMPLES, short_help="A running stack on the whole terminal.")
@click.option("-d", "--interval", type=click.FloatRange(session.FASTEST, session.SLOWEST), default=1.0,
              show_default=True, metavar="SECONDS", help="How often to look.")  # fmt: skip
@click.option("--sort", "order", type=click.Choice(list(table.ORDERS)), default="rate", show_default=True,
              metavar="ORDER", help=", ".join(table.ORDERS) + ".")  # fmt: skip
@click.option("--once", is_flag=True, help="A few looks, then one picture as text.")
@click.option("--svg", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE", help="The same as a drawing.")
@click.option("--looks", type=click.IntRange(1, 1_000), metavar="N", default=2, show_default=True,
              help="How many looks before such a picture.")  # fmt: skip
@click.option("--size", callback=size, metavar="WxH", help="Columns and lines of such a picture.  [default: 80x24]")
@chooses_stack
@click.argument("words", metavar="[FILTER]...", nargs=-1)
def command(
    interval: float, order: str, once: bool, svg: Path | None, looks: int, size: tuple[int, int] | None,
    tap: str | None, path: str | None, words: tuple[str, ...],
) -> None:  # fmt: skip
    """Watch a running `netstack up`: connections with cwnd and RTT over time, rates, retransmissions, drops by reason,
    buffers, layers. Press ? for the keys; Enter opens one connection and shows its segments as they come and go.

    FILTER is as for `netstack ss`, or part of an address. The stack is asked once an interval, and does nothing for it
    in between, so that watching it does not slow it down.
    """
    expression = " ".join(words)
    try:
        table.test_of(expression)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    still = once or svg is not None
    if not still and not (sys.stdin.isatty() and sys.stdout.isatty()):
        raise click.UsageError("this needs a terminal (--once prints one picture)")
    with looking(tap, path) as client:
        watching = session.Session(client, interval, order, expression)
        if not still:
            watching.run(Console())
            return
        watching.sample()
        for _ in range(looks - 1):
            time.sleep(interval)
            watching.sample()
    width, height = size or (80, 24)
    if svg is None:
        click.echo(session.still(watching.view, width, height), nl=False)
        return
    try:
        svg.write_text(session.still(watching.view, width, height, "netstack watch"), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {svg}: {error.strerror}") from error
