"""Super-segments are cut as a network card would cut them; scapy is the judge."""

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from netstack.ip.path import PREFIX
from netstack.lab.burst import Burst
from netstack.link.device import GSO_NONE, GSO_TCPV4, NEEDS_CSUM, VNET, VNET_LEN
from netstack.wire.checksum import ones_sum

PAIR = bytes([10, 0, 0, 1, 10, 0, 0, 2])
MSS = 1000


def burst(length, gso=MSS, flags=0x018, tos=0, seq=0xFFFF_FC00, options=b"\x01\x01\x08\x0a" + bytes(8)):
    """What the stack writes: a super-segment when there is more than one segment in it."""
    payload = bytes(i * 7 % 251 for i in range(length))
    several = length > gso
    vnet = VNET.pack(
        NEEDS_CSUM, GSO_TCPV4 if several else GSO_NONE, 66 if several else 0, gso if several else 0, 34, 16
    )
    total = 40 + len(options) + length
    words = (0x4500 | tos, total, 0xFFFE, 0x4000, 64 << 8 | 6)
    checksum = -(sum(words) + ones_sum(PAIR)) % 0xFFFF
    prefix = PREFIX.pack(vnet, bytes(12) + b"\x08\x00", *words, checksum, PAIR)
    pseudo = (ones_sum(PAIR) + 6 + total - 20) % 0xFFFF
    tcp = bytes.fromhex("1389d431") + seq.to_bytes(4, "big") + bytes.fromhex("01020304")
    tcp += ((20 + len(options)) << 10 | flags).to_bytes(2, "big") + b"\x01\x00" + pseudo.to_bytes(2, "big") + b"\0\0"
    return Burst(prefix + tcp + options, payload, 0), payload


def dissected(frame):
    """(vnet fields, IP, TCP) of a frame, its checksums verified: IP's as it is, TCP's as the device is to finish it."""
    vnet = VNET.unpack_from(frame)
    ether = Ether(frame[VNET_LEN:])
    ip, tcp = ether[IP], ether[TCP]
    assert ip.len == len(frame) - VNET_LEN - 14
    again = IP(bytes(ip))
    del again.chksum
    assert IP(bytes(again)).chksum == ip.chksum
    assert tcp.chksum == (ones_sum(PAIR) + 6 + ip.len - 20) % 0xFFFF
    assert vnet[0] == NEEDS_CSUM
    assert vnet[4:] == (34, 16)
    return vnet, ip, tcp


def test_each_segment_is_a_packet_of_its_own():
    one, payload = burst(3500, flags=0x099)  # FIN, PSH, ACK, CWR
    assert one.segments == 4
    assert one.full == 14 + 20 + 32 + 1000
    assert one.last == one.full - 500
    text = b""
    for i in range(4):
        vnet, ip, tcp = dissected(one.frame(i, i + 1, False))
        assert vnet[1:4] == (GSO_NONE, 0, 0)
        assert ip.id == (0xFFFE + i) & 0xFFFF
        assert tcp.seq == (0xFFFF_FC00 + 1000 * i) & 0xFFFF_FFFF
        assert tcp.flags.value == 0x10 | (0x80 if i == 0 else 0) | (0x09 if i == 3 else 0)
        assert tcp.options == [("NOP", None), ("NOP", None), ("Timestamp", (0, 0))]
        text += bytes(tcp.payload)
    assert text == payload


def test_a_run_of_segments_stays_a_super_segment():
    one, payload = burst(3500)
    vnet, ip, tcp = dissected(one.frame(1, 3, False))
    assert vnet[1:4] == (GSO_TCPV4, 66, MSS)
    assert ip.id == 0xFFFF
    assert tcp.seq == 0xFFFF_FC00 + 1000
    assert tcp.flags == "A"
    assert bytes(tcp.payload) == payload[1000:3000]


def test_all_of_it_unmarked_is_what_was_written():
    one, payload = burst(3500)
    whole = one.frame(0, 4, False)
    assert whole.endswith(payload)
    assert VNET.unpack_from(whole)[3] == MSS
    dissected(whole)


@pytest.mark.parametrize("length", [0, 700, 3500])
def test_a_mark_changes_the_ip_header_only(length):
    one, payload = burst(length, tos=2)
    assert one.ect
    last = one.segments - 1
    _, plain, _ = dissected(one.frame(last, last + 1, False))
    _, ip, tcp = dissected(one.frame(last, last + 1, True))
    assert (plain.tos, ip.tos) == (2, 3)
    assert bytes(tcp.payload) == payload[last * MSS :]


def test_without_ecn_nothing_may_be_marked():
    assert not burst(700)[0].ect


def test_an_ack_is_one_packet():
    one, _ = burst(0)
    assert (one.segments, one.last, one.length) == (1, 66, 0)
