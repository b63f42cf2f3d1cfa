"""What every socket has: a stack, somebody to wake, an observer, and an end."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Self

from netstack.sockets.errors import os_error

if TYPE_CHECKING:
    from netstack.stack import Stack

Observer = Callable[[int], None]
"""Called from the stack's transmit with readiness bits (tcp.readiness) when something changed."""


class Socket:
    """Non-blocking, and loop-free: calls change variables only, and what they ask for happens at the next `transmit`.

    `wake`, when given, is called after each such call (a driver's `wake`, so that somebody transmits soon).
    """

    __slots__ = ("_closed", "_observer", "_wake", "stack")

    def __init__(self, stack: Stack, wake: Callable[[], None] | None = None) -> None:
        self.stack: Stack = stack
        self._wake = wake
        self._observer: Observer | None = None
        self._closed = False

    def __enter__(self) -> Self:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Let go of everything. Calling twice is harmless; anything else afterwards is OSError(EBADF)."""
        raise NotImplementedError

    def _open(self) -> None:
        if self._closed:
            raise os_error(errno.EBADF)

    def _changed(self) -> None:
        if self._wake is not None:
            self._wake()
