"""What `netstack replay` says: text for people, plain values for JSON."""

from itertools import zip_longest
from typing import Any

from netstack.replay.chart import Passed
from netstack.replay.conversation import Kind, Recorded, said
from netstack.replay.runner import Sent
from netstack.replay.timeline import Row, clock, first_difference, lines, shorthand
from netstack.replay.verdict import Direction, Status, Verdict, states

WORDS = {Status.SAME: "same", Status.DIFFERENT: "different", Status.NOT_REPLAYABLE: "cannot be replayed"}


def overall(verdicts: list[Verdict]) -> Status:
    """Of a whole file: DIFFERENT if any is, else SAME if any is, else NOT_REPLAYABLE.

    Refused attempts and a scanner's probes count as SAME only where there are no real connections beside them.
    """
    if any(verdict.status is Status.DIFFERENT for verdict in verdicts):
        return Status.DIFFERENT
    real = [verdict for verdict in verdicts if verdict.conversation.kind not in (Kind.PROBE, Kind.REFUSED)]
    same = any(verdict.status is Status.SAME for verdict in real or verdicts)
    return Status.SAME if same else Status.NOT_REPLAYABLE


def headline(verdict: Verdict) -> str:
    """`connection 1, 192.0.2.1:40000 > 192.0.2.2:80: same: ...`"""
    conversation = verdict.conversation
    return f"connection {conversation.number}, {conversation}: {WORDS[verdict.status]}: {verdict.reason}"


def text(verdict: Verdict, with_states: bool) -> list[str]:
    """Headline, notes, perhaps both paths of states, and both timelines."""
    out = [headline(verdict), *(f"  note: {note}" for note in verdict.notes)]
    if with_states and verdict.recorded:
        out += ["", *_paths(verdict.recorded, verdict.replayed)]
    if verdict.rows:
        out += ["", *lines(verdict.rows)]
    return out


def _paths(recorded: list[Passed], replayed: list[Passed]) -> list[str]:
    """Both paths beside each other, with times and causes."""
    pairs = list(zip_longest(map(_passed, recorded), map(_passed, replayed), fillvalue=""))
    width = max([len("states recorded"), *(len(left) for left, _ in pairs)])
    return [f"{'states recorded':<{width}}      netstack", *(f"{a:<{width}}      {b}".rstrip() for a, b in pairs)]


def _passed(passed: Passed) -> str:
    return f"{clock(passed.at)}   {passed.state:<12} {passed.cause}".rstrip()


def as_json(verdict: Verdict) -> dict[str, Any]:
    """The verdict as plain values; times in microseconds since the file's first packet."""
    conversation = verdict.conversation
    first = first_difference(verdict.rows)
    return {
        "connection": conversation.number,
        "client": said(conversation.client),
        "server": said(conversation.server),
        "kind": conversation.kind.value,
        "status": int(verdict.status),
        "verdict": WORDS[verdict.status],
        "reason": verdict.reason,
        "notes": verdict.notes,
        "states": {
            "recorded": [_state(passed) for passed in verdict.recorded],
            "replayed": [_state(passed) for passed in verdict.replayed],
            "same": bool(verdict.recorded) and states(verdict.recorded) == states(verdict.replayed),
        },
        "octets": {"client": _direction(verdict.client), "server": _direction(verdict.server)},
        "first_difference": None if first is None else _row(verdict.rows[first]),
        "timeline": [_row(row) for row in verdict.rows],
    }


def _state(passed: Passed) -> dict[str, Any]:
    return {"at": passed.at, "state": passed.state, "cause": passed.cause, "paragraph": passed.paragraph}


def _direction(direction: Direction | None) -> dict[str, Any] | None:
    if direction is None:
        return None
    return {
        "captured": direction.sent,
        "acknowledged": direction.acknowledged,
        "replayed": direction.replayed,
        "same": direction.difference is None,
        "first_difference": direction.difference,
    }


def _row(row: Row) -> dict[str, Any]:
    return {
        "client": _segment(row.client),
        "recorded": _segment(row.recorded),
        "replayed": _segment(row.ours),
        "differs": row.differs,
    }


def _segment(segment: Recorded | Sent | None) -> dict[str, Any] | None:
    return None if segment is None else {"at": segment.at, "segment": shorthand(segment)}
