"""An experiment in words: what was tried, what each flow got, and how that compares with theory."""

from collections.abc import Callable

from netstack.lab import text, theory
from netstack.lab.result import FlowResult, Result
from netstack.lab.scenario import Link, Scenario
from netstack.units import MILLISECOND, SECOND, Micros

_FITS = 0.9
"""Response functions that ask together for more of the rate than this say nothing about the flows."""
_HEAD = ("flow", "cc", "goodput", "share", "retransmitted", "RTO", "TLP", "cwnd", "RTT p50", "p95", "p99", "queued p50",
         "p95", "held back by")  # fmt: skip


def report(scenario: Scenario, result: Result) -> str:
    """Several lines; the same for the same scenario."""
    return "\n".join([*_described(scenario), "", *_flows(result), "", *_together(scenario, result)])


def _described(scenario: Scenario) -> list[str]:
    link = scenario.link
    words = [text.rate(link.rate) if link.rate else "no rate limit", f"rtt {text.time(link.rtt)}"]
    if link.rate:
        words.append(f"queue {_queue(link)}, {link.aqm}{' with ECN' if link.ecn else ''}")
    lines = [", ".join(words + _faults(scenario))]
    count = len(scenario.flows)
    what = f"{text.amount(scenario.size)} each" if scenario.size else text.time(scenario.duration)
    warmup = f" ({text.time(scenario.warmup)} of it to warm up)" if scenario.warmup else ""
    lines.append(f"{count} flow{'s' * (count > 1)}, {what}{warmup}, seed {scenario.seed}")
    return lines


def _queue(link: Link) -> str:
    sizes = [text.amount(link.queue)] if link.queue else []
    if link.queue_packets:
        sizes.append(f"{link.queue_packets} packets")
    return " or ".join(sizes) or f"{link.queue_bdp:g} bdp ({text.amount(int(link.bdp * link.queue_bdp))})"


def _faults(scenario: Scenario) -> list[str]:
    link, words = scenario.link, []
    if scenario.jitter:
        words.append(f"jitter {text.time(scenario.jitter)}")
    if link.loss:
        words.append(f"loss {text.percent(link.loss)}")
    if link.loss_every:
        words.append(f"every {link.loss_every}th packet lost")
    if link.bursts is not None:
        words.append(f"loss in bursts {text.percent(link.bursts.mean)}")
    if link.ack_loss:
        words.append(f"ACK loss {text.percent(link.ack_loss)}")
    if link.reorder:
        words.append(f"reordered {text.percent(link.reorder)} by {text.time(link.reorder_by)}")
    if link.duplicate:
        words.append(f"duplicated {text.percent(link.duplicate)}")
    return words


def _flows(result: Result) -> list[str]:
    total = sum(flow.goodput for flow in result.flows)
    rows: list[tuple[str, ...]] = [_HEAD]
    rows += [_row(str(i + 1), flow, total) for i, flow in enumerate(result.flows)]
    lines = text.columns([row[:-1] for row in rows], left=2)
    return [f"{line}  {row[-1]}" for line, row in zip(_padded(lines), rows, strict=True)]


def _padded(lines: list[str]) -> list[str]:
    width = max(map(len, lines))
    return [line.ljust(width) for line in lines]


def _row(name: str, flow: FlowResult, total: float) -> tuple[str, ...]:
    retransmitted = flow.retransmits / flow.segments if flow.segments else 0.0
    held_back = [f"{cause} {text.percent(part)}" for cause, part in flow.limited.items() if part >= 0.01]
    return (
        name, flow.cc, text.rate(flow.goodput), text.percent(flow.goodput / total if total else 0.0),
        f"{flow.retransmits} ({text.percent(retransmitted)})", str(flow.timeouts), str(flow.probes),
        f"{flow.mean_cwnd:.1f}", *(_ms(flow.rtt.get(name)) for name in ("p50", "p95", "p99")),
        *(_ms(flow.queueing.get(name)) for name in ("p50", "p95")), ", ".join(held_back),
    )  # fmt: skip


