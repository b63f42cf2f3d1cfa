"""One connection as script and wire see it: addresses, ports, and the maps between the numbers of both.

A script does not know what initial number or timestamp the stack under test will choose. So numbers of the local end
are relative to what it did choose; those of the remote end are the script's own (it plays that end).
"""

from dataclasses import dataclass, field

from netstack.drill.codec import Datagram
from netstack.drill.nodes import ScriptError, TcpSegment, Timestamps

MASK = 0xFFFF_FFFF


def relative(wire: int, origin: int) -> int:
    """`wire` counted from `origin`, as 32 bits; small negative numbers stay recognisable as such in messages."""
    return wire - origin & MASK


@dataclass(slots=True)
class Flow:
    """The connection between `local` and `remote` (address octets, port)."""

    local: tuple[bytes, int]
    remote: tuple[bytes, int]
    irs: int = 0
    """The remote end's initial number: what the script's SYN said."""
    irs_known: bool = False
    iss: int | None = None
    """The local end's initial number on the wire; None until a SYN left."""
    iss_script: int = 0
    """What the script calls it in its SYN."""
    timestamp_shift: int | None = None
    """Local timestamp on the wire minus the script's; None until one left."""
    timestamps: dict[int, int] = field(default_factory=dict)
    """Script's local timestamp -> the one on the wire, as last seen."""
    ident: int | None = None
    last_syn: int | None = None
    """The number of the last inbound SYN, when no outbound packet has answered it yet."""
    finished: bool = False
    """The application closed its descriptor: another SYN may begin a new incarnation."""

    def carries(self, datagram: Datagram) -> bool:
        """An outbound packet that belongs to this connection."""
        source, destination = datagram.ports
        return (datagram.source, source) == self.local and (datagram.destination, destination) == self.remote

    # Script to wire, for what is injected.

    def seq_to_wire(self, seq: int, syn: bool) -> int:
        """A number of the remote end. A SYN's is as written."""
        return seq & MASK if syn else self.irs + seq & MASK

    def ack_to_wire(self, ack: int, syn: bool = False) -> int:
        """A number of the local end, in an inbound acknowledgment or SACK block. On a SYN it is as written."""
        return (self.iss or 0) - (self.iss_script if syn else 0) + ack & MASK

    def timestamps_to_wire(self, option: Timestamps, segment: TcpSegment, line: int) -> Timestamps:
        """The echo turned back into what the local end sent. Without ACK it means nothing and stays (RFC 7323 3.2)."""
        if option.ecr is None or option.raw_ecr or "." not in segment.flags:
            return option
        if option.ecr not in self.timestamps:
            raise ScriptError(line, f"TS ecr {option.ecr}: no outbound segment of the script had that TS val")
        return Timestamps(option.val, self.timestamps[option.ecr])

    # Wire to script, for what left.

    def seq_to_script(self, seq: int, syn: bool) -> int:
        """A number of the local end."""
        return relative(seq, self.iss or 0) + (self.iss_script if syn else 0) & MASK

    def ack_to_script(self, ack: int) -> int:
        """A number of the remote end, in an outbound acknowledgment or SACK block."""
        return relative(ack, self.irs)

    def timestamp_to_script(self, val: int) -> int:
        """A local timestamp, shifted so that the first one is the script's."""
        return val - (self.timestamp_shift or 0) & MASK

    def learn_syn(self, seq: int, script_seq: int) -> None:
        """The first outbound SYN fixes the local initial number."""
        if self.iss is None:
            self.iss, self.iss_script = seq, script_seq

    def learn_timestamp(self, val: int, script_val: int) -> None:
        """Every outbound pair is remembered for echoes; the first fixes the shift."""
        if self.timestamp_shift is None:
            self.timestamp_shift = val - script_val & MASK
        self.timestamps[script_val] = val

    def reincarnate(self, iss: int, script_seq: int) -> None:
        """A SYN was answered by a new connection on the same addresses and ports."""
        self.irs, self.last_syn = self.last_syn or 0, None
        self.iss, self.iss_script = iss, script_seq
        self.timestamp_shift = None
        self.timestamps.clear()
        self.finished = False
