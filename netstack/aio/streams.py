"""Streams: `start_server` and `open_connection` with asyncio's own StreamReader and StreamWriter, on the stack."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

from netstack.aio.connect import create_connection
from netstack.aio.driver import Driver
from netstack.aio.server import Host, Server, create_server
from netstack.units import Octets

LIMIT: Octets = 64 * 1024
"""What a StreamReader buffers before it pauses reading is twice this; as asyncio has it."""

ClientConnected = Callable[[asyncio.StreamReader, asyncio.StreamWriter], Awaitable[None] | None]


async def start_server(
    driver: Driver,
    client_connected_cb: ClientConnected,
    host: Host = None,
    port: int = 0,
    *,
    limit: Octets = LIMIT,
    **options: Any,
) -> Server:
    """As asyncio.start_server; `options` are those of `create_server`."""
    loop = driver.loop

    def factory() -> asyncio.StreamReaderProtocol:
        return asyncio.StreamReaderProtocol(asyncio.StreamReader(limit, loop), client_connected_cb, loop)

    return await create_server(driver, factory, host, port, **options)


async def open_connection(
    driver: Driver, host: str, port: int, *, limit: Octets = LIMIT, **options: Any
) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    """As asyncio.open_connection; `options` are those of `create_connection`."""
    loop = driver.loop
    reader = asyncio.StreamReader(limit, loop)
    protocol = asyncio.StreamReaderProtocol(reader, loop=loop)
    transport, _ = await create_connection(driver, lambda: protocol, host, port, **options)
    return reader, asyncio.StreamWriter(transport, protocol, reader, loop)
