"""System calls that move octets: recv, recvmsg, send, sendfile, splice."""

import errno

from netstack.drill.constants import NUMBERS, SOL_SOCKET
from netstack.drill.host import Address
from netstack.drill.messages import INQ, TIMESTAMPING, Control, Received
from netstack.drill.outcome import Unsupported
from netstack.drill.virtual.descriptors import MSG_DONTWAIT, Descriptors, Step, name_of
from netstack.drill.virtual.error_queue import MSG_CTRUNC, MSG_ERRQUEUE, MSG_TRUNC, RX_SOFTWARE
from netstack.drill.virtual.files import CAPACITY, End, File
from netstack.sockets.datagram import DatagramSocket
from netstack.sockets.stream import StreamSocket
from netstack.tcp import urgent
from netstack.tcp.connection import Connection
from netstack.tcp.state import CLOSED, SYN_RECEIVED, SYN_SENT
from netstack.units import Micros, Octets

MSG_PEEK, MSG_WAITALL, MSG_NOSIGNAL = NUMBERS["MSG_PEEK"], NUMBERS["MSG_WAITALL"], NUMBERS["MSG_NOSIGNAL"]
MSG_MORE, MSG_EOR, MSG_ZEROCOPY = NUMBERS["MSG_MORE"], NUMBERS["MSG_EOR"], NUMBERS["MSG_ZEROCOPY"]
MSG_FASTOPEN, MSG_OOB = NUMBERS["MSG_FASTOPEN"], NUMBERS["MSG_OOB"]
_TO_SEND = MSG_FASTOPEN | MSG_OOB | MSG_MORE | MSG_DONTWAIT | MSG_NOSIGNAL | MSG_ZEROCOPY
_TO_SEND |= MSG_EOR | NUMBERS["MSG_CONFIRM"] | NUMBERS["MSG_DONTROUTE"]  # without effect on TCP
_TO_RECEIVE = MSG_PEEK | MSG_DONTWAIT | MSG_WAITALL | MSG_NOSIGNAL | MSG_TRUNC | NUMBERS["MSG_CMSG_CLOEXEC"]
_STAMPS = [(SOL_SOCKET, NUMBERS[name]) for name in ("SO_TIMESTAMP", "SO_TIMESTAMPNS")]
_NONBLOCK = NUMBERS["SPLICE_F_NONBLOCK"]


