"""Opening connections: `create_connection`, as the event loop's, on the stack."""

from __future__ import annotations

import asyncio
import ssl as ssl_module
from collections.abc import Callable
from typing import TypeVar

from netstack.aio.driver import Driver
from netstack.aio.tls import Tls, app_transport
from netstack.aio.transport import StackTransport
from netstack.sockets.address import Address, Endpoint, pack, unpack
from netstack.sockets.errors import os_error
from netstack.sockets.stream import fin_reached
from netstack.tcp.connection import Connection

AnyProtocol = TypeVar("AnyProtocol", bound=asyncio.BaseProtocol)


async def create_connection(
    driver: Driver,
    protocol_factory: Callable[[], AnyProtocol],
    host: str,
    port: int,
    *,
    ssl: ssl_module.SSLContext | bool | None = None,
    server_hostname: str | None = None,
    local_addr: Address | None = None,
    ssl_handshake_timeout: float | None = None,
    ssl_shutdown_timeout: float | None = None,
) -> tuple[asyncio.Transport, AnyProtocol]:
    """Connect to a numeric address; (transport, protocol) when it is open, after the TLS handshake if there is one.

    Raises what the event loop's own raises: ConnectionRefusedError, TimeoutError, OSError(ENETUNREACH) ...
    """
    if server_hostname is not None and not ssl:
        raise ValueError("server_hostname is only meaningful with ssl")
    remote = pack((host, port), "connect")
    local = None if local_addr is None else pack(local_addr, "bind")
    connection = await connect(driver, local, remote)
    loop, protocol = driver.loop, protocol_factory()
    if not ssl:
        return StackTransport(driver, connection, protocol), protocol
    context = ssl_module.create_default_context() if isinstance(ssl, bool) else ssl
    waiter = loop.create_future()
    try:
        tls = Tls(context, ssl_handshake_timeout, ssl_shutdown_timeout)
        below = tls.wrap(loop, protocol, waiter, host if server_hostname is None else server_hostname)
    except BaseException:
        connection.abort()
        driver.wake()
        raise
    transport = StackTransport(driver, connection, below)
    try:
        await waiter
    except BaseException:
        transport.close()
        raise
    return app_transport(below), protocol


async def connect(driver: Driver, local: Endpoint | None, remote: Endpoint) -> Connection:
    """An open connection without an observer, or the OSError that ended the attempt."""
    connection = driver.stack.tcp.connect(local, remote)
    opened: asyncio.Future[None] = driver.loop.create_future()
    connection.observer = _Opened(opened)
    driver.wake()
    try:
        await opened
    except BaseException:
        connection.observer = None
        connection.abort()
        driver.wake()
        raise
    connection.observer = None
    if connection.error and not connection.readable and not fin_reached(connection):
        raise os_error(connection.error, _failure(connection, remote))
    return connection


class _Opened:
    """Observes a connection for a coroutine that waits until it is open, or has failed."""

    woken = "coroutine"

    def __init__(self, opened: asyncio.Future[None]) -> None:
        self._opened = opened

    def __call__(self, ready: int) -> None:
        if not self._opened.done():
            self._opened.set_result(None)


def _failure(connection: Connection, remote: Endpoint) -> str:
    host, port = unpack(remote)
    return f"Connect call to {host}:{port} failed: {os_error(connection.error).strerror}"
