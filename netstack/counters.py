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
    """

    __slots__ = ("drops", "mib", "sources")

    def __init__(self) -> None:
        self.mib = Tally()
        self.drops = Tally()
        self.sources: list[Callable[[], Mapping[str, int]]] = []

    def snapshot(self) -> dict[str, int]:
        """All of nstat's counters as of now: `mib`, and what the sources add up."""
        found = dict(self.mib)
        for source in self.sources:
            found.update(source())
        return found
