"""Replays one conversation and judges: the same octets both ways, and the same path of states, or not."""

from dataclasses import dataclass, field
from enum import IntEnum

from netstack.events import StateChanged
from netstack.rangeset import RangeSet
from netstack.replay.addresses import replaced
from netstack.replay.chart import CLOSED, TIME_WAIT, Passed, recorded_path
from netstack.replay.conversation import Conversation, Kind
from netstack.replay.order import server_view
from netstack.replay.runner import Outcome, Replay, Sent
from netstack.replay.script import write_script
from netstack.replay.streams import Stream
from netstack.replay.timeline import Row, align
from netstack.stack import Entropy
from netstack.units import Octets, Seq
from netstack.wire.tcp import RST, SYN


class Status(IntEnum):
    """The exit status that a verdict asks for."""

    SAME = 0
    DIFFERENT = 1
    NOT_REPLAYABLE = 2


@dataclass(slots=True)
class Direction:
    """One direction of a conversation, recorded and replayed."""

    sent: Octets
    """Octets that the capture holds."""
    acknowledged: Octets
    """Of these, what was certainly delivered in the recording."""
    replayed: Octets
    """Octets delivered to (from the client) or by (from the server) our stack."""
    difference: Octets | None
    """The first octet, counted from 0, in which the two part; None: they do not."""


@dataclass(slots=True)
class Verdict:
    """What came out of one conversation."""

    conversation: Conversation
    status: Status
    reason: str
    """One line."""
    recorded: list[Passed] = field(default_factory=list)
    replayed: list[Passed] = field(default_factory=list)
    changes: list[StateChanged] = field(default_factory=list)
    """The replayed path, as the stack told it."""
    client: Direction | None = None
    server: Direction | None = None
    rows: list[Row] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)


def judge(conversation: Conversation, rng: Entropy) -> Verdict:
    """Replay `conversation` against a stack whose random numbers come from `rng`."""
    notes = list(conversation.notes)
    if conversation.problem is not None:
        return Verdict(conversation, Status.NOT_REPLAYABLE, conversation.problem, notes=notes)
    steps, lost = server_view(conversation)
    notes += [f"packet {each.number} of the client's never reached the server, so it is left out" for each in lost]
    outcome = Replay(conversation, write_script(conversation, steps), rng).run()
    if replaced(conversation):
        notes.append("addresses replaced by 192.0.2.1 and 192.0.2.2: the recorded ones cannot be used on a link")
    if outcome.clipped:
        notes.append(f"ACKs for octets that our stack had not sent yet were held back ({outcome.clipped})")
    verdict = Verdict(conversation, Status.SAME, "", recorded_path(conversation, steps), outcome.path, notes=notes)
    verdict.changes = outcome.changes
    verdict.client = _compare(conversation.client_stream, outcome.received)
    verdict.server = _compare(conversation.server_stream, sent_octets(outcome.sent))
    verdict.rows = align(conversation.segments, outcome.sent)
    differences = _differences(verdict, outcome)
    if differences:
        verdict.status = Status.DIFFERENT
    verdict.reason = "; ".join(differences) or _same(verdict)
    return verdict


def sent_octets(sent: list[Sent]) -> bytes:
    """The stream in what our stack sent, up to the first hole."""
    ranges = RangeSet()
    pieces: dict[Seq, bytes] = {}
    for segment in sent:
        left = segment.seq + (segment.flags & SYN != 0)
        if not segment.flags & RST and segment.payload and ranges.add(left, left + len(segment.payload)):
            pieces[left] = max(pieces.get(left, b""), segment.payload, key=len)
    parts: list[bytes] = []
    end = 1
    for left in sorted(pieces):
        if left > end:
            break
        parts.append(pieces[left][end - left :])
        end = max(end, left + len(pieces[left]))
    return b"".join(parts)


def _compare(recorded: Stream, replayed: bytes) -> Direction:
    """What was acknowledged in the recording must be there, and nothing that is there may be different."""
    low, high = recorded.acked, len(recorded.data)
    difference: Octets | None = None
    if not (low <= len(replayed) <= high and recorded.data.startswith(replayed)):
        pairs = enumerate(zip(recorded.data, replayed, strict=False))
        difference = next((i for i, (a, b) in pairs if a != b), min(len(replayed), high))
    return Direction(high, low, len(replayed), difference)


def states(path: list[Passed]) -> list[str]:
    """The names along a path; what follows TIME-WAIT is only time passing, which a capture does not show."""
    names = [passed.state for passed in path]
    return names[:-1] if names[-2:] == [TIME_WAIT, CLOSED] else names


def _differences(verdict: Verdict, outcome: Outcome) -> list[str]:
    """What is different, a phrase each."""
    found = []
    for name, direction in (("client", verdict.client), ("server", verdict.server)):
        if direction is not None and direction.difference is not None:
            found.append(
                f"the {name}'s octets differ from octet {direction.difference} on"
                f" ({direction.acknowledged} delivered in the recording, {direction.replayed} in the replay)"
            )
    ours, theirs = states(verdict.replayed), states(verdict.recorded)
    if ours != theirs:
        same = 0
        while same < min(len(ours), len(theirs)) and ours[same] == theirs[same]:
            same += 1
        after = f"after {ours[same - 1]}" if same else "from the start"
        recorded, replayed = (path[same] if same < len(path) else "no further state" for path in (theirs, ours))
        found.append(f"the states part {after}: recorded {recorded}, replayed {replayed}")
    if verdict.conversation.kind in (Kind.PROBE, Kind.REFUSED):
        resets = any(each.flags & RST for each in verdict.conversation.of(False))
        if resets != any(each.flags & RST for each in outcome.sent):
            found.append("the recorded server answered with RST, ours did not" if resets else "ours answered with RST")
    return found


def _same(verdict: Verdict) -> str:
    assert verdict.client is not None
    assert verdict.server is not None
    path = " ".join(states(verdict.replayed))
    octets = f"{verdict.client.replayed} octets from the client, {verdict.server.replayed} from the server"
    if verdict.conversation.kind in (Kind.PROBE, Kind.REFUSED):
        return f"answered alike: {verdict.conversation.kind.value}, {path}"
    return f"{octets}; {path}"
