"""Quantities as people type them on a command line: 2%, 20ms, 10M. ValueError, in words, for what is none."""

import re

from netstack.units import MILLISECOND, SECOND, Micros

_NUMBER = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z%/]*)", re.ASCII)
_TIMES = {"": MILLISECOND, "us": 1, "ms": MILLISECOND, "s": SECOND}
_RATES = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9}


def probability(text: str) -> float:
    """`2%` or `0.02`."""
    number, unit = _split(text, "a share such as 2% or 0.02")
    value = number / 100 if unit == "%" else number
    if unit not in ("", "%") or not 0 <= value <= 1:
        raise ValueError(f"{text!r} is not a share such as 2% or 0.02, from 0 to 1")
    return value


def duration(text: str) -> Micros:
    """`20ms`, `1.5s`, `300us`; a bare number is milliseconds."""
    number, unit = _split(text, "a time such as 20ms or 1.5s")
    if unit not in _TIMES:
        raise ValueError(f"{text!r} is not a time such as 20ms, 1.5s or 300us")
    return round(number * _TIMES[unit])


def rate(text: str) -> int:
    """Bits per second: `10M`, `1.5Gbit`, `64k`, `56000bit/s`."""
    number, unit = _split(text, "a rate such as 10M or 1.5Gbit")
    prefix = unit.lower().removesuffix("/s").removesuffix("bit")
    if prefix not in _RATES:
        raise ValueError(f"{text!r} is not a rate in bits per second such as 10M, 1.5Gbit or 64k")
    return round(number * _RATES[prefix])


def _split(text: str, expected: str) -> tuple[float, str]:
    found = _NUMBER.fullmatch(text.strip())
    if found is None:
        raise ValueError(f"{text!r} is not {expected}")
    return float(found[1]), found[2]
