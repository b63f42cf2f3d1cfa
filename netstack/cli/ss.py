"""`netstack ss`: the sockets of a running stack, as `ss` shows those of the kernel."""

import json

import click

from netstack.cli._looking import chooses_stack, looking
from netstack.inspect.socket_filter import EVERY, LISTENING, USUAL, row_filter
from netstack.inspect.socket_table import Show, summary, table

EXAMPLES = """\b
Examples:
  sudo netstack ss                                      connections
  sudo netstack ss -tan                                 and listeners, half-open ones, TIME-WAIT
  sudo netstack ss -tine state established              with all that TCP knows
  sudo netstack ss -tin 'sport = :8080 and dst 192.0.2.0/24'
  sudo netstack ss --json                               for programs
"""


@click.command(
    "ss", epilog=EXAMPLES, short_help="The connections of a running stack, as ss shows the kernel's.",
    context_settings={"ignore_unknown_options": False},
)  # fmt: skip
@click.option("-t", "--tcp", is_flag=True, help="TCP only.")
@click.option("-u", "--udp", is_flag=True, help="UDP only.")
@click.option("-l", "--listening", is_flag=True, help="Only those that listen.")
@click.option("-a", "--all", "everything", is_flag=True, help="All, whatever their state.")
@click.option("-n", "--numeric", is_flag=True, help="Accepted for habit's sake: nothing is ever looked up.")
@click.option("-i", "--info", is_flag=True, help="What TCP knows of each (tcp_info).")
@click.option("-e", "--extended", is_flag=True, help="Age, sequence numbers from the handshake on, socket options.")
@click.option("-m", "--memory", is_flag=True, help="Buffers: used and allowed.")
@click.option("-o", "--options", "timers", is_flag=True, help="The timer that runs.")
@click.option("-s", "--summary", "counts", is_flag=True, help="Only how many there are.")
@click.option("-H", "--no-header", is_flag=True, help="No line of column names.")
@click.option("--json", "as_json", is_flag=True, help="All that is known, as a JSON array.")
@chooses_stack
@click.argument("words", metavar="[FILTER]...", nargs=-1)
def command(
    tcp: bool, udp: bool, listening: bool, everything: bool, numeric: bool, info: bool, extended: bool, memory: bool,
    timers: bool, counts: bool, no_header: bool, as_json: bool, tap: str | None, path: str | None,
    words: tuple[str, ...],
) -> None:  # fmt: skip
    """Show the sockets of a running `netstack up`, in the layout of `ss`.

    FILTER is as for ss: `state established`, `exclude time-wait`, `sport = :80`, `dport gt 1024`, `dst 192.0.2.0/24`,
    joined by and, or, not and parentheses.

    What differs from ss: -e shows age and sequence numbers instead of uid and inode; a figure that this stack does not
    keep is left out; there are no process names, for all sockets are one process's.
    """
    states = EVERY if everything else LISTENING if listening else USUAL
    try:
        wanted = row_filter(words, states)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    both = tcp == udp
    with looking(tap, path) as client:
        rows = client.ask("connections")["rows"] if tcp or both or counts else []
        rows += client.ask("endpoints") if udp or both or counts else []
        layers = client.ask("layers") if counts else {}
    if counts:
        lines = summary(rows, layers)
    else:
        rows = [row for row in rows if wanted(row)]
        show = Show(info, extended, memory, timers, not no_header, both)
        lines = [json.dumps(rows, indent=1)] if as_json else table(rows, show)
    for line in lines:
        click.echo(line)
