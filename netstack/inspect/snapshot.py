"""What a stack knows at one moment, as dicts and lists that go into JSON as they are.

Addresses and states are text, times are microseconds, sizes octets; sequence numbers are unwrapped as in `events`
(modulo 2**32 they are the wire's). `who` names a connection as it is named everywhere else: in events, traces, drops.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import TYPE_CHECKING, Any

from netstack.inspect.layers import layers
from netstack.tcp.core import ConnectionCore
from netstack.tcp.info import (
    OPT_ECN,
    OPT_ECN_SEEN,
    OPT_SACK,
    OPT_TIMESTAMPS,
    OPT_WSCALE,
    congestion_info,
    listener_info,
    tcp_info,
)
from netstack.tcp.memory import RECORD_COST
from netstack.tcp.options import SocketOptions
from netstack.tcp.state import FIN_WAIT_2, SYN_RECEIVED
from netstack.tcp.timewait import TimeWait
from netstack.wire import pretty

if TYPE_CHECKING:
    from netstack.stack import Stack
    from netstack.tcp.listener import Listener
    from netstack.udp.endpoint import Endpoint
    from netstack.units import Micros

__all__ = ["Row", "connections", "endpoints", "layers", "rows"]

Row = dict[str, Any]
KINDS = ("listener", "half-open", "connection", "time-wait")
CA_STATES = ("open", "disorder", "cwr", "recovery", "loss")
"""Names for tcp_info's ca_state (TCP_CA_*)."""
_OPTION_NAMES = ((OPT_TIMESTAMPS, "ts"), (OPT_SACK, "sack"), (OPT_ECN, "ecn"), (OPT_ECN_SEEN, "ecnseen"),
                 (OPT_WSCALE, "wscale"))  # fmt: skip
_DEFAULTS = SocketOptions()


def connections(stack: Stack, now: Micros) -> list[Row]:
    """One row for each listener, half-open connection, connection and TIME-WAIT of `stack`, in this order.

    Every row has: `kind` ("listener", "half-open", "connection", "time-wait"), `who`, `state`, `local` and `remote`
    (address:port), `local_address`, `local_port`, `remote_address`, `remote_port`, `recv_q`, `send_q` (as `ss` has
    them), `timer` (name, remaining, retries; None: none runs). A connection, half-open or not, has besides:

    * `info`: tcp_info's fields (see `tcp.info`); `cc`, `ca_state`, `in_flight` (segments), `options` (negotiated, as
      ss spells them), `socket_options` (those that are not the default); `model`: TCP_CC_INFO's fields, none but BBR's
    * `timers`: name -> microseconds left, of all that run
    * `variables`: RFC 9293 3.3.1, snd_una snd_nxt snd_wnd rcv_nxt rcv_wnd iss irs
    * `memory`: receive and send (octets in use, overhead included), rcvbuf, sndbuf, charged (see `tcp.memory`)
    * `age` (since our first SYN or SYN-ACK), `accepted`, `orphaned`, `error` (errno, 0: none)

    A TIME-WAIT has `variables` snd_nxt and rcv_nxt; a listener `half_open`, `backlog` and `info`.
    """
    return sorted(rows(stack, lambda: now), key=lambda row: KINDS.index(row["kind"]))


def rows(stack: Stack, clock: Callable[[], Micros]) -> Iterator[Row]:
    """The rows of `connections`, in no order, one after the other: the stack may have turns in between."""
    tcp = stack.tcp
    yield from map(_listener, list(tcp.listeners.values()))
    for key, conn in list(tcp.connections.items()):
        if tcp.connections.get(key) is conn:  # still
            yield _time_wait(conn, clock()) if isinstance(conn, TimeWait) else _connection(conn, clock())


def endpoints(stack: Stack) -> list[Row]:
    """One row for each UDP endpoint, with the keys that every row of `connections` has."""
    return [_endpoint(endpoint) for endpoint in stack.udp.endpoints()]


def _ends(local: tuple[bytes, int], remote: tuple[bytes, int]) -> Row:
    row: Row = {}
    for name, (address, port) in (("local", local), ("remote", remote)):
        wild = not any(address)
        row[name] = f"{'*' if wild else pretty.address(address)}:{port or '*'}"
        row[name + "_address"] = pretty.address(address)
        row[name + "_port"] = port
    return row


def _keyed(key: bytes) -> Row:
    """`who` and both ends, from the four-tuple: remote and local address, remote and local port."""
    half = (len(key) - 4) // 2
    local = key[half:-4], int.from_bytes(key[-2:], "big")
    remote = key[:half], int.from_bytes(key[-4:-2], "big")
    return {"who": pretty.who(key)} | _ends(local, remote)


