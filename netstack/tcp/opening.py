"""Opening: our SYN and SYN-ACK, what they negotiate, and the checks of SYN-SENT (RFC 9293 3.5, 3.10.7.3).

Negotiated on SYNs only: MSS (3.7.1), window scale and timestamps (RFC 7323), SACK-permitted (RFC 2018), laid out as
Linux writes them.
"""

from __future__ import annotations

from errno import ECONNREFUSED
from struct import Struct
from typing import TYPE_CHECKING

from netstack.config import TcpConfig
from netstack.ip.path import Path
from netstack.seq import MASK
from netstack.tcp import ecn_setup, fast_open_client, report, timer_kind, why, window
from netstack.tcp.emit import segment, send_ack
from netstack.tcp.md5 import SignedPath, signature_room
from netstack.tcp.modelled import begin
from netstack.tcp.options import SocketOptions
from netstack.tcp.scoreboard import Sent
from netstack.tcp.segment import Arrival, echoed_at
from netstack.tcp.state import LISTEN, SYN_SENT, Cause
from netstack.units import MILLISECOND, Micros, Octets
from netstack.wire.checksum import ones_sum
from netstack.wire.tcp import ACK, FIN, RST, SYN
from netstack.wire.tcp_options import ROOMY, Options, build_segment, build_syn

if TYPE_CHECKING:
    from netstack.tcp.connection import Connection
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.fast_open import FastOpen

_PLAIN = Struct("!IIIHHHH")
_FIXED_HEADERS: Octets = 40
"""IPv4 and TCP without options (RFC 9293 3.7.1, RFC 6691)."""
_TIMESTAMP_LEN: Octets = 12


def receive_mss(path: Path | SignedPath, options: SocketOptions, config: TcpConfig) -> Octets:
    """RMSS: what we tell the peer; our link's MTU less the fixed headers, or what is configured, or TCP_MAXSEG."""
    mss = config.advmss or path.mtu - _FIXED_HEADERS
    return min(mss, options.maxseg) if options.maxseg else mss


def settle(conn: ConnectionCore, options: Options, now: Micros) -> None:
    """The peer's SYN options met ours: fix what the connection uses."""
    tcb, config, path = conn.tcb, conn.tcp.config, conn.path
    clamp = options.mss or config.default_mss
    if conn.options.maxseg:
        clamp = min(clamp, conn.options.maxseg)
    conn.mss_clamp = max(clamp, 48)  # less would have us send headers only (Linux's TCP_MIN_SND_MSS)
    conn.path_mtu = path.mtu
    tcb.smss = min(conn.mss_clamp, path.mtu - _FIXED_HEADERS)
    tcb.ts_ok = config.timestamps and options.ts_val is not None
    if tcb.ts_ok:
        tcb.ts_recent = options.ts_val or 0
        tcb.ts_recent_at = now
    tcb.eff_snd_mss = tcb.smss - (_TIMESTAMP_LEN if tcb.ts_ok else 0)
    tcb.sack_ok = config.sack and options.sack_permitted
    conn.recovery.may_probe = tcb.sack_ok and config.early_retrans >= 3
    if config.window_scaling and options.wscale is not None:
        tcb.snd_wscale = options.wscale
        tcb.rcv_wscale = window.scale_for(config, conn.options)
    else:
        tcb.snd_wscale = tcb.rcv_wscale = 0
    conn.send_mss = conn.recovery.scoreboard.mss = tcb.eff_snd_mss - signature_room(conn.path)



