"""What a connection becomes once ECN was negotiated: one that looks at the IP header of what arrives.

A `Connection` of another class: so the per-segment path of those without ECN has nothing to ask.
"""

from __future__ import annotations

from netstack.ip.ecn import CE, ECT_0, field
from netstack.tcp.accecn import AccEcn
from netstack.tcp.connection import Connection
from netstack.tcp.emit import send_ack
from netstack.units import Micros
from netstack.wire.tcp import ACK, AE, CWR, ECE, SYN
from netstack.wire.tcp_options import ALIGNED, ALIGNED_TIMESTAMP

_ACE = AE | CWR | ECE
_MANY = 7


class EcnConnection(Connection):
    """With RFC 3168's ECN."""

    __slots__ = ()

    def on_segment(
        self, frame: bytes, ip_at: int, at: int, text: int, end: int, wire_seq: int, wire_ack: int, flags: int,
        window: int, urgent: int, now: Micros,
    ) -> None:  # fmt: skip
        """As `Connection.on_segment`; header prediction is for text with ECT(0), or none."""
        if end > text and self.plain:
            if field(frame, ip_at) != ECT_0:
                self.plain = False
            elif self.ecn is not None:
                self.ecn.seen = True
        super().on_segment(frame, ip_at, at, text, end, wire_seq, wire_ack, flags, window, urgent, now)


class AccEcnConnection(Connection):
    """With RFC 9768's: ACE is taken off each segment first, so that prediction still works when it has not moved."""

    __slots__ = ()

    def on_segment(
        self, frame: bytes, ip_at: int, at: int, text: int, end: int, wire_seq: int, wire_ack: int, flags: int,
        window: int, urgent: int, now: Micros,
    ) -> None:  # fmt: skip
        """As `Connection.on_segment`."""
        ecn, tcb, recovery = self.ecn, self.tcb, self.recovery
        assert isinstance(ecn, AccEcn)
        if flags & SYN:
            super().on_segment(frame, ip_at, at, text, end, wire_seq, wire_ack, flags, window, urgent, now)
            confirms = flags & ACK and flags & _ACE not in (0, ECE, _ACE)
            if confirms and self.acking.due and tcb.state.synchronized:
                ecn.syn_codepoint, ecn.handshake_due = field(frame, ip_at), True  # 3.2.2.1: said again
            return
        codepoint = field(frame, ip_at)
        ecn.ace = flags >> 6 & 7
        ecn.newer = False
        if tcb.ts_ok and text - at >= 32:
            word, ts_val, _ = ALIGNED.unpack_from(frame, at + 20)
            ecn.newer = word == ALIGNED_TIMESTAMP and 0 < (ts_val - tcb.ts_recent) & 0xFFFF_FFFF < 1 << 31
        if self.plain and (
            codepoint == CE
            or codepoint != ecn.last_codepoint
            or ecn.ace != ecn.decoder.cep & 7
            or ecn.first
            or (wire_ack - tcb.snd_una) & 0xFFFF_FFFF > _MANY * self.send_mss
        ):
            self.plain = False
        predictable, missed = self.plain, self.unpredicted_data + self.unpredicted_bare
        delivered = recovery.delivered
        super().on_segment(frame, ip_at, at, text, end, wire_seq, wire_ack, flags & ~_ACE, window, urgent, now)
        if predictable and self.unpredicted_data + self.unpredicted_bare == missed:
            ecn.decoder.note(recovery.delivered - delivered)
            ecn.count(self, codepoint, end - text)
        return

    def transmit(self, now: Micros) -> None:
        """RFC 9768 3.2.2.1: before anything else, a pure ACK that says what the SYN-ACK came with."""
        ecn = self.ecn
        if isinstance(ecn, AccEcn) and ecn.handshake_due and self.tcb.state.synchronized and not self.reset_due:
            send_ack(self, now)
        super().transmit(now)
