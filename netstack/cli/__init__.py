"""The command line: `netstack COMMAND`. A file in this folder is a command, and nothing else has to know about
it (unless its name begins with _: what several commands share).

netstack/cli/NAME.py holds a click command called `command`; it is imported only when it is asked for (or listed).
Exit status: 0 success, 1 failure, 2 wrong usage. A failure is one line on stderr: what is wrong, and what to do; a
command says so with click.ClickException (1) or click.UsageError (2).
"""

import importlib
import os
import pkgutil
import sys
from collections.abc import Sequence

import click

from netstack import __version__


class Commands(click.Group):
    """The commands found as modules of this package."""

    def list_commands(self, ctx: click.Context) -> list[str]:
        """Their names, in order."""
        names = (module.name for module in pkgutil.iter_modules(__path__))
        return sorted(name.replace("_", "-") for name in names if not name.startswith("_"))

    def get_command(self, ctx: click.Context, name: str) -> click.Command | None:
        """The command called `name`; None when no file is."""
        if name not in self.list_commands(ctx):
            return None
        module = importlib.import_module(f"{__name__}.{name.replace('-', '_')}")
        command: click.Command = module.command
        return command


@click.command(cls=Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="netstack %(version)s")
def commands() -> None:
    """A TCP/IP stack in plain Python that owns a TAP device and serves ASGI apps on it.

    \b
    Examples:
      sudo netstack up                       a TAP, the stack and a welcome page on http://192.0.2.2:8080/
      sudo netstack up app:app --netns lab   your own app, in a network namespace called lab
    """


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; what went wrong is one line on stderr. The exit status is returned."""
    try:
        words = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
        status = commands.main(args=words, prog_name="netstack", standalone_mode=False)
        sys.stdout.flush()
        return status if isinstance(status, int) else 0
    except click.ClickException as error:
        path = error.ctx.command_path if isinstance(error, click.UsageError) and error.ctx else "netstack"
        hint = f" (see {path} --help)" if isinstance(error, click.UsageError) else ""
        print(f"{path}: {error.format_message().rstrip('.')}{hint}", file=sys.stderr)
        return error.exit_code
    except (click.Abort, KeyboardInterrupt):
        return 130
    except BrokenPipeError:  # `netstack ... | head`: nobody reads on, which is no failure worth a traceback
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 1
