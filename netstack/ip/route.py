"""The route table: which way to a destination, by the longest matching prefix (RFC 1122 3.3.1, RFC 1812 5.2.4.3)."""

from enum import Enum
from ipaddress import IPv4Address, IPv4Interface, IPv4Network
from typing import NamedTuple


class Kind(Enum):
    """What kind of destinations a route leads to; Linux's names for the types of routes."""

    UNICAST = "unicast"
    LOCAL = "local"
    BROADCAST = "broadcast"
    MULTICAST = "multicast"
    UNREACHABLE = "unreachable"


UNICAST, LOCAL, BROADCAST = Kind.UNICAST, Kind.LOCAL, Kind.BROADCAST
MULTICAST, UNREACHABLE = Kind.MULTICAST, Kind.UNREACHABLE


class Route(NamedTuple):
    """One route. Addresses as on the wire."""

    network: bytes
    prefix_len: int
    kind: Kind
    gateway: bytes | None = None
    """The next hop; None: the destination itself is on the link."""
    source: bytes | None = None
    """The address to send from; None: the destination's own, which is local."""


class RouteTable:
    """Routes of one address family, whose addresses are `bits` long."""

    __slots__ = ("_by_length", "bits")

    def __init__(self, bits: int) -> None:
        self.bits = bits
        self._by_length: list[tuple[int, dict[int, Route]]] = []

    def add(self, route: Route) -> None:
        """Add `route`, in place of one to the same network. ValueError when host bits are set or sizes are wrong."""
        if len(route.network) << 3 != self.bits or not 0 <= route.prefix_len <= self.bits:
            raise ValueError(f"not a network of {self.bits} bits: {route.network.hex()}/{route.prefix_len}")
        shift = self.bits - route.prefix_len
        network = int.from_bytes(route.network, "big")
        if network >> shift << shift != network:
            raise ValueError(f"host bits set: {route.network.hex()}/{route.prefix_len}")
        for length, routes in self._by_length:
            if length == shift:
                routes[network >> shift] = route
                return
        self._by_length.append((shift, {network >> shift: route}))
        self._by_length.sort(key=lambda entry: entry[0])

    def lookup(self, destination: bytes) -> Route | None:
        """The most specific route to `destination`; None when there is none."""
        address = int.from_bytes(destination, "big")
        for shift, routes in self._by_length:
            route = routes.get(address >> shift)
            if route is not None:
                return route
        return None

    def routes(self) -> list[Route]:
        """All routes, the most specific first."""
        return [route for _, routes in self._by_length for route in routes.values()]


def ipv4_routes(interface: IPv4Interface, gateway: IPv4Address | None = None) -> RouteTable:
    """The table of a host with one interface. ValueError when the gateway is no neighbour, or the address no host's.

    Deviation: RFC 1122 3.3.6 wants the all-zeros host taken for a broadcast as well; like Linux since 5.14 we do not.
    """
    address, network = interface.ip.packed, interface.network
    if interface.ip.is_multicast or interface.ip.is_unspecified or interface.ip.is_loopback:
        raise ValueError(f"{interface.ip} is not an address that a host can have on a link")
    table = RouteTable(32)

    def add(to: IPv4Network, kind: Kind, via: IPv4Address | None = None, source: bytes | None = address) -> None:
        table.add(Route(to.network_address.packed, to.prefixlen, kind, via.packed if via else None, source))

    if gateway is not None:
        if gateway not in network or gateway == interface.ip:
            raise ValueError(f"the gateway {gateway} is not a neighbour in {network}")
        add(IPv4Network("0.0.0.0/0"), UNICAST, gateway)
    add(IPv4Network("0.0.0.0/8"), UNREACHABLE)
    add(IPv4Network("127.0.0.0/8"), LOCAL, source=None)
    add(IPv4Network("224.0.0.0/4"), MULTICAST)
    add(IPv4Network("255.255.255.255/32"), BROADCAST)
    add(network, UNICAST)
    if network.prefixlen < 31:  # RFC 3021: two hosts need no broadcast address
        if interface.ip == network.broadcast_address:
            raise ValueError(f"{interface.ip} is the broadcast address of {network}")
        add(IPv4Network(network.broadcast_address), BROADCAST)
    add(IPv4Network(interface.ip), LOCAL)
    return table
