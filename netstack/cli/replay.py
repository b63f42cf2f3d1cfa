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
from netstack.replay.verdict import Status, Verdict, judge
from netstack.states.mermaid import mermaid
from netstack.states.svg import svg
from netstack.states.text import text as ways
from netstack.states.trail import Step

SEED = 9293
"""The stack's random numbers: the same in every run, so that two runs of a capture print the same."""


@click.command()
@click.argument("file", type=click.Path(exists=True, dir_okay=False, path_type=Path))
@click.option(
    "--connection", "number", type=click.IntRange(min=1), metavar="N", help="Only the Nth connection of the file."
)
@click.option(
    "--states", "with_states", is_flag=True, help="Show the states passed, with times, causes, and the ways not taken."
)
@click.option("--mermaid", "as_mermaid", is_flag=True, help="Only the state chart, the path marked, as Mermaid.")
@click.option(
    "--svg", "drawing", type=click.Path(dir_okay=False, path_type=Path), metavar="FILE",
    help="Draw the state chart with the path marked to FILE; - is standard output, and nothing else is printed.",
)
@click.option("--json", "as_data", is_flag=True, help="Everything, as one JSON object.")
@click.option("-q", "--quiet", is_flag=True, help="One line a connection, no timelines.")
@click.pass_context
def command(
    ctx: click.Context, file: Path, number: int | None, with_states: bool, as_mermaid: bool, drawing: Path | None,
    as_data: bool, quiet: bool,
) -> int:  # fmt: skip
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
      netstack replay --svg path.svg capture.pcap
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
    if as_mermaid or drawing is not None:
        if len(chosen) > 1:
            raise click.UsageError(f"{file} has {len(chosen)} connections: --connection N says which to draw", ctx)
        if as_mermaid and drawing is not None:
            raise click.UsageError("--mermaid and --svg are two drawings: ask for one", ctx)
    if as_mermaid or str(drawing) == "-":
        verdict = judge(chosen[0], random.Random(SEED))
        chart = f"{mermaid(trail(verdict))}\n" if as_mermaid else svg(trail(verdict), str(verdict.conversation))
        click.echo(chart, nl=False)
        return int(verdict.status)
    return _replay(file, recording, chosen, with_states, drawing, as_data, quiet)


def trail(verdict: Verdict) -> list[Step]:
    """The replayed path, as drawings of the chart want it."""
    return [Step(change.at, change.old, change.cause, change.new) for change in verdict.changes]


def _replay(
    file: Path, recording: Recording, chosen: list[Conversation], with_states: bool, drawing: Path | None,
    as_data: bool, quiet: bool,
) -> int:  # fmt: skip
    verdicts = []
    for conversation in chosen:
        verdict = judge(conversation, random.Random(SEED))
        verdicts.append(verdict)
        if drawing is not None:
            _draw(drawing, verdict)
        if not as_data:
            click.echo(headline(verdict) if quiet else "\n".join(text(verdict, with_states)) + "\n")
            if with_states and not quiet and verdict.changes:
                click.echo(f"netstack's way through the states:\n\n{ways(trail(verdict))}\n")
    status = overall(verdicts)
    if as_data:
        data = {"file": str(file), "status": int(status), "notes": recording.notes}
        click.echo(json.dumps({**data, "connections": [as_json(verdict) for verdict in verdicts]}, indent=1))
    else:
        for note in recording.notes:
            click.echo(f"note: {file}: {note}", err=True)
    return int(status)


def _draw(drawing: Path, verdict: Verdict) -> None:
    """Write the chart with the path of one connection."""
    try:
        drawing.write_text(svg(trail(verdict), str(verdict.conversation)), encoding="utf-8")
    except OSError as error:
        raise click.ClickException(f"cannot write {drawing}: {error.strerror}") from error


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
