"""`netstack replay`: a captured client plays against the stack, which is compared with the recorded server."""

import json
import random
from pathlib import Path

import click

from netstack.link.pcap_format import CaptureError
from netstack.replay.conversation import Conversation
from netstack.replay.extract import conversations
from netstack.replay.recorded import Recording, read_recording
from netstack.replay.report import as_json, headline, overall, text
from netstack.replay.verdict import Status, judge

SEED = 9293
"""The stack's random numbers: the same in every run, so that two runs of a capture print the same."""


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--connection", "number", type=click.IntRange(min=1), metavar="N", help="Only the Nth connection of the file."
)
@click.option("--states", "with_states", is_flag=True, help="Show the states passed, with times and causes.")
@click.option("--json", "as_data", is_flag=True, help="Everything, as one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="One line a connection, no timelines.")
@click.pass_context
def command(ctx: click.Context, file: Path, number: int | None, with_states: bool, as_data: bool, quiet: bool) -> int:
    """Feed the client's side of the TCP connections in a pcap or pcapng FILE to the stack, which plays the server.

    The client's segments arrive at their recorded times, in virtual time. The application on our side writes what the
    recorded server wrote, and closes when it did. Both timelines are shown side by side, the first difference marked.

    \b
    Exit status:
      0  the same octets were delivered both ways, over the same path of states
      1  they were not
      2  nothing in the file can be replayed; the reason is on one line
    With several connections: 1 if any differs, else 0 if any is the same.

    \b
    Examples:
      netstack replay capture.pcap
      netstack replay --states --connection 2 capture.pcapng
      netstack replay --json capture.pcap | jq .status
    """
    try:
        with file.open("rb") as opened:
            recording = read_recording(opened)
    except CaptureError as error:
        return _nothing(file, str(error), as_data)
    found = conversations(recording)
    if not found:
        return _nothing(file, _no_tcp(recording), as_data)
    chosen = [each for each in found if number in (None, each.number)]
    if not chosen:
        raise click.UsageError(f"{file} has {len(found)} connections, there is no connection {number}", ctx)
    return _replay(file, recording, chosen, with_states, as_data, quiet)


def _replay(
    file: Path, recording: Recording, chosen: list[Conversation], with_states: bool, as_data: bool, quiet: bool
) -> int:
    verdicts = []
    for conversation in chosen:
        verdict = judge(conversation, random.Random(SEED))
        verdicts.append(verdict)
        if not as_data:
            click.echo(headline(verdict) if quiet else "\n".join(text(verdict, with_states)) + "\n")
    status = overall(verdicts)
    if as_data:
        data = {"file": str(file), "status": int(status), "notes": recording.notes}
        click.echo(json.dumps({**data, "connections": [as_json(verdict) for verdict in verdicts]}, indent=1))
    else:
        for note in recording.notes:
            click.echo(f"note: {file}: {note}", err=True)
    return int(status)


def _nothing(file: Path, reason: str, as_data: bool) -> int:
    """The file as a whole cannot be replayed."""
    if as_data:
        status = int(Status.NOT_REPLAYABLE)
        click.echo(json.dumps({"file": str(file), "status": status, "reason": reason, "connections": []}, indent=1))
    else:
        click.echo(f"{file}: cannot be replayed: {reason}", err=True)
    return int(Status.NOT_REPLAYABLE)


def _no_tcp(recording: Recording) -> str:
    """Why there is no conversation in a file that can be read."""
    if recording.notes:
        return recording.notes[0]
    if not recording.frames:
        return "there are no packets in it"
    kind = "no TCP over IPv4" if recording.ip_frames else "no IPv4 at all"
    return f"{kind} among its {recording.frames} packets"
