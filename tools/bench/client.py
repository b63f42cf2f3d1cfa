"""The clients, on the kernel's sockets: many small requests, one large transfer, many idle connections.

Each is a function that runs for a bounded time in the calling thread and raises Failure or OSError when the server
does not play along.
"""

import contextlib
import select
import socket
import time
from collections.abc import Iterator

from bench.program import Failure

PATIENCE = 5.0
"""Seconds that a server may stay silent."""
CHUNK = 256 * 1024
HTTP_CHUNK = b"%x\r\n%s\r\n" % (CHUNK, bytes(CHUNK))
BUFFER = 1024 * 1024

Address = tuple[str, int]


def get(address: Address, path: str) -> bytes:
    """A request for `path`."""
    return f"GET {path} HTTP/1.1\r\nHost: {address[0]}:{address[1]}\r\n\r\n".encode()


def connect(address: Address) -> socket.socket:
    """A connection; calls on it wait, but not for ever."""
    sock = socket.create_connection(address, PATIENCE)
    sock.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    return sock


def ask(sock: socket.socket, request: bytes) -> bytes:
    """Send a request and read the whole answer, which has to be 200 and to say its length."""
    sock.sendall(request)
    answer = b""
    while b"\r\n\r\n" not in answer:
        answer += _more(sock)
    head, _, body = answer.partition(b"\r\n\r\n")
    fields = dict(line.lower().split(b": ", 1) for line in head.split(b"\r\n")[1:])
    if b" 200 " not in head.split(b"\r\n")[0] or b"content-length" not in fields:
        raise Failure(f"unexpected answer: {head[:80]!r}")
    while len(body) < int(fields[b"content-length"]):
        body += _more(sock)
    return head + b"\r\n\r\n" + body


def _more(sock: socket.socket) -> bytes:
    data = sock.recv(65_536)
    if not data:
        raise Failure("the server closed the connection before its answer was complete")
    return data


def requests(address: Address, path: str, connections: int, seconds: float) -> float:
    """Requests/s answered on so many keep-alive connections, one request at a time on each.

    Lean, so that the server is what limits: one request made once, and of the answers only the octets counted; they
    are all as long as the first was.
    """
    request, count = get(address, path), 0
    buffer = memoryview(bytearray(65_536))
    with contextlib.ExitStack() as opened:
        socks = [opened.enter_context(connect(address)) for _ in range(connections)]
        length = {len(ask(sock, request)) for sock in socks}.pop()
        due = {sock.fileno(): length for sock in socks}
        calls = {sock.fileno(): (sock.recv_into, sock.send) for sock in socks}
        poll = opened.enter_context(contextlib.closing(select.epoll()))
        for sock in socks:
            sock.setblocking(False)
            poll.register(sock, select.EPOLLIN)
        began = time.perf_counter()
        ends = began + seconds
        for sock in socks:
            sock.send(request)
        while (now := time.perf_counter()) < ends:
            ready = poll.poll(PATIENCE)
            if not ready:
                raise Failure(f"no answer within {PATIENCE:g} s")
            for fileno, _ in ready:
                recv_into, send = calls[fileno]
                left = due[fileno] - recv_into(buffer)
                if left == 0:
                    count += 1
                    due[fileno] = length
                    send(request)
                elif left < 0 or left == due[fileno]:
                    raise Failure("an answer of another length, or a closed connection")
                else:
                    due[fileno] = left
        return count / (now - began)


def upload(address: Address, seconds: float, path: str = "") -> float:
    """Bits/s that the server takes, until the last octet has arrived; with a `path`, as the body of a POST to it."""
    chunk = HTTP_CHUNK if path else bytes(CHUNK)
    octets, answer = 0, b""
    with connect(address) as sock:
        if path:
            fields = "Connection: close\r\nTransfer-Encoding: chunked\r\n"
            sock.sendall(f"POST {path} HTTP/1.1\r\nHost: {address[0]}\r\n{fields}\r\n".encode())
        began = time.perf_counter()
        while time.perf_counter() - began < seconds:
            sock.sendall(chunk)
            octets += CHUNK
        if path:
            sock.sendall(b"0\r\n\r\n")
        else:
            sock.shutdown(socket.SHUT_WR)
        while more := sock.recv(65_536):
            answer += more
        took = time.perf_counter() - began
    if path and not answer.startswith(b"HTTP/1.1 200 "):
        raise Failure(f"unexpected answer: {answer[:40]!r}")
    return octets * 8 / took


def download(address: Address, seconds: float, path: str = "") -> float:
    """Bits/s that the server gives, from the first octet on; with a `path`, as the answer to a GET. Then it is cut."""
    buffer = bytearray(BUFFER)
    octets = 0
    with connect(address) as sock:
        if path:
            sock.sendall(get(address, path))
        sock.recv_into(buffer)
        if path and not buffer.startswith(b"HTTP/1.1 200 "):
            raise Failure(f"unexpected answer: {bytes(buffer[:40])!r}")
        began = time.perf_counter()
        while (now := time.perf_counter()) - began < seconds:
            got = sock.recv_into(buffer)
            if not got:
                raise Failure("the server closed the connection before its time")
            octets += got
        return octets * 8 / (now - began)


@contextlib.contextmanager
def idle(address: Address, path: str, connections: int) -> Iterator[list[socket.socket]]:
    """So many open connections that have each had one answer and are kept alive."""
    request = get(address, path)
    with contextlib.ExitStack() as opened:
        socks = []
        for _ in range(connections):
            socks.append(opened.enter_context(connect(address)))
            ask(socks[-1], request)
        yield socks


def open_ones(socks: list[socket.socket]) -> int:
    """How many of them the server has left open, and silent."""
    poll = select.poll()
    for sock in socks:
        poll.register(sock, select.POLLIN | select.POLLRDHUP)
    return len(socks) - len(poll.poll(0))
