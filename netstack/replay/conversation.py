"""What a recorded conversation is: its ends, its segments, and why it cannot be replayed, if it cannot.

Sequence numbers are relative from here on, each side's to its own SYN, and unwrapped: the SYN is 0, the first octet 1.
"""

from dataclasses import dataclass, field
from enum import Enum

from netstack.replay.streams import Stream
from netstack.units import Micros, Seq
from netstack.wire import tcp_options
from netstack.wire.pretty import address
from netstack.wire.tcp import FIN, RST, SYN

Endpoint = tuple[bytes, int]
"""Address (4 octets) and port."""


class Kind(Enum):
    """How a conversation begins; the value says it to people."""

    HANDSHAKE = "handshake"
    SIMULTANEOUS = "simultaneous open"
    REFUSED = "refused"
    """A SYN answered with RST: the port was closed."""
    PROBE = "probe"
    """No handshake meant: what a port scanner sends, and perhaps a RST."""
    NONE = "no handshake"


@dataclass(slots=True, eq=False)
class Recorded:
    """One segment of a conversation."""

    number: int
    """Of the packet in the file."""
    place: int
    """In the conversation, from 0, in the order of capture times."""
    at: Micros
    from_client: bool
    seq: Seq
    ack: Seq
    """0 when the ACK flag is not set."""
    flags: int
    window: int
    """The field, unscaled."""
    urgent: int
    options: tcp_options.Options
    octets_of_options: bytes
    payload: bytes
    tos: int
    ttl: int

    @property
    def text_end(self) -> Seq:
        """The sequence number behind the last octet of text."""
        return self.seq + (self.flags & SYN != 0) + len(self.payload)

    @property
    def end(self) -> Seq:
        """SEG.SEQ + SEG.LEN."""
        return self.text_end + (self.flags & FIN != 0)


@dataclass(slots=True, eq=False)
class Conversation:
    """One connection, or an attempt at one."""

    number: int
    """In the file, from 1."""
    client: Endpoint
    server: Endpoint
    kind: Kind = Kind.NONE
    listening: bool = True
    """Whether somebody listened on the server's port."""
    problem: str | None = None
    """Why it cannot be replayed, in one line."""
    client_iss: int = 0
    """As on the wire."""
    server_iss: int = 0
    segments: list[Recorded] = field(default_factory=list)
    """In the order of capture times."""
    notes: list[str] = field(default_factory=list)
    client_stream: Stream = field(default_factory=Stream)
    server_stream: Stream = field(default_factory=Stream)

    def __str__(self) -> str:
        return f"{said(self.client)} > {said(self.server)}"

    def of(self, from_client: bool) -> list[Recorded]:
        """The segments that one side sent."""
        return [segment for segment in self.segments if segment.from_client is from_client]


def said(endpoint: Endpoint) -> str:
    """192.0.2.1:40000"""
    return f"{address(endpoint[0])}:{endpoint[1]}"


def aborts(segment: Recorded, snd_nxt: Seq) -> bool:
    """Whether a RST of the server's ends its connection; one that answers a stray segment copies that one's ACK."""
    return bool(segment.flags & RST) and 1 <= segment.seq <= snd_nxt
