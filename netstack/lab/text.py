"""Quantities of experiments in words, both ways, and tables of text. ValueError, in words, for what is no quantity."""

import re
from collections.abc import Sequence

from netstack.units import MILLISECOND, SECOND, Micros, Octets

_UNITS = {"": 1, "k": 10**3, "m": 10**6, "g": 10**9, "ki": 1 << 10, "mi": 1 << 20, "gi": 1 << 30}
_QUANTITY = re.compile(r"(\d+(?:\.\d*)?|\.\d+)\s*([a-zA-Z]*)", re.ASCII)


def octets(text: str) -> Octets:
    """`64kB`, `16MiB`, `1500`."""
    found = _QUANTITY.fullmatch(text.strip())
    prefix = found[2].lower().removesuffix("b") if found else None
    if found is None or prefix not in _UNITS:
        raise ValueError(f"{text!r} is not an amount of octets such as 1500, 64kB or 16MiB")
    return round(float(found[1]) * _UNITS[prefix])


def queue(text: str) -> dict[str, int | float]:
    """The size of a queue as fields of `scenario.Link`: `1bdp`, `0.5bdp`, `100` or `100p` packets, `64kB`."""
    found = _QUANTITY.fullmatch(text.strip())
    unit = found[2].lower() if found else ""
    if found is not None and float(found[1]) > 0:
        if unit == "bdp":
            return {"queue_bdp": float(found[1])}
        if unit in ("", "p") and float(found[1]).is_integer():
            return {"queue_packets": int(float(found[1]))}
        if unit.endswith("b") and unit[:-1] in _UNITS:
            return {"queue": octets(text)}
    raise ValueError(f"{text!r} is not a queue such as 1bdp, 100 (packets) or 64kB")


def rate(bits: float) -> str:
    """`93.4 Mbit/s`."""
    for size, prefix in ((1e9, "G"), (1e6, "M"), (1e3, "k")):
        if bits >= size:
            return f"{bits / size:.4g} {prefix}bit/s"
    return f"{bits:.4g} bit/s"


def amount(size: Octets) -> str:
    """`625 kB`."""
    for unit, prefix in ((10**9, "G"), (10**6, "M"), (10**3, "k")):
        if size >= unit:
            return f"{size / unit:.4g} {prefix}B"
    return f"{size} B"


def time(at: Micros) -> str:
    """`10 s`, `50 ms`, `120 us`."""
    if at >= SECOND:
        return f"{at / SECOND:g} s"
    return f"{at / MILLISECOND:g} ms" if at >= MILLISECOND else f"{at} us"


def percent(value: float) -> str:
    """`1.25%`."""
    return f"{100 * value:.3g}%"


def columns(rows: Sequence[Sequence[str]], left: int = 0) -> list[str]:
    """Lines with the cells of `rows` under each other; the first `left` columns begin at the left, others end right."""
    widths = [max(map(len, cells)) for cells in zip(*rows, strict=True)]
    lines = []
    for row in rows:
        cells = [
            cell.ljust(width) if i < left else cell.rjust(width)
            for i, (cell, width) in enumerate(zip(row, widths, strict=True))
        ]
        lines.append("  ".join(cells).rstrip())
    return lines
