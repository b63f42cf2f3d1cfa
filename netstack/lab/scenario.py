"""What an experiment is: the link, the flows over it, how long, and the seed. Plain frozen values, fit to be sent away.

Rates are bits per second of Ethernet frames (without preamble and FCS, as in `link.fault`), times microseconds, sizes
octets; probabilities are per packet, 0 to 1.
"""

from dataclasses import dataclass, field, replace

from netstack.config import TcpConfig
from netstack.tcp.congestion import ALGORITHMS
from netstack.units import MILLISECOND, SECOND, Micros, Octets

AQMS = ("droptail", "codel", "red")
MAX_FLOWS = 200


@dataclass(frozen=True, slots=True)
class Bursts:
    """Loss in bursts: the two states of Gilbert and Elliott, and how likely a packet is lost in each."""

    to_bad: float
    """Per packet, the chance to leave the good state."""
    to_good: float
    loss_bad: float = 1.0
    loss_good: float = 0.0

    def __post_init__(self) -> None:
        for name in self.__slots__:
            _probability(name, getattr(self, name))
        if not self.to_good:
            raise ValueError("to_good must not be 0: the bad state would never end")

    @classmethod
    def of(cls, loss: float, length: float) -> "Bursts":
        """Gilbert's simpler model by what it does: a mean `loss`, in bursts of `length` packets on average."""
        if length < 1:
            raise ValueError(f"a burst is at least one packet long, not {length}")
        if not 0 <= loss < 1:
            raise ValueError(f"a mean loss is at least 0 and less than 1, not {loss}")
        to_bad = loss / (1 - loss) / length
        if to_bad > 1:
            raise ValueError(f"bursts of {length} packets cannot make up a loss of {loss}: make them longer")
        return cls(to_bad, 1 / length)

    @property
    def mean(self) -> float:
        """The share of packets lost in the long run."""
        bad = self.to_bad / (self.to_bad + self.to_good)
        return bad * self.loss_bad + (1 - bad) * self.loss_good


@dataclass(frozen=True, slots=True)
class Link:
    """The path that all flows share. Loss, duplication, the queue and reordering meet data; ACKs travel back over a
    path of the same rate and delay, with a loss of their own. A packet is lost or doubled *before* it queues."""

    rate: int = 100_000_000
    """0: no limit, and so no queue."""
    rtt: Micros = 50 * MILLISECOND
    """There and back when no queue stands: half of it each way."""
    jitter: Micros | None = None
    """Up to this much more for each packet of data, evenly spread; it does not reorder. None: see `Scenario.jitter`."""
    loss: float = 0.0
    loss_every: int = 0
    """Lose exactly every n-th packet of data: the deterministic loss that response functions are derived from."""
    bursts: Bursts | None = None
    ack_loss: float = 0.0
    duplicate: float = 0.0
    reorder: float = 0.0
    """The packet is held back for `reorder_by`; those behind it are not."""
    reorder_by: Micros = 5 * MILLISECOND
    queue: Octets = 0
    """How much may wait for the rate, in octets of Ethernet frames; 0: see `queue_bdp`."""
    queue_packets: int = 0
    """The same in packets, whatever their size; 0: not counted so."""
    queue_bdp: float = 1.0
    """Without either of these: so many times rate x rtt."""
    aqm: str = "droptail"
    ecn: bool = False
    """Hosts negotiate ECN (RFC 3168), and the AQM marks what it would have dropped. Drop-tail never marks."""
    codel_target: Micros = 5 * MILLISECOND  # RFC 8289 4.3
    codel_interval: Micros = 100 * MILLISECOND  # RFC 8289 4.3

    def __post_init__(self) -> None:
        for name in ("loss", "ack_loss", "duplicate", "reorder"):
            _probability(name, getattr(self, name))
        for name in ("rate", "rtt", "jitter", "loss_every", "reorder_by", "queue", "queue_packets", "queue_bdp"):
            if (getattr(self, name) or 0) < 0:
                raise ValueError(f"{name} cannot be negative: {getattr(self, name)}")
        if self.codel_target <= 0 or self.codel_interval <= 0:
            raise ValueError("CoDel's target and interval must be more than 0")
        if self.aqm not in AQMS:
            raise ValueError(f"{self.aqm!r} is no queue discipline; there are {', '.join(AQMS)}")

    @property
    def bdp(self) -> Octets:
        """Rate x delay: what is on its way when the link is full and no queue stands."""
        return self.rate * self.rtt // (8 * SECOND)

    def limit(self, mtu: Octets) -> Octets:
        """The queue's limit in octets: at least two packets; when it is set in packets only, about what those hold."""
        if self.queue or self.queue_packets:
            return self.queue or self.queue_packets * (mtu + 14)
        return max(int(self.queue_bdp * self.bdp), 2 * (mtu + 14))


