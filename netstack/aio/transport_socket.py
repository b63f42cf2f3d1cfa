"""What `transport.get_extra_info("socket")` gives: the socket of a connection, for its options and addresses only."""

from __future__ import annotations

import socket
from typing import Any

from netstack.sockets.stream import StreamSocket


class TransportSocket:
    """As asyncio.TransportSocket: nothing here can disturb the transport. `fileno()` is -1: no kernel socket exists."""

    __slots__ = ("_socket",)

    family = socket.AF_INET
    type = socket.SOCK_STREAM
    proto = socket.IPPROTO_TCP

    def __init__(self, sock: StreamSocket) -> None:
        self._socket = sock

    def __repr__(self) -> str:
        return f"<{type(self).__name__} laddr={self.getsockname()}>"

    def fileno(self) -> int:
        """-1, as of a closed socket: there is no descriptor to watch."""
        return -1

    def getsockname(self) -> tuple[str, int]:
        """(host, port) of this end."""
        return self._socket.getsockname()

    def getpeername(self) -> tuple[str, int]:
        """(host, port) of the other end; OSError(ENOTCONN) when it is gone."""
        return self._socket.getpeername()

    def getsockopt(self, level: int, name: int, buflen: int = 0) -> int | bytes:
        """As socket.getsockopt; see `netstack.sockets.options` for what is there."""
        return self._socket.getsockopt(level, name, buflen)

    def setsockopt(self, level: int, name: int, value: Any) -> None:
        """As socket.setsockopt."""
        self._socket.setsockopt(level, name, value)

    def shutdown(self, how: int) -> None:
        """As socket.shutdown."""
        self._socket.shutdown(how)

    def gettimeout(self) -> float:
        """0: non-blocking."""
        return 0.0

    def settimeout(self, value: float) -> None:
        """Only 0 is possible."""
        if value != 0:
            raise ValueError("settimeout(): only 0 timeout is allowed on transport sockets")

    def setblocking(self, flag: bool) -> None:
        """Only False is possible."""
        if flag:
            raise ValueError("setblocking(): transport sockets cannot be blocking")
