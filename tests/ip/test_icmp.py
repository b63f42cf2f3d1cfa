"""ICMP: what is answered, what never is (RFC 1122 3.2.2), and what is believed (RFC 5927)."""

from random import Random
from typing import Any

import pytest
from scapy.layers.inet import IPOption_NOP
from scapy.packet import Raw

from netstack.config import Config
from netstack.events import Dropped
from netstack.link.device import DATA_VALID, NEEDS_CSUM, VNET
from netstack.units import SECOND
from netstack.wire import icmpv4
from tests.ip.rig import ICMP, IP, OTHER, PEER, PEER_MAC, TCP, UDP, US, Rig, Upper, checksums_hold, octets, quoted


@pytest.fixture
def rig() -> Rig:
    return Rig()


# -- queries


@pytest.mark.parametrize("size", [0, 1, 56, 57, 1_472])
def test_echo_is_answered_with_the_same_data(rig: Rig, size: int) -> None:
    data = Random(size).randbytes(size)
    rig.rx(IP(src=PEER, dst=US, tos=0x10) / ICMP(id=0x1234, seq=0xFFFF) / data)
    reply = rig.sent_one()
    assert (reply.dst, reply[IP].src, reply[IP].dst, reply[IP].tos, reply[IP].ttl) == (PEER_MAC, US, PEER, 0x10, 64)
    assert (reply[ICMP].type, reply[ICMP].code, reply[ICMP].id, reply[ICMP].seq) == (0, 0, 0x1234, 0xFFFF)
    assert bytes(reply[ICMP].payload) == data
    assert checksums_hold(reply)
    assert (rig.mib["IcmpInEchos"], rig.mib["IcmpOutEchoReps"], rig.mib["IcmpOutMsgs"]) == (1, 1, 1)


@pytest.mark.parametrize("size", [1_473, 8_000, 65_507])
def test_large_echo_comes_and_goes_in_fragments(rig: Rig, size: int) -> None:
    from scapy.layers.inet import fragment

    data = Random(size).randbytes(size)
    for packet in fragment(IP(src=PEER, dst=US, id=77) / ICMP(id=1, seq=2) / data, 1_480):
        rig.rx(packet)
    pieces = rig.sent()
    assert len({piece[IP].id for piece in pieces}) == 1
    assert all(len(piece[IP]) <= 1_500 and checksums_hold(piece) for piece in pieces)
    assert [piece[IP].flags.MF for piece in pieces] == [True] * (len(pieces) - 1) + [False]
    assert not any(piece[IP].flags.DF for piece in pieces)
    at, message = 0, b""
    for piece in pieces:
        assert piece[IP].frag * 8 == at
        at += piece[IP].len - 20
        message += bytes(piece)[34:]
    reply = ICMP(message)
    assert (reply.type, reply.id, reply.seq, bytes(reply.payload)) == (0, 1, 2, data)
    assert checksums_hold(reply)
    assert (rig.mib["IpFragOKs"], rig.mib["IpFragCreates"]) == (1, len(pieces))


def test_echo_waits_for_the_neighbor_that_asked() -> None:
    rig = Rig(known=False)
    rig.rx(IP(src=PEER, dst=US) / ICMP() / b"hello")
    assert rig.sent_one().type == 0x0806
    rig.learn(PEER, PEER_MAC)
    assert rig.sent_one()[ICMP].type == 0


def test_echo_from_beyond_the_gateway_is_answered_through_it() -> None:
    from ipaddress import IPv4Address

    rig = Rig(Config(gateway=IPv4Address(PEER)))
    rig.rx(IP(src="198.51.100.7", dst=US) / ICMP())
    reply = rig.sent_one()
    assert (reply.dst, reply[IP].dst) == (PEER_MAC, "198.51.100.7")


def test_echo_from_nowhere_is_not_answered(rig: Rig) -> None:  # no gateway: no way back
    rig.rx(IP(src="198.51.100.7", dst=US) / ICMP())
    assert rig.sent() == []
    assert (rig.mib["IpOutNoRoutes"], rig.mib["IcmpOutErrors"]) == (1, 1)


def test_timestamp_is_answered_with_a_clock_that_owns_up(rig: Rig) -> None:
    rig.rx(IP(src=PEER, dst=US) / ICMP(type=13, id=5, seq=6, ts_ori=1_111, ts_rx=0, ts_tx=0))
    reply = rig.sent_one()
    assert (reply[ICMP].type, reply[ICMP].id, reply[ICMP].seq, reply[ICMP].ts_ori) == (14, 5, 6, 1_111)
    assert reply[ICMP].ts_rx == reply[ICMP].ts_tx == 0x8000_0000 | 1_000
    assert checksums_hold(reply)


