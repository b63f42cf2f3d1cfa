"""TCP MD5 signatures (RFC 2385) from the script's side: struct tcp_md5sig, and segments signed and checked.

Apart from `netstack.tcp.md5` on purpose, so that neither hides the other's faults.
"""

import hashlib
from struct import Struct

from netstack.drill.codec import IPPROTO_TCP, pseudo_header
from netstack.drill.nodes import Array, Expression, Text, Unspecified
from netstack.drill.nodes import Struct as Braces
from netstack.drill.outcome import Unsupported
from netstack.drill.symbols import integer

_SOCKADDR = Struct("<HHI")
_SOCKADDR_STORAGE = 128
_REST = Struct("<BBHi80s")
"""Flags, prefix length, length of the key, interface, key: behind the address."""
LENGTH = _SOCKADDR_STORAGE + _REST.size
PREFIX = 1
"""TCP_MD5SIG_FLAG_PREFIX: the prefix length counts."""
MD5SIG, MD5SIG_EXT = 14, 32
_KIND, _SIZE = 19, 18


class Keys:
    """Those that the script gave to the end under test, by network; the longest prefix counts."""

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, int], bytes] = {}

    def learn(self, value: bytes, extended: bool) -> None:
        """setsockopt took `value`; a key without octets is forgotten."""
        address = value[4:8]
        flags, prefix, length, _, key = _REST.unpack_from(value, _SOCKADDR_STORAGE)
        size = prefix if extended and flags & PREFIX else 32
        self._known.pop((address, size), None)
        if length:
            self._known[address, size] = key[:length]

    def find(self, address: bytes) -> bytes:
        """The key for a peer. Unsupported when the script gave none."""
        number = int.from_bytes(address, "big")
        for (network, size), key in sorted(self._known.items(), key=lambda item: -item[0][1]):
            if len(address) == 4 and (number ^ int.from_bytes(network, "big")) >> (32 - size) == 0:
                return key
        raise Unsupported("md5 valid: no key was given with TCP_MD5SIG")


def option_value(item: Braces, default: bytes) -> bytes:
    """struct tcp_md5sig from `{tcpm_addr={...}, tcpm_key="secret"}`; `default`: the address for `...`."""
    where = item.get("tcpm_addr")
    address = default
    if isinstance(where, Braces) and (host := where.get("sin_addr")) is not None:
        from netstack.drill.arguments import host_address

        address = host_address(host, 4)
    key = _key(item.get("tcpm_key"))
    length = _number(item.get("tcpm_keylen"), len(key))
    head = _SOCKADDR.pack(2, 0, int.from_bytes(address, "little")).ljust(_SOCKADDR_STORAGE, b"\0")
    flags, prefix = _number(item.get("tcpm_flags"), 0), _number(item.get("tcpm_prefixlen"), 0)
    return head + _REST.pack(flags & 0xFF, prefix & 0xFF, length & 0xFFFF, _number(item.get("tcpm_ifindex"), 0), key)


def _key(item: Expression | None) -> bytes:
    match item:
        case Text(text) | Array((Text(text),)):
            return text.encode()
        case None:
            return b""
    raise Unsupported("a tcpm_key that is no string")


def _number(item: Expression | None, default: int) -> int:
    return default if item is None or isinstance(item, Unspecified) else integer(item)


def digest(key: bytes, source: bytes, destination: bytes, transport: bytes) -> bytes:
    """RFC 2385 2.0: over the pseudo-header, the header without options and with no checksum, the text, and the key."""
    text = (transport[12] >> 4) * 4
    pseudo = pseudo_header(source, destination, IPPROTO_TCP, len(transport))
    return hashlib.md5(
        pseudo + transport[:16] + bytes(2) + transport[18:20] + transport[text:] + key, usedforsecurity=False
    ).digest()


def signed(key: bytes, source: bytes, destination: bytes, transport: bytes) -> bytes:
    """`transport` with the digest in its MD5 option, which is there already, with zeros in it."""
    at = _find(transport)
    return transport[:at] + digest(key, source, destination, transport) + transport[at + 16 :]


def _find(transport: bytes) -> int:
    """Where in a segment its digest is."""
    at, end = 20, (transport[12] >> 4) * 4
    while transport[at : at + 2] != bytes((_KIND, _SIZE)):
        at += 1 if transport[at] <= 1 else max(transport[at + 1], 1)
        if at + _SIZE > end:
            raise ValueError("no MD5 option")
    return at + 2
