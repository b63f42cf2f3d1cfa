"""Memory that a crowd needed goes back to the system when the crowd has gone.

The C library keeps what is freed, scattered as it is between what still lives: after a thousand downloads the process
would stay as large as it was with all their buffers.
"""

import ctypes
from collections.abc import Callable


def trim() -> None:
    """Give free memory back (glibc; with another C library nothing happens). Takes 0.1 ms for each megabyte freed."""
    give_back = getattr(ctypes.CDLL(None), "malloc_trim", None)
    if give_back is not None:
        give_back(0)


class Thrift:
    """Calls `trim` each time the connections have become half as many, as long as they were a crowd."""

    CROWD = 32

    def __init__(self, connections: Callable[[], int], trim: Callable[[], None] = trim) -> None:
        self._connections = connections
        self._trim = trim
        self._most = 0

    def look(self) -> None:
        """To be called now and then."""
        count = self._connections()
        if count > self._most:
            self._most = count
        elif self._most >= self.CROWD and 2 * count <= self._most:
            self._trim()
            self._most = count
