"""From the script's numbers to octets and back: scapy reads what is built, and what was built is observed again."""

from dataclasses import replace

import pytest
from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.inet6 import IPv6

from netstack.drill import inbound, notation
from netstack.drill.codec import build_ip, checksum_holds, parse_ip, with_checksum
from netstack.drill.compare import Rules, differences
from netstack.drill.flow import Flow
from netstack.drill.nodes import Packet, ScriptError, TcpSegment
from netstack.drill.observe import Observed, join, joinable, observe
from netstack.drill.parse import parse

LOCAL, REMOTE = bytes([192, 168, 0, 1]), bytes([192, 0, 2, 1])
ISS, IRS = 0xFFFF_FFF0, 500


def flow() -> Flow:
    """A connection whose local initial number is about to wrap, and whose timestamps are far from the script's."""
    made = Flow((LOCAL, 8080), (REMOTE, 4000), irs=IRS, irs_known=True, iss=ISS)
    made.learn_timestamp(9_000_100, 100)
    return made


def packet(text: str) -> Packet:
    """The packet of a line without time."""
    action = parse(f"0 {text}").events[0].action
    assert isinstance(action, Packet)
    return action


def built(text: str) -> IP:
    """What scapy makes of an inbound packet."""
    return IP(inbound.build(packet(text), flow(), 1))


def seen(text: str, **changes: object) -> Observed:
    """An outbound packet as the flow's local end would send it: the script's line turned around."""
    mirrored = Flow((REMOTE, 4000), (LOCAL, 8080), irs=ISS, iss=IRS)
    line = packet(text.replace(">", "<", 1))
    if isinstance(line.body, TcpSegment) and "S" in line.body.flags:
        line = replace(line, body=replace(line.body, seq=line.body.seq + ISS & 0xFFFF_FFFF))
    octets = inbound.build(line, mirrored, 1)
    datagram = parse_ip(octets)
    assert datagram is not None
    return observe(0, replace(datagram, **changes), flow())


def test_numbers_become_those_of_the_wire():
    ip = built("< P. 1:11(10) ack 21 win 77 urg 3 <nop,nop,sack 1:31,TS val 5 ecr 100>")
    tcp = ip[TCP]
    assert (ip.src, ip.dst, tcp.sport, tcp.dport) == ("192.0.2.1", "192.168.0.1", 4000, 8080)
    assert (tcp.seq, tcp.ack, tcp.window, tcp.urgptr) == (IRS + 1, (ISS + 21) % 2**32, 77, 3)
    options = dict(tcp.options)
    assert options["SAck"] == ((ISS + 1) % 2**32, (ISS + 31) % 2**32)
    assert options["Timestamp"] == (5, 9_000_100)
    assert bytes(tcp.payload) == bytes(10)


def test_checksums_hold():
    for text in ("< P. 1:12(11) ack 1 win 1", "< udp (7)", "< icmp unreachable port_unreachable [1:1(0)]"):
        octets = inbound.build(packet(text), flow(), 1)
        again = IP(octets)
        for layer in (IP, TCP, UDP, ICMP):
            if layer in again:
                del again[layer].chksum
        assert bytes(again) == octets


def test_a_syn_and_raw_numbers_are_as_written():
    assert built("< S 7:7(0) win 1")[TCP].seq == 7
    assert built("< . 7:7(0)! ack 9! win 1")[TCP].seq == 7
    assert built("< . 7:7(0)! ack 9! win 1")[TCP].ack == 9


def test_an_echo_nobody_sent_is_the_scripts_error():
    with pytest.raises(ScriptError, match="ecr 101"):
        built("< . 1:1(0) ack 1 win 1 <nop,nop,TS val 1 ecr 101>")
    assert dict(built("< . 1:1(0) ack 1 win 1 <nop,nop,TS val 1 ecr 101!>")[TCP].options)["Timestamp"] == (1, 101)
    assert dict(built("< S 0:0(0) win 1 <TS val 1 ecr 0>")[TCP].options)["Timestamp"] == (1, 0)


