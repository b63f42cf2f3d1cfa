"""TLS on a transport: asyncio's own SSLProtocol, which works on any full transport."""

from __future__ import annotations

import asyncio
import ssl
from asyncio.sslproto import SSLProtocol
from dataclasses import dataclass
from typing import Any


def with_key_log(context: ssl.SSLContext | bool | None, path: str | None) -> ssl.SSLContext | bool | None:
    """What was said for `ssl=`, with its secrets appended to the file at `path`, unless it logs them already.

    As `ssl.create_default_context` does where the environment names a file. OSError when there can be no such file.
    """
    if not context or path is None:
        return context
    if context is True:
        context = ssl.create_default_context()
    if context.keylog_filename is None:
        context.keylog_filename = path
    return context


@dataclass(frozen=True, slots=True)
class Tls:
    """What `ssl=`, `ssl_handshake_timeout=` and `ssl_shutdown_timeout=` said. Seconds; None: asyncio's own."""

    context: ssl.SSLContext
    handshake_timeout: float | None = None
    shutdown_timeout: float | None = None

    def wrap(
        self,
        loop: asyncio.AbstractEventLoop,
        protocol: asyncio.BaseProtocol,
        waiter: asyncio.Future[Any] | None = None,
        server_hostname: str | None = None,
    ) -> SSLProtocol:
        """The protocol to give to the transport below; `protocol` sees the TLS transport. A client names a host."""
        return SSLProtocol(
            loop,
            protocol,
            self.context,
            waiter,  # type: ignore[arg-type]  # None is allowed: nobody waits for an accepted connection
            server_hostname is None,
            server_hostname,
            ssl_handshake_timeout=self.handshake_timeout,  # type: ignore[arg-type]
            ssl_shutdown_timeout=self.shutdown_timeout,
        )


def app_transport(protocol: SSLProtocol) -> asyncio.Transport:
    """The transport that the application's protocol sees."""
    transport: asyncio.Transport = protocol._get_app_transport()  # type: ignore[attr-defined]
    return transport
