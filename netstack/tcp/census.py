"""Counters that need not be kept segment by segment: they follow from what every connection knows of itself.

The fast path keeps a few small numbers in the connection; here they become nstat's sums, over the connections that
live and those that are gone.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping
from typing import TYPE_CHECKING

from netstack.counters import Tally
from netstack.tcp.state import CLOSE_WAIT, ESTABLISHED, SYN_RECEIVED, SYN_SENT

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore


class Census:
    """`living` goes through the connections in the table."""

    __slots__ = ("_gone", "_living")

    def __init__(self, living: Callable[[], Iterator[ConnectionCore]]) -> None:
        self._living = living
        self._gone = Tally()

    def bury(self, conn: ConnectionCore) -> None:
        """`conn` leaves the table; called once for each."""
        _count(conn, self._gone)

    def counters(self) -> Mapping[str, int]:
        """Under nstat's names, as of now."""
        found = Tally(self._gone)
        for conn in self._living():
            _count(conn, found)
            state = conn.tcb.state
            found["TcpCurrEstab"] += state is ESTABLISHED or state is CLOSE_WAIT
        return found


def _count(conn: ConnectionCore, found: Tally) -> None:
    recovery = conn.recovery
    predicted_data = conn.data_segs_in - conn.unpredicted_data
    with_text = conn.fast_open is not None and conn.fast_open.from_syn and conn.fast_open.data_acked
    made_by_syn = 0 if conn.active or with_text else 1
    predicted_bare = conn.bare_segs_in - conn.unpredicted_bare - made_by_syn
    # What a SYN-ACK delivered is not counted, in Linux; what a SYN delivered is.
    uncounted = 0 if conn.active or conn.tcb.state in (SYN_SENT, SYN_RECEIVED) else 1
    for name, count in (
        ("TcpExtTCPOrigDataSent", conn.data_segs_out - recovery.data_repeated + recovery.fin_alone),
        ("TcpExtTCPDelivered", recovery.delivered - uncounted),
        ("TcpExtTCPLostRetransmit", recovery.scoreboard.retransmissions_lost),
        ("TcpExtTCPHPHits", predicted_data),
        ("TcpExtTCPHPAcks", predicted_bare),
        ("TcpExtTCPPureAcks", conn.unpredicted_bare),
    ):
        if count > 0:
            found[name] += count
