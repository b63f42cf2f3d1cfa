"""What an end under test offers: packets in and out, system calls, time. Linux and netstack both look like this."""

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Protocol

from netstack.units import Micros, Octets

Address = tuple[bytes, int]
"""Address octets as on the wire, and port."""


@dataclass(slots=True)
class Pending:
    """A system call that was started: done with a value or an error, or still blocked."""

    name: str
    started_at: Micros
    done: bool = False
    finished_at: Micros = 0
    value: Any = None
    error: OSError | None = None
    """errno tells which."""
    unsupported: str = ""
    """Why the host cannot do this at all."""


class Host(Protocol):
    """One end of the connection, with its clock. Times in microseconds from the start of the script.

    System calls by name for `start`, with the arguments and values of the C library's, buffers as bytes:
    socket(family, type, protocol) -> fd; bind(fd, address); listen(fd, backlog); accept(fd, flags) -> (fd, address);
    getsockname(fd), getpeername(fd) -> address; connect(fd, address); disconnect(fd); shutdown(fd, how); close(fd);
    recv(fd, octets, flags) -> bytes; recvmsg(fd, octets, room for control messages, flags) -> Received;
    send(fd, data, flags, address or None, control messages) -> octets; send_from(fd, pointer, octets, flags) -> octets
    (a pointer that the script made up); sendfile(out, in, offset or None, octets) -> octets;
    splice(in, out, octets, flags) -> octets; pipe(flags) -> (fd to read, fd to write); open(path, flags) -> fd;
    fcntl(fd, command, argument) -> int; ioctl(fd, request, argument) -> int (what the kernel wrote);
    setsockopt(fd, level, name, value: bytes); getsockopt(fd, level, name, length) -> bytes;
    poll([(fd, events)], timeout in ms) -> [revents]; epoll_create() -> fd;
    epoll_ctl(fd, operation, fd, events, data); epoll_wait(fd, most, timeout in ms) -> [(events, data)]; usleep(us).
    Errors are OSErrors with errno.
    """

    name: str
    local: bytes
    remote: bytes
    """Address octets of both ends."""
    origin: Micros
    """What the clock of timestamps in control messages shows when the script's is 0."""

    def now(self) -> Micros:
        """The clock."""
        ...

    def run_until(self, at: Micros) -> None:
        """Let time pass until `at`."""
        ...

    def inject(self, packet: bytes, gso_size: Octets) -> None:
        """A packet from the remote end; `gso_size` not 0: it stands for several with that much payload each."""
        ...

    def outbound(self, until: Micros) -> tuple[Micros, bytes] | None:
        """The next packet that left and when, letting time pass until `until` at most; None when none did."""
        ...

    def start(self, name: str, *arguments: Any) -> Pending:
        """Begin a system call. It is done on return unless it blocks."""
        ...

    def wait(self, pending: Pending, until: Micros) -> bool:
        """Let time pass until the call is done, at most until `until`; whether it is."""
        ...

    def configure(self, settings: Mapping[str, str]) -> list[str]:
        """Apply settings as `settings.Settings.values` names them; returns those that mean nothing here."""
        ...

    def tcp_info(self, fd: int) -> Mapping[str, int]:
        """TCP_INFO by Linux's names without `tcpi_`."""
        ...

    def counters(self) -> Mapping[str, int]:
        """What nstat would show, by its names, since the beginning."""
        ...

    def sockets_table(self) -> list[str]:
        """The lines of /proc/net/tcp."""
        ...

    def explain(self, fd: int | None, local: Address | None, remote: Address | None) -> str:
        """State and variables of the connection in one line, "" when unknown. It may have no descriptor (any more)."""
        ...

    def close(self) -> None:
        """The script is over: let go of everything."""
        ...
