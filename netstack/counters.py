"""Counters: what the stack did, under the names that nstat shows, and what it dropped, by reason."""


class Tally(dict[str, int]):
    """A dict of counts in which a name never counted reads as 0, so `tally[name] += 1` always works."""

    def __missing__(self, name: str) -> int:
        return 0


class Counters:
    """The counters of one stack.

    `mib` uses the SNMP and Linux names without spaces (IpInReceives, TcpInSegs, TcpExtTCPTimeouts ...);
    `drops` counts input that was refused, as "layer.reason" (ipv4.bad_checksum, tcp.no_listener ...).
    """

    __slots__ = ("drops", "mib")

    def __init__(self) -> None:
        self.mib = Tally()
        self.drops = Tally()
