"""From what was captured on each kind of link to IPv4 packets."""

import pytest
from scapy.layers.inet import IP, UDP
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, CookedLinux, CookedLinuxV2, Dot1AD, Dot1Q, Ether, Loopback

from netstack.link.linktype import Ipv4Packet, ipv4_packets
from netstack.link.pcap_format import CaptureError
from netstack.link.pcap_reader import Captured

IPV4 = IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=1, dport=2) / b"data"
PACKET = bytes(IPV4)
ETHER = Ether(src="02:00:00:00:00:01", dst="02:00:00:00:00:02")


def packets(*captured, linktype=1):
    return list(ipv4_packets(Captured(n, linktype, bytes(data), len(data)) for n, data in enumerate(captured)))


@pytest.mark.parametrize(
    ("linktype", "data"),
    [
        (1, ETHER / IPV4),
        (1, ETHER / Dot1Q(vlan=7) / IPV4),
        (1, ETHER / Dot1AD(vlan=9) / Dot1Q(vlan=7) / IPV4),
        (1, bytes(ETHER / IPV4) + bytes(20)),  # padding and frame check sequence
        (12, IPV4),
        (14, IPV4),
        (101, IPV4),
        (228, IPV4),
        (113, CookedLinux() / IPV4),
        (113, bytes(CookedLinux(proto=0x8100)) + b"\x00\x07\x08\x00" + PACKET),
        (276, CookedLinuxV2() / IPV4),
        (0, Loopback(type=2) / IPV4),
        (0, b"\0\0\0\2" + PACKET),
        (0, b"\2\0\0\0" + PACKET),
        (108, b"\0\0\0\2" + PACKET),
    ],
)
def test_every_link_type_gives_the_packet_alone(linktype, data):
    assert packets(bytes(data), linktype=linktype) == [Ipv4Packet(0, PACKET, len(PACKET))]


@pytest.mark.parametrize(
    ("linktype", "data"),
    [
        (1, ETHER / ARP()),
        (1, ETHER / IPv6()),
        (1, ETHER / Dot1Q() / ARP()),
        (1, bytes(ETHER)[:12] + b"\x81\x00"),
        (1, bytes(ETHER / IPV4)[: 14 + 19]),
        (1, b""),
        (101, bytes(IPv6())),
        (229, bytes(IPv6())),
        (228, b"\x44" + PACKET[1:]),  # a header of 16 octets
        (0, b"\x1e\0\0\0" + bytes(IPv6())),
        (276, bytes(CookedLinuxV2())[:12]),
    ],
)
def test_what_is_not_ipv4_is_passed_over(linktype, data):
    good = {1: ETHER / IPV4, 276: CookedLinuxV2() / IPV4, 0: Loopback(type=2) / IPV4}.get(linktype, IPV4)
    assert packets(bytes(data), bytes(good), linktype=linktype) == [Ipv4Packet(1, PACKET, len(PACKET))]


def test_a_packet_cut_by_the_snap_length_knows_how_long_it_was():
    captured = Captured(5, 1, bytes(ETHER / IPV4)[:40], 14 + len(PACKET))
    assert list(ipv4_packets([captured])) == [Ipv4Packet(5, PACKET[:26], len(PACKET))]


def test_a_packet_captured_before_segmentation_has_the_length_of_the_medium():
    data = bytes(ETHER / IPV4)
    data = data[:16] + b"\0\0" + data[18:]
    assert list(ipv4_packets([Captured(5, 1, data, 70_014)])) == [Ipv4Packet(5, data[14:], 70_000)]


def test_unknown_link_types_are_passed_over_while_there_is_something_else():
    radio = Captured(0, 127, PACKET, len(PACKET))
    raw = Captured(1, 101, PACKET, len(PACKET))
    assert list(ipv4_packets([radio, raw, radio])) == [Ipv4Packet(1, PACKET, len(PACKET))]


def test_nothing_but_unknown_link_types_is_an_error():
    capture = ipv4_packets([Captured(0, 127, PACKET, len(PACKET)), Captured(0, 9, PACKET, len(PACKET))])
    with pytest.raises(CaptureError, match="only of type 9, 127"):
        list(capture)
    assert list(ipv4_packets([])) == []
