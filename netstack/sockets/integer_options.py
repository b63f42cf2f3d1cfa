"""Socket options that are one integer, by level and name: how each is read and set, in Linux's units and ranges.

The stack's own values are in microseconds and octets.
"""

from __future__ import annotations

import errno
from collections.abc import Callable
from struct import Struct, error
from typing import TYPE_CHECKING, Any

from netstack.sockets.errors import os_error
from netstack.sockets.inert import NAMES, Get, Set
from netstack.sockets.numbers import (
    AF_INET,
    IP_MTU,
    IP_MTU_DISCOVER,
    IP_PMTUDISC_DONT,
    IP_PMTUDISC_OMIT,
    IP_RECVERR,
    IP_TOS,
    IP_TTL,
    IPPROTO_IP,
    IPPROTO_TCP,
    SO_ACCEPTCONN,
    SO_DOMAIN,
    SO_ERROR,
    SO_KEEPALIVE,
    SO_OOBINLINE,
    SO_PROTOCOL,
    SO_RCVBUF,
    SO_RCVBUFFORCE,
    SO_RCVLOWAT,
    SO_REUSEADDR,
    SO_SNDBUF,
    SO_SNDBUFFORCE,
    SO_TYPE,
    SOCK_STREAM,
    SOL_SOCKET,
    TCP_CORK,
    TCP_DEFER_ACCEPT,
    TCP_FASTOPEN,
    TCP_FASTOPEN_CONNECT,
    TCP_FASTOPEN_NO_COOKIE,
    TCP_KEEPCNT,
    TCP_KEEPIDLE,
    TCP_KEEPINTVL,
    TCP_LINGER2,
    TCP_MAXSEG,
    TCP_NODELAY,
    TCP_NOTSENT_LOWAT,
    TCP_QUICKACK,
    TCP_RTO_MAX_MS,
    TCP_RTO_MIN_US,
    TCP_SAVE_SYN,
    TCP_SYNCNT,
    TCP_THIN_LINEAR_TIMEOUTS,
    TCP_USER_TIMEOUT,
    TCP_WINDOW_CLAMP,
)  # fmt: skip
from netstack.tcp.fast_open import CLIENT
from netstack.tcp.rto import TICK, in_ticks
from netstack.tcp.state import CLOSED, TIME_WAIT
from netstack.units import MILLISECOND, SECOND, Micros, Octets

if TYPE_CHECKING:
    from netstack.sockets.stream import StreamSocket

MIN_RCVBUF: Octets = 2304
MIN_SNDBUF: Octets = 4608
_HALF_INT = (1 << 30) - 1
_INT = Struct("=i")
_NOT_EMPTY = {(IPPROTO_IP, IP_TTL)} | {NAMES[name] for name in ("IP_FREEBIND", "IP_TRANSPARENT")}
"""Of IP's options, those for which no octet at all is not a zero."""


def integer(value: Any, option: tuple[int, int]) -> int:
    """What the caller of setsockopt handed over, an int or its octets. EINVAL: too few of them."""
    if isinstance(value, int):
        if not -(1 << 31) <= value < 1 << 31:
            raise OverflowError("signed integer is out of range")
        return value
    if option[0] == IPPROTO_IP and len(value) < _INT.size:
        if not len(value) and option in _NOT_EMPTY:
            raise os_error(errno.EINVAL)
        return value[0] if value else 0
    try:
        return int(_INT.unpack_from(value)[0])
    except error:
        raise os_error(errno.EINVAL) from None


# Kinds of options: pairs of functions.


def _switch(attribute: str) -> tuple[Get, Set]:
    """0 or 1 in an attribute of SocketOptions; EINVAL for anything else."""
    read, write = _flag(attribute)

    def check(sock: StreamSocket, value: int) -> None:
        if value not in (0, 1):
            raise os_error(errno.EINVAL)
        write(sock, value)

    return read, check


def _flag(attribute: str) -> tuple[Get, Set]:
    """0 or 1 in an attribute of SocketOptions."""
    return (
        lambda sock: int(getattr(sock.options, attribute)),
        lambda sock, value: setattr(sock.options, attribute, bool(value)),
    )


