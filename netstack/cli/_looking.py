"""What `ss`, `watch` and `tcpdump` share: how a running stack is chosen, and what is said when there is none."""

import contextlib
from collections.abc import Callable, Iterator
from typing import Any

import click

from netstack.control.client import Client, NoStackError, connect


def chooses_stack(command: Callable[..., Any]) -> Callable[..., Any]:
    """The options --tap and --socket."""
    which = click.option("--tap", metavar="NAME", help="The stack on this TAP.  [default: the one that runs]")
    where = click.option("--socket", "path", metavar="PATH", type=click.Path(), help="The stack behind this socket.")
    return which(where(command))


@contextlib.contextmanager
def looking(tap: str | None, path: str | None) -> Iterator[Client]:
    """The stack that was chosen. What goes wrong is one line: no stack, or it ended (1), several to choose from (2)."""
    try:
        client = connect(tap, path)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    except NoStackError as error:
        raise click.ClickException(str(error)) from error
    with client:
        try:
            yield client
        except NoStackError as error:
            raise click.ClickException(str(error)) from error
