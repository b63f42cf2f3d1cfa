"""Segments as they leave: the one place where the header of a synchronized connection is built.

Every segment carries the current ACK and window, the timestamps, and what SACK has to tell. Bulk data goes to a device
that segments in one piece, and is cut here for one that does not. Whether anything leaves is for `output` and `resend`.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from netstack.seq import MASK
from netstack.tcp import report
from netstack.tcp import why as rules
from netstack.tcp.md5 import SignedPath
from netstack.tcp.urgent import with_pointer
from netstack.units import Micros, Octets, Seq
from netstack.wire.checksum import ones_sum
from netstack.wire.tcp import ACK, FIN, PSH, URG
from netstack.wire.tcp_options import ALIGNED_TIMESTAMP, build_segment

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.tcb import Tcb

_PLAIN = Struct("!IIIHHHH")
"""Both ports as one word, seq, ack, offset and flags, window, checksum, urgent pointer."""
_STAMPED = Struct("!IIIHHHHIII")
"""`_PLAIN` and `<nop,nop,TS>`."""
MAX_SUPER_SEGMENT: Octets = 65_535 - 20 - 60
"""Payload of one super-segment at most: IPv4's total length, less the headers at their largest."""
MOST_SEGMENTS = 256
"""What leaves in one go at most, however small the peer's segments: `limit_output` again, where each costs a frame."""
_MIN_TEXT: Octets = 8
"""SACK blocks leave a data segment at least this much (RFC 2018 3: as many as there is room for)."""


def most_at_once(mss: Octets) -> Octets:
    """Full segments in one super-segment: at least one, which may be larger where the MTU is."""
    return MAX_SUPER_SEGMENT // mss * mss or mss


