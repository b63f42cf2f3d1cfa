"""The composition root: builds the layers of one stack, wires them, and offers the four verbs. Nothing else.

Time comes in as `now` (microseconds, any origin, never going back), entropy as `rng`, frames through `receive`; frames
leave through the device. A stack owns no clock, thread or task, so any number of them live in one process.
"""

from typing import Protocol

from netstack.config import Config
from netstack.counters import Counters
from netstack.events import Event, Sink
from netstack.ip.icmp import Icmp
from netstack.ip.ipv4 import Ipv4
from netstack.link.arp import Arp
from netstack.link.device import Device
from netstack.link.ethernet import Ethernet
from netstack.tcp.demux import Tcp
from netstack.udp.demux import Udp
from netstack.units import Micros
from netstack.wire import ethernet, icmpv4, udp


class Entropy(Protocol):
    """What a stack asks of a random source: `random.Random` (seeded, repeatable) and `random.SystemRandom` have it."""

    def randrange(self, stop: int, /) -> int:
        """An int in [0, stop)."""
        ...

    def getrandbits(self, k: int, /) -> int:
        """An int of `k` random bits."""
        ...

    def randbytes(self, n: int, /) -> bytes:
        """`n` random octets."""
        ...


class Stack:
    """One host on one interface: link, IP, ICMP, UDP and TCP, each with its counters and events in one place."""

    def __init__(self, config: Config, device: Device, rng: Entropy, events: Sink | None = None) -> None:
        self.config = config
        self.device = device
        self.counters = counters = Counters()
        address = config.address.ip.packed
        self.link = Ethernet(device, config.mac, counters)
        self.arp = Arp(
            self.link, address, rng, counters, queue_limit=config.neighbor_queue, entry_limit=config.neighbor_limit
        )
        self.ip = Ipv4(config, self.link, self.arp.neighbors, rng, counters)
        self.icmp = Icmp(self.ip, config.icmp_errors_per_second, counters)
        self.udp = Udp(self.ip, self.icmp, rng, counters)
        self.tcp = Tcp(self.ip, config.tcp, rng, counters)
        self.link.protocols[ethernet.ARP] = self.arp.receive
        self.link.protocols[ethernet.IPV4] = self.ip.receive
        self.link.group_protocols[ethernet.IPV4] = self.ip.receive_group
        self.ip.protocols[icmpv4.PROTOCOL] = self.icmp.receive
        self.ip.protocols[udp.PROTOCOL] = self.udp.receive
        self.ip.errors[udp.PROTOCOL] = self.udp.on_icmp_error
        self.receive = self.link.receive
        """`receive(frame, now)`: a frame came out of the device."""
        self._frames: Sink | None = None
        self.observe(events)

    @property
    def now(self) -> Micros:
        """The latest time that any verb was told."""
        return self.tcp.now

    def observe(self, sink: Sink | None) -> None:
        """Send every layer's events to `sink` from now on; None: to nobody."""
        self.events = sink
        self.arp.events = self.icmp.events = self.udp.events = sink
        self.ip.observe(sink)
        self.tcp.observe(sink)
        self.link.events = _both(sink, self._frames)

    def observe_frames(self, sink: Sink | None) -> None:
        """Send the link's events to `sink` as well, and no others: what a capture needs, at a fraction of the cost."""
        self._frames = sink
        self.link.events = _both(self.events, sink)

    def start(self, now: Micros) -> None:
        """The interface is up: announce our address (RFC 5227 2.3)."""
        self.tcp.now = now
        self.arp.announce(now)

    def transmit(self, now: Micros) -> None:
        """Tell sockets what changed, then send what wants to go out; packets to ourselves are delivered on the way."""
        tcp = self.tcp
        tcp.transmit(now)
        self.udp.transmit(now)
        for _ in range(_LOOP_ROUNDS):
            more = self.ip.loop(now)
            if not (more or tcp.ready or tcp.upcalls or tcp.replies.waiting):
                break
            tcp.transmit(now)
            self.udp.transmit(now)

    def deadline(self, exact: bool = True) -> Micros | None:
        """When `expire` is to be called if nothing else happens; None: never.

        Not `exact`: never later than that, and cheaper; what a driver asks after every turn.
        """
        earliest = self.tcp.deadline(exact)
        for layer in (self.arp, self.ip, self.udp):
            at = layer.deadline()
            if at is not None and (earliest is None or at < earliest):
                earliest = at
        return earliest

    def expire(self, now: Micros) -> None:
        """Do what is due by `now`; calling early is harmless. `transmit` follows."""
        self.tcp.expire(now)
        self.arp.expire(now)
        self.ip.expire(now)


_LOOP_ROUNDS = 64
"""Exchanges with ourselves within one transmit; the rest waits for the next turn, so that others get theirs."""


def _both(one: Sink | None, other: Sink | None) -> Sink | None:
    if one is None or other is None:
        return one or other

    def both(event: Event) -> None:
        one(event)
        other(event)

    return both
