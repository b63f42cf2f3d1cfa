"""TCP_INFO of a connection of the stack, by Linux's names, as far as the stack knows the figure."""

from collections.abc import Mapping

from netstack.drill.symbols import STATES
from netstack.drill.symbols import TCP_INFO_OPTIONS as OPT
from netstack.tcp.connection import Connection
from netstack.tcp.state import State

_LINUX_STATES = {
    State.ESTABLISHED: "TCP_ESTABLISHED",
    State.SYN_SENT: "TCP_SYN_SENT",
    State.SYN_RECEIVED: "TCP_SYN_RECV",
    State.FIN_WAIT_1: "TCP_FIN_WAIT1",
    State.FIN_WAIT_2: "TCP_FIN_WAIT2",
    State.TIME_WAIT: "TCP_CLOSE",  # the socket itself is closed; its place is kept by another
    State.CLOSED: "TCP_CLOSE",
    State.CLOSE_WAIT: "TCP_CLOSE_WAIT",
    State.LAST_ACK: "TCP_LAST_ACK",
    State.LISTEN: "TCP_LISTEN",
    State.CLOSING: "TCP_CLOSING",
}


def state_number(state: State) -> int:
    """Linux's number of a state."""
    return STATES.index(_LINUX_STATES[state]) + 1


def tcp_info(conn: Connection) -> Mapping[str, int]:
    """The fields without `tcpi_`. Times in microseconds, except ages, which are milliseconds, as in Linux."""
    tcb, recovery, rtt = conn.tcb, conn.recovery, conn.rtt
    board, cc = recovery.scoreboard, recovery.cc
    options = (
        (OPT["TCPI_OPT_TIMESTAMPS"] if tcb.ts_ok else 0)
        | (OPT["TCPI_OPT_SACK"] if tcb.sack_ok else 0)
        | (OPT["TCPI_OPT_WSCALE"] if conn.wscale_seen and conn.tcp.config.window_scaling else 0)
    )
    return {
        "state": state_number(tcb.state),
        "ca_state": recovery.ca_state,
        "retransmits": recovery.timeouts,
        "probes": conn.probes_out or conn.keepalives_out,
        "backoff": max(rtt.backoff, conn.probe_backoff),
        "options": options,
        "snd_wscale": tcb.snd_wscale,
        "rcv_wscale": tcb.rcv_wscale,
        "rto": rtt.rto,
        "ato": conn.acking.ato,
        "snd_mss": conn.send_mss,
        "rcv_mss": conn.acking.rcv_mss,
        "unacked": board.packets_out,
        "sacked": board.sacked_out,
        "lost": board.lost_out,
        "retrans": board.retrans_out,
        "rtt": rtt.srtt,
        "rttvar": rtt.rttvar,
        "min_rtt": rtt.min_rtt,
        "snd_ssthresh": cc.ssthresh,
        "snd_cwnd": cc.cwnd,
        "advmss": conn.acking.advmss,
        "reordering": recovery.rack.reordering,
        "pmtu": conn.path.mtu,
        "last_data_recv": max(0, conn.tcp.now - conn.acking.last_data_at) // 1000,
        "notsent_bytes": max(0, conn.send_buffer.end - max(tcb.snd_nxt, conn.send_buffer.start)),
        "snd_wnd": tcb.snd_wnd,
        "delivered": recovery.delivered,
    }
