"""Explicit congestion notification (RFC 3168): a router marks instead of dropping, and we slow down all the same.

The receiver says ECE on every ACK from the first CE mark until it hears CWR; the sender reduces cwnd once per window
for it and says CWR on the next new data. Only data that is sent for the first time is ECN-capable: SYNs, ACKs,
retransmissions and bare FINs are not (6.1.1, 6.1.4, 6.1.5), because nobody would notice if a router dropped them.

A connection that negotiated ECN (`ecn_setup`) has an `Ecn` and is an `EcnConnection`: it looks at the IP header of what
arrives, and all others need not even ask whether they should. RFC 9768's accurate variant is in `accecn`.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.ip.ecn import CE, ECT_0, NOT_ECT
from netstack.tcp import why
from netstack.wire.tcp import CWR, ECE, SYN

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.recovery import Recovery
    from netstack.tcp.segment import Arrival
    from netstack.units import Micros, Octets, Seq
    from netstack.wire.tcp_options import Counters

_MOST_QUICK = 2


class Ecn:
    """The variables of one connection."""

    __slots__ = ("delivered_ce", "demands_cwr", "high", "option_due", "seen")

    def __init__(self, snd_nxt: Seq) -> None:
        self.demands_cwr = False
        """A CE mark came, and no CWR since: every segment of ours says ECE (6.1.3)."""
        self.high: Seq = snd_nxt
        """What lies below was sent before."""
        self.seen = False
        """The peer has sent us ECN-capable data."""
        self.delivered_ce = 0
        """Segments delivered by ACKs that said ECE."""
        self.option_due = False
        """The segment that leaves now carries an AccECN option: see `accecn`."""

    # -- what leaves ---------------------------------------------------------------------------------------------------

    def may_merge(self, recovery: Recovery) -> bool:
        """A super-segment may be sent: there is no CWR to say, which belongs on one segment only."""
        return not recovery.cwr_due

    def stamp(self, conn: ConnectionCore, seq: Seq, length: Octets, flags: int, tos: int) -> tuple[int, int]:
        """The flags and the TOS octet of a segment that leaves."""
        if self.demands_cwr:
            flags |= ECE
        if length and seq >= self.high:
            self.high = seq + length
            tos |= ECT_0
            if conn.recovery.cwr_due:
                conn.recovery.cwr_due = False
                flags |= CWR  # 6.1.2: on the first new data after the reduction
        return flags, tos

    def counters(self, now: Micros) -> tuple[Counters, int]:
        """What that option says, and how many of the three it must say at least."""
        raise NotImplementedError

    def room(self, conn: ConnectionCore) -> Octets:
        """What it takes from a segment of text that is sent now,"""
        return 0

    def option_len(self, conn: ConnectionCore) -> Octets:
        """and from every one."""
        return 0

    # -- what arrives --------------------------------------------------------------------------------------------------

    def on_text(self, conn: ConnectionCore, seg: Arrival, expected: Seq) -> None:
        """An acceptable segment was taken in; `expected`: RCV.NXT before. Marks count on text that is new only."""
        if not seg.length:
            return
        acking = conn.acking
        if seg.flags & CWR:
            self.demands_cwr = False
            acking.owe(why.ACK_CONGESTION)  # the sender's cwnd may be one segment
            conn.mark()
        if seg.seq + seg.length <= expected:
            return
        codepoint = seg.ecn
        if codepoint == NOT_ECT:
            if self.seen:
                acking.hurry(_MOST_QUICK, conn.tcb.rcv_wnd)  # a retransmission, by the look of it
            return
        self.seen = True
        if codepoint == CE and not self.demands_cwr:
            self.demands_cwr = True
            acking.hurry(_MOST_QUICK, conn.tcb.rcv_wnd)

    def on_ack(
        self, recovery: Recovery, seg: Arrival, ack: Seq, duplicate: bool, ts_ecr: Micros | None, now: Micros
    ) -> bool:
        """As `Recovery.on_ack`, with what the ACK says of marks."""
        prior = recovery.delivered
        recovery.ecn_mark = seg.flags & (ECE | SYN) == ECE
        restart = recovery.on_ack(ack, seg.options.sack, duplicate, ts_ecr, now)
        if recovery.ecn_mark:
            recovery.ecn_mark = False
            delivered = recovery.delivered - prior
            self.delivered_ce += delivered
            recovery.mib["TcpExtTCPDeliveredCE"] += delivered
        return restart

    # -- the handshake -------------------------------------------------------------------------------------------------

    def syn_ack_flags(self, timeouts: int) -> int:
        """6.1.1: ECE alone makes it an ECN-setup SYN-ACK. `timeouts`: of this SYN-ACK so far."""
        return ECE

    def syn_ack_counters(self, conn: ConnectionCore, again: bool) -> Counters | None:
        """Of an AccECN option in a SYN-ACK."""
        return None

    def on_syn_again(self, seg: Arrival) -> None:
        """The peer's SYN once more."""

    def on_flags(self, seg: Arrival) -> None:
        """A segment whose flags nobody has looked at yet."""

    def on_third_ack(self, conn: ConnectionCore, seg: Arrival) -> None:
        """The ACK of our SYN-ACK."""

    def info(self) -> dict[str, int]:
        """What TCP_INFO tells."""
        return {"delivered_ce": self.delivered_ce}
