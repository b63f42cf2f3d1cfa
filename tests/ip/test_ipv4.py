"""What arrives: the checks of RFC 1122 3.2.1 and RFC 1812 5.2.2, each refusal counted, nothing answered by mistake."""

from typing import Any

import pytest
from scapy.layers.inet import (
    IPOption,
    IPOption_LSRR,
    IPOption_NOP,
    IPOption_Router_Alert,
    IPOption_RR,
    IPOption_SSRR,
    IPOption_Timestamp,
)

from netstack.events import Dropped, FrameReceived, PacketReceived
from netstack.ip.ipv4 import MAX_PEERS
from netstack.link.device import DATA_VALID, GSO_TCPV4, NEEDS_CSUM, VNET
from netstack.wire import ipv4
from tests.ip.rig import (
    BROADCAST_MAC,
    ICMP,
    IP,
    MAC,
    OTHER,
    PEER,
    PEER_MAC,
    TCP,
    UDP,
    US,
    Ether,
    Rig,
    Upper,
    checksums_hold,
    octets,
    quoted,
)

PAIR = octets(PEER) + octets(US)
ETHERNET = bytes(Ether(src=PEER_MAC, dst=MAC, type=0x0800))


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def upper(rig: Rig) -> Upper:
    return Upper(rig, 6)


def packet(**fields: Any) -> Any:
    return IP(**{"src": PEER, "dst": US, "proto": 6} | fields) / b"payload"


def test_good_packet_is_delivered_with_its_addresses(rig: Rig, upper: Upper) -> None:
    rig.rx(packet())
    rig.rx(packet())  # the second time by the short way
    assert upper.received == [(PAIR, b"payload", False)] * 2
    assert rig.mib == {"IpInReceives": 2, "IpInDelivers": 2, "IpExtInNoECTPkts": 2}
    assert not rig.drops


def test_sink_sees_good_packets_once_and_what_happened_to_the_others(rig: Rig, upper: Upper) -> None:
    rig.watch()
    rig.rx(packet(ttl=7, tos=4))
    rig.rx(packet(ttl=7, tos=4))  # the second time by the short way
    rig.rx(packet(dst=OTHER))
    assert len(upper.received) == 2
    good = PacketReceived(rig.now, octets(PEER), octets(US), 6, 27, 7, 4)
    assert [event for event in rig.events if type(event) is not FrameReceived] == [
        good, good, Dropped(rig.now, "ipv4.not_ours")
    ]  # fmt: skip


def test_padding_of_a_short_frame_is_cut_off(rig: Rig, upper: Upper) -> None:
    for _ in range(2):
        rig.rx(bytes(Ether(src=PEER_MAC, dst=MAC) / packet()) + bytes(19))
    assert upper.received == [(PAIR, b"payload", False)] * 2


@pytest.mark.parametrize(("flags", "verified"), [(0, False), (NEEDS_CSUM, True), (DATA_VALID, True)])
def test_device_vouches_for_the_transport_checksum(rig: Rig, upper: Upper, flags: int, verified: bool) -> None:
    for _ in range(2):
        rig.rx(packet(), VNET.pack(flags, 0, 0, 0, 34, 16))
    assert upper.received == [(PAIR, b"payload", verified)] * 2


def test_super_segment_is_one_packet(rig: Rig, upper: Upper) -> None:
    super_segment = IP(src=PEER, dst=US, proto=6) / bytes(65_515)
    for _ in range(2):
        rig.rx(super_segment, VNET.pack(NEEDS_CSUM, GSO_TCPV4, 54, 1_460, 34, 16))
    assert upper.received == [(PAIR, bytes(65_515), True)] * 2


def test_any_ttl_is_good_enough_to_arrive(rig: Rig, upper: Upper) -> None:  # RFC 1122 3.2.1.7
    for ttl in (0, 1, 255):
        rig.rx(packet(ttl=ttl))
    assert len(upper.received) == 3


def test_df_and_the_reserved_bit_do_not_matter(rig: Rig, upper: Upper) -> None:
    for flags in ("DF", "evil"):
        rig.rx(packet(flags=flags))
    assert len(upper.received) == 2


def damaged(at: int, value: int) -> bytes:
    octets_out = bytearray(bytes(packet()))
    octets_out[at] = value
    return bytes(octets_out)


