"""System calls on the stack's sockets, under the names and with the arguments of `host.Host.start`.

Each call is a generator: it yields while it would block (the time until which, or None), and returns its result. In
blocking mode Linux's kernel waits where a non-blocking socket says EAGAIN; here the runner asks again.
"""

import errno
from collections.abc import Iterator
from contextlib import contextmanager
from struct import Struct

from netstack.drill.constants import (
    AF_INET,
    F_GETFL,
    F_SETFL,
    FIONBIO,
    IPPROTO_IP,
    IPPROTO_TCP,
    IPPROTO_UDP,
    NUMBERS,
    O_NONBLOCK,
    O_RDWR,
    SIOCATMARK,
    SIOCINQ,
    SIOCOUTQ,
    SIOCOUTQNSD,
    SO_ERROR,
    SOCK_DGRAM,
    SOCK_NONBLOCK,
    SOCK_STREAM,
    SOL_SOCKET,
)
from netstack.drill.host import Address
from netstack.drill.messages import INQ, TIMESTAMPING
from netstack.drill.outcome import Unsupported
from netstack.drill.symbols import is_option, option_name
from netstack.drill.virtual.data import DataCalls
from netstack.drill.virtual.descriptors import Step, name_of, packed
from netstack.drill.virtual.waiting import WaitCalls
from netstack.sockets import options as sockopt
from netstack.sockets.datagram import DatagramSocket
from netstack.sockets.inert import INERT
from netstack.sockets.stream import StreamSocket
from netstack.tcp import urgent
from netstack.tcp.state import CLOSING, FIN_WAIT_1, LAST_ACK

_INT = Struct("<i")
_TIMEVAL = Struct("<qq")
_SO_RCVTIMEO, _SO_SNDTIMEO = NUMBERS["SO_RCVTIMEO"], NUMBERS["SO_SNDTIMEO"]
_ZEROCOPY = (SOL_SOCKET, NUMBERS["SO_ZEROCOPY"])
_IP_MINTTL = NUMBERS["IP_MINTTL"]
_F_GETFD, _F_SETFD = NUMBERS["F_GETFD"], NUMBERS["F_SETFD"]
_LINGERING = (FIN_WAIT_1, CLOSING, LAST_ACK)
"""Where SO_LINGER makes close() wait: our FIN is not acknowledged yet."""


