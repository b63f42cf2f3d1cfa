"""Socket options that are structures, names or keys: how each becomes octets, and is set from them."""

from __future__ import annotations

import errno
from collections.abc import Callable
from struct import Struct
from typing import TYPE_CHECKING, Any

from netstack.sockets.errors import os_error
from netstack.sockets.integer_options import integer
from netstack.sockets.numbers import (
    AF_INET,
    IPPROTO_TCP,
    SO_LINGER,
    SO_MAX_PACING_RATE,
    SOL_SOCKET,
    TCP_CC_INFO,
    TCP_CONGESTION,
    TCP_FASTOPEN_KEY,
    TCP_INFO,
    TCP_MD5SIG,
    TCP_MD5SIG_EXT,
    TCP_SAVED_SYN,
)  # fmt: skip
from netstack.tcp.congestion import ALGORITHMS
from netstack.tcp.fast_open import KEY_LEN
from netstack.tcp.info_layout import pack, pack_congestion
from netstack.tcp.md5 import MAX_KEY, WHOLE, Keys
from netstack.tcp.md5_connection import attach
from netstack.tcp.pace import UNLIMITED
from netstack.units import SECOND, Octets

if TYPE_CHECKING:
    from netstack.sockets.stream import StreamSocket

GetOctets = Callable[["StreamSocket", Octets], bytes]
"""The value, for a buffer of so many octets; 0: the caller wants an int."""
SetOctets = Callable[["StreamSocket", Any], None]
_INT = Struct("=i")
_UNSIGNED = Struct("=I")
_LONG = Struct("=Q")
_LINGER = Struct("=ii")
_MD5SIG_ADDRESS: Octets = 128
"""struct sockaddr_storage."""
_MD5SIG_REST = Struct("=BBHi80s")
"""Flags, prefix length, length of the key, interface, key."""
_FAMILY = AF_INET.to_bytes(2, "little")
_NO_RATE = (1 << 32) - 1
_CA_NAME_MAX = 16


def _get_linger(sock: StreamSocket, buflen: Octets) -> bytes:
    linger = sock.options.linger
    return _LINGER.pack(linger is not None, (linger or 0) // SECOND)


def _set_linger(sock: StreamSocket, value: Any) -> None:
    if isinstance(value, int) or len(value) < _LINGER.size:
        raise os_error(errno.EINVAL)
    on, seconds = _LINGER.unpack_from(value)
    sock.options.linger = max(seconds, 0) * SECOND if on else None


def _get_congestion(sock: StreamSocket, buflen: Octets) -> bytes:
    chosen = sock.options.congestion or sock.config.congestion_control
    return chosen.encode().ljust(_CA_NAME_MAX, b"\0")


def _set_congestion(sock: StreamSocket, value: Any) -> None:
    if isinstance(value, int) or not len(value):
        raise os_error(errno.EINVAL)
    name = bytes(value).split(b"\0")[0].decode("ascii", "replace")
    if name not in ALGORITHMS:
        raise os_error(errno.ENOENT)
    sock.options.congestion = name


def _get_fastopen_key(sock: StreamSocket, buflen: Octets) -> bytes:
    tcp = sock.stack.tcp
    octets = sock.options.fastopen_key or (tcp.fast_open_keys if tcp.has_fast_open_keys else b"")
    return octets if buflen or octets else bytes(_INT.size)


def _set_fastopen_key(sock: StreamSocket, value: Any) -> None:
    if isinstance(value, int) or len(value) not in (KEY_LEN, 2 * KEY_LEN):
        raise os_error(errno.EINVAL)
    sock.options.fastopen_key = bytes(value)


def _set_md5(sock: StreamSocket, value: Any, extended: bool) -> None:
    """struct tcp_md5sig; a key without octets takes one away. With TCP_MD5SIG_EXT it may be for a network."""
    if isinstance(value, int) or len(value) < _MD5SIG_ADDRESS + _MD5SIG_REST.size or value[:2] != _FAMILY:
        raise os_error(errno.EINVAL)
    address = bytes(value[4:8])
    flags, prefix, length, _, key = _MD5SIG_REST.unpack_from(value, _MD5SIG_ADDRESS)
    bits = WHOLE
    if extended and flags & 1:  # TCP_MD5SIG_FLAG_PREFIX
        bits = prefix
    if bits > WHOLE or (extended and flags & 2) or length > MAX_KEY:  # 2: for one of several interfaces
        raise os_error(errno.EINVAL)
    keys = sock.options.md5 = sock.options.md5 or Keys()
    if length:
        keys.add(address, bits, key[:length])
        sock.stack.tcp.signing = True
    else:
        try:
            keys.remove(address, bits)
        except KeyError:
            raise os_error(errno.ENOENT) from None
    if sock.connection is not None:
        attach(sock.connection)


def _get_max_pacing_rate(sock: StreamSocket, buflen: Octets) -> bytes:
    rate = sock.options.max_pacing_rate
    return _LONG.pack(rate) if buflen >= _LONG.size else _UNSIGNED.pack(min(rate, _NO_RATE))


def _set_max_pacing_rate(sock: StreamSocket, value: Any) -> None:
    """Octets a second, in 32 bits or 64; all ones: no limit. From the first limit on the socket is paced (Linux)."""
    if isinstance(value, int) or len(value) < _LONG.size:
        rate = integer(value, (SOL_SOCKET, SO_MAX_PACING_RATE)) & _NO_RATE
        if rate == _NO_RATE:
            rate = UNLIMITED
    else:
        rate = int(_LONG.unpack_from(value)[0])
    sock.options.max_pacing_rate = rate
    sock.options.paced = sock.options.paced or rate != UNLIMITED


def _take_saved_syn(sock: StreamSocket, buflen: Octets) -> bytes:
    """What TCP_SAVE_SYN kept, once. EINVAL: it is longer."""
    connection = sock.connection
    if connection is None or not connection.saved_syn:
        return b"" if buflen else bytes(_INT.size)
    if 0 < buflen < len(connection.saved_syn):
        raise os_error(errno.EINVAL)
    octets, connection.saved_syn = connection.saved_syn, b""
    return octets


READ: dict[tuple[int, int], GetOctets] = {
    (SOL_SOCKET, SO_LINGER): _get_linger,
    (SOL_SOCKET, SO_MAX_PACING_RATE): _get_max_pacing_rate,
    (IPPROTO_TCP, TCP_INFO): lambda sock, buflen: pack(sock.info()),
    (IPPROTO_TCP, TCP_CONGESTION): _get_congestion,
    (IPPROTO_TCP, TCP_CC_INFO): lambda sock, buflen: pack_congestion(sock.congestion_info()),
    (IPPROTO_TCP, TCP_SAVED_SYN): _take_saved_syn,
    (IPPROTO_TCP, TCP_FASTOPEN_KEY): _get_fastopen_key,
}
WRITTEN: dict[tuple[int, int], SetOctets] = {
    (SOL_SOCKET, SO_LINGER): _set_linger,
    (SOL_SOCKET, SO_MAX_PACING_RATE): _set_max_pacing_rate,
    (IPPROTO_TCP, TCP_CONGESTION): _set_congestion,
    (IPPROTO_TCP, TCP_FASTOPEN_KEY): _set_fastopen_key,
    (IPPROTO_TCP, TCP_MD5SIG): lambda sock, value: _set_md5(sock, value, False),
    (IPPROTO_TCP, TCP_MD5SIG_EXT): lambda sock, value: _set_md5(sock, value, True),
}
