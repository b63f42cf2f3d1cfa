"""TCP MD5 signatures (RFC 2385): keys by peer, the digest, and the way out for a connection that signs.

A connection with a key leaves by a `SignedPath`, and what arrives for it is checked by the class it has then
(`md5_connection`): whoever has none has nothing to ask. Layout, space and what goes unsigned are Linux's.
"""

from __future__ import annotations

import hashlib
from struct import Struct
from typing import TYPE_CHECKING

from netstack.units import Micros, Octets
from netstack.wire.checksum import ones_sum
from netstack.wire.tcp_options import MD5, NOP

if TYPE_CHECKING:
    from netstack.ip.path import Path
    from netstack.link.neighbor import Neighbor

MAX_KEY: Octets = 80
"""Linux's TCP_MD5SIG_MAXKEYLEN."""
ROOM: Octets = 20
"""Octets that `<nop,nop,md5>` takes from every segment."""
WHOLE = 32
"""The prefix length of one address."""
_HEAD = bytes((NOP, NOP, MD5, 18))
_PSEUDO = Struct("!8sHH")


class Keys:
    """The keys of one socket, by peer or by network of peers."""

    __slots__ = ("_known",)

    def __init__(self) -> None:
        self._known: dict[tuple[bytes, int], bytes] = {}

    def add(self, network: bytes, prefix: int, key: bytes) -> None:
        """`key` is for everybody in `network`, of which `prefix` bits count; it takes an older one's place."""
        self._known[network, prefix] = key

    def remove(self, network: bytes, prefix: int) -> None:
        """KeyError when there is none."""
        del self._known[network, prefix]

    def find(self, address: bytes) -> bytes | None:
        """The key for this peer, the most specific one where several are; None: it does not sign."""
        found, longest = None, -1
        number = int.from_bytes(address, "big")
        for (network, prefix), key in self._known.items():
            differ = (number ^ int.from_bytes(network, "big")) >> (8 * len(address) - prefix)
            if prefix > longest and not differ:
                found, longest = key, prefix
        return found


def only(address: bytes, key: bytes | None) -> Keys | None:
    """What a connection that a listener made has of its keys: that of its peer."""
    if key is None:
        return None
    keys = Keys()
    keys.add(address, 8 * len(address), key)
    return keys


def digest(key: bytes, pair: bytes, header: bytes, text: bytes | memoryview, length: Octets) -> bytes:
    """RFC 2385 2.0: over the pseudo-header, the TCP header without options and checksum, the text, and the key.

    `pair`: source and destination; `header`: the first 20 octets, whatever checksum is in them; `length`: of the whole
    segment, options included.
    """
    made = hashlib.md5(_PSEUDO.pack(pair, 6, length), usedforsecurity=False)
    made.update(header[:16] + b"\0\0" + header[18:20])
    made.update(text)
    made.update(key)
    return made.digest()


class SignedPath:
    """A path that signs whatever is sent over it, in front of all other options. It segments nothing."""

    __slots__ = ("inner", "key")

    offload = False
    """A signature is of one segment: none can be left to the device to cut."""

    def __init__(self, inner: Path, key: bytes) -> None:
        self.inner = inner
        self.key = key

    @property
    def source(self) -> bytes:
        """Our address."""
        return self.inner.source

    @property
    def destination(self) -> bytes:
        """The peer's."""
        return self.inner.destination

    @property
    def mtu(self) -> Octets:
        """The path's; what a signature takes of it is for the connection to know."""
        return self.inner.mtu

    @property
    def pseudo(self) -> int:
        """The pseudo-header's sum without the length."""
        return self.inner.pseudo

    @property
    def neighbor(self) -> Neighbor:
        """The next hop."""
        return self.inner.neighbor

    def allow_fragments(self, allowed: bool) -> None:
        """See `Path`."""
        self.inner.allow_fragments(allowed)

    def reduce_mtu(self, mtu: Octets, now: Micros) -> None:
        """See `Path`."""
        self.inner.reduce_mtu(mtu, now)

    def send(
        self, head: bytes, payload: bytes | memoryview, gso_size: Octets, tos: int, now: Micros, ttl: int = 64
    ) -> None:
        """One segment, with its signature; the checksum that it came with covers less and is made anew."""
        inner = self.inner
        size = len(head) + ROOM
        fixed = head[:12] + (((head[12] << 8 | head[13]) & 0xFFF) | size << 10).to_bytes(2, "big") + head[14:20]
        signature = digest(self.key, inner.source + inner.destination, fixed, payload, size + len(payload))
        head = fixed[:16] + b"\0\0" + fixed[18:] + _HEAD + signature + head[20:]
        total = inner.pseudo + size + len(payload)
        checksum = total % 0xFFFF if inner.offload else -(total + ones_sum(head) + ones_sum(payload)) % 0xFFFF
        inner.send(head[:16] + checksum.to_bytes(2, "big") + head[18:], payload, 0, tos, now, ttl)


def signature_room(path: Path | SignedPath) -> Octets:
    """What a signature takes of each segment on this path (RFC 2385 4.3: it is not counted in the MSS option)."""
    return ROOM if isinstance(path, SignedPath) else 0
