"""Interface: a stack on a device on the running event loop; what a program opens to get a network of its own."""

from __future__ import annotations

import asyncio
import os
import random
from collections.abc import Callable
from typing import Any

from netstack.aio import connect, server, streams
from netstack.aio.driver import Driver
from netstack.aio.tls import with_key_log
from netstack.config import Config
from netstack.events import Sink
from netstack.link.device import Device
from netstack.sockets.stream import StreamSocket
from netstack.stack import Stack
from netstack.tcp.connection import Connection
from netstack.units import Octets


class Interface:
    """A TCP/IP stack that runs on `device` while the `async with` block does, and closes the device after it.

        async with Interface(TapDevice("tap0"), Config()) as net:
            server = await net.create_server(HttpProtocol, port=80)
            await server.serve_forever()

    The methods are those of the event loop and of asyncio with the same names; addresses are numeric. `stack`,
    `driver` and `device` are there to look into. On the way out, servers are closed and transports too (FIN); what
    has not ended `linger` seconds later is reset. `rng` gives a test its repeatable randomness, `events` watches.
    `keylog` is the file to which the secrets of TLS are appended, for Wireshark; by default the one that the
    environment variable SSLKEYLOGFILE names, if any.
    """

    def __init__(
        self,
        device: Device,
        config: Config | None = None,
        *,
        events: Sink | None = None,
        rng: random.Random | None = None,
        linger: float = 1.0,
        keylog: str | None = None,
    ) -> None:
        self.device = device
        self.config = config or Config()
        self.linger = linger
        self.keylog = keylog or os.environ.get("SSLKEYLOGFILE") or None
        self.stack = Stack(self.config, device, rng or random.SystemRandom(), events)
        self._driver: Driver | None = None
        self._servers: list[server.Server] = []

    async def __aenter__(self) -> Interface:
        self.start()
        return self

    async def __aexit__(self, *_: object) -> None:
        await self.close()

    @property
    def driver(self) -> Driver:
        """What turns the stack. RuntimeError before `start`."""
        if self._driver is None:
            raise RuntimeError("the interface is not up: use `async with`, or start()")
        return self._driver

    def start(self) -> None:
        """Go up on the running loop. Calling twice is harmless."""
        if self._driver is None:
            self._driver = Driver(self.stack, self.device)
            self._driver.start()

    async def close(self) -> None:
        """Close servers and transports, give them `linger` seconds, reset the rest, stop, and close the device."""
        driver = self._driver
        if driver is None:
            self.device.close()
            return
        try:
            for one in self._servers:
                one.close()
            for transport in list(driver.transports):
                transport.close()
            await asyncio.sleep(0)  # connection_lost
            try:
                await asyncio.wait_for(driver.idle(), self.linger)
            except TimeoutError:
                await self._reset(driver)
        finally:
            driver.close()
            self.device.close()

    async def _reset(self, driver: Driver) -> None:
        for transport in list(driver.transports):
            transport.abort()
        for connection in list(self.stack.tcp.connections.values()):
            if isinstance(connection, Connection):
                connection.abort()
        driver.wake()
        await asyncio.sleep(0)  # the flush ...
        await asyncio.sleep(0)  # ... and connection_lost

    async def create_server(
        self, protocol_factory: server.ProtocolFactory, host: server.Host = None, port: int = 0, **options: Any
    ) -> server.Server:
        """As loop.create_server: `ssl backlog reuse_address start_serving ssl_handshake_timeout ...`."""
        self._log_keys(options)
        return self._keep(await server.create_server(self.driver, protocol_factory, host, port, **options))

    async def create_connection(
        self, protocol_factory: Callable[[], connect.AnyProtocol], host: str, port: int, **options: Any
    ) -> tuple[asyncio.Transport, connect.AnyProtocol]:
        """As loop.create_connection: `ssl server_hostname local_addr ssl_handshake_timeout ...`."""
        self._log_keys(options)
        return await connect.create_connection(self.driver, protocol_factory, host, port, **options)

    async def start_server(
        self, client_connected_cb: streams.ClientConnected, host: server.Host = None, port: int = 0, **options: Any
    ) -> server.Server:
        """As asyncio.start_server: `limit` and the options of `create_server`."""
        self._log_keys(options)
        return self._keep(await streams.start_server(self.driver, client_connected_cb, host, port, **options))

    async def open_connection(
        self, host: str, port: int, *, limit: Octets = streams.LIMIT, **options: Any
    ) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
        """As asyncio.open_connection: `limit` and the options of `create_connection`."""
        self._log_keys(options)
        return await streams.open_connection(self.driver, host, port, limit=limit, **options)

    def socket(self) -> StreamSocket:
        """A new non-blocking TCP socket whose calls wake the driver."""
        return StreamSocket(self.stack, self.driver.wake)

    def _log_keys(self, options: dict[str, Any]) -> None:
        if "ssl" in options:
            options["ssl"] = with_key_log(options["ssl"], self.keylog)

    def _keep(self, one: server.Server) -> server.Server:
        self._servers = [other for other in self._servers if other.sockets]
        self._servers.append(one)
        return one