class StackSockets(DataCalls, WaitCalls):
    """Sockets of the stack and what else has a descriptor."""

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
        return self.add(kind(self.stack), bool(type_ & SOCK_NONBLOCK))
        yield

    def bind(self, fd: int, address: Address) -> Step:
        """Give it a local address."""
        self.find(fd).bind(name_of(address))
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
                if not self.waits(fd):
                    raise
                yield None
                continue
            remote = child.connection.remote if child.connection is not None else (b"", 0)
            return self.add(child, bool(flags & SOCK_NONBLOCK)), remote

    def connect(self, fd: int, address: Address) -> Step:
        """Open actively."""
        while True:
            try:
                return self.find(fd).connect(name_of(address))
            except BlockingIOError:
                if not self.waits(fd):
                    raise
            except OSError as error:
                if error.errno != errno.EALREADY or not self.waits(fd):
                    raise
            yield None

    def disconnect(self, fd: int) -> Step:
        """connect() to AF_UNSPEC."""
        self.stream(fd).disconnect()
        return
        yield

    def getsockname(self, fd: int) -> Step:
        """The address of this end."""
        return packed(self.find(fd).getsockname())
        yield

    def getpeername(self, fd: int) -> Step:
        """The address of the other end."""
        return packed(self.find(fd).getpeername())
        yield

    def shutdown(self, fd: int, how: int) -> Step:
        """Close one or both directions."""
        self.stream(fd).shutdown(how)
        return
        yield

    def close(self, fd: int) -> Step:
        """Let go of the descriptor; with SO_LINGER, wait for the FIN to be acknowledged."""
        if self.forget_file(fd):
            return
        sock = self.find(fd)
        conn = self.connection(fd)
        linger = sock.options.linger if isinstance(sock, StreamSocket) else None
        sock.close()
        self.forget(fd)
        if conn is not None and linger:
            until = self.stack.now + linger
            while conn.state in _LINGERING and self.stack.now < until:
                yield until

    def fcntl(self, fd: int, command: int, argument: int) -> Step:
        """F_GETFL, F_SETFL."""
        self.check(fd)
        if command in (_F_GETFD, _F_SETFD):
            return 0
        if command == F_GETFL:
            return O_RDWR | (O_NONBLOCK if fd in self.nonblocking else 0)
        if command != F_SETFL:
            raise Unsupported(f"fcntl {command}")
        (self.nonblocking.add if argument & O_NONBLOCK else self.nonblocking.discard)(fd)
        return 0
        yield

    def ioctl(self, fd: int, request: int, argument: int) -> Step:
        """SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, SIOCATMARK, FIONBIO."""
        sock, conn = self.find(fd), self.connection(fd)
        if request == FIONBIO:
            (self.nonblocking.add if argument else self.nonblocking.discard)(fd)
            return 0
        if not isinstance(sock, StreamSocket):
            raise Unsupported("ioctl on a UDP socket")
        if request == SIOCATMARK:
            return int(sock.at_mark())
        if sock.listening:
            raise OSError(errno.EINVAL, "Invalid argument")
        if request == SIOCINQ and conn is not None and conn.urgent is not None:
            return urgent.readable(conn, conn.urgent)
        if request == SIOCINQ:
            return conn.readable if conn is not None else 0
        if request == SIOCOUTQ:
            return conn.unacknowledged if conn is not None else 0
        if request == SIOCOUTQNSD:
            return conn.unsent if conn is not None else 0
        raise Unsupported(f"ioctl {request:#x}")
        yield

    def setsockopt(self, fd: int, level: int, name: int, value: bytes) -> Step:
        """Set an option to these octets. One that the stack does not have skips the script."""
        sock = self.find(fd)
        if level == SOL_SOCKET and name in (_SO_RCVTIMEO, _SO_SNDTIMEO):
            if len(value) < _TIMEVAL.size:
                raise OSError(errno.EINVAL, "Invalid argument")
            seconds, micros = _TIMEVAL.unpack_from(value)
            self.patience[fd, name == _SO_SNDTIMEO] = seconds * 1_000_000 + micros
        elif (level, name) in (_ZEROCOPY, INQ) and (len(value) < 4 or int.from_bytes(value[:4], "little") > 1):
            raise OSError(errno.EINVAL, "Invalid argument")
        elif (level, name) == _ZEROCOPY:
            self.errors(fd).zerocopy = any(value[:4])
        elif (level, name) == TIMESTAMPING:
            self.errors(fd).set_stamping(int.from_bytes(value[:4], "little"), self.connection(fd))
        elif (level, name) == (IPPROTO_IP, _IP_MINTTL):
            if int.from_bytes(value[:4], "little") > 1:
                raise Unsupported("IP_MINTTL")
        elif (level, name) != INQ and not (isinstance(sock, DatagramSocket) and (level, name) in INERT):
            with _known(level, name):
                self.stream(fd).setsockopt(level, name, value)
            return
        self.remembered[fd, level, name] = value
        return
        yield

    def getsockopt(self, fd: int, level: int, name: int, length: int) -> Step:
        """The option's octets, `length` at most."""
        sock = self.find(fd)
        if isinstance(sock, DatagramSocket) and (level, name) == (SOL_SOCKET, SO_ERROR):
            return _INT.pack(sock.take_error())[:length]
        if (fd, level, name) in self.remembered:
            return self.remembered[fd, level, name][:length]
        if level == SOL_SOCKET and name in (_SO_RCVTIMEO, _SO_SNDTIMEO):
            return bytes(_TIMEVAL.size)[:length]
        if (level, name) in (_ZEROCOPY, INQ, TIMESTAMPING, (IPPROTO_IP, _IP_MINTTL)):
            return bytes(4)[:length]
        with _known(level, name):
            value = self.stream(fd).getsockopt(level, name, max(1, min(length, 1024)))
        return value if isinstance(value, bytes) else _INT.pack(value)[:length]
        yield


@contextmanager
def _known(level: int, name: int) -> Iterator[None]:
    """ENOPROTOOPT for an option of Linux's that the stack has no notion of means that the script cannot be run."""
    try:
        yield
    except OSError as error:
        if error.errno == errno.ENOPROTOOPT and is_option(level, name) and not sockopt.known(level, name):
            raise Unsupported(f"socket option {option_name(level, name)}") from None
        raise
