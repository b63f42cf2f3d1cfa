"""Descriptors that are no sockets: pipes, two files of /dev, and epoll instances."""

import errno
from collections.abc import Callable
from dataclasses import dataclass

from netstack.drill.constants import NUMBERS
from netstack.units import Octets

CAPACITY: Octets = 65_536
"""Of a pipe on Linux."""
_ONESHOT, _EDGE = NUMBERS["EPOLLONESHOT"], NUMBERS["EPOLLET"]
_ALWAYS = NUMBERS["EPOLLERR"] | NUMBERS["EPOLLHUP"]
_ADD, _DELETE, _MODIFY = NUMBERS["EPOLL_CTL_ADD"], NUMBERS["EPOLL_CTL_DEL"], NUMBERS["EPOLL_CTL_MOD"]

FILES: dict[str, Octets] = {"/dev/zero": 1 << 62, "/dev/null": 0}
"""What can be opened, and how many zeros are in it."""


@dataclass(slots=True)
class File:
    """A file of zeros, read from `at`."""

    size: Octets
    at: Octets = 0


class Pipe:
    """Octets between its two ends."""

    def __init__(self) -> None:
        self.data = b""
        self.ends = 2


@dataclass(slots=True)
class End:
    """One end of a pipe."""

    pipe: Pipe
    writes: bool


@dataclass(slots=True)
class _Watched:
    events: int
    data: int
    fired: bool = True
    """Something happened since it was last told (edge-triggered)."""


class Poller:
    """One epoll instance."""

    def __init__(self) -> None:
        self.watched: dict[int, _Watched] = {}

    def control(self, operation: int, fd: int, events: int, data: int) -> None:
        """epoll_ctl: EEXIST, ENOENT, EINVAL."""
        if operation == _ADD:
            if fd in self.watched:
                raise OSError(errno.EEXIST, "File exists")
            self.watched[fd] = _Watched(events, data)
        elif operation in (_DELETE, _MODIFY) and fd not in self.watched:
            raise OSError(errno.ENOENT, "No such file or directory")
        elif operation == _DELETE:
            del self.watched[fd]
        elif operation == _MODIFY:
            self.watched[fd] = _Watched(events, data)
        else:
            raise OSError(errno.EINVAL, "Invalid argument")

    def happened(self, fd: int, events: int) -> None:
        """Something woke those who wait for `events` of `fd`."""
        one = self.watched.get(fd)
        if one is not None and events & (one.events | _ALWAYS):
            one.fired = True

    def ready(self, now: Callable[[int, int], int], most: int) -> list[tuple[int, int]]:
        """(events, data) of what `now(fd, events)` says is ready, `most` at most; edges are told once."""
        found: list[tuple[int, int]] = []
        for fd, one in self.watched.items():
            edge = bool(one.events & _EDGE)
            if len(found) == most or not one.events & ~_EDGE or (edge and not one.fired):
                continue
            events = now(fd, one.events & 0xFFFF)
            if events:
                found.append((events, one.data))
                one.fired = False
                if one.events & _ONESHOT:
                    one.events = 0
        return found
