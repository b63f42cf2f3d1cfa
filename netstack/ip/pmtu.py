"""Path MTU discovery (RFC 1191): what each destination was found to take, and until when we believe it."""

from typing import NamedTuple

from netstack.units import Micros, Octets

PLATEAUS: tuple[Octets, ...] = (65_535, 32_000, 17_914, 8_166, 4_352, 2_002, 1_492, 1_006, 508, 296, 68)  # RFC 1191 7.1
MIN_PMTU: Octets = 552  # Linux's ip_rt_min_pmtu
MAX_ENTRIES = 4_096


def plateau_below(total_length: Octets) -> Octets:
    """The next smaller common MTU, for a router that does not say its own (RFC 1191 5, 7.1)."""
    return next((plateau for plateau in PLATEAUS if plateau < total_length), PLATEAUS[-1])


class PathMtu(NamedTuple):
    """What is known about one destination."""

    mtu: Octets
    df: bool
    """False: the path takes less than MIN_PMTU; we send MIN_PMTU and let it be fragmented, as Linux does."""
    expires_at: Micros


class PathMtuCache:
    """The destinations whose path takes less than the link. Bounded: the oldest finding makes room for the newest."""

    __slots__ = ("_entries", "expires", "link_mtu")

    def __init__(self, link_mtu: Octets, expires: Micros) -> None:
        self.link_mtu = link_mtu
        self.expires = expires
        self._entries: dict[bytes, PathMtu] = {}

    def mtu(self, destination: bytes) -> Octets:
        """Octets of IP packet that `destination` takes, as far as we know."""
        entry = self._entries.get(destination)
        return self.link_mtu if entry is None else min(entry.mtu, self.link_mtu)

    def df(self, destination: bytes) -> bool:
        """Whether packets to `destination` may carry DF."""
        entry = self._entries.get(destination)
        return entry is None or entry.df

    def items(self) -> list[tuple[bytes, Octets]]:
        """The destinations whose path takes less than the link, and what it takes."""
        return [(destination, entry.mtu) for destination, entry in self._entries.items()]

    def reduce(self, destination: bytes, mtu: Octets, now: Micros) -> bool:
        """A router on the path takes `mtu` at most. True when that is news and lowers what we send.

        Deviation: RFC 1191 3 knows MTUs down to 68; below 552 we keep 552 and clear DF, so that a forged message
        cannot make us send crumbs.
        """
        if mtu < PLATEAUS[-1]:
            return False
        known = self._entries.get(destination)
        current = self.link_mtu if known is None else known.mtu
        if mtu >= current:
            return False
        df = mtu >= MIN_PMTU
        if not df and known is not None and not known.df:
            return False
        self._entries.pop(destination, None)
        if len(self._entries) >= MAX_ENTRIES:
            del self._entries[next(iter(self._entries))]
        self._entries[destination] = PathMtu(min(max(mtu, MIN_PMTU), current), df, now + self.expires)
        return True

    def deadline(self) -> Micros | None:
        """When the oldest finding expires; None when there is none."""
        for entry in self._entries.values():  # every entry lives equally long, so the first is the next
            return entry.expires_at
        return None

    def expire(self, now: Micros) -> list[bytes]:
        """Forget what is too old (RFC 1191 6.3: the path may have got better). The destinations forgotten."""
        gone = []
        for destination, entry in self._entries.items():
            if entry.expires_at > now:
                break
            gone.append(destination)
        for destination in gone:
            del self._entries[destination]
        return gone
