"""Initial sequence numbers that nobody can guess (RFC 6528), and timestamp offsets that tell nothing (RFC 7323 7.1)."""

from hashlib import blake2s

from netstack.seq import MASK
from netstack.units import Micros


class Secret:
    """A keyed hash over the four-tuple; the key never leaves this object."""

    __slots__ = ("_key",)

    def __init__(self, key: bytes) -> None:
        self._key = key

    def _hash(self, data: bytes) -> int:
        return int.from_bytes(blake2s(data, key=self._key, digest_size=4).digest(), "big")

    def iss(self, four_tuple: bytes, now: Micros) -> int:
        """RFC 6528 3: ISN = M + F(four-tuple, secret key), where M ticks every 4 microseconds."""
        return (self._hash(b"iss" + four_tuple) + (now >> 2)) & MASK

    def ts_offset(self, addresses: bytes) -> int:
        """Added to the timestamp clock, the same for all connections between two addresses (RFC 6191 needs that)."""
        return self._hash(b"ts" + addresses)

    def port_offset(self, destination: bytes) -> int:
        """RFC 6056 3.3.3: where the search for an ephemeral port to this destination begins."""
        return self._hash(b"port" + destination)

    def number(self, label: bytes, four_tuple: bytes, count: int) -> int:
        """32 bits of a hash over all of it, for SYN cookies (RFC 4987 3.6)."""
        return self._hash(label + (count & MASK).to_bytes(4, "big") + four_tuple)
