"""A `Server` on the kernel's sockets, from startup to the signal that ends it."""

import asyncio
import signal
from collections.abc import Callable

from asgi.server import Server

_BACKLOG = 2_048


async def serve(server: Server, host: str, port: int, on_listening: Callable[[list[str]], None]) -> None:
    """Serve until SIGINT or SIGTERM, then shut down gracefully; a second signal ends that at once.

    `on_listening` is told the URLs when connections can be made. Raises LifespanError, and OSError if the address
    cannot be bound (the lifespan has been shut down again by then).
    """
    loop = asyncio.get_running_loop()
    stop = asyncio.Event()

    def on_signal() -> None:
        if stop.is_set():
            server.hurry()
        stop.set()

    for number in (signal.SIGINT, signal.SIGTERM):
        loop.add_signal_handler(number, on_signal)
    try:
        await server.startup()
        try:
            listener = await loop.create_server(server.protocol, host, port, backlog=_BACKLOG)
        except OSError:
            await server.shutdown()
            raise
        on_listening([_url(listening.getsockname()) for listening in listener.sockets])
        await stop.wait()
        await server.shutdown(listener)
    finally:
        for number in (signal.SIGINT, signal.SIGTERM):
            loop.remove_signal_handler(number)


def _url(name: tuple[str, int]) -> str:
    host, port = name[:2]
    return f"http://[{host}]:{port}/" if ":" in host else f"http://{host}:{port}/"