def _listener(listener: Listener) -> Row:
    row = _ends((listener.address, listener.port), (bytes(len(listener.address)), 0))
    return {
        "kind": "listener", "who": row["local"], "state": str(listener.state), **row,
        "recv_q": listener.waiting, "send_q": listener.backlog, "timer": None,
        "half_open": listener.half_open, "backlog": listener.backlog, "info": listener_info(listener),
    }  # fmt: skip


def _time_wait(wait: TimeWait, now: Micros) -> Row:
    return {
        "kind": "time-wait", "state": str(wait.state), **_keyed(wait.key), "recv_q": 0, "send_q": 0,
        "timer": {"name": "time-wait", "remaining": max(wait.expires_at - now, 0), "retries": 0},
        "variables": {"snd_nxt": wait.snd_nxt, "rcv_nxt": wait.rcv_nxt},
    }  # fmt: skip


def _connection(conn: ConnectionCore, now: Micros) -> Row:
    tcb, recovery = conn.tcb, conn.recovery
    info = tcp_info(conn, now)
    fin_out = conn.fin_sent and tcb.snd_una <= conn.send_buffer.end
    began = conn.opened_at if conn.opened_at >= 0 else conn.established_at  # SYN cookies leave no trace of the SYN
    return {
        "kind": "half-open" if tcb.state is SYN_RECEIVED else "connection",
        "state": str(tcb.state),
        **_keyed(conn.key),
        "recv_q": conn.receive_buffer.ready,
        "send_q": len(conn.send_buffer) + fin_out,
        "timer": _timer(conn, now),
        "timers": _timers(conn, now),
        "info": info,
        "cc": recovery.cc.name,
        "model": congestion_info(conn),
        "ca_state": CA_STATES[recovery.ca_state],
        "in_flight": recovery.scoreboard.in_flight(),
        "options": [name for bit, name in _OPTION_NAMES if info["options"] & bit],
        "socket_options": _socket_options(conn.options),
        "variables": {
            "snd_una": tcb.snd_una, "snd_nxt": tcb.snd_nxt, "snd_wnd": tcb.snd_wnd, "iss": tcb.iss,
            "rcv_nxt": tcb.rcv_nxt, "rcv_wnd": max(tcb.rcv_wup + tcb.rcv_wnd - tcb.rcv_nxt, 0), "irs": tcb.irs,
        },
        "memory": _memory(conn),
        "age": now - began,
        "accepted": conn.listener is None,
        "orphaned": conn.orphaned,
        "error": conn.error,
    }  # fmt: skip


def _timer(conn: ConnectionCore, now: Micros) -> Row | None:
    """The one that `ss -o` shows: what the sender waits for, else keepalive, else the end of FIN-WAIT-2."""
    if conn.timer_at:
        name, at = conn.timer, conn.timer_at
        retries = conn.probes_out if name == "window-probe" else conn.recovery.timeouts
    elif conn.close_at and conn.tcb.state is FIN_WAIT_2:
        name, at, retries = "fin-wait-2", conn.close_at, 0
    elif conn.keepalive_at:
        name, at, retries = "keepalive", conn.keepalive_at, conn.keepalives_out
    else:
        return None
    return {"name": name, "remaining": max(at - now, 0), "retries": retries}


def _timers(conn: ConnectionCore, now: Micros) -> dict[str, Micros]:
    all_of_them = (
        (conn.timer, conn.timer_at), ("delayed-ack", conn.acking.at), ("keepalive", conn.keepalive_at),
        ("fin-wait-2", conn.close_at), ("pacing", conn.pace_at),
    )  # fmt: skip
    return {name: max(at - now, 0) for name, at in all_of_them if at}


def _socket_options(options: SocketOptions) -> Row:
    values = ((name, getattr(options, name)) for name in options.__slots__)
    return {name: value for name, value in values if value != getattr(_DEFAULTS, name)}


def _memory(conn: ConnectionCore) -> dict[str, int]:
    buffer = conn.send_buffer
    return {
        "receive": conn.receive_buffer.charge,
        "rcvbuf": conn.window.rcvbuf,
        "send": len(buffer) + RECORD_COST * len(conn.recovery.scoreboard.records),
        "sndbuf": conn.options.sndbuf or buffer.grown or conn.tcp.config.wmem[1],
        "charged": conn.charged,
    }


def _endpoint(endpoint: Endpoint) -> Row:
    address, _ = endpoint.local
    row = _ends(endpoint.local, endpoint.remote or (bytes(len(address)), 0))
    return {
        "kind": "endpoint", "who": row["local"], "state": "ESTABLISHED" if endpoint.remote else "UNCONNECTED", **row,
        "recv_q": endpoint.queued, "send_q": endpoint.unsent, "timer": None,
        "memory": {"receive": endpoint.queued, "rcvbuf": endpoint.rcvbuf,
                   "send": endpoint.unsent, "sndbuf": endpoint.sndbuf},
    }  # fmt: skip