@dataclass(frozen=True, slots=True)
class Flow:
    """One transfer, from a host of its own."""

    cc: str = "cubic"
    start: Micros = 0
    """On top of it comes a random part of a round trip, so that flows do not march in step."""
    extra_rtt: Micros = 0
    """This flow's way is longer than the link's."""

    def __post_init__(self) -> None:
        if self.cc not in ALGORITHMS:
            raise ValueError(f"{self.cc!r} is no congestion control here; there are {', '.join(sorted(ALGORITHMS))}")
        if self.start < 0 or self.extra_rtt < 0:
            raise ValueError("start and extra_rtt cannot be negative")


@dataclass(frozen=True, slots=True)
class Scenario:
    """One experiment. The same scenario gives the same result, to the octet."""

    link: Link = field(default_factory=Link)
    flows: tuple[Flow, ...] = (Flow(),)
    duration: Micros = 10 * SECOND
    """The end, also of transfers that are not finished."""
    size: Octets = 0
    """What each flow transfers before it closes; 0: it sends until the end."""
    warmup: Micros = 0
    """Throughput, utilisation, fairness and mean windows count from here on; counters and percentiles, always."""
    seed: int = 1
    mtu: Octets = 1_500
    coalesce: Micros = 0
    """Receivers take segments that arrive back to back within this time as one (GRO); 0: one by one."""
    tcp: TcpConfig | None = None
    """Of all hosts; each flow's `cc` and the link's `ecn` go over it. None: the defaults, with buffers that may grow to
    what the path can hold (Linux's 6 MB and 4 MB would be the limit on fast, long paths)."""

    def __post_init__(self) -> None:
        if not 1 <= len(self.flows) <= MAX_FLOWS:
            raise ValueError(f"there must be 1 to {MAX_FLOWS} flows, not {len(self.flows)}")
        if self.duration <= 0:
            raise ValueError(f"duration must be more than 0, not {self.duration}")
        if not 0 <= self.warmup < self.duration:
            raise ValueError("warmup must end before the experiment does")
        if self.size < 0 or self.coalesce < 0:
            raise ValueError("size and coalesce cannot be negative")
        if not 576 <= self.mtu <= 65_535:
            raise ValueError(f"mtu must be 576 to 65535 octets, not {self.mtu}")

    @property
    def jitter(self) -> Micros:
        """The link's. By default none for one flow, and for several what a packet takes at the rate, as noise of hosts.

        Without any, flows of one rhythm lock into phase, and it is chance whose packets find the queue full, every
        time (Floyd and Jacobson 1992, On Traffic Phase Effects in Packet-Switched Gateways, who advise so much).
        """
        if self.link.jitter is not None:
            return self.link.jitter
        if len(self.flows) == 1 or not self.link.rate:
            return 0
        return (self.mtu + 14) * 8 * SECOND // self.link.rate


def tcp_for(scenario: Scenario) -> TcpConfig:
    """The configuration of the hosts, still without a flow's congestion control."""
    link, tcp = scenario.link, scenario.tcp
    if tcp is None:
        tcp = TcpConfig()
        longest = link.rtt + max(flow.extra_rtt for flow in scenario.flows)
        held = link.rate * longest // (8 * SECOND) + link.limit(scenario.mtu)
        most = 6 * held  # twice for what a buffer costs beyond its octets, the rest for what waits behind a loss
        tcp = replace(tcp, rmem=(*tcp.rmem[:2], max(most, tcp.rmem[2])), wmem=(*tcp.wmem[:2], max(most, tcp.wmem[2])))
    return replace(tcp, ecn=1) if link.ecn else tcp


def _probability(name: str, value: float) -> None:
    if not 0 <= value <= 1:
        raise ValueError(f"{name} is a probability, 0 to 1, not {value}")
