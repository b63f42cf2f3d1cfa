"""Sequence numbers: unwrapping against true integers."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstack.seq import MASK, unwrap

HALF = 2**31


@given(st.integers(-(2**40), 2**40), st.integers(-HALF, HALF - 1))
def test_the_true_number_comes_back_when_it_is_near(near, distance):
    true = near + distance
    assert unwrap(true & MASK, near) == true


@given(st.integers(0, MASK), st.integers(-(2**40), 2**40))
def test_result_is_the_same_on_the_wire_and_no_other_is_nearer(wire, near):
    result = unwrap(wire, near)
    assert result & MASK == wire
    assert -HALF <= result - near < HALF


@pytest.mark.parametrize(
    ("wire", "near", "result"),
    [
        (0, 0, 0),
        (0, 2**32 - 1, 2**32),
        (2**32 - 1, 2**32, 2**32 - 1),
        (2**32 - 1, 0, -1),
        (5, 3 * 2**32 - 10, 3 * 2**32 + 5),
        (HALF, 0, -HALF),
        (HALF - 1, 0, HALF - 1),
    ],
)
def test_around_the_wrap(wire, near, result):
    assert unwrap(wire, near) == result
