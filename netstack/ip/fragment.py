"""Fragments: putting datagrams together again (RFC 815, RFC 1122 3.3.2), and the cutting of our own.

Overlap policy, as Linux since 2018 and in the spirit of RFC 5722: a fragment that was already received, octet for
octet, is ignored; any other overlap condemns the whole datagram, since no honest sender makes one. What is left needs
no list of holes: without overlaps a datagram is complete when its octets add up to its length.
"""

from bisect import bisect_left
from collections.abc import Iterator

from netstack.counters import Counters
from netstack.link.device import DATA_VALID, VNET
from netstack.units import Micros, Octets
from netstack.wire import ipv4

OVERHEAD: Octets = 192
"""What keeping one fragment costs beside its octets: tiny fragments must not slip under the memory limit."""
DATAGRAM_OVERHEAD: Octets = 576
"""What keeping one datagram costs beside its fragments."""
BITS_OF_NOT_ECT, BITS_OF_CE = 1 << 0, 1 << 3
"""In `Datagram.ecn`, which has a bit for every value of the ECN field that was seen."""


class Datagram:
    """A datagram of which fragments have arrived."""

    __slots__ = (
        "condemned",
        "ecn",
        "expires_at",
        "first",
        "length",
        "memory",
        "offsets",
        "pieces",
        "received",
        "verified",
    )

    def __init__(self, expires_at: Micros) -> None:
        self.expires_at = expires_at
        self.first: bytes | None = None
        """The frame with offset 0, up to the end of its IP header."""
        self.pieces: dict[Octets, bytes] = {}
        self.offsets: list[Octets] = []
        """The keys of `pieces`, in order."""
        self.length: Octets | None = None
        """Of the payload; known when the last fragment has arrived."""
        self.received: Octets = 0
        self.memory: Octets = DATAGRAM_OVERHEAD
        self.ecn = 0
        self.verified = True
        self.condemned = False

    def quote(self) -> bytes | None:
        """The frame of the first fragment, for an ICMP error to quote; None when it never came."""
        return None if self.first is None or self.condemned else self.first + self.pieces[0]


