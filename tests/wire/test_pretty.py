"""The one-line rendering: what a reader of traces sees."""

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP, fragment
from scapy.layers.inet6 import IPv6
from scapy.layers.l2 import ARP, Ether

from netstack.wire import pretty, tcp, tcp_options

HOST, STACK = "02:00:5e:00:02:01", "02:00:5e:00:02:02"
THERE, BACK = {"src": "192.0.2.1", "dst": "192.0.2.2"}, {"src": "192.0.2.2", "dst": "192.0.2.1"}


def shown(packet: IP, isns: pretty.Isns | None = None) -> str:
    """An IP packet, rendered inside a frame behind a virtio_net_hdr."""
    return pretty.frame(bytes(10) + bytes(Ether(src=HOST, dst=STACK) / packet), 10, isns)


def test_handshake_and_data_relative_to_the_handshake():
    to, fro = {"sport": 40000, "dport": 80}, {"sport": 80, "dport": 40000}
    isns: pretty.Isns = {}
    lines = [
        shown(packet, isns)
        for packet in (
            IP(**THERE) / TCP(**to, flags="S", seq=2**32 - 1, window=64240, options=[("MSS", 1460), ("WScale", 7)]),
            IP(**BACK) / TCP(**fro, flags="SA", seq=5000, ack=0, window=65160),
            IP(**THERE) / TCP(**to, flags="PA", seq=0, ack=5001, window=502) / b"GET",
            IP(**BACK) / TCP(**fro, flags="A", seq=5001, ack=3, window=509, options=[("SAck", (10, 20))]),
            IP(**BACK) / TCP(**fro, flags="FA", seq=5001, ack=3, window=509),
        )
    ]
    assert lines == [
        "IP 192.0.2.1.40000 > 192.0.2.2.80: S 0:0(0) win 64240 <mss 1460,wscale 7,eol>",
        "IP 192.0.2.2.80 > 192.0.2.1.40000: S. 0:0(0) ack 1 win 65160",
        "IP 192.0.2.1.40000 > 192.0.2.2.80: P. 1:4(3) ack 1 win 502",
        "IP 192.0.2.2.80 > 192.0.2.1.40000: . 1:1(0) ack 4 win 509 <sack 11:21,eol>",
        "IP 192.0.2.2.80 > 192.0.2.1.40000: F. 1:1(0) ack 4 win 509",
    ]


def test_absolute_numbers_without_isns():
    packet = IP(**THERE) / TCP(sport=1, dport=2, flags="A", seq=2**32 - 1, ack=7, window=5) / b"abc"
    assert shown(packet) == "IP 192.0.2.1.1 > 192.0.2.2.2: . 4294967295:2(3) ack 7 win 5"


def test_segment_relative_to_given_numbers():
    options = tcp_options.build_segment((7, 9), [(120, 130)])
    segment = tcp.build(1, 2, 1001, 101, tcp.ACK | tcp.URG, 5, options, urgent=3)
    line = ".U 1:1(0) ack 1 win 5 urg 3 <nop,nop,TS val 7 ecr 9,nop,nop,sack 20:30>"
    assert pretty.segment(segment, 0, None, 1000, 100) == line


def test_remembered_flows_are_bounded(monkeypatch):
    monkeypatch.setattr(pretty, "MAX_FLOWS", 3)
    isns: pretty.Isns = {}
    for port in range(5):
        shown(IP(**THERE) / TCP(sport=port, dport=80, flags="S", seq=port), isns)
    assert list(isns.values()) == [2, 3, 4]


@pytest.mark.parametrize(
    ("bits", "letters"),
    [
        (tcp.SYN, "S"),
        (tcp.SYN | tcp.ACK, "S."),
        (tcp.PSH | tcp.ACK, "P."),
        (tcp.FIN | tcp.ACK, "F."),
        (tcp.ACK, "."),
        (tcp.RST, "R"),
        (tcp.RST | tcp.ACK, "R."),
        (tcp.SYN | tcp.ECE | tcp.CWR | tcp.AE, "SEWA"),
        (0, "-"),
    ],
)
def test_flag_letters_there_and_back(bits, letters):
    assert pretty.flags(bits) == letters
    assert pretty.parse_flags(letters) == bits


