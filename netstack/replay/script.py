"""What is played to the stack: the client's segments at their times, and what the application on our side does.

The application does what the recorded one must have done: it writes octets no later than they were first sent, after
it had received what the server had acknowledged by then; it closes where the recorded server sent its FIN and aborts
where it sent a RST. Where a segment showed later octets first, the earlier ones must have been written by then, too.
"""

from dataclasses import dataclass, field
from enum import Enum

from netstack.replay.conversation import Conversation, Kind, Recorded, aborts
from netstack.replay.order import Step
from netstack.units import Micros, Seq
from netstack.wire.tcp import ACK, FIN, RST, SYN


class Deed(Enum):
    """What an application can do."""

    CONNECT = "connect"
    WRITE = "write"
    CLOSE = "close"
    ABORT = "abort"


@dataclass(slots=True, eq=False)
class Act:
    """Something that the application does at `at`, once the stack has got the client's octets up to `need`."""

    at: Micros
    deed: Deed
    need: Seq = 0
    data: bytes = b""


@dataclass(slots=True, eq=False)
class Arrival:
    """A segment of the client's reaching the stack at `at`."""

    at: Micros
    segment: Recorded


@dataclass(slots=True)
class Script:
    """Arrivals and acts, in order; their times never decrease from one arrival to the next."""

    entries: list[Arrival | Act] = field(default_factory=list)


def write_script(conversation: Conversation, steps: list[Step]) -> Script:
    """The script of a conversation, from its steps in the server's order."""
    script = Script()
    octets = conversation.server_stream.data
    written = 0
    snd_nxt: Seq = 0
    finished = False
    for step in steps:
        at, segment = step.at, step.segment
        if segment.from_client:
            script.entries.append(Arrival(at, segment))
            continue
        if finished:
            continue
        if segment.flags & RST:
            if aborts(segment, snd_nxt):
                script.entries.append(Act(at, Deed.ABORT))
                finished = True
            continue
        if conversation.kind is Kind.SIMULTANEOUS and segment.flags & SYN and not snd_nxt:
            script.entries.append(Act(at, Deed.CONNECT))
        snd_nxt = max(snd_nxt, segment.end)
        need = segment.ack if segment.flags & ACK else 0
        upto = min(segment.text_end - 1, len(octets))
        if upto > written:
            script.entries.append(Act(at, Deed.WRITE, need, octets[written:upto]))
            written = upto
        if segment.flags & FIN:
            script.entries.append(Act(at, Deed.CLOSE, need))
            finished = not _sends_reset(steps, segment)
    return script


def _sends_reset(steps: list[Step], after: Recorded) -> bool:
    """Whether the server still resets the connection after its FIN."""
    later = [step.segment for step in steps[[step.segment for step in steps].index(after) + 1 :]]
    return any(not segment.from_client and segment.flags & RST for segment in later)
