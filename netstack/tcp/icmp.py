"""What an ICMP error does to the connection it quotes (RFC 9293 3.9.2.2, RFC 5927, RFC 1191)."""

from __future__ import annotations

from errno import (
    ECONNREFUSED,
    EHOSTDOWN,
    EHOSTUNREACH,
    EMSGSIZE,
    ENETUNREACH,
    ENONET,
    ENOPROTOOPT,
    EOPNOTSUPP,
    EPROTO,
)
from typing import TYPE_CHECKING

from netstack.seq import unwrap
from netstack.tcp.connection import Connection
from netstack.tcp.readiness import FAILED
from netstack.tcp.state import SYN_RECEIVED, SYN_SENT, Cause
from netstack.units import Micros, Octets

if TYPE_CHECKING:
    from netstack.tcp.demux import Tcp

UNREACHABLE, TIME_EXCEEDED, PARAMETER_PROBLEM = 3, 11, 12
FRAGMENTATION_NEEDED, REASSEMBLY = 4, 1

_ERRNO = {
    0: ENETUNREACH, 1: EHOSTUNREACH, 2: ENOPROTOOPT, 3: ECONNREFUSED, 4: EMSGSIZE, 5: EOPNOTSUPP, 6: ENETUNREACH,
    7: EHOSTDOWN, 8: ENONET, 9: ENETUNREACH, 10: EHOSTUNREACH, 11: ENETUNREACH, 12: EHOSTUNREACH,
    13: EHOSTUNREACH, 14: EHOSTUNREACH, 15: EHOSTUNREACH,
}  # fmt: skip
"""errno for each code of "destination unreachable", as Linux has it. No other code means anything."""


def on_error(tcp: Tcp, kind: int, code: int, mtu: Octets, pair: bytes, quoted: bytes, now: Micros) -> None:
    """`pair`: local and remote address; `quoted`: the first octets of our segment, at least eight."""
    half = len(pair) // 2
    key = pair[half:] + pair[:half] + quoted[2:4] + quoted[:2]
    conn = tcp.connections.get(key)
    if not isinstance(conn, Connection):
        tcp.drop("icmp_no_connection", now)
        return
    tcb = conn.tcb
    seq = unwrap(int.from_bytes(quoted[4:8], "big"), tcb.snd_una)
    fast = conn.fast_open
    speaking = fast is not None and fast.speaking
    oldest, half_open = tcb.iss if speaking else tcb.snd_una, tcb.state is SYN_RECEIVED and conn.listener is not None
    if not oldest <= seq <= (oldest if half_open and not speaking else tcb.snd_nxt):
        # RFC 5927 4.1: an error that quotes nothing in flight is forged or too late to matter.
        # Deviation: SND.NXT itself counts as in flight, as in Linux.
        tcp.counters.mib["TcpExtOutOfWindowIcmps"] += 1
        tcp.drop("icmp_out_of_window", now)
        return
    if kind == UNREACHABLE and code == FRAGMENTATION_NEEDED:
        _too_big(conn, mtu, now)
        return
    errno = _ERRNO.get(code, 0) if kind == UNREACHABLE else EPROTO if kind == PARAMETER_PROBLEM else EHOSTUNREACH
    if not errno or (kind == TIME_EXCEEDED and code == REASSEMBLY):
        tcp.drop("icmp_means_nothing", now)
        return
    if half_open and not speaking and kind == UNREACHABLE and code not in (0, 1):
        tcp.drop("icmp_half_open", now)  # whoever refuses, a SYN-ACK that is sent again may get through (Linux)
        return
    if (tcb.state is SYN_SENT or tcb.state is SYN_RECEIVED) and not (speaking and conn.listener is None):
        conn.fail(errno, Cause.UNREACHABLE)
    elif conn.options.recverr:
        conn.error = errno  # IP_RECVERR: the user hears of it at once, and the connection goes on all the same
        conn.notify(FAILED)
    else:
        if code in (0, 1) and kind == UNREACHABLE and seq == tcb.snd_una:
            conn.revert_back_off(now)
        conn.plain = False  # any ACK that is heard makes it a thing of the past
        conn.soft_error = errno  # RFC 5927 5.2, RFC 9293 MUST-56: an established connection is not aborted by ICMP


def _too_big(conn: Connection, mtu: Octets, now: Micros) -> None:
    """RFC 1191 6.4: segments of the new size from here on, and those that were too big again at once."""
    path = conn.path
    if mtu >= path.mtu or conn.options.mtu_discover not in (1, 2):
        return
    path.reduce_mtu(mtu, now)
    conn.on_path_mtu(now)
