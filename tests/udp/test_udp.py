"""UDP: datagrams to the endpoint they are for, bounded queues, port unreachable, errors to whom they concern."""

import errno
from typing import Any

import pytest

from netstack.link.device import NEEDS_CSUM, VNET
from netstack.udp.endpoint import FAILED, OVERHEAD, READABLE, WRITABLE, Endpoint
from netstack.units import SECOND
from tests.ip.rig import (
    BROADCAST_MAC,
    ICMP,
    IP,
    OTHER,
    PEER,
    PEER_MAC,
    UDP,
    US,
    Ether,
    Rig,
    checksums_hold,
    octets,
    quoted,
)  # fmt: skip

FROM_PEER = (octets(PEER), 5_000)


@pytest.fixture
def rig() -> Rig:
    rig = Rig()
    rig.learn(OTHER, "02:00:5e:00:02:09")
    return rig


@pytest.fixture
def endpoint(rig: Rig) -> Endpoint:
    return rig.udp.bind(port=53)


def datagram(data: bytes = b"data", src: str = PEER, dst: str = US, **fields: Any) -> Any:
    return IP(src=src, dst=dst) / UDP(**{"sport": 5_000, "dport": 53} | fields) / data


# -- arriving


@pytest.mark.parametrize("fields", [{}, {"chksum": 0}])
def test_datagram_reaches_the_endpoint(rig: Rig, endpoint: Endpoint, fields: dict[str, int]) -> None:
    rig.rx(datagram(**fields))
    assert endpoint.receive() == (b"data", FROM_PEER)
    assert endpoint.receive() is None
    assert (rig.mib["UdpInDatagrams"], rig.sent()) == (1, [])


def test_octets_beyond_the_length_are_not_data(rig: Rig, endpoint: Endpoint) -> None:
    rig.rx(datagram(b"data and more", len=12, chksum=0))
    assert endpoint.receive() == (b"data", FROM_PEER)


def test_partial_checksum_of_our_own_host_is_good(rig: Rig, endpoint: Endpoint) -> None:
    rig.rx(datagram(chksum=0xBAD), VNET.pack(NEEDS_CSUM, 0, 0, 0, 34, 6))
    assert endpoint.receive() == (b"data", FROM_PEER)


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (datagram(chksum=0xBAD), "bad_checksum"),
        (datagram(len=7), "bad_length"),
        (datagram(len=13), "bad_length"),
        (IP(src=PEER, dst=US, proto=17) / b"1234567", "bad_length"),
    ],
)
def test_damaged_datagram_is_dropped_silently(rig: Rig, endpoint: Endpoint, packet: Any, reason: str) -> None:
    rig.rx(packet)
    assert endpoint.receive() is None
    assert rig.drops == {f"udp.{reason}": 1}
    assert (rig.mib["UdpInErrors"], rig.sent()) == (1, [])


def test_nobody_there_is_port_unreachable(rig: Rig) -> None:
    packet = datagram(dport=54)
    rig.rx(packet)
    error = rig.sent_one()
    assert (error[IP].src, error[IP].dst, error[ICMP].type, error[ICMP].code) == (US, PEER, 3, 3)
    assert quoted(error) == bytes(packet)
    assert checksums_hold(error)
    assert (rig.mib["UdpNoPorts"], rig.drops) == (1, {"udp.no_port": 1})


def test_queue_is_bounded_and_counts_what_it_refuses(rig: Rig, endpoint: Endpoint) -> None:
    endpoint.rcvbuf = 2 * (4 + OVERHEAD)
    for _ in range(5):
        rig.rx(datagram())
    assert (rig.mib["UdpInDatagrams"], rig.mib["UdpRcvbufErrors"]) == (2, 3)
    assert rig.drops == {"udp.receive_buffer_full": 3}
    endpoint.receive()
    rig.rx(datagram(b"next"))
    assert [endpoint.receive(), endpoint.receive()] == [(b"data", FROM_PEER), (b"next", FROM_PEER)]
    assert endpoint.queued == 0


def test_connected_endpoint_hears_only_its_peer(rig: Rig, endpoint: Endpoint) -> None:
    endpoint.connect(FROM_PEER)
    rig.rx(datagram(src=OTHER))
    rig.rx(datagram(sport=5_001))
    assert len(rig.sent()) == 2
    rig.rx(datagram())
    assert endpoint.receive() == (b"data", FROM_PEER)


