"""Routes: the longest prefix wins, and a host has the ones that it needs."""

from ipaddress import IPv4Address, IPv4Interface, IPv4Network

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstack.ip.route import BROADCAST, LOCAL, MULTICAST, UNICAST, UNREACHABLE, Kind, Route, RouteTable, ipv4_routes
from tests.ip.rig import octets

HOST = ipv4_routes(IPv4Interface("192.0.2.2/24"), IPv4Address("192.0.2.1"))


@pytest.mark.parametrize(
    ("destination", "kind", "gateway"),
    [
        ("192.0.2.2", LOCAL, None),
        ("127.0.0.1", LOCAL, None),
        ("127.255.255.254", LOCAL, None),
        ("192.0.2.1", UNICAST, None),
        ("192.0.2.0", UNICAST, None),
        ("192.0.2.254", UNICAST, None),
        ("192.0.2.255", BROADCAST, None),
        ("255.255.255.255", BROADCAST, None),
        ("224.0.0.1", MULTICAST, None),
        ("239.255.255.255", MULTICAST, None),
        ("0.0.0.0", UNREACHABLE, None),
        ("192.0.3.0", UNICAST, "192.0.2.1"),
        ("8.8.8.8", UNICAST, "192.0.2.1"),
        ("240.0.0.1", UNICAST, "192.0.2.1"),
    ],
)
def test_host_with_a_gateway(destination: str, kind: Kind, gateway: str | None) -> None:
    route = HOST.lookup(octets(destination))
    assert route is not None
    assert route.kind is kind
    assert route.gateway == (octets(gateway) if gateway else None)


def test_without_gateway_there_is_no_way_off_the_link() -> None:
    table = ipv4_routes(IPv4Interface("192.0.2.2/24"))
    assert table.lookup(octets("8.8.8.8")) is None
    assert table.lookup(octets("192.0.2.77")) is not None


@pytest.mark.parametrize("length", [31, 32])
def test_smallest_networks_have_no_broadcast_address(length: int) -> None:  # RFC 3021
    table = ipv4_routes(IPv4Interface(f"192.0.2.3/{length}"))
    assert [route.network for route in table.routes() if route.kind is BROADCAST] == [octets("255.255.255.255")]
    local = table.lookup(octets("192.0.2.3"))
    assert local is not None
    assert local.kind is LOCAL


@pytest.mark.parametrize(
    ("interface", "gateway"),
    [
        ("192.0.2.2/24", "198.51.100.1"),
        ("192.0.2.2/24", "192.0.2.2"),
        ("192.0.2.255/24", None),
        ("224.0.0.1/24", None),
        ("127.0.0.1/8", None),
        ("0.0.0.0/0", None),
    ],
)
def test_impossible_addresses_are_refused(interface: str, gateway: str | None) -> None:
    with pytest.raises(ValueError, match=r"gateway|address"):
        ipv4_routes(IPv4Interface(interface), IPv4Address(gateway) if gateway else None)


@pytest.mark.parametrize(("network", "length"), [(bytes(3), 8), (bytes(4), 33), (bytes(4), -1), (b"\x0a\0\0\x01", 8)])
def test_impossible_networks_are_refused(network: bytes, length: int) -> None:
    with pytest.raises(ValueError, match=r"network|host bits"):
        RouteTable(32).add(Route(network, length, UNICAST))


def test_route_to_the_same_network_replaces_the_old_one() -> None:
    table = RouteTable(32)
    table.add(Route(bytes(4), 0, UNICAST, b"AAAA"))
    table.add(Route(bytes(4), 0, UNICAST, b"BBBB"))
    assert table.routes() == [Route(bytes(4), 0, UNICAST, b"BBBB")]


networks = st.builds(
    lambda address, length: IPv4Network((address, length), strict=False),
    st.integers(0, 2**32 - 1).map(lambda n: n & 0xC0C0_00C0),
    st.integers(0, 32),
)


@given(st.lists(networks), st.integers(0, 2**32 - 1).map(lambda n: n & 0xC0C0_00FF))
def test_longest_prefix_wins(present: list[IPv4Network], destination: int) -> None:
    table = RouteTable(32)
    for network in present:
        table.add(Route(network.network_address.packed, network.prefixlen, UNICAST))
    found = table.lookup(destination.to_bytes(4, "big"))
    matching = [network for network in present if IPv4Address(destination) in network]
    best = max(matching, key=lambda network: network.prefixlen, default=None)
    assert (None if found is None else (found.network, found.prefix_len)) == (
        None if best is None else (best.network_address.packed, best.prefixlen)
    )


def test_addresses_of_any_length_do() -> None:
    table = RouteTable(128)
    table.add(Route(bytes(16), 0, UNICAST, bytes(15) + b"\x01"))
    table.add(Route(b"\x20\x01\x0d\xb8" + bytes(12), 32, UNICAST))
    assert table.lookup(b"\x20\x01\x0d\xb8" + bytes(11) + b"\x05") == Route(
        b"\x20\x01\x0d\xb8" + bytes(12), 32, UNICAST
    )
