"""`netstack down`: removes what a killed `netstack up` could not."""

import click

from netstack.control import places
from netstack.host import HostError, record


@click.command("down", short_help="Remove what a killed run left behind.", epilog="\b\nExample:\n  sudo netstack down")
def command() -> None:
    """Remove the TAP devices and namespaces that killed runs left behind, and nothing else.

    A run that ends in any other way removes them itself. One that is still running is left alone.
    """
    for folder in places.folders():
        places.remove_stale(folder)
    try:
        removed = record.remove_leftovers()
    except HostError as error:
        raise click.ClickException(str(error)) from error
    except PermissionError as error:
        raise click.ClickException("not permitted (run it with sudo)") from error
    for line in removed:
        click.echo(line)
    for run in record.records():
        click.echo(f"process {run.pid} is still running: stop it with Ctrl-C, or: kill {run.pid}")
    if not removed:
        click.echo("nothing was left behind")
