"""The recorder and the two capture formats it writes, read back by scapy, by tshark where there is one, and by us."""

import io
import shutil
import subprocess
from struct import unpack_from

import pytest
from scapy.layers.inet import IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.utils import RawPcapNgReader, RawPcapReader

from netstack.link.device import GSO_TCPV4, NEEDS_CSUM, NO_OFFLOAD, VNET, VNET_LEN
from netstack.link.loopback import LoopbackPair
from netstack.link.pcap import PcapRecorder, completed
from netstack.link.pcap_reader import read_capture
from netstack.link.pcap_writer import About, PcapngWriter, PcapWriter, create_capture
from netstack.units import SECOND
from netstack.wire.checksum import pseudo_sum

EPOCH = 1_700_000_000 * SECOND
LINK = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")
NETWORK = IP(src="192.0.2.1", dst="192.0.2.2")
PAIR = bytes([192, 0, 2, 1, 192, 0, 2, 2])


def whole(transport) -> bytes:
    """A complete frame, without virtio_net_hdr, checksums by scapy."""
    return bytes(LINK / NETWORK / transport)


def partial(frame: bytes, offset: int, gso_size: int = 0) -> bytes:
    """The same frame as a device with offload has it: virtio_net_hdr, and only the pseudo-header's sum."""
    at = 34 + offset
    pseudo = pseudo_sum(PAIR, frame[23], len(frame) - 34) % 0xFFFF
    header = VNET.pack(NEEDS_CSUM, GSO_TCPV4 if gso_size else 0, 54 if gso_size else 0, gso_size, 34, offset)
    return header + frame[:at] + pseudo.to_bytes(2, "big") + frame[at + 2 :]


SYN = whole(TCP(sport=40000, dport=80, seq=1, flags="S"))
DATAGRAM = whole(UDP(sport=1, dport=2) / b"odd")
BULK = whole(TCP(sport=40000, dport=80, seq=2, ack=9, flags="PA") / (bytes(range(256)) * 200))


@pytest.fixture
def link():
    near, far = LoopbackPair(offload=True)
    return near, far


def conversation(recorder, far) -> None:
    """One frame in, two out, one of them a super-segment."""
    far.write(partial(SYN, 16), b"", 0)
    recorder.read(1_000_001)
    recorder.write(partial(DATAGRAM, 6), b"", 2_000_002)
    frame = partial(BULK, 16, gso_size=1460)
    recorder.write(frame[: VNET_LEN + 54], memoryview(frame)[VNET_LEN + 54 :], 3_000_003)


@pytest.mark.parametrize("frame", [SYN, DATAGRAM, BULK], ids=["TCP", "UDP", "super-segment"])
def test_partial_checksums_are_completed(frame):
    assert completed(partial(frame, 6 if frame is DATAGRAM else 16)) == frame


def test_a_udp_checksum_of_zero_is_written_as_all_ones():
    header = UDP(sport=1, dport=2)
    checksum_over_zeros = whole(header / b"\0\0")[40:42]  # with that as its payload, the sum vanishes
    frame = whole(header / checksum_over_zeros)
    assert frame[40:42] == b"\xff\xff"
    assert completed(partial(frame, 6)) == frame


def test_frames_without_partial_checksum_and_nonsense_are_left_alone():
    assert completed(NO_OFFLOAD + SYN) == SYN
    broken = SYN[:50] + b"\x12\x34" + SYN[52:]
    assert completed(NO_OFFLOAD + broken) == broken
    for start, offset in ((34, 0xFFFF), (0xFFFF, 16), (len(SYN), 0), (len(SYN) - 1, 0)):
        assert completed(VNET.pack(NEEDS_CSUM, 0, 0, 0, start, offset) + SYN) == SYN
    assert completed(b"short") == b""


def test_pcap_as_scapy_reads_it(link, tmp_path):
    near, far = link
    path = tmp_path / "a.pcap"
    recorder = PcapRecorder(near, create_capture(path), EPOCH)
    conversation(recorder, far)
    recorder.close()
    with RawPcapReader(str(path)) as reader:
        assert (reader.linktype, reader.nano, reader.snaplen) == (1, False, 262_144)
        got = [(meta.sec, meta.usec, meta.wirelen, data) for data, meta in reader]
    assert got == [
        (1_700_000_001, 1, len(SYN), SYN),
        (1_700_000_002, 2, len(DATAGRAM), DATAGRAM),
        (1_700_000_003, 3, len(BULK), BULK),
    ]


