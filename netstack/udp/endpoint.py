"""One bound UDP endpoint (RFC 768): two bounded queues and what the network said about what it sent."""

from collections import deque
from collections.abc import Callable
from typing import NamedTuple

from netstack.units import Octets

BUFFER: Octets = 212_992  # Linux's net.core.rmem_default and wmem_default
OVERHEAD: Octets = 512
"""What one queued datagram costs beside its octets, so that empty ones are bounded as well."""

READABLE = 1
"""A datagram waits. The bits mean what they mean in `tcp.readiness`."""
WRITABLE = 2
"""There is room in the send queue again."""
FAILED = 8
"""`error` has been set."""


class Datagram(NamedTuple):
    """Octets, and the address and port at the other end."""

    data: bytes
    remote: tuple[bytes, int]


class Endpoint:
    """Made by `Udp.bind`. Never blocks; `observer(bits)` is called from `Udp.transmit` when something changed.

    `error` is the errno that ICMP brought (ECONNREFUSED, EHOSTUNREACH ...), 0 when none; whoever reports it clears it.
    """

    __slots__ = (
        "_mark", "_release", "changed", "closed", "error", "incoming", "local", "observer", "outgoing", "queued",
        "rcvbuf", "remote", "sndbuf", "unsent",
    )  # fmt: skip

    def __init__(
        self, local: tuple[bytes, int], mark: Callable[["Endpoint"], None], release: Callable[["Endpoint"], None]
    ) -> None:
        self.local = local
        self.remote: tuple[bytes, int] | None = None
        """Set by `connect`: datagrams from others, and errors about others, are not for us."""
        self.rcvbuf: Octets = BUFFER
        self.sndbuf: Octets = BUFFER
        self.error = 0
        self.closed = False
        self.observer: Callable[[int], None] | None = None
        self.incoming: deque[Datagram] = deque()
        self.outgoing: deque[Datagram] = deque()
        self.queued: Octets = 0
        """Of `incoming`, overhead included; `unsent` the same of `outgoing`."""
        self.unsent: Octets = 0
        self.changed = 0
        """Bits for the observer that it has not heard of."""
        self._mark = mark
        self._release = release

    def connect(self, remote: tuple[bytes, int] | None) -> None:
        """Talk to `remote` only; None: to anybody again."""
        self.remote = remote

    def receive(self) -> Datagram | None:
        """The oldest datagram, or None."""
        if not self.incoming:
            return None
        datagram = self.incoming.popleft()
        self.queued -= len(datagram.data) + OVERHEAD
        return datagram

    def send(self, data: bytes, remote: tuple[bytes, int] | None = None) -> bool:
        """Queue one datagram to `remote`, or to where this is connected; False when the queue is full.

        It leaves at the next `Udp.transmit`. ValueError without a destination, when it is too long for any datagram, or
        after `close`.
        """
        remote = remote or self.remote
        if remote is None or self.closed or len(data) > 65_507:
            raise ValueError("a datagram needs an open endpoint, a destination, and at most 65,507 octets")
        if self.unsent and self.unsent + len(data) + OVERHEAD > self.sndbuf:
            return False
        self.outgoing.append(Datagram(data, remote))
        self.unsent += len(data) + OVERHEAD
        self._mark(self)
        return True

    def close(self) -> None:
        """Give the port back and forget what is queued. Calling twice is harmless."""
        if not self.closed:
            self.closed = True
            self.incoming.clear()
            self.outgoing.clear()
            self.queued = self.unsent = 0
            self._release(self)

    def accepts(self, source: tuple[bytes, int], destination: bytes) -> bool:
        """Whether a datagram from `source` to our address or group `destination` is for this endpoint."""
        address, _ = self.local
        return (not any(address) or address == destination) and (self.remote is None or self.remote == source)

    def arrive(self, datagram: Datagram) -> bool:
        """Queue what arrived; False when the queue is full."""
        if self.queued and self.queued + len(datagram.data) + OVERHEAD > self.rcvbuf:
            return False
        self.incoming.append(datagram)
        self.queued += len(datagram.data) + OVERHEAD
        self.notice(READABLE)
        return True

    def notice(self, bits: int) -> None:
        """Something changed that the observer is to hear of."""
        self.changed |= bits
        self._mark(self)
