"""Writing capture files: pcap and pcapng, little-endian, to any binary file."""

from collections.abc import Mapping
from dataclasses import dataclass, field
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
    IF_DESCRIPTION,
    IF_HARDWARE,
    IF_IPV4,
    IF_MAC,
    IF_NAME,
    IF_OS,
    IF_TSRESOL,
    INTERFACE,
    ISB_ENDTIME,
    ISB_IFRECV,
    ISB_STARTTIME,
    MAX_SNAPLEN,
    NAME_OF_IPV4,
    NAME_RESOLUTION,
    OPT_COMMENT,
    PCAP_MICROSECONDS,
    PCAP_NANOSECONDS,
    PCAP_VERSION,
    PCAPNG_VERSION,
    SECRETS,
    SECTION_HEADER,
    SHB_HARDWARE,
    SHB_OS,
    SHB_USERAPPL,
    STATISTICS,
    TLS_KEY_LOG,
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
_TIME = Struct("<II")
_SECTION_LENGTH_UNKNOWN = -1
_END_OF_OPTIONS = bytes(4)


@dataclass(frozen=True, slots=True)
class About:
    """What a pcapng file says of where it was made. What is empty is left out."""

    interface: str = ""
    description: str = ""
    hardware: str = ""
    """Of the interface."""
    mac: bytes = b""
    address: bytes = b""
    """The interface's IPv4 address ..."""
    netmask: bytes = b""
    """... and its netmask."""
    host_hardware: str = ""
    host_os: str = ""
    application: str = APPLICATION
    names: Mapping[bytes, str] = field(default_factory=dict)
    """Names of IPv4 addresses, for readers that resolve them."""


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
    """One section with one interface; each packet with its direction (None: not known) and, if any, a comment.

    The interface's statistics are written on `close`: how many packets there were, from when to when.
    """

    def __init__(
        self,
        file: BinaryIO,
        snaplen: Octets = MAX_SNAPLEN,
        nanoseconds: bool = False,
        linktype: int = ETHERNET,
        about: About | None = None,
    ) -> None:
        super().__init__(file, snaplen, nanoseconds)
        about = about or About()
        section = _SECTION.pack(BYTE_ORDER, *PCAPNG_VERSION, _SECTION_LENGTH_UNKNOWN)
        host = _texts((SHB_HARDWARE, about.host_hardware), (SHB_OS, about.host_os), (SHB_USERAPPL, about.application))
        file.write(_block(SECTION_HEADER, section + _options(*host)))
        described = _texts((IF_NAME, about.interface), (IF_DESCRIPTION, about.description))
        if about.address:
            described.append((IF_IPV4, about.address + about.netmask))
        if about.mac:
            described.append((IF_MAC, about.mac))
        described.append((IF_TSRESOL, bytes([9 if nanoseconds else 6])))  # 10^-n seconds
        described += _texts((IF_OS, about.host_os), (IF_HARDWARE, about.hardware))
        file.write(_block(INTERFACE, _INTERFACE.pack(linktype, 0, snaplen) + _options(*described)))
        if about.names:
            records = [_option(NAME_OF_IPV4, ip + name.encode() + b"\0") for ip, name in about.names.items()]
            file.write(_block(NAME_RESOLUTION, b"".join(records) + _END_OF_OPTIONS))
        self._count = 0
        self._first = self._last = 0

    def packet(self, time_ns: int, data: bytes, outbound: bool | None = None, comment: str = "") -> None:
        """Append one packet as an Enhanced Packet Block."""
        kept = data[: self.snaplen]
        ticks = time_ns if self.nanoseconds else time_ns // 1_000
        fixed = _ENHANCED.pack(0, *_high_and_low(ticks), len(kept), len(data))
        options = []
        if comment:
            options.append((OPT_COMMENT, _at_most_64k(comment)))
        if outbound is not None:
            options.append((EPB_FLAGS, (EPB_OUTBOUND if outbound else EPB_INBOUND).to_bytes(4, "little")))
        self.file.write(_block(ENHANCED_PACKET, fixed + _padded(kept) + _options(*options)))
        self._first = ticks if not self._count else min(self._first, ticks)
        self._last = max(self._last, ticks)
        self._count += 1

    def secrets(self, key_log: bytes) -> None:
        """TLS secrets, as lines of the file that SSLKEYLOGFILE names; before the packets that they decrypt."""
        self.file.write(_block(SECRETS, _BLOCK.pack(TLS_KEY_LOG, len(key_log)) + _padded(key_log)))

    def close(self) -> None:
        """Write the statistics, flush and close. Calling twice is harmless."""
        if self.file.closed:
            return
        try:
            if self._count:
                times = [(ISB_STARTTIME, self._first), (ISB_ENDTIME, self._last)]
                options = [(code, _TIME.pack(*_high_and_low(at))) for code, at in times]
                count = (ISB_IFRECV, self._count.to_bytes(8, "little"))
                fixed = (0).to_bytes(4, "little") + _TIME.pack(*_high_and_low(self._last))
                self.file.write(_block(STATISTICS, fixed + _options(*options, count)))
        finally:
            super().close()


def create_capture(
    path: str | Path, snaplen: Octets = MAX_SNAPLEN, nanoseconds: bool = False, about: About | None = None
) -> CaptureWriter:
    """A new Ethernet capture file: pcapng when the name ends so, else pcap. OSError when it cannot be made."""
    _check_snaplen(snaplen)  # before there is a file
    file = open(path, "wb", buffering=BUFFER)  # noqa: SIM115 - the writer's close() closes it
    if str(path).lower().endswith(".pcapng"):
        return PcapngWriter(file, snaplen, nanoseconds, about=about)
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
    return b"".join(_option(code, value) for code, value in options) + _END_OF_OPTIONS


def _option(code: int, value: bytes) -> bytes:
    return _OPTION.pack(code, len(value)) + _padded(value)


def _texts(*options: tuple[int, str]) -> list[tuple[int, bytes]]:
    """Those options that say something."""
    return [(code, text.encode()) for code, text in options if text]


def _high_and_low(ticks: int) -> tuple[int, int]:
    """A time as pcapng writes it: the high 32 bits first, whatever the octet order."""
    return ticks >> 32 & 0xFFFF_FFFF, ticks & 0xFFFF_FFFF


def _padded(data: bytes) -> bytes:
    return data + bytes(-len(data) % 4)


def _at_most_64k(text: str) -> bytes:
    """UTF-8, cut to what an option's length field can say, never in the middle of a character."""
    return text.encode()[:0xFFFF].decode(errors="ignore").encode()
