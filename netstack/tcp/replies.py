"""Segments that belong to no connection of ours: resets, and SYN-ACKs whose only state is a cookie."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.tcp import report
from netstack.tcp.closed import checksummed
from netstack.tcp.md5 import SignedPath
from netstack.tcp.state import CLOSED, State
from netstack.units import Micros

if TYPE_CHECKING:
    from netstack.counters import Tally
    from netstack.events import Sink
    from netstack.ip.ipv4 import Ipv4

PROTOCOL = 6
CHECKSUM_AT = 16
"""Offset of the checksum in the header."""


class Replies:
    """They wait for the next transmit, as everything does."""

    __slots__ = ("_ip", "_mib", "events", "waiting")

    def __init__(self, ip: Ipv4, mib: Tally) -> None:
        self._ip = ip
        self._mib = mib
        self.events: Sink | None = None
        self.waiting: list[tuple[bytes, bytes, str, State, int, int, bytes | None]] = []

    def add(
        self, pair: bytes, head: bytes, rule: str, state: State = CLOSED, tos: int = 0, ttl: int = 64,
        key: bytes | None = None,
    ) -> None:  # fmt: skip
        """Answer whatever came with `pair` (source + destination) with this header, its checksum still zero.

        `key`: sign it (RFC 2385).

        `rule` (of `why`) and the `state` that we answer in are for those who watch.
        """
        self.waiting.append((pair, head, rule, state, tos, ttl, key))

    def transmit(self, now: Micros) -> None:
        """Send them, where there is a way back."""
        waiting, self.waiting = self.waiting, []
        for pair, head, rule, state, tos, ttl, key in waiting:
            half = len(pair) // 2
            path = self._ip.path(pair[half:], pair[:half], PROTOCOL, CHECKSUM_AT)
            if path is not None:
                self._mib["TcpOutSegs"] += 1
                if self.events is not None:
                    report.sent_without_connection(self.events, pair, head, rule, state, now)
                out = path if key is None else SignedPath(path, key)
                out.send(checksummed(head, out), b"", 0, tos, now, ttl)
