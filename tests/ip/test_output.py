"""Whole datagrams out: routes, fragments, groups, and the wrong ways to ask."""

from typing import Any

import pytest

from tests.ip.rig import BROADCAST_MAC, IP, MAC, OTHER, PEER, PEER_MAC, US, Rig, Upper, checksums_hold, octets


@pytest.fixture
def rig() -> Rig:
    return Rig()


def test_small_datagram_is_one_packet(rig: Rig) -> None:
    assert rig.ip.send(octets(PEER), 253, b"data", rig.now, tos=4, ttl=3, df=True)
    frame = rig.sent_one()
    assert (frame.src, frame.dst, frame[IP].src, frame[IP].dst) == (MAC, PEER_MAC, US, PEER)
    assert (frame[IP].proto, frame[IP].tos, frame[IP].ttl, frame[IP].flags) == (253, 4, 3, "DF")
    assert bytes(frame[IP].payload) == b"data"
    assert checksums_hold(frame)


@pytest.mark.parametrize("mtu", [68, 576, 1_500])
@pytest.mark.parametrize("size", [1_481, 4_000, 65_515])
def test_large_datagram_goes_in_fragments_that_another_stack_reads(mtu: int, size: int) -> None:
    rig, other = Rig(mtu=mtu), Rig(mtu=mtu)
    upper = Upper(other, 253)
    payload = bytes(n & 255 for n in range(size))
    assert rig.ip.send(octets(PEER), 253, payload, rig.now)
    for frame in rig.device.frames:
        packet = bytearray(frame[24:])
        assert len(packet) <= mtu
        packet[12:20] = octets(PEER) + octets(US)  # swapping addresses leaves the sum as it is
        other.rx(octets(MAC) + octets(PEER_MAC) + b"\x08\x00" + bytes(packet))
    assert [data for _, data, _ in upper.received] == [payload]


def test_df_forbids_fragments(rig: Rig) -> None:
    assert rig.ip.send(octets(PEER), 253, bytes(1_480), rig.now, df=True)
    assert not rig.ip.send(octets(PEER), 253, bytes(1_481), rig.now, df=True)
    assert len(rig.sent()) == 1
    assert rig.mib["IpFragFails"] == 1


def test_path_that_takes_less_gets_smaller_fragments(rig: Rig) -> None:
    rig.ip.reduce_mtu(octets(PEER), 1_000, rig.now)
    assert rig.ip.send(octets(PEER), 253, bytes(1_400), rig.now)
    assert [frame[IP].len for frame in rig.sent()] == [996, 444]


@pytest.mark.parametrize("destination", ["198.51.100.7", "0.0.0.0", "0.1.2.3"])
def test_no_route_is_said_and_counted(rig: Rig, destination: str) -> None:
    assert not rig.ip.send(octets(destination), 253, b"data", rig.now)
    assert rig.mib["IpOutNoRoutes"] == 1
    assert rig.sent() == []


@pytest.mark.parametrize("source", [OTHER, "127.0.0.1", "192.0.2.255"])
def test_foreign_source_is_refused(rig: Rig, source: str) -> None:
    assert not rig.ip.send(octets(PEER), 253, b"data", rig.now, source=octets(source))
    assert rig.sent() == []


def test_impossible_length_is_the_callers_mistake(rig: Rig) -> None:
    with pytest.raises(ValueError, match="65536"):
        rig.ip.send(octets(PEER), 253, bytes(65_516), rig.now)


@pytest.mark.parametrize(
    ("destination", "mac", "ttl"),
    [
        ("255.255.255.255", BROADCAST_MAC, 64),
        ("192.0.2.255", BROADCAST_MAC, 64),
        ("224.0.0.251", "01:00:5e:00:00:fb", 1),  # RFC 1112 6.1, 6.4
        ("239.255.1.2", "01:00:5e:7f:01:02", 1),
    ],
)
def test_groups_need_no_neighbor(rig: Rig, destination: str, mac: str, ttl: int) -> None:
    assert rig.ip.send(octets(destination), 253, b"data", rig.now)
    frame = rig.sent_one()
    assert (frame.dst, frame[IP].src, frame[IP].dst, frame[IP].ttl) == (mac, US, destination, ttl)


def test_source_is_chosen_by_destination(rig: Rig) -> None:
    choices: list[tuple[str, Any]] = [(PEER, US), (US, US), ("127.0.0.1", "127.0.0.1"), ("8.8.8.8", None)]
    for destination, source in choices:
        assert rig.ip.source(octets(destination)) == (octets(source) if source else None)


def test_datagram_whose_fragments_nobody_takes_is_reported_once() -> None:
    rig = Rig(known=False)
    upper = Upper(rig, 253)
    assert rig.ip.send(octets(PEER), 253, bytes(4_000), rig.now)
    rig.after(3_000_000)
    assert upper.errors == [(3, 1, 0, octets(US) + octets(PEER), bytes(64))]
    assert rig.drops == {"neighbor.unresolved": 3}
