"""Checksum arithmetic against the loop over words that RFC 1071 describes."""

import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st
from scapy.utils import checksum as scapy_checksum

from netstack.wire.checksum import finish, ones_sum, pseudo_sum, valid

octets = st.binary(max_size=200)


def word_loop(data: bytes) -> int:
    """The checksum field, carry by carry (RFC 1071 1)."""
    total = 0
    for at in range(0, len(data), 2):
        total += data[at] << 8 | (data[at + 1] if at + 1 < len(data) else 0)
        total = (total & 0xFFFF) + (total >> 16)
    return total ^ 0xFFFF


@settings(deadline=None)
@given(octets)
@example(b"\xff\xff")
@example(b"\xff")
@example(b"\x00\x01" * 65_535)
def test_checksum_is_that_of_the_word_loop(data):
    ours = finish(ones_sum(data))
    assert ours == scapy_checksum(data) % 0xFFFF
    assert ours == word_loop(data) % 0xFFFF
    if any(data):  # of all zeros the loop makes the other zero
        assert ours == word_loop(data)


@settings(deadline=None)
@given(octets, octets)
def test_sums_of_pieces_add_up(head, tail):
    if len(head) & 1:
        head += b"\0"
    assert (ones_sum(head) + ones_sum(tail) - ones_sum(head + tail)) % 0xFFFF == 0
    assert ones_sum(memoryview(tail)) == ones_sum(tail)


@settings(deadline=None)
@given(st.binary(min_size=4, max_size=200), st.integers(0, 200), st.integers(1, 255))
def test_message_with_its_checksum_is_valid_and_a_changed_octet_is_noticed(data, where, change):
    message = finish(ones_sum(b"\0\0" + data)).to_bytes(2, "big") + data
    assert valid(ones_sum(message))
    damaged = bytearray(message)
    damaged[where % len(damaged)] ^= change
    assert not valid(ones_sum(bytes(damaged)))


@given(
    st.binary(min_size=8, max_size=8) | st.binary(min_size=32, max_size=32), st.integers(0, 255), st.integers(0, 65_535)
)
def test_pseudo_sum_is_the_sum_over_the_pseudo_header(pair, protocol, length):
    header = pair + length.to_bytes(4, "big") + protocol.to_bytes(4, "big")
    assert (pseudo_sum(pair, protocol, length) - ones_sum(header)) % 0xFFFF == 0
    swapped = pair[len(pair) // 2 :] + pair[: len(pair) // 2]
    assert pseudo_sum(swapped, protocol, length) == pseudo_sum(pair, protocol, length)


@pytest.mark.parametrize(("total", "field"), [(0, 0), (0xFFFF, 0), (1, 0xFFFE), (0xFFFE, 1), (0x1_0000, 0xFFFE)])
def test_field_makes_the_total_zero(total, field):
    assert finish(total) == field
    assert valid(total + field)
