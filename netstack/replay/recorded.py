"""From a capture file to TCP segments: numbered, timed, fragments joined, damage and truncation noted."""

from dataclasses import dataclass, field
from typing import BinaryIO

from netstack.link.linktype import Ipv4Packet, ipv4_packets
from netstack.link.pcap_format import CaptureError
from netstack.link.pcap_reader import read_capture
from netstack.units import Micros, Octets
from netstack.wire import ipv4, tcp, tcp_options
from netstack.wire.checksum import pseudo_sum

PORTS_LEN: Octets = 4
Fragments = dict[bytes, dict[Octets, tuple[bytes, bool]]]
"""Addresses and identification -> offset -> (octets, more fragments follow)."""


@dataclass(slots=True)
class Packet:
    """One TCP segment as captured, its numbers as on the wire."""

    number: int
    """In the file, from 1."""
    at: Micros
    """Since the first packet of the file; may be negative where a capture is out of order."""
    pair: bytes
    """Source and destination address, 8 octets."""
    tos: int
    ttl: int
    segment: tcp.Segment
    options: tcp_options.Options
    cut: Octets
    """Octets at the end that the IP header promises and the capture does not have."""
    short: bool
    """They were not on the medium either: the packet was malformed when it was captured."""
    damaged: bool
    """The checksum is neither right nor what a sender leaves to its network card."""


@dataclass(slots=True)
class Cut:
    """A TCP packet captured so short that only its ports are known."""

    number: int
    at: Micros
    pair: bytes
    sport: int
    dport: int
    captured: Octets
    length: Octets


@dataclass(slots=True)
class Recording:
    """What a file holds that matters here."""

    packets: list[Packet | Cut] = field(default_factory=list)
    """In the order of their times; those with the same time in the order of the file."""
    frames: int = 0
    """Packets of any kind in the file."""
    ip_frames: int = 0
    """IPv4 packets in the file."""
    notes: list[str] = field(default_factory=list)
    """What is wrong with the file as a whole, a line each."""


def read_recording(file: BinaryIO) -> Recording:
    """The TCP over IPv4 in a capture. Raises CaptureError only when the file is no capture at all."""
    recording = Recording()
    fragments: Fragments = {}
    captured = read_capture(file)
    unknown: dict[str, int] = {}
    base: int | None = None
    while True:
        try:
            frame = next(captured, None)
        except CaptureError as error:
            recording.notes.append(str(error))
            break
        if frame is None:
            break
        recording.frames += 1
        try:
            packet = next(ipv4_packets([frame]), None)
        except CaptureError as error:
            unknown[str(error)] = unknown.get(str(error), 0) + 1
            continue
        if packet is None:
            continue
        recording.ip_frames += 1
        base = packet.time_ns if base is None else base
        whole = _joined(packet, fragments)
        short = len(frame.data) >= frame.length
        found = whole and _tcp(recording.frames, (packet.time_ns - base) // 1000, *whole, short)
        if found:
            recording.packets.append(found)
    recording.notes += [f"{count} packets left out: {why}" for why, count in unknown.items()]
    recording.packets.sort(key=lambda packet: packet.at)
    return recording


def _joined(packet: Ipv4Packet, fragments: Fragments) -> tuple[bytes, Octets] | None:
    """The packet and its full length; a datagram once its last missing fragment is there, None before."""
    data, length = packet.data, packet.length
    header = ipv4.parse(data, quoted=True)
    if header is None or header.protocol != tcp.PROTOCOL:
        return None
    if not header.is_fragment:
        return data, length
    pieces = fragments.setdefault(header.pair + header.ident.to_bytes(2, "big"), {})
    pieces.setdefault(header.offset, (data[header.header_len :], header.mf))
    body = b""
    for offset in sorted(pieces):
        piece, more = pieces[offset]
        if offset > len(body):
            return None
        body = body[:offset] + piece
        if not more:
            pieces.clear()
            whole = ipv4.build(header.pair, header.protocol, len(body), ttl=header.ttl, tos=header.tos)
            return whole + body, len(whole) + len(body)
    return None


def _tcp(number: int, at: Micros, data: bytes, length: Octets, short: bool) -> Packet | Cut | None:
    """The segment in an IPv4 packet of `length` octets of which `data` was captured; `short`: no more was there."""
    header = ipv4.parse(data, quoted=True)
    if header is None:
        return None
    start = header.header_len
    segment = tcp.parse(data, start)
    if segment is None:
        if len(data) >= length or len(data) - start < PORTS_LEN:
            return None  # no TCP header that makes sense, or not even the ports of one
        sport, dport = (int.from_bytes(data[i : i + 2], "big") for i in (start, start + 2))
        return Cut(number, at, header.pair, sport, dport, len(data), length)
    cut = max(length - len(data), 0)
    damaged = not cut and not _checksum_plausible(data[start:], header.pair, segment.checksum)
    options = tcp_options.parse(segment.options)
    return Packet(number, at, header.pair, header.tos, header.ttl, segment, options, cut, short, damaged)


def _checksum_plausible(octets: bytes, pair: bytes, checksum: int) -> bool:
    """Right; or the pseudo-header's sum, with or without the length, as left to a network card; or not filled in."""
    if checksum == 0 or tcp.checksum_valid(octets, pair):
        return True
    pseudo = pseudo_sum(pair, tcp.PROTOCOL, len(octets))
    return (checksum - pseudo) % 0xFFFF == 0 or (checksum - pseudo + len(octets)) % 0xFFFF == 0