def test_flags_and_ecn():
    assert str(built("< SEW 0:0(0) win 1")[TCP].flags) == "SEC"
    assert int(built("< .5 1:1(0) win 1")[TCP].flags) & 0x1C0 == 0x140
    assert built("< [ect0] . 1:1(0) win 1").tos == 2
    assert built("< [tos 0x28, ttl 3] . 1:1(0) win 1").tos == 0x28
    assert built("< [tos 0x28, ttl 3] . 1:1(0) win 1").ttl == 3


def test_icmp_quotes_what_was_sent():
    message = built("< icmp unreachable frag_needed mtu 1200 [1:1461(1460)]")[ICMP]
    assert (message.type, message.code, message.nexthopmtu) == (3, 4, 1200)
    complaint = IP(bytes(message.payload))
    assert (complaint.src, complaint.dst, complaint.len) == ("192.168.0.1", "192.0.2.1", 1500)
    quoted = bytes(complaint)[20:28]
    assert int.from_bytes(quoted[4:8], "big") == (ISS + 1) % 2**32
    assert int.from_bytes(quoted[:2], "big") == 8080


def test_ipv6_packets_are_built_too():
    far, near = bytes(15) + b"\1", bytes(15) + b"\2"
    octets = inbound.build(packet("< S 0:0(0) win 9"), Flow((near, 1), (far, 2)), 1)
    again = IPv6(octets)
    del again[TCP].chksum
    assert bytes(again) == octets


@pytest.mark.parametrize(
    "text",
    [
        "> P. 1:11(10) ack 21 win 77 <nop,nop,sack 1:31>",
        "> S. 0:0(0) ack 1 win 9 <mss 1460,nop,nop,sackOK,nop,wscale 7>",
        "> R. 1:1(0) ack 1 win 0",
        "> . 4294967295:4294967295(0) ack 1 win 0",
        "> . 1:1(0) ack 1 win 5 <FO cafe,nop,nop>",
        "> . 1:1(0) ack 1 win 5 <ECN e0b 1 ceb 2 e1b 3,nop>",
    ],
)
def test_what_leaves_is_seen_in_the_scripts_numbers(text):
    got = seen(text)
    assert notation.packet(replace(got.packet, ip=packet(text).ip, body=replace(got.tcp, ports=None))) == text
    assert differences(packet(text), got, Rules()) == []


@pytest.mark.parametrize(
    ("wanted", "sent", "told"),
    [
        ("> . 1:1(0) ack 1", "> P. 1:1(0) ack 1", "flags: expected ., got P."),
        ("> . 1:1(0) ack 1", "> E. 1:1(0) ack 1", "flags"),
        ("> . 1:1(0) ack 1", "> A. 1:1(0) ack 1", "flags"),
        (".3 1:1(0) ack 1", ".5 1:1(0) ack 1", "ACE: expected 3, got 5"),
        ("> . 1:1(0) ack 1", "> . 2:2(0) ack 1", "seq: expected 1, got 2"),
        ("> . 1:1(0) ack 1", "> . 1:1(0) ack 2", "ack: expected 1, got 2"),
        ("> R. 1:1(0) ack 1", "> R 1:1(0)", "flags"),
        ("> . 1:1(0) ack 1 win 5", "> . 1:1(0) ack 1 win 6", "win: expected 5, got 6"),
        ("> . 1:3(2) ack 1", "> . 1:4(3) ack 1", "length: expected 2, got 3"),
        ("> . 1:1(0) ack 1", "> . 1:1(0) ack 1 urg 1", "urg"),
        ("> S 0:0(0) <mss 1>", "> S 0:0(0) <mss 2>", "mss: expected mss 1, got mss 2"),
        ("> S 0:0(0) <mss 1,nop,nop>", "> S 0:0(0) <nop,nop,mss 1>", "options"),
        ("> S 0:0(0) <mss 1>", "> S 0:0(0)", "options: expected <mss 1>, got none"),
        ("> S 0:0(0)", "> S 0:0(0) <mss 1>", "options: expected none, got <mss 1>"),
        ("> S 0:0(0) <mss 1>", "> S 0:0(0) <mss 1,nop,nop,nop,nop>", "options"),
        ("> . 1:1(0) <sack 1:2>", "> . 1:1(0) <sack 1:3>", "sack"),
        ("> . 1:1(0) <020405b4>", "> . 1:1(0) <mss 1461>", "options"),
        ("> [ect0] . 1:1(0)", "> [ect1] . 1:1(0)", "ECN: expected ect0, got ect1"),
        ("> [ttl 5] . 1:1(0)", "> [ttl 6] . 1:1(0)", "TTL"),
        ("> [tos 4] . 1:1(0)", "> [tos 8] . 1:1(0)", "TOS"),
        ("> 1 > 2 . 1:1(0)", "> . 1:1(0)", "ports"),
        ("> udp (4)", "> udp (5)", "length"),
        ("> udp (4)", "> . 1:1(0)", "protocol"),
        ("> icmp unreachable port_unreachable", "> icmp unreachable host_unreachable", "ICMP code"),
        ("> . 7:7(0)! ack 1", "> . 7:7(0) ack 1", "seq on the wire"),
    ],
)
def test_every_field_can_differ(wanted, sent, told):
    wanted = wanted if wanted.startswith(">") else f"> {wanted}"
    sent = sent if sent.startswith(">") else f"> {sent}"
    assert any(phrase.startswith(told) for phrase in differences(packet(wanted), seen(sent), Rules()))


