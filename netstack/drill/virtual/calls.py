"""System calls on the stack's sockets, under the names and with the arguments of `host.Host.start`.

Each call is a generator: it yields while it would block (the time until which, or None), and returns its result. In
blocking mode Linux's kernel waits where a non-blocking socket says EAGAIN; here the runner asks again.
"""

import errno
from collections.abc import Generator, Iterator
from contextlib import contextmanager
from struct import Struct
from typing import Any

from netstack.drill.host import Address
from netstack.drill.outcome import Unsupported
from netstack.drill.symbols import (
    AF_INET,
    F_GETFL,
    F_SETFL,
    FIONBIO,
    IP_MTU_DISCOVER,
    IPPROTO_IP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    O_NONBLOCK,
    O_RDWR,
    POLLERR,
    POLLHUP,
    POLLIN,
    POLLNVAL,
    POLLOUT,
    POLLRDHUP,
    SIOCINQ,
    SIOCOUTQ,
    SIOCOUTQNSD,
    SO_DEBUG,
    SO_ERROR,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
    option_name,
)
from netstack.sockets.datagram import DatagramSocket
from netstack.sockets.options import MSG_FASTOPEN, TCP_FASTOPEN_CONNECT
from netstack.sockets.stream import StreamSocket
from netstack.stack import Stack
from netstack.tcp.connection import Connection
from netstack.tcp.readiness import FAILED, HANGUP, READABLE, WRITABLE
from netstack.tcp.state import CLOSING, FIN_WAIT_1, LAST_ACK, SYN_RECEIVED, SYN_SENT
from netstack.units import MILLISECOND, Micros

Step = Generator[Micros | None, None, Any]
MSG_PEEK, MSG_DONTWAIT, MSG_WAITALL, MSG_NOSIGNAL, MSG_MORE = 2, 0x40, 0x100, 0x4000, 0x8000
_POLLRDNORM, _POLLWRNORM = 0x40, 0x100
_INT = Struct("<i")
WITHOUT_EFFECT = {(SOL_SOCKET, SO_DEBUG)}
"""Socket options that change nothing anybody could see."""
_LINGERING = (FIN_WAIT_1, CLOSING, LAST_ACK)
"""Where SO_LINGER makes close() wait: our FIN is not acknowledged yet."""


