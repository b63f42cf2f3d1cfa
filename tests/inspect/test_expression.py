"""Filter expressions, held against libpcap itself: the same frames, the same text, the same verdicts."""

import contextlib
import io
import shutil
import subprocess

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import ICMPv6ND_RS, IPv6
from scapy.layers.l2 import ARP, Ether

from netstack.inspect.expression import ExpressionError, predicate
from netstack.link.device import NO_OFFLOAD, VNET_LEN
from netstack.link.pcap_writer import PcapWriter

A, B, C = "192.0.2.1", "192.0.2.2", "198.51.100.9"
MAC_A, MAC_B = "02:00:5e:00:02:01", "02:00:5e:00:02:02"


def ether(packet, **fields):
    return bytes(Ether(src=MAC_A, dst=MAC_B, **fields) / packet)


FRAMES = [
    *(ether(IP(src=A, dst=B) / TCP(sport=40000, dport=80, flags=flags)) for flags in ("S", "A", "PA", "FA", "R", "")),
    ether(IP(src=B, dst=A) / TCP(sport=80, dport=40000, flags="SA", options=[("MSS", 1460)])),
    ether(IP(src=C, dst=B, options=[]) / TCP(sport=443, dport=8080, flags="PA") / (b"x" * 700)),
    ether(IP(src=C, dst=B, ihl=6, options=b"\1\1\1\1") / TCP(sport=1, dport=80, flags="S")),
    ether(IP(src=A, dst=B, flags="MF") / TCP(sport=9, dport=80, flags="S")),
    ether(IP(src=A, dst=B, frag=10, proto=6) / (b"\0\x50\0\x50" + b"\2" * 40)),
    ether(IP(src=A, dst=B, tos=0xB8) / UDP(sport=53, dport=5353) / b"abc"),
    ether(IP(src=A, dst="224.0.0.251") / UDP(sport=5353, dport=53) / b""),
    ether(IP(src=A, dst=B) / ICMP(type=8) / b"ping"),
    ether(IP(src=B, dst=A) / ICMP(type=3, code=3) / IP(src=A, dst=B) / UDP(sport=1, dport=2)),
    ether(IP(src=A, dst=C, proto=132) / (b"\0\x50\x9c\x40" + bytes(8))),
    ether(IP(src=A, dst=C, proto=47) / bytes(40)),
    ether(IPv6(src="fe80::1", dst="ff02::2") / ICMPv6ND_RS()),
    ether(IPv6(src="2001:db8::1", dst="2001:db8::2") / TCP(sport=80, dport=1024, flags="S")),
    ether(IPv6(src="2001:db8::1", dst="2001:db8:1::2") / UDP(sport=7, dport=53)),
    bytes(Ether(src=MAC_B, dst="ff:ff:ff:ff:ff:ff") / ARP(op=1, psrc=B, pdst=A, hwsrc=MAC_B)),
    bytes(Ether(src=MAC_A, dst=MAC_B) / ARP(op=2, psrc=A, pdst=B, hwsrc=MAC_A)),
    bytes(Ether(src=MAC_A, dst="01:00:5e:00:00:01", type=0x88CC) / bytes(60)),
]


def ours(text, frames=FRAMES):
    wanted = predicate(text, VNET_LEN)
    return [wanted(NO_OFFLOAD + frame) for frame in frames]


def of_libpcap(text, frames=FRAMES):
    """Which of the frames tcpdump keeps; None when the expression means nothing to it.

    Without its optimizer (-O), which leaves out some of the loads beyond the end.
    """
    capture = io.BytesIO()
    writer = PcapWriter(capture)
    for number, frame in enumerate(frames):
        writer.packet(number * 1_000_000_000, frame)
    ran = subprocess.run(["tcpdump", "-O", "-r", "-", "-w", "-", text], input=capture.getvalue(), capture_output=True)
    if ran.returncode:
        return [False] * len(frames) if b"rejects all packets" in ran.stderr else None
    kept, at = set(), 24
    while at < len(ran.stdout):
        kept.add(int.from_bytes(ran.stdout[at : at + 4], "little"))
        at += 16 + int.from_bytes(ran.stdout[at + 8 : at + 12], "little")
    return [number in kept for number in range(len(frames))]


needs_tcpdump = pytest.mark.skipif(shutil.which("tcpdump") is None, reason="no tcpdump to compare with")