def test_pcapng_as_scapy_reads_it(link, tmp_path):
    near, far = link
    path = tmp_path / "a.pcapng"
    recorder = PcapRecorder(near, create_capture(path, nanoseconds=True, about=About(interface="tap0")), EPOCH)
    conversation(recorder, far)
    recorder.record(NO_OFFLOAD + SYN, False, 4_000_004, "the peer again: ¿why?")
    recorder.close()
    with RawPcapNgReader(str(path)) as reader:
        packets = list(reader)
        assert reader.interfaces[0][2]["name"] == b"tap0"
    got = [(meta.tshigh << 32 | meta.tslow, meta.tsresol, meta.wirelen, meta.comments, data) for data, meta in packets]
    times = [(1_700_000_000_000_000 + n * 1_000_001) * 1_000 for n in (1, 2, 3, 4)]
    comments = [None, None, None, ["the peer again: ¿why?".encode()]]
    frames = [SYN, DATAGRAM, BULK, SYN]
    assert got == [
        (at, 10**9, len(data), comment, data) for at, comment, data in zip(times, comments, frames, strict=True)
    ]


@pytest.mark.parametrize("suffix", ["pcap", "pcapng"])
@pytest.mark.parametrize("nanoseconds", [False, True], ids=["us", "ns"])
def test_what_we_write_we_read(suffix, nanoseconds, tmp_path):
    path = tmp_path / f"a.{suffix}"
    writer = create_capture(path, snaplen=60, nanoseconds=nanoseconds)
    at = 1_700_000_000_123_456_789
    for length in range(58, 64):
        writer.packet(at, bytes(length))
    writer.close()
    writer.close()
    read_at = at if nanoseconds else at // 1_000 * 1_000
    with open(path, "rb") as file:
        assert list(read_capture(file)) == [(read_at, 1, bytes(min(n, 60)), n) for n in range(58, 64)]


def test_comments_longer_than_an_option_are_cut_between_characters():
    file = io.BytesIO()
    writer = PcapngWriter(file)
    writer.packet(0, SYN, comment="é" * 40_000)
    file.seek(0)
    ((_, meta),) = RawPcapNgReader(file)
    assert meta.comments == [("é" * 32_767).encode()]


def test_a_pcapng_says_where_it_was_made(tmp_path):
    about = About(
        interface="tap0", description="the way out", hardware="in memory", mac=bytes(range(6)),
        address=bytes([192, 0, 2, 2]), netmask=bytes([255, 255, 255, 0]), host_hardware="abacus", host_os="none",
        names={bytes([192, 0, 2, 2]): "stack.example", bytes([192, 0, 2, 1]): "host.example"},
    )  # fmt: skip
    file = io.BytesIO()
    file.close, close = (lambda: None), file.close  # its content is wanted after the end
    writer = PcapngWriter(file, about=about)
    writer.packet(5_000_000, SYN)
    writer.secrets(b"CLIENT_RANDOM aa bb\n")
    writer.packet(9_000_000, SYN)
    writer.close()
    blocks = dict(blocks_of(file.getvalue()))
    assert list(blocks) == [0x0A0D0D0A, 1, 4, 6, 10, 5]
    assert options_of(blocks[0x0A0D0D0A][16:]) == {2: b"abacus", 3: b"none", 4: b"netstack"}
    assert options_of(blocks[1][8:]) == {
        2: b"tap0", 3: b"the way out", 4: bytes([192, 0, 2, 2, 255, 255, 255, 0]), 6: bytes(range(6)),
        9: b"\x06", 12: b"none", 15: b"in memory",
    }  # fmt: skip
    assert bytes([192, 0, 2, 1]) + b"host.example\0" in blocks[4]
    assert blocks[10] == b"KSLT\x14\0\0\0CLIENT_RANDOM aa bb\n"
    assert options_of(blocks[5][12:]) == {
        2: bytes(4) + (5_000).to_bytes(4, "little"), 3: bytes(4) + (9_000).to_bytes(4, "little"), 4: b"\2" + bytes(7)
    }  # fmt: skip
    writer.close()
    close()


def blocks_of(data):
    at = 0
    while at < len(data):
        kind, length = unpack_from("<II", data, at)
        assert unpack_from("<I", data, at + length - 4) == (length,)
        assert length % 4 == 0
        yield kind, data[at + 8 : at + length - 4]
        at += length