def offer(conn: ConnectionCore, now: Micros) -> bytes:
    """The options of our SYN or SYN-ACK: all we can do, or what remains after the peer's SYN.

    Beside a signature our SYN asks for no timestamps, as in Linux. Deviation: nor for Fast Open or accurate ECN's
    counters, for which Linux would find room.
    """
    tcb, config = conn.tcb, conn.tcp.config
    if tcb.state is SYN_SENT or conn.active:  # in a simultaneous open too: it is the SYN again, with an ACK (Linux)
        options = conn.options
        stamps, sack = config.timestamps and not signature_room(conn.path), config.sack
        shift = window.scale_for(config, options) if config.window_scaling else None
    else:
        stamps, sack = tcb.ts_ok, tcb.sack_ok
        shift = tcb.rcv_wscale if tcb.rcv_wscale or tcb.snd_wscale or conn.wscale_seen else None
    times = ((now // 1000 + tcb.ts_offset) & MASK, tcb.ts_recent) if stamps else None
    fast, counters = conn.fast_open, None
    if conn.path.mtu < ROOMY or signature_room(conn.path):
        return build_syn(tcb.rmss, shift, sack, times)
    if conn.ecn is not None:
        records = conn.recovery.scoreboard.records
        again = fast.answered if fast is not None and fast.speaking else bool(records and records[0].times)
        counters = conn.ecn.syn_ack_counters(conn, again)
    if fast is None or fast.cookie is None:
        return build_syn(tcb.rmss, shift, sack, times, accecn=counters)
    bare = build_syn(tcb.rmss, shift, sack, times)
    whole = build_syn(tcb.rmss, shift, sack, times, fast.cookie, fast.experimental, counters)
    fast.asked = tcb.state is SYN_SENT and len(whole) > len(bare)
    fast.cookie = None  # said once; what goes out again might not get through for it
    return whole


def transmit(conn: ConnectionCore, now: Micros) -> None:
    """SYN-SENT and SYN-RECEIVED: the SYN when it is due; else an ACK that a challenge or a peer's SYN asked for."""
    if conn.syn_due:
        conn.syn_due = False
        _send_syn(conn, now)
    elif conn.acking.due and conn.tcb.state is not SYN_SENT:
        if conn.listener is None or (conn.fast_open is not None and conn.fast_open.speaking):
            send_ack(conn, now)
        else:
            _send_half_open_ack(conn, now)
    if conn.user_gone and not conn.fin_sent and conn.active and conn.send_buffer.end == conn.tcb.snd_nxt:
        _send_early_fin(conn, now)


def _send_early_fin(conn: ConnectionCore, now: Micros) -> None:
    """3.10.4: a CLOSE in SYN-RECEIVED forms its FIN at once, with nothing to send."""
    tcb, board = conn.tcb, conn.recovery.scoreboard
    record = Sent(tcb.snd_nxt, tcb.snd_nxt + 1, 1, now)
    record.fin = 1
    board.records.append(record)
    board.packets_out += 1
    conn.fin_sent = True
    segment(conn, tcb.snd_nxt, b"", FIN | ACK, 1, now, why.FIN)
    tcb.snd_nxt = record.end


def _send_half_open_ack(conn: ConnectionCore, now: Micros) -> None:
    """A pure ACK of a half-open connection: its window is what the SYN-ACK said, now scaled (Linux)."""
    tcb, window = conn.tcb, field_of(conn.tcb.rcv_wnd) >> conn.tcb.rcv_wscale
    options = build_segment(((now // 1000 + tcb.ts_offset) & MASK, tcb.ts_recent) if tcb.ts_ok else None)
    word = (20 + len(options)) << 10 | ACK
    head = _PLAIN.pack(conn.ports, tcb.snd_nxt & MASK, tcb.rcv_nxt & MASK, word, window, 0, 0) + options
    conn.acking.on_sent(1)
    conn.tcp.counters.mib["TcpOutSegs"] += 1
    if conn.tcp.events is not None:
        report.sent(conn, tcb.snd_nxt, ACK, window << tcb.rcv_wscale, 0, why.ACK, now)
    conn.path.send(_checksummed(conn, head, b""), b"", 0, conn.options.tos, now, conn.options.ttl or 64)


def _send_syn(conn: ConnectionCore, now: Micros) -> None:
    tcb, board = conn.tcb, conn.recovery.scoreboard
    if tcb.state is SYN_SENT:
        flags = SYN | ecn_setup.ask(conn, board.records[0].times if board.records else 0)
    else:
        flags = SYN | ACK | (0 if conn.ecn is None else conn.ecn.syn_ack_flags(conn.recovery.timeouts))
    fast = conn.fast_open
    size = fast.size if fast is not None and not board.records else 0
    tcb.rcv_wnd = conn.window.ssthresh  # to which we hold ourselves, though a SYN cannot say more than 64 KiB
    tcb.rcv_wup = tcb.rcv_nxt
    head = _header(conn, flags, tcb.rcv_wnd, size, now)
    mib = conn.tcp.counters.mib
    again = bool(board.records)
    if not again:
        board.records.append(Sent(tcb.iss, tcb.iss + 1, 1, now))
        board.packets_out += 1
        conn.opened_at = now
        mib["TcpOutSegs"] += 1
        tcb.snd_nxt = tcb.iss + 1
        if tcb.state is SYN_SENT:
            conn.recovery.stalled_since = now  # the user's patience counts from here
        conn.start_timer(timer_kind.RETRANSMIT, now + conn.rtt.timeout())
        if size:
            fast_open_client.note_sent(conn, size, now)
    else:
        board.records[0].sent_at = now
        if board.records[0].times or conn.listener is not None:
            mib["TcpRetransSegs"] += 1
            mib["TcpExtTCPSynRetrans"] += 1
            mib["TcpOutSegs"] += conn.listener is not None  # where a SYN-ACK is made anew, Linux counts it as sent
            conn.recovery.total_retrans += 1
    conn.bare_segs_out += conn.active and not size  # a listener's child begins to count behind the SYN-ACK
    conn.acking.on_sent(1)
    if conn.tcp.events is not None:
        rule = why.RETRANSMISSION if again else why.SYN_ACK if flags & ACK else why.SYN
        report.sent(conn, tcb.iss, flags, field_of(tcb.rcv_wnd), size, rule, now)
    text = conn.send_buffer.read(tcb.iss + 1, size) if size else b""
    conn.path.send(_checksummed(conn, head, text), text, 0, conn.options.tos, now, conn.options.ttl or 64)


def _header(conn: ConnectionCore, flags: int, offered: Octets, size: Octets, now: Micros) -> bytes:
    """A SYN or SYN-ACK, its checksum still zero; `size` octets of text follow it."""
    tcb = conn.tcb
    options = offer(conn, now)
    ack = tcb.rcv_nxt & MASK if flags & ACK else 0
    offset_flags = (20 + len(options)) << 10 | flags
    return _PLAIN.pack(conn.ports, tcb.iss & MASK, ack, offset_flags, field_of(offered), 0, 0) + options


def field_of(offered: Octets) -> int:
    """How a SYN says that so much is offered: never scaled (RFC 7323 2.2)."""
    return min(offered, window.MAX_UNSCALED)


def _checksummed(conn: ConnectionCore, head: bytes, text: bytes | memoryview) -> bytes:
    total = conn.path.pseudo + len(head) + len(text)
    checksum = total % 0xFFFF if conn.path.offload else -(total + ones_sum(head) + ones_sum(text)) % 0xFFFF
    return head[:16] + checksum.to_bytes(2, "big") + head[18:]


def send_early_syn_ack(conn: ConnectionCore, fast: FastOpen, now: Micros) -> None:
    """The SYN-ACK of a connection whose user has it already (RFC 7413): it covers the data, and leaves no record."""
    flags = SYN | ACK | (0 if conn.ecn is None else conn.ecn.syn_ack_flags(fast.timeouts))
    head = _header(conn, flags, fast.offered, 0, now)
    mib = conn.tcp.counters.mib
    mib["TcpOutSegs"] += 1
    if fast.answered:
        mib["TcpRetransSegs"] += 1
        mib["TcpExtTCPSynRetrans"] += 1
        conn.recovery.total_retrans += 1
    if conn.tcp.events is not None:
        rule = why.RETRANSMISSION if fast.answered else why.SYN_ACK
        report.sent(conn, conn.tcb.iss, flags, field_of(fast.offered), 0, rule, now)
    fast.answered = True
    conn.path.send(_checksummed(conn, head, b""), b"", 0, conn.options.tos, now, conn.options.ttl or 64)


def resume(conn: ConnectionCore, now: Micros) -> None:
    """SYN-RECEIVED of which nothing was kept but a cookie: as if our SYN-ACK had just left, twice."""
    tcb, board = conn.tcb, conn.recovery.scoreboard
    tcb.rcv_wnd = conn.window.ssthresh
    record = Sent(tcb.iss, tcb.iss + 1, 1, now)
    record.times = 1  # when it left is not known, so only an echoed timestamp may tell the round-trip time
    board.records.append(record)
    board.packets_out += 1
    tcb.snd_nxt = tcb.iss + 1
    conn.opened_at = conn.last_received_at = now


def syn_sent_arrives(conn: Connection, seg: Arrival, now: Micros) -> None:
    """3.10.7.3: first the ACK bit, second RST, third nothing, fourth SYN, fifth everything else is dropped."""
    tcb = conn.tcb
    if seg.flags & ACK and not tcb.iss < seg.ack <= tcb.snd_nxt:
        if not seg.flags & RST:
            conn.tcp.reset_for(conn, seg.ack, now)
        conn.drop("ack_unacceptable", now)
        if not conn.recovery.timeouts and conn.recovery.scoreboard.records:
            # The peer may have been in an old connection, which our RST ends: the SYN again, soon (Linux).
            conn.start_timer(timer_kind.RETRANSMIT, now + 8 * MILLISECOND)
        return
    if seg.flags & RST:
        if seg.flags & ACK:
            conn.fail(ECONNREFUSED, Cause.PEER_RESET)
        else:
            conn.drop("rst_without_ack", now)
        return
    if not seg.flags & SYN:
        conn.drop("no_syn", now)
        return
    hear_syn(conn, seg, now)
    if not seg.flags & ACK:
        ecn_setup.on_syn(conn, seg)
        conn.move(Cause.PEER_SYN)  # simultaneous open (3.5, Figure 8): <SEQ=ISS><ACK=RCV.NXT><CTL=SYN,ACK>
        conn.syn_due = True
        for syn in conn.recovery.scoreboard.records:  # none, when the peer's SYN came before ours left
            syn.times = 0
        conn.mark()
        return
    ecn_setup.on_syn_ack(conn, seg)
    ecr = seg.options.ts_ecr
    ts_ecr = echoed_at(ecr, tcb.ts_offset, now) if ecr is not None and tcb.ts_ok else None
    tcb.snd_wnd = tcb.max_snd_wnd = seg.wnd
    tcb.snd_wl1 = seg.seq
    recovery = conn.recovery
    retransmitted = recovery.timeouts
    recovery.on_ack(seg.ack, (), False, ts_ecr, now)
    recovery.timeouts = retransmitted
    note_retransmissions(conn, ecr)
    conn.timer_at = 0
    conn.move(Cause.PEER_SYN_ACK)
    conn.on_open(now)
    conn.acking.last_data_at = now
    conn.rtt.settle()
    begin(recovery, now)
    fast = conn.fast_open
    if fast is None or not fast_open_client.on_syn_ack(conn, fast, seg, now):
        if fast is None or not fast.more_waits:
            conn.acking.answer(why.ACK_HANDSHAKE)  # the first text that comes decides how many are quick
        else:
            conn.acking.enter_quick(16, tcb.rcv_wnd)
            conn.acking.due, conn.acking.scheduled = False, 0
        conn.mark()


def note_retransmissions(conn: ConnectionCore, ecr: int | None) -> None:
    """RFC 5681 3.1, RFC 6298 5.7: start with one segment when more than one SYN (or SYN-ACK) was needed.

    Unless the echoed timestamp is that of the first: then none was lost, it only took long (RFC 3522's idea).
    """
    recovery, tcb = conn.recovery, conn.tcb
    first_arrived = tcb.ts_ok and ecr == (conn.opened_at // 1000 + tcb.ts_offset) & MASK
    if recovery.timeouts and recovery.total_retrans > 1 and not first_arrived:
        recovery.cc.cwnd = 1


def hear_syn(conn: ConnectionCore, seg: Arrival, now: Micros) -> None:
    """The peer's SYN: IRS, RCV.NXT, its options and its window (never scaled on a SYN)."""
    tcb = conn.tcb
    tcb.irs = seg.seq
    tcb.rcv_nxt = tcb.rcv_wup = tcb.rcv_up = seg.seq + 1
    tcb.snd_wnd = tcb.max_snd_wnd = seg.wnd
    tcb.snd_wl1 = seg.seq
    conn.wscale_seen = seg.options.wscale is not None and conn.tcp.config.window_scaling
    settle(conn, seg.options, now)
    config = conn.tcp.config
    if tcb.state is LISTEN and (tcb.ts_ok or config.initial_rwnd):  # whole segments, whose size is known now (Linux)
        size = tcb.rmss - (_TIMESTAMP_LEN if tcb.ts_ok else 0)
        conn.window.ssthresh = window.initial(config, conn.options, size, True)
