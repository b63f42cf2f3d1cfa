"""`netstack states`: the TCP state machine, from the table that the stack runs on."""

from pathlib import Path

import click

from netstack.states.mermaid import mermaid
from netstack.states.svg import svg
from netstack.states.text import text


@click.command("states", short_help="The TCP state machine, as text, Mermaid or SVG.")
@click.option("--mermaid", "as_mermaid", is_flag=True, help="A Mermaid diagram instead of tables.")
@click.option(
    "--svg", "file", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Write a drawing to FILE instead; - is standard output.",
)  # fmt: skip
def command(as_mermaid: bool, file: Path | None) -> None:
    """Show the TCP state machine: for each state, what takes a connection where, and the paragraph that says so.

    All of it comes from the one table on which the stack itself runs, in netstack/tcp/state.py.

    \b
    Examples:
      netstack states
      netstack states --mermaid
      netstack states --svg states.svg
    """
    if as_mermaid and file is not None:
        raise click.UsageError("--mermaid and --svg are two drawings: ask for one")
    if file is None:
        click.echo(mermaid() if as_mermaid else text())
    elif str(file) == "-":
        click.echo(svg(), nl=False)
    else:
        try:
            file.write_text(svg(), encoding="utf-8")
        except OSError as error:
            raise click.ClickException(f"cannot write {file}: {error.strerror}") from error
