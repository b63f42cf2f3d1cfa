"""Socket options of Linux that mean nothing here: taken, kept and shown with Linux's ranges, and without effect."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING

from netstack.sockets.errors import os_error

if TYPE_CHECKING:
    from netstack.sockets.stream import StreamSocket

Get = Callable[["StreamSocket"], int]
Set = Callable[["StreamSocket", int], None]
Check = Callable[[int], int]
"""What is kept when this is set. Raises what Linux raises."""


def _flag(value: int) -> int:
    return int(value != 0)


def _any(value: int) -> int:
    return value


def _nothing(value: int) -> int:
    return 0


def _within(low: int, high: int) -> Check:
    def check(value: int) -> int:
        if not low <= value <= high:
            raise os_error(errno.EINVAL)
        return value

    return check


def _unused_switch(value: int) -> int:
    """TCP_THIN_DUPACK: 0 or 1, and always 0 since RACK took its place."""
    return 0 * _within(0, 1)(value)


def _lock(value: int) -> int:
    """SO_LOCK_FILTER: what is locked stays so."""
    if not value:
        raise os_error(errno.EPERM)
    return 1


def _read_only(value: int) -> int:
    raise os_error(errno.ENOPROTOOPT)


def _rehash(value: int) -> int:
    """SO_TXREHASH: -1 is the default."""
    return _flag(_within(-1, 1)(value))


_INT_MAX = (1 << 31) - 1
_SOL_SOCKET: dict[str, tuple[int, int, Check]] = {
    "SO_DEBUG": (1, 0, _flag),
    "SO_DONTROUTE": (5, 0, _flag),
    "SO_BROADCAST": (6, 0, _flag),
    "SO_NO_CHECK": (11, 0, _flag),
    "SO_PRIORITY": (12, 0, _any),
    "SO_BSDCOMPAT": (14, 0, _nothing),
    "SO_REUSEPORT": (15, 0, _flag),
    "SO_SNDLOWAT": (19, 1, _read_only),
    "SO_TIMESTAMP": (29, 0, _flag),
    "SO_TIMESTAMPNS": (35, 0, _flag),
    "SO_MARK": (36, 0, _any),
    "SO_RXQ_OVFL": (40, 0, _flag),
    "SO_WIFI_STATUS": (41, 0, _flag),
    "SO_NOFCS": (43, 0, _flag),
    "SO_LOCK_FILTER": (44, 0, _lock),
    "SO_SELECT_ERR_QUEUE": (45, 0, _flag),
    "SO_BUSY_POLL": (46, 0, _within(0, _INT_MAX)),
    "SO_BPF_EXTENSIONS": (48, 64, _read_only),
    "SO_INCOMING_CPU": (49, -1, _any),
    "SO_INCOMING_NAPI_ID": (56, 0, _read_only),
    "SO_PREFER_BUSY_POLL": (69, 0, _flag),
    "SO_BUF_LOCK": (72, 0, _within(0, 3)),
    "SO_TXREHASH": (74, 1, _rehash),
    "SO_RCVMARK": (75, 0, _flag),
}
_WRITE_ONLY: dict[str, tuple[int, Check]] = {
    "SO_CNX_ADVICE": (53, _any),
    "SO_BUSY_POLL_BUDGET": (70, _within(0, 65_535)),
}
_IPPROTO_IP: dict[str, tuple[int, int, Check]] = {
    "IP_RECVOPTS": (6, 0, _flag),
    "IP_RETOPTS": (7, 0, _flag),
    "IP_PKTINFO": (8, 0, _flag),
    "IP_RECVTTL": (12, 0, _flag),
    "IP_RECVTOS": (13, 0, _flag),
    "IP_FREEBIND": (15, 0, _flag),
    "IP_PASSSEC": (18, 0, _flag),
    "IP_TRANSPARENT": (19, 0, _flag),
    "IP_ORIGDSTADDR": (20, 0, _flag),
    "IP_NODEFRAG": (22, 0, _read_only),
    "IP_CHECKSUM": (23, 0, _flag),
    "IP_BIND_ADDRESS_NO_PORT": (24, 0, _flag),
    "IP_RECVERR_RFC4884": (26, 0, _within(0, 1)),
}
_IPPROTO_TCP: dict[str, tuple[int, int, Check]] = {"TCP_THIN_DUPACK": (17, 0, _unused_switch)}

INERT: dict[tuple[int, int], tuple[int | None, Check]] = {
    (level, number): (default, check)
    for level, options in ((1, _SOL_SOCKET), (0, _IPPROTO_IP), (6, _IPPROTO_TCP))
    for number, default, check in options.values()
} | {(1, number): (None, check) for number, check in _WRITE_ONLY.values()}
"""By level and name: the value while it is not set (None: it cannot be read), and what may be set."""
NAMES = {
    name: (level, number)
    for level, options in ((1, _SOL_SOCKET), (0, _IPPROTO_IP), (6, _IPPROTO_TCP))
    for name, (number, _, _) in options.items()
} | {name: (1, number) for name, (number, _) in _WRITE_ONLY.items()}
"""Linux's names, with level and number."""


def find(level: int, name: int) -> tuple[Get, Set]:
    """How this one is read and set. KeyError: there is no such option."""
    default, check = INERT[level, name]

    def read(sock: StreamSocket) -> int:
        if default is None:
            raise os_error(errno.ENOPROTOOPT)
        return sock.options.kept.get((level, name), default)

    def write(sock: StreamSocket, value: int) -> None:
        sock.options.kept = {**sock.options.kept, (level, name): check(value)}

    return read, write
