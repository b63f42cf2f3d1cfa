"""A connection's variables at one moment, as the events show them (`events.Variables`)."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.events import Variables

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore


def variables(conn: ConnectionCore) -> Variables:
    """What `conn` knows now."""
    tcb, recovery = conn.tcb, conn.recovery
    return Variables(
        state=tcb.state,
        snd_una=tcb.snd_una, snd_nxt=tcb.snd_nxt, snd_wnd=tcb.snd_wnd, rcv_nxt=tcb.rcv_nxt, rcv_wnd=tcb.rcv_wnd,
        cwnd=recovery.cc.cwnd, ssthresh=recovery.cc.ssthresh, in_flight=recovery.scoreboard.in_flight(),
        srtt=conn.rtt.srtt, rto=conn.rtt.timeout(),
        send_queued=conn.send_buffer.end - tcb.snd_una, recv_queued=conn.receive_buffer.ready,
    )  # fmt: skip
