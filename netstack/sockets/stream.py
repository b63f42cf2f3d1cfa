"""StreamSocket: the socket API on TCP, non-blocking, without an event loop, with Linux's errors."""

from __future__ import annotations

import errno
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from netstack.sockets import options as sockopt
from netstack.sockets.address import ANY, Address, Endpoint, pack, unpack
from netstack.sockets.base import Observer, Socket
from netstack.sockets.errors import os_error
from netstack.sockets.numbers import IPPROTO_TCP, MSG_FASTOPEN, SHUT_RD, SHUT_RDWR, SHUT_WR, TCP_QUICKACK
from netstack.sockets.ports import check_address, reserve
from netstack.tcp import fast_open_client, urgent
from netstack.tcp.fast_open import CLIENT
from netstack.tcp.info import congestion_info, listener_info, tcp_info, unconnected_info
from netstack.tcp.options import SocketOptions
from netstack.tcp.readiness import FAILED, HANGUP, READABLE, WRITABLE
from netstack.tcp.state import CLOSED, CLOSING, LAST_ACK, SYN_RECEIVED, SYN_SENT, TIME_WAIT
from netstack.units import Octets

if TYPE_CHECKING:
    from netstack.config import TcpConfig
    from netstack.stack import Stack
    from netstack.tcp.connection import Connection
    from netstack.tcp.listener import Listener


