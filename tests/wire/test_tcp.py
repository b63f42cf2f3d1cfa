"""The TCP header against scapy, both ways."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, TCP

from netstack.wire import tcp

PAIR = bytes([192, 0, 2, 1, 192, 0, 2, 2])
u16, u32 = st.integers(0, 0xFFFF), st.integers(0, 0xFFFF_FFFF)


@settings(deadline=None)
@given(
    ports=st.tuples(u16, u16),
    numbers=st.tuples(u32, u32),
    flags=st.integers(0, 0x1FF),
    window=u16,
    urgent=u16,
    nops=st.integers(0, 10),
    payload=st.binary(max_size=40),
)
def test_what_we_build_scapy_reads_and_what_scapy_builds_we_read(ports, numbers, flags, window, urgent, nops, payload):
    options = b"\1\1\1\1" * nops
    header = tcp.build(*ports, *numbers, flags, window, options, urgent=urgent)
    ours = tcp.with_checksum(header + payload, PAIR)
    packet = IP(src="192.0.2.1", dst="192.0.2.2") / TCP(
        sport=ports[0],
        dport=ports[1],
        seq=numbers[0],
        ack=numbers[1],
        flags=flags,
        window=window,
        urgptr=urgent,
        options=[("NOP", None)] * len(options),
    )
    theirs = bytes(packet / payload)[20:]
    assert ours == theirs
    read = TCP(ours)
    fields = read.sport, read.dport, read.seq, read.ack, int(read.flags), read.window, read.chksum, read.urgptr
    parsed = tcp.parse(theirs)
    assert parsed is not None
    assert parsed == (*fields, options, payload)
    assert tcp.checksum_valid(theirs, PAIR)


def test_parse_honours_start_and_end():
    segment = tcp.build(1, 2, 3, 4, tcp.ACK, 5) + b"data"
    parsed = tcp.parse(b"xx" + segment + b"padding", 2, 2 + len(segment))
    assert parsed is not None
    assert parsed.payload == b"data"
    assert parsed == tcp.parse(segment)


def test_unwrapped_numbers_are_masked():
    parsed = tcp.parse(tcp.build(1, 2, 2**32 + 7, -1, tcp.ACK, 0))
    assert parsed is not None
    assert (parsed.seq, parsed.ack) == (7, 2**32 - 1)


@pytest.mark.parametrize(
    ("flags", "length"), [(tcp.ACK, 3), (tcp.SYN, 4), (tcp.FIN | tcp.ACK, 4), (tcp.SYN | tcp.FIN, 5), (tcp.RST, 3)]
)
def test_syn_and_fin_count_in_the_segment_length(flags, length):
    parsed = tcp.parse(tcp.build(1, 2, 3, 4, flags, 5) + b"abc")
    assert parsed is not None
    assert parsed.length == length


@pytest.mark.parametrize("words", [*range(5), 6, 15])
def test_data_offset_outside_the_segment_is_refused(words):
    segment = bytearray(tcp.build(1, 2, 3, 4, tcp.ACK, 5))
    segment[12] = words << 4
    assert tcp.parse(bytes(segment)) is None


def test_data_offset_that_takes_all_of_the_segment_is_accepted():
    parsed = tcp.parse(tcp.build(1, 2, 3, 4, tcp.ACK, 5, b"\1" * 40))
    assert parsed is not None
    assert (len(parsed.options), parsed.payload) == (40, b"")


@pytest.mark.parametrize("size", [1, 2, 3, 41, 44])
def test_options_that_cannot_be_are_wrong_use(size):
    with pytest.raises(ValueError, match="multiple of 4"):
        tcp.build(1, 2, 3, 4, 0, 5, bytes(size))


def test_wrong_addresses_make_the_checksum_wrong():
    segment = tcp.with_checksum(tcp.build(1, 2, 3, 4, tcp.ACK, 5) + b"odd", PAIR)
    assert tcp.checksum_valid(segment, PAIR)
    assert not tcp.checksum_valid(segment, PAIR[:-1] + b"\3")


def test_timestamp_header_spans_header_and_aligned_timestamps():
    segment = tcp.build(1, 2, 3, 4, tcp.ACK, 5, bytes.fromhex("0101080a 00000007 00000009"))
    assert tcp.TIMESTAMP_HEADER.unpack_from(segment)[8:] == (0x0101080A, 7, 9)
    assert tcp.TIMESTAMP_HEADER.size == len(segment)
