"""Accurate ECN (RFC 9768): not only that something was marked, but how much. Counters replace echo and answer.

Both ends count CE-marked packets, and octets of text by codepoint. The low three bits of the packet counter are on
every segment (ACE: where AE, CWR and ECE are), the low 24 of the octet counters in an option; the other end works
out how far they moved. There is no CWR. Deviation: as in Linux everything that we send is ECN-capable, pure ACKs and
retransmissions too (RFC 8311 4.3 lets that be tried; RFC 3168 6.1.4 and 6.1.5 do not).
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.ip.ecn import CE, ECT_0, ECT_1, NOT_ECT
from netstack.tcp import why
from netstack.tcp.ace import FIRST_CEP, Decoder
from netstack.tcp.ecn import Ecn
from netstack.tcp.md5 import SignedPath
from netstack.wire.tcp_options import ACCECN_LEN, ROOMY, Counters

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.recovery import Recovery
    from netstack.tcp.segment import Arrival
    from netstack.units import Micros, Octets, Seq
    from netstack.wire.tcp_options import AccEcn as Option

HANDSHAKE = {NOT_ECT: 0b010, ECT_1: 0b011, ECT_0: 0b100, CE: 0b110}
"""Tables 2 and 3: how a SYN-ACK says what the SYN came with, and the ACK what the SYN-ACK came with."""
SAID = {ace: codepoint for codepoint, ace in HANDSHAKE.items()}
FIRST_OCTETS = {ECT_1: 1, ECT_0: 1, CE: 0}
"""3.2.1: where the counters start, so that zeros are not mistaken for a count."""
ACE_FAIL_RECV, OPT_FAIL_SEND, OPT_FAIL_RECV = 2, 4, 8
"""Bits of tcpi_accecn_fail_mode: we send nothing that is ECN-capable; no option; and believe none."""
UNSEEN, EMPTY, COUNTERS, FAILED = range(4)
"""tcpi_accecn_opt_seen."""
ON_DEMAND, ALWAYS = 1, 2
"""tcp_ecn_option."""
_PLACE = {ECT_1: 1, CE: 2, ECT_0: 3}
"""How many fields our option needs to say this counter."""
_WIPED = 3
"""So many zeros are no coincidence."""
_WRAP = 22
"""3.2.3.3: a counter is repeated at least every 2^22 octets."""
_TOO_LATE: Octets = (1 << 23) - 1
"""3.2.3.2.3: with so much sent and no option seen, the first could no longer be understood."""


class AccEcn(Ecn):
    """The counters of both half-connections, and what is known of the path."""

    __slots__ = (
        "ace", "decoder", "demand", "fail_mode", "first", "handshake_due", "last_codepoint", "least_fields", "newer",
        "obeys", "option", "option_at", "option_seen", "pending", "received", "received_ce", "syn_codepoint",
        "zeros",
    )  # fmt: skip

    def __init__(self, snd_nxt: Seq, syn_codepoint: int) -> None:
        super().__init__(snd_nxt)
        # As the receiver of text.
        self.received_ce = FIRST_CEP
        """r.cep."""
        self.received = dict(FIRST_OCTETS)
        """r.e1b, r.e0b, r.ceb by codepoint."""
        self.pending = 0
        """CE marks since an ACK left."""
        self.last_codepoint = syn_codepoint
        self.syn_codepoint = syn_codepoint
        """What the peer's latest SYN or SYN-ACK came with; we say so."""
        self.handshake_due = False
        """The next pure ACK is the one of the SYN-ACK."""
        self.demand = 0
        """So many more segments carry the option even if it is only sent on demand."""
        self.least_fields = 0
        """An option with fewer would not tell what changed since the last one."""
        self.option_at: Micros = 0
        """When the last one left."""
        # As the sender.
        self.decoder = Decoder()
        self.fail_mode = 0
        self.obeys = True
        self.option_seen = UNSEEN
        self.first = True
        """Nothing but zeros has been fed back yet; `zeros` of them."""
        self.zeros = 0
        # Of the segment being taken in.
        self.ace = FIRST_CEP
        self.newer = False
        """Its timestamp is newer than the last one."""
        self.option: Option | None = None

    # -- what leaves ---------------------------------------------------------------------------------------------------

    def may_merge(self, recovery: Recovery) -> bool:
        """A device that segments clears CWR on all but the first segment: then each is cut here."""
        return not self.received_ce & 2

    def stamp(self, conn: ConnectionCore, seq: Seq, length: Octets, flags: int, tos: int) -> tuple[int, int]:
        """The flags and the TOS octet of a segment that leaves; and whether it has the option: `option_due`."""
        ace = self.received_ce & 7
        if self.handshake_due and not length and not conn.receive_buffer.held:
            ace = HANDSHAKE[self.syn_codepoint]  # 3.2.2.1
            self.handshake_due = False
        self.pending = 0
        if not self.fail_mode & ACE_FAIL_RECV:
            tos |= ECT_0
        mode = conn.tcp.config.ecn_option
        # On demand only where there is room: every segment of text is cut to be full without it.
        fits = not length or mode == ALWAYS or (length <= conn.send_mss - ACCECN_LEN and not conn.reports_gaps)
        self.option_due = fits and conn.path.mtu >= ROOMY and self._wants_option(conn, mode)
        return flags | ace << 6, tos

    def counters(self, now: Micros) -> tuple[Counters, int]:
        """What the option says that leaves now, and how many of the three it must say at least."""
        self.demand -= self.demand > 0
        self.option_at = now
        least, self.least_fields = self.least_fields, 0
        return (self.received[ECT_1], self.received[CE], self.received[ECT_0]), least

    def _wants_option(self, conn: ConnectionCore, mode: int) -> bool:
        """3.2.3.3, as Linux: on every segment, or after a change and a few times per round trip."""
        if conn.recovery.timeouts > 1 and conn.tcb.snd_una == conn.tcb.iss + 1:
            self.fail_mode |= OPT_FAIL_SEND  # 3.2.3.2.2: nothing gets through; perhaps it is the option
        if not mode or self.fail_mode & OPT_FAIL_SEND:
            return False
        if conn.options.md5 is not None and isinstance(conn.path, SignedPath):
            return False
        if mode >= ALWAYS or self.demand:
            return True
        beacon = conn.tcp.config.ecn_option_beacon
        return beacon > 0 and (conn.tcp.now - self.option_at) * beacon >= conn.rtt.srtt

    def room(self, conn: ConnectionCore) -> Octets:
        """What the option takes from a segment of text, beyond what every segment is short of anyway."""
        on_demand = conn.tcp.config.ecn_option == ON_DEMAND and not conn.path.offload
        return ACCECN_LEN if on_demand and not conn.reports_gaps and self._wants_option(conn, ON_DEMAND) else 0

    def option_len(self, conn: ConnectionCore) -> Octets:
        """What it takes from every segment."""
        return ACCECN_LEN if conn.tcp.config.ecn_option == ALWAYS else 0

    def syn_ack_flags(self, timeouts: int) -> int:
        """Table 2; nothing after two timeouts (3.2.3.2.2), and then nothing of ours may be ECN-capable (3.1.5)."""
        if timeouts > 1:
            self.fail_mode |= ACE_FAIL_RECV
            return 0
        return HANDSHAKE[self.syn_codepoint] << 6

    def syn_ack_counters(self, conn: ConnectionCore, again: bool) -> Counters | None:
        """The first counters, to try whether the path lets them through: in the first SYN-ACK only (3.2.3.2.2)."""
        return (1, 0, 1) if conn.tcp.config.ecn_option and not again else None

    # -- what arrives --------------------------------------------------------------------------------------------------

    def on_text(self, conn: ConnectionCore, seg: Arrival, expected: Seq) -> None:
        """An acceptable segment was taken in, with text or without."""
        self.count(conn, seg.ecn, seg.length, max(1, -(-seg.length // conn.acking.rcv_mss)))

    def count(self, conn: ConnectionCore, codepoint: int, length: Octets, segments: int = 1) -> None:
        """3.2: `segments` packets with `length` octets of text came with `codepoint`."""
        acking = conn.acking
        if codepoint != NOT_ECT:
            self.seen = True
            before = self.received[codepoint]
            self.received[codepoint] = before + length
            if length:
                self.least_fields = max(self.least_fields, _PLACE[codepoint])
            if before >> _WRAP != (before + length) >> _WRAP:
                self.demand = max(self.demand, 1)
        if codepoint == CE:
            self.received_ce += segments
            self.pending += segments
        if codepoint != self.last_codepoint or codepoint == CE:
            self.demand = 2
            if length and codepoint != self.last_codepoint:  # 3.2.2.5.1: a change is reported at once
                acking.owe(why.ACK_CONGESTION)
            self.last_codepoint = codepoint
        if conn.tcb.rcv_nxt != conn.tcb.rcv_wup:
            owing = self.pending >= 2
        else:  # an ACK of ACKs, which must not be taken for a duplicate: no SACK blocks
            owing = self.pending >= 3 and not conn.receive_buffer.held
        if owing:
            acking.owe(why.ACK_CONGESTION)
        if acking.due:
            conn.mark()

    def on_flags(self, seg: Arrival) -> None:
        """ACE is no ECE and CWR."""
        self.ace = seg.flags >> 6 & 7
        seg.flags &= ~(7 << 6)

    def on_third_ack(self, conn: ConnectionCore, seg: Arrival) -> None:
        """The ACK of our SYN-ACK. Table 4: without text, ACE says what the SYN-ACK came with."""
        self._note_option(seg.options.accecn)
        if seg.length or seg.options.sack:
            return
        if not self.ace:
            self.distrust()
        came_with = SAID.get(self.ace)
        if came_with == CE:
            self.decoder.cep += 1
        self.check_path(conn, came_with)
        self.ace = self.decoder.cep & 7
        self.demand = max(self.demand, 1)

    def distrust(self) -> None:
        """What the peer says of marks is not to be believed: neither ask for them nor act on them (3.2.2.4)."""
        self.fail_mode |= ACE_FAIL_RECV
        self.obeys = False

    def check_path(self, conn: ConnectionCore, came_with: int | None) -> None:
        """3.2.2.3: our SYN or SYN-ACK was not ECN-capable; if it came so, the path plays with the field."""
        if came_with not in (None, NOT_ECT) and conn.tcp.config.ecn_fallback:
            self.fail_mode |= ACE_FAIL_RECV

    def on_syn_again(self, seg: Arrival) -> None:
        """The peer's SYN once more (3.1.5): the latest counts; one without flags means that it has its doubts."""
        self.syn_codepoint = self.last_codepoint = seg.ecn
        if not seg.flags >> 6 & 7:
            self.fail_mode |= ACE_FAIL_RECV

    def on_syn_ack(self, conn: ConnectionCore, seg: Arrival, came_with: int | None) -> None:
        """The SYN-ACK that agreed to this; it says what our SYN `came_with`."""
        self.handshake_due = True
        self.check_path(conn, came_with)
        if seg.ecn == CE:
            self.received_ce += 1
        if seg.options.accecn is not None:
            self._note_option(seg.options.accecn)
            self.demand = 2

    def _note_option(self, option: Option | None) -> None:
        """3.2.3.2.4: zeros where the first counters should be mean that somebody wiped the option."""
        if option is None or self.option_seen >= COUNTERS:
            return
        values = [value for value in (option.e0b, option.e1b) if value is not None]
        self.option_seen = (FAILED if 0 in values else COUNTERS) if values else EMPTY
        if self.option_seen == FAILED:
            self.fail_mode |= OPT_FAIL_RECV

    def on_ack(
        self, recovery: Recovery, seg: Arrival, ack: Seq, duplicate: bool, ts_ecr: Micros | None, now: Micros
    ) -> bool:
        """As `Recovery.on_ack`, which asks `marked` on the way."""
        self.option = seg.options.accecn
        recovery.marks = self
        restart = recovery.on_ack(ack, seg.options.sack, duplicate, ts_ecr, now)
        recovery.marks = None
        recovery.ecn_mark = False
        return restart

    def marked(self, recovery: Recovery, delivered: int, octets: Octets, progress: bool) -> bool:
        """Whether the ACK being taken in, which delivered so many segments and octets, tells of new marks (3.2.2.2)."""
        if self.first:
            # 3.2.2.4. Three marks right at the start make it zero too, but the next will move it on.
            self.zeros += not self.ace
            self.first = not self.ace and self.zeros < _WIPED
            if self.zeros == _WIPED:
                self.distrust()
        if not (progress or self.newer):
            return False  # superseded (A.1)
        option = self.option
        self._note_option(option)
        sent = recovery.tcb.snd_nxt - recovery.tcb.iss - 1 + recovery.bytes_retrans
        if self.option_seen == UNSEEN and sent >= _TOO_LATE:
            self.option_seen = FAILED
            self.fail_mode |= OPT_FAIL_RECV
        believed = self.option_seen in (EMPTY, COUNTERS)
        moved = self.decoder.read(recovery, self.ace, option, believed, delivered, octets)
        if moved:
            self.delivered_ce += moved
            recovery.mib["TcpExtTCPDeliveredCE"] += moved
        return moved > 0 and self.obeys and not self.first

    def info(self) -> dict[str, int]:
        """What TCP_INFO tells."""
        reported = self.decoder.reported
        return {
            "delivered_ce": self.decoder.cep - FIRST_CEP,
            "received_ce": self.received_ce - FIRST_CEP,
            "delivered_e1_bytes": reported[ECT_1],
            "delivered_e0_bytes": reported[ECT_0],
            "delivered_ce_bytes": reported[CE],
            "received_e1_bytes": self.received[ECT_1] - FIRST_OCTETS[ECT_1],
            "received_e0_bytes": self.received[ECT_0] - FIRST_OCTETS[ECT_0],
            "received_ce_bytes": self.received[CE] - FIRST_OCTETS[CE],
            "accecn_fail_mode": self.fail_mode,
            "accecn_opt_seen": self.option_seen,
        }
