"""Reading capture files: pcap and pcapng, either octet order, one packet at a time.

What is good comes out before what is wrong is complained about: iterate, and catch `CaptureError` around the loop.
Packets come in the order of the file, whatever their times say.
"""

from collections.abc import Iterator
from dataclasses import dataclass
from struct import Struct
from typing import BinaryIO, NamedTuple

from netstack.link.pcap_format import (
    BYTE_ORDER,
    ENHANCED_PACKET,
    IF_TSOFFSET,
    IF_TSRESOL,
    INTERFACE,
    MAX_BLOCK,
    MAX_SNAPLEN,
    OBSOLETE_PACKET,
    OPT_END,
    PCAP_MICROSECONDS,
    PCAP_NANOSECONDS,
    SECTION_HEADER,
    SIMPLE_PACKET,
    CaptureError,
)
from netstack.units import Octets

NANOSECONDS = 1_000_000_000
_COMPRESSED = {b"\x1f\x8b": "gzip", b"\x28\xb5\x2f\xfd": "zstd", b"\xfd7zXZ": "xz", b"BZh": "bzip2"}


class Captured(NamedTuple):
    """One captured packet."""

    time_ns: int
    """Nanoseconds since the Unix epoch."""
    linktype: int
    data: bytes
    """As much as was captured."""
    length: Octets
    """Of the packet on the medium."""


def read_capture(file: BinaryIO) -> Iterator[Captured]:
    """The packets of a capture file opened for reading in binary mode.

    Raises CaptureError when the file is neither pcap nor pcapng, or at the place where it is cut short or damaged.
    """
    magic = file.read(4)
    for order in ("<", ">"):
        if len(magic) == 4:
            (number,) = Struct(order + "I").unpack(magic)
            if number == SECTION_HEADER:
                return _Pcapng(file).packets()
            if number in (PCAP_MICROSECONDS, PCAP_NANOSECONDS):
                return _pcap(file, order, 1 if number == PCAP_NANOSECONDS else 1_000)
    start = magic + file.read(4)
    for signature, name in _COMPRESSED.items():
        if start.startswith(signature):
            raise CaptureError(f"compressed with {name}: decompress it first")
    raise CaptureError("the file is empty" if not start else "neither a pcap nor a pcapng file")


def _pcap(file: BinaryIO, order: str, tick: int) -> Iterator[Captured]:
    """The rest of a pcap file behind its magic number; `tick` is what a unit of the fraction means in nanoseconds."""
    header = file.read(20)
    if len(header) < 20:
        raise CaptureError("cut short in the file header")
    major, minor, _, _, _, network = Struct(order + "HHiIII").unpack(header)
    if major != 2:
        raise CaptureError(f"pcap version {major}.{minor} is not known, only 2.x")
    linktype = network & 0xFFFF  # above it: the length of a frame check sequence, which the IP length leaves out
    record = Struct(order + "IIII")
    number = 0
    while True:
        number += 1
        fields = file.read(record.size)
        if not fields:
            return
        if len(fields) < record.size:
            raise CaptureError(f"cut short in the header of packet {number}")
        seconds, fraction, captured, length = record.unpack(fields)
        if captured > MAX_SNAPLEN:
            raise CaptureError(f"packet {number} claims {captured} captured octets: the file is damaged")
        data = file.read(captured)
        if len(data) < captured:
            raise CaptureError(f"cut short in packet {number}: {len(data)} of {captured} octets")
        yield Captured(seconds * NANOSECONDS + fraction * tick, linktype, data, length)


@dataclass(slots=True)
class _Interface:
    """What an Interface Description Block says that matters to its packets."""

    linktype: int
    snaplen: Octets
    ticks: int = 1_000_000
    """Per second."""
    offset: int = 0
    """Seconds to add to every time."""

    def time_ns(self, high: int, low: int) -> int:
        return self.offset * NANOSECONDS + (high << 32 | low) * NANOSECONDS // self.ticks


