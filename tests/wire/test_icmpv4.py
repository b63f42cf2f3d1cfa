"""ICMP messages against scapy, and the datagrams that errors quote."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP

from netstack.wire import icmpv4, ipv4, tcp

PAIR = bytes([192, 0, 2, 2, 192, 0, 2, 1])
OURS = ipv4.build(PAIR, 6, 20, df=True) + tcp.build(80, 40_000, 77, 0, tcp.SYN, 5)
u16 = st.integers(0, 0xFFFF)


@settings(deadline=None)
@given(u16, u16, st.binary(max_size=60), st.booleans())
@example(0, 0, bytes(8), True)
def test_echo_is_the_same_in_scapy(ident, sequence, data, reply):
    ours = icmpv4.build_echo(ident, sequence, data, reply=reply)
    theirs = bytes(ICMP(type="echo-reply" if reply else "echo-request", id=ident, seq=sequence) / data)
    assert ours == theirs
    message = icmpv4.parse(b"xx" + theirs + b"beyond", 2, 2 + len(theirs))
    assert message is not None
    assert (message.ident, message.sequence, message.body) == (ident, sequence, data)
    assert message.type == (icmpv4.ECHO_REPLY if reply else icmpv4.ECHO)
    assert icmpv4.checksum_valid(theirs)


@pytest.mark.parametrize(
    ("ours", "theirs"),
    [
        (icmpv4.build_unreachable(3, OURS), ICMP(type=3, code=3) / OURS),
        (icmpv4.build_unreachable(4, OURS, 1280), ICMP(type=3, code=4, nexthopmtu=1280) / OURS),
        (icmpv4.build_time_exceeded(1, OURS), ICMP(type=11, code=1) / OURS),
        (icmpv4.build_parameter_problem(20, OURS), ICMP(type=12, code=0, ptr=20) / OURS),
    ],
    ids=["unreachable", "fragmentation needed", "time exceeded", "parameter problem"],
)
def test_errors_are_the_same_in_scapy_and_quote_the_datagram(ours, theirs):
    assert ours == bytes(theirs)
    assert icmpv4.checksum_valid(ours)
    message = icmpv4.parse(ours)
    assert message is not None
    quote = icmpv4.parse_quote(message)
    assert quote is not None
    assert quote.header.pair == PAIR
    assert quote.transport == OURS[20:]


def test_mtu_and_pointer_are_read_where_scapy_puts_them():
    too_big = icmpv4.parse(bytes(ICMP(type=3, code=4, nexthopmtu=1400) / OURS))
    problem = icmpv4.parse(bytes(ICMP(type=12, ptr=9) / OURS))
    assert too_big is not None
    assert problem is not None
    assert (too_big.mtu, problem.pointer) == (1400, 9)


def test_eight_octets_of_transport_header_are_enough_and_seven_are_not():
    for extra, found in ((8, True), (7, False), (0, False)):
        message = icmpv4.parse(icmpv4.build_unreachable(3, OURS[: 20 + extra]))
        assert message is not None
        assert (icmpv4.parse_quote(message) is not None) == found


def test_quoted_header_with_options_is_skipped_whole():
    datagram = bytes(IP(src="192.0.2.2", dst="192.0.2.1", options=b"\1\1\1\1") / UDP(sport=5, dport=9))
    message = icmpv4.parse(icmpv4.build_unreachable(3, datagram))
    assert message is not None
    quote = icmpv4.parse_quote(message)
    assert quote is not None
    assert quote.transport[:4] == bytes([0, 5, 0, 9])


def test_total_length_that_a_router_changed_does_not_matter():
    datagram = bytearray(OURS)
    datagram[2:4] = b"\0\0"
    message = icmpv4.parse(icmpv4.build_time_exceeded(0, bytes(datagram)))
    assert message is not None
    assert icmpv4.parse_quote(message) is not None


@pytest.mark.parametrize(
    "quoted",
    [b"", bytes(28), b"\x65" + OURS[1:], b"\x44" + OURS[1:], b"\x4f" + OURS[1:], OURS[:19]],
    ids=["nothing", "zeros", "version 6", "IHL 4", "IHL beyond", "half a header"],
)
def test_unusable_quote_is_none(quoted):
    message = icmpv4.parse(icmpv4.build_unreachable(3, quoted))
    assert message is not None
    assert icmpv4.parse_quote(message) is None


def test_quote_of_a_later_fragment_has_no_transport_header():
    fragment = ipv4.build(PAIR, 6, 20, offset=8) + OURS[20:]
    message = icmpv4.parse(icmpv4.build_unreachable(3, fragment))
    assert message is not None
    assert icmpv4.parse_quote(message) is None


def test_extensions_behind_the_quote_are_not_part_of_it():
    """RFC 4884: the length says 10 words."""
    message = icmpv4.parse(icmpv4.build(icmpv4.TIME_EXCEEDED, 0, 10, 0, OURS + b"extension"))
    assert message is not None
    quote = icmpv4.parse_quote(message)
    assert quote is not None
    assert quote.transport == OURS[20:]


def test_only_errors_quote():
    message = icmpv4.parse(icmpv4.build_echo(1, 2, OURS))
    assert message is not None
    assert icmpv4.parse_quote(message) is None


def test_quote_keeps_the_error_within_576_octets():
    datagram = ipv4.build(PAIR, 17, 1400) + bytes(1400)
    error = icmpv4.build_unreachable(3, icmpv4.quote(b"xx" + datagram, 2))
    assert ipv4.HEADER_LEN + len(error) == 576
    assert icmpv4.quote(b"xx" + OURS + b"padding", 2, 2 + len(OURS)) == OURS


def test_scapy_reads_the_quoted_segment():
    read = ICMP(icmpv4.build_unreachable(3, OURS))
    assert read.payload.getfieldval("dst") == "192.0.2.1"
    assert read.payload.payload.getfieldval("seq") == 77
    assert TCP(OURS[20:]).seq == 77
