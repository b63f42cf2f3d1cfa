"""A step on the way of a request: from lane to lane, or on one, with both ends as they stand after it."""

from dataclasses import dataclass, field, replace

from netstack import events
from netstack.events import Variables
from netstack.units import Octets, Seq

LANES = ("client", "TAP", "Ethernet", "IP", "TCP", "buffer", "event loop", "HTTP", "ASGI", "application")
CLIENT_LANE, TAP, ETHERNET, IP, TCP, BUFFER, LOOP, HTTP, ASGI, APPLICATION = range(len(LANES))

HANDSHAKE, REQUEST, RESPONSE, CLOSE = "The handshake", "The request", "The response", "The close"
PHASES = (HANDSHAKE, REQUEST, RESPONSE, CLOSE)


@dataclass(slots=True)
class End:
    """One end of the connection after a step."""

    state: str = "CLOSED"
    variables: Variables | None = None
    iss: Seq | None = None
    irs: Seq | None = None

    def copy(self) -> "End":
        """As it is now."""
        return End(self.state, self.variables, self.iss, self.irs)


    def learn(self, record: events.RttSampled | events.WindowChanged | events.BufferChanged) -> None:
        """A variable has changed since the last snapshot."""
        known = self.variables
        if known is None:
            return
        if isinstance(record, events.RttSampled):
            self.variables = replace(known, srtt=record.srtt, rto=record.rto)
        elif isinstance(record, events.WindowChanged):
            self.variables = replace(known, cwnd=record.cwnd, ssthresh=record.ssthresh, snd_wnd=record.snd_wnd)
        elif record.buffer == "receive":
            self.variables = replace(known, recv_queued=record.level)
        else:
            self.variables = replace(known, send_queued=record.level)


@dataclass(slots=True)
class Step:
    """What happened `at` nanoseconds after the first one, between two lanes (or on one)."""

    at: int
    kind: str
    """What kind of step it is: the key to its explanation."""
    start: int
    end: int
    phase: str
    text: str
    octets: Octets | None = None
    frame: bytes | None = None
    """The frame that moved, with its virtio_net_hdr."""
    shown: bytes | None = None
    """The frame that this step is about, whether it moved just now or not."""
    because: str = ""
    """The rule that the record itself names ..."""
    source: str = ""
    """... and its paragraph."""
    notes: list[str] = field(default_factory=list)
    lost: bool = False
    """The frame never came out at the other side."""
    client: End = field(default_factory=End)
    server: End = field(default_factory=End)


def folded(found: list[Step], limit: int) -> list[Step]:
    """`found`, or its beginning and its end with one step between them that says how many were left out."""
    if len(found) <= limit:
        return found
    head, tail = found[: limit - limit // 2], found[len(found) - limit // 2 :]
    left = len(found) - len(head) - len(tail)
    gap = replace(
        head[-1], kind="left out", start=APPLICATION, end=APPLICATION, text=f"… {left:,} steps left out (see --limit)",
        octets=None, frame=None, shown=None, because="", source="", notes=[], lost=False,
    )  # fmt: skip
    return [*head, gap, *tail]