class StreamSocket(Socket):
    """A TCP socket of `stack`, as socket.socket(AF_INET, SOCK_STREAM | SOCK_NONBLOCK).

    What would block raises BlockingIOError, as the kernel does: so does `connect`, which has then begun.
    """

    __slots__ = (
        "_connecting", "_failed", "_left_over", "_local", "_read_shut", "_write_shut", "connection", "listener",
        "options",
    )  # fmt: skip

    def __init__(self, stack: Stack, wake: Callable[[], None] | None = None) -> None:
        super().__init__(stack, wake)
        self.options: SocketOptions = SocketOptions()
        self.connection: Connection | None = None
        self.listener: Listener | None = None
        self._local: Endpoint | None = None
        self._connecting = False  # connect() was called and has not reported how it ended
        self._failed = False  # the connection's error has been reported: it is reported once
        self._read_shut = self._write_shut = False
        self._left_over = 0  # the error that `disconnect` left

    @classmethod
    def of(cls, stack: Stack, connection: Connection, wake: Callable[[], None] | None = None) -> StreamSocket:
        """A socket around a connection that exists already; the observer stays what it is until `on_ready`."""
        sock = cls(stack, wake)
        sock.options = connection.options
        sock.connection = connection
        return sock

    # Names.

    def bind(self, address: Address) -> None:
        """Take a local address; port 0 takes a free one. EADDRINUSE, EADDRNOTAVAIL, EINVAL when bound already."""
        self._open()
        endpoint = pack(address, "bind")
        check_address(self.stack, endpoint[0])
        if self._local is not None or not (self.connection is None or self.connection.state in (CLOSED, TIME_WAIT)):
            raise os_error(errno.EINVAL)
        self._local = reserve(self.stack, endpoint, self.options.reuseaddr)

    def getsockname(self) -> Address:
        """(host, port) of this end; ("0.0.0.0", 0) before it has one."""
        self._open()
        if self.connection is not None:
            return unpack(self.connection.local)
        return unpack(self._local or (ANY, 0))

    def getpeername(self) -> Address:
        """(host, port) of the other end. ENOTCONN before it has answered and after the connection is over."""
        self._open()
        connection = self.connection
        if connection is None or connection.state in (CLOSED, SYN_SENT, TIME_WAIT):
            raise os_error(errno.ENOTCONN)
        return unpack(connection.remote)

    # Opening.

    def listen(self, backlog: int = 128) -> None:
        """Become a listening socket; again: change the backlog. EINVAL on a connection, EADDRINUSE."""
        self._open()
        if self.listener is not None:
            self.listener.backlog = min(max(backlog, 0), self.config.somaxconn)
            return
        if self.connection is not None:
            raise os_error(errno.EINVAL)
        self._local = self._local or reserve(self.stack, (ANY, 0), False)
        self.listener = self.stack.tcp.listen(*self._local, backlog, self.options)
        self.listener.observer = self._observer

    @property
    def listening(self) -> bool:
        """listen() was called: SO_ACCEPTCONN."""
        return self.listener is not None

    def accept(self) -> tuple[StreamSocket, Address]:
        """The next connection that a peer has opened, and the peer's address."""
        self._open()
        if self.listener is None:
            raise os_error(errno.EINVAL)
        connection = self.listener.accept()
        if connection is None:
            raise os_error(errno.EAGAIN)
        return StreamSocket.of(self.stack, connection, self._wake), unpack(connection.remote)

    def connect(self, address: Address) -> None:
        """Begin to connect: always BlockingIOError(EINPROGRESS) first; then it is writable, or SO_ERROR says why not.

        With TCP_FASTOPEN_CONNECT and a cookie nothing leaves yet: it is writable, and the SYN carries what is written.
        Called again: EALREADY while it lasts, the error once when it failed (after that the socket is as new), nothing
        once when it succeeded, EISCONN from then on.
        """
        self._open()
        endpoint = pack(address, "connect")
        connection = self.connection
        if self.listener is not None:
            raise os_error(errno.EISCONN)
        if connection is None:
            connection = self._connect(endpoint)
            if self.options.fastopen_connect and fast_open_client.defer(connection):
                self._connecting = False
                return
            raise os_error(errno.EINPROGRESS)
        if not self._connecting:
            raise os_error(errno.EISCONN)
        if connection.state in (SYN_SENT, SYN_RECEIVED):
            raise os_error(errno.EALREADY)
        self._connecting = False
        if connection.state is CLOSED and connection.error:
            error = self.take_error() or errno.ECONNABORTED
            self.connection = None
            self._failed = False
            raise os_error(error)

    def _connect(self, endpoint: Endpoint) -> Connection:
        host, port = endpoint
        if host == ANY:
            host = self.stack.config.address.ip.packed  # nobody's address means this host (Linux)
        self.connection = self.stack.tcp.connect(self._local, (host, port), self.options)
        self._left_over = 0
        self.connection.observer = self._observer
        self._connecting = True
        self._changed()
        return self.connection

    def disconnect(self) -> None:
        """connect() to AF_UNSPEC: the connection is reset, the listener closed; the socket is as new, and still bound.

        As in Linux, who had a peer finds ECONNRESET in SO_ERROR.
        """
        self._open()
        connection = self.connection
        if self.listener is not None:
            self.listener.close()
            self.listener = None
        elif connection is not None:
            if connection.state not in (CLOSED, CLOSING, LAST_ACK, TIME_WAIT):
                self._left_over = errno.ECONNRESET
            connection.abort()
            self.connection = None
            self._connecting = self._failed = self._read_shut = self._write_shut = False
        self._changed()

    # Octets.

    def recv(self, size: Octets) -> bytes:
        """Up to `size` octets; b"" at the end of the stream. What arrived before an error is read before it."""
        if size < 0:
            raise ValueError("negative buffersize in recv")
        data = self._connected().recv(size) if size else b""
        if data:
            self._changed()
        elif size and not self._at_end(data):
            raise os_error(errno.EAGAIN)
        return data or b""

    def recv_into(self, buffer: Any, size: Octets = 0) -> Octets:
        """The same into a writable buffer: how many octets it was."""
        view = memoryview(buffer).cast("B")
        if size:
            view = view[:size]
        length = self._connected().recv_into(view) if view else 0
        if length:
            self._changed()
        elif view and not self._at_end(length):
            raise os_error(errno.EAGAIN)
        return length or 0

    def _connected(self) -> Connection:
        self._open()
        if self.connection is None:
            raise os_error(self.take_error() or errno.ENOTCONN)
        return self.connection

    def _at_end(self, got: bytes | int | None) -> bool:
        """Nothing was there: the end, or not yet? Raises the connection's error, once."""
        connection = self._connected()
        if not fin_reached(connection) and (error := self.take_error()):
            raise os_error(error)
        return got is not None or self._read_shut or connection.state in (CLOSED, TIME_WAIT)

    def send(self, data: bytes | bytearray | memoryview) -> Octets:
        """Queue as much as the send buffer has room for (bytes by reference): how many octets that was."""
        self._open()
        connection = self.connection
        error = self.take_error()
        if connection is None:
            raise os_error(error or errno.EPIPE)
        if error:
            raise os_error(error)
        if connection.state in (SYN_SENT, SYN_RECEIVED):
            fast = connection.fast_open
            if fast is not None and fast.deferred:
                return self._send_with_syn(connection, data)
            if fast is None or not fast.speaking:
                raise os_error(errno.EAGAIN)
        if not data:
            if connection.fin_queued or connection.state in (CLOSED, TIME_WAIT):
                raise os_error(errno.EPIPE)
            return 0
        if not isinstance(data, bytes):
            data = bytes(memoryview(data).cast("B")[: connection.send_space])
        taken = connection.send(data) if data else 0
        if not taken:
            raise os_error(errno.EAGAIN)
        self._changed()
        return taken

    def sendto(self, data: bytes | bytearray | memoryview, flags: int, address: Address) -> Octets:
        """With MSG_FASTOPEN: connect, and send what fits with the SYN (RFC 7413): how many octets that was.

        BlockingIOError(EINPROGRESS): none, for want of a cookie; the SYN asks for one. EOPNOTSUPP: tcp_fastopen says
        no. Without the flag as `send`; the address means nothing to a connection.
        """
        self._open()
        if not flags & MSG_FASTOPEN:
            return self.send(data)
        connection = self.connection
        if not self.config.fastopen & CLIENT:
            raise os_error(errno.EOPNOTSUPP)
        if connection is None and self.listener is None:
            connection = self._connect(pack(address, "sendto"))
            fast_open_client.prepare(connection)
            return self._send_with_syn(connection, data)
        if connection is not None and connection.fast_open is not None and connection.fast_open.deferred:
            return self._send_with_syn(connection, data)
        if connection is None or not self._connecting:
            raise os_error(errno.EISCONN)
        if connection.state in (SYN_SENT, SYN_RECEIVED):
            raise os_error(errno.EALREADY)
        self._connecting = False  # as connect() again: once it says that all is well
        return self.send(data)

    def _send_with_syn(self, connection: Connection, data: bytes | bytearray | memoryview) -> Octets:
        taken = fast_open_client.send(connection, bytes(data))
        self._connecting = True
        self._changed()
        if not taken:
            raise os_error(errno.EINPROGRESS)
        return taken

    # Closing.

    def send_urgent(self, data: bytes, more: bool = False) -> Octets:
        """send(MSG_OOB): like `send`, and the last octet is urgent."""
        connection = self.connection
        if connection is None or connection.error or connection.state in (SYN_SENT, SYN_RECEIVED):
            return self.send(data)
        taken = connection.send_urgent(data, more)
        self._changed()
        if data and not taken:
            raise os_error(errno.EAGAIN)
        return taken

    def recv_urgent(self, peek: bool = False) -> bytes:
        """recv(MSG_OOB): the urgent octet. EINVAL: there is none; BlockingIOError(EAGAIN): it has not arrived yet."""
        if self.connection is None and self.listener is None:
            self._open()
            raise os_error(errno.EINVAL)
        return urgent.receive(self._connected(), peek)

    def at_mark(self) -> bool:
        """SIOCATMARK, sockatmark(3): the next octet is the urgent one."""
        return self.connection is not None and urgent.at_mark(self.connection)

    def shutdown(self, how: int) -> None:
        """SHUT_WR: FIN after what is queued. SHUT_RD: `recv` gives what is there, then b"". ENOTCONN."""
        self._open()
        if how not in (SHUT_RD, SHUT_WR, SHUT_RDWR):
            raise os_error(errno.EINVAL)
        connection = self.connection
        if self.listener is not None and how != SHUT_WR:
            self.listener.close()
            self.listener = None
        elif self.listener is not None:
            return
        elif connection is None or connection.state in (CLOSED, TIME_WAIT):
            self._read_shut = self._read_shut or how != SHUT_WR  # noted all the same, for poll (Linux)
            self._write_shut = self._write_shut or how != SHUT_RD
            raise os_error(errno.ENOTCONN)
        elif connection.state is SYN_SENT:
            self.disconnect()  # whatever was asked for (Linux)
        else:
            self._connecting = self._connecting and connection.state is SYN_RECEIVED
            if how != SHUT_WR:
                self._read_shut = connection.read_shut = True
            if how != SHUT_RD:
                connection.shutdown()
        self._changed()

    def close(self) -> None:
        """The user is gone: FIN (RST when unread octets are lost or SO_LINGER says 0 s). Calling twice is harmless."""
        if self._closed:
            return
        opened = self.detach()
        if opened is not None:
            opened.close()
            self._changed()

    def detach(self) -> Connection | Listener | None:
        """Let go of the connection or listener without closing it; the socket is closed, and no observer is left."""
        self._open()
        opened: Connection | Listener | None = self.connection or self.listener
        if opened is not None:
            opened.observer = None
        if self._local is not None:
            self.stack.tcp.ports.release(*self._local)
        self._closed = True
        self.connection = self.listener = None
        return opened

    # Readiness.

    def on_ready(self, observer: Observer | None) -> None:
        """Have `observer(bits)` called from the stack's transmit when something changed (edges; see tcp.readiness)."""
        self._open()
        self._observer = observer
        opened = self.connection or self.listener
        if opened is not None:
            opened.observer = observer

    def readiness(self) -> int:
        """What holds now, as poll(2) would tell: READABLE, WRITABLE, HANGUP, FAILED, OR-ed together."""
        self._open()
        if self.listener is not None:
            return READABLE if self.listener.waiting else 0
        connection = self.connection
        if connection is None:
            return WRITABLE | HANGUP | (READABLE if self._read_shut else 0) | (FAILED if self._left_over else 0)
        if connection.state in (SYN_SENT, SYN_RECEIVED):
            fast = connection.fast_open
            if fast is None or not fast.speaking:
                shut = 0 if not self._read_shut else READABLE | (HANGUP if connection.fin_queued else 0)
                return (WRITABLE if fast is not None and fast.deferred else 0) | shut
        over = connection.state in (CLOSED, TIME_WAIT)
        failed = connection.error and not self._failed
        waiting = connection.readable
        readable = waiting and (waiting >= self.options.rcvlowat or connection.crowded)
        readable = readable or connection.eof or over or self._read_shut
        writable = over or connection.fin_queued or connection.writable
        shut = connection.fin_queued and (connection.eof or self._read_shut)  # both ways: Linux's POLLHUP
        return (
            (READABLE if readable else 0)
            | (WRITABLE if writable else 0)
            | (HANGUP if over or shut else 0)
            | (FAILED if failed else 0)
        )

    # Options.

    @property
    def config(self) -> TcpConfig:
        """The stack's TCP configuration."""
        return self.stack.config.tcp

    def setsockopt(self, level: int, name: int, value: Any) -> None:
        """As socket.setsockopt; see `options`."""
        self._open()
        sockopt.set(self, level, name, value)
        if self.connection is not None:
            self.connection.options_changed(quickack=level == IPPROTO_TCP and name == TCP_QUICKACK)
        self._changed()

    def getsockopt(self, level: int, name: int, buflen: Octets = 0) -> int | bytes:
        """As socket.getsockopt."""
        self._open()
        return sockopt.get(self, level, name, buflen)

    def take_error(self) -> int:
        """SO_ERROR: the errno that ended the connection, once; 0 when there is none (any more)."""
        connection = self.connection
        if connection is None:
            error, self._left_over = self._left_over, 0
            return error
        if not connection.error or self._failed:
            return 0
        if connection.state is CLOSED:
            self._failed = True
            return connection.error
        error, connection.error = connection.error, 0  # IP_RECVERR: told once, and life goes on
        return error

    def take_any_error(self) -> int:
        """SO_ERROR as getsockopt(2) has it: the same, or else what ICMP said of a connection that goes on, once."""
        error, connection = self.take_error(), self.connection
        if not error and connection is not None:
            error, connection.soft_error = connection.soft_error, 0
        return error

    def maxseg(self) -> Octets:
        """TCP_MAXSEG: the largest segment in use; before there is a connection, the one asked for."""
        connection, unheard = self.connection, self.config.default_mss
        if connection is None:
            return self.options.maxseg or unheard
        never = connection.active and not connection.established_at and connection.state is CLOSED
        if (connection.state is SYN_SENT or never) and connection.fast_open is None:
            # Linux goes by the default, less what its SYN offers.
            return unheard - (12 if self.config.timestamps else 0)
        return (connection.state is CLOSED and self.options.maxseg) or connection.tcb.eff_snd_mss

    def window_clamp(self) -> Octets:
        """TCP_WINDOW_CLAMP: no window larger than this is offered; 0: nobody said."""
        connection = self.connection
        if connection is None or (self.options.window_clamp and not connection.established_at):
            return self.options.window_clamp
        return connection.window.clamp

    def info(self) -> dict[str, int]:
        """TCP_INFO under Linux's names without "tcpi_": of the connection, of the listener, or of neither (CLOSED)."""
        if self.listener is not None:
            return listener_info(self.listener)
        if self.connection is None:
            return unconnected_info(self.config, self.options)
        return tcp_info(self.connection, self.stack.now)

    def congestion_info(self) -> dict[str, int]:
        """TCP_CC_INFO under Linux's names; nothing where congestion control has nothing to tell."""
        return {} if self.connection is None else congestion_info(self.connection)

    def path_mtu(self) -> Octets:
        """IP_MTU: the path MTU in use. ENOTCONN without a connection."""
        return self._connected().path.mtu


def fin_reached(connection: Connection) -> bool:
    """The peer ended its stream in order, whatever became of the connection afterwards."""
    fin_at = connection.peer_fin_at
    return fin_at is not None and fin_at < connection.tcb.rcv_nxt