def segment(
    conn: ConnectionCore, seq: Seq, payload: bytes | memoryview, flags: int, mss: Octets, now: Micros, why: str
) -> None:
    """Build and hand to IP one segment, or one super-segment that the device cuts at `mss`.

    The one place where a header is built for a synchronized connection; every segment carries the current ACK and
    window. For a device that does not segment, the caller has cut already.
    """
    tcb, path, acking, receive = conn.tcb, conn.path, conn.acking, conn.receive_buffer
    rcv_nxt = tcb.rcv_nxt
    steady = conn.window.steady
    if steady and tcb.rcv_wnd and not receive.ready and not receive.held:
        shift = tcb.rcv_wscale
        current = tcb.rcv_wup + tcb.rcv_wnd - rcv_nxt
        window = (steady if steady >= current else current + (1 << shift) - 1) >> shift
        tcb.rcv_wnd = window << shift
    else:
        window = _select_window(conn, tcb)
    tcb.rcv_wup = rcv_nxt
    if acking.quick:
        acking.on_sent(1)
    else:
        acking.due = False
        acking.scheduled = acking.pushed = acking.at = 0
    length = len(payload)
    tos = conn.options.tos
    ecn = conn.ecn
    if ecn is not None:
        flags, tos = ecn.stamp(conn, seq, length, flags, tos)
    pointer = 0 if conn.urgent is None else conn.urgent.pointer(seq, tcb.snd_una)
    if pointer:
        flags |= URG
    if (not conn.plain and tcb.sack_ok and (receive.recent or conn.duplicate is not None)) or (
        ecn is not None and ecn.option_due
    ):
        head = _head_with_more(conn, seq, flags, window, bool(length), now)
        total = path.pseudo + len(head) + length
        if path.offload:
            checksum = total % 0xFFFF
        else:
            checksum = -(total + ones_sum(head) + ones_sum(payload)) % 0xFFFF
        head = head[:16] + checksum.to_bytes(2, "big") + head[18:]
    elif tcb.ts_ok:
        ts_val = (now // 1000 + tcb.ts_offset) & MASK
        offset_flags = 0x8000 | flags
        total = path.pseudo + 32 + length
        if path.offload:
            checksum = total % 0xFFFF
        else:
            total += conn.ports + (seq & MASK) + (rcv_nxt & MASK) + offset_flags + window
            checksum = -(total + ALIGNED_TIMESTAMP + ts_val + tcb.ts_recent + ones_sum(payload)) % 0xFFFF
        head = _STAMPED.pack(
            conn.ports, seq & MASK, rcv_nxt & MASK, offset_flags, window, checksum, 0,
            ALIGNED_TIMESTAMP, ts_val, tcb.ts_recent,
        )  # fmt: skip
    else:
        offset_flags = 0x5000 | flags
        total = path.pseudo + 20 + length
        if path.offload:
            checksum = total % 0xFFFF
        else:
            total += conn.ports + (seq & MASK) + (rcv_nxt & MASK) + offset_flags + window
            checksum = -(total + ones_sum(payload)) % 0xFFFF
        head = _PLAIN.pack(conn.ports, seq & MASK, rcv_nxt & MASK, offset_flags, window, checksum, 0)
    if pointer:
        head = with_pointer(head, pointer, not path.offload)
    tcp = conn.tcp
    segments = 1 if length <= mss else -(-length // mss)
    tcp.counters.tcp_sent += segments
    if length:
        conn.data_segs_out += segments
    else:
        conn.bare_segs_out += 1
    if tcp.events is not None:
        report.sent(conn, seq, flags, tcb.rcv_wnd, length, why, now)
    path.send(head, payload, mss, tos, now, conn.options.ttl or 64)


def _select_window(conn: ConnectionCore, tcb: Tcb) -> int:
    """Work out RCV.WND; returns the field that says it. A window that closes, or opens again, is counted."""
    offered = tcb.rcv_wnd
    if conn.no_memory:  # 3.8.6 SHLD-14: the edge should not move left. Deviation: it does then, as in Linux
        conn.no_memory = False
        chosen = 0
    else:
        chosen = conn.window.select(tcb, conn.packets.settle(), conn.acking)
    tcb.rcv_wnd = chosen
    if not chosen:
        conn.packets.predicted = False
    if chosen != offered and not (chosen and offered):
        conn.tcp.counters.mib["TcpExtTCPFromZeroWindowAdv" if chosen else "TcpExtTCPToZeroWindowAdv"] += 1
    return min(chosen >> tcb.rcv_wscale, 0xFFFF)  # RCV.WND itself may be more than the field can say (Linux)


def _head_with_more(conn: ConnectionCore, seq: Seq, flags: int, window: int, text: bool, now: Micros) -> bytes:
    """A header that reports what lies beyond a gap (RFC 2018 4), or arrived twice (RFC 2883 4, first block); or how
    many octets came with which codepoint (RFC 9768 3.2.3)."""
    tcb, ecn = conn.tcb, conn.ecn
    stamps = ((now // 1000 + tcb.ts_offset) & MASK, tcb.ts_recent) if tcb.ts_ok else None
    blocks = conn.sack_blocks()[: _block_limit(conn, text)] if tcb.sack_ok else ()
    if ecn is not None and ecn.option_due:
        counters, least = ecn.counters(now)
        options = build_segment(stamps, blocks, counters, least)
    else:
        options = build_segment(stamps, blocks)
    conn.duplicate = None
    acking = conn.acking
    if acking.compressed:
        conn.tcp.counters.mib["TcpExtTCPAckCompressed"] += acking.compressed
        acking.compressed = 0
    offset_flags = (20 + len(options)) << 10 | flags
    return _PLAIN.pack(conn.ports, seq & MASK, tcb.rcv_nxt & MASK, offset_flags, window, 0, 0) + options


def _block_limit(conn: ConnectionCore, text: bool) -> int:
    """How many SACK blocks a segment has room for: one with text keeps some, any other need only fit the path."""
    ts_ok = conn.tcb.ts_ok
    room = conn.send_mss - _MIN_TEXT if text else conn.path.mtu - (52 if ts_ok else 40)
    most = 3 if ts_ok else 4
    if isinstance(conn.path, SignedPath):
        most = 0 if ts_ok else 2
    return max(min((room - 4) // 8, most), 0)


def sack_room(conn: ConnectionCore) -> Octets:
    """Octets that SACK blocks will take from a data segment."""
    if not conn.tcb.sack_ok or not (conn.receive_buffer.recent or conn.duplicate is not None):
        return 0
    blocks = min(len(conn.receive_buffer.recent) + (conn.duplicate is not None), _block_limit(conn, True))
    return 4 + 8 * blocks if blocks else 0


def send_ack(conn: ConnectionCore, now: Micros) -> None:
    """A pure ACK: <SEQ=SND.NXT><ACK=RCV.NXT><CTL=ACK>."""
    segment(conn, conn.tcb.snd_nxt, b"", ACK, 1, now, rules.ACK)


def send_range(conn: ConnectionCore, seq: Seq, length: Octets, flags: int, mss: Octets, now: Micros, why: str) -> None:
    """Octets [seq, seq + length), PSH and FIN on the last: in one piece if the device segments, else cut here."""
    mss -= sack_room(conn)
    merge = conn.path.offload
    if conn.ecn is not None:
        mss -= conn.ecn.room(conn)
        merge = merge and conn.ecn.may_merge(conn.recovery)
    if length <= mss or (merge and length <= MAX_SUPER_SEGMENT):
        payload = conn.send_buffer.read(seq, length) if length else b""
        segment(conn, seq, payload, flags, mss, now, why)
        return
    step = most_at_once(mss) if merge else mss
    end = seq + length
    while seq < end:
        take = min(step, end - seq)
        now_flags = flags if seq + take == end else flags & ~(FIN | PSH)
        segment(conn, seq, conn.send_buffer.read(seq, take), now_flags, mss, now, why)
        seq += take
