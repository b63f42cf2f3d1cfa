"""What each primitive of a filter expression looks at: functions that make tests of a frame.

A test reads octets by index, so that one beyond the end raises IndexError, which makes the whole expression false, as
a load outside of the packet does in BPF. Offsets count from the start of the frame; `Layout` knows where things are.
"""

from collections.abc import Callable
from typing import NamedTuple

from netstack.inspect.expression.names import ETHERTYPES, PROTOCOLS

Test = Callable[[bytes], bool]
Number = Callable[[bytes], int]

PORTED = frozenset((PROTOCOLS["tcp"], PROTOCOLS["udp"], PROTOCOLS["sctp"]))
_FRAGMENT6 = 44
"""Next Header of RFC 8200 4.5; only the first header behind it is looked at, as libpcap does."""


class Layout(NamedTuple):
    """Where headers begin, the Ethernet header being at `ether`."""

    ether: int

    @property
    def network(self) -> int:
        """Behind Ethernet."""
        return self.ether + 14


def all_of(*tests: Test) -> Test:
    """Every one of `tests`, asked in order."""
    if len(tests) == 1:
        return tests[0]
    first, rest = tests[0], all_of(*tests[1:])
    return lambda frame: first(frame) and rest(frame)


def any_of(*tests: Test) -> Test:
    """At least one of `tests`, asked in order."""
    if len(tests) == 1:
        return tests[0]
    first, rest = tests[0], any_of(*tests[1:])
    return lambda frame: first(frame) or rest(frame)


def negated(test: Test) -> Test:
    """Not `test`."""
    return lambda frame: not test(frame)


def ethertype(layout: Layout, number: int) -> Test:
    """`ether proto NUMBER`, and what is written `ip`, `arp` ..."""
    at, high, low = layout.ether + 12, number >> 8, number & 0xFF
    return lambda frame: frame[at + 1] == low and frame[at] == high


def is_(layout: Layout, name: str) -> Test:
    """`ip`, `ip6`, `arp`, `rarp`."""
    return ethertype(layout, ETHERTYPES[name])


def octets_at(at: int, value: bytes, mask: bytes | None = None) -> Test:
    """The octets at `at`, those bits of them that `mask` has, are `value`."""
    end = at + len(value)
    if mask is None or mask == b"\xff" * len(mask):
        return lambda frame: frame[at:end] == value if end <= len(frame) else _outside()
    wanted, bits = int.from_bytes(value, "big"), int.from_bytes(mask, "big")
    return lambda frame: int.from_bytes(frame[at:end], "big") & bits == wanted if end <= len(frame) else _outside()


def _outside() -> bool:
    raise IndexError("beyond the end of the frame")


def protocol(layout: Layout, number: int, version: str = "") -> Test:
    """The protocol of IP: `tcp`, `ip proto NUMBER`, `ip6 proto NUMBER`; of either version unless one is named."""
    at = layout.network
    four = all_of(is_(layout, "ip"), lambda frame: frame[at + 9] == number)
    six = all_of(
        is_(layout, "ip6"),
        lambda frame: frame[at + 6] == number or (frame[at + 6] == _FRAGMENT6 and frame[at + 40] == number),
    )
    return {"ip": four, "ip6": six}.get(version) or any_of(four, six)


def unfragmented(layout: Layout) -> Test:
    """An IPv4 packet that is no fragment but the first: its transport header is there."""
    at = layout.network + 6
    return lambda frame: not (frame[at] & 0x1F or frame[at + 1])


def transport_at(layout: Layout) -> Number:
    """Where IPv4's payload begins."""
    at = layout.network
    return lambda frame: at + ((frame[at] & 0xF) << 2)


def either_way(direction: str, source: Test, destination: Test) -> Test:
    """`src`, `dst`, `src or dst`, `src and dst`."""
    if direction == "src":
        return source
    if direction == "dst":
        return destination
    return all_of(source, destination) if direction == "src and dst" else any_of(source, destination)


def port(layout: Layout, kind: str, direction: str, first: int, last: int) -> Test:
    """`port`, `portrange`: of TCP, UDP or SCTP, or of one of them (`kind`), over IP of either version."""
    wanted = PORTED if not kind else frozenset((PROTOCOLS[kind],))
    at, start = layout.network, transport_at(layout)

    def numbered(base: Number, offset: int) -> Test:
        def test(frame: bytes) -> bool:
            here = base(frame) + offset
            return first <= frame[here] << 8 | frame[here + 1] <= last

        if first <= last:
            return test
        return lambda frame: False

    def of(base: Number) -> Test:
        return either_way(direction, numbered(base, 0), numbered(base, 2))

    four = all_of(is_(layout, "ip"), lambda frame: frame[at + 9] in wanted, unfragmented(layout), of(start))
    six = all_of(is_(layout, "ip6"), lambda frame: frame[at + 6] in wanted, of(lambda frame: at + 40))
    return any_of(four, six)


def network(layout: Layout, kind: str, direction: str, address: bytes, mask: bytes | None = None) -> Test:
    """`host`, `net`: an address of IPv4 in IP, ARP and RARP, or in one of them (`kind`); one of IPv6 in IPv6."""
    at = layout.network

    def of(name: str, source: int, destination: int) -> Test:
        ends = octets_at(at + source, address, mask), octets_at(at + destination, address, mask)
        return all_of(is_(layout, name), either_way(direction, *ends))

    if len(address) == 16:
        return of("ip6", 8, 24)
    tests = {"ip": of("ip", 12, 16), "arp": of("arp", 14, 24), "rarp": of("rarp", 14, 24)}
    return tests[kind] if kind else any_of(*tests.values())


def ether(layout: Layout, direction: str, mac: bytes) -> Test:
    """`ether host`, `ether src`, `ether dst`."""
    return either_way(direction, octets_at(layout.ether + 6, mac), octets_at(layout.ether, mac))


def load(layout: Layout, kind: str, offset: Number, size: int) -> tuple[tuple[Test, ...], Number]:
    """`kind[offset:size]`: (what the frame must be, the number in network order)."""
    if kind == "ether":
        guards: tuple[Test, ...] = ()
        base: Number = lambda frame: layout.ether  # noqa: E731 - one of three
    elif kind in ETHERTYPES:
        guards = (is_(layout, kind),)
        base = lambda frame: layout.network  # noqa: E731
    else:
        guards = (protocol(layout, PROTOCOLS[kind], "ip"), unfragmented(layout))
        base = transport_at(layout)

    def number(frame: bytes) -> int:
        at = base(frame) + offset(frame)
        value = 0
        for i in range(at, at + size):
            value = value << 8 | frame[i]
        return value

    return guards, number