class StackSockets:
    """Descriptors from 3 on, each a socket of `stack`, in blocking mode until fcntl says otherwise."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.sockets: dict[int, StreamSocket | DatagramSocket] = {}
        self.nonblocking: set[int] = set()
        self._next = 3

    def find(self, fd: int) -> StreamSocket | DatagramSocket:
        """The socket behind a descriptor. EBADF."""
        if fd not in self.sockets:
            raise OSError(errno.EBADF, "Bad file descriptor")
        return self.sockets[fd]

    def stream(self, fd: int) -> StreamSocket:
        """The TCP socket behind a descriptor. EBADF; EOPNOTSUPP for one of UDP."""
        sock = self.find(fd)
        if not isinstance(sock, StreamSocket):
            raise OSError(errno.EOPNOTSUPP, "Operation not supported")
        return sock

    def connection(self, fd: int) -> Connection | None:
        """The connection behind a descriptor, where there is one."""
        sock = self.find(fd)
        return sock.connection if isinstance(sock, StreamSocket) else None

    def _add(self, made: StreamSocket | DatagramSocket, nonblocking: bool) -> int:
        fd, self._next = self._next, self._next + 1
        self.sockets[fd] = made
        if nonblocking:
            self.nonblocking.add(fd)
        return fd

    def _waits(self, fd: int, flags: int = 0) -> bool:
        return fd not in self.nonblocking and not flags & MSG_DONTWAIT

    # Every call is a generator, also those that never block: the unreachable yield makes it one.

    def socket(self, family: int, type_: int, protocol: int) -> Step:
        """A new socket, of TCP or UDP."""
        kinds: dict[int, tuple[int, type[StreamSocket] | type[DatagramSocket]]] = {
            SOCK_STREAM: (IPPROTO_TCP, StreamSocket),
            SOCK_DGRAM: (IPPROTO_UDP, DatagramSocket),
        }
        number, kind = kinds.get(type_ & 0xF, (-1, StreamSocket))
        if family != AF_INET or protocol not in (0, number) or number < 0:
            raise Unsupported(f"socket of family {family}, type {type_ & 0xF}, protocol {protocol}")
        return self._add(kind(self.stack), bool(type_ & SOCK_NONBLOCK))
        yield

    def bind(self, fd: int, address: Address) -> Step:
        """Give it a local address."""
        self.find(fd).bind(_name(address))
        return
        yield

    def listen(self, fd: int, backlog: int) -> Step:
        """Make it a listener."""
        self.stream(fd).listen(backlog)
        return
        yield

    def accept(self, fd: int, flags: int) -> Step:
        """The next connection and its peer."""
        while True:
            try:
                child, _ = self.stream(fd).accept()
            except BlockingIOError:
                if not self._waits(fd):
                    raise
                yield None
                continue
            remote = child.connection.remote if child.connection is not None else (b"", 0)
            return self._add(child, bool(flags & SOCK_NONBLOCK)), remote

    def connect(self, fd: int, address: Address) -> Step:
        """Open actively."""
        while True:
            try:
                return self.find(fd).connect(_name(address))
            except BlockingIOError:
                if not self._waits(fd):
                    raise
            except OSError as error:
                if error.errno != errno.EALREADY or not self._waits(fd):
                    raise
            yield None

    def recv(self, fd: int, octets: int, flags: int) -> Step:
        """What has arrived, `octets` at most."""
        if flags & ~(MSG_PEEK | MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL):
            raise Unsupported(f"recv with flags {flags:#x}")
        got = b""
        while True:
            try:
                conn = self.connection(fd)
                if flags & MSG_PEEK and conn is not None and conn.readable:
                    return conn.peek(octets) or b""
                part = self.find(fd).recv(octets - len(got))
                got += part
                if not part or len(got) == octets or not flags & MSG_WAITALL:
                    return got
            except BlockingIOError:
                if not self._waits(fd, flags):
                    if got:
                        return got
                    raise
            yield None

    def send(self, fd: int, data: bytes, flags: int, address: Address | None) -> Step:
        """Octets taken: all of them, unless the call may not block."""
        if flags & ~(MSG_MORE | MSG_DONTWAIT | MSG_NOSIGNAL | MSG_FASTOPEN):
            raise Unsupported(f"send with flags {flags:#x}")
        sent = 0
        conn = self.connection(fd)
        if flags & MSG_FASTOPEN or (conn is not None and conn.fast_open is not None and conn.fast_open.deferred):
            sent = yield from self._send_with_syn(fd, data, flags, address)
            if sent == len(data) or not self._waits(fd, flags):
                return sent
        while True:
            try:
                sent += self._send(fd, data[sent:], bool(flags & MSG_MORE), address)
            except BlockingIOError:
                if not self._waits(fd, flags):
                    if sent:
                        return sent
                    raise
            except OSError:
                if sent:
                    return sent
                raise
            if sent == len(data):
                return sent
            yield None

    def _send_with_syn(self, fd: int, data: bytes, flags: int, address: Address | None) -> Step:
        """Fast Open: what went with the SYN. A call that may block waits for the handshake, as connect() does."""
        sock, sent = self.stream(fd), 0
        try:
            if flags & MSG_FASTOPEN:
                sent = sock.sendto(data, MSG_FASTOPEN, ("", 0) if address is None else _name(address))
            else:
                sent = sock.send(data)
        except BlockingIOError as error:
            if error.errno != errno.EINPROGRESS or not self._waits(fd, flags):
                raise
        conn = sock.connection
        if self._waits(fd, flags) and conn is not None and conn.fast_open is not None:
            conn.fast_open.more_waits = sent < len(data)
            while conn.state in (SYN_SENT, SYN_RECEIVED):
                yield None
            sock.connect(_name(address) if address is not None else ("", 0))  # it reports how that ended
        return sent

    def _send(self, fd: int, data: bytes, more: bool, address: Address | None) -> int:
        sock = self.find(fd)
        if isinstance(sock, DatagramSocket):
            return sock.sendto(data, None if address is None else _name(address))
        conn = sock.connection
        if not more or conn is None or conn.error or conn.state in (SYN_SENT, SYN_RECEIVED):
            return sock.send(data)
        if not (taken := conn.send(data, more=True)):
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return taken

    def shutdown(self, fd: int, how: int) -> Step:
        """Close one or both directions."""
        self.stream(fd).shutdown(how)
        return
        yield

    def close(self, fd: int) -> Step:
        """Let go of the descriptor; with SO_LINGER, wait for the FIN to be acknowledged."""
        sock = self.find(fd)
        conn = self.connection(fd)
        linger = sock.options.linger if isinstance(sock, StreamSocket) else None
        sock.close()
        del self.sockets[fd]
        self.nonblocking.discard(fd)
        if conn is not None and linger:
            until = self.stack.now + linger
            while conn.state in _LINGERING and self.stack.now < until:
                yield until

    def fcntl(self, fd: int, command: int, argument: int) -> Step:
        """F_GETFL, F_SETFL."""
        self.find(fd)
        if command == F_GETFL:
            return O_RDWR | (O_NONBLOCK if fd in self.nonblocking else 0)
        if command != F_SETFL:
            raise Unsupported(f"fcntl {command}")
        (self.nonblocking.add if argument & O_NONBLOCK else self.nonblocking.discard)(fd)
        return 0
        yield

    def ioctl(self, fd: int, request: int, argument: int) -> Step:
        """SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, FIONBIO."""
        sock, conn = self.find(fd), self.connection(fd)
        if request == FIONBIO:
            (self.nonblocking.add if argument else self.nonblocking.discard)(fd)
            return 0
        if not isinstance(sock, StreamSocket):
            raise Unsupported("ioctl on a UDP socket")
        if sock.listening:
            raise OSError(errno.EINVAL, "Invalid argument")
        if request == SIOCINQ:
            return conn.readable if conn is not None else 0
        if request == SIOCOUTQ:
            return len(conn.send_buffer) if conn is not None else 0
        if request == SIOCOUTQNSD:
            return conn.send_buffer.end - max(conn.tcb.snd_nxt, conn.send_buffer.start) if conn is not None else 0
        raise Unsupported(f"ioctl {request:#x}")
        yield

    def setsockopt(self, fd: int, level: int, name: int, value: bytes) -> Step:
        """Set an option to these octets. One that the stack does not have skips the script."""
        if (level, name) in WITHOUT_EFFECT:
            self.find(fd)
            return
        with _known(level, name):
            self.stream(fd).setsockopt(level, name, value)
        return
        yield

    def getsockopt(self, fd: int, level: int, name: int, length: int) -> Step:
        """The option's octets, `length` at most."""
        sock = self.find(fd)
        if isinstance(sock, DatagramSocket) and (level, name) == (SOL_SOCKET, SO_ERROR):
            return _INT.pack(sock.take_error())[:length]
        with _known(level, name):
            value = self.stream(fd).getsockopt(level, name, max(1, min(length, 1024)))
        return value if isinstance(value, bytes) else _INT.pack(value)[:length]
        yield

    def poll(self, asked: list[tuple[int, int]], timeout: int) -> Step:
        """What each (descriptor, events) is ready for."""
        until = self.stack.now + timeout * MILLISECOND if timeout >= 0 else None
        while True:
            ready = [self._ready(fd, events) for fd, events in asked]
            if any(ready) or (until is not None and self.stack.now >= until):
                return ready
            yield until

    def _ready(self, fd: int, events: int) -> int:
        if fd not in self.sockets:
            return POLLNVAL
        sock = self.sockets[fd]
        bits = sock.readiness()
        found = POLLIN | _POLLRDNORM if bits & READABLE else 0
        found |= POLLOUT | _POLLWRNORM if bits & WRITABLE else 0
        conn = self.connection(fd)
        if conn is not None and conn.eof:
            found |= POLLRDHUP
        always = (POLLHUP if bits & HANGUP else 0) | (POLLERR if bits & FAILED else 0)
        return found & events | always


@contextmanager
def _known(level: int, name: int) -> Iterator[None]:
    """ENOPROTOOPT inside means that the stack lacks the option; so does a refusal to send without DF."""
    try:
        yield
    except OSError as error:
        lacking = error.errno == errno.ENOPROTOOPT or (error.errno == errno.EOPNOTSUPP and name != TCP_FASTOPEN_CONNECT)
        if lacking or (level, name) == (IPPROTO_IP, IP_MTU_DISCOVER):
            raise Unsupported(f"socket option {option_name(level, name)}") from None
        raise


def _name(address: Address) -> tuple[str, int]:
    return ".".join(str(octet) for octet in address[0]), address[1]