def test_what_the_script_leaves_open_is_not_compared():
    assert (
        differences(
            packet("> . ...(0) ack 1 <...>"), seen("> . 9:9(0) ack 1 win 3 <nop,nop,TS val 1 ecr 100!>"), Rules()
        )
        == []
    )
    assert differences(packet("> [ect01] . 1:1(0)"), seen("> [ect1] . 1:1(0)"), Rules()) == []


@pytest.mark.parametrize(
    ("wanted", "sent", "same"),
    [
        ("> P. 1:2(1) ack 1 win 5", "> . 1:2(1) ack 1 win 6", True),
        ("> S 0:0(0) <mss 1,sackOK,nop,wscale 7>", "> S 0:0(0) <nop,wscale 6,mss 1,sackOK>", True),
        ("> . 1:1(0) <nop,nop,sack 1:2>", "> . 1:1(0) <sack 1:2>", True),
        ("> . 1:1(0) <nop,nop,sack 1:2>", "> . 1:1(0) <sack 1:3>", False),
        ("> S 0:0(0) <mss 1,sackOK>", "> S 0:0(0) <mss 1>", False),
        ("> S 0:0(0) <mss 1>", "> S 0:0(0) <mss 2>", False),
        ("> F. 1:1(0) ack 1", "> . 1:1(0) ack 1", False),
        ("> . 1:1(0) ack 1", "> . 1:1(0) ack 2", False),
        ("> . 1:2(1) ack 1", "> . 1:3(2) ack 1", False),
    ],
)
def test_relaxed_leaves_out_what_it_says_and_no_more(wanted, sent, same):
    assert (differences(packet(wanted), seen(sent), Rules(relaxed=True)) == []) is same
    assert differences(packet(wanted), seen(sent), Rules()) != []


def test_timestamps_are_compared_only_by_the_tick():
    sent = seen("> . 1:1(0) ack 1 <nop,nop,TS val 9000150 ecr 0!>")
    wanted = packet("> . 1:1(0) ack 1 <nop,nop,TS val 100 ecr 0>")
    assert sent.tcp.options[-1].val == 150
    assert differences(wanted, sent, Rules()) == []
    assert differences(wanted, sent, Rules(timestamp_tick=1000, tolerance=60_000)) == []
    assert differences(wanted, sent, Rules(timestamp_tick=1000, tolerance=4_000)) == ["TS val: expected 100, got 150"]
    other = packet("> . 1:1(0) ack 1 <nop,nop,TS val 100 ecr 7>")
    assert differences(other, sent, Rules()) == ["TS ecr: expected 7, got 0"]


