"""Counters: what the stack did, under the names that nstat shows, and what it dropped, by reason."""

from collections.abc import Callable, Mapping


class Tally(dict[str, int]):
    """A dict of counts in which a name never counted reads as 0, so `tally[name] += 1` always works."""

    def __missing__(self, name: str) -> int:
        return 0


class Counters:
    """The counters of one stack.

    `mib` uses the SNMP and Linux names without spaces (IpInReceives, TcpInSegs, TcpExtTCPTimeouts ...);
    `drops` counts input that was refused, as "layer.reason" (ipv4.bad_checksum, tcp.no_listener ...);
    `sources` are asked for what is cheaper to add up when somebody looks than to count on the way.

    What every packet counts are attributes, which cost a third of an entry in `mib`, and are added to it in `snapshot`.
    """

    __slots__ = ("drops", "ip_delivered", "ip_sent", "mib", "sources", "tcp_received", "tcp_sent")

    def __init__(self) -> None:
        self.ip_delivered = 0
        """Packets whose header was found right at a glance: part of IpInReceives and IpInDelivers."""
        self.ip_sent = 0
        """Packets that left by an `ip.Path`: part of IpOutRequests."""
        self.tcp_received = 0
        """TcpInSegs."""
        self.tcp_sent = 0
        """Segments of synchronized connections: part of TcpOutSegs."""
        self.mib = Tally()
        self.drops = Tally()
        self.sources: list[Callable[[], Mapping[str, int]]] = []

    def snapshot(self) -> dict[str, int]:
        """All of nstat's counters as of now: `mib`, and what the sources add up."""
        found = Tally(self.mib)
        for name, count in (
            ("IpInReceives", self.ip_delivered),
            ("IpInDelivers", self.ip_delivered),
            ("IpOutRequests", self.ip_sent),
            ("TcpInSegs", self.tcp_received),
            ("TcpOutSegs", self.tcp_sent),
        ):
            if count:
                found[name] += count
        for source in self.sources:
            found.update(source())
        return found
