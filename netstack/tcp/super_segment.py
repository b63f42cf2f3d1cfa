"""How many segments Linux would put into one super-segment (TSO), which tells where PSH is set.

Linux sets PSH on the last segment of whatever it hands down in one piece, so that the receiver's GRO need not wait for
more; a lone segment with more behind it goes without. How large those pieces are follows from the pacing rate: what
leaves in a millisecond, more where the round-trip time is short.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.tcp.congestion.bbr import MIN_TSO_RATE
from netstack.tcp.pace import pacing_rate
from netstack.units import Octets
from netstack.wire.tcp import PSH

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore

_GSO_MAX: Octets = 65_536 - 320
"""What Linux puts into one super-segment at most, headers apart."""
_LEAST = 2


def burst(conn: ConnectionCore, mss: Octets) -> int:
    """Segments in one of Linux's super-segments (tcp_tso_autosize): never more than half of cwnd."""
    rate, cc = pacing_rate(conn), conn.recovery.cc
    octets = rate >> 10
    halvings = conn.rtt.min_rtt >> 9
    if conn.rtt.min_rtt and halvings < 32:
        octets += _GSO_MAX >> halvings
    least = 1 if cc.is_model and rate < MIN_TSO_RATE else _LEAST
    return min(max(min(octets, _GSO_MAX) // mss, least), max(cc.cwnd >> 1, 1))


def pushed(conn: ConnectionCore, segments: int, mss: Octets) -> int:
    """PSH or 0 for the last of `segments` that leave together, with more queued behind them."""
    if conn.path.offload:
        return PSH
    size = burst(conn, mss)
    return PSH if size > 1 and segments % size != 1 else 0
