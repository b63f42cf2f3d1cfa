"""ARP (RFC 826): asks for and answers with MAC addresses, announces ours and defends it (RFC 5227)."""

from dataclasses import dataclass

from netstack.counters import Counters
from netstack.events import Dropped, Event, Sink
from netstack.link.ethernet import Ethernet
from netstack.link.neighbor import Entropy
from netstack.link.neighbor_cache import NeighborCache
from netstack.units import SECOND, Micros, Octets
from netstack.wire import arp, ethernet, ipv4

ANNOUNCE_NUM = 2  # RFC 5227 1.1
ANNOUNCE_INTERVAL: Micros = 2 * SECOND  # RFC 5227 1.1
DEFEND_INTERVAL: Micros = 10 * SECOND  # RFC 5227 1.1


@dataclass(slots=True)
class AddressConflict(Event):
    """Another host, at `mac`, uses our `address`. `defended`: we announced that it is ours."""

    address: bytes
    mac: bytes
    defended: bool


class Arp:
    """The resolver of one IPv4 address on one interface; `neighbors` is what it knows of the others.

    Deviation: RFC 5227 2.1 probes before the address is used, which takes seconds. Like Linux we use it at once and
    only announce it.
    """

    __slots__ = (
        "_announce_at",
        "_announcements",
        "_defended_at",
        "_events",
        "address",
        "counters",
        "link",
        "neighbors",
    )

    def __init__(
        self,
        link: Ethernet,
        address: bytes,
        rng: Entropy,
        counters: Counters,
        *,
        queue_limit: int = 101,
        entry_limit: int = 1_024,
        events: Sink | None = None,
    ) -> None:
        if len(address) != 4:
            raise ValueError("ARP resolves IPv4 addresses, of 4 octets")
        self.link = link
        self.address = address
        self.counters = counters
        self.neighbors = NeighborCache(link, ethernet.IPV4, self._request, rng, counters, queue_limit, entry_limit)
        self.events = events
        self._announcements = 0
        self._announce_at: Micros | None = None
        self._defended_at: Micros = -DEFEND_INTERVAL

    @property
    def events(self) -> Sink | None:
        """Who is told; setting it sets it for the cache as well."""
        return self._events

    @events.setter
    def events(self, sink: Sink | None) -> None:
        self._events = self.neighbors.events = sink

    def receive(self, frame: bytes, at: Octets, now: Micros) -> None:
        """RFC 826, packet reception, with what RFC 5227 and experience added to it."""
        packet = arp.parse(frame, at)
        if packet is None:
            self._drop("arp.malformed", now)
        elif packet.op not in (arp.REQUEST, arp.REPLY):
            self._drop("arp.unknown_operation", now)
        elif ethernet.is_group(packet.sha) or packet.sha == ethernet.NO_ADDRESS:  # RFC 1812 3.3.2
            self._drop("arp.bad_hardware_address", now)
        elif packet.sha == self.link.mac:
            self._drop("arp.own_packet", now)
        elif packet.spa == self.address:
            self._on_conflict(packet, now)
        elif ipv4.is_multicast(packet.spa) or ipv4.is_loopback(packet.spa) or packet.spa == ipv4.BROADCAST:
            self._drop("arp.bad_protocol_address", now)
        else:
            for_us = packet.op == arp.REQUEST and packet.tpa == self.address
            if packet.spa != ipv4.ANY:  # else somebody probes whether an address is free (RFC 5227 2.1.1)
                self._learn(packet, for_us, frame[at - 14 : at - 8] == self.link.mac, now)
            if for_us:
                self._send(packet.sha, arp.build(arp.REPLY, self.link.mac, self.address, packet.sha, packet.spa), now)

    def _learn(self, packet: arp.Packet, for_us: bool, to_us: bool, now: Micros) -> None:
        """As Linux: who asks for us is about to talk to us, and becomes an entry; everybody else is only updated.

        Only an answer sent to us alone proves that packets get there and back; anything else leaves the entry to be
        verified when it is next used.
        """
        gratuitous = packet.spa == packet.tpa
        solicited = packet.op == arp.REPLY and to_us and not gratuitous
        known = self.neighbors.learn(
            packet.spa, packet.sha, now, reachable=solicited, override=for_us or gratuitous, create=for_us
        )
        if not known and not for_us:
            self._drop("arp.unsolicited" if packet.op == arp.REPLY else "arp.not_for_us", now)

    def _on_conflict(self, packet: arp.Packet, now: Micros) -> None:
        """RFC 5227 2.4 (c): we keep the address, and say so at most once in DEFEND_INTERVAL."""
        self._drop("arp.address_conflict", now)
        defend = now - self._defended_at >= DEFEND_INTERVAL
        if self._events is not None:
            self._events(AddressConflict(now, self.address, packet.sha, defend))
        if defend:
            self._defended_at = now
            self._announce(now)

    def announce(self, now: Micros) -> None:
        """The interface came up: tell everybody, now and once more, who we are (RFC 5227 2.3)."""
        self._announcements = ANNOUNCE_NUM
        self._announce_at = now
        self.expire(now)

    def deadline(self) -> Micros | None:
        """When `expire` has something to do; None when there is nothing to wait for."""
        neighbors_at = self.neighbors.deadline()
        if self._announce_at is None or neighbors_at is None:
            return neighbors_at if self._announce_at is None else self._announce_at
        return min(self._announce_at, neighbors_at)

    def expire(self, now: Micros) -> None:
        """Send the announcement that is due, and let the neighbour cache look at its timers."""
        if self._announce_at is not None and now >= self._announce_at:
            self._announcements -= 1
            self._announce_at = now + ANNOUNCE_INTERVAL if self._announcements else None
            self._announce(now)
        self.neighbors.expire(now)

    def _announce(self, now: Micros) -> None:
        body = arp.build(arp.REQUEST, self.link.mac, self.address, ethernet.NO_ADDRESS, self.address)
        self._send(ethernet.BROADCAST, body, now)

    def _request(self, address: bytes, mac: bytes | None, now: Micros) -> None:
        """Ask for `address`: everybody, or only the host that had it (RFC 1122 2.3.2.1, unicast poll)."""
        body = arp.build(arp.REQUEST, self.link.mac, self.address, ethernet.NO_ADDRESS, address)
        self._send(mac or ethernet.BROADCAST, body, now)

    def _send(self, destination: bytes, packet: bytes, now: Micros) -> None:
        self.link.send(destination, ethernet.ARP, packet, now)

    def _drop(self, reason: str, now: Micros) -> None:
        self.counters.drops[reason] += 1
        if self._events is not None:
            self._events(Dropped(now, reason))