def _ms(at: Micros | None) -> str:
    return "-" if at is None else f"{at / MILLISECOND:.1f} ms"


def _together(scenario: Scenario, result: Result) -> list[str]:
    lines = [f"goodput {text.rate(result.goodput)} in {result.duration / SECOND:g} s"]
    if scenario.link.rate:
        lines[0] += f", utilisation {text.percent(result.utilisation)}"
    if len(result.flows) > 1:
        lines[0] += f", fairness (Jain) {result.fairness:.4f}"
    packets = [("lost on the path", "lost"), ("dropped by the queue", "dropped"), ("marked CE", "marked"),
               ("duplicated", "duplicated"), ("reordered", "reordered")]  # fmt: skip
    counts = [(what, sum(getattr(flow, name) for flow in result.flows)) for what, name in packets]
    lines.append("packets: " + ", ".join(f"{n} {what}" for what, n in counts if n or what == "dropped by the queue"))
    for i, flow in enumerate(result.flows):
        if flow.error:
            lines.append(f"flow {i + 1} broke off: errno {flow.error}")
        elif scenario.size:
            ended = f"had all of it after {text.time(flow.finished - flow.started)}"
            lines.append(f"flow {i + 1} {ended if flow.finished >= 0 else 'was not done in time'}")
    if not result.intact:
        lines.append("what was read is NOT what was sent")
    return lines + compared(scenario, result)


def compared(scenario: Scenario, result: Result) -> list[str]:
    """A line for each flow with a response function, when the path loses packets by itself and that is the limit."""
    link, lines = scenario.link, []
    p = loss_of(link)
    wanted = [each for each in expectations(scenario, result) if each is not None]
    if link.rate and sum(wanted) > _FITS * link.rate:
        return [f"the response functions ask for {text.rate(sum(wanted))}: the link, and not loss, is the limit"]
    how = "by chance" if link.loss else "evenly spaced"
    slow_start: Micros = 0
    rows = zip(result.flows, expectations(scenario, result), rules(scenario, result), strict=True)
    for i, (flow, expected, mean) in enumerate(rows):
        if expected is None or mean is None:
            continue
        line = f"flow {i + 1}: {flow.goodput / expected:.2f} of {flow.cc}'s response function"
        line += f" ({theory.REFERENCE[flow.cc]}: {text.rate(expected)})"
        line += f", {flow.goodput / mean:.2f} of what its rules come to with losses {how} ({text.rate(mean)})"
        lines.append(line)
        slow_start = max(slow_start, flow.started + int(theory.FORGOTTEN / p * flow.mss * 8 * SECOND / expected))
    if slow_start > scenario.warmup:
        seconds = -(-slow_start // SECOND)
        lines.append(f"slow start, and the window that it left, are in this: --warmup {seconds}s leaves them out")
    return lines


def expectations(scenario: Scenario, result: Result) -> list[float | None]:
    """Bits per second that each flow's response function gives for the loss that the path has by itself."""
    return _rates(scenario, result, theory.window)


def rules(scenario: Scenario, result: Result) -> list[float | None]:
    """Bits per second that each flow's rules come to on such a path: recovery, and chance where it rules, included."""
    even = bool(scenario.link.loss_every)
    return _rates(scenario, result, lambda cc, p, rtt: theory.by_rules(cc, p, rtt, even))


def _rates(
    scenario: Scenario, result: Result, window: Callable[[str, float, Micros], float | None]
) -> list[float | None]:
    p, found = loss_of(scenario.link), []
    for wanted, flow in zip(scenario.flows, result.flows, strict=True):
        rtt = scenario.link.rtt + wanted.extra_rtt
        mean = window(flow.cc, p, rtt) if rtt else None
        found.append(theory.rate(mean, flow.mss, rtt) if mean is not None else None)
    return found


def loss_of(link: Link) -> float:
    """The loss that response functions are about: by chance or evenly spaced; 0 with none of these, or with bursts."""
    if link.bursts is not None or (link.loss and link.loss_every):
        return 0.0
    return link.loss or (1 / link.loss_every if link.loss_every else 0.0)
