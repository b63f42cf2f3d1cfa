"""The order in which the recorded server must have seen and sent what was captured.

A capture taken beside the server has that order. One taken beside the client, or half-way, does not: the server sent
what it sent a little earlier and heard the client a little later, and where FINs or RSTs cross on the wire that decides
which states the server went through. Its own acknowledgments tell: a segment of the server's with ACK n was sent
before anything beyond n had been heard. Multi-queue captures, which shuffle packets, are put right by the same rule.

Rules, each side's own order always kept:
- the client's SYN comes before everything else of its;
- the server has heard what it acknowledges, and has sent what the client acknowledges;
- a FIN is heard after the last segment of the server's that does not acknowledge it, although it could;
- a RST is heard after everything that the server still sent;
- a FIN that the server cannot have got (it said so for longer than a round trip, and a copy came later) was lost.
"""

from dataclasses import dataclass

from netstack.replay.conversation import Conversation, Kind, Recorded
from netstack.units import MILLISECOND, SECOND, Micros
from netstack.wire.tcp import ACK, FIN, RST, SYN

_SLACK: Micros = 10 * MILLISECOND
_RST_IN_FLIGHT: Micros = SECOND
"""What a full queue in front of the client may still hold when it resets."""
LOST = -1
"""In place of a number of segments: this one never reached the server."""


@dataclass(slots=True, eq=False)
class Step:
    """A segment reaching the server, or leaving it."""

    at: Micros
    """When it has to happen: the recorded time; the server's are moved where the rules say so."""
    segment: Recorded


def server_view(conversation: Conversation) -> tuple[list[Step], list[Recorded]]:
    """(the steps in the server's order, the client's segments that never reached it)."""
    client, server = _syn_first(conversation.of(True)), conversation.of(False)
    hold, lost = _held(conversation, client, server)
    client = [segment for segment in client if id(segment) not in lost]
    steps = _merge(client, server, hold, conversation.kind is Kind.SIMULTANEOUS)
    _settle_times(steps)
    return steps, [segment for segment in conversation.segments if id(segment) in lost]


def _syn_first(client: list[Recorded]) -> list[Recorded]:
    """Nothing of a connection's reaches a server before the SYN, whatever the capture says."""
    syn = next((segment for segment in client if segment.flags & SYN), None)
    if syn is None or syn is client[0]:
        return client
    return [syn, *(segment for segment in client if segment is not syn)]


def _merge(
    client: list[Recorded],
    server: list[Recorded],
    hold: dict[int, int],
    simultaneous: bool,
) -> list[Step]:
    """One sequence out of two. `hold`: id of a client's segment -> how many of the server's come before it."""
    steps: list[Step] = []
    c = s = 0
    heard = sent = -1  # the highest sequence numbers so far, plus one
    all_heard = max((each.end for each in client), default=0)
    all_sent = max((each.end for each in server), default=0)
    while c < len(client) or s < len(server):
        if c == len(client) or s == len(server):
            client_first = s == len(server)
        else:
            arriving, leaving = client[c], server[s]
            waits_for_ack = heard < leaving.ack <= all_heard
            waits_for_data = arriving.flags & ACK and not arriving.flags & RST and sent < arriving.ack <= all_sent
            client_first = arriving.place < leaving.place
            if simultaneous and not s:
                client_first = False  # a SYN without ACK: the server had not heard the client's
            elif hold.get(id(arriving), 0) > s or (client_first and waits_for_data and not waits_for_ack):
                client_first = False
            elif not client_first and waits_for_ack and not waits_for_data:
                client_first = True
        if client_first:
            heard = max(heard, client[c].end)
            steps.append(Step(client[c].at, client[c]))
            c += 1
        else:
            sent = max(sent, server[s].end)
            steps.append(Step(server[s].at, server[s]))
            s += 1
    return steps


def _settle_times(steps: list[Step]) -> None:
    """Move the server's steps in time to between the client's that they were put between."""
    earliest: Micros = min((step.at for step in steps), default=0)
    if steps and steps[0].segment.flags & SYN:
        steps[0].at = earliest
    for step in steps:
        earliest = step.at = step.at if step.segment.from_client else max(step.at, earliest)
    latest: Micros | None = None
    for step in reversed(steps):
        if step.segment.from_client:
            latest = step.at if latest is None else min(latest, step.at)
        elif latest is not None:
            step.at = min(step.at, latest)


def _held(
    conversation: Conversation, client: list[Recorded], server: list[Recorded]
) -> tuple[dict[int, int], set[int]]:
    """What FINs and RSTs of the client's have to wait for (see `_merge`), and the ids of those that were lost."""
    hold: dict[int, int] = {}
    round_trip = _response_time(conversation)
    heard_to = 0
    for i, segment in enumerate(client):
        in_order = segment.seq <= heard_to
        if segment.flags & RST:
            if segment.seq == heard_to:
                hold[id(segment)] = _sent_before_rst(segment, server, round_trip)
            continue
        if segment.flags & FIN and in_order:
            hold[id(segment)] = _sent_before_fin(segment, client[i + 1 :], server, round_trip)
        if in_order:
            heard_to = max(heard_to, segment.end)
    return hold, {key for key, count in hold.items() if count == LOST}


def _sent_before_rst(segment: Recorded, server: list[Recorded], round_trip: Micros) -> int:
    """How many of the server's segments left before it heard this RST; LOST when it went on for too long."""
    last = len(server) - 1
    while last >= 0 and server[last].flags & RST:
        last -= 1
    if last < 0 or server[last].place < segment.place:
        return 0
    late = server[last].at - segment.at
    return LOST if late > max(4 * round_trip, _RST_IN_FLIGHT) else last + 1


def _sent_before_fin(segment: Recorded, later: list[Recorded], server: list[Recorded], round_trip: Micros) -> int:
    """How many of the server's segments left before it heard this FIN, which came in order; LOST: it never did."""
    knows: Recorded | None = None
    unaware: Recorded | None = None
    before = 0
    for i, each in enumerate(server):
        if each.place < segment.place or not each.flags & ACK or each.flags & SYN:
            continue
        if each.ack >= segment.end:
            knows = each
            break
        unaware, before = each, i + 1
    if unaware is None:
        return 0
    late = unaware.at - segment.at
    again = any(each.flags & FIN and (knows is None or each.place < knows.place) for each in later)
    too_late = late > 2 * round_trip + _SLACK and (again or (knows is None and late > SECOND))
    return LOST if too_late and unaware.ack == segment.end - 1 else before


def _response_time(conversation: Conversation) -> Micros:
    """From a SYN, where it was captured, to the answer: at least the round trip from there to the server."""
    syn_at: Micros | None = None
    for segment in conversation.segments:
        if segment.flags & SYN and segment.from_client:
            syn_at = segment.at
        elif segment.flags & SYN and syn_at is not None:
            return segment.at - syn_at
    return 0
