"""Writing capture files: pcap and pcapng, little-endian, to any binary file."""

from pathlib import Path
from struct import Struct
from typing import BinaryIO, Protocol

from netstack.link.pcap_format import (
    BYTE_ORDER,
    ENHANCED_PACKET,
    EPB_FLAGS,
    EPB_INBOUND,
    EPB_OUTBOUND,
    ETHERNET,
    IF_NAME,
    IF_TSRESOL,
    INTERFACE,
    MAX_SNAPLEN,
    OPT_COMMENT,
    PCAP_MICROSECONDS,
    PCAP_NANOSECONDS,
    PCAP_VERSION,
    PCAPNG_VERSION,
    SECTION_HEADER,
    SHB_USERAPPL,
)
from netstack.units import Octets

APPLICATION = "netstack"
BUFFER: Octets = 256 * 1024

_PCAP_HEADER = Struct("<IHHiIII")
_PCAP_RECORD = Struct("<IIII")
_BLOCK = Struct("<II")
_SECTION = Struct("<IHHq")
_INTERFACE = Struct("<HHI")
_ENHANCED = Struct("<IIIII")
_OPTION = Struct("<HH")
_SECTION_LENGTH_UNKNOWN = -1
_END_OF_OPTIONS = bytes(4)


class CaptureWriter(Protocol):
    """Where captured packets go. `time_ns` counts from the Unix epoch; OSError when the file takes no more."""

    def packet(self, time_ns: int, data: bytes, outbound: bool | None = None, comment: str = "") -> None:
        """Append one packet, cut to the snap length. Direction and comment are lost where the format has no place."""
        ...

    def flush(self) -> None:
        """Pass on what is buffered."""
        ...

    def close(self) -> None:
        """Flush and close the file. Calling twice is harmless."""
        ...


class _FileWriter:
    """What both formats share: the file, the snap length and the resolution."""

    def __init__(self, file: BinaryIO, snaplen: Octets, nanoseconds: bool) -> None:
        _check_snaplen(snaplen)
        self.file = file
        self.snaplen = snaplen
        self.nanoseconds = nanoseconds

    def flush(self) -> None:
        self.file.flush()

    def close(self) -> None:
        self.file.close()


class PcapWriter(_FileWriter):
    """The classic format: every tool reads it; it has no place for direction or comments."""

    def __init__(
        self, file: BinaryIO, snaplen: Octets = MAX_SNAPLEN, nanoseconds: bool = False, linktype: int = ETHERNET
    ) -> None:
        super().__init__(file, snaplen, nanoseconds)
        magic = PCAP_NANOSECONDS if nanoseconds else PCAP_MICROSECONDS
        file.write(_PCAP_HEADER.pack(magic, *PCAP_VERSION, 0, 0, snaplen, linktype))

    def packet(self, time_ns: int, data: bytes, outbound: bool | None = None, comment: str = "") -> None:
        """Append one packet; `outbound` and `comment` have no place here."""
        seconds, fraction = divmod(time_ns, 1_000_000_000)
        kept = data[: self.snaplen]
        fraction = fraction if self.nanoseconds else fraction // 1_000
        self.file.write(_PCAP_RECORD.pack(seconds & 0xFFFF_FFFF, fraction, len(kept), len(data)) + kept)


class PcapngWriter(_FileWriter):
    """One section with one interface; each packet with its direction (None: not known) and, if any, a comment."""

    def __init__(
        self,
        file: BinaryIO,
        snaplen: Octets = MAX_SNAPLEN,
        nanoseconds: bool = False,
        linktype: int = ETHERNET,
        interface: str = "",
    ) -> None:
        super().__init__(file, snaplen, nanoseconds)
        section = _SECTION.pack(BYTE_ORDER, *PCAPNG_VERSION, _SECTION_LENGTH_UNKNOWN)
        file.write(_block(SECTION_HEADER, section + _options((SHB_USERAPPL, APPLICATION.encode()))))
        described = [(IF_NAME, interface.encode())] if interface else []
        resolution = (IF_TSRESOL, bytes([9 if nanoseconds else 6]))  # 10^-n seconds
        file.write(_block(INTERFACE, _INTERFACE.pack(linktype, 0, snaplen) + _options(*described, resolution)))

    def packet(self, time_ns: int, data: bytes, outbound: bool | None = None, comment: str = "") -> None:
        """Append one packet as an Enhanced Packet Block."""
        kept = data[: self.snaplen]
        ticks = time_ns if self.nanoseconds else time_ns // 1_000
        fixed = _ENHANCED.pack(0, ticks >> 32 & 0xFFFF_FFFF, ticks & 0xFFFF_FFFF, len(kept), len(data))
        options = []
        if comment:
            options.append((OPT_COMMENT, _at_most_64k(comment)))
        if outbound is not None:
            options.append((EPB_FLAGS, (EPB_OUTBOUND if outbound else EPB_INBOUND).to_bytes(4, "little")))
        self.file.write(_block(ENHANCED_PACKET, fixed + _padded(kept) + _options(*options)))


def create_capture(
    path: str | Path, snaplen: Octets = MAX_SNAPLEN, nanoseconds: bool = False, interface: str = ""
) -> CaptureWriter:
    """A new Ethernet capture file: pcapng when the name ends so, else pcap. OSError when it cannot be made."""
    _check_snaplen(snaplen)  # before there is a file
    file = open(path, "wb", buffering=BUFFER)  # noqa: SIM115 - the writer's close() closes it
    if str(path).lower().endswith(".pcapng"):
        return PcapngWriter(file, snaplen, nanoseconds, interface=interface)
    return PcapWriter(file, snaplen, nanoseconds)


def _check_snaplen(snaplen: Octets) -> None:
    if not 0 < snaplen <= MAX_SNAPLEN:
        raise ValueError(f"snap length {snaplen} is not in 1 .. {MAX_SNAPLEN}")


def _block(kind: int, body: bytes) -> bytes:
    length = len(body) + 12
    return _BLOCK.pack(kind, length) + body + length.to_bytes(4, "little")


def _options(*options: tuple[int, bytes]) -> bytes:
    if not options:
        return b""
    return b"".join(_OPTION.pack(code, len(value)) + _padded(value) for code, value in options) + _END_OF_OPTIONS


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _at_most_64k(text: str) -> bytes:
    """UTF-8, cut to what an option's length field can say, never in the middle of a character."""
    return text.encode()[:0xFFFF].decode(errors="ignore").encode()
