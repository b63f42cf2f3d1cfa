"""Shares, times and rates as people type them."""

import pytest

from netstack.service.quantities import duration, probability, rate
from netstack.units import MILLISECOND, SECOND


@pytest.mark.parametrize(
    ("text", "value"), [("2%", 0.02), ("0.02", 0.02), ("0", 0), ("100%", 1), ("1", 1), (".5 %", 0.005)]
)
def test_a_share_is_a_percentage_or_a_fraction(text, value):
    assert probability(text) == pytest.approx(value)


@pytest.mark.parametrize("text", ["", "%", "2", "101%", "-1%", "two", "2%%", "1ms", "٢%"])
def test_what_is_no_share_is_refused(text):
    with pytest.raises(ValueError, match="share"):
        probability(text)


@pytest.mark.parametrize(
    ("text", "value"), [("20ms", 20 * MILLISECOND), ("20", 20_000), ("1.5s", 1_500_000), ("300us", 300), ("0s", 0)]
)
def test_a_time_has_a_unit_or_is_milliseconds(text, value):
    assert duration(text) == value


@pytest.mark.parametrize("text", ["", "ms", "-1ms", "1m", "1 minute", "1e3s"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match="time"):
        duration(text)


@pytest.mark.parametrize(
    ("text", "value"),
    [("10M", 10**7), ("1.5Gbit", 15 * 10**8), ("64k", 64_000), ("56000", 56_000), ("9600bit/s", 9600), ("1g", 10**9)],
)
def test_a_rate_is_in_bits_per_second(text, value):
    assert rate(text) == value


@pytest.mark.parametrize("text", ["", "fast", "10MB", "10Mb", "-1M"])
def test_what_is_no_rate_is_refused(text):
    with pytest.raises(ValueError, match="rate"):
        rate(text)


def test_units_agree():
    assert duration("1s") == SECOND
