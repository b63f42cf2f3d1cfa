"""The client's numbers, as our stack must see them."""

import pytest

from netstack.replay.conversation import Conversation
from netstack.replay.mapper import Mapper
from netstack.wire import ipv4, tcp, tcp_options
from netstack.wire.tcp import ACK, SYN
from tests.replay.lines import HANDSHAKE, Capture, conversations_of

OUR_ISS = 0xFFFF_FF00
PAIR = bytes((198, 51, 100, 7, 203, 0, 113, 9))


def conversation(lines: str) -> Conversation:
    (found,) = conversations_of(Capture((1000, 5000)).add(lines).file())
    return found


def mapper(found: Conversation, sent: int = 0, tsvals: tuple[tuple[int, int], ...] = ()) -> Mapper:
    """After our SYN-ACK and `sent` octets; `tsvals`: (time, TSval) of what we sent."""
    mapped = Mapper(found, PAIR)
    mapped.on_sent(tcp.Segment(80, 40000, OUR_ISS, 1001, SYN | ACK, 0, 0, 0, b"", b""), None, 0)
    data = tcp.Segment(80, 40000, OUR_ISS + 1 & 0xFFFF_FFFF, 1001, ACK, 0, 0, 0, b"", bytes(sent))
    mapped.on_sent(data, None, 0)
    for at, tsval in tsvals:
        mapped.on_sent(data, tsval, at)
    return mapped


def injected(packet: bytes) -> tcp.Segment:
    """The segment in a packet that the mapper made, its checksums checked."""
    header = ipv4.parse(packet)
    assert header is not None
    assert ipv4.checksum_valid(packet)
    assert tcp.checksum_valid(packet[header.header_len :], header.pair)
    segment = tcp.parse(packet, header.header_len)
    assert segment is not None
    return segment


def last(found: Conversation, mapped: Mapper) -> tcp.Segment:
    """The client's last segment, mapped."""
    (packet,) = mapped.packets(found.of(True)[-1])
    return injected(packet)


def test_acks_are_relative_to_our_iss_and_wrap():
    found = conversation(HANDSHAKE + "< P. 1:1001(1000) ack 1\n> P. 1:11(10) ack 1001")
    segment = last(found, mapper(found, 1000))
    assert segment.seq == 1001
    assert segment.ack == OUR_ISS + 1001 & 0xFFFF_FFFF
    assert len(segment.payload) == 10


def test_an_ack_for_octets_not_sent_yet_is_clipped_and_follows_later():
    found = conversation(HANDSHAKE + "< P. 1:1001(1000) ack 1\n> . 1:1(0) ack 1001 win 3")
    mapped = mapper(found, 400)
    segment = last(found, mapped)
    assert segment.ack == OUR_ISS + 401 & 0xFFFF_FFFF
    assert segment.window == (600 + (3 << 7)) // 128 + 1  # the right edge stays, rounded up to the scale
    assert mapped.release() is None
    mapped.on_sent(tcp.Segment(80, 40000, OUR_ISS + 401 & 0xFFFF_FFFF, 1001, ACK, 0, 0, 0, b"", bytes(300)), None, 5)
    held = mapped.release()
    assert held is not None
    assert injected(held).ack == OUR_ISS + 701 & 0xFFFF_FFFF
    mapped.on_sent(tcp.Segment(80, 40000, OUR_ISS + 701 & 0xFFFF_FFFF, 1001, ACK, 0, 0, 0, b"", bytes(900)), None, 6)
    rest = mapped.release()
    assert rest is not None
    assert (injected(rest).ack, injected(rest).window) == (OUR_ISS + 1001 & 0xFFFF_FFFF, 3)
    assert mapped.release() is None


def test_an_ack_of_what_the_recorded_server_never_sent_is_passed_on():
    found = conversation(HANDSHAKE + "< P. 1:11(10) ack 1\n> . 1:1(0) ack 50000")
    assert last(found, mapper(found, 10)).ack == OUR_ISS + 50000 & 0xFFFF_FFFF


def test_sack_blocks_are_mapped_and_clipped():
    lines = "< P. 1:1001(1000) ack 1\n> . 1:1(0) ack 1 <sack 101:201 301:501 801:901>"
    found = conversation(HANDSHAKE + lines)
    options = tcp_options.parse(last(found, mapper(found, 400)).options)
    edges = [(edge - OUR_ISS) & 0xFFFF_FFFF for block in options.sack for edge in block]
    assert edges == [101, 201, 301, 401]


def test_sack_option_without_a_block_left_goes():
    found = conversation(HANDSHAKE + "< P. 1:1001(1000) ack 1\n> . 1:1(0) ack 1 <sack 801:901>")
    assert tcp_options.parse(last(found, mapper(found, 400)).options).sack == ()


@pytest.mark.parametrize(
    ("echoed", "expected"),
    [(77, 9001), (78, 9002), (79, 9003), (12345, 9003)],
    ids=["first", "what we last sent by then", "later", "never sent by the server: our latest"],
)
def test_echoed_timestamps_are_ours_of_the_same_time(echoed, expected):
    found = conversation(
        f"""
        0.000 > S 0:0(0) <mss 1460,TS 500 0>
        0.001 < S. 0:0(0) ack 1 <mss 1460,TS 77 500>
        0.002 > . 1:1(0) ack 1 <TS 501 77>
        0.010 < P. 1:11(10) ack 1 <TS 78 501>
        0.020 < P. 11:21(10) ack 1 <TS 79 501>
        0.030 > . 1:1(0) ack 21 <TS 502 {echoed}>
        """
    )
    mapped = mapper(found, 20, ((1_000, 9001), (9_000, 9002), (18_000, 9003)))
    options = tcp_options.parse(last(found, mapped).options)
    assert (options.ts_val, options.ts_ecr) == (502, expected)


def test_a_super_segment_is_cut_into_packets_that_exist():
    found = conversation(HANDSHAKE + "> FP. 1:65001(65000) ack 1")
    packets = [injected(packet) for packet in mapper(found).packets(found.of(True)[-1])]
    assert [len(segment.payload) for segment in packets] == [60_000, 5_000]
    assert [segment.seq for segment in packets] == [1001, 61_001]
    assert [tcp.FIN & segment.flags for segment in packets] == [0, tcp.FIN]
