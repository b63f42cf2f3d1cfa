"""Listening: `create_server`, as the event loop's, on the stack."""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import Callable, Sequence
from contextvars import copy_context
from typing import Any

from netstack.aio.driver import Driver
from netstack.aio.tls import Tls
from netstack.aio.transport import StackTransport
from netstack.aio.transport_socket import TransportSocket
from netstack.sockets.numbers import SO_REUSEADDR, SOL_SOCKET
from netstack.sockets.stream import StreamSocket
from netstack.tcp.connection import Connection

ProtocolFactory = Callable[[], asyncio.BaseProtocol]
Host = str | Sequence[str] | None


async def create_server(
    driver: Driver,
    protocol_factory: ProtocolFactory,
    host: Host = None,
    port: int = 0,
    *,
    ssl: ssl_module.SSLContext | None = None,
    backlog: int = 100,
    reuse_address: bool = True,
    start_serving: bool = True,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
) -> Server:
    """Listen on numeric address(es), None or "" for every one that the stack has; port 0 takes a free one.

    Each connection gets a protocol of its own, whose `connection_made` is called in the turn that accepted it.
    """
    if isinstance(ssl, bool):
        raise TypeError("ssl argument must be an SSLContext or None")
    tls = None if ssl is None else Tls(ssl, ssl_handshake_timeout, ssl_shutdown_timeout)
    hosts = [host or ""] if host is None or isinstance(host, str) else list(host)
    sockets: list[StreamSocket] = []
    try:
        for one in hosts:
            sock = StreamSocket(driver.stack, driver.wake)
            sockets.append(sock)
            sock.setsockopt(SOL_SOCKET, SO_REUSEADDR, int(reuse_address))
            sock.bind((one, port))
        server = Server(driver, sockets, protocol_factory, tls, backlog)
        if start_serving:
            await server.start_serving()
    except BaseException:
        for sock in sockets:
            sock.close()
        raise
    return server


class Server(asyncio.AbstractServer):
    """As asyncio.Server of Python 3.12 and later, whose `wait_closed` waits for the connections too."""

    def __init__(
        self,
        driver: Driver,
        sockets: list[StreamSocket],
        protocol_factory: ProtocolFactory,
        tls: Tls | None,
        backlog: int,
    ) -> None:
        self._driver = driver
        self._sockets: list[StreamSocket] | None = sockets
        self._protocol_factory = protocol_factory
        self._tls = tls
        self._backlog = backlog
        self._context = copy_context()  # what protocols find, as with asyncio: that of whoever made the server
        self._active = 0
        self._serving = False
        self._closed: list[asyncio.Future[None]] = []
        self._forever: asyncio.Future[None] | None = None

    def __repr__(self) -> str:
        names = [sock.getsockname() for sock in self._sockets or ()]
        return f"<{type(self).__name__} sockets={names} active={self._active}>"

    @property
    def sockets(self) -> tuple[TransportSocket, ...]:
        """The listening sockets, for `getsockname()` and options; none once closed."""
        return tuple(TransportSocket(sock) for sock in self._sockets or ())

    def get_loop(self) -> asyncio.AbstractEventLoop:
        """The event loop of this server."""
        return self._driver.loop

    def is_serving(self) -> bool:
        """True while it accepts connections."""
        return self._serving

    async def start_serving(self) -> None:
        """Begin to accept. OSError(EADDRINUSE) when somebody else listens there."""
        if self._sockets is None:
            raise RuntimeError(f"server {self!r} is closed")
        if self._serving:
            return
        for sock in self._sockets:
            sock.listen(self._backlog)
            sock.on_ready(lambda ready, sock=sock: self._context.run(self._accept, sock))  # type: ignore[misc]
        self._serving = True

    async def serve_forever(self) -> None:
        """Accept until cancelled; then close and wait for the connections to end."""
        if self._forever is not None:
            raise RuntimeError(f"server {self!r} is already being awaited on serve_forever()")
        await self.start_serving()
        self._forever = self._driver.loop.create_future()
        try:
            await self._forever
        except asyncio.CancelledError:
            self.close()
            await self.wait_closed()
            raise
        finally:
            self._forever = None

    def close(self) -> None:
        """Stop listening; open connections stay open."""
        sockets, self._sockets = self._sockets, None
        if sockets is None:
            return
        self._serving = False
        for sock in sockets:
            sock.close()
        if self._forever is not None and not self._forever.done():
            self._forever.cancel()
        self._settle()

    async def wait_closed(self) -> None:
        """Wait until close() was called and the last connection is lost."""
        if self._sockets is None and not self._active:
            return
        future = self._driver.loop.create_future()
        self._closed.append(future)
        await future

    def close_clients(self) -> None:
        """transport.close() on every open connection of this server."""
        for transport in self._transports():
            transport.close()

    def abort_clients(self) -> None:
        """transport.abort() on every open connection of this server."""
        for transport in self._transports():
            transport.abort()

    def _transports(self) -> list[StackTransport]:
        return [transport for transport in self._driver.transports if transport._server is self]

    def _accept(self, sock: StreamSocket) -> None:
        while sock.listener is not None and (connection := sock.listener.accept()) is not None:
            try:
                self._open(connection)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                connection.abort()
                self._driver.loop.call_exception_handler(
                    {"message": "Error on transport creation for incoming connection", "exception": error}
                )

    def _open(self, connection: Connection) -> None:
        protocol: Any = self._protocol_factory()
        if self._tls is not None:
            protocol = self._tls.wrap(self._driver.loop, protocol)
        StackTransport(self._driver, connection, protocol, self)

    # Called by transports.

    def _attach(self) -> None:
        self._active += 1

    def _detach(self) -> None:
        self._active -= 1
        self._settle()

    def _settle(self) -> None:
        if self._sockets is None and not self._active:
            waiting, self._closed = self._closed, []
            for future in waiting:
                if not future.done():
                    future.set_result(None)
