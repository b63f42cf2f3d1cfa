"""The Internet checksum (RFC 1071), as arithmetic modulo 65535.

2^16 leaves the remainder 1 modulo 65535, so the ones'-complement sum of 16-bit words is the remainder of the whole
buffer read as one big number. Sums here are plain ints: add them freely, reduce whenever convenient. A sum that is
0 mod 65535 stands for both zeros of ones'-complement arithmetic (0x0000 and 0xFFFF): nobody has to tell them apart.
"""


def ones_sum(data: bytes | memoryview) -> int:
    """Ones'-complement sum of the big-endian 16-bit words of `data`, in [0, 65534].

    An odd last octet counts as the high half of a word whose low half is zero, so only the last piece of a
    message may be odd.
    """
    remainder = int.from_bytes(data, "big") % 0xFFFF
    return (remainder << 8) % 0xFFFF if len(data) & 1 else remainder


def pseudo_sum(pair: bytes, protocol: int, length: int) -> int:
    """Sum over the pseudo-header (RFC 9293 3.1; RFC 8200 8.1), to be added to the sum over the segment.

    `pair` is source + destination address as on the wire, of either family; `length` counts the octets of
    transport header and payload. The sum does not depend on the order of the two addresses.
    """
    return int.from_bytes(pair, "big") % 0xFFFF + protocol + length


def finish(total: int) -> int:
    """The checksum field to send, for a sum taken with the field as zero.

    0 is a proper value in IPv4, ICMP and TCP. In UDP it means "no checksum": send `finish(total) or 0xFFFF` (RFC 768).
    """
    return -total % 0xFFFF


def valid(total: int) -> bool:
    """Whether a sum that includes the checksum field is what an undamaged message gives.

    A message of nothing but zero octets passes too, which only ICMP has: an echo reply that nobody waits for.
    """
    return total % 0xFFFF == 0