@pytest.mark.parametrize(
    ("spoil", "told"),
    [
        (lambda octets: octets[:10] + b"\0\0" + octets[12:], "IPv4 header checksum is wrong"),
        (lambda octets: octets[:3] + b"\x30" + octets[4:], "IPv4 total length"),
        (lambda octets: octets[:36] + b"\0\0" + octets[38:], "TCP checksum is wrong"),
        (lambda octets: octets[:-1] + b"\1", "payload is not all zeros"),
        (lambda octets: octets[:32] + b"\xf0" + octets[33:], "TCP data offset"),
        (lambda octets: octets[:32] + bytes([octets[32] | 2]) + octets[33:], "reserved bits"),
    ],
)
def test_faults_are_told_whatever_the_script_says(spoil, told):
    mirrored = Flow((REMOTE, 4000), (LOCAL, 8080), irs=ISS, iss=IRS)
    octets = spoil(inbound.build(packet("< . 1:5(4) ack 1 win 1"), mirrored, 1))
    got = observe(0, parse_ip(octets), flow())
    assert any(phrase.startswith(told) for phrase in differences(packet("> . ...(4) <...>"), got, Rules()))


def test_segments_are_joined_while_they_are_equally_long():
    first, second, last = (
        seen("> W. 1:1001(1000) ack 1"),
        seen("> . 1001:2001(1000) ack 1"),
        seen("> FP. 2001:2101(100) ack 1"),
    )
    assert joinable(first, second) is None
    both = join(first, second)
    assert joinable(both, last) is None
    assert differences(packet("> FPW. 1:2101(2100) ack 1"), join(both, last), Rules()) == []


@pytest.mark.parametrize(
    ("first", "then", "why"),
    [
        ("> . 1:1001(1000) ack 1", "> . 1002:2002(1000) ack 1", "does not follow"),
        ("> . 1:1001(1000) ack 1", "> . 1001:2002(1001) ack 1", "segments of 1000 and 1001"),
        ("> . 1:1001(1000) ack 1", "> . 1001:2001(1000) ack 2", "headers differ"),
        ("> . 1:1001(1000) ack 1", "> . 1001:2001(1000) ack 1 win 4", "headers differ"),
        ("> . 1:1001(1000) ack 1", "> U. 1001:2001(1000) ack 1", "headers differ"),
        ("> . 1:1001(1000) ack 1", "> . 1001:2001(1000) ack 1 <nop>", "options"),
        ("> . 1:1001(1000) ack 1", "> [ect0] . 1001:2001(1000) ack 1", "options or IP fields"),
    ],
)
def test_segments_that_cannot_be_joined(first, then, why):
    assert why in joinable(seen(first), seen(then))


def test_a_short_segment_ends_the_joining():
    both = join(seen("> . 1:1001(1000) ack 1"), seen("> . 1001:1501(500) ack 1"))
    assert joinable(both, seen("> . 1501:2501(1000) ack 1")) is not None


def test_own_checksum_against_scapy():
    transport = bytes(TCP(sport=1, dport=2, seq=3, ack=4, flags="A") / b"abc")
    transport = with_checksum(LOCAL, REMOTE, 6, transport[:16] + b"\0\0" + transport[18:], 16)
    octets = build_ip(LOCAL, REMOTE, 6, transport)
    assert bytes(IP(src="192.168.0.1", dst="192.0.2.1", id=0, ttl=64) / TCP(transport)) == octets
    assert checksum_holds(parse_ip(octets))


def test_a_segment_without_ack_says_nothing_about_ack():
    got = seen("> R 1:1(0) ack 1")
    assert isinstance(got.tcp, TcpSegment)
    assert got.tcp.ack is None
    assert differences(packet("> R 1:1(0)"), got, Rules())[0].startswith("acknowledgment number")
