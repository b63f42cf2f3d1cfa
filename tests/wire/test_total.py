"""Parsers and pretty printers take any octets at all: they return, they never raise."""

from collections.abc import Callable

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netstack.wire import arp, ethernet, icmpv4, ipv4, pretty, tcp, tcp_options, udp

PAIR = bytes([192, 0, 2, 1, 192, 0, 2, 2])
MACS = bytes.fromhex("02005e000202 02005e000201")
SEGMENT = tcp.build(1, 2, 3, 4, tcp.SYN | tcp.ACK, 5, tcp_options.build_syn(1460, 7, True, (1, 2))) + b"data"
SACKS = tcp.build(1, 2, 3, 4, tcp.ACK, 5, tcp_options.build_segment((1, 2), [(3, 4), (5, 6)]))
DATAGRAM = udp.build(5, 9, b"data", PAIR)


def frame(protocol: int, payload: bytes, options: bytes = b"") -> bytes:
    """A whole frame around `payload`."""
    return MACS + ethernet.IPV4 + ipv4.build(PAIR, protocol, len(payload), options=options) + payload


FRAMES = [
    frame(6, SEGMENT),
    frame(6, SACKS, bytes.fromhex("83070400000000 00")),
    frame(17, DATAGRAM),
    frame(1, icmpv4.build_echo(1, 2, b"ping")),
    frame(1, icmpv4.build_unreachable(4, frame(6, SEGMENT)[14:], 1280)),
    frame(1, icmpv4.build_parameter_problem(20, frame(17, DATAGRAM)[14:])),
    MACS + ethernet.ARP + arp.build(1, MACS[:6], PAIR[:4], MACS[6:], PAIR[4:]),
    MACS + ethernet.IPV6 + bytes.fromhex("6000000000200640") + bytes(32) + SEGMENT,
]


def parse_message_and_quote(data: bytes, at: int, end: int) -> object:
    """ICMP, and the datagram inside."""
    message = icmpv4.parse(data, at, end)
    return message and icmpv4.parse_quote(message)


def parse_header_and_options(data: bytes, at: int, end: int) -> object:
    """IPv4, options and checksum, also as quoted."""
    header = ipv4.parse(data, at, end) or ipv4.parse(data, at, end, quoted=True)
    if header is None:
        return None
    assert at + header.header_len <= end
    return ipv4.parse_options(header.options).source_route, ipv4.checksum_valid(data, at)


PARSERS: dict[str, Callable[[bytes, int, int], object]] = {
    "ethernet": lambda data, at, end: ethernet.parse(data, at),
    "arp": lambda data, at, end: arp.parse(data, at),
    "ipv4": parse_header_and_options,
    "icmpv4": parse_message_and_quote,
    "udp": udp.parse,
    "tcp": tcp.parse,
    "tcp options": lambda data, at, end: repr(tcp_options.parse(data, at, end)),
    "pretty frame": lambda data, at, end: pretty.frame(data, at, {}),
    "pretty packet": lambda data, at, end: pretty.packet(data, at, end, {}),
    "pretty segment": pretty.segment,
    "pretty options": pretty.options,
}

at_random = st.binary(max_size=120)


@st.composite
def damaged(draw: st.DrawFn) -> bytes:
    """A good frame, cut from either side, with a few octets changed: what gets past the first check."""
    octets = bytearray(draw(st.sampled_from(FRAMES)))
    for _ in range(draw(st.integers(0, 4))):
        octets[draw(st.integers(0, len(octets) - 1))] = draw(st.integers(0, 255))
    return bytes(octets[draw(st.sampled_from([0, 14, 34])) : draw(st.integers(0, len(octets)))])


@pytest.mark.parametrize("name", PARSERS)
@settings(deadline=None, max_examples=150)
@given(data=at_random | damaged(), start=st.integers(-2, 50), end=st.none() | st.integers(-2, 130))
def test_any_octets_are_taken(name, data, start, end):
    for at in (0, start):
        shown = PARSERS[name](data, at, len(data) if end is None else end)
        if name.startswith("pretty"):
            assert isinstance(shown, str)
            assert "\n" not in shown


@pytest.mark.parametrize("whole", FRAMES, ids=pretty.frame)
def test_every_truncation_of_a_good_frame_is_taken_and_nothing_beyond_the_end_is_looked_at(whole):
    for name, parse in PARSERS.items():
        for at in (0, 14, 34):
            for end in range(at, len(whole) + 1):
                of_slice = parse(whole[at:end], 0, end - at)
                if name not in ("ethernet", "arp", "pretty frame"):  # these have no end: a frame has nothing behind it
                    assert parse(whole, at, end) == of_slice


@pytest.mark.parametrize(
    ("parse", "whole"),
    [
        (ethernet.parse, FRAMES[0][:14]),
        (arp.parse, FRAMES[6][14:]),
        (ipv4.parse, FRAMES[0][14:]),
        (udp.parse, DATAGRAM),
        (icmpv4.parse, icmpv4.build_echo(1, 2, b"")),
        (tcp.parse, SEGMENT[:-4]),
    ],
    ids=["ethernet", "arp", "ipv4", "udp", "icmpv4", "tcp"],
)
def test_what_is_cut_short_is_none_and_the_whole_is_not(parse, whole):
    assert parse(whole) is not None
    for size in range(len(whole)):
        assert parse(whole[:size]) is None