def options_of(data):
    found, at = {}, 0
    while at < len(data):
        code, length = unpack_from("<HH", data, at)
        if not code:
            break
        found[code] = data[at + 4 : at + 4 + length]
        at += 4 + -(-length // 4) * 4
    return found


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
@pytest.mark.parametrize("suffix", ["pcap", "pcapng"])
def test_tshark_finds_every_checksum_good(link, suffix, tmp_path):
    near, far = link
    path = tmp_path / f"a.{suffix}"
    recorder = PcapRecorder(near, create_capture(path, about=About(interface="tap0")), EPOCH)
    conversation(recorder, far)
    recorder.record(NO_OFFLOAD + SYN[:50] + b"\x12\x34" + SYN[52:], False, 4_000_000, "damaged on purpose")
    recorder.close()
    checks = [word for name in ("ip", "tcp", "udp") for word in ("-o", f"{name}.check_checksum:TRUE")]
    fields = ["ip.checksum.status", "tcp.checksum.status", "udp.checksum.status", "frame.interface_name"]
    fields += ["frame.packet_flags_direction", "frame.comment", "frame.time_epoch"]
    argv = ["tshark", "-n", *checks, "-r", str(path), "-T", "fields", *(w for f in fields for w in ("-e", f))]
    shown = subprocess.run(argv, check=True, capture_output=True, text=True, timeout=60)
    assert [line.split("\t")[:3] for line in shown.stdout.splitlines()] == [
        ["1", "1", ""],
        ["1", "", "1"],
        ["1", "1", ""],
        ["1", "0", ""],
    ]
    if suffix == "pcapng":
        last = [line.split("\t")[3:] for line in shown.stdout.splitlines()]
        assert [row[0] for row in last] == ["tap0"] * 4
        assert [int(row[1], 0) for row in last] == [1, 2, 2, 1]
        assert last[3][2:] == ["damaged on purpose", "1700000004.000000000"]


def test_recording_passes_frames_unchanged(link):
    near, far = link
    recorder = PcapRecorder(near, PcapWriter(io.BytesIO()), EPOCH)
    assert (recorder.mtu, recorder.offload, recorder.fileno()) == (1500, True, -1)
    frame = partial(BULK, 16, gso_size=1460)
    far.write(frame, b"", 0)
    assert recorder.read(0) == frame
    assert recorder.read(0) is None
    recorder.write(frame[:60], memoryview(frame)[60:], 0)
    assert far.read(0) == frame


def test_what_is_recorded_reaches_the_file_within_flush_after(link, tmp_path):
    near, far = link
    path = tmp_path / "a.pcap"
    recorder = PcapRecorder(near, create_capture(path), EPOCH, flush_after=500)
    assert recorder.deadline() is None
    recorder.write(NO_OFFLOAD + SYN, b"", 100)
    recorder.write(NO_OFFLOAD + SYN, b"", 400)
    assert recorder.deadline() == 600
    far.write(NO_OFFLOAD + SYN, b"", 400)
    assert recorder.deadline() == 400  # the inner device's
    recorder.read(400)
    recorder.expire(599)
    assert path.stat().st_size == 0
    recorder.expire(600)
    assert path.stat().st_size == 24 + 3 * (16 + len(SYN))
    assert recorder.deadline() is None
    recorder.close()


class FullDisk(io.BytesIO):
    def write(self, data):
        if self.tell() + len(data) > 100:
            raise OSError(28, "No space left on device")
        return super().write(data)


def test_a_full_disk_ends_the_recording_not_the_traffic(link):
    near, far = link
    file = FullDisk()
    recorder = PcapRecorder(near, PcapWriter(file), EPOCH)
    for _ in range(3):
        recorder.write(NO_OFFLOAD + SYN, b"", 0)
        assert far.read(0) == NO_OFFLOAD + SYN
    assert recorder.error is not None
    assert "No space" in str(recorder.error)
    assert len(file.getvalue()) <= 100
    assert recorder.deadline() is None
    recorder.close()


def test_closing_closes_both_and_later_frames_go_nowhere(link, tmp_path):
    near, far = link
    path = tmp_path / "a.pcap"
    recorder = PcapRecorder(near, create_capture(path), EPOCH)
    recorder.write(NO_OFFLOAD + SYN, b"", 0)
    recorder.close()
    recorder.close()
    assert near.closed
    recorder.write(NO_OFFLOAD + SYN, b"", 0)
    recorder.flush()
    assert recorder.deadline() is None
    assert path.stat().st_size == 24 + 16 + len(SYN)
    far.write(NO_OFFLOAD + bytes(LINK / ARP()), b"", 0)
    assert recorder.read(0) is None


@pytest.mark.parametrize("snaplen", [0, 262_145])
def test_an_impossible_snap_length_is_refused_before_there_is_a_file(snaplen, tmp_path):
    with pytest.raises(ValueError, match="snap length"):
        create_capture(tmp_path / "a.pcap", snaplen=snaplen)
    assert not list(tmp_path.iterdir())
