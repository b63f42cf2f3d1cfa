"""TCP_INFO: what a connection knows of itself, under the names of Linux's struct tcp_info without "tcpi_".

Times are microseconds where Linux has microseconds and milliseconds where it has those (`last_*`, `total_rto_time`);
windows are segments where Linux counts segments. A field that this stack does not keep is left out rather than
invented; as in Linux, last_ack_sent is not remembered, and fackets belongs to the past.
"""

from __future__ import annotations

from copy import copy
from typing import TYPE_CHECKING

from netstack.tcp.congestion import INFINITE
from netstack.tcp.congestion.bbr import Bbr
from netstack.tcp.md5 import signature_room
from netstack.tcp.pace import UNLIMITED, pacing_rate
from netstack.tcp.reduction import LOSS
from netstack.tcp.state import CLOSED, SYN_SENT, TIME_WAIT

if TYPE_CHECKING:
    from netstack.config import TcpConfig
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.listener import Listener
    from netstack.tcp.options import SocketOptions
    from netstack.units import Micros

OPT_TIMESTAMPS, OPT_SACK, OPT_WSCALE, OPT_ECN, OPT_ECN_SEEN, OPT_SYN_DATA, OPT_TFO_CHILD = 1, 2, 4, 8, 16, 32, 128
"""Bits of `options` (TCPI_OPT_*)."""
_NO_MINIMUM = 0xFFFF_FFFF


def tcp_info(conn: ConnectionCore, now: Micros) -> dict[str, int]:
    """A snapshot of `conn` at `now`."""
    info = {**_state(conn), **_times(conn, now), **_sending(conn), **_receiving(conn), **_totals(conn)}
    if conn.tcb.state is SYN_SENT and conn.recovery.timeouts:  # Linux treats a SYN like data, and makes up for it later
        ssthresh = copy(conn.recovery.cc).ssthresh_after_loss()
        info.update(ca_state=LOSS, snd_cwnd=1, snd_ssthresh=min(ssthresh, INFINITE), lost=1, retrans=1)
    if conn.tcb.state is SYN_SENT and conn.fast_open is None:
        # With nothing heard of the peer, Linux shows the least that it could be.
        config = conn.tcp.config
        info |= {"snd_mss": config.default_mss - (12 if config.timestamps else 0), "rcv_mss": 88}
    return info


def _state(conn: ConnectionCore) -> dict[str, int]:
    tcb, recovery, rtt, acking = conn.tcb, conn.recovery, conn.rtt, conn.acking
    options = OPT_TIMESTAMPS if tcb.ts_ok else 0
    options |= OPT_SACK if tcb.sack_ok else 0
    options |= OPT_WSCALE if conn.wscale_seen else 0
    if conn.ecn is not None:
        options |= OPT_ECN | OPT_ECN_SEEN if conn.ecn.seen else OPT_ECN
    fast = conn.fast_open
    if fast is not None:
        options |= (OPT_SYN_DATA if fast.data_acked else 0) | (OPT_TFO_CHILD if fast.from_syn else 0)
    return {
        "state": (CLOSED if tcb.state is TIME_WAIT else tcb.state).number,  # the socket is done; its place is kept
        "ca_state": recovery.ca_state,
        "retransmits": recovery.timeouts,
        "probes": conn.probes_out or conn.keepalives_out,
        "backoff": rtt.backoff or conn.probe_backoff,
        "options": options,
        "snd_wscale": tcb.snd_wscale,
        "rcv_wscale": tcb.rcv_wscale,
        "rto": rtt.timeout(),
        "ato": acking.ato,
        "snd_mss": conn.send_mss + signature_room(conn.path),
        "rcv_mss": acking.rcv_mss,
        "pmtu": conn.path.mtu,
        "advmss": tcb.rmss - (12 if tcb.ts_ok else 0),
        "rtt": rtt.srtt,
        "rttvar": rtt.rttvar,
        "min_rtt": rtt.min_rtt or _NO_MINIMUM,
        "fastopen_client_fail": 0 if fast is None else fast.fail,
    }


def _times(conn: ConnectionCore, now: Micros) -> dict[str, int]:
    recovery = conn.recovery
    busy, rwnd_limited, sndbuf_limited = conn.chrono.read(now)
    opened = conn.established_at
    in_timeout = now - recovery.rto_since if recovery.rto_since >= 0 else 0
    return {
        "last_data_sent": (now - max(conn.last_sent_at, opened)) // 1000,
        "last_ack_sent": 0,
        "last_data_recv": (now - max(conn.acking.last_data_at, opened)) // 1000,
        "last_ack_recv": (now - conn.last_received_at) // 1000,
        "busy_time": busy,
        "rwnd_limited": rwnd_limited,
        "sndbuf_limited": sndbuf_limited,
        "total_rto": recovery.total_rto,
        "total_rto_recoveries": recovery.total_rto_recoveries,
        "total_rto_time": (recovery.total_rto_time + in_timeout) // 1000,
    }