@pytest.mark.parametrize(
    ("octets_in", "reason", "counter"),
    [
        (b"", "too_short", "IpInHdrErrors"),
        (bytes(packet())[:19], "too_short", "IpInHdrErrors"),
        (bytes(packet(version=6)), "bad_version", "IpInHdrErrors"),
        (bytes(packet(version=0)), "bad_version", "IpInHdrErrors"),
        (bytes(packet(ihl=4)), "bad_header_length", "IpInHdrErrors"),
        (bytes(packet(ihl=15)), "bad_header_length", "IpInHdrErrors"),
        (bytes(packet(len=19)), "bad_total_length", "IpInHdrErrors"),
        (bytes(packet(len=0)), "bad_total_length", "IpInHdrErrors"),
        (bytes(packet(len=28)), "truncated", "IpInHdrErrors"),
        (bytes(packet())[:-1], "truncated", "IpInHdrErrors"),
        (bytes(packet(chksum=0x1234)), "bad_checksum", "IpInHdrErrors"),
        (damaged(8, 63), "bad_checksum", "IpInHdrErrors"),
        (bytes(packet(dst=OTHER)), "not_ours", "IpInAddrErrors"),
        (bytes(packet(dst="198.51.100.7")), "not_ours", "IpInAddrErrors"),
        (bytes(packet(dst="127.0.0.1")), "not_ours", "IpInAddrErrors"),
        (bytes(packet(dst="0.0.0.0")), "not_ours", "IpInAddrErrors"),
        (bytes(packet(dst="224.0.0.5")), "not_ours", "IpInAddrErrors"),
        (bytes(packet(src=US)), "martian_source", "IpInAddrErrors"),
        (bytes(packet(src="127.0.0.1")), "martian_source", "IpInAddrErrors"),
        (bytes(packet(src="0.0.0.0")), "martian_source", "IpInAddrErrors"),
        (bytes(packet(src="0.1.2.3")), "martian_source", "IpInAddrErrors"),
        (bytes(packet(src="224.0.0.1")), "martian_source", "IpInAddrErrors"),
        (bytes(packet(src="239.1.2.3")), "martian_source", "IpInAddrErrors"),
        (bytes(packet(src="255.255.255.255")), "martian_source", "IpInAddrErrors"),
        (bytes(packet(src="192.0.2.255")), "martian_source", "IpInAddrErrors"),
    ],
)
@pytest.mark.parametrize("warm", [False, True])
def test_bad_packet_is_dropped_silently_for_its_first_reason(
    rig: Rig, upper: Upper, octets_in: bytes, reason: str, counter: str, warm: bool
) -> None:
    if warm:  # the short way must refuse what the long way refuses
        rig.rx(packet())
        upper.received.clear()
    before = rig.mib["IpInReceives"]
    rig.rx(ETHERNET + octets_in)
    assert upper.received == []
    assert rig.drops == {f"ipv4.{reason}": 1}
    assert rig.mib[counter] == 1
    assert rig.mib["IpInReceives"] == before + 1
    assert rig.sent() == []


def test_every_single_bit_of_a_header_is_protected(rig: Rig, upper: Upper) -> None:
    rig.rx(packet())
    good = bytes(packet())
    for bit in range(160):
        octets_in = bytearray(good)
        octets_in[bit >> 3] ^= 0x80 >> (bit & 7)
        rig.rx(ETHERNET + bytes(octets_in))
    assert len(upper.received) == 1
    assert sum(rig.drops.values()) == 160
    assert rig.sent() == []


def test_refusal_is_an_event(rig: Rig, upper: Upper) -> None:
    rig.watch()
    rig.rx(packet(dst=OTHER))
    assert Dropped(rig.now, "ipv4.not_ours") in rig.events


# -- groups


def broadcast(**fields: Any) -> Any:
    return Ether(src=PEER_MAC, dst=BROADCAST_MAC) / IP(**{"src": PEER, "dst": US} | fields)


def test_unicast_packet_in_a_broadcast_frame_is_dropped(rig: Rig, upper: Upper) -> None:  # RFC 1122 3.3.6
    rig.rx(packet())
    rig.rx(broadcast(proto=6) / b"payload")
    rig.rx(broadcast() / ICMP())
    rig.rx(broadcast() / UDP(dport=9))
    assert len(upper.received) == 1
    assert rig.drops == {"ipv4.unicast_in_group_frame": 3}
    assert rig.sent() == []


