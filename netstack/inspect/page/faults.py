"""What the page can do to a running stack: spoil the path, and do mean things to one connection.

Every wish is checked before anything changes: ValueError says what is wrong with it.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, Protocol

from netstack.link.fault import Faults, Impairment
from netstack.link.shutter import WindowShutter
from netstack.tcp.core import ConnectionCore
from netstack.units import MILLISECOND
from netstack.wire import pretty

MOST_LOSS = 0.5
"""Beyond half, TCP gives up connections faster than anybody learns something."""
MOST_DELAY = 2_000
"""Milliseconds, one way."""
MOST_RATE = 1_000_000_000
WAYS = ("both", "inbound", "outbound")


class Transport(Protocol):
    """What is asked of an asyncio transport on the stack."""

    def abort(self) -> None: ...
    def hold_reading(self) -> None: ...
    def release_reading(self) -> None: ...


class PathKnobs:
    """The imperfect path between the host and the stack: one setting, for one direction or both."""

    def __init__(self, path: Impairment) -> None:
        self.path = path
        self.way = "both" if path.inbound.faults == path.outbound.faults else "inbound"

    def set(self, wish: Mapping[str, Any]) -> None:
        """`loss reorder duplicate corrupt` (0 to 1), `delay` (milliseconds), `rate` (bit/s, 0: no limit), `way`."""
        way = wish.get("way", "both")
        if way not in WAYS:
            raise ValueError(f"way is one of {', '.join(WAYS)}")
        base = Faults()
        faults = Faults(
            loss=_number(wish, "loss", MOST_LOSS),
            reorder=_number(wish, "reorder", 1),
            duplicate=_number(wish, "duplicate", 1),
            corrupt=_number(wish, "corrupt", MOST_LOSS),
            delay=round(_number(wish, "delay", MOST_DELAY) * MILLISECOND),
            rate=round(_number(wish, "rate", MOST_RATE)),
        )
        self.way = way
        self.path.inbound.faults = faults if way != "outbound" else base
        self.path.outbound.faults = faults if way != "inbound" else base

    def shown(self) -> dict[str, Any]:
        """The setting as `set` takes it, and what became of the frames each way."""
        faults = (self.path.outbound if self.way == "outbound" else self.path.inbound).faults
        return {
            "loss": faults.loss, "reorder": faults.reorder, "duplicate": faults.duplicate, "corrupt": faults.corrupt,
            "delay": faults.delay / MILLISECOND, "rate": faults.rate, "way": self.way,
        }  # fmt: skip


def _number(wish: Mapping[str, Any], name: str, most: float) -> float:
    value = wish.get(name, 0)
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= most:
        raise ValueError(f"{name} is a number from 0 to {most:g}")
    return value


class ConnectionFaults:
    """Kill, hold and shut: by the name that a connection has on the page (`pretty.who`)."""

    def __init__(
        self,
        connections: Mapping[bytes, Any],
        shutter: WindowShutter | None,
        transport: Callable[[ConnectionCore], Transport | None],
        wake: Callable[[], None],
    ) -> None:
        self._connections = connections
        self._shutter = shutter
        self._transport = transport
        self._wake = wake
        self.held: set[bytes] = set()
        self.shut: set[bytes] = set() if shutter is None else shutter.shut

    def find(self, who: Any) -> ConnectionCore:
        """The living connection of that name."""
        for key, conn in self._connections.items():
            if pretty.who(key) == who:
                if isinstance(conn, ConnectionCore):
                    return conn
                raise ValueError(f"{who} is in TIME-WAIT: there is nobody left to do it to")
        raise ValueError(f"there is no connection {who}")

    def kill(self, who: Any) -> None:
        """A RST to the peer; the application is told that the connection is lost (RFC 9293 3.10.5)."""
        conn = self.find(who)
        transport = self._transport(conn)
        if transport is None:
            conn.abort()
        else:
            transport.abort()
        self._wake()

    def hold(self, who: Any, on: bool) -> None:
        """The application stops (or resumes) reading: the receive buffer fills, the window closes (3.8.6)."""
        conn = self.find(who)
        transport = self._transport(conn)
        if transport is None:
            raise ValueError(f"nobody reads from {who}")
        if on:
            transport.hold_reading()
            self.held.add(conn.key)
        else:
            transport.release_reading()
            self.held.discard(conn.key)

    def shut_window(self, who: Any, on: bool) -> None:
        """The peer's window reads 0 from now on (or what it is): our sender has to probe (3.8.6.1)."""
        if self._shutter is None:
            raise ValueError("the device does not let windows be altered")
        key = self.find(who).key
        if on:
            self.shut.add(key)
        else:
            self.shut.discard(key)

    def forget(self) -> None:
        """Connections that are gone are neither held nor shut any more."""
        for keys in (self.held, self.shut):
            keys -= {key for key in keys if not isinstance(self._connections.get(key), ConnectionCore)}