def _quantity(
    attribute: str, unit: Micros | Octets, low: int, high: int, default: Callable[[StreamSocket], int]
) -> tuple[Get, Set]:
    """A number of `unit`s, `low` to `high`, else EINVAL; `default` (in the stack's unit) while it is not set."""

    def read(sock: StreamSocket) -> int:
        return int(getattr(sock.options, attribute) or default(sock)) // unit

    def write(sock: StreamSocket, value: int) -> None:
        if not low <= value <= high:
            raise os_error(errno.EINVAL)
        setattr(sock.options, attribute, value * unit)

    return read, write


def _buffer(
    attribute: str, least: Octets, most: Callable[[StreamSocket], Octets | None], now: Callable[[StreamSocket], Octets]
) -> tuple[Get, Set]:
    """A buffer size: Linux doubles what is set, `most` at most, for its own overhead, and shows that.

    Once set it is locked: auto-tuning leaves it alone. `now`: its size while it is not set.
    """

    def read(sock: StreamSocket) -> int:
        return int(getattr(sock.options, attribute)) or now(sock)

    def write(sock: StreamSocket, value: int) -> None:
        limit = most(sock)
        if limit is None:
            limit = _HALF_INT if value >= 0 else 0
        elif value < 0:
            value = limit
        setattr(sock.options, attribute, max(least, 2 * min(value, limit, _HALF_INT)))

    return read, write


def _unreadable(sock: StreamSocket) -> int:
    raise os_error(errno.ENOPROTOOPT)


def _sndbuf(sock: StreamSocket) -> Octets:
    return sock.connection.send_limit if sock.connection is not None else sock.config.wmem[1]


def _rcvbuf(sock: StreamSocket) -> Octets:
    return sock.connection.window.rcvbuf if sock.connection is not None else sock.config.rmem[1]


def _set_window_clamp(sock: StreamSocket, value: int) -> None:
    if not value and not _is_closed(sock):
        raise os_error(errno.EINVAL)
    sock.options.window_clamp = max(value, MIN_RCVBUF >> 1) if value else 0
    if sock.connection is not None:
        sock.connection.choose_clamp()


def _set_nodelay(sock: StreamSocket, value: int) -> None:
    sock.options.nodelay = bool(value)
    if value and sock.connection is not None:
        sock.connection.push()


def _set_cork(sock: StreamSocket, value: int) -> None:
    sock.options.cork = bool(value)
    if not value and sock.connection is not None:
        sock.connection.hold = False  # what MSG_MORE held back is looked at anew
        if sock.options.nodelay:
            sock.connection.push()


def _get_quickack(sock: StreamSocket) -> int:
    """Whether ACKs are not held back for data to ride on, at the moment."""
    return int(sock.options.quickack if sock.connection is None else not sock.connection.acking.pingpong)


def _get_rto_max(sock: StreamSocket) -> int:
    return (sock.options.rto_max or sock.config.rto_max) // MILLISECOND


def _set_rto_max(sock: StreamSocket, value: int) -> None:
    if not 1_000 <= value <= 120_000:
        raise os_error(errno.EINVAL)
    sock.options.rto_max = in_ticks(value * MILLISECOND)


def _get_rto_min(sock: StreamSocket) -> int:
    return sock.options.rto_min or sock.config.rto_min


def _set_rto_min(sock: StreamSocket, value: int) -> None:
    if not 2 * TICK <= in_ticks(value) <= 200 * MILLISECOND:
        raise os_error(errno.EINVAL)
    sock.options.rto_min = in_ticks(value)


def _set_tos(sock: StreamSocket, value: int) -> None:
    sock.options.tos = value & 0xFC | sock.options.tos & 3  # the ECN bits are TCP's (RFC 3168 5)


def _set_ttl(sock: StreamSocket, value: int) -> None:
    if value != -1 and not 1 <= value <= 255:
        raise os_error(errno.EINVAL)
    sock.options.ttl = max(value, 0)


def _set_maxseg(sock: StreamSocket, value: int) -> None:
    if value and not 88 <= value <= 32767:
        raise os_error(errno.EINVAL)
    sock.options.maxseg = value