@pytest.mark.parametrize("destination", ["255.255.255.255", "192.0.2.255", "224.0.0.1"])
def test_nothing_sent_to_a_group_is_ever_answered(rig: Rig, upper: Upper, destination: str) -> None:
    rig.rx(broadcast(dst=destination) / ICMP())
    rig.rx(broadcast(dst=destination) / UDP(dport=9) / b"x")
    rig.rx(broadcast(dst=destination, proto=253) / b"x")
    rig.rx(broadcast(dst=destination, proto=6) / b"x")
    rig.rx(IP(src=PEER, dst=destination) / ICMP())  # and when the frame was for us alone
    rig.rx(ETHERNET + ipv4.build(octets(PEER) + octets(destination), 17, 0, options=b"\x44\x01\0\0"))
    assert rig.sent() == []
    assert upper.received == []
    assert rig.drops == {"icmp.to_group": 2, "udp.no_port": 1, "ipv4.group_protocol": 2, "ipv4.bad_options": 1}


def test_host_without_an_address_may_broadcast(rig: Rig) -> None:
    endpoint = rig.udp.bind(port=67)
    rig.rx(broadcast(src="0.0.0.0", dst="255.255.255.255") / UDP(sport=68, dport=67) / b"discover")
    datagram = endpoint.receive()
    assert datagram is not None
    assert datagram.data == b"discover"
    assert rig.drops == {}


# -- options


@pytest.mark.parametrize(
    "option",
    [IPOption_RR(pointer=4, routers=["0.0.0.0"] * 3), IPOption_Timestamp(), IPOption_Router_Alert(), IPOption_NOP()],
)
def test_options_are_stepped_over(rig: Rig, upper: Upper, option: Any) -> None:
    rig.rx(packet(options=[option]))
    rig.rx(packet(options=[option]))
    assert upper.received == [(PAIR, b"payload", False)] * 2


@pytest.mark.parametrize("option", [IPOption_LSRR(routers=[OTHER]), IPOption_SSRR(routers=[OTHER])])
def test_source_routes_are_refused(rig: Rig, upper: Upper, option: Any) -> None:
    rig.rx(packet(options=[option]))
    assert upper.received == []
    assert rig.drops == {"ipv4.source_route": 1}
    assert rig.sent() == []


def test_impossible_option_is_a_parameter_problem_that_points_at_it(rig: Rig, upper: Upper) -> None:
    sent_in = packet(options=[IPOption(b"\x01\x01\x44\x09")])
    rig.rx(sent_in)
    assert upper.received == []
    assert rig.drops == {"ipv4.bad_options": 1}
    error = rig.sent_one()
    assert (error.dst, error[IP].src, error[IP].dst) == (PEER_MAC, US, PEER)
    assert (error[ICMP].type, error[ICMP].code, error[ICMP].ptr) == (12, 0, 22)
    assert quoted(error) == bytes(sent_in)
    assert checksums_hold(error)


# -- protocols


def test_protocol_without_receiver_is_unreachable(rig: Rig) -> None:
    sent_in = packet(proto=132)
    rig.rx(sent_in)
    error = rig.sent_one()
    assert (error[IP].src, error[IP].dst, error[IP].tos) == (US, PEER, 0xC0)
    assert (error[ICMP].type, error[ICMP].code) == (3, 2)
    assert quoted(error) == bytes(sent_in)
    assert checksums_hold(error)
    assert rig.mib["IpInUnknownProtos"] == 1
    assert rig.drops == {"ipv4.unknown_protocol": 1}
    assert rig.mib["IcmpOutDestUnreachs"] == 1


def test_receiver_registered_later_is_used_by_peers_already_known(rig: Rig) -> None:
    rig.rx(packet())
    upper = Upper(rig, 6)
    rig.rx(packet())
    assert len(upper.received) == 1


def test_memory_of_good_peers_is_bounded(rig: Rig, upper: Upper) -> None:
    for n in range(MAX_PEERS + 10):
        rig.rx(packet(src=f"10.{n >> 16}.{n >> 8 & 255}.{n & 255}") if n % 1000 == 0 else cheap(n))
    assert len(upper.received) == MAX_PEERS + 10
    assert len(rig.ip._peers) <= MAX_PEERS


def cheap(n: int) -> bytes:
    pair = bytes((10, n >> 16, n >> 8 & 255, n & 255)) + octets(US)
    return ETHERNET + ipv4.build(pair, 6, 1) + b"x"


def test_tcp_reads_from_the_frame_where_it_lies(rig: Rig) -> None:
    seen = []
    rig.ip.protocols[6] = lambda frame, ip_at, at, end, pair, verified, now: seen.append((ip_at, at, end, len(frame)))
    rig.rx(IP(src=PEER, dst=US) / TCP() / b"12345")
    rig.rx(IP(src=PEER, dst=US, options=[IPOption_NOP()]) / TCP() / b"12345")
    assert seen == [(24, 44, 69, 69), (24, 48, 73, 73)]
