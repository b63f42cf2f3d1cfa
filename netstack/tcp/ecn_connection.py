"""What a connection becomes once ECN was negotiated: one that looks at the IP header of what arrives."""

from __future__ import annotations

from netstack.tcp import ecn
from netstack.tcp.connection import Connection
from netstack.units import Micros


class EcnConnection(Connection):
    """A `Connection` of another class: so the per-segment path of those without ECN has nothing to ask."""

    __slots__ = ()

    def on_segment(
        self, frame: bytes, ip_at: int, at: int, text: int, end: int, wire_seq: int, wire_ack: int, flags: int,
        window: int, urgent: int, now: Micros,
    ) -> None:  # fmt: skip
        """As `Connection.on_segment`; header prediction is for text with ECT(0), or none."""
        if end > text and self.plain and ecn.looks_odd(self, frame, ip_at):
            self.plain = False
        super().on_segment(frame, ip_at, at, text, end, wire_seq, wire_ack, flags, window, urgent, now)