def _get_notsent_lowat(sock: StreamSocket) -> int:
    value = sock.options.notsent_lowat
    return value - (value >> 31 << 32)


def _set_notsent_lowat(sock: StreamSocket, value: int) -> None:
    sock.options.notsent_lowat = value & 0xFFFF_FFFF  # -1 is the largest number: no limit


def _set_mtu_discover(sock: StreamSocket, value: int) -> None:
    if not IP_PMTUDISC_DONT <= value <= IP_PMTUDISC_OMIT:
        raise os_error(errno.EINVAL)
    sock.options.mtu_discover = value
    if sock.connection is not None:
        sock.connection.path.allow_fragments(value == IP_PMTUDISC_DONT)


def _set_rcvlowat(sock: StreamSocket, value: int) -> None:
    most = (sock.options.rcvbuf or sock.config.rmem[2]) >> 1
    sock.options.rcvlowat = min(value if value >= 0 else _HALF_INT, most) or 1
    connection = sock.connection
    if connection is not None:
        connection.window.reserve(sock.options.rcvlowat)


def _set_linger2(sock: StreamSocket, value: int) -> None:
    sock.options.linger2 = -1 if value < 0 else min(value, 120) * SECOND


def _get_linger2(sock: StreamSocket) -> int:
    value = sock.options.linger2
    return value // SECOND if value > 0 else value or sock.config.fin_timeout // SECOND


def _defer_seconds(seconds: int) -> int:
    """Linux keeps a number of SYN+ACK retransmissions, at most 255, and shows the time they take: 1, 3, 7, 15 ..."""
    if seconds <= 0:
        return 0
    period = wait = times = 1
    while period < seconds and times < 255:
        wait = min(2 * wait, 120)
        period += wait
        times += 1
    return period


def _is_closed(sock: StreamSocket) -> bool:
    """TCP_CLOSE, to Linux: no connection yet, or none any more."""
    return sock.listener is None and (sock.connection is None or sock.connection.state in (CLOSED, TIME_WAIT))


def _set_fastopen(sock: StreamSocket, value: int) -> None:
    if value < 0 or not (sock.listening or _is_closed(sock)):
        raise os_error(errno.EINVAL)
    sock.options.fastopen = min(value, sock.config.somaxconn)


def _set_fastopen_connect(sock: StreamSocket, value: int) -> None:
    if value not in (0, 1):
        raise os_error(errno.EINVAL)
    if not sock.config.fastopen & CLIENT:
        raise os_error(errno.EOPNOTSUPP)
    if not _is_closed(sock):
        raise os_error(errno.EINVAL)
    sock.options.fastopen_connect = bool(value)


def _set_fastopen_no_cookie(sock: StreamSocket, value: int) -> None:
    if value not in (0, 1) or not (sock.listening or _is_closed(sock)):
        raise os_error(errno.EINVAL)
    sock.options.fastopen_no_cookie = bool(value)


def _set_defer_accept(sock: StreamSocket, value: int) -> None:
    sock.options.defer_accept = _defer_seconds(value) * SECOND


