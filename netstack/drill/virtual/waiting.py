"""System calls that wait for readiness: poll, epoll, usleep; and the making of pipes and files."""

import errno

from netstack.drill.constants import POLLERR, POLLHUP, POLLIN, POLLNVAL, POLLOUT, POLLPRI, POLLRDHUP
from netstack.drill.outcome import Unsupported
from netstack.drill.virtual.descriptors import Descriptors, Step
from netstack.drill.virtual.files import CAPACITY, End, File, Pipe, Poller
from netstack.tcp import urgent
from netstack.tcp.readiness import FAILED, HANGUP, READABLE, WRITABLE
from netstack.units import MILLISECOND

_POLLRDNORM, _POLLWRNORM = 0x40, 0x100
_MEANS = {
    READABLE: POLLIN | _POLLRDNORM | POLLRDHUP,
    WRITABLE: POLLOUT | _POLLWRNORM,
    HANGUP: POLLHUP | POLLRDHUP | POLLIN | POLLOUT,
    FAILED: POLLERR,
}


class WaitCalls(Descriptors):
    """One generator a call."""

    def poll(self, asked: list[tuple[int, int]], timeout: int) -> Step:
        """What each (descriptor, events) is ready for."""
        until = self.stack.now + timeout * MILLISECOND if timeout >= 0 else None
        while True:
            ready = [self.ready(fd, events) for fd, events in asked]
            if any(ready) or (until is not None and self.stack.now >= until):
                return ready
            yield until

    def ready(self, fd: int, events: int) -> int:
        """poll's revents."""
        if fd in self.files:
            return self._file_ready(fd) & events
        if fd not in self.sockets:
            return POLLNVAL
        sock = self.sockets[fd]
        bits = sock.readiness()
        found = POLLIN | _POLLRDNORM if bits & READABLE else 0
        found |= POLLOUT | _POLLWRNORM if bits & WRITABLE else 0
        conn = self.connection(fd)
        if (conn.eof or conn.read_shut) if conn is not None else (bits & HANGUP and bits & READABLE):
            found |= POLLRDHUP
        if conn is not None and conn.urgent is not None and conn.urgent.what == urgent.HERE:
            found |= POLLPRI
        always = (POLLHUP if bits & HANGUP else 0) | (POLLERR if bits & FAILED else 0)
        if fd in self.queues and self.queues[fd].entries:
            always |= POLLERR
        return found & events | always

    def _file_ready(self, fd: int) -> int:
        made = self.files[fd]
        if isinstance(made, File):
            return POLLIN | POLLOUT
        if isinstance(made, Poller):
            return 0
        if made.writes:
            return POLLOUT if len(made.pipe.data) < CAPACITY else 0
        return (POLLIN if made.pipe.data else 0) | (POLLHUP if made.pipe.ends < 2 else 0)

    def epoll_create(self) -> Step:
        """A new epoll instance."""
        return self.add_file(Poller())
        yield

    def _poller(self, fd: int) -> Poller:
        self.check(fd)
        made = self.files.get(fd)
        if not isinstance(made, Poller):
            raise OSError(errno.EINVAL, "Invalid argument")
        return made

    def epoll_ctl(self, epfd: int, operation: int, fd: int, events: int, data: int) -> Step:
        """Add, change, remove."""
        self.check(fd)
        poller = self._poller(epfd)
        poller.control(operation, fd, events, data)
        if fd in self.sockets:
            self.sockets[fd].on_ready(lambda bits: self._happened(fd, bits))
        return
        yield

    def _happened(self, fd: int, bits: int) -> None:
        events = 0
        for bit, means in _MEANS.items():
            events |= means if bits & bit else 0
        for made in self.files.values():
            if isinstance(made, Poller):
                made.happened(fd, events)

    def epoll_wait(self, epfd: int, most: int, timeout: int) -> Step:
        """(events, data) of what is ready."""
        poller = self._poller(epfd)
        if most <= 0:
            raise OSError(errno.EINVAL, "Invalid argument")
        until = self.stack.now + timeout * MILLISECOND if timeout >= 0 else None
        while True:
            ready = poller.ready(self.ready, most)
            if ready or (until is not None and self.stack.now >= until):
                return ready
            yield until

    def usleep(self, micros: int) -> Step:
        """Time passes."""
        until = self.stack.now + micros
        while self.stack.now < until:
            yield until

    def pipe(self, flags: int) -> Step:
        """Both ends of a new pipe."""
        made = Pipe()
        return self.add_file(End(made, False)), self.add_file(End(made, True))
        yield

    def open(self, path: str, flags: int) -> Step:
        """A file of zeros, or an empty one."""
        if path not in self.zeros:
            raise Unsupported(f'open of "{path}"')
        return self.add_file(File(self.zeros[path]))
        yield
