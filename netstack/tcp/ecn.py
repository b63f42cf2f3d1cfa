"""Explicit congestion notification (RFC 3168): a router marks instead of dropping, and we slow down all the same.

The receiver says ECE on every ACK from the first CE mark until it hears CWR; the sender reduces cwnd once per window
for it and says CWR on the next new data. Only data that is sent for the first time is ECN-capable: SYNs, ACKs,
retransmissions and bare FINs are not (6.1.1, 6.1.4, 6.1.5), because nobody would notice if a router dropped them.

A connection that negotiated ECN has an `Ecn` and is an `EcnConnection`: it looks at the IP header of what arrives, and
all others need not even ask whether they should.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.ip import ecn as ip_ecn
from netstack.ip.ecn import CE, ECT_0, NOT_ECT
from netstack.tcp import why
from netstack.wire.tcp import AE, CWR, ECE, SYN

if TYPE_CHECKING:
    from netstack.config import TcpConfig
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.recovery import Recovery
    from netstack.tcp.segment import Arrival
    from netstack.units import Micros, Octets, Seq

OFF, ON, ACCEPT = 0, 1, 2
"""tcp_ecn: never; asked for and accepted; accepted when the peer asks (Linux's default)."""
_SETUP = ECE | CWR
_FLAGS = AE | CWR | ECE
_MOST_QUICK = 2


class Ecn:
    """The variables of one connection."""

    __slots__ = ("delivered_ce", "demands_cwr", "high", "seen")

    def __init__(self, snd_nxt: Seq) -> None:
        self.demands_cwr = False
        """A CE mark came, and no CWR since: every segment of ours says ECE (6.1.3)."""
        self.high: Seq = snd_nxt
        """What lies below was sent before."""
        self.seen = False
        """The peer has sent us ECN-capable data."""
        self.delivered_ce = 0
        """Segments delivered by ACKs that said ECE."""

    # -- what leaves ---------------------------------------------------------------------------------------------------

    def may_merge(self, recovery: Recovery) -> bool:
        """A super-segment may be sent: there is no CWR to say, which belongs on one segment only."""
        return not recovery.cwr_due

    def stamp(self, recovery: Recovery, seq: Seq, length: Octets, flags: int, tos: int) -> tuple[int, int]:
        """The flags and the TOS octet of a segment that leaves."""
        if self.demands_cwr:
            flags |= ECE
        if length and seq >= self.high:
            self.high = seq + length
            tos |= ECT_0
            if recovery.cwr_due:
                recovery.cwr_due = False
                flags |= CWR  # 6.1.2: on the first new data after the reduction
        return flags, tos

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


# -- negotiation (6.1.1) ---------------------------------------------------------------------------------------------


def ask(conn: ConnectionCore, again: bool) -> int:
    """The flags of our SYN: ECE and CWR make it an ECN-setup SYN. `again`: it went unanswered, so try without."""
    config = conn.tcp.config
    if config.ecn != ON or (again and config.ecn_fallback):
        return 0
    conn.ecn_asked = True
    return _SETUP


def on_syn(conn: ConnectionCore, seg: Arrival) -> None:
    """The peer's SYN reached a listener, or crossed ours."""
    if wanted(conn.tcp.config, seg) and (not conn.active or conn.ecn_asked):
        begin(conn)


def wanted(config: TcpConfig, seg: Arrival) -> bool:
    """This is an ECN-setup SYN, and we are willing.

    One that is itself ECN-capable is not, as 6.1.1 forbids that: something on its way sets bits of its own.
    """
    return config.ecn != OFF and seg.flags & _SETUP == _SETUP and (seg.ecn == NOT_ECT or bool(seg.flags & AE))


def on_syn_ack(conn: ConnectionCore, seg: Arrival) -> None:
    """The answer to our SYN: ECE alone makes it an ECN-setup SYN-ACK."""
    if conn.ecn_asked and seg.flags & _FLAGS == ECE:
        begin(conn)


def begin(conn: ConnectionCore) -> None:
    """Both sides agreed."""
    conn.ecn = Ecn(conn.tcb.iss + 1)
    conn.tcp.make_ecn_capable(conn)


def looks_odd(conn: ConnectionCore, frame: bytes, ip_at: Octets) -> bool:
    """Text arrived with other than ECT(0): the slow path is to see it."""
    codepoint = ip_ecn.field(frame, ip_at)
    if codepoint == ECT_0 and conn.ecn is not None:
        conn.ecn.seen = True
        return False
    return True
