"""TCP options: Linux's layouts, Linux's tolerance, and scapy's reading of the same octets."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import TCP

from netstack.wire import tcp, tcp_options
from netstack.wire.tcp_options import AccEcn, build, build_segment, build_syn, parse, walk

u32 = st.integers(0, 0xFFFF_FFFF)
NOP = ("NOP", None)
MSS, SACK_OK, WSCALE = ("MSS", 1460), ("SAckOK", b""), ("WScale", 7)
TS = ("Timestamp", (1, 2))


def scapy_reads(options: bytes) -> list:
    """The options as scapy sees them."""
    return TCP(tcp.build(1, 2, 3, 4, tcp.ACK, 5, options)).options


@pytest.mark.parametrize(
    ("wscale", "sack", "timestamps", "layout"),
    [
        (7, True, (1, 2), [MSS, SACK_OK, TS, NOP, WSCALE]),
        (7, False, (1, 2), [MSS, NOP, NOP, TS, NOP, WSCALE]),
        (7, True, None, [MSS, NOP, NOP, SACK_OK, NOP, WSCALE]),
        (7, False, None, [MSS, NOP, WSCALE]),
        (None, True, (1, 2), [MSS, SACK_OK, TS]),
        (None, True, None, [MSS, NOP, NOP, SACK_OK]),
        (None, False, None, [MSS]),
    ],
)
def test_syn_options_have_the_layout_of_linux(wscale, sack, timestamps, layout):
    built = build_syn(1460, wscale, sack, timestamps)
    assert scapy_reads(built) == layout
    parsed = parse(built)
    assert (parsed.mss, parsed.wscale, parsed.sack_permitted) == (1460, wscale, sack)
    assert (parsed.ts_val, parsed.ts_ecr) == (timestamps or (None, None))


@pytest.mark.parametrize("cookie", [b"", b"1234", b"12345678", b"0123456789"])
def test_fast_open_cookie_follows_the_other_syn_options(cookie):
    built = build_syn(1460, 7, True, (1, 2), cookie)
    assert len(built) % 4 == 0
    assert built.startswith(build_syn(1460, 7, True, (1, 2)))
    assert parse(built).fastopen == cookie


def test_fast_open_cookie_without_room_is_left_out():
    assert build_syn(1460, 7, True, (1, 2), bytes(20)) == build_syn(1460, 7, True, (1, 2))


@settings(deadline=None)
@given(st.none() | st.tuples(u32, u32), st.lists(st.tuples(u32, u32), max_size=6))
def test_segment_options_are_read_back_by_us_and_by_scapy(timestamps, blocks):
    built = build_segment(timestamps, blocks)
    fitting = tuple(blocks[: 4 if timestamps is None else 3])
    expected = [] if timestamps is None else [NOP, NOP, ("Timestamp", timestamps)]
    if fitting:
        expected += [NOP, NOP, ("SAck", tuple(edge for block in fitting for edge in block))]
    assert len(built) <= tcp_options.MAX_LEN
    assert scapy_reads(built) == expected
    parsed = parse(built)
    assert parsed.sack == fitting
    assert (parsed.ts_val, parsed.ts_ecr) == (timestamps or (None, None))


def test_edges_and_timestamps_may_be_unwrapped():
    parsed = parse(build_segment((2**32 + 1, -1), [(2**32 - 1, 2**32 + 5)]))
    assert (parsed.ts_val, parsed.ts_ecr) == (1, 2**32 - 1)
    assert parsed.sack == ((2**32 - 1, 5),)


def test_aligned_timestamps_match_the_word_that_the_fast_path_looks_for():
    built = build_segment((7, 9))
    assert tcp_options.ALIGNED.unpack(built) == (tcp_options.ALIGNED_TIMESTAMP, 7, 9)
    assert len(built) == tcp_options.TIMESTAMP_LEN


@settings(deadline=None)
@given(
    st.lists(
        st.sampled_from([(1, b""), (4, b"")]) | st.tuples(st.integers(2, 255), st.binary(max_size=12)),
        max_size=5,
    )
)
def test_any_sequence_survives_build_and_walk(options):
    length = sum(1 if kind == 1 else 2 + len(value) for kind, value in options)
    if length > 40:
        with pytest.raises(ValueError, match="at most 40"):
            build(options)
        return
    built = build(options)
    assert len(built) % 4 == 0
    assert list(walk(built)) == options


@pytest.mark.parametrize("damage", ["0800", "0801", "080affffffff", "08", "fe7f"])
def test_impossible_length_ends_parsing_and_keeps_what_came_before(damage):
    parsed = parse(bytes.fromhex("020405b4" + damage))
    assert parsed.mss == 1460
    assert parsed.ts_val is None
    assert parsed.unknown == ()


@pytest.mark.parametrize(
    "wrong", ["020305", "02060000ffff", "0302", "030407ff", "040300", "080b000000000000000000", "0502", "0506deadbeef"]
)
def test_known_option_of_wrong_size_is_skipped_and_the_next_one_counts(wrong):
    parsed = parse(bytes.fromhex(wrong + "fd0377"))
    assert repr(parsed) == "Options(unknown=((253, b'w'),))"


def test_nothing_behind_end_of_options_counts():
    assert parse(bytes.fromhex("0101 00 020405b4")).mss is None


def test_of_two_of_a_kind_the_later_counts():
    assert parse(bytes.fromhex("020405b4 02040218")).mss == 536


def test_empty_sack_option_takes_nothing_back():
    assert parse(build_segment(None, [(1, 2)]) + bytes.fromhex("05020101")).sack == ((1, 2),)


def test_mss_of_zero_says_nothing():
    assert parse(bytes.fromhex("02040000")).mss is None


@pytest.mark.parametrize(("sent", "taken"), [(0, 0), (14, 14), (15, 14), (255, 14)])
def test_window_scale_is_limited_to_14(sent, taken):
    assert parse(bytes((3, 3, sent))).wscale == taken


@pytest.mark.parametrize(
    ("size", "taken"), [(0, True), (2, False), (4, True), (5, False), (8, True), (16, True), (18, False)]
)
def test_fast_open_cookies_have_4_to_16_octets_and_are_even(size, taken):
    cookie = b"c" * size
    assert parse(build([(34, cookie)])).fastopen == (cookie if taken else None)
    assert parse(build([(254, b"\xf9\x89" + cookie)])).fastopen_exp == (cookie if taken else None)


def test_other_experiments_are_unknown_options():
    assert parse(build([(254, b"\xe2\xd4ab")])).unknown == ((254, b"\xe2\xd4ab"),)


def test_md5_digest_is_kept():
    assert parse(build([(19, bytes(range(16)))])).md5 == bytes(range(16))
    assert parse(build([(19, bytes(15))])).md5 is None


@pytest.mark.parametrize(
    ("kind", "value", "counters"),
    [
        (172, "000001 000002 000003", (1, 2, 3)),
        (174, "000001 000002 000003", (3, 2, 1)),
        (172, "000001 000002", (1, 2, None)),
        (174, "000001", (None, None, 1)),
        (172, "", (None, None, None)),
    ],
)
def test_accurate_ecn_counters_in_both_orders(kind, value, counters):
    assert parse(build([(kind, bytes.fromhex(value))])).accecn == AccEcn(kind, *counters)


def test_parse_honours_start_and_end():
    built = build_segment((1, 2))
    parsed = parse(b"\xff\xff" + built + b"\2\4\5\xb4", 2, 2 + len(built))
    assert (parsed.ts_val, parsed.ts_ecr, parsed.mss) == (1, 2, None)


def test_repr_shows_what_was_said_zeros_too():
    assert repr(parse(build_segment((0, 0)))) == "Options(ts_ecr=0, ts_val=0)"
