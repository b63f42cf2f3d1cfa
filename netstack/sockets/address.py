"""Addresses: ("192.0.2.2", 80), as programs write them, to and from the octets that the stack works with."""

import errno
from ipaddress import AddressValueError, IPv4Address
from typing import Any

from netstack.sockets.errors import os_error

ANY = bytes(4)
"""INADDR_ANY: every address of the stack."""

Address = tuple[str, int]
Endpoint = tuple[bytes, int]


def pack(address: Any, call: str) -> Endpoint:
    """(host, port) to (4 octets, port); "" is INADDR_ANY, as in the socket module. `call` names the caller in errors.

    Only numeric addresses: nothing here resolves names. TypeError for what is no such tuple, OverflowError for a port
    outside 0-65535, OSError(EINVAL) for a host that is no IPv4 address.
    """
    if not isinstance(address, tuple):
        raise TypeError(f"{call}(): AF_INET address must be tuple, not {type(address).__name__}")
    if len(address) != 2 or not isinstance(address[1], int):
        raise TypeError(f"{call}(): AF_INET address must be a pair (host, port)")
    host, port = address
    if not 0 <= port <= 65535:
        raise OverflowError(f"{call}(): port must be 0-65535.")
    return pack_host(host), port


def pack_host(host: str | bytes | None) -> bytes:
    """The 4 octets of a numeric IPv4 address; None and "" are INADDR_ANY. OSError(EINVAL) for anything else."""
    if not host:
        return ANY
    try:
        return IPv4Address(host if isinstance(host, str) else host.decode("ascii")).packed
    except (AddressValueError, UnicodeDecodeError):
        raise os_error(errno.EINVAL, f"not a numeric IPv4 address: {host!r}") from None


def unpack(endpoint: Endpoint) -> Address:
    """(4 octets, port) to ("192.0.2.2", port)."""
    host, port = endpoint
    return ".".join(map(str, host)), port
