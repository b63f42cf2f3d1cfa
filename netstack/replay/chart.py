"""The states that the recorded server went through, inferred from its packets by the RFC's chart (RFC 9293 3.3.2).

A second, small implementation on purpose: it shares nothing with `netstack.tcp`, so that comparing the two paths says
something. It reads packets, not minds: a server that closes is one whose FIN is in the capture, and 2 MSL are never
seen to pass. Where Linux is more liberal than the RFC about which segments it hears, so is this, since most captures
are of Linux and the stack does the same: the ACK of a segment whose text ends at RCV.NXT is heard; a RST counts at
RCV.NXT, at the highest octet that arrived, and at the peer's FIN.
"""

from dataclasses import dataclass

from netstack.rangeset import RangeSet
from netstack.replay.conversation import Conversation, Kind, Recorded, aborts
from netstack.replay.order import Step
from netstack.units import Micros, Seq
from netstack.wire.tcp import ACK, FIN, RST, SYN

CLOSED, LISTEN, SYN_SENT, SYN_RECEIVED = "CLOSED", "LISTEN", "SYN-SENT", "SYN-RECEIVED"
ESTABLISHED, CLOSE_WAIT, LAST_ACK = "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK"
FIN_WAIT_1, FIN_WAIT_2, CLOSING, TIME_WAIT = "FIN-WAIT-1", "FIN-WAIT-2", "CLOSING", "TIME-WAIT"

_ON_FIN_SENT = {SYN_RECEIVED: FIN_WAIT_1, ESTABLISHED: FIN_WAIT_1, CLOSE_WAIT: LAST_ACK}
_ON_FIN_ACKED = {FIN_WAIT_1: FIN_WAIT_2, CLOSING: TIME_WAIT, LAST_ACK: CLOSED}
_ON_FIN_HEARD = {
    SYN_RECEIVED: CLOSE_WAIT,
    ESTABLISHED: CLOSE_WAIT,
    FIN_WAIT_1: CLOSING,
    FIN_WAIT_2: TIME_WAIT,
}


@dataclass(slots=True)
class Passed:
    """A state entered at `at`, and why. The first of a path has no cause."""

    at: Micros
    state: str
    cause: str
    paragraph: str = ""
    """Of the cause; only the stack knows it, a capture does not."""


class RecordedServer:
    """The server's side of one conversation, fed with its steps in order; `path` is the result."""

    def __init__(self, first: str, at: Micros) -> None:
        self.state = first
        self.path = [Passed(at, first, "")]
        self.rcv_nxt: Seq = 0
        self.snd_nxt: Seq = 0
        self.fin: Seq | None = None
        """Of our own FIN."""
        self.peer_fin: Seq | None = None
        self.heard = RangeSet()

    def move(self, at: Micros, state: str | None, cause: str) -> None:
        """Enter `state`; None: there is no such arrow, so stay."""
        if state is not None:
            self.state = state
            self.path.append(Passed(at, state, cause))

    def sent(self, at: Micros, segment: Recorded) -> None:
        """The server sent `segment`."""
        if self.state in (LISTEN, CLOSED) and not segment.flags & SYN:
            return  # for no connection: a RST to a stray segment
        if segment.flags & RST:
            if self.state != TIME_WAIT and aborts(segment, self.snd_nxt):
                self.move(at, CLOSED, "snd RST")
            return
        if segment.flags & SYN and not segment.flags & ACK and self.state == CLOSED and not self.snd_nxt:
            self.move(at, SYN_SENT, "snd SYN")
        self.snd_nxt = max(self.snd_nxt, segment.end)
        if segment.flags & FIN and self.fin is None:
            self.fin = segment.text_end
            self.move(at, _ON_FIN_SENT.get(self.state), "snd FIN")

    def arrived(self, at: Micros, segment: Recorded) -> None:
        """`segment` reached the server: the checks of 3.10.7 in their order, as far as states depend on them."""
        if self.state == CLOSED:
            return
        if segment.flags & SYN:
            self._syn(at, segment)
            return
        if self.state in (LISTEN, SYN_SENT):
            return
        if segment.flags & RST:
            if self._resets(segment):
                self.move(at, CLOSED, "rcv RST")
            return
        if not self._acceptable(segment) or not segment.flags & ACK or segment.ack > self.snd_nxt:
            return
        if self.state == SYN_RECEIVED:
            if segment.ack < 1:
                return
            self.move(at, ESTABLISHED, "rcv ACK of SYN")
        if self.fin is not None and segment.ack > self.fin:
            self.move(at, _ON_FIN_ACKED.get(self.state), "rcv ACK of FIN")
        self._text(at, segment)

    def _syn(self, at: Micros, segment: Recorded) -> None:
        if self.state == LISTEN:
            self.move(at, SYN_RECEIVED, "rcv SYN, snd SYN,ACK")
        elif self.state == SYN_SENT and segment.flags & ACK:
            self.move(at, ESTABLISHED, "rcv SYN,ACK")
        elif self.state == SYN_SENT:
            self.move(at, SYN_RECEIVED, "rcv SYN, snd SYN,ACK")
        elif self.state == SYN_RECEIVED and segment.flags & ACK and segment.ack == 1:
            self.move(at, ESTABLISHED, "rcv ACK of SYN")
        self.rcv_nxt = max(self.rcv_nxt, 1)
        if self.state == SYN_RECEIVED and segment.payload:
            self.heard.add(1, segment.text_end)

    def _acceptable(self, segment: Recorded) -> bool:
        """First: sequence number. Nothing old completes a handshake (3.10.7.4); for the rest see the top."""
        if self.state == SYN_RECEIVED:
            return segment.end > self.rcv_nxt or segment.seq >= self.rcv_nxt
        return segment.end >= self.rcv_nxt

    def _resets(self, segment: Recorded) -> bool:
        if self.state in (CLOSE_WAIT, LAST_ACK, CLOSING) and segment.seq == self.rcv_nxt - 1:
            return True
        return segment.seq == self.rcv_nxt or (bool(self.heard) and segment.seq == self.heard.right > self.rcv_nxt)

    def _text(self, at: Micros, segment: Recorded) -> None:
        self.heard.add(min(segment.seq, segment.text_end), segment.text_end)
        if segment.flags & FIN:
            self.peer_fin = segment.text_end
        whole = self.heard.range_at(self.rcv_nxt)
        self.rcv_nxt = max(self.rcv_nxt, whole[1] if whole else 0)
        if self.peer_fin == self.rcv_nxt:
            self.rcv_nxt += 1
            self.move(at, _ON_FIN_HEARD.get(self.state), "rcv FIN")


def recorded_path(conversation: Conversation, steps: list[Step]) -> list[Passed]:
    """The states of the recorded server's connection, from the one it was found in."""
    at = steps[0].at if steps else 0
    if not conversation.listening:
        return [Passed(at, CLOSED, "")]
    server = RecordedServer(CLOSED if conversation.kind is Kind.SIMULTANEOUS else LISTEN, at)
    for step in steps:
        if step.segment.from_client:
            server.arrived(step.at, step.segment)
        else:
            server.sent(step.at, step.segment)
    return server.path
