"""System calls on Linux's own sockets, under the names and with the arguments of `host.Host.start`."""

import errno
import fcntl
import os
import select
import socket
import struct

Address = tuple[bytes, int]
MAY_BLOCK = {"accept", "connect", "recv", "send", "close", "poll"}


def bad_descriptor() -> OSError:
    """What the kernel says of a descriptor that is not open."""
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


class KernelSockets:
    """Sockets by their descriptors. They are in blocking mode until fcntl says otherwise."""

    def __init__(self) -> None:
        self.sockets: dict[int, socket.socket] = {}
        self.congestion = ""
        """Congestion control that each new socket chooses; "": the namespace's default."""

    def _socket(self, fd: int) -> socket.socket:
        if fd not in self.sockets:
            raise bad_descriptor()
        return self.sockets[fd]

    def _add(self, made: socket.socket) -> int:
        self.sockets[made.fileno()] = made
        return made.fileno()

    def socket(self, family: int, type_: int, protocol: int) -> int:
        """A new socket."""
        made = socket.socket(family, type_, protocol)
        if self.congestion and type_ & 0xF == socket.SOCK_STREAM:
            made.setsockopt(socket.IPPROTO_TCP, socket.TCP_CONGESTION, self.congestion.encode())
        return self._add(made)

    def bind(self, fd: int, address: Address) -> None:
        """Give it a local address."""
        self._socket(fd).bind(_name(address))

    def listen(self, fd: int, backlog: int) -> None:
        """Make it a listener."""
        self._socket(fd).listen(backlog)

    def accept(self, fd: int, flags: int) -> tuple[int, Address]:
        """The next connection and its peer."""
        child, peer = self._socket(fd).accept()
        if flags & socket.SOCK_NONBLOCK:
            os.set_blocking(child.fileno(), False)
        family = child.family
        return self._add(child), (socket.inet_pton(family, peer[0]), peer[1])

    def connect(self, fd: int, address: Address) -> None:
        """Open actively."""
        self._socket(fd).connect(_name(address))

    def recv(self, fd: int, octets: int, flags: int) -> bytes:
        """What has arrived, `octets` at most."""
        return self._socket(fd).recv(octets, flags)

    def send(self, fd: int, data: bytes, flags: int, address: Address | None) -> int:
        """Octets taken."""
        if address is not None:
            return self._socket(fd).sendto(data, flags, _name(address))
        return self._socket(fd).send(data, flags)

    def shutdown(self, fd: int, how: int) -> None:
        """Close one or both directions."""
        self._socket(fd).shutdown(how)

    def close(self, fd: int) -> None:
        """Let go of the descriptor."""
        os.close(self._socket(fd).detach())
        del self.sockets[fd]

    def fcntl(self, fd: int, command: int, argument: int) -> int:
        """F_GETFL, F_SETFL and the like."""
        return fcntl.fcntl(self._socket(fd).fileno(), command, argument)

    def ioctl(self, fd: int, request: int, argument: int) -> int:
        """The number that the kernel writes."""
        answer = fcntl.ioctl(self._socket(fd).fileno(), request, struct.pack("i", argument))
        return int(struct.unpack("i", answer)[0])

    def setsockopt(self, fd: int, level: int, name: int, value: bytes) -> None:
        """Set an option to these octets."""
        self._socket(fd).setsockopt(level, name, value)

    def getsockopt(self, fd: int, level: int, name: int, length: int) -> bytes:
        """The option's octets, `length` at most."""
        return self._socket(fd).getsockopt(level, name, max(1, length))

    def poll(self, asked: list[tuple[int, int]], timeout: int) -> list[int]:
        """What each (descriptor, events) is ready for."""
        poller = select.poll()
        for fd, events in asked:
            poller.register(fd if fd in self.sockets else 1 << 20, events)
        ready = dict(poller.poll(timeout if timeout >= 0 else None))
        return [ready.get(fd if fd in self.sockets else 1 << 20, 0) for fd, _ in asked]


def _name(address: Address) -> tuple[str, int]:
    family = socket.AF_INET if len(address[0]) == 4 else socket.AF_INET6
    return socket.inet_ntop(family, address[0]), address[1]
