"""The sending half of a transport: straight into TCP's send buffer, and a backlog for what does not fit there."""

from __future__ import annotations

import logging
from asyncio import AbstractEventLoop
from asyncio.transports import _FlowControlMixin
from collections import deque
from collections.abc import Iterable
from typing import TYPE_CHECKING, Any

from netstack.units import Octets

if TYPE_CHECKING:
    from netstack.aio.driver import Driver
    from netstack.tcp.connection import Connection

WRITES_BEFORE_WARNING = 5
"""Writes on a lost connection that pass in silence, as asyncio has it. Deviation: the next is told of, the others not:
a client that goes must not fill the log of a program that does not look."""

logger = logging.getLogger("asyncio")


class WriteSide(_FlowControlMixin):
    """write() to write_eof() of StackTransport. The write buffer limits (of asyncio's mix-in) apply to the backlog."""

    if TYPE_CHECKING:  # of the mix-in, and unknown to type stubs
        _loop: AbstractEventLoop
        _extra: dict[str, Any]

        def _maybe_pause_protocol(self) -> None: ...
        def _maybe_resume_protocol(self) -> None: ...

    def __init__(self, driver: Driver, connection: Connection) -> None:
        super().__init__(None, driver.loop)
        self._driver = driver
        self._connection = connection
        self._backlog: deque[bytes] | None = None
        self._backlog_at: Octets = 0  # of the first chunk, this much is gone
        self._backlog_size: Octets = 0
        self._direct = True  # write() may go straight to the connection: no backlog, no write_eof(), not closing
        self._eof_written = False
        self._closing = False
        self._lost = 0  # connection_lost is on its way (1), and how often the application wrote since

    def _on_broken(self, error: OSError) -> None:
        raise NotImplementedError

    def _finish(self, error: BaseException | None) -> None:
        raise NotImplementedError

    def write(self, data: bytes | bytearray | memoryview) -> None:
        """Send `data` (bytes are kept by reference, anything else is copied). Never blocks."""
        if type(data) is bytes and data and self._direct:
            try:
                taken = self._connection.send(data)
            except BrokenPipeError as error:  # it failed in this very turn, and FAILED has not been told yet
                self._on_broken(error)
                return
            driver = self._driver
            if not driver.awake:
                driver.wake()
            if taken < len(data):
                self._defer(data, taken)
        else:
            self._write_other(data)

    def _write_other(self, data: bytes | bytearray | memoryview) -> None:
        if not isinstance(data, (bytes, bytearray, memoryview)):
            raise TypeError(f"data argument must be a bytes-like object, not {type(data).__name__!r}")
        if self._eof_written:
            raise RuntimeError("Cannot call write() after write_eof()")
        if not len(data):
            return
        if self._lost:
            self._lost += 1
            if self._lost == WRITES_BEFORE_WARNING + 1:
                logger.warning("write() on a connection that is lost.")
            return
        data = bytes(data)
        if self._direct:
            self.write(data)
        else:
            self._defer(data, 0)

    def writelines(self, list_of_data: Iterable[bytes | bytearray | memoryview]) -> None:
        """`write` of all of them joined."""
        self.write(b"".join(list_of_data))

    def _defer(self, data: bytes, taken: Octets) -> None:
        """TCP's send buffer is full: keep the rest, and ask the protocol to pause above the high-water mark."""
        if self._backlog is None:
            self._backlog = deque()
            self._backlog_at = taken
        self._backlog.append(data)
        self._backlog_size += len(data) - taken
        self._direct = False
        self._maybe_pause_protocol()

    def _flush(self) -> None:
        """Room in TCP's send buffer."""
        backlog, connection = self._backlog, self._connection
        while backlog:
            data, at = backlog[0], self._backlog_at
            try:  # a huge chunk is cut once, not once per flush; asking for more than there is room makes TCP tell us
                taken = connection.send(data[at : at + (connection.send_space or 1)] if at else data)
            except BrokenPipeError as error:
                self._on_broken(error)
                return
            if not taken:
                break
            self._backlog_size -= taken
            self._backlog_at = at + taken
            if self._backlog_at == len(data):
                backlog.popleft()
                self._backlog_at = 0
        if not backlog:
            self._backlog = None
            self._direct = not (self._eof_written or self._closing)
        self._maybe_resume_protocol()  # may write more
        if not self._backlog_size and not self._lost:
            if self._closing:
                self._finish(None)
            elif self._eof_written:
                self._connection.shutdown()

    def write_eof(self) -> None:
        """Half close: FIN after what has been written; the peer may go on sending."""
        if self._closing or self._eof_written:
            return
        self._eof_written = True
        self._direct = False
        if not self._backlog_size:
            self._connection.shutdown()
            self._driver.wake()

    def can_write_eof(self) -> bool:
        """True: TCP has half close."""
        return True

    def get_write_buffer_size(self) -> Octets:
        """Octets written that TCP's send buffer had no room for; what it holds does not count."""
        return self._backlog_size
