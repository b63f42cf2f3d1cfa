"""StackTransport: an asyncio Transport on one TCP connection of the stack, with asyncio's own semantics.

The connection's observer is called from `Stack.transmit`, reads, and calls the protocol: no task, no queue, no
loop iteration between the frame and `data_received`. What the protocol writes goes into the TCP send buffer at once
and leaves in the same transmit; only what that buffer does not take is kept here, and counts against the write limits.
"""

from __future__ import annotations

import asyncio
from contextvars import copy_context
from functools import partial
from typing import TYPE_CHECKING, Any

from netstack.aio.transport_socket import TransportSocket
from netstack.aio.write_side import WriteSide
from netstack.sockets.address import unpack
from netstack.sockets.errors import os_error
from netstack.sockets.stream import StreamSocket, fin_reached
from netstack.tcp.readiness import FAILED, WRITABLE
from netstack.units import Octets

if TYPE_CHECKING:
    from netstack.aio.driver import Driver
    from netstack.aio.server import Server
    from netstack.tcp.connection import Connection

MAX_READ: Octets = 256 * 1024
"""The most that one `data_received` is given; as asyncio has it."""

class StackTransport(WriteSide):
    """The transport between `protocol` and an open `connection`; calls `connection_made` before it returns.

    As asyncio's own socket transport, with these differences, all of them for the better informed:

    - Deviation: `abort()` resets the connection (RST) and what the peer has not acknowledged is lost; asyncio closes
      the socket, and the kernel goes on sending what it holds.
    - Deviation: a connection that fails while reading is paused is reported at once when nothing is left to read,
      not at `resume_reading()`.
    - Protocol callbacks run in one context (contextvars) per connection: a copy of that of whoever opened it.

    Not slotted: programs assign attributes, and their tests patch methods.
    """

    _start_tls_compatible = True  # for loop.start_tls()
    _sendfile_compatible = asyncio.constants._SendfileMode.FALLBACK  # for loop.sendfile()

    def __init__(self, driver: Driver, connection: Connection, protocol: Any, server: Server | None = None) -> None:
        super().__init__(driver, connection)
        self._server = server
        self._context = copy_context()
        self._reading = True  # the observer may read: not paused, not closing, not at the end
        self._paused = False
        self._held = False
        self._eof_received = False
        self.set_protocol(protocol)
        connection.options.nodelay = True
        connection.observer = partial(self._context.run, self._on_ready)  # type: ignore[call-arg]
        driver.transports.add(self)
        if server is not None:
            server._attach()
        try:
            self._context.run(protocol.connection_made, self)
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._report(error, "Exception in protocol.connection_made()")
        if connection.readable or connection.eof or connection.error:  # arrived before there was an observer
            self._read_soon()

    def __repr__(self) -> str:
        words = ["closed" if self._lost else "closing" if self._closing else "open", str(self._connection.state)]
        if self._paused:
            words.append("reading paused")
        if self._held:
            words.append("reading held")
        return f"<{type(self).__name__} {' '.join(words)} backlog={self._backlog_size}>"

    @property
    def woken(self) -> str:
        """Who it is that the stack's upcalls reach, for those who watch (`events.Woken`)."""
        return "coroutine" if isinstance(self._protocol, asyncio.StreamReaderProtocol) else "transport"

    # From the stack: called inside a turn.

    def _on_ready(self, ready: int) -> None:
        """The connection's observer."""
        if ready & 1 and self._reading:  # READABLE
            self._read()
        if ready > 1:
            self._on_change(ready)

    def _read(self) -> None:
        if self._buffered:
            self._fill()
            return
        connection = self._connection
        while True:
            data = connection.recv(MAX_READ)
            if not data:
                if data is not None:
                    self._on_end()
                return
            try:
                self._protocol.data_received(data)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self._fatal_error(error, "Fatal error: protocol.data_received() call failed.")
                return
            if not self._reading or (len(data) < MAX_READ and connection.peer_fin_at is None):
                return  # that was all
            if self._buffered:  # it was replaced by a protocol of the other kind
                self._fill()
                return

    def _fill(self) -> None:
        """The same for a BufferedProtocol, which says where the octets go."""
        connection = self._connection
        while self._reading and (connection.readable or connection.eof):
            protocol = self._protocol
            step = "get_buffer"
            try:
                buffer = protocol.get_buffer(-1)
                if not len(buffer):
                    raise RuntimeError("get_buffer() returned an empty buffer")
                length = connection.recv_into(buffer)
                if length:
                    step = "buffer_updated"
                    protocol.buffer_updated(length)
            except (SystemExit, KeyboardInterrupt):
                raise
            except BaseException as error:
                self._fatal_error(error, f"Fatal error: protocol.{step}() call failed.")
                return
            if not length:
                if length is not None:
                    self._on_end()
                return
            if not self._buffered:
                self._read()
                return

    def _on_end(self) -> None:
        if self._connection.error and not fin_reached(self._connection):
            return  # no end of the stream but of the connection: FAILED says so
        self._reading = False
        self._eof_received = True
        try:
            keep_open = self._protocol.eof_received()
        except (SystemExit, KeyboardInterrupt):
            raise
        except BaseException as error:
            self._fatal_error(error, "Fatal error: protocol.eof_received() call failed.")
            return
        if not keep_open:
            self.close()

    def _on_change(self, ready: int) -> None:
        if ready & WRITABLE and self._backlog_size:
            self._flush()
        if ready & FAILED:
            self._on_failed()

    def _on_failed(self) -> None:
        connection = self._connection
        if (self._paused or self._held) and connection.readable and not self._closing:
            return  # what arrived before the failure is still the application's; see _resumed
        self._force_close(os_error(connection.error) if connection.error else None)

    # Reading.

    def is_reading(self) -> bool:
        """Neither paused nor closing."""
        return not self._paused and not self._closing

    def pause_reading(self) -> None:
        """No more `data_received` until `resume_reading`; the octets stay with TCP, and the peer's window closes."""
        if not self._closing:
            self._paused = True
            self._reading = False

    def resume_reading(self) -> None:
        """Read again, from the next loop iteration on."""
        if self._closing or not self._paused:
            return
        self._paused = False
        if not self._held:
            self._read_on()

    def hold_reading(self) -> None:
        """As if reading were paused, whatever the protocol says, until `release_reading`: for those who try things."""
        if not self._closing:
            self._held = True
            self._reading = False

    def release_reading(self) -> None:
        """It is the protocol's again to pause and to resume."""
        if self._held:
            self._held = False
            if not self._closing and not self._paused:
                self._read_on()

    def _read_on(self) -> None:
        self._reading = not self._eof_received
        connection = self._connection
        if connection.readable or connection.eof or connection.error:
            self._read_soon()

    def _read_soon(self) -> None:
        self._loop.call_soon(self._resumed, context=self._context)

    def _resumed(self) -> None:
        if self._reading:
            self._read()
            self._driver.wake()  # room in the receive buffer: the window may have to be announced
        if self._connection.error and not self._lost:
            self._on_failed()

    def set_protocol(self, protocol: asyncio.BaseProtocol) -> None:
        """Deliver to another protocol from now on."""
        self._protocol: Any = protocol
        self._buffered = isinstance(protocol, asyncio.BufferedProtocol)

    def get_protocol(self) -> asyncio.BaseProtocol:
        """The current protocol; None once the connection is lost."""
        return self._protocol  # type: ignore[no-any-return]

    # The end.

    def is_closing(self) -> bool:
        """close() or abort() was called, or the connection is lost."""
        return self._closing

    def close(self) -> None:
        """No more reading; FIN after what has been written, `connection_lost(None)` once TCP has taken it all."""
        if self._closing:
            return
        self._closing = True
        self._reading = self._direct = False
        if not self._backlog_size:
            self._finish(None)

    def abort(self) -> None:
        """Reset the connection; what has not been sent or read is lost. `connection_lost(None)` follows."""
        if not self._lost:
            self._connection.abort()
            self._force_close(None)

    def _finish(self, error: BaseException | None) -> None:
        """The connection is TCP's alone from now on: it sends what it holds and closes by itself."""
        self._lost = 1
        self._closing = True
        self._reading = self._direct = False
        connection = self._connection
        connection.observer = None
        if not connection.readable:
            connection.close()  # at once: the FIN goes with the last octets
        # Else closing is a reset (RFC 2525 2.17); what was written before gets this turn to leave, as with a kernel
        # that sends from within write().
        self._driver.wake()
        self._loop.call_soon(self._call_connection_lost, error, context=self._context)

    def _force_close(self, error: BaseException | None) -> None:
        """Close without waiting for the backlog (SSLProtocol calls this too)."""
        if not self._lost:
            self._backlog = None
            self._backlog_size = 0
            self._finish(error)

    def _on_broken(self, error: OSError) -> None:
        code = self._connection.error
        self._force_close(os_error(code) if code else error)

    def _fatal_error(self, error: BaseException, message: str) -> None:
        if not isinstance(error, OSError):
            self._report(error, message)
        self._force_close(error)

    def _report(self, error: BaseException, message: str) -> None:
        self._loop.call_exception_handler(
            {"message": message, "exception": error, "transport": self, "protocol": self._protocol}
        )

    def _call_connection_lost(self, error: BaseException | None) -> None:
        protocol, server = self._protocol, self._server
        if self._connection.readable:
            self._connection.close()
            self._driver.wake()
        try:
            protocol.connection_lost(error)
        finally:
            self._driver.transports.discard(self)
            self._protocol = None
            self._server = None
            if server is not None:
                server._detach()

    def get_extra_info(self, name: str, default: Any = None) -> Any:
        """`peername`, `sockname`: (host, port). `socket`: a TransportSocket for options."""
        if name == "peername":
            return unpack(self._connection.remote)
        if name == "sockname":
            return unpack(self._connection.local)
        if name == "socket":
            extra = self._extra
            if name not in extra:
                driver = self._driver
                extra[name] = TransportSocket(StreamSocket.of(driver.stack, self._connection, driver.wake))
            return extra[name]
        return super().get_extra_info(name, default)
