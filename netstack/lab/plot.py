"""Draws a recorded experiment: windows, octets in flight, round-trip times, the queue, and sequence numbers over time.

matplotlib is an extra (`pip install netstack[lab]`), imported only here. The same result gives the same file.
"""

from collections.abc import Sequence
from typing import TYPE_CHECKING

from netstack.lab import text
from netstack.lab.result import FlowSeries, Result
from netstack.lab.scenario import Scenario
from netstack.units import MILLISECOND, SECOND

if TYPE_CHECKING:
    from matplotlib.axes import Axes

COLOURS = ("#0072b2", "#d55e00", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#8c564b", "#5f5f5f")
"""Told apart by the colour-blind too (Okabe and Ito); used again after the eighth flow."""
TITLES = (
    "cwnd (line) and ssthresh (dotted), segments",
    "octets outstanding (line) and the peer's window (dotted), MB",
    "RTT at each ACK (dots) and SRTT (line), ms",
    "queue at the bottleneck, kB",
    "sequence numbers: sent (dots), acknowledged (line), sent again (o), dropped (x), MB",
)
_MEGA = 1_000_000


class NoMatplotlib(RuntimeError):
    """The extra is not installed."""


def draw(scenario: Scenario, result: Result, file: str) -> None:
    """Write the plot of `result` to `file`; its ending says which format. NoMatplotlib, OSError, or ValueError."""
    try:
        from matplotlib import rc_context
        from matplotlib.figure import Figure
    except ImportError:
        raise NoMatplotlib("plots need matplotlib: pip install 'netstack[lab]'") from None
    with rc_context({"svg.hashsalt": "netstack", "font.size": 9, "axes.grid": True, "grid.alpha": 0.3}):
        figure = Figure(figsize=(10, 15), layout="constrained")
        axes = figure.subplots(5, 1, sharex=True)
        names = [f"{i + 1} {flow.cc}" for i, flow in enumerate(result.flows)]
        for draw_one, axis in zip((_windows, _flight, _rtts), axes[:3], strict=True):
            for i, series in enumerate(result.series):
                draw_one(axis, series, COLOURS[i % len(COLOURS)], names[i])
        _queue(axes[3], scenario, result)
        for i, series in enumerate(result.series):
            _sequence(axes[4], series, COLOURS[i % len(COLOURS)], names[i])
        for axis, title in zip(axes, TITLES, strict=True):
            axis.set_title(title, loc="left", fontsize=9)
            axis.set_ylim(bottom=0)
        axes[0].legend(loc="upper right", ncols=min(len(names), 8))
        axes[4].set_xlabel("seconds")
        axes[4].set_xlim(0, result.duration / SECOND)
        link = scenario.link
        figure.suptitle(f"{text.rate(link.rate) if link.rate else 'no rate limit'}, rtt {text.time(link.rtt)}, "
                        f"{link.aqm}: {text.rate(result.goodput)}")  # fmt: skip
        unrepeatable = "Software" if file.endswith(".png") else "Date"
        figure.savefig(file, dpi=110, metadata={unrepeatable: None})


def _columns(rows: Sequence[Sequence[int]]) -> list[list[int]]:
    return [list(column) for column in zip(*rows, strict=True)]


def _seconds(times: list[int]) -> list[float]:
    return [at / SECOND for at in times]


def _windows(axis: "Axes", series: FlowSeries, colour: str, name: str) -> None:
    if not series.state.rows:
        return
    times, cwnd, ssthresh, *_ = _columns(series.state.rows)
    seconds = _seconds(times)
    axis.plot(seconds, cwnd, color=colour, linewidth=0.9, drawstyle="steps-post", label=name)
    known = [float(s) if s >= 0 else float("nan") for s in ssthresh]
    axis.plot(seconds, known, color=colour, linewidth=0.9, linestyle=":", drawstyle="steps-post")
    axis.set_ylim(top=1.08 * max(cwnd))


def _flight(axis: "Axes", series: FlowSeries, colour: str, name: str) -> None:
    if not series.state.rows:
        return
    times, _, _, flight, _, snd_wnd = _columns(series.state.rows)
    seconds = _seconds(times)
    axis.plot(seconds, [f / _MEGA for f in flight], color=colour, linewidth=0.8)
    axis.plot(seconds, [w / _MEGA for w in snd_wnd], color=colour, linewidth=0.8, linestyle=":")
    axis.set_ylim(top=max(axis.get_ylim()[1] if axis.lines[2:] else 0.0, 1.3 * max(flight) / _MEGA, 0.01))


def _rtts(axis: "Axes", series: FlowSeries, colour: str, name: str) -> None:
    if series.rtts.rows:
        times, rtt = _columns(series.rtts.rows)
        dots = [r / MILLISECOND for r in rtt]
        axis.plot(_seconds(times), dots, ".", color=colour, markersize=1.5, alpha=0.5, rasterized=True)
    rows = [(row[0], row[4]) for row in series.state.rows if row[4]]
    if rows:
        times, srtt = _columns(rows)
        axis.plot(_seconds(times), [s / MILLISECOND for s in srtt], color=colour, linewidth=0.9)


def _queue(axis: "Axes", scenario: Scenario, result: Result) -> None:
    if result.queue is not None and result.queue.rows:
        times, octets = _columns(result.queue.rows)
        axis.plot(_seconds(times), [o / 1000 for o in octets], color="#444444", linewidth=0.7)


def _sequence(axis: "Axes", series: FlowSeries, colour: str, name: str) -> None:
    for rows, style in ((series.sent.rows, "."), (series.retransmissions, "o")):
        if rows:
            times, seqs, *_ = _columns(rows)
            size = 1.2 if style == "." else 4.0
            dots = [s / _MEGA for s in seqs]
            axis.plot(_seconds(times), dots, style, color=colour, markersize=size, fillstyle="none", rasterized=True)
    if series.drops:
        times, seqs = _columns(series.drops)
        axis.plot(_seconds(times), [s / _MEGA for s in seqs], "x", color="#c00000", markersize=4)
    if series.acks.rows:
        times, una, _ = _columns(series.acks.rows)
        axis.plot(_seconds(times), [u / _MEGA for u in una], color=colour, linewidth=0.7, alpha=0.7)
