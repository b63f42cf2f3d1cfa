"""DatagramSocket: the socket API on UDP, non-blocking, without an event loop."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from netstack.sockets.address import ANY, Address, pack, unpack
from netstack.sockets.base import Observer, Socket
from netstack.sockets.errors import os_error
from netstack.tcp.readiness import FAILED, READABLE, WRITABLE
from netstack.udp.endpoint import OVERHEAD, Endpoint
from netstack.units import Octets

if TYPE_CHECKING:
    from netstack.stack import Stack

MAX_DATAGRAM: Octets = 65_507


class DatagramSocket(Socket):
    """A UDP socket of `stack`, as socket.socket(AF_INET, SOCK_DGRAM | SOCK_NONBLOCK)."""

    __slots__ = ("_endpoint",)

    def __init__(self, stack: Stack, wake: Callable[[], None] | None = None) -> None:
        super().__init__(stack, wake)
        self._endpoint: Endpoint | None = None

    def bind(self, address: Address) -> None:
        """Take a local address; port 0 takes a free one. EADDRINUSE, EADDRNOTAVAIL, EINVAL when bound already."""
        self._open()
        host, port = pack(address, "bind")
        if self._endpoint is not None:
            raise os_error(errno.EINVAL)
        self._bound(host, port)

    def _bound(self, host: bytes = ANY, port: int = 0) -> Endpoint:
        if self._endpoint is None:
            self._endpoint = self.stack.udp.bind(host, port)
            self._endpoint.observer = self._observer
        return self._endpoint

    def connect(self, address: Address) -> None:
        """Talk to this address only, from now on: it is where `send` sends, and errors about it are reported."""
        self._open()
        remote = pack(address, "connect")
        self._bound().connect(remote)

    def getsockname(self) -> Address:
        """(host, port) of this end; ("0.0.0.0", 0) before it has one."""
        self._open()
        return unpack(self._endpoint.local if self._endpoint is not None else (ANY, 0))

    def getpeername(self) -> Address:
        """What `connect` was given. ENOTCONN before that."""
        self._open()
        if self._endpoint is None or self._endpoint.remote is None:
            raise os_error(errno.ENOTCONN)
        return unpack(self._endpoint.remote)

    def sendto(self, data: bytes | bytearray | memoryview, address: Address | None = None) -> Octets:
        """Queue one datagram: how long it is. EMSGSIZE, EDESTADDRREQ, BlockingIOError when the queue is full."""
        self._open()
        remote = None if address is None else pack(address, "sendto")
        if remote is None and (self._endpoint is None or self._endpoint.remote is None):
            raise os_error(errno.EDESTADDRREQ)
        endpoint = self._bound()
        self._check_error()
        data = bytes(data)
        if len(data) > MAX_DATAGRAM:
            raise os_error(errno.EMSGSIZE)
        if not endpoint.send(data, remote):
            raise os_error(errno.EAGAIN)
        self._changed()
        return len(data)

    def send(self, data: bytes | bytearray | memoryview) -> Octets:
        """`sendto` the address that `connect` was given."""
        return self.sendto(data)

    def recvfrom(self, size: Octets) -> tuple[bytes, Address]:
        """The oldest datagram, cut to `size` octets, and who sent it. BlockingIOError when none waits."""
        self._open()
        if size < 0:
            raise ValueError("negative buffersize in recvfrom")
        self._check_error()
        datagram = None if self._endpoint is None else self._endpoint.receive()
        if datagram is None:
            raise os_error(errno.EAGAIN)
        return datagram.data[:size], unpack(datagram.remote)

    def recv(self, size: Octets) -> bytes:
        """`recvfrom` without the sender."""
        return self.recvfrom(size)[0]

    def take_error(self) -> int:
        """SO_ERROR: the errno that ICMP brought for a connected socket, once; 0 when there is none."""
        self._open()
        if self._endpoint is None:
            return 0
        error, self._endpoint.error = self._endpoint.error, 0
        return error

    def _check_error(self) -> None:
        error = self.take_error()
        if error:
            raise os_error(error)

    def on_ready(self, observer: Observer | None) -> None:
        """Have `observer(bits)` called from the stack's transmit when something changed (edges)."""
        self._open()
        self._observer = observer
        if self._endpoint is not None:
            self._endpoint.observer = observer

    def readiness(self) -> int:
        """What holds now: READABLE, WRITABLE, FAILED, OR-ed together."""
        self._open()
        endpoint = self._endpoint
        if endpoint is None:
            return WRITABLE
        bits = READABLE if endpoint.incoming or endpoint.error else 0
        bits |= FAILED if endpoint.error else 0
        return bits | (WRITABLE if endpoint.unsent + OVERHEAD <= endpoint.sndbuf else 0)

    def close(self) -> None:
        """Give the port back; what is queued is lost. Calling twice is harmless."""
        if self._closed:
            return
        self._closed = True
        if self._endpoint is not None:
            self._endpoint.close()
