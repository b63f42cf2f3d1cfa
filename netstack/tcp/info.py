"""TCP_INFO: what a connection knows of itself, under the names of Linux's struct tcp_info without "tcpi_".

Times are microseconds where Linux has microseconds and milliseconds where it has those (`last_*`); windows in segments
where Linux counts segments. A field that this stack does not keep is left out rather than invented.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.tcp.congestion import INFINITE

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.listener import Listener
    from netstack.units import Micros

OPT_TIMESTAMPS, OPT_SACK, OPT_WSCALE = 1, 2, 4
"""Bits of `options` (TCPI_OPT_*)."""


def tcp_info(conn: ConnectionCore, now: Micros) -> dict[str, int]:
    """A snapshot of `conn` at `now`."""
    tcb, recovery, rtt, acking = conn.tcb, conn.recovery, conn.rtt, conn.acking
    board, cc = recovery.scoreboard, recovery.cc
    options = OPT_TIMESTAMPS if tcb.ts_ok else 0
    options |= OPT_SACK if tcb.sack_ok else 0
    options |= OPT_WSCALE if conn.wscale_seen else 0
    return {
        "state": tcb.state.number,
        "ca_state": recovery.ca_state,
        "retransmits": recovery.timeouts,
        "probes": conn.probes_out or conn.keepalives_out,
        "backoff": rtt.backoff or conn.probe_backoff,
        "options": options,
        "snd_wscale": tcb.snd_wscale,
        "rcv_wscale": tcb.rcv_wscale,
        "rto": rtt.timeout(),
        "ato": acking.ato,
        "snd_mss": conn.send_mss,
        "rcv_mss": acking.rcv_mss,
        "unacked": board.packets_out,
        "sacked": board.sacked_out,
        "lost": board.lost_out,
        "retrans": board.retrans_out,
        "last_data_sent": _age(conn.last_sent_at, now),
        "last_data_recv": _age(acking.last_data_at, now),
        "last_ack_recv": _age(conn.last_received_at, now),
        "pmtu": conn.path.mtu,
        "rcv_ssthresh": conn.window.ssthresh,
        "rtt": rtt.srtt,
        "rttvar": rtt.rttvar,
        "snd_ssthresh": min(cc.ssthresh, INFINITE),
        "snd_cwnd": cc.cwnd,
        "advmss": tcb.rmss - (12 if tcb.ts_ok else 0),
        "reordering": recovery.rack.reordering,
        "total_retrans": recovery.total_retrans,
        "bytes_acked": max(min(tcb.snd_una, conn.send_buffer.end) - tcb.iss - 1, 0),
        "bytes_received": max(tcb.rcv_nxt - tcb.irs - 1 - (0 if conn.peer_fin_at != tcb.rcv_nxt - 1 else 1), 0),
        "notsent_bytes": max(conn.send_buffer.end - max(tcb.snd_nxt, tcb.iss + 1), 0),
        "min_rtt": rtt.min_rtt,
        "delivered": recovery.delivered,
        "reord_seen": recovery.rack.reord_seen,
        "snd_wnd": tcb.snd_wnd,
        "rcv_wnd": max(tcb.rcv_wup + tcb.rcv_wnd - tcb.rcv_nxt, 0),
    }


def listener_info(listener: Listener) -> dict[str, int]:
    """For a listener Linux shows the accept queue: its length and its limit."""
    return {"state": listener.state.number, "unacked": listener.waiting, "sacked": listener.backlog}


def _age(at: Micros, now: Micros) -> int:
    return max(now - at, 0) // 1000 if at >= 0 else now // 1000