def test_broadcast_reaches_who_is_bound_to_any_address(rig: Rig, endpoint: Endpoint) -> None:
    ours = rig.udp.bind(octets(US), 67)
    for port in (53, 67):
        rig.rx(Ether(src=PEER_MAC, dst=BROADCAST_MAC) / datagram(dst="192.0.2.255", dport=port))
    assert endpoint.receive() == (b"data", FROM_PEER)
    assert ours.receive() is None
    assert rig.sent() == []


# -- leaving


def test_datagram_leaves_at_the_next_transmit(rig: Rig, endpoint: Endpoint) -> None:
    assert endpoint.send(b"answer", FROM_PEER)
    assert rig.sent() == []
    rig.udp.transmit(rig.now)
    frame = rig.sent_one()
    assert (frame[IP].src, frame[IP].dst, frame[UDP].sport, frame[UDP].dport) == (US, PEER, 53, 5_000)
    assert (bytes(frame[UDP].payload), frame[IP].flags) == (b"answer", "DF")
    assert checksums_hold(frame)
    assert (rig.mib["UdpOutDatagrams"], endpoint.unsent) == (1, 0)


def test_large_datagram_goes_in_fragments(rig: Rig, endpoint: Endpoint) -> None:
    endpoint.connect(FROM_PEER)
    assert endpoint.send(bytes(65_507))
    rig.udp.transmit(rig.now)
    frames = rig.sent()
    assert len(frames) == 45
    assert not any(frame[IP].flags.DF for frame in frames)


def test_send_queue_is_bounded_and_says_when_there_is_room(rig: Rig, endpoint: Endpoint) -> None:
    seen: list[int] = []
    endpoint.observer = seen.append
    endpoint.sndbuf = 2 * (4 + OVERHEAD)
    assert [endpoint.send(b"data", FROM_PEER) for _ in range(3)] == [True, True, False]
    rig.udp.transmit(rig.now)
    assert len(rig.sent()) == 2
    assert rig.udp.deadline() == rig.now
    rig.udp.transmit(rig.now)
    assert seen == [WRITABLE]
    assert rig.udp.deadline() is None


def test_observer_is_told_once_per_turn_and_may_answer(rig: Rig, endpoint: Endpoint) -> None:
    seen: list[int] = []

    def observer(bits: int) -> None:
        seen.append(bits)
        while (arrived := endpoint.receive()) is not None:
            endpoint.send(arrived.data.upper(), arrived.remote)

    endpoint.observer = observer
    rig.rx(datagram(b"one"))
    rig.rx(datagram(b"two"))
    rig.udp.transmit(rig.now)
    assert seen == [READABLE]
    assert [bytes(frame[UDP].payload) for frame in rig.sent()] == [b"ONE", b"TWO"]


def test_datagram_to_ourselves_arrives(rig: Rig, endpoint: Endpoint) -> None:
    client = rig.udp.bind(octets("127.0.0.1"), 0)
    client.send(b"hello", (octets("127.0.0.1"), 53))
    rig.udp.transmit(rig.now)
    rig.ip.loop(rig.now)
    assert endpoint.receive() == (b"hello", client.local)
    assert rig.sent() == []


@pytest.mark.parametrize(
    ("data", "remote"), [(b"x", None), (bytes(65_508), FROM_PEER)], ids=["no destination", "too long"]
)
def test_impossible_datagram_is_the_callers_mistake(endpoint: Endpoint, data: bytes, remote: Any) -> None:
    with pytest.raises(ValueError, match="datagram"):
        endpoint.send(data, remote)


# -- ports


@pytest.mark.parametrize(
    ("first", "second", "error"),
    [
        (("0.0.0.0", 53), ("0.0.0.0", 53), errno.EADDRINUSE),
        (("0.0.0.0", 53), (US, 53), errno.EADDRINUSE),
        ((US, 53), ("0.0.0.0", 53), errno.EADDRINUSE),
        ((US, 53), (US, 53), errno.EADDRINUSE),
        ((US, 53), (OTHER, 54), errno.EADDRNOTAVAIL),
        ((US, 53), ("127.0.0.1", 53), 0),
        ((US, 53), (US, 54), 0),
    ],
)
def test_ports_are_taken_by_address(rig: Rig, first: Any, second: Any, error: int) -> None:
    rig.udp.bind(octets(first[0]), first[1])
    if not error:
        assert rig.udp.bind(octets(second[0]), second[1]).local[1] == second[1]
        return
    with pytest.raises(OSError, match=r"address|Address") as caught:
        rig.udp.bind(octets(second[0]), second[1])
    assert caught.value.errno == error