class DataCalls(Descriptors):
    """One generator a call."""

    def recv(self, fd: int, octets: Octets, flags: int) -> Step:
        """What has arrived, `octets` at most; with MSG_TRUNC, zeros instead, for nothing is copied."""
        if fd in self.files and not flags:
            return (yield from self._read_file(fd, octets))
        if flags & MSG_ERRQUEUE:
            got = yield from self.recvmsg(fd, octets, 0, flags)
            return got.data
        if flags & MSG_OOB:
            return self.stream(fd).recv_urgent(bool(flags & MSG_PEEK))[:octets]
        if flags & ~_TO_RECEIVE:
            raise Unsupported(f"recv with flags {flags:#x}")
        got = b""
        until = self._until(fd, False)
        while True:
            try:
                conn = self.connection(fd)
                if conn is not None and not got and 0 < conn.readable < self._wanted(fd, octets) and not conn.eof:
                    raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
                if flags & MSG_PEEK and conn is not None and conn.readable:
                    return conn.peek(octets) or b""
                part = self.find(fd).recv(octets - len(got))
                got += bytes(len(part)) if flags & MSG_TRUNC else part
                if not part or len(got) == octets or not flags & MSG_WAITALL or self._stops(conn):
                    return got
            except BlockingIOError:
                if not self.waits(fd, flags) or (until is not None and self.stack.now >= until):
                    if got:
                        return got
                    raise
            yield until

    def _stops(self, conn: Connection | None) -> bool:
        """Not even MSG_WAITALL makes a call that has something read on: an error, or the mark of urgent data."""
        return conn is not None and (urgent.at_mark(conn) or (bool(conn.error) and not conn.readable))

    def _wanted(self, fd: int, octets: Octets) -> Octets:
        """SO_RCVLOWAT makes a call that may block wait for so much."""
        sock = self.find(fd)
        lowat = sock.options.rcvlowat if isinstance(sock, StreamSocket) and fd not in self.nonblocking else 0
        return min(lowat, octets)

    def _until(self, fd: int, sending: bool) -> Micros | None:
        patience = self.patience.get((fd, sending))
        return self.stack.now + patience if patience else None

    def recvmsg(self, fd: int, octets: Octets, room: Octets, flags: int) -> Step:
        """The same with control messages: the error queue, TCP_CM_INQ."""
        self.find(fd)
        if flags & MSG_ERRQUEUE:
            taken = self.errors(fd).take(octets, room)
            if taken is None:
                raise OSError(errno.EAGAIN, "Resource temporarily unavailable")
            return taken
        data = yield from self.recv(fd, octets, flags)
        control: list[Control] = []
        if any(self.remembered.get((fd, *INQ), b"")):
            control.append((*INQ, self._waiting(fd).to_bytes(4, "little")))
        stamped = fd in self.queues and self.queues[fd].stamping & RX_SOFTWARE
        if room and (stamped or self._stamps_arrivals(fd)):
            raise Unsupported("timestamps of what is received")
        returned = MSG_TRUNC if flags & MSG_TRUNC and not octets else 0
        if control and not room:
            return Received(len(data), data, (), returned | MSG_CTRUNC)
        return Received(len(data), data, tuple(control), returned)

    def _stamps_arrivals(self, fd: int) -> bool:
        """SO_TIMESTAMP or SO_TIMESTAMPNS."""
        sock = self.find(fd)
        return isinstance(sock, StreamSocket) and any(sock.options.kept.get(option) for option in _STAMPS)

    def _waiting(self, fd: int) -> Octets:
        """TCP_INQ: what is left to be read, 1 when that is the end of the stream."""
        conn = self.connection(fd)
        return 0 if conn is None else conn.readable or int(conn.eof)

    def send(self, fd: int, data: bytes, flags: int, address: Address | None, control: list[Control]) -> Step:
        """Octets taken: all of them, unless the call may not block."""
        if fd in self.files:
            return self._write_file(fd, data)
        if flags & ~_TO_SEND:
            raise Unsupported(f"send with flags {flags:#x}")
        queue = self.queues.get(fd)
        stamping = queue.stamping if queue is not None else 0
        for level, kind, value in control:
            if (level, kind) != TIMESTAMPING:
                raise Unsupported(f"sendmsg with a control message {kind} of level {level}")
            stamping = int.from_bytes(value, "little")
            queue = self.errors(fd)
        sent, conn = 0, self.connection(fd)
        until = self._until(fd, True)
        if flags & MSG_FASTOPEN or (conn is not None and conn.fast_open is not None and conn.fast_open.deferred):
            sent = yield from self._send_with_syn(fd, data, flags, address)
            if sent == len(data) or not self.waits(fd, flags):
                return sent
        while True:
            try:
                if flags & MSG_OOB:
                    sent += self.stream(fd).send_urgent(data[sent:], bool(flags & MSG_MORE))
                else:
                    sent += self._send(fd, data[sent:], bool(flags & MSG_MORE), address)
            except BlockingIOError:
                if not self.waits(fd, flags) or (until is not None and self.stack.now >= until):
                    if sent:
                        break
                    raise
            except OSError:
                if sent:
                    break
                raise
            if sent == len(data):
                break
            if self.waits(fd, flags):
                yield until
            else:
                self.stack.transmit(self.stack.tcp.now)  # Linux sends while it copies
        conn = self.connection(fd)
        if flags & MSG_EOR and conn is not None and sent == len(data):
            conn.end_record()
        if queue is not None and conn is not None and sent:
            queue.sent(conn, sent, bool(flags & MSG_ZEROCOPY), stamping)
        return sent

    def _send_with_syn(self, fd: int, data: bytes, flags: int, address: Address | None) -> Step:
        """Fast Open: what went with the SYN. A call that may block waits for the handshake, as connect() does."""
        sock, sent = self.stream(fd), 0
        try:
            if flags & MSG_FASTOPEN:
                sent = sock.sendto(data, MSG_FASTOPEN, ("", 0) if address is None else name_of(address))
            else:
                sent = sock.send(data)
        except BlockingIOError as error:
            if error.errno != errno.EINPROGRESS or not self.waits(fd, flags):
                raise
        conn = sock.connection
        if self.waits(fd, flags) and conn is not None and conn.fast_open is not None:
            conn.fast_open.more_waits = sent < len(data)
            while conn.state in (SYN_SENT, SYN_RECEIVED):
                yield None
            sock.connect(name_of(address) if address is not None else ("", 0))  # it reports how that ended
        return sent

    def _send(self, fd: int, data: bytes, more: bool, address: Address | None) -> int:
        sock = self.find(fd)
        if isinstance(sock, DatagramSocket):
            return sock.sendto(data, None if address is None else name_of(address))
        conn = sock.connection
        if not more or conn is None or conn.error or conn.state in (SYN_SENT, SYN_RECEIVED):
            return sock.send(data)
        if not (taken := conn.send(data, more=True)):
            raise BlockingIOError(errno.EAGAIN, "Resource temporarily unavailable")
        return taken

    def send_from(self, fd: int, pointer: int, octets: Octets, flags: int) -> Step:
        """Memory that is not the caller's: EFAULT, unless something worse is to be said, or none is needed."""
        sock = self.stream(fd)
        conn = sock.connection
        if not octets or conn is None or conn.error or conn.state is CLOSED or conn.fin_queued:
            return (yield from self.send(fd, bytes(octets), flags, None, []))
        raise OSError(errno.EFAULT, "Bad address")

    # Files and pipes.

    def _read_file(self, fd: int, octets: Octets) -> Step:
        made = self.files[fd]
        if isinstance(made, File):
            return self._zeros(made, None, octets)
        if not isinstance(made, End) or made.writes:
            raise OSError(errno.EBADF, "Bad file descriptor")
        while not made.pipe.data and made.pipe.ends > 1:
            yield None
        data, made.pipe.data = made.pipe.data[:octets], made.pipe.data[octets:]
        return data

    def _write_file(self, fd: int, data: bytes) -> int:
        made = self.files[fd]
        if not isinstance(made, End) or not made.writes:
            raise OSError(errno.EBADF, "Bad file descriptor")
        taken = data[: CAPACITY - len(made.pipe.data)]
        made.pipe.data += taken
        return len(taken)

    @staticmethod
    def _zeros(made: File, offset: Octets | None, octets: Octets) -> bytes:
        at = made.at if offset is None else offset
        data = bytes(max(0, min(octets, made.size - at)))
        if offset is None:
            made.at += len(data)
        return data

    def sendfile(self, out: int, source: int, offset: Octets | None, octets: Octets) -> Step:
        """From a file to a socket."""
        self.check(out)
        made = self.files.get(source)
        if not isinstance(made, File):
            raise OSError(errno.EINVAL, "Invalid argument") if source in self.sockets or made else _bad()
        data = self._zeros(made, offset, octets)
        if len(data) == octets or not data:
            return (yield from self.send(out, data, 0, None, []))
        sent = yield from self.send(out, data, MSG_MORE, None, [])  # Linux learns only afterwards that this was all
        yield self.stack.now
        if (conn := self.connection(out)) is not None:
            conn.more = conn.hold = False
            conn.mark()
        return sent

    def splice(self, source: int, out: int, octets: Octets, flags: int) -> Step:
        """Between a socket and a pipe."""
        self.check(source)
        self.check(out)
        reads, writes = self.files.get(source), self.files.get(out)
        how = MSG_DONTWAIT if flags & _NONBLOCK else 0
        if isinstance(writes, End) and writes.writes and source in self.sockets:
            room = CAPACITY - len(writes.pipe.data)
            data = yield from self.recv(source, min(octets, room), 0)  # the socket's own mode counts (Linux)
            writes.pipe.data += data
            return len(data)
        if isinstance(reads, End) and not reads.writes and out in self.sockets:
            data = reads.pipe.data[:octets]
            sent = yield from self.send(out, data, how, None, [])
            reads.pipe.data = reads.pipe.data[sent:]
            return sent
        raise OSError(errno.EINVAL, "Invalid argument")


def _bad() -> OSError:
    return OSError(errno.EBADF, "Bad file descriptor")