def _sending(conn: ConnectionCore) -> dict[str, int]:
    recovery, board, cc = conn.recovery, conn.recovery.scoreboard, conn.recovery.cc
    delivery_rate, app_limited = recovery.rate.delivery_rate(conn.tcb.eff_snd_mss, conn.rtt.min_rtt)
    return {
        "unacked": board.packets_out,
        "sacked": board.sacked_out,
        "lost": board.lost_out,
        "retrans": board.retrans_out,
        "fackets": 0,
        "snd_ssthresh": min(cc.ssthresh, INFINITE),
        "snd_cwnd": cc.cwnd,
        "reordering": recovery.rack.reordering,
        "reord_seen": recovery.rack.reord_seen,
        "delivered": recovery.delivered,
        "delivery_rate": delivery_rate,
        "delivery_rate_app_limited": int(app_limited),
        **({"delivered_ce": 0} if conn.ecn is None else conn.ecn.info()),
        "pacing_rate": pacing_rate(conn),
        "max_pacing_rate": conn.options.max_pacing_rate,
        "notsent_bytes": max(conn.send_buffer.end - max(conn.tcb.snd_nxt, conn.tcb.iss + 1), 0)
        + (conn.fin_queued and not conn.fin_sent),
        "snd_wnd": conn.tcb.snd_wnd,
    }


def _receiving(conn: ConnectionCore) -> dict[str, int]:
    return {
        "rcv_ssthresh": conn.window.ssthresh,
        "rcv_rtt": conn.window.tune.rtt,
        "rcv_space": conn.window.tune.space,
        "rcv_wnd": conn.tcb.rcv_wnd,
        "rcv_ooopack": conn.receive_buffer.out_of_order,
        "dsack_dups": conn.recovery.acks.dsack_dups,
    }


def _totals(conn: ConnectionCore) -> dict[str, int]:
    """RFC 4898's counts. Octets follow from sequence numbers; as in Linux a FIN, and a SYN sent first, count in two."""
    tcb, recovery = conn.tcb, conn.recovery
    merged = conn.acking.merged
    return {
        "total_retrans": recovery.total_retrans,
        "bytes_sent": max(min(tcb.snd_nxt, conn.send_buffer.end) - tcb.iss - 1, 0) + recovery.bytes_retrans,
        "bytes_retrans": recovery.bytes_retrans,
        "bytes_acked": max(tcb.snd_una - tcb.iss - (0 if conn.active else 1), 0),
        "bytes_received": max(tcb.rcv_nxt - tcb.irs - 1, 0),
        "segs_out": conn.data_segs_out + conn.bare_segs_out,
        "segs_in": conn.data_segs_in + conn.bare_segs_in + merged,
        "data_segs_in": conn.data_segs_in + merged,
        "data_segs_out": conn.data_segs_out,
    }


def congestion_info(conn: ConnectionCore) -> dict[str, int]:
    """TCP_CC_INFO: what the model of the path is, with Linux's names; nothing for an algorithm without one."""
    cc = conn.recovery.cc
    return cc.info() if isinstance(cc, Bbr) else {}


def listener_info(listener: Listener) -> dict[str, int]:
    """For a listener Linux shows the accept queue: its length and its limit."""
    config = listener.tcp.config
    return {
        "state": listener.state.number, "unacked": listener.waiting, "sacked": listener.backlog,
        "snd_cwnd": config.initial_cwnd, "reordering": config.reordering,
        "pacing_rate": UNLIMITED, "max_pacing_rate": listener.options.max_pacing_rate,
    }  # fmt: skip


def unconnected_info(config: TcpConfig, options: SocketOptions) -> dict[str, int]:
    """What Linux shows of a socket that was never connected: with what it would begin."""
    return {
        "state": CLOSED.number, "rto": config.initial_rto, "snd_mss": config.default_mss, "rttvar": 250_000,
        "snd_cwnd": config.initial_cwnd, "snd_ssthresh": INFINITE, "reordering": config.reordering,
        "pacing_rate": UNLIMITED, "max_pacing_rate": options.max_pacing_rate, "delivery_rate_app_limited": 1,
    }  # fmt: skip