class _Pcapng:
    """A pcapng file behind the type of its first block."""

    def __init__(self, file: BinaryIO) -> None:
        self.file = file
        self.order = "<"
        self.blocks = 0
        self.interfaces: list[_Interface] = []
        self.last_ns = 0
        """A Simple Packet Block has no time; the one before it is the best guess."""

    def packets(self) -> Iterator[Captured]:
        kind: int | None = SECTION_HEADER
        while kind is not None:
            self.blocks += 1
            body = self.block(kind)
            if kind == SECTION_HEADER:
                self.interfaces = []  # interfaces are numbered per section
            elif kind == INTERFACE:
                self.interfaces.append(self.interface(body))
            elif kind in (ENHANCED_PACKET, OBSOLETE_PACKET):
                yield self.packet(body, kind)
            elif kind == SIMPLE_PACKET:
                yield self.simple_packet(body)
            kind = self.next_kind()

    def next_kind(self) -> int | None:
        start = self.file.read(4)
        if not start:
            return None
        if len(start) < 4:
            raise self.error("cut short after", "")
        kind: int = Struct(self.order + "I").unpack(start)[0]
        return kind

    def error(self, what: str, why: str) -> CaptureError:
        return CaptureError(f"{what} block {self.blocks}{why and ': ' + why}")

    def block(self, kind: int) -> bytes:
        """The body of the block whose type was just read, its two lengths checked."""
        length_octets = self.file.read(4)
        head = b""
        if kind == SECTION_HEADER:
            head = self.file.read(4)
            self.order = self.byte_order(head)
        if len(length_octets) < 4:
            raise self.error("cut short in", "")
        (length,) = Struct(self.order + "I").unpack(length_octets)
        if length < 12 + len(head) or length % 4 or length > MAX_BLOCK:
            raise self.error("damaged", f"a length of {length} octets cannot be")
        rest = self.file.read(length - 8 - len(head))
        if len(rest) < length - 8 - len(head):
            raise self.error("cut short in", "")
        if rest[-4:] != length_octets:
            raise self.error("damaged", "its two lengths differ")
        body = head + rest[:-4]
        if kind == SECTION_HEADER:
            self.check_version(body)
        return body

    def byte_order(self, mark: bytes) -> str:
        for order in ("<", ">"):
            if mark == Struct(order + "I").pack(BYTE_ORDER):
                return order
        raise self.error("cut short in" if len(mark) < 4 else "damaged", "a section without its byte-order mark")

    def check_version(self, body: bytes) -> None:
        if len(body) < 16:
            raise self.error("damaged", "a section header that is too short")
        major, minor = Struct(self.order + "HH").unpack_from(body, 4)
        if major != 1:
            raise self.error("cannot read", f"pcapng version {major}.{minor} is not known, only 1.x")

    def interface(self, body: bytes) -> _Interface:
        if len(body) < 8:
            raise self.error("damaged", "an interface description that is too short")
        linktype, _, snaplen = Struct(self.order + "HHI").unpack_from(body)
        interface = _Interface(linktype, snaplen)
        for code, value in self.options(body, 8):
            if code == IF_TSRESOL and len(value) == 1:  # negative power of 10, or of 2 with the top bit set
                power = value[0] & 0x7F
                interface.ticks = 2**power if value[0] & 0x80 else 10**power
            elif code == IF_TSOFFSET and len(value) == 8:
                (interface.offset,) = Struct(self.order + "q").unpack(value)
        return interface

    def options(self, body: bytes, at: int) -> Iterator[tuple[int, bytes]]:
        """Codes and values of the options at `body[at:]`; ends quietly where they stop making sense."""
        fields = Struct(self.order + "HH")
        while at + 4 <= len(body):
            code, length = fields.unpack_from(body, at)
            at += 4
            if code == OPT_END or at + length > len(body):
                return
            yield code, body[at : at + length]
            at += length + -length % 4

    def packet(self, body: bytes, kind: int) -> Captured:
        """An Enhanced Packet Block, or the Packet Block that came before it (with 16 bits of interface number)."""
        if len(body) < 20:
            raise self.error("damaged", "a packet block that is too short")
        number, high, low, captured, length = Struct(self.order + "IIIII").unpack_from(body)
        if kind == OBSOLETE_PACKET:
            (number,) = Struct(self.order + "H").unpack_from(body)
        interface = self.interface_of(number)
        if captured > len(body) - 20:
            raise self.error("damaged", f"{captured} captured octets do not fit")
        self.last_ns = interface.time_ns(high, low)
        return Captured(self.last_ns, interface.linktype, body[20 : 20 + captured], length)

    def simple_packet(self, body: bytes) -> Captured:
        """A Simple Packet Block: always of the first interface, and cut to its snap length."""
        if len(body) < 4:
            raise self.error("damaged", "a packet block that is too short")
        interface = self.interface_of(0)
        (length,) = Struct(self.order + "I").unpack_from(body)
        captured = min(length, interface.snaplen or length)
        if captured > len(body) - 4:
            raise self.error("damaged", f"{captured} captured octets do not fit")
        return Captured(self.last_ns, interface.linktype, body[4 : 4 + captured], length)

    def interface_of(self, number: int) -> _Interface:
        if number >= len(self.interfaces):
            raise self.error("damaged", f"interface {number} has not been described")
        return self.interfaces[number]
