"""Descriptors from 3 on and what is behind each of them."""

import errno
from collections.abc import Generator
from typing import Any

from netstack.drill.host import Address
from netstack.drill.virtual.error_queue import ErrorQueue
from netstack.drill.virtual.files import FILES, End, File, Poller
from netstack.sockets.datagram import DatagramSocket
from netstack.sockets.stream import StreamSocket
from netstack.stack import Stack
from netstack.tcp.connection import Connection
from netstack.units import Micros

Step = Generator[Micros | None, None, Any]
MSG_DONTWAIT = 0x40


class Descriptors:
    """Sockets are in blocking mode until fcntl says otherwise."""

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.sockets: dict[int, StreamSocket | DatagramSocket] = {}
        self.files: dict[int, File | End | Poller] = {}
        self.nonblocking: set[int] = set()
        self.paced = False
        """The device's queue paces every connection, as Linux's fq does."""
        self.remembered: dict[tuple[int, int, int], bytes] = {}
        """Options that the stack knows nothing of, by descriptor, level and name."""
        self.patience: dict[tuple[int, bool], Micros] = {}
        """SO_RCVTIMEO (False) and SO_SNDTIMEO (True)."""
        self.zeros = dict(FILES)
        """Files that can be opened, all zeros, and how many."""
        self.queues: dict[int, ErrorQueue] = {}
        self._next = 3

    def find(self, fd: int) -> StreamSocket | DatagramSocket:
        """The socket behind a descriptor. EBADF; ENOTSOCK."""
        if fd not in self.sockets:
            raise OSError(errno.ENOTSOCK, "Socket operation on non-socket") if fd in self.files else _bad()
        return self.sockets[fd]

    def check(self, fd: int) -> None:
        """EBADF unless the descriptor is open."""
        if fd not in self.sockets and fd not in self.files:
            raise _bad()

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

    def errors(self, fd: int) -> ErrorQueue:
        """The error queue of a socket."""
        return self.queues.setdefault(fd, ErrorQueue())

    def add(self, made: StreamSocket | DatagramSocket, nonblocking: bool) -> int:
        """A descriptor for a socket."""
        fd, self._next = self._next, self._next + 1
        self.sockets[fd] = made
        if self.paced and isinstance(made, StreamSocket):
            made.options.paced = True
        if nonblocking:
            self.nonblocking.add(fd)
        return fd

    def add_file(self, made: File | End | Poller) -> int:
        """A descriptor for something else."""
        fd, self._next = self._next, self._next + 1
        self.files[fd] = made
        return fd

    def forget(self, fd: int) -> None:
        """The socket is closed."""
        del self.sockets[fd]
        self.nonblocking.discard(fd)
        self.queues.pop(fd, None)
        for made in self.files.values():
            if isinstance(made, Poller):
                made.watched.pop(fd, None)

    def forget_file(self, fd: int) -> bool:
        """Close what is no socket; False when it is one."""
        made = self.files.pop(fd, None)
        if isinstance(made, End):
            made.pipe.ends -= 1
        return made is not None

    def waits(self, fd: int, flags: int = 0) -> bool:
        """Whether a call may block."""
        return fd not in self.nonblocking and not flags & MSG_DONTWAIT

    def look(self, now: Micros) -> None:
        """After every turn: what the error queues learn from it."""
        for fd, queue in self.queues.items():
            conn = self.connection(fd)
            if conn is None:
                continue
            before = len(queue.entries)
            queue.look(conn, now)
            if len(queue.entries) > before:
                for made in self.files.values():
                    if isinstance(made, Poller):
                        made.happened(fd, 8)


def _bad() -> OSError:
    return OSError(errno.EBADF, "Bad file descriptor")


def name_of(address: Address) -> tuple[str, int]:
    """As the stack's sockets take it."""
    return ".".join(str(octet) for octet in address[0]), address[1]


def packed(name: tuple[str, int]) -> Address:
    """As scripts have it."""
    return bytes(int(octet) for octet in name[0].split(".")), name[1]
