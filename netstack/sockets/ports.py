"""bind(): who may have a local address and port, by Linux's rules."""

from __future__ import annotations

import errno
from typing import TYPE_CHECKING

from netstack.sockets.address import ANY, Endpoint
from netstack.sockets.errors import os_error
from netstack.tcp.connection import Connection

if TYPE_CHECKING:
    from netstack.stack import Stack


def check_address(stack: Stack, host: bytes) -> None:
    """EADDRNOTAVAIL: not our address."""
    if host != ANY and host != stack.config.address.ip.packed:
        raise os_error(errno.EADDRNOTAVAIL)


def reserve(stack: Stack, endpoint: Endpoint, reuse: bool) -> Endpoint:
    """Claim it for a TCP socket, with a port of its own for port 0; `stack.tcp.ports.release` gives it back.

    Nobody binds where somebody listens; bound and connected sockets share a port if all of them asked for
    SO_REUSEADDR. EADDRNOTAVAIL: not our address; EADDRINUSE.
    """
    tcp = stack.tcp
    host, port = endpoint
    check_address(stack, host)
    if port:
        for listener in tcp.listeners.values():
            if listener.port == port and (ANY in (host, listener.address) or host == listener.address):
                raise os_error(errno.EADDRINUSE)
        tail = port.to_bytes(2, "big")
        for key, connection in tcp.connections.items():
            # In TIME-WAIT there is no socket left that could agree: the newcomer's word is enough.
            shares = connection.options.reuseaddr if isinstance(connection, Connection) else True
            if key.endswith(tail) and not (reuse and shares):
                raise os_error(errno.EADDRINUSE)
    return host, tcp.ports.reserve(host, port, reuse)
