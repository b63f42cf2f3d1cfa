"""What is played to the stack: the client's segments at their times, and what the application on our side does.

The application does what the recorded one must have done: it writes octets no later than they were first sent, after
it had received what the server had acknowledged by then; it closes where the recorded server sent its FIN and aborts
where it sent a RST. Where a segment showed later octets first, the earlier ones must have been written by then, too.

A client that sent data with its SYN (RFC 7413) finds no Fast Open here: its data arrives right after the handshake.
"""

from dataclasses import dataclass, field, replace
from enum import Enum

from netstack.replay.conversation import Conversation, Kind, Recorded, aborts
from netstack.replay.order import Step
from netstack.units import Micros, Seq
from netstack.wire.tcp import ACK, FIN, PSH, RST, SYN


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
    entries, octets = script.entries, conversation.server_stream.data
    written = 0
    snd_nxt: Seq = 0
    closed = False
    early = b""  # what came with a SYN and is still to arrive
    for step in steps:
        at, segment = step.at, step.segment
        if segment.from_client:
            if segment.flags & SYN:
                early = segment.payload if _heard_with_syn(conversation) else b""
                segment = replace(segment, payload=b"")
            entries.append(Arrival(at, segment))
            if early and not segment.flags & (SYN | RST):
                entries.append(Arrival(at, replace(segment, seq=1, flags=ACK | PSH, payload=early)))
                early = b""
        elif segment.flags & RST:
            if aborts(segment, snd_nxt):
                entries.append(Act(at, Deed.ABORT))
                return _with_the_rest(script, steps, step)
        else:
            if conversation.kind is Kind.SIMULTANEOUS and segment.flags & SYN and not snd_nxt:
                entries.append(Act(at, Deed.CONNECT))
            snd_nxt = max(snd_nxt, segment.end)
            need = segment.ack if segment.flags & ACK else 0
            upto = min(segment.text_end - 1, len(octets))
            if upto > written:
                entries.append(Act(at, Deed.WRITE, need, octets[written:upto]))
                written = upto
            if segment.flags & FIN and not closed:
                entries.append(Act(at, Deed.CLOSE, need))
                closed = True
    return script


def _heard_with_syn(conversation: Conversation) -> bool:
    """Whether the recorded server took the data that came with the SYN."""
    answer = next((each for each in conversation.of(False) if each.flags & SYN), None)
    return answer is not None and answer.ack > 1


def _with_the_rest(script: Script, steps: list[Step], aborted: Step) -> Script:
    """Once the connection is reset, only the client's segments matter."""
    later = steps[next(i for i, step in enumerate(steps) if step is aborted) + 1 :]
    script.entries += [Arrival(step.at, step.segment) for step in later if step.segment.from_client]
    return script
