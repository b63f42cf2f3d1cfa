"""The small servers and clients that recordings use where no common program does what is wanted.

Each is run by name in a process of its own: `python tools/record_programs.py NAME`. Servers listen on 192.0.2.2, print
"ready" and run until they are killed.
"""

import asyncio
import socket
import struct
import sys
import time
from collections.abc import Callable

CLIENT, SERVER = "192.0.2.1", "192.0.2.2"
PORT = 80
READY = "ready"
STRIDE = 37
SIZES = {"/download": 400_000, "/short": 120_000}


def pattern(size: int) -> bytes:
    """`size` octets in which no stretch looks like another."""
    return b"".join(b"%07d\n" % (i * STRIDE) for i in range(size // 8 + 1))[:size]


def http() -> None:
    """HTTP/1.1 with keep-alive: tells how much it got as a body; /download sends 400,000 octets, /short 120,000."""

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while head := await reader.readuntil(b"\r\n\r\n"):
                line, *fields = head.decode().split("\r\n")
                lengths = [int(field.split(":")[1]) for field in fields if field.lower().startswith("content-length:")]
                body = await reader.readexactly(lengths[0]) if lengths else b""
                path = line.split()[1]
                answer = pattern(SIZES[path]) if path in SIZES else f"{path}: {len(body)} octets\n".encode()
                writer.write(b"HTTP/1.1 200 OK\r\nContent-Length: %d\r\n\r\n" % len(answer) + answer)
                await writer.drain()
        except (asyncio.IncompleteReadError, ConnectionError):
            pass
        finally:
            writer.close()

    async def main() -> None:
        server = await asyncio.start_server(connected, SERVER, PORT)
        print(READY, flush=True)
        await server.serve_forever()

    asyncio.run(main())


def serve_each(serve: Callable[[socket.socket], None], rcvbuf: int = 0) -> None:
    """Accept one connection after the other and let `serve` have it."""
    with socket.socket() as listener:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        if rcvbuf:
            listener.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, rcvbuf)
        listener.bind((SERVER, PORT))
        listener.listen()
        print(READY, flush=True)
        while True:
            with listener.accept()[0] as connection:
                serve(connection)


def read_all(connection: socket.socket) -> bytes:
    """Everything until the peer's FIN."""
    received = b""
    while data := connection.recv(65_536):
        received += data
    return received


def summing() -> None:
    """Reads until the client has finished, then answers: what a half close is for."""

    def serve(connection: socket.socket) -> None:
        lines = read_all(connection).split()
        connection.sendall(f"the sum of {len(lines)} numbers is {sum(map(int, lines))}\n".encode())

    serve_each(serve)


def half_close() -> None:
    """The client of `summing`: sends numbers, closes its direction, reads the answer."""
    with socket.create_connection((SERVER, PORT)) as connection:
        for number in range(5):
            connection.sendall(b"%d\n" % number)
            time.sleep(0.02)
        connection.shutdown(socket.SHUT_WR)
        print(read_all(connection).decode(), end="")


def slow_reader() -> None:
    """A server with a small buffer that does not read for a while, so that its window closes; then it reads it all."""

    def serve(connection: socket.socket) -> None:
        time.sleep(0.7)
        connection.sendall(f"{len(read_all(connection))} octets\n".encode())

    serve_each(serve, rcvbuf=4096)


def upload() -> None:
    """The client of `slow_reader`: 40,000 octets as fast as the window lets them out."""
    with socket.create_connection((SERVER, PORT)) as connection:
        connection.sendall(pattern(40_000))
        connection.shutdown(socket.SHUT_WR)
        print(read_all(connection).decode(), end="")


def resetting() -> None:
    """Answers with half of what it promised and then resets the connection."""

    def serve(connection: socket.socket) -> None:
        connection.recv(4096)
        connection.sendall(b"HTTP/1.1 200 OK\r\nContent-Length: 2000\r\n\r\n" + pattern(1000))
        time.sleep(0.05)
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))

    serve_each(serve)


def closing_first() -> None:
    """Sends a line and closes 100 ms after the connection was accepted."""

    def serve(connection: socket.socket) -> None:
        connection.sendall(b"goodbye\n")
        time.sleep(0.1)

    serve_each(serve)


def closing_too() -> None:
    """The client of `closing_first`, 30 ms away: times its close so that the two FINs cross on the wire."""
    with socket.create_connection((SERVER, PORT)) as connection:
        started = time.monotonic()
        connection.recv(100)
        time.sleep(max(0.0, started + 0.115 - time.monotonic()))


def urgent() -> None:
    """A client of `summing` that marks an octet as urgent."""
    with socket.create_connection((SERVER, PORT)) as connection:
        connection.sendall(b"1\n2\n")
        connection.send(b"3", socket.MSG_OOB)
        connection.sendall(b"\n4\n")
        connection.shutdown(socket.SHUT_WR)
        print(read_all(connection).decode(), end="")


if __name__ == "__main__":
    globals()[sys.argv[1]]()