def test_ports_run_out_and_come_back(rig: Rig) -> None:
    rig.udp.port_range = (40_000, 40_009)
    endpoints = [rig.udp.bind() for _ in range(10)]
    assert sorted(endpoint.local[1] for endpoint in endpoints) == list(range(40_000, 40_010))
    with pytest.raises(OSError, match="in use"):
        rig.udp.bind()
    endpoints[3].close()
    endpoints[3].close()
    assert rig.udp.bind().local == endpoints[3].local


def test_closed_endpoint_forgets_everything(rig: Rig, endpoint: Endpoint) -> None:
    rig.rx(datagram())
    endpoint.send(b"x", FROM_PEER)
    endpoint.close()
    rig.udp.transmit(rig.now)
    assert (endpoint.receive(), rig.sent(), rig.udp.deadline()) == (None, [], None)
    with pytest.raises(ValueError, match="open endpoint"):
        endpoint.send(b"x", FROM_PEER)
    rig.rx(datagram())
    assert rig.sent_one()[ICMP].code == 3


# -- errors


def unreachable(code: int, sport: int = 53, dport: int = 5_000, **fields: Any) -> Any:
    return (
        IP(src=OTHER, dst=US)
        / ICMP(**{"type": 3, "code": code} | fields)
        / IP(src=US, dst=PEER)
        / UDP(sport=sport, dport=dport)
    )


@pytest.mark.parametrize(
    ("code", "error"),
    [(0, errno.ENETUNREACH), (1, errno.EHOSTUNREACH), (2, errno.ENOPROTOOPT), (3, errno.ECONNREFUSED)],
)
def test_connected_endpoint_is_told(rig: Rig, endpoint: Endpoint, code: int, error: int) -> None:
    seen: list[int] = []
    endpoint.observer = seen.append
    endpoint.connect(FROM_PEER)
    rig.rx(unreachable(code))
    rig.udp.transmit(rig.now)
    assert (endpoint.error, seen) == (error, [FAILED])


@pytest.mark.parametrize("ports", [(54, 5_000), (53, 5_001)])
def test_error_about_another_conversation_is_not_ours(rig: Rig, endpoint: Endpoint, ports: tuple[int, int]) -> None:
    endpoint.connect(FROM_PEER)
    rig.rx(unreachable(3, *ports))
    rig.rx(unreachable(4, *ports, nexthopmtu=600))
    assert endpoint.error == 0
    assert rig.ip.mtu(octets(PEER)) == 1_500


def test_unconnected_endpoint_is_not_told(rig: Rig, endpoint: Endpoint) -> None:
    rig.rx(unreachable(3))
    assert endpoint.error == 0


def test_path_mtu_makes_the_next_datagram_go_in_fragments(rig: Rig, endpoint: Endpoint) -> None:
    rig.rx(unreachable(4, nexthopmtu=600))
    assert rig.ip.mtu(octets(PEER)) == 600
    endpoint.send(bytes(1_000), FROM_PEER)
    rig.udp.transmit(rig.now)
    assert [frame[IP].len for frame in rig.sent()] == [596, 452]


def test_silent_neighbor_is_host_unreachable(rig: Rig, endpoint: Endpoint) -> None:
    remote = (octets("192.0.2.77"), 9)
    endpoint.connect(remote)
    endpoint.send(b"anybody?")
    rig.udp.transmit(rig.now)
    rig.after(3 * SECOND)
    assert endpoint.error == errno.EHOSTUNREACH


def test_no_route_is_network_unreachable(rig: Rig, endpoint: Endpoint) -> None:
    endpoint.send(b"x", (octets("198.51.100.7"), 9))
    rig.udp.transmit(rig.now)
    assert endpoint.error == errno.ENETUNREACH