@pytest.mark.parametrize("flags", [DATA_VALID, NEEDS_CSUM])
def test_checksum_that_the_device_vouches_for_is_not_looked_at(rig: Rig, flags: int) -> None:
    rig.rx(IP(src=PEER, dst=US) / ICMP(chksum=0xBAD) / b"data", VNET.pack(flags, 0, 0, 0, 34, 2))
    assert checksums_hold(rig.sent_one())


@pytest.mark.parametrize(
    ("message", "reason"),
    [
        (bytes(ICMP(chksum=0xBAD)), "bad_checksum"),
        (bytes(ICMP())[:7], "too_short"),
        (b"", "too_short"),
        (icmpv4.build(13, 0, 1, 2, bytes(11)), "too_short"),
        (bytes(ICMP(type=3) / Raw(b"")), "bad_quote"),
        (bytes(ICMP(type=42)), "unknown_type"),
        (bytes(ICMP(type=17)), "unknown_type"),  # RFC 6918: address masks are history
        (bytes(ICMP(type=5) / IP() / UDP()), "redirect_ignored"),
        (bytes(ICMP(type=4) / IP() / UDP()), "source_quench_ignored"),
    ],
)
def test_message_that_means_nothing_to_us_is_counted_and_not_answered(rig: Rig, message: bytes, reason: str) -> None:
    rig.rx(IP(src=PEER, dst=US, proto=1) / message)
    assert rig.drops == {f"icmp.{reason}": 1}
    assert rig.sent() == []
    assert rig.mib["IcmpInMsgs"] == 1
    assert rig.mib["IcmpInErrors"] == (1 if reason in ("bad_checksum", "too_short", "bad_quote") else 0)


def test_replies_to_nobody_are_counted_by_type(rig: Rig) -> None:
    rig.rx(IP(src=PEER, dst=US) / ICMP(type=0))
    rig.rx(IP(src=PEER, dst=US) / ICMP(type=14))
    assert (rig.mib["IcmpInEchoReps"], rig.mib["IcmpInTimestampReps"]) == (1, 1)
    assert rig.sent() == []


# -- errors that we send


def probe(**fields: Any) -> Any:
    """What earns a protocol unreachable."""
    return IP(**{"src": PEER, "dst": US, "proto": 253} | fields) / b"payload"


@pytest.mark.parametrize(
    "packet",
    [
        probe(frag=5),
        probe(frag=5, flags="MF"),
        *(IP(src=PEER, dst=US) / ICMP(type=kind) / bytes(8) for kind in (3, 4, 5, 11, 12, 42)),
    ],
)
def test_some_packets_never_earn_an_error(rig: Rig, packet: Any) -> None:
    rig.icmp.unreachable(bytes(24) + bytes(packet), 24, 2, rig.now)
    assert rig.sent() == []


def test_query_may_earn_an_error(rig: Rig) -> None:
    rig.icmp.unreachable(bytes(24) + bytes(IP(src=PEER, dst=US) / ICMP()), 24, 2, rig.now)
    assert rig.sent_one()[ICMP].code == 2


def test_error_quotes_at_most_what_makes_576_octets(rig: Rig) -> None:
    packet = IP(src=PEER, dst=US, proto=253) / bytes(range(256)) / bytes(range(256)) / bytes(500)
    rig.rx(packet)
    error = rig.sent_one()
    assert error[IP].len == 576
    assert quoted(error) == bytes(packet)[:548]


def test_error_does_not_quote_the_padding(rig: Rig) -> None:
    from tests.ip.rig import MAC, Ether

    rig.rx(bytes(Ether(src=PEER_MAC, dst=MAC) / probe()) + bytes(19))
    assert quoted(rig.sent_one()) == bytes(probe())


def test_one_peer_is_told_six_times_and_then_once_a_second(rig: Rig) -> None:
    for _ in range(100):
        rig.rx(probe())
    assert len(rig.sent()) == 6
    assert rig.mib["IcmpOutRateLimitHost"] == 94
    rig.after(SECOND)
    rig.rx(probe())
    rig.rx(probe())
    assert len(rig.sent()) == 1


def test_everybody_together_gets_a_burst_of_fifty() -> None:
    from netstack.wire import ipv4

    rig = Rig()
    for n in range(1, 101):
        source = bytes((192, 0, 2, n + 100))
        rig.arp.neighbors.learn(source, octets(PEER_MAC), rig.now, reachable=True, override=True, create=True)
        rig.rx(IP(ipv4.build(source + octets(US), 253, 0)))
    assert len(rig.sent()) == 50
    assert rig.mib["IcmpOutRateLimitGlobal"] == 50


