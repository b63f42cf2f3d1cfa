"""SipHash-2-4 (Aumasson and Bernstein): a keyed 64-bit hash that is quick on short input. Fast Open cookies use it."""

from struct import Struct

Key = tuple[int, int]
"""Two 64-bit halves."""

_KEY = Struct("<QQ")
_MASK = 0xFFFF_FFFF_FFFF_FFFF
_BEGIN = (0x736F_6D65_7073_6575, 0x646F_7261_6E64_6F6D, 0x6C79_6765_6E65_7261, 0x7465_6462_7974_6573)


def key_from(octets: bytes) -> Key:
    """The key in 16 octets."""
    k0, k1 = _KEY.unpack(octets)
    return k0, k1


def siphash(key: Key, data: bytes) -> int:
    """64 bits."""
    v0, v1, v2, v3 = (begin ^ half for begin, half in zip(_BEGIN, key * 2, strict=True))
    whole = len(data) & ~7
    last = (len(data) & 0xFF) << 56 | int.from_bytes(data[whole:], "little")
    for word in (*(int.from_bytes(data[at : at + 8], "little") for at in range(0, whole, 8)), last):
        v3 ^= word
        v0, v1, v2, v3 = _round(*_round(v0, v1, v2, v3))
        v0 ^= word
    v2 ^= 0xFF
    for _ in range(4):
        v0, v1, v2, v3 = _round(v0, v1, v2, v3)
    return v0 ^ v1 ^ v2 ^ v3


def _round(v0: int, v1: int, v2: int, v3: int) -> tuple[int, int, int, int]:
    v0 = (v0 + v1) & _MASK
    v1 = _rotated(v1, 13) ^ v0
    v0 = _rotated(v0, 32)
    v2 = (v2 + v3) & _MASK
    v3 = _rotated(v3, 16) ^ v2
    v0 = (v0 + v3) & _MASK
    v3 = _rotated(v3, 21) ^ v0
    v2 = (v2 + v1) & _MASK
    v1 = _rotated(v1, 17) ^ v2
    return v0, v1, _rotated(v2, 32), v3


def _rotated(word: int, bits: int) -> int:
    return (word << bits | word >> (64 - bits)) & _MASK