INTEGERS: dict[tuple[int, int], tuple[Get, Set | None]] = {
    (SOL_SOCKET, SO_REUSEADDR): _flag("reuseaddr"),
    (SOL_SOCKET, SO_KEEPALIVE): _flag("keepalive"),
    (SOL_SOCKET, SO_OOBINLINE): _flag("oobinline"),
    (SOL_SOCKET, SO_TYPE): (lambda sock: SOCK_STREAM, None),
    (SOL_SOCKET, SO_PROTOCOL): (lambda sock: IPPROTO_TCP, None),
    (SOL_SOCKET, SO_DOMAIN): (lambda sock: AF_INET, None),
    (SOL_SOCKET, SO_ACCEPTCONN): (lambda sock: int(sock.listening), None),
    (SOL_SOCKET, SO_ERROR): (lambda sock: sock.take_any_error(), None),
    (SOL_SOCKET, SO_SNDBUF): _buffer("sndbuf", MIN_SNDBUF, lambda sock: sock.config.wmem_max, _sndbuf),
    (SOL_SOCKET, SO_RCVBUF): _buffer("rcvbuf", MIN_RCVBUF, lambda sock: sock.config.rmem_max, _rcvbuf),
    (SOL_SOCKET, SO_SNDBUFFORCE): (_unreadable, _buffer("sndbuf", MIN_SNDBUF, lambda sock: None, _sndbuf)[1]),
    (SOL_SOCKET, SO_RCVBUFFORCE): (_unreadable, _buffer("rcvbuf", MIN_RCVBUF, lambda sock: None, _rcvbuf)[1]),
    (IPPROTO_IP, IP_TOS): (lambda sock: sock.options.tos, _set_tos),
    (IPPROTO_IP, IP_TTL): (lambda sock: sock.options.ttl or sock.stack.config.default_ttl, _set_ttl),
    (IPPROTO_IP, IP_MTU_DISCOVER): (lambda sock: sock.options.mtu_discover, _set_mtu_discover),
    (IPPROTO_IP, IP_RECVERR): _flag("recverr"),
    (IPPROTO_IP, IP_MTU): (lambda sock: sock.path_mtu(), None),
    (IPPROTO_TCP, TCP_NODELAY): (lambda sock: int(sock.options.nodelay), _set_nodelay),
    (IPPROTO_TCP, TCP_CORK): (lambda sock: int(sock.options.cork), _set_cork),
    (IPPROTO_TCP, TCP_QUICKACK): (_get_quickack, _flag("quickack")[1]),
    (IPPROTO_TCP, TCP_SAVE_SYN): _quantity("save_syn", 1, 0, 2, lambda sock: 0),
    (IPPROTO_TCP, TCP_RTO_MIN_US): (_get_rto_min, _set_rto_min),
    (IPPROTO_TCP, TCP_MAXSEG): (lambda sock: sock.maxseg(), _set_maxseg),
    (IPPROTO_TCP, TCP_KEEPIDLE): _quantity("keepidle", SECOND, 1, 32767, lambda sock: sock.config.keepalive_time),
    (IPPROTO_TCP, TCP_KEEPINTVL): _quantity("keepintvl", SECOND, 1, 32767, lambda sock: sock.config.keepalive_intvl),
    (IPPROTO_TCP, TCP_KEEPCNT): _quantity("keepcnt", 1, 1, 127, lambda sock: sock.config.keepalive_probes),
    (IPPROTO_TCP, TCP_SYNCNT): _quantity("syncnt", 1, 1, 127, lambda sock: sock.config.syn_retries),
    (IPPROTO_TCP, TCP_USER_TIMEOUT): _quantity("user_timeout", MILLISECOND, 0, (1 << 31) - 1, lambda sock: 0),
    (IPPROTO_TCP, TCP_WINDOW_CLAMP): (lambda sock: sock.window_clamp(), _set_window_clamp),
    (SOL_SOCKET, SO_RCVLOWAT): (lambda sock: sock.options.rcvlowat or 1, _set_rcvlowat),
    (IPPROTO_TCP, TCP_LINGER2): (_get_linger2, _set_linger2),
    (IPPROTO_TCP, TCP_THIN_LINEAR_TIMEOUTS): _switch("thin"),
    (IPPROTO_TCP, TCP_RTO_MAX_MS): (_get_rto_max, _set_rto_max),
    (IPPROTO_TCP, TCP_NOTSENT_LOWAT): (_get_notsent_lowat, _set_notsent_lowat),
    (IPPROTO_TCP, TCP_FASTOPEN): (lambda sock: sock.options.fastopen, _set_fastopen),
    (IPPROTO_TCP, TCP_FASTOPEN_CONNECT): (lambda sock: int(sock.options.fastopen_connect), _set_fastopen_connect),
    (IPPROTO_TCP, TCP_FASTOPEN_NO_COOKIE): (lambda sock: int(sock.options.fastopen_no_cookie), _set_fastopen_no_cookie),
    (IPPROTO_TCP, TCP_DEFER_ACCEPT): (lambda sock: sock.options.defer_accept // SECOND, _set_defer_accept),
}
