"""What /bytes/N gives: the same pseudo-random octets every time, so that whoever receives them can check them.

Five chunks, over and over. They differ, so that lost, doubled or swapped data changes the hash, and they are the same
five objects for every download, so that giving them costs neither copying nor memory.
"""

from collections.abc import Iterator
from itertools import cycle
from random import Random

CHUNK = 256 * 1024
"""Octets."""
CHUNKS = tuple(Random(number).randbytes(CHUNK) for number in range(5))


def pieces(octets: int) -> Iterator[bytes]:
    """The content of /bytes/N, in pieces of at most CHUNK octets."""
    for chunk in cycle(CHUNKS):
        if octets <= CHUNK:
            break
        yield chunk
        octets -= CHUNK
    if octets:
        yield chunk[:octets]
