"""Captures for tests, written as one would say them:

    0.0  > S 0:0(0) win 65535 <mss 1460,sackOK,wscale 7>
    0.1  < S. 0:0(0) ack 1 <mss 1460>
    0.2  > P. 1:11(10) ack 1

Time in seconds (left out: 1 ms after the line before), `>` from the client, `<` from the server, numbers relative to
the two SYNs, any window but 65535, options. Octets follow `pattern`, so that every stretch of a stream is unlike the
others. scapy builds the packets and writes the files: another codec than the one that will read them.
"""

import io
import random
import re
import sys
from collections.abc import Sequence
from pathlib import Path

from scapy.all import IP, TCP, Ether, Packet
from scapy.utils import PcapNgWriter, RawPcapWriter

from netstack.replay.conversation import Conversation
from netstack.replay.extract import conversations
from netstack.replay.recorded import Recording, read_recording
from netstack.replay.verdict import Status, Verdict, judge

CLIENT, SERVER = ("198.51.100.7", 40000), ("203.0.113.9", 80)
LINE = re.compile(
    r"^(?:(?P<at>[\d.]+)\s+)?(?P<way>[<>])\s+(?P<flags>[FSRPUEWA.-]+)\s+(?P<seq>-?\d+):-?\d+\((?P<length>\d+)\)"
    r"(?:\s+ack\s+(?P<ack>\d+))?(?:\s+win\s+(?P<win>\d+))?(?:\s+urg\s+(?P<urg>\d+))?(?:\s+<(?P<options>.*)>)?$"
)
HANDSHAKE = """
> S 0:0(0) <mss 1460,sackOK,wscale 7>
< S. 0:0(0) ack 1 <mss 1460,sackOK,wscale 7>
> . 1:1(0) ack 1
"""
GET = """
> P. 1:11(10) ack 1
< . 1:1(0) ack 11
< P. 1:21(20) ack 11
> . 11:11(0) ack 21
"""
CLIENT_CLOSES = """
> F. 11:11(0) ack 21
< F. 21:21(0) ack 12
> . 12:12(0) ack 22
"""
WHOLE = HANDSHAKE + GET + CLIENT_CLOSES
PASSIVE = ["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]
"""The states of `WHOLE`, from ESTABLISHED on."""


def pattern(side: str, seq: int, length: int) -> bytes:
    """The octets of one side's stream from relative sequence number `seq` on."""
    return bytes((i * 7 + (i >> 8) + (3 if side == ">" else 5)) & 0xFF for i in range(seq, seq + length))


class Capture:
    """Packets with times, in the order in which they were captured."""

    def __init__(self, isns: tuple[int, int] = (1000, 5000)) -> None:
        self.isns = isns
        self.client, self.server = CLIENT, SERVER
        self.packets: list[Packet] = []
        self.now = 0.0

    def add(self, lines: str) -> "Capture":
        """Append what `lines` say."""
        for line in filter(None, map(str.strip, lines.splitlines())):
            found = LINE.match(line)
            assert found, f"cannot read {line!r}"
            self.packets.append(self._packet(found))
        return self

    def _packet(self, found: re.Match[str]) -> Packet:
        way = found["way"]
        source, destination = (self.client, self.server) if way == ">" else (self.server, self.client)
        own, other = self.isns if way == ">" else self.isns[::-1]
        seq, length = int(found["seq"]), int(found["length"])
        segment = TCP(
            sport=source[1],
            dport=destination[1],
            seq=(own + seq) % 2**32,
            ack=(other + int(found["ack"])) % 2**32 if found["ack"] else 0,
            flags=found["flags"].replace(".", "A").replace("W", "C").replace("-", ""),
            window=int(found["win"] or 65535),
            urgptr=int(found["urg"] or 0),
            options=_options(found["options"] or "", other),
        )
        packet = Ether() / IP(src=source[0], dst=destination[0]) / segment / pattern(way, seq, length)
        self.now = float(found["at"]) if found["at"] else self.now + 0.001
        packet.time = 1_700_000_000 + self.now
        return packet

    def file(self, linktype: int = 1, header: bytes | None = None, snaplen: int = 0) -> bytes:
        """The octets of a pcap file; `header` in place of Ethernet's; packets cut to `snaplen`, if that is not 0."""
        out = io.BytesIO()
        writer = RawPcapWriter(out, linktype=1)
        writer.write_header(None)
        for packet in self.packets:
            octets = bytes(packet) if header is None else header + bytes(packet[IP])
            seconds = int(packet.time)
            micros = round((packet.time - seconds) * 1e6)
            writer.write_packet(octets[: snaplen or None], sec=seconds, usec=micros, wirelen=len(octets))
        data = out.getvalue()
        return data[:20] + linktype.to_bytes(4, sys.byteorder) + data[24:]  # scapy has no writer for type 0

    def pcapng(self, path: Path) -> None:
        """Write a pcapng file."""
        with PcapNgWriter(str(path)) as writer:
            writer.write(self.packets)


def _options(text: str, other: int) -> list[tuple[str, object]]:
    options: list[tuple[str, object]] = []
    for word, *values in (each.split() for each in text.split(",") if each):
        numbers = [int(value) for value in values if ":" not in value]
        if word == "sack":
            edges = [(other + int(edge)) % 2**32 for value in values for edge in value.split(":")]
            options += [("NOP", None), ("NOP", None), ("SAck", tuple(edges))]
        elif word == "TS":
            options += [("NOP", None), ("NOP", None), ("Timestamp", tuple(numbers))]
        elif word == "sackOK":
            options.append(("SAckOK", b""))
        else:
            options.append(({"mss": "MSS", "wscale": "WScale"}[word], numbers[0]))
    return options


def recording_of(data: bytes) -> Recording:
    """What is in a capture file."""
    return read_recording(io.BytesIO(data))


def conversations_of(data: bytes) -> list[Conversation]:
    """The conversations in a capture file."""
    return conversations(recording_of(data))


def replay(capture: Capture | str | bytes) -> Verdict:
    """The verdict on the only conversation of a capture."""
    found = replay_all(capture)
    assert len(found) == 1, [str(verdict.conversation) for verdict in found]
    return found[0]


def replay_all(capture: Capture | str | bytes) -> list[Verdict]:
    """The verdicts on all conversations of a capture."""
    if isinstance(capture, str):
        capture = Capture().add(capture)
    data = capture if isinstance(capture, bytes) else capture.file()
    return [judge(conversation, random.Random(1)) for conversation in conversations_of(data)]


def path(verdict: Verdict, ours: bool = True) -> list[str]:
    """The states of one side, from ESTABLISHED on where it got there."""
    names: Sequence[str] = [passed.state for passed in (verdict.replayed if ours else verdict.recorded)]
    return list(names[names.index("ESTABLISHED") :] if "ESTABLISHED" in names else names)


def same(capture: Capture | str | bytes, *states: str) -> None:
    """Assert that the replay agrees with the recording, over these states."""
    verdict = replay(capture)
    assert verdict.status is Status.SAME, verdict.reason
    assert path(verdict) == path(verdict, ours=False) == list(states)
