"""The applications of a flow: one writes a known pattern as fast as it may, the other reads and compares."""

from collections.abc import Callable
from random import Random

from netstack.lab.agenda import NEVER
from netstack.lab.endpoint import Host
from netstack.lab.watch import Meter
from netstack.tcp.connection import Connection
from netstack.tcp.readiness import FAILED, READABLE, WRITABLE
from netstack.units import Micros, Octets

PORT = 5_001
BLOCK: Octets = 65_536
PATTERN = Random("netstack lab").randbytes(BLOCK)
"""What is sent, over and over."""


class Sink:
    """Reads whatever arrives on one connection, and checks it against the pattern; `done` is called when it ends."""

    __slots__ = ("_conn", "done", "finished_at", "host", "received", "received_warm", "size", "wrong")

    def __init__(self, host: Host, size: Octets, done: Callable[[], None]) -> None:
        self.host = host
        self.size = size
        self.done = done
        self.received: Octets = 0
        self.received_warm: Octets = 0
        """`received` at the end of the warm-up."""
        self.wrong = False
        """Something arrived that was not sent."""
        self.finished_at: Micros = -1
        """When the end of the stream was read; -1: not yet."""
        self._conn: Connection | None = None

    def accept(self, conn: Connection) -> None:
        """The connection to read from."""
        self._conn = conn
        conn.observer = self.on_ready
        self.on_ready(READABLE)

    def on_ready(self, flags: int) -> None:
        """Read everything."""
        conn = self._conn
        if conn is None:
            return
        while data := conn.recv(1 << 30):
            self._check(data)
            self.received += len(data)
        if data == b"" and self.finished_at < 0:
            self.finished_at = self.host.stack.now
            conn.close()
            self.done()

    def _check(self, data: bytes) -> None:
        at, position = 0, self.received % BLOCK
        while at < len(data):
            n = min(BLOCK - position, len(data) - at)
            if data[at : at + n] != PATTERN[position : position + n]:
                self.wrong = True
                return
            at += n
            position = 0


class Transfer:
    """One flow: connects at its time, and keeps the send buffer full until `size` octets are written (0: for ever)."""

    __slots__ = ("_written", "error", "host", "meter", "remote", "sink", "size", "started_at", "wake_at")

    def __init__(self, host: Host, remote: tuple[bytes, int], sink: Sink, meter: Meter, size: Octets) -> None:
        self.host = host
        self.remote = remote
        self.sink = sink
        self.meter = meter
        self.size = size
        self.error = 0
        """errno, when the connection ended in one."""
        self.started_at: Micros = -1
        self.wake_at: Micros = NEVER
        self._written: Octets = 0

    def run(self, now: Micros) -> None:
        """The time to start."""
        if self.started_at >= 0:
            return
        self.started_at = now
        self.host.stack.tcp.now = now
        conn = self.host.stack.tcp.connect(None, self.remote)
        conn.observer = self.on_ready
        self.meter.conn = conn
        self.host.meter = self.meter
        self.host.turn(now)

    def on_ready(self, flags: int) -> None:
        """Write what fits."""
        conn = self.meter.conn
        if conn is None:
            return
        if flags & FAILED:
            self.error = conn.error
            self.sink.done()
        elif flags & WRITABLE and not conn.fin_queued:
            self._write(conn)

    def _write(self, conn: Connection) -> None:
        while True:
            position = self._written % BLOCK
            block = PATTERN[position:] if position else PATTERN
            if self.size and self.size - self._written < len(block):
                block = block[: self.size - self._written]
                if not block:
                    conn.shutdown()
                    return
            taken = conn.send(block)
            self._written += taken
            if taken < len(block):
                return
