"""Takes as much as a client sends on port 9001, gives as much as one reads on port 9002: on the stack, or the kernel's.

    python -m bench.bulk_server LINK-NUMBER [--no-offload]      asyncio protocols on netstack, on a TAP of its own
    python -m bench.bulk_server --kernel                        blocking sockets with large buffers
"""

import argparse
import asyncio
import select
import signal
import socket
from typing import cast

from bench.contenders import SINK_PORT, SOURCE_PORT
from bench.place import MTU, VETH, Link
from netstack.aio import Interface
from netstack.config import Config
from netstack.host import interface
from netstack.link.tap import TapDevice

CHUNK = bytes(256 * 1024)
BUFFER = 1024 * 1024


class Sink(asyncio.Protocol):
    """Takes octets until there are no more; the connection then closes, which tells the client that all arrived."""

    def data_received(self, data: bytes) -> None:
        """They came: that is all."""


class Source(asyncio.Protocol):
    """Writes whenever the transport wants more."""

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        """Begin."""
        self.transport = cast(asyncio.WriteTransport, transport)
        self.paused = False
        self.give()

    def pause_writing(self) -> None:
        """Enough is waiting."""
        self.paused = True

    def resume_writing(self) -> None:
        """There is room again."""
        self.paused = False
        self.give()

    def give(self) -> None:
        """Fill the transport's buffer."""
        while not self.paused and not self.transport.is_closing():
            self.transport.write(CHUNK)


async def on_stack(link: Link, tap: TapDevice) -> None:
    """Serve on netstack until a signal."""
    ended = asyncio.Event()
    for number in (signal.SIGINT, signal.SIGTERM):
        asyncio.get_running_loop().add_signal_handler(number, ended.set)
    async with Interface(tap, Config(address=link.server, mtu=MTU)) as net:
        host = str(link.server.ip)
        await net.create_server(Sink, host, SINK_PORT)
        await net.create_server(Source, host, SOURCE_PORT)
        print(f"serving on {host}", flush=True)
        await ended.wait()


def on_kernel(host: str) -> None:
    """Serve on the kernel's sockets, one client at a time, until a signal."""
    serve = {}
    for port, one in ((SINK_PORT, take), (SOURCE_PORT, give)):
        serve[socket.create_server((host, port))] = one
    print(f"serving on {host}", flush=True)
    while True:
        for listener in select.select(list(serve), [], [])[0]:
            sock, _ = listener.accept()
            with sock:
                serve[listener](sock)


def take(sock: socket.socket) -> None:
    """Read to the end."""
    buffer = bytearray(BUFFER)
    while sock.recv_into(buffer):
        pass


def give(sock: socket.socket) -> None:
    """Write until the client has had enough."""
    try:
        while True:
            sock.sendall(CHUNK)
    except (ConnectionResetError, BrokenPipeError):
        pass


def main() -> None:
    """Parse and serve."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("link", type=int, nargs="?", default=VETH.number)
    parser.add_argument("--no-offload", action="store_true")
    parser.add_argument("--kernel", action="store_true")
    options = parser.parse_args()
    try:
        if options.kernel:
            on_kernel(str(VETH.server.ip))
        else:
            link = Link(options.link)
            tap = TapDevice(link.interface, MTU, not options.no_offload)
            interface.configure(tap.name, link.host, MTU)
            asyncio.run(on_stack(link, tap))
    except KeyboardInterrupt:
        pass


if __name__ == "__main__":
    main()
