"""How many segments Linux would put into one super-segment (TSO), which tells where PSH is set.

Linux sets PSH on the last segment of whatever it hands down in one piece, so that the receiver's GRO need not wait for
more; a lone segment with more behind it goes without. How large those pieces are follows from the pacing rate: what
leaves in a millisecond, more where the round-trip time is short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.tcp.congestion.bbr import MIN_TSO_RATE
from netstack.tcp.md5 import SignedPath
from netstack.tcp.pace import pacing_rate
from netstack.tcp.write_queue import GSO_MAX
from netstack.units import Octets

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore

_LEAST = 2


def burst(conn: ConnectionCore, mss: Octets) -> int:
    """Segments in one of Linux's super-segments, cwnd apart (tcp_tso_autosize). A signature is of one segment."""
    if conn.options.md5 is not None and isinstance(conn.path, SignedPath):
        return 1
    rate, cc = pacing_rate(conn), conn.recovery.cc
    octets = rate >> 10
    halvings = conn.rtt.min_rtt >> 9
    if conn.rtt.min_rtt and halvings < 32:
        octets += GSO_MAX >> halvings
    least = 1 if cc.is_model and rate < MIN_TSO_RATE else _LEAST
    return max(min(octets, GSO_MAX) // mss, least)
