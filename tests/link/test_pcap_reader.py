"""Reading captures of every flavour, whole and damaged. Files are put together here, field by field."""

import io
import struct

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netstack.link.pcap_format import CaptureError
from netstack.link.pcap_reader import Captured, read_capture

ORDERS = pytest.mark.parametrize("order", ["<", ">"], ids=["little", "big"])
SECOND_NS = 1_000_000_000


def read(data: bytes) -> tuple[list[Captured], str]:
    """What can be read of a file, and what is wrong with it."""
    packets: list[Captured] = []
    why = ""
    try:
        for packet in read_capture(io.BytesIO(data)):
            packets.append(packet)
    except CaptureError as error:
        why = str(error) or "nothing said"
    assert "\n" not in why
    return packets, why


def pcap(order, *records, magic=0xA1B2C3D4, linktype=1, version=(2, 4)):
    out = struct.pack(order + "IHHiIII", magic, *version, 0, 0, 65535, linktype)
    for seconds, fraction, data, length in records:
        out += struct.pack(order + "IIII", seconds, fraction, len(data), length) + data
    return out


def block(order, kind, body):
    body += bytes(-len(body) % 4)
    return struct.pack(order + "II", kind, len(body) + 12) + body + struct.pack(order + "I", len(body) + 12)


def option(order, code, value):
    return struct.pack(order + "HH", code, len(value)) + value + bytes(-len(value) % 4)


def section(order):
    return block(order, 0x0A0D0D0A, struct.pack(order + "IHHq", 0x1A2B3C4D, 1, 0, -1) + option(order, 4, b"test"))


def interface(order, linktype=1, snaplen=0, **options):
    body = struct.pack(order + "HHI", linktype, 0, snaplen) + option(order, 2, b"eth0")
    if "resolution" in options:
        body += option(order, 9, bytes([options["resolution"]]))
    if "offset" in options:
        body += option(order, 14, struct.pack(order + "q", options["offset"]))
    return block(order, 1, body + option(order, 0, b""))


def enhanced(order, number, ticks, data, length=None):
    fixed = struct.pack(order + "IIIII", number, ticks >> 32, ticks & 0xFFFFFFFF, len(data), length or len(data))
    return block(order, 6, fixed + data + bytes(-len(data) % 4) + option(order, 1, b"a comment") + bytes(4))


@ORDERS
def test_pcap_in_microseconds(order):
    data = pcap(order, (10, 5, b"one", 3), (11, 999_999, b"two", 1500))
    assert read(data) == ([(10 * SECOND_NS + 5_000, 1, b"one", 3), (11_999_999_000, 1, b"two", 1500)], "")


@ORDERS
def test_pcap_in_nanoseconds(order):
    data = pcap(order, (0xFFFF_FFFF, 999_999_999, b"", 0), magic=0xA1B23C4D, linktype=101)
    assert read(data) == ([(0xFFFF_FFFF * SECOND_NS + 999_999_999, 101, b"", 0)], "")


def test_pcap_link_type_without_the_length_of_the_check_sequence():
    assert read(pcap("<", (0, 0, b"x", 1), linktype=0x4400_0114))[0][0].linktype == 276


