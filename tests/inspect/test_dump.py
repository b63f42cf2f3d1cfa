"""Packets as tcpdump prints them, held against tcpdump itself on every recorded capture, and on single frames."""

import shutil
import subprocess
from pathlib import Path

import pytest
from hypothesis import given
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import ICMPv6EchoRequest, IPv6
from scapy.layers.l2 import ARP, Ether

from netstack.inspect.dump import Dump, Style, octets
from netstack.link.pcap_format import ETHERNET
from netstack.link.pcap_reader import read_capture

CAPTURES = sorted((Path(__file__).parent.parent / "replay").glob("*.pcap"))
A, B = "192.0.2.1", "192.0.2.2"
MAC_A, MAC_B = "02:00:5e:00:02:01", "02:00:5e:00:02:02"


def line(packet, **style):
    return Dump(Style(**style)).frame(bytes(Ether(src=MAC_A, dst=MAC_B) / packet))


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="no tcpdump to compare with")
@pytest.mark.parametrize("flags", ["-n", "-neS", "-nX"])
def test_every_recorded_capture_reads_as_tcpdump_prints_it(flags):
    compared = 0
    for path in CAPTURES:
        dump = Dump(Style(link="e" in flags, absolute="S" in flags))
        ours = []
        with path.open("rb") as file:
            packets = [packet for _, packet in zip(range(60), read_capture(file), strict=False)]
        if packets[0].linktype != ETHERNET:
            continue
        for packet in packets:
            ours.append(dump.frame(packet.data))
            if "X" in flags:
                ours += octets(packet.data[14:], True)
        command = ["tcpdump", flags, "-t", "-c", "60", "-r", str(path)]
        theirs = subprocess.run(command, check=True, capture_output=True, text=True).stdout.splitlines()
        assert ours == theirs, path.name
        compared += len(ours)
    assert compared > 700


def test_verbose_tells_the_ip_header_the_checksum_and_http():
    request = b"GET /a HTTP/1.1\r\nHost: x\r\n\r\nbody"
    packet = IP(src=A, dst=B, id=7, flags="DF", tos=3) / TCP(sport=40000, dport=80, flags="PA", seq=5, ack=9) / request
    checksum = IP(bytes(packet))[TCP].chksum
    assert line(packet, verbose=True) == (
        "IP (tos 0x3,CE, ttl 64, id 7, offset 0, flags [DF], proto TCP (6), length 72)\n"
        f"    192.0.2.1.40000 > 192.0.2.2.80: Flags [P.], cksum 0x{checksum:04x} (correct), seq 5:37, ack 9, win 8192, "
        "length 32: "
        "HTTP, length: 32\n\tGET /a HTTP/1.1\n\tHost: x\n\t"
    )
    damaged = bytearray(bytes(Ether(src=MAC_A, dst=MAC_B) / packet))
    damaged[50] ^= 1
    said = Dump(Style(verbose=True)).frame(bytes(damaged))
    assert f"cksum 0x{checksum ^ 0x100:04x} (incorrect -> 0x{checksum:04x})" in said


@pytest.mark.parametrize(
    ("packet", "said"),
    [
        (IP(src=A, dst=B) / ICMP(type=8, id=1, seq=2) / b"ping", "ICMP echo request, id 1, seq 2, length 12"),
        (IP(src=B, dst=A) / ICMP(type=3, code=3) / IP(src=A, dst=B) / UDP(sport=1, dport=99),
         "ICMP 192.0.2.2 udp port 99 unreachable, length 36"),
        (IP(src=B, dst=A) / ICMP(type=3, code=4, nexthopmtu=1400) / IP(src=A, dst=B) / TCP(),
         "ICMP 192.0.2.2 unreachable - need to frag (mtu 1400), length 48"),
        (IP(src=B, dst=A) / ICMP(type=11) / IP(src=A, dst=B) / UDP(), "ICMP time exceeded in-transit, length 36"),
    ],
)  # fmt: skip
def test_icmp(packet, said):
    assert line(packet).endswith(said)


def test_arp_and_what_is_no_ip():
    assert line(ARP(op=1, psrc=A, pdst=B)) == f"ARP, Request who-has {B} tell {A}, length 28"
    assert line(ARP(op=1, psrc=A, pdst=A)) == f"ARP, Announcement {A}, length 28"
    assert line(ARP(op=1, psrc="0.0.0.0", pdst=A)) == f"ARP, Probe {A}, length 28"
    frame = bytes(Ether(src=MAC_A, dst=MAC_B, type=0x88CC) / bytes(46))
    assert Dump().frame(frame) == f"{MAC_A} > {MAC_B}, ethertype Unknown (0x88cc), length 60"
    assert Dump(Style(link=True)).frame(frame) == f"{MAC_A} > {MAC_B}, ethertype Unknown (0x88cc), length 60"
    assert line(IPv6(src="fe80::1", dst="fe80::2") / ICMPv6EchoRequest()) == (
        "IP6 fe80::1 > fe80::2: ICMP6, echo request, length 8"
    )


def test_fragments():
    first, second = fragment(IP(src=A, dst=B) / UDP(sport=1, dport=2) / bytes(2000), 1480)
    assert line(first) == "IP 192.0.2.1.1 > 192.0.2.2.2: UDP, length 2000"
    assert line(second) == "IP 192.0.2.1 > 192.0.2.2: ip-proto-17"


def test_sequence_numbers_are_relative_to_the_first_acknowledgement_of_each_conversation():
    dump = Dump()

    def show(sport, dport, **fields):
        ends = (A, B) if dport == 80 else (B, A)
        packet = IP(src=ends[0], dst=ends[1]) / TCP(sport=sport, dport=dport, **fields)
        return dump.frame(bytes(Ether(src=MAC_A, dst=MAC_B) / packet))

    assert "[S], seq 100," in show(9, 80, flags="S", seq=100)
    assert "[S.], seq 4294967295, ack 101," in show(80, 9, flags="SA", seq=2**32 - 1, ack=101)
    assert "[.], ack 1," in show(9, 80, flags="A", seq=101, ack=0)
    assert "[F.], seq 1, ack 1," in show(80, 9, flags="FA", seq=0, ack=101)
    sack = show(9, 80, flags="A", seq=101, ack=0, options=[("SAck", (10, 20, 30, 40))])
    assert "options [sack 2 {11:21}{31:41}" in sack
    assert "[S], seq 500," in show(9, 80, flags="S", seq=500), "a new incarnation"


@given(st.binary(max_size=120), st.booleans())
def test_any_octets_are_shown(data, verbose):
    dump = Dump(Style(verbose=verbose, link=verbose))
    assert dump.frame(data)
    for ethertype in (b"\x08\x00", b"\x08\x06", b"\x86\xdd"):
        assert dump.frame(bytes(12) + ethertype + data)
    assert len(octets(data, True)) == -(-len(data) // 16)
