"""The running stack as the page has it: the devices' knobs, which connections bring it, what it looks like."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

from netstack.aio.interface import Interface
from netstack.inspect.page.faults import ConnectionFaults, PathKnobs, Transport
from netstack.inspect.page.http import Scope
from netstack.inspect.page.picture import Picture
from netstack.inspect.page.recorder import Recorder
from netstack.link.fault import Impairment
from netstack.link.shutter import WindowShutter, flow
from netstack.sockets.address import pack, unpack
from netstack.tcp.core import ConnectionCore
from netstack.tcp.variables import variables
from netstack.units import Micros, Octets, Seq

OWN = 512
"""Connections of its own that the page remembers."""


class Subject:
    """`port`: one that is the page's alone; None: which connections bring the page is learnt from their requests.

    An Impairment and a WindowShutter among the devices of `net` become knobs. The page's own connections are spared
    what the first does, so that whoever turned it up can turn it down again.
    """

    def __init__(self, net: Interface, port: int | None) -> None:
        self.net = net
        self.port = port
        self.recorder = Recorder(self._begins)
        self.path: PathKnobs | None = None
        shutter: WindowShutter | None = None
        device: Any = net.device
        while device is not None:
            if isinstance(device, Impairment):
                self.path = PathKnobs(device)
                device.spared = self._is_spared
            elif isinstance(device, WindowShutter):
                shutter = device
            device = getattr(device, "inner", None)
        connections = net.stack.tcp.connections
        self.faults = ConnectionFaults(connections, shutter, self._transport, net.driver.wake)
        self._own: dict[bytes, None] = {}

    @property
    def now(self) -> Micros:
        """The stack's time."""
        return self.net.driver.clock()

    def living(self, key: bytes) -> ConnectionCore | None:
        """The connection of that four-tuple, unless it is in TIME-WAIT or gone."""
        conn = self.net.stack.tcp.connections.get(key)
        return conn if isinstance(conn, ConnectionCore) else None

    def picture(self, chosen: Iterable[str | None]) -> Picture:
        """The stack as it is. The `chosen` connections get a sample, also if nothing happens to them."""
        now = self.now
        for who in chosen:
            track = self.recorder.named(who) if who is not None else None
            conn = self.living(track.key) if track is not None else None
            if track is not None and conn is not None:
                track.sample(now, variables(conn))
        return Picture(self.net.stack, now, self.recorder, self.is_own, self.path, self.faults)

    # The page's own connections.

    def is_own(self, key: bytes) -> bool:
        """Whether a connection brings the page, or its events."""
        return key in self._own or (self.port is not None and int.from_bytes(key[-2:], "big") == self.port)

    def note_own(self, key: bytes) -> None:
        """The connection of that four-tuple brings the page."""
        self._own[key] = None
        if len(self._own) > OWN:
            self._own = {key: None for key in self._own if key in self.net.stack.tcp.connections}

    def _is_spared(self, frame: bytes) -> bool:
        """Whether a frame, arriving or leaving, belongs to a connection of the page's own."""
        ends = flow(frame)
        if ends is None:
            return False
        return self.is_own(ends) or self.is_own(ends[4:8] + ends[:4] + ends[10:12] + ends[8:10])

    def unread(self, key: bytes) -> Octets:
        """What waits to be sent, or to be acknowledged, on the connection that brought a request."""
        conn = self.living(key)
        return len(conn.send_buffer) if conn is not None else 0

    # What the parts ask.

    def _begins(self, key: bytes) -> tuple[Seq, Seq] | None:
        conn = self.living(key)
        return (conn.tcb.iss, conn.tcb.irs) if conn is not None and conn.tcb.irs else None

    def _transport(self, conn: ConnectionCore) -> Transport | None:
        """The transport on `conn`: there is one for each connection that was accepted by a server."""
        ends = unpack(conn.remote), unpack(conn.local)
        for one in self.net.driver.transports:
            if (one.get_extra_info("peername"), one.get_extra_info("sockname")) == ends:
                return one
        return None


def key_of(scope: Scope) -> bytes:
    """The four-tuple of the connection that brought a request, as in `Tcp.connections`; empty when it is not known."""
    client, server = scope.get("client"), scope.get("server")
    if client is None or server is None:
        return b""
    (remote, far), (local, near) = pack(tuple(client), "page"), pack(tuple(server), "page")
    return remote + local + far.to_bytes(2, "big") + near.to_bytes(2, "big")
