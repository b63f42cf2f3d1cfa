"""The variables of a connection at one moment, as the events show them (`events.Variables`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.events import Variables

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.state import State
    from netstack.units import Octets, Seq


def variables(conn: ConnectionCore) -> Variables:
    """What `conn` knows now."""
    tcb, recovery = conn.tcb, conn.recovery
    return Variables(
        state=tcb.state,
        snd_una=tcb.snd_una, snd_nxt=tcb.snd_nxt, snd_wnd=tcb.snd_wnd, rcv_nxt=tcb.rcv_nxt, rcv_wnd=tcb.rcv_wnd,
        cwnd=recovery.cc.cwnd, ssthresh=recovery.cc.ssthresh, in_flight=recovery.scoreboard.in_flight(),
        srtt=conn.rtt.srtt, rto=conn.rtt.timeout(),
        send_queued=len(conn.send_buffer), recv_queued=conn.receive_buffer.ready,
    )  # fmt: skip


def without_connection(
    state: State, snd_nxt: Seq = 0, rcv_nxt: Seq = 0, rcv_wnd: Octets = 0
) -> Variables:
    """Where there is no connection (CLOSED, LISTEN), or no more than its place (TIME-WAIT)."""
    return Variables(
        state=state,
        snd_una=snd_nxt, snd_nxt=snd_nxt, snd_wnd=0, rcv_nxt=rcv_nxt, rcv_wnd=rcv_wnd,
        cwnd=0, ssthresh=0, in_flight=0, srtt=0, rto=0, send_queued=0, recv_queued=0,
    )  # fmt: skip
