"""Ethernet, ARP and UDP against scapy."""

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IP, UDP
from scapy.layers.l2 import ARP, Ether

from netstack.wire import arp, ethernet, udp
from netstack.wire.checksum import finish, ones_sum, pseudo_sum

HOST, STACK = bytes.fromhex("02005e000201"), bytes.fromhex("02005e000202")
PAIR = bytes([192, 0, 2, 1, 192, 0, 2, 2])
u16 = st.integers(0, 0xFFFF)


def test_ethernet_header_is_the_same_in_scapy():
    ours = ethernet.build(STACK, HOST, ethernet.IPV6)
    assert ours == bytes(Ether(dst="02:00:5e:00:02:02", src="02:00:5e:00:02:01", type=0x86DD))
    assert ethernet.parse(b"xx" + ours, 2) == (STACK, HOST, b"\x86\xdd")


@pytest.mark.parametrize("size", range(14))
def test_short_frame_is_refused(size):
    assert ethernet.parse(bytes(size)) is None


def test_group_addresses():
    assert ethernet.is_group(ethernet.BROADCAST)
    assert ethernet.is_group(bytes.fromhex("01005e000001"))
    assert not ethernet.is_group(STACK)
    assert not ethernet.is_group(b"")


@pytest.mark.parametrize("wrong", [(STACK[:5], HOST, b"\0\0"), (STACK, HOST + b"\0", b"\0\0"), (STACK, HOST, b"\0")])
def test_ethernet_addresses_of_the_wrong_size_are_wrong_use(wrong):
    with pytest.raises(ValueError, match="6 octets"):
        ethernet.build(*wrong)


@pytest.mark.parametrize("op", [arp.REQUEST, arp.REPLY])
def test_arp_is_the_same_in_scapy(op):
    ours = arp.build(op, HOST, PAIR[:4], STACK, PAIR[4:])
    theirs = ARP(op=op, hwsrc=HOST.hex(":"), psrc="192.0.2.1", hwdst=STACK.hex(":"), pdst="192.0.2.2")
    assert ours == bytes(theirs)
    assert arp.parse(b"xx" + ours + bytes(18), 2) == (op, HOST, PAIR[:4], STACK, PAIR[4:])


@pytest.mark.parametrize(
    ("where", "octet", "accepted"), [(1, 6, True), (1, 7, False), (2, 9, False), (4, 8, False), (5, 16, False)]
)
def test_arp_for_other_kinds_of_addresses_is_refused(where, octet, accepted):
    packet = bytearray(arp.build(arp.REQUEST, HOST, PAIR[:4], STACK, PAIR[4:]))
    packet[where] = octet
    assert (arp.parse(bytes(packet)) is not None) == accepted


def test_arp_addresses_of_the_wrong_size_are_wrong_use():
    with pytest.raises(ValueError, match="6 octets"):
        arp.build(arp.REQUEST, HOST, PAIR, STACK, PAIR[4:])


@settings(deadline=None)
@given(u16, u16, st.binary(max_size=60))
def test_udp_is_the_same_in_scapy(sport, dport, payload):
    ours = udp.build(sport, dport, payload, PAIR)
    theirs = bytes(IP(src="192.0.2.1", dst="192.0.2.2") / UDP(sport=sport, dport=dport) / payload)[20:]
    assert ours == theirs
    datagram = udp.parse(b"xx" + theirs + b"padding", 2)
    assert datagram is not None
    assert (datagram.sport, datagram.dport, datagram.payload) == (sport, dport, payload)
    assert datagram.length == len(theirs)
    assert udp.checksum_valid(theirs, PAIR)


def test_udp_checksum_that_comes_out_as_zero_is_sent_as_ones():
    """RFC 768: zero means that there is none."""
    sport = finish(pseudo_sum(PAIR, udp.PROTOCOL, 8) + 8)
    datagram = udp.build(sport, 0, b"", PAIR)
    assert (pseudo_sum(PAIR, udp.PROTOCOL, 8) + ones_sum(datagram[:6])) % 0xFFFF == 0
    assert datagram[6:8] == b"\xff\xff"
    assert udp.checksum_valid(datagram, PAIR)


def test_udp_without_checksum_passes_and_a_wrong_one_does_not():
    datagram = udp.build(5, 9, b"data", PAIR)
    assert udp.checksum_valid(datagram[:6] + b"\0\0" + datagram[8:], PAIR)
    assert not udp.checksum_valid(datagram[:-1] + b"A", PAIR)


@pytest.mark.parametrize(("length", "accepted"), [(0, False), (7, False), (8, True), (12, True), (13, False)])
def test_udp_length_must_lie_within_the_packet(length, accepted):
    datagram = bytearray(udp.build(5, 9, b"data", PAIR))
    datagram[4:6] = length.to_bytes(2, "big")
    assert (udp.parse(bytes(datagram)) is not None) == accepted


def test_udp_beyond_65535_octets_is_wrong_use():
    with pytest.raises(ValueError, match="65535"):
        udp.build(5, 9, bytes(65_528), PAIR)