def test_echo_replies_are_not_limited(rig: Rig) -> None:
    for _ in range(100):
        rig.rx(IP(src=PEER, dst=US) / ICMP())
    assert len(rig.sent()) == 100


def test_error_that_finds_no_way_back_is_counted(rig: Rig) -> None:
    rig.watch()
    rig.rx(probe(src="198.51.100.7"))
    assert rig.sent() == []
    assert (rig.mib["IcmpOutErrors"], rig.mib["IcmpOutMsgs"]) == (1, 0)


def test_refusal_is_an_event(rig: Rig) -> None:
    rig.watch()
    rig.rx(IP(src=PEER, dst=US) / ICMP(chksum=0xBAD))
    rig.rx(IP(src=PEER, dst=US) / UDP(chksum=0xBAD))
    assert [event.reason for event in rig.events if isinstance(event, Dropped)] == [
        "icmp.bad_checksum",
        "udp.bad_checksum",
    ]


# -- errors about what we sent


def error(inner: Any, **fields: Any) -> Any:
    return IP(src=OTHER, dst=US) / ICMP(**{"type": 3, "code": 3} | fields) / Raw(bytes(inner))


OURS = IP(src=US, dst=PEER, len=1_500) / TCP(sport=80, dport=12_345, seq=99)
OUR_PAIR = octets(US) + octets(PEER)


@pytest.mark.parametrize("code", range(16))
def test_unreachable_reaches_the_transport(rig: Rig, code: int) -> None:
    upper = Upper(rig, 6)
    rig.rx(error(OURS, code=code, nexthopmtu=1_400 if code == 4 else 0))
    assert upper.errors == [(3, code, 1_400 if code == 4 else 0, OUR_PAIR, bytes(OURS[TCP]))]
    assert rig.mib["IcmpInDestUnreachs"] == 1
    assert not rig.drops
    assert rig.sent() == []


@pytest.mark.parametrize(("kind", "name"), [(11, "IcmpInTimeExcds"), (12, "IcmpInParmProbs")])
def test_other_errors_reach_the_transport(rig: Rig, kind: int, name: str) -> None:
    upper = Upper(rig, 6)
    rig.rx(error(OURS, type=kind, code=0))
    assert upper.errors == [(kind, 0, 0, OUR_PAIR, bytes(OURS[TCP]))]
    assert rig.mib[name] == 1


def test_eight_octets_and_options_in_the_quote_are_enough(rig: Rig) -> None:
    upper = Upper(rig, 6)
    inner = IP(src=US, dst=PEER, options=[IPOption_NOP()]) / TCP(sport=80)
    rig.rx(error(bytes(inner)[:32]))
    assert upper.errors == [(3, 3, 0, OUR_PAIR, bytes(inner[TCP])[:8])]


@pytest.mark.parametrize(
    ("inner", "reason"),
    [
        (bytes(OURS)[:27], "bad_quote"),
        (bytes(OURS)[:19], "bad_quote"),
        (IP(src=US, dst=PEER, version=6) / TCP(), "bad_quote"),
        (IP(src=US, dst=PEER, frag=9) / TCP(), "bad_quote"),
        (IP(src=OTHER, dst=PEER) / TCP(), "not_our_packet"),
        (IP(src=PEER, dst=US) / TCP(), "not_our_packet"),
    ],
)
def test_error_about_what_we_did_not_send_is_not_believed(rig: Rig, inner: Any, reason: str) -> None:
    upper = Upper(rig, 6)
    rig.rx(error(inner))
    assert upper.errors == []
    assert rig.drops == {f"icmp.{reason}": 1}


def test_error_about_an_echo_reply_interests_nobody(rig: Rig) -> None:
    rig.rx(error(IP(src=US, dst=PEER) / ICMP(type=0)))
    assert not rig.drops
    assert rig.sent() == []


@pytest.mark.parametrize(("length", "mtu"), [(1_500, 1_492), (1_492, 1_006), (577, 508), (65_535, 32_000), (60, 68)])
def test_router_that_does_not_tell_its_mtu_gets_the_next_plateau(rig: Rig, length: int, mtu: int) -> None:  # RFC 1191 5
    upper = Upper(rig, 6)
    rig.rx(error(IP(src=US, dst=PEER, len=length) / TCP(), code=4))
    assert upper.errors[0][:3] == (3, 4, mtu)
