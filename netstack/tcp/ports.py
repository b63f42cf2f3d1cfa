"""Local ports: which are bound, and how a free one is found that an outsider cannot guess (RFC 6056)."""

from __future__ import annotations

from errno import EADDRINUSE, EADDRNOTAVAIL
from typing import TYPE_CHECKING, Protocol

if TYPE_CHECKING:
    from netstack.tcp.demux import Tcp


class _Entropy(Protocol):
    def randrange(self, stop: int, /) -> int: ...


class Ports:
    """The ports that users bound, and the choice of ephemeral ones."""

    __slots__ = ("_exclusive", "_high", "_low", "_next", "_rng", "_tcp", "bound")

    def __init__(self, port_range: tuple[int, int], rng: _Entropy, tcp: Tcp) -> None:
        self._low, self._high = port_range
        self._rng = rng
        self._tcp = tcp
        self._next = 0
        self.bound: dict[tuple[bytes, int], int] = {}
        """(address, port) -> how many users share it."""
        self._exclusive: set[tuple[bytes, int]] = set()
        """Bound by somebody who did not agree to share (SO_REUSEADDR)."""

    def ephemeral(self, pair: bytes, far: bytes, offset: int) -> int:
        """RFC 6056 3.3.3: from a secret offset per destination, the next port that makes a free four-tuple.

        `pair`: remote + local address; `far`: the remote port's two octets. OSError(EADDRNOTAVAIL) when none is left.
        """
        span = self._high - self._low + 1
        start = offset + self._next
        local = pair[len(pair) // 2 :]
        for i in range(span):
            port = self._low + (start + i) % span
            if pair + far + port.to_bytes(2, "big") not in self._tcp.connections and not self._taken(local, port):
                self._next += i + 1
                return port
        raise OSError(EADDRNOTAVAIL, "Cannot assign requested address")

    def reserve(self, address: bytes, port: int, reuse: bool = False) -> int:
        """bind(): claim a port, or with 0 a free one. Returns it. OSError(EADDRINUSE) when it is taken."""
        if not port:
            port = self._any_free(address)
        any_address = bytes(len(address))
        clash = [
            (held, held_port)
            for held, held_port in self.bound
            if held_port == port and (address == any_address or held in (address, any_address))
        ]
        if clash and not (reuse and self._exclusive.isdisjoint(clash)):
            raise OSError(EADDRINUSE, "Address already in use")
        self.bound[(address, port)] = self.bound.get((address, port), 0) + 1
        if not reuse:
            self._exclusive.add((address, port))
        return port

    def release(self, address: bytes, port: int) -> None:
        """The user of a reserved port is gone."""
        holders = self.bound.get((address, port), 0)
        if holders > 1:
            self.bound[(address, port)] = holders - 1
        else:
            self.bound.pop((address, port), None)
            self._exclusive.discard((address, port))

    def _any_free(self, address: bytes) -> int:
        span = self._high - self._low + 1
        start = self._rng.randrange(span)
        for i in range(span):
            port = self._low + (start + i) % span
            if not self._taken(address, port):
                return port
        raise OSError(EADDRINUSE, "Address already in use")

    def _taken(self, address: bytes, port: int) -> bool:
        keys = ((address, port), (bytes(len(address)), port))
        return any(key in self.bound or key in self._tcp.listeners for key in keys)