def test_flag_letters_in_any_order_and_no_others():
    assert pretty.parse_flags(".P") == tcp.PSH | tcp.ACK
    with pytest.raises(ValueError, match="'X' in 'SX'"):
        pretty.parse_flags("SX")


@pytest.mark.parametrize(
    ("options", "text"),
    [
        (tcp_options.build_syn(1460, 7, True, (1, 0)), "mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7"),
        (tcp_options.build_syn(1460, 7, False, None, b""), "mss 1460,nop,wscale 7,FO,nop,nop"),
        (tcp_options.build_syn(536, None, False, None, b"abcd"), "mss 536,FO 61626364,nop,nop"),
        (bytes.fromhex("fe04f989"), "FOEXP"),
        (bytes.fromhex("ac08000001000002"), "ECN e0b 1 ceb 2"),
        (bytes.fromhex("ae0b000001000002000003"), "ECN e1b 1 ceb 2 e0b 3"),
        (bytes.fromhex("1312") + bytes(16), "md5 " + 32 * "0"),
        (bytes.fromhex("4d040102"), "unknown-77 0x0102"),
        (bytes.fromhex("0303ff"), "wscale 255"),
        (bytes.fromhex("020305"), "unknown-2 0x05"),
        (bytes.fromhex("01080a00"), "nop,bad 0x080a00"),
        (b"", ""),
    ],
)
def test_options_in_the_order_of_the_wire(options, text):
    assert pretty.options(options) == text


@pytest.mark.parametrize(
    ("packet", "line"),
    [
        (IP(**THERE) / UDP(sport=5, dport=53) / b"abc", "IP 192.0.2.1.5 > 192.0.2.2.53: UDP, length 3"),
        (IP(**THERE, tos=0xBB) / ICMP(id=7, seq=2), "IP 192.0.2.1 > 192.0.2.2: ICMP echo request, id 7, seq 2, length 8"
         " [tos 0xb8] [ce]"),
        (IP(**THERE, proto=47) / b"abcd", "IP 192.0.2.1 > 192.0.2.2: GRE, length 4"),
        (IP(**THERE, proto=99) / b"abcd", "IP 192.0.2.1 > 192.0.2.2: protocol 99, length 4"),
        (IP(**THERE) / ICMP(type=3, code=4, nexthopmtu=1280) / IP(**BACK) / TCP(sport=80, dport=9, seq=77),
         "IP 192.0.2.1 > 192.0.2.2: ICMP fragmentation needed, mtu 1280, for 192.0.2.2.80 > 192.0.2.1.9: TCP seq 77"),
        (IP(**THERE) / ICMP(type=3, code=3) / IP(**BACK) / UDP(sport=53, dport=9),
         "IP 192.0.2.1 > 192.0.2.2: ICMP port unreachable, for 192.0.2.2.53 > 192.0.2.1.9: UDP"),
        (IP(**THERE) / ICMP(type=11) / IP(**BACK) / ICMP(),
         "IP 192.0.2.1 > 192.0.2.2: ICMP time exceeded in transit, for 192.0.2.2 > 192.0.2.1: ICMP"),
        (IP(**THERE) / ICMP(type=12, ptr=20), "IP 192.0.2.1 > 192.0.2.2: ICMP parameter problem, octet 20, length 8"),
        (IP(**THERE) / ICMP(type=42, code=7), "IP 192.0.2.1 > 192.0.2.2: ICMP type 42 code 7, length 8"),
        (IPv6(src="2001:db8::1", dst="2001:db8::2", tc=1) / UDP(sport=5, dport=6) / b"abc",
         "IP6 2001:db8::1.5 > 2001:db8::2.6: UDP, length 3 [ect1]"),
    ],
)  # fmt: skip
def test_other_packets(packet, line):
    frame = bytes(Ether(src=HOST, dst=STACK, type=0x86DD if IPv6 in packet else 0x0800) / packet)
    assert pretty.frame(frame) == line


