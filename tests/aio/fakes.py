"""A connection and a stack made by hand, for tests of the transport's and the driver's own rules."""

from netstack.tcp.options import SocketOptions
from netstack.tcp.readiness import FAILED, READABLE, WRITABLE
from netstack.tcp.state import CLOSED, ESTABLISHED


class FakeConnection:
    """What the transport asks of a connection; the test plays TCP: `arrive`, `end`, `fail`, `drain`."""

    def __init__(self, stack, room=1_000_000):
        self.stack = stack
        self.local, self.remote = (b"\xc0\x00\x02\x02", 80), (b"\xc0\x00\x02\x01", 40_000)
        self.options = SocketOptions()
        self.state, self.error, self.observer = ESTABLISHED, 0, None
        self.send_space = room
        self.sent = b""
        self.calls = []
        self._arrived, self.eof = b"", False
        self._changed = 0
        stack.tcp.connections[id(self)] = self

    @property
    def readable(self):
        return len(self._arrived)

    def send(self, data):
        taken = min(len(data), self.send_space)
        self.sent += data[:taken]
        self.send_space -= taken
        return taken

    def recv(self, size):
        data, self._arrived = self._arrived[:size], self._arrived[size:]
        return data or (b"" if self.eof else None)

    def recv_into(self, buffer):
        data = self.recv(len(buffer))
        if data is None:
            return None
        buffer[: len(data)] = data
        return len(data)

    def shutdown(self):
        self.calls.append("shutdown")

    def close(self):
        self.calls.append("close")

    def abort(self):
        self.calls.append("abort")

    def _change(self, bits):
        self._changed |= bits
        self.stack.changed.append(self)

    def arrive(self, data):
        self._arrived += data
        self._change(READABLE)

    def end(self):
        self.eof = True
        self._change(READABLE)

    def fail(self, error):
        self.error, self.state = error, CLOSED
        self._change(READABLE | FAILED)

    def drain(self, octets):
        self.send_space += octets
        self._change(WRITABLE)

    def upcall(self):
        bits, self._changed = self._changed, 0
        if bits and self.observer is not None:
            self.observer(bits)


class FakeTcp:
    def __init__(self):
        self.connections = {}


class FakeStack:
    """The four verbs; `log` says which were called and when."""

    def __init__(self):
        self.tcp = FakeTcp()
        self.changed, self.log, self.due = [], [], None
        self.on_transmit = None

    def start(self, now):
        self.log.append(("start", now))

    def receive(self, frame, now):
        self.log.append(("receive", frame, now))

    def transmit(self, now):
        self.log.append(("transmit", now))
        changed, self.changed = self.changed, []
        for connection in changed:
            connection.upcall()
        if self.on_transmit is not None:
            self.on_transmit()

    def deadline(self, exact=True):
        return self.due

    def expire(self, now):
        self.log.append(("expire", now))
        self.due = None
