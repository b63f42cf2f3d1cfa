"""Numbers in little room: rates, octets, times, sparklines."""

from collections.abc import Sequence

from netstack.units import SECOND, Micros

BARS = "▁▂▃▄▅▆▇█"


def count(number: float) -> str:
    """At most five characters: 0, 999, 12.3k, 4.6M."""
    for unit in ("", "k", "M", "G", "T"):
        if number < 999.5:
            return f"{number:.0f}{unit}" if not unit or number >= 99.95 else f"{number:.1f}{unit}"
        number /= 1_000
    return f"{number:.0f}P"


def time(micros: Micros) -> str:
    """At most six characters: 59us, 1.2ms, 340ms, 12.1s, 15min."""
    if micros < 1_000:
        return f"{micros}us"
    if micros < 99_950:
        return f"{micros / 1_000:.1f}ms"
    if micros < 999_500:
        return f"{micros / 1_000:.0f}ms"
    seconds = micros / SECOND
    if seconds < 99.95:
        return f"{seconds:.1f}s"
    return f"{seconds / 60:.0f}min" if seconds < 5_970 else f"{seconds / 3_600:.0f}h"


def sparkline(series: Sequence[float], width: int) -> str:
    """The last `width` of `series`, from 0 to the largest of them; blank where there is nothing yet."""
    shown = list(series)[-width:] if width > 0 else []
    most = max(shown, default=0)
    bars = (BARS[round(value / most * (len(BARS) - 1))] if most else BARS[0] for value in shown)
    return "".join(bars).rjust(width)