def test_fragments_say_where_they_belong():
    pieces = fragment(IP(**THERE, id=9) / UDP() / bytes(3000), 1480)
    assert [shown(piece) for piece in pieces] == [
        "IP 192.0.2.1 > 192.0.2.2: UDP fragment 9:1480@0+",
        "IP 192.0.2.1 > 192.0.2.2: UDP fragment 9:1480@1480+",
        "IP 192.0.2.1 > 192.0.2.2: UDP fragment 9:48@2960",
    ]


@pytest.mark.parametrize(
    ("message", "line"),
    [
        (ARP(op=1, hwsrc=HOST, psrc="192.0.2.1", pdst="192.0.2.2"), "ARP, who-has 192.0.2.2 tell 192.0.2.1"),
        (ARP(op=2, hwsrc=STACK, psrc="192.0.2.2", pdst="192.0.2.1"), f"ARP, 192.0.2.2 is-at {STACK}"),
        (ARP(op=1, hwsrc=STACK, psrc="0.0.0.0", pdst="192.0.2.2"), f"ARP, probe for 192.0.2.2 from {STACK}"),
        (ARP(op=1, hwsrc=STACK, psrc="192.0.2.2", pdst="192.0.2.2"), "ARP, announcement of 192.0.2.2"),
        (ARP(op=8, hwsrc=STACK, psrc="192.0.2.2", pdst="192.0.2.1"), "ARP, operation 8, 192.0.2.2 to 192.0.2.1"),
        (ARP(hwtype=9, hwlen=6, plen=4), "ARP, not for IPv4 over Ethernet, length 28"),
    ],
)
def test_arp(message, line):
    assert pretty.frame(bytes(Ether(src=HOST, dst=STACK) / message)) == line


@pytest.mark.parametrize(
    ("frame", "line"),
    [
        (b"", "Ethernet [cut short: 0 octets]"),
        (bytes(12) + b"\x88\xcc" + b"lldp", f"{bytes(6).hex(':')} > {bytes(6).hex(':')}: ethertype 0x88cc, length 18"),
        (bytes(12) + b"\x08\x00", "IP [empty]"),
        (bytes(12) + b"\x08\x00\x45\x00", "IP version 4 [cut short: 2 octets]"),
        (bytes(12) + b"\x08\x00\x75\x00", "IP version 7 [cut short: 2 octets]"),
    ],
)
def test_damaged_frames_are_shown_as_far_as_they_go(frame, line):
    assert pretty.frame(frame) == line


def test_segment_with_an_impossible_data_offset():
    segment = bytearray(tcp.build(1, 2, 3, 4, tcp.SYN, 5))
    segment[12] = 0xF0
    assert pretty.segment(bytes(segment)) == "S [bad data offset 60]"


def test_names_of_ends_and_connections():
    assert pretty.endpoint(bytes([192, 0, 2, 1]), 80) == "192.0.2.1:80"
    assert pretty.endpoint(bytes(15) + b"\1", 80) == "[::1]:80"
    key = bytes([192, 0, 2, 1, 192, 0, 2, 2]) + (40000).to_bytes(2, "big") + (80).to_bytes(2, "big")
    assert pretty.who(key) == "192.0.2.2:80 - 192.0.2.1:40000"
    wide = bytes(15) + b"\1" + bytes(15) + b"\2" + b"\0\7\0\x50"
    assert pretty.who(wide) == "[::2]:80 - [::1]:7"
    assert pretty.who("listener") == "listener"
    assert pretty.who(b"odd") == "b'odd'"
    assert pretty.mac(bytes(6)) == "00:00:00:00:00:00"
    assert pretty.address(b"\1\2") == "0102"
