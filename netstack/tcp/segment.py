"""An arriving segment as the numbered checks see it: unwrapped numbers, scaled window, parsed options.

Only the slow path builds one; header prediction in `connection` works on the bare fields.
"""

from netstack.ip.ecn import field
from netstack.units import Micros, Octets, Seq
from netstack.wire.tcp import FIN, SYN
from netstack.wire.tcp_options import Options, parse


class Arrival:
    """SEG.SEQ, SEG.ACK, SEG.LEN, SEG.WND of one segment, and where its text lies."""

    __slots__ = ("ack", "data", "flags", "ip_at", "length", "options", "seq", "text", "urgent", "wnd")

    def __init__(
        self, data: bytes, ip_at: int, text: int, end: int, options_at: int,
        seq: Seq, ack: Seq, flags: int, wnd: Octets, urgent: int,
    ) -> None:  # fmt: skip
        self.data = data
        self.ip_at = ip_at
        """Offset of the IP header in `data`."""
        self.text = text
        """Offset of the first octet of text in `data`."""
        self.length: Octets = end - text
        """Octets of text (SYN and FIN not counted: see `end`)."""
        self.seq = seq
        self.ack = ack
        self.flags = flags
        self.wnd = wnd
        self.urgent = urgent
        self.options: Options = parse(data, options_at, text)

    @property
    def ecn(self) -> int:
        """The codepoint in the IP header (RFC 3168 5)."""
        return field(self.data, self.ip_at)

    @property
    def end(self) -> Seq:
        """SEG.SEQ + SEG.LEN: one past the last sequence number the segment occupies (3.4)."""
        return self.seq + self.length + (1 if self.flags & SYN else 0) + (1 if self.flags & FIN else 0)


def echoed_at(ts_ecr: int, ts_offset: int, now: Micros) -> Micros | None:
    """When (on our clock, to the millisecond) the segment left whose TSval is echoed; None when it makes no sense."""
    milliseconds = now // 1000
    age = (milliseconds + ts_offset - ts_ecr) & 0xFFFF_FFFF
    if not ts_ecr or age > 0x7FFF_FFFF or age > milliseconds:
        return None
    return (milliseconds - age) * 1000