@ORDERS
def test_pcapng_with_several_interfaces_and_resolutions(order):
    data = section(order)
    data += interface(order, 1)
    data += interface(order, 101, resolution=9, offset=-100)
    data += interface(order, 276, resolution=0x80 | 10, offset=5)
    data += enhanced(order, 1, 1_700_000_000_000_000_001, b"raw")
    data += enhanced(order, 0, 1_700_000_000_000_001, b"ether", 1500)
    data += enhanced(order, 2, 3 << 10 | 1, b"cooked")
    assert read(data) == (
        [
            (1_699_999_900_000_000_001, 101, b"raw", 3),
            (1_700_000_000_000_001_000, 1, b"ether", 1500),
            (8 * SECOND_NS + SECOND_NS // 1024, 276, b"cooked", 6),
        ],
        "",
    )


def test_pcapng_sections_count_interfaces_anew_and_may_change_the_order():
    data = section("<") + interface("<", 1) + enhanced("<", 0, 1, b"one")
    data += section(">") + interface(">", 113) + enhanced(">", 0, 2, b"two")
    data += section("<") + enhanced("<", 0, 3, b"three")
    assert read(data) == (
        [(1_000, 1, b"one", 3), (2_000, 113, b"two", 3)],
        "damaged block 8: interface 0 has not been described",
    )


@ORDERS
def test_pcapng_simple_packets_take_time_and_snap_length_from_elsewhere(order):
    data = section(order) + interface(order, 1, snaplen=4)
    data += block(order, 3, struct.pack(order + "I", 3) + b"abc")
    data += enhanced(order, 0, 77, b"wxyz")
    data += block(order, 3, struct.pack(order + "I", 1500) + b"abcd")
    assert read(data) == ([(0, 1, b"abc", 3), (77_000, 1, b"wxyz", 4), (77_000, 1, b"abcd", 1500)], "")


@ORDERS
def test_pcapng_obsolete_packets(order):
    body = struct.pack(order + "HHIIII", 0, 0xFFFF, 0, 9, 5, 60) + b"abcde"
    assert read(section(order) + interface(order) + block(order, 2, body)) == ([(9_000, 1, b"abcde", 60)], "")


@ORDERS
def test_pcapng_blocks_of_other_kinds_are_skipped(order):
    noise = block(order, 4, b"names") + block(order, 5, bytes(20)) + block(order, 0xBAD, b"") + block(order, 10, b"key")
    data = noise.join([section(order), interface(order), enhanced(order, 0, 1, b"x"), b""])
    assert read(data) == ([(1_000, 1, b"x", 1)], "")


def test_pcapng_options_that_make_no_sense_change_nothing():
    for options in (option("<", 9, b"\x09\x09"), struct.pack("<HH", 9, 400), option("<", 14, b"short"), b"\x09\0"):
        described = block("<", 1, struct.pack("<HHI", 1, 0, 0) + options)
        assert read(section("<") + described + enhanced("<", 0, 1, b"x")) == ([(1_000, 1, b"x", 1)], "")


PCAPNG = section("<") + interface("<")


@pytest.mark.parametrize(
    ("data", "reason"),
    [
        (b"", "the file is empty"),
        (b"\xd4\xc3", "neither"),
        (b"GET / HTTP/1.1", "neither"),
        (b"\x1f\x8b\x08\x00\x00\x00\x00\x00", "compressed with gzip"),
        (b"\x28\xb5\x2f\xfd\x00\x00\x00\x00", "compressed with zstd"),
        (pcap("<", version=(3, 0)), "pcap version 3.0"),
        (pcap("<")[:23], "cut short in the file header"),
        (pcap("<") + struct.pack("<IIII", 0, 0, 262_145, 262_145), "packet 1 claims 262145 captured octets"),
        (block("<", 0x0A0D0D0A, bytes(16)), "byte-order mark"),
        (block("<", 0x0A0D0D0A, struct.pack("<IHHq", 0x1A2B3C4D, 2, 0, -1)), "pcapng version 2.0"),
        (block("<", 0x0A0D0D0A, struct.pack("<I", 0x1A2B3C4D)), "too short"),
        (section("<") + struct.pack("<II", 6, 8), "8 octets cannot be"),
        (section("<") + struct.pack("<II", 6, 33) + bytes(30), "33 octets cannot be"),
        (section("<") + struct.pack("<II", 6, 1 << 31), "2147483648 octets cannot be"),
        (section("<") + block("<", 1, b"")[:-4] + bytes(4), "two lengths differ"),
        (section("<") + block("<", 1, b"1234"), "interface description that is too short"),
        (section("<") + block("<", 6, bytes(16)), "packet block that is too short"),
        (section("<") + block("<", 3, b""), "packet block that is too short"),
        (section("<") + block("<", 3, bytes(4)), "interface 0 has not been described"),
        (PCAPNG + enhanced("<", 1, 0, b""), "interface 1 has not been described"),
        (PCAPNG + block("<", 6, struct.pack("<5I", 0, 0, 0, 9, 9) + b"abcd"), "9 captured octets"),
        (PCAPNG + block("<", 3, struct.pack("<I", 9) + b"abcd"), "9 captured octets"),
    ],
)
def test_what_cannot_be_read_says_why(data, reason):
    packets, why = read(data)
    assert packets == []
    assert reason in why


RECORDS = [(n, n, bytes(range(n)), 100) for n in range(8)]
WHOLE = {
    "pcap": pcap("<", *RECORDS),
    "pcapng": section(">")
    + interface(">")
    + b"".join(enhanced(">", 0, seconds * 1_000_000 + us, data, 100) for seconds, us, data, _ in RECORDS),
}


@pytest.mark.parametrize("flavour", WHOLE)
def test_a_file_cut_anywhere_gives_what_came_before_the_cut(flavour):
    data = WHOLE[flavour]
    everything, why = read(data)
    assert len(everything) == len(RECORDS)
    assert why == ""
    complete = 0
    for length in range(1, len(data)):
        packets, why = read(data[:length])
        assert packets == everything[: len(packets)]
        assert complete <= len(packets) <= complete + 1
        complete = len(packets)
        assert why == "" or "cut short" in why or "neither" in why
    assert complete == len(RECORDS) - 1


@settings(max_examples=200, deadline=None)
@given(st.sampled_from(sorted(WHOLE)), st.data())
def test_damage_anywhere_is_either_read_or_explained(flavour, data):
    octets = bytearray(WHOLE[flavour])
    for at in data.draw(st.lists(st.integers(0, len(octets) - 1), min_size=1, max_size=4)):
        octets[at] = data.draw(st.integers(0, 255))
    read(bytes(octets))


@settings(max_examples=200, deadline=None)
@given(st.sampled_from([b"", pcap("<"), pcap(">"), section(">"), PCAPNG]), st.binary(max_size=200))
def test_anything_is_either_read_or_explained(start, rest):
    packets, why = read(start + rest)
    assert why or len(rest) >= 12 * len(packets)
