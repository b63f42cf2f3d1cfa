"""getsockopt and setsockopt: Linux's socket options, whatever their values are made of.

Which there are: `numbers`, `integer_options`, `octet_options`; those without effect, `inert`.
"""

from __future__ import annotations

import errno
from struct import Struct
from typing import TYPE_CHECKING, Any

from netstack.sockets import inert
from netstack.sockets.errors import os_error
from netstack.sockets.inert import INERT, Get, Set
from netstack.sockets.integer_options import INTEGERS, integer
from netstack.sockets.numbers import IPPROTO_IP
from netstack.sockets.octet_options import READ, WRITTEN
from netstack.units import Octets

if TYPE_CHECKING:
    from netstack.sockets.stream import StreamSocket

_INT = Struct("=i")


def get(sock: StreamSocket, level: int, name: int, buflen: Octets) -> int | bytes:
    """The value as an int, or, when `buflen` is not 0, as at most that many octets. ENOPROTOOPT: no such option."""
    if (level, name) in READ:
        octets = READ[level, name](sock, buflen)
    else:
        getter, _ = _find(level, name)
        octets = _INT.pack(getter(sock))
        if level == IPPROTO_IP and 0 < buflen < _INT.size and not any(octets[1:]):
            octets = octets[:1]  # small values fit a char, which is what these options once were
    if not 0 <= buflen <= 1024:
        raise OSError("getsockopt buflen out of range")
    return octets[:buflen] if buflen else int(_INT.unpack_from(octets)[0])


def set(sock: StreamSocket, level: int, name: int, value: Any) -> None:
    """`value`: an int, or the octets of one; a struct linger for SO_LINGER; a name for TCP_CONGESTION."""
    if (level, name) in WRITTEN:
        WRITTEN[level, name](sock, value)
        return
    number = integer(value, (level, name))
    _, setter = _find(level, name)
    if setter is None:
        raise os_error(errno.ENOPROTOOPT)
    setter(sock, number)


def known(level: int, name: int) -> bool:
    """Whether there is such an option, whatever its value is made of, to be read or to be set."""
    option = level, name
    return option in INTEGERS or option in INERT or option in READ or option in WRITTEN


def _find(level: int, name: int) -> tuple[Get, Set | None]:
    found = INTEGERS.get((level, name))
    if found is None and (level, name) in INERT:
        return inert.find(level, name)
    if found is None:
        raise os_error(errno.ENOPROTOOPT)
    return found
