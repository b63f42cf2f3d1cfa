"""Tail loss probe (RFC 8985 7): when the last segments of a flight are lost, ask before the timeout does."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.tcp.reduction import CWR, OPEN
from netstack.units import MILLISECOND, SECOND, Micros

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore

_MARGIN: Micros = 2 * MILLISECOND


def allowed(conn: ConnectionCore) -> bool:
    """RFC 8985 7.2: SACK in use, something outstanding, not already recovering."""
    recovery = conn.recovery
    if not recovery.may_probe or not recovery.scoreboard.records:
        return False
    return recovery.ca_state == OPEN or recovery.ca_state == CWR


def timeout(conn: ConnectionCore) -> Micros:
    """RFC 8985 7.2: PTO = 2 SRTT, more when one segment is out and its ACK may be delayed; never beyond the RTO."""
    rtt = conn.rtt
    if rtt.srtt8:
        pto = rtt.srtt8 >> 2
        pto += rtt.rto_min if conn.recovery.scoreboard.packets_out == 1 else _MARGIN
    else:
        pto = SECOND
    rto = rtt.timeout() if rtt.backoff else rtt.rto
    return pto if pto < rto else rto
