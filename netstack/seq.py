"""Sequence numbers: the one place where they wrap (RFC 9293 3.4)."""

from netstack.units import Seq

MASK = 0xFFFF_FFFF


def unwrap(wire: int, near: Seq) -> Seq:
    """The unwrapped sequence number closest to `near` that is `wire` on the wire (3.4).

    `wire` is 32 bits; `near` any int. After this the RFC's inequalities are plain Python comparisons.
    """
    return near + ((wire - near + 0x8000_0000) & MASK) - 0x8000_0000