TYPED = """
tcp|udp|icmp|arp|ip|ip6|icmp6|host 192.0.2.1|src host 192.0.2.1|dst 192.0.2.1|net 192.0.2.0/24|net 198.51.100
src net 192.0|net 192.0.2.0 mask 255.255.255.0|net 10|port 80|tcp port 80|src port 80|tcp dst port 80|udp port 53
port 80 or 443|port domain|not port 80|not tcp and not udp|portrange 50-90|tcp src portrange 1-500|tcp portrange 80-443
host 192.0.2.1 and not port 80|tcp and (port 80 or port 443)|not (tcp or arp)|arp host 192.0.2.1|ip host 192.0.2.2
tcp[tcpflags] & tcp-syn != 0|tcp[tcpflags] & (tcp-syn + tcp-fin) != 0|tcp[13] = 2|tcp[13] == 0x12|tcp[13] & 7 != 0
not tcp[13] = 2|(tcp[13] & 2) != 0|ip[0] & 0xf != 5|ip[2:2] > 100|tcp[((tcp[12] & 0xf0) >> 2):4] = 0x78787878
icmp[icmptype] = icmp-echo|icmp[0] != icmp-unreach|ether[0] & 1 = 1|arp[6:2] = 2|udp[4:2] = 11|ip[8] > 63
less 60|greater 100|len > 100|len - 14 <= 40|less 54 or udp|ether host 02:00:5e:00:02:01|ether src 02:00:5e:00:02:01
ether dst 02:00:5e:00:02:02|ether proto 0x88cc|ether proto \\arp|ip proto 47|ip proto \\tcp|ip6 proto 17|proto 132
broadcast|multicast|ether multicast|ip multicast|src or dst port 80|src and dst net 192.0.2.0/24|host 2001:db8::1
net 2001:db8::/32|ip6 host fe80::1|ip6 proto 6|ip6[6] = 58|dst host 192.0.2.2 or 198.51.100.9|sctp|igmp
tcp or udp and port 53|port 53 and tcp or udp|src 192.0.2.1 and dst 192.0.2.2 and tcp port 80|!tcp|tcp && port 80 or arp
tcp[13] & 2 = 2 && tcp[13] & 16 = 0|ip[6:2] & 0x1fff != 0|tcp[4:4] * 2 + 1 = 1|ip[9] = 6 or udp|0 - 1 = 0xffffffff
tcp[60] = 0 or udp|udp or tcp[60] = 0|src port 80 or 443 and tcp|portrange 80-90 or port 53|rarp|dst net 224.0.0.0/4
1 << 4 = 16 and tcp|7 / 2 = 3 and arp|ip[1] & 0xfc >> 2 != 0|ip[12:4] = 0xc0000201|tcp[0:2] - 1 = 79|ether[12:2] = 2054
"""


@needs_tcpdump
@pytest.mark.parametrize("line", TYPED.strip().splitlines())
def test_what_people_type_means_what_it_means_to_libpcap(line):
    for text in line.split("|"):
        assert ours(text) == of_libpcap(text), text


@needs_tcpdump
@pytest.mark.parametrize(
    "text",
    ["tcp[tcpflags] & (tcp-syn|tcp-fin) != 0", "tcp[tcpflags] == tcp-syn|tcp-ack", "tcp[13]&2!=0", "tcp[0:2]=80||udp",
     "(tcp[12]>>4)*4>20", "port 0x50", "tcp[tcpflags] & tcp-push = tcp-push", "net 192 or net 10"],
)  # fmt: skip
def test_spellings(text):
    assert ours(text) == of_libpcap(text)


PRIMITIVES = st.sampled_from([text for line in TYPED.strip().splitlines() for text in line.split("|")])

SHAPES = ("({}) and ({})", "({}) or {}", "not ({}) and {}", "{} or not ({})", "not ({} and ({}))")


@needs_tcpdump
@settings(max_examples=40, deadline=None)
@given(st.lists(PRIMITIVES, min_size=2, max_size=6), st.lists(st.sampled_from(SHAPES), min_size=6, max_size=6))
def test_combinations_mean_what_they_mean_to_libpcap(texts, shapes):
    text = texts[0]
    for other, shape in zip(texts[1:], shapes, strict=False):
        text = shape.format(text, other)
    assert ours(text) == of_libpcap(text), text


@pytest.mark.parametrize(
    ("text", "complaint"),
    [
        ("tcp port", "an address, a port or a protocol is missing at the end of the filter"),
        ("port 80 udp", "and, or is missing before 'udp'"),
        ("port 70000", "'70000' is not a port"),
        ("host example.org", "'example.org' is no address, and names are not looked up"),
        ("frobnicate", "'frobnicate' is no word of a filter, and names are not looked up"),
        ("(tcp", ") is missing at the end of the filter"),
        ("tcp[13", "] is missing at the end of the filter"),
        ("tcp[13:3] = 1", "tcp[offset:size] has a size of 1, 2 or 4, which is missing before ']'"),
        ("tcp[13]", "a comparison is missing at the end of the filter"),
        ("net 192.0.2.1/24", "192.0.2.1 has bits set that its mask does not have"),
        ("tcp host 192.0.2.1", "tcp has no hosts: ip, arp and ether have"),
        ("ether host 192.0.2.1", "'192.0.2.1' is no MAC address, as in ether host 02:00:5e:00:02:02"),
        ("ip[0] / 0 = 1", "division by zero"),
        ("tcp ; reboot", "'; reboot' begins with nothing that a filter may have there"),
        ("not " * 100 + "tcp", "the filter is nested too deeply"),
        ("(" * 5000, "the filter is nested too deeply"),
    ],
)
def test_what_means_nothing_is_refused_in_words(text, complaint):
    with pytest.raises(ExpressionError) as refused:
        predicate(text)
    assert str(refused.value) == complaint


WORDS = (
    "tcp", "udp", "port", "host", "net", "src", "dst", "and", "or", "not", "(", ")", "[", "]", "80", "192.0.2.1", "=",
    "&", ":", "-", "len", "less", "\\x",
)  # fmt: skip


@settings(max_examples=300, deadline=None)
@given(st.lists(st.sampled_from(WORDS), max_size=8).map(" ".join), st.binary(max_size=80))
def test_any_words_and_any_octets_give_a_verdict_or_a_refusal(text, frame):
    with contextlib.suppress(ExpressionError):
        assert isinstance(predicate(text)(frame), bool)


def test_without_an_expression_everything_is_wanted():
    assert all(ours(" "))
