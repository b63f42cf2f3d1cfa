"""System calls on Linux's own sockets, under the names and with the arguments of `host.Host.start`."""

import ctypes
import errno
import fcntl
import os
import select
import socket
import struct
import time

from netstack.drill.messages import Control, Received

Address = tuple[bytes, int]
MAY_BLOCK = {
    "accept", "connect", "recv", "recvmsg", "send", "send_from", "sendfile", "splice", "close", "poll", "epoll_wait",
    "usleep",
}  # fmt: skip
_EPOLL_EVENT = struct.Struct("=IQ")
"""struct epoll_event, which is packed on x86-64."""


def bad_descriptor() -> OSError:
    """What the kernel says of a descriptor that is not open."""
    return OSError(errno.EBADF, os.strerror(errno.EBADF))


class KernelSockets:
    """Sockets by their descriptors. They are in blocking mode until fcntl says otherwise."""

    def __init__(self) -> None:
        self.sockets: dict[int, socket.socket] = {}
        self.files: set[int] = set()
        """Ends of pipes, and files."""
        self.zeros: dict[str, int] = {}
        self.pollers: dict[int, select.epoll] = {}
        self.congestion = ""
        """Congestion control that each new socket chooses; "": the namespace's default."""

    def _socket(self, fd: int) -> socket.socket:
        if fd not in self.sockets:
            raise bad_descriptor()
        return self.sockets[fd]

    def _file(self, fd: int) -> int:
        if fd not in self.files and fd not in self.sockets:
            raise bad_descriptor()
        return fd

    def _add(self, made: socket.socket) -> int:
        made.set_inheritable(True)  # Python's own descriptors are close-on-exec, which F_GETFD would show
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
        return self._add(child), _address(child, peer)

    def connect(self, fd: int, address: Address) -> None:
        """Open actively."""
        self._socket(fd).connect(_name(address))

    def disconnect(self, fd: int) -> None:
        """connect() to AF_UNSPEC, which Python's sockets cannot name."""
        libc = ctypes.CDLL(None, use_errno=True)
        if libc.connect(self._socket(fd).fileno(), bytes(16), 16) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def getsockname(self, fd: int) -> Address:
        """The address of this end."""
        return _address(self._socket(fd), self._socket(fd).getsockname())

    def getpeername(self, fd: int) -> Address:
        """The address of the other end."""
        return _address(self._socket(fd), self._socket(fd).getpeername())

    def recv(self, fd: int, octets: int, flags: int) -> bytes:
        """What has arrived, `octets` at most."""
        if fd in self.files and not flags:
            return os.read(fd, octets)
        data = self._socket(fd).recv(octets, flags)
        return bytes(len(data)) if flags & socket.MSG_TRUNC else data  # then nothing was copied

    def recvmsg(self, fd: int, octets: int, room: int, flags: int) -> Received:
        """The same with control messages."""
        data, control, came, _ = self._socket(fd).recvmsg(octets, room, flags)
        return Received(len(data), data, tuple(control), came)

    def send(self, fd: int, data: bytes, flags: int, address: Address | None, control: list[Control]) -> int:
        """Octets taken."""
        if fd in self.files and not flags and address is None:
            return os.write(fd, data)
        if control:
            return self._socket(fd).sendmsg([data], control, flags, *([_name(address)] if address else []))
        if address is not None:
            return self._socket(fd).sendto(data, flags, _name(address))
        return self._socket(fd).send(data, flags)

    def send_from(self, fd: int, pointer: int, octets: int, flags: int) -> int:
        """A pointer that the script made up, which only the kernel may follow."""
        libc = ctypes.CDLL(None, use_errno=True)
        sent: int = libc.send(self._socket(fd).fileno(), ctypes.c_void_p(pointer), ctypes.c_size_t(octets), flags)
        if sent < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return sent

    def sendfile(self, out: int, source: int, offset: int | None, octets: int) -> int:
        """From a file to a socket."""
        self._socket(out)
        return os.sendfile(out, self._file(source), offset, octets)

    def splice(self, source: int, out: int, octets: int, flags: int) -> int:
        """Between a socket and a pipe."""
        ends = [fd if fd in self.files else self._socket(fd).fileno() for fd in (source, out)]
        return os.splice(ends[0], ends[1], octets, flags=flags)

    def pipe(self, flags: int) -> tuple[int, int]:
        """Both ends of a new pipe."""
        ends = os.pipe2(flags)
        self.files.update(ends)
        return ends

    def open(self, path: str, flags: int) -> int:
        """A file, to be read."""
        if path in self.zeros:
            made = os.dup(self.zeros[path])
            os.lseek(made, 0, os.SEEK_SET)
            self.files.add(made)
            return made
        fd = os.open(path, flags & ~(os.O_CREAT | os.O_TRUNC | os.O_WRONLY))
        self.files.add(fd)
        return fd

    def make_file(self, path: str, size: int) -> None:
        """What the script calls `path` is a file of so many zeros without a name."""
        self.zeros[path] = os.memfd_create("zeros")
        os.truncate(self.zeros[path], size)

    def usleep(self, micros: int) -> None:
        """Time passes."""
        time.sleep(micros / 1e6)

    def epoll_create(self) -> int:
        """A new epoll instance."""
        poller = select.epoll()
        self.pollers[poller.fileno()] = poller
        return poller.fileno()

    def epoll_ctl(self, epfd: int, operation: int, fd: int, events: int, data: int) -> None:
        """Add, change, remove.  By way of the C library: Python's epoll knows no data."""
        if epfd not in self.pollers:
            raise bad_descriptor() if epfd not in self.sockets else OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        libc = ctypes.CDLL(None, use_errno=True)
        event = _EPOLL_EVENT.pack(events & 0xFFFF_FFFF, data & 0xFFFF_FFFF_FFFF_FFFF)
        if libc.epoll_ctl(epfd, operation, fd, event) < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))

    def epoll_wait(self, epfd: int, most: int, timeout: int) -> list[tuple[int, int]]:
        """(events, data) of what is ready."""
        if epfd not in self.pollers:
            raise bad_descriptor() if epfd not in self.sockets else OSError(errno.EINVAL, os.strerror(errno.EINVAL))
        libc = ctypes.CDLL(None, use_errno=True)
        room = ctypes.create_string_buffer(_EPOLL_EVENT.size * max(most, 1))
        count = libc.epoll_wait(epfd, room, most, timeout)
        if count < 0:
            raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
        return [_EPOLL_EVENT.unpack_from(room, i * _EPOLL_EVENT.size) for i in range(count)]

    def shutdown(self, fd: int, how: int) -> None:
        """Close one or both directions."""
        self._socket(fd).shutdown(how)

    def close(self, fd: int) -> None:
        """Let go of the descriptor."""
        if fd in self.files:
            self.files.discard(fd)
            return os.close(fd)
        if fd in self.pollers:
            return self.pollers.pop(fd).close()
        os.close(self._socket(fd).detach())
        del self.sockets[fd]
        return None

    def fcntl(self, fd: int, command: int, argument: int) -> int:
        """F_GETFL, F_SETFL and the like."""
        return fcntl.fcntl(self._file(fd), command, argument)

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


def _address(sock: socket.socket, name: tuple[str, int]) -> Address:
    return socket.inet_pton(sock.family, name[0]), name[1]
