"""RangeSet against the naive model: a set of ints."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstack.rangeset import RangeSet

SPACE = 60
ranges = st.tuples(st.integers(-5, SPACE), st.integers(-5, SPACE)).map(lambda pair: (min(pair), max(pair)))
steps = st.lists(st.tuples(st.sampled_from(["add", "subtract", "discard_below", "clear"]), ranges), max_size=30)


def runs(members: set[int]) -> list[tuple[int, int]]:
    """The members as ascending half-open ranges."""
    out: list[tuple[int, int]] = []
    for value in sorted(members):
        if out and out[-1][1] == value:
            out[-1] = (out[-1][0], value + 1)
        else:
            out.append((value, value + 1))
    return out


def apply(ours: RangeSet, model: set[int], what: str, left: int, right: int) -> None:
    """Do one step to both, and hold the returned count against the model's."""
    before = len(model)
    if what == "add":
        grown = ours.add(left, right)
        model |= set(range(left, right))
        assert grown == len(model) - before
    elif what == "subtract":
        shrunk = ours.subtract(left, right)
        model -= set(range(left, right))
        assert shrunk == before - len(model)
    elif what == "discard_below":
        shrunk = ours.discard_below(left)
        model -= set(range(-5, left))
        assert shrunk == before - len(model)
    elif before > 20:  # rarely, or nothing would ever pile up
        ours.clear()
        model.clear()


@given(steps)
def test_any_sequence_of_changes_equals_a_set_of_ints(changes):
    ours, model = RangeSet(), set()
    for what, (left, right) in changes:
        apply(ours, model, what, left, right)
        assert list(ours) == runs(model)
        assert ours.octets == len(model)
        assert len(ours) == len(runs(model))
        assert bool(ours) == bool(model)


@given(st.lists(ranges, max_size=12), ranges)
def test_any_question_is_answered_as_by_a_set_of_ints(content, asked):
    ours = RangeSet(content)
    model = {value for left, right in content for value in range(left, right)}
    left, right = asked
    missing = set(range(left, right)) - model
    assert [value in ours for value in range(-6, SPACE + 2)] == [value in model for value in range(-6, SPACE + 2)]
    assert ours.covers(left, right) == (not missing)
    assert list(ours.gaps(left, right)) == runs(missing)
    assert ours.first_gap(left, right) == (runs(missing)[0] if missing else None)
    assert ours.range_at(left) == next((run for run in runs(model) if run[0] <= left < run[1]), None)
    assert ours == RangeSet(runs(model))


def test_touching_ranges_are_joined():
    ours = RangeSet([(0, 10), (20, 30)])
    assert ours.add(10, 20) == 10
    assert list(ours) == [(0, 30)]


def test_ends_and_indexes():
    ours = RangeSet([(5, 7), (1, 3)])
    assert (ours.left, ours.right) == (1, 7)
    assert ours[0] == (1, 3)
    assert ours[-1] == (5, 7)
    with pytest.raises(IndexError):
        RangeSet().left  # noqa: B018
    with pytest.raises(IndexError):
        ours[2]


def test_sets_of_different_content_differ():
    assert RangeSet([(1, 3)]) != RangeSet([(1, 4)])
    assert RangeSet([(1, 3)]) != [(1, 3)]


def test_empty_range_changes_nothing():
    ours = RangeSet([(1, 3)])
    assert ours.add(7, 7) == 0
    assert ours.subtract(2, 2) == 0
    assert list(ours) == [(1, 3)]


@pytest.mark.parametrize("change", ["add", "subtract"])
def test_inverted_range_is_wrong_use(change):
    ours = RangeSet([(1, 3)])
    with pytest.raises(ValueError, match="ends before"):
        getattr(ours, change)(5, 4)
    assert list(ours) == [(1, 3)]
