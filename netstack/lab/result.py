"""What an experiment measured: plain data, the same for the same scenario, fit for JSON and for another process.

Rates are bits per second, times microseconds, shares 0 to 1.
"""

from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Any

from netstack.lab.watch import Recording, Series
from netstack.units import Micros, Octets

RANKS = {"min": 0, "p50": 50, "p90": 90, "p95": 95, "p99": 99, "max": 100}


def percentiles(samples: Sequence[int]) -> dict[str, int]:
    """Nearest-rank percentiles under the names of `RANKS`; empty when there are no samples."""
    if not samples:
        return {}
    ordered = sorted(samples)
    return {name: ordered[max(0, -(-percent * len(ordered) // 100) - 1)] for name, percent in RANKS.items()}


def fairness(shares: Sequence[float]) -> float:
    """Jain's index (R. Jain et al. 1984): 1 when all are equal, 1/n when one has everything."""
    squares = sum(share * share for share in shares)
    return sum(shares) ** 2 / (len(shares) * squares) if squares else 1.0


@dataclass(frozen=True, slots=True)
class FlowResult:
    """One flow."""

    cc: str
    goodput: float
    """Octets that reached the reader, from the end of the warm-up (or the flow's start) until its end."""
    received: Octets
    """In all."""
    started: Micros
    finished: Micros
    """When the reader had everything; -1: the transfer did not end within the experiment."""
    error: int
    """errno that ended the connection, or 0."""
    segments: int
    """All that the sender sent, retransmissions included."""
    retransmits: int
    timeouts: int
    probes: int
    """Tail loss probes (RFC 8985 7)."""
    recoveries: int
    undone: int
    """Reductions of the window that were taken back: nothing had been lost."""
    mean_cwnd: float
    """Over time, in segments."""
    mss: Octets
    """Payload of a full segment."""
    rtt: dict[str, int]
    queueing: dict[str, int]
    """How long its packets waited at the bottleneck."""
    lost: int
    """Packets the path lost (not the queue)."""
    dropped: int
    """Packets the full queue or its AQM dropped."""
    marked: int
    duplicated: int
    reordered: int
    limited: dict[str, float]
    """Shares of the time in which each of `watch.LIMITS` held it back."""


@dataclass(frozen=True, slots=True)
class FlowSeries:
    """The recording of one flow, as plain rows; see `watch.Recording`."""

    state: Series
    rtts: Series
    sent: Series
    acks: Series
    retransmissions: list[tuple[Micros, int, int]]
    drops: list[tuple[Micros, int]]

    @classmethod
    def of(cls, recording: Recording) -> "FlowSeries":
        """What was recorded."""
        kept = (recording.state, recording.rtts, recording.sent, recording.acks)
        return cls(*kept, recording.retransmissions, recording.drops)


@dataclass(frozen=True, slots=True)
class Result:
    """All of it."""

    flows: tuple[FlowResult, ...]
    duration: Micros
    """Until when the experiment ran: less than asked for when all transfers were done."""
    goodput: float
    """Of all flows together."""
    utilisation: float
    """The share of the link's rate that left the bottleneck, after the warm-up; 0 when there is no rate."""
    fairness: float
    """Jain's index over the flows' goodputs."""
    intact: bool
    """Every octet that was read was the one sent."""
    series: tuple[FlowSeries, ...] = ()
    queue: Series | None = None

    def plain(self) -> dict[str, Any]:
        """Everything but the series, for JSON."""
        flows = [asdict(flow) for flow in self.flows]
        names = ("duration", "goodput", "utilisation", "fairness", "intact")
        return {**{name: getattr(self, name) for name in names}, "flows": flows}