class Reassembly:
    """The datagrams being put together, within `memory` octets and `timeout`.

    Deviation: RFC 1122 3.3.2 wants a fixed timeout of 60 to 120 s; like Linux we take 30 s. As it also says, the TTL
    does not count (RFC 791 3.2 had it as the timeout). When memory runs out the oldest datagram is given up.
    """

    __slots__ = ("_datagrams", "_memory", "_timeout", "counters", "given_up", "used")

    def __init__(self, memory: Octets, timeout: Micros, counters: Counters) -> None:
        self._memory = memory
        self._timeout = timeout
        self._datagrams: dict[tuple[bytes, int, int], Datagram] = {}  # oldest first
        self.used: Octets = 0
        self.given_up = 0
        """Datagrams for which there was no memory any more."""
        self.counters = counters

    def __len__(self) -> int:
        return len(self._datagrams)

    def add(self, frame: bytes, at: Octets, header: ipv4.Header, now: Micros) -> bytes | str:
        """Take the fragment whose IP header, already found valid, is at `frame[at:]`.

        A frame with the whole datagram when this was what was missing (its vnet header says DATA_VALID if the device
        vouched for every fragment); b"" when more is to come; else the reason why the fragment was refused.
        """
        self.counters.mib["IpReasmReqds"] += 1
        start, length = header.offset, header.total_length - header.header_len
        if not length or (header.mf and length & 7):
            return self._refuse("ipv4.fragment_length")
        if header.header_len + start + length > ipv4.MAX_LEN:  # the ping of death
            return self._refuse("ipv4.fragment_too_long")
        key = header.pair, header.protocol, header.ident
        datagram = self._datagrams.get(key)
        if datagram is None:
            datagram = self._datagrams[key] = Datagram(now + self._timeout)
            self.used += datagram.memory
        elif datagram.condemned:
            return self._refuse("ipv4.fragment_condemned")
        payload = frame[at + header.header_len : at + header.total_length]
        if datagram.pieces.get(start) == payload and header.mf == (start + length != datagram.length):
            return self._refuse("ipv4.fragment_duplicate", failed=False)
        if not _fits(datagram, start, start + length, header.mf):
            self._condemn(datagram)
            return self._refuse("ipv4.fragment_overlap")
        self._insert(datagram, frame, at, header, payload)
        if datagram.received != datagram.length or datagram.first is None:
            self._make_room(key)
            return b""
        self._forget(key)
        return self._complete(datagram)

    def _insert(self, datagram: Datagram, frame: bytes, at: Octets, header: ipv4.Header, payload: bytes) -> None:
        start, offsets = header.offset, datagram.offsets
        offsets.insert(bisect_left(offsets, start), start)
        datagram.pieces[start] = payload
        datagram.received += len(payload)
        datagram.ecn |= 1 << (header.tos & ipv4.ECN_MASK)
        datagram.verified = datagram.verified and frame[0] & 3 != 0
        datagram.memory += len(payload) + OVERHEAD
        self.used += len(payload) + OVERHEAD
        if not header.mf:
            datagram.length = start + len(payload)
        if not start:
            datagram.first = frame[: at + header.header_len]

    def _complete(self, datagram: Datagram) -> bytes | str:
        """The whole datagram as one frame: the first fragment's headers, made true for all of it."""
        assert datagram.first is not None
        assert datagram.length is not None
        at = VNET.size + 14
        header = ipv4.parse(datagram.first, at, quoted=True)
        assert header is not None
        if header.header_len + datagram.length > ipv4.MAX_LEN:
            return self._refuse("ipv4.fragment_too_long")
        tos = header.tos
        if datagram.ecn & BITS_OF_CE:  # RFC 3168 5.3
            if datagram.ecn & BITS_OF_NOT_ECT:
                return self._refuse("ipv4.fragment_ecn")
            tos |= ipv4.CE
        whole = ipv4.build(
            header.pair, header.protocol, datagram.length,
            ident=header.ident, ttl=header.ttl, tos=tos, options=header.options,
        )  # fmt: skip
        self.counters.mib["IpReasmOKs"] += 1
        vnet = VNET.pack(DATA_VALID if datagram.verified else 0, 0, 0, 0, 0, 0)
        pieces = [datagram.pieces[start] for start in datagram.offsets]
        return b"".join((vnet, datagram.first[VNET.size : at], whole, *pieces))

    def _refuse(self, reason: str, failed: bool = True) -> str:
        if failed:
            self.counters.mib["IpReasmFails"] += 1
        return reason

    def _condemn(self, datagram: Datagram) -> None:
        """Keep only the name, until the timeout: what is still under way of this datagram must not start it anew."""
        self.used -= datagram.memory - DATAGRAM_OVERHEAD
        datagram.memory = DATAGRAM_OVERHEAD
        datagram.condemned = True
        datagram.first = None
        datagram.pieces.clear()
        datagram.offsets.clear()

    def _make_room(self, keep: tuple[bytes, int, int]) -> None:
        """Give up the oldest datagrams until the rest is within the limit; the one just added to only when alone."""
        while self.used > self._memory:
            key = next((key for key in self._datagrams if key != keep), keep)
            self._forget(key)
            self.counters.mib["IpReasmFails"] += 1
            self.counters.drops["ipv4.reassembly_memory"] += 1
            self.given_up += 1

    def _forget(self, key: tuple[bytes, int, int]) -> Datagram:
        datagram = self._datagrams.pop(key)
        self.used -= datagram.memory
        return datagram

    def deadline(self) -> Micros | None:
        """When the oldest datagram is given up; None when nothing waits."""
        for datagram in self._datagrams.values():  # all live equally long, so the first is the next
            return datagram.expires_at
        return None

    def expire(self, now: Micros) -> list[Datagram]:
        """Give up what is too old; what was given up."""
        gone = []
        while (expires_at := self.deadline()) is not None and expires_at <= now:
            datagram = self._forget(next(iter(self._datagrams)))
            self.counters.mib["IpReasmTimeout"] += 1
            if not datagram.condemned:
                self.counters.mib["IpReasmFails"] += 1
                self.counters.drops["ipv4.reassembly_timeout"] += 1
            gone.append(datagram)
        return gone


def _fits(datagram: Datagram, start: Octets, end: Octets, mf: bool) -> bool:
    """Whether octets start..end overlap nothing, and agree with the length that the last fragment gave."""
    if datagram.length is not None and (end > datagram.length or not mf):
        return False
    offsets = datagram.offsets
    if not mf and offsets and offsets[-1] + len(datagram.pieces[offsets[-1]]) > end:
        return False
    index = bisect_left(offsets, start)
    if index < len(offsets) and offsets[index] < end:
        return False
    return index == 0 or offsets[index - 1] + len(datagram.pieces[offsets[index - 1]]) <= start


def cut(payload: bytes, room: Octets) -> Iterator[tuple[Octets, bool, bytes]]:
    """The fragments of `payload`, of `room` octets at most: (offset, more to come, octets), in order (RFC 791 3.2)."""
    step = room & ~7
    if step <= 0:
        raise ValueError(f"no fragment fits {room} octets")
    for start in range(0, len(payload), step):
        yield start, start + step < len(payload), payload[start : start + step]
