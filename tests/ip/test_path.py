"""The way out of every segment: octet for octet what scapy would send, whatever the device does for us."""

from ipaddress import IPv4Address
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netstack.config import Config
from netstack.events import Dropped, FrameSent, PacketSent
from netstack.ip.path import Path
from netstack.link.device import GSO_TCPV4, NEEDS_CSUM, NO_OFFLOAD, VNET
from netstack.link.neighbor import DELAY, REACHABLE
from netstack.units import MINUTE, SECOND
from netstack.wire.checksum import ones_sum, pseudo_sum
from tests.ip.rig import IP, MAC, OTHER, PEER, PEER_MAC, TCP, US, Ether, Rig, Upper, checksums_hold, octets

FAR = "198.51.100.7"


def path_of(rig: Rig, destination: str = PEER, source: str | None = None) -> Path:
    path = rig.ip.path(octets(source) if source else None, octets(destination), 6, 16)
    assert path is not None
    return path


def segment(payload: bytes = b"", source: str = US, destination: str = PEER, **fields: Any) -> bytes:
    """A TCP header with the checksum that scapy gives it."""
    packet = IP(src=source, dst=destination) / TCP(**{"sport": 80, "dport": 4_000, "seq": 5} | fields) / payload
    return bytes(packet)[20 : len(bytes(packet)) - len(payload)]


@given(st.binary(max_size=1_460), st.integers(0, 255), st.integers(1, 255), st.integers(0, 65_535), st.booleans())
@settings(max_examples=60, deadline=None)
def test_packet_is_what_scapy_would_send(payload: bytes, tos: int, ttl: int, ident: int, view: bool) -> None:
    rig = Rig()
    path = path_of(rig)
    path._ident = ident
    path.send(segment(payload), memoryview(payload) if view else payload, 0, tos, rig.now, ttl)
    (frame,) = rig.device.frames
    expected = (
        Ether(src=MAC, dst=PEER_MAC)
        / IP(src=US, dst=PEER, tos=tos, ttl=ttl, id=ident, flags="DF")
        / TCP(sport=80, dport=4_000, seq=5)
        / payload
    )
    assert frame == NO_OFFLOAD + bytes(expected)


def test_identification_counts_on_and_wraps() -> None:
    rig = Rig()
    path = path_of(rig)
    path._ident = 0xFFFF
    for _ in range(3):
        path.send(segment(), b"", 0, 0, rig.now)
    assert [frame[IP].id for frame in rig.sent()] == [0xFFFF, 0, 1]


def test_pseudo_is_the_pseudo_header_without_its_length() -> None:
    path = path_of(Rig())
    assert (path.pseudo + 1_234) % 0xFFFF == pseudo_sum(octets(US) + octets(PEER), 6, 1_234) % 0xFFFF


def test_everybody_on_the_same_way_shares_one_path_until_all_have_let_go() -> None:
    rig = Rig()
    path = path_of(rig)
    assert path_of(rig) is path
    assert path_of(rig, OTHER) is not path
    assert rig.ip.path(None, octets(PEER), 17, 6) is not path
    del path
    assert len(rig.ip._paths) == 0


# -- offload


def test_without_offload_nothing_is_left_to_the_device() -> None:
    rig = Rig()
    path = path_of(rig)
    assert not path.offload
    path.send(segment(b"x"), b"x", 0, 0, rig.now)
    assert rig.device.frames[0][:10] == NO_OFFLOAD


def test_checksum_is_left_to_a_device_that_can() -> None:
    rig = Rig(offload=True)
    path = path_of(rig)
    assert path.offload
    path.send(segment(b"x", chksum=0xABCD), b"x", 0, 0, rig.now)
    (frame,) = rig.device.frames
    assert VNET.unpack_from(frame) == (NEEDS_CSUM, 0, 0, 0, 34, 16)
    assert IP(frame[24:])[TCP].chksum == 0xABCD


def test_protocol_without_a_checksum_leaves_none_to_the_device() -> None:
    rig = Rig(offload=True)
    path = rig.ip.path(None, octets(PEER), 253, -1)
    assert path is not None
    path.send(b"head", b"data", 0, 0, rig.now)
    assert rig.device.frames[0][:10] == NO_OFFLOAD


@pytest.mark.parametrize(
    ("size", "gso_size", "head_len", "segments"),
    [(1_461, 1_460, 20, 2), (2_920, 1_460, 20, 2), (64_000, 1_448, 32, 45), (10, 1, 60, 10)],
)
def test_super_segment_says_how_to_cut_it(size: int, gso_size: int, head_len: int, segments: int) -> None:
    rig = Rig(offload=True)
    path = path_of(rig)
    ident = path._ident
    path.send(bytes(head_len), bytes(size), gso_size, 0, rig.now)
    path.send(bytes(head_len), b"", 0, 0, rig.now)
    one, two = rig.device.frames
    assert VNET.unpack_from(one) == (NEEDS_CSUM, GSO_TCPV4, 34 + head_len, gso_size, 34, 16)
    assert IP(one[24:]).len == len(one) - 24
    assert ones_sum(one[24:44]) == 0
    assert VNET.unpack_from(two) == (NEEDS_CSUM, 0, 0, 0, 34, 16)
    assert (IP(one[24:]).id, IP(two[24:]).id) == (ident, (ident + segments) & 0xFFFF)


def test_super_segments_of_different_shapes_do_not_mix() -> None:
    rig = Rig(offload=True)
    path = path_of(rig)
    for gso_size, head_len in ((1_460, 20), (1_448, 32), (1_460, 20), (1_460, 32)):
        path.send(bytes(head_len), bytes(3_000), gso_size, 0, rig.now)
    shapes = [VNET.unpack_from(frame)[2:4] for frame in rig.device.frames]
    assert shapes == [(54, 1_460), (66, 1_448), (54, 1_460), (66, 1_460)]


@pytest.mark.parametrize("size", [0, 1, 1_460])
def test_what_fits_one_segment_is_no_super_segment(size: int) -> None:
    rig = Rig(offload=True)
    path_of(rig).send(bytes(20), bytes(size), 1_460, 0, rig.now)
    assert VNET.unpack_from(rig.device.frames[0])[1:4] == (0, 0, 0)


# -- neighbours


def test_first_segments_wait_for_the_neighbor_and_then_go_as_they_are() -> None:
    rig = Rig(known=False, offload=True)
    path = path_of(rig)
    path.send(segment(seq=1), b"", 0, 0, rig.now)
    path.send(bytes(20), bytes(3_000), 1_460, 0, rig.now)
    assert [frame.type for frame in rig.sent()] == [0x0806]
    rig.learn(PEER, PEER_MAC)
    one, two = rig.device.frames
    assert one[10:24] == two[10:24] == octets(PEER_MAC) + octets(MAC) + b"\x08\x00"
    assert VNET.unpack_from(two) == (NEEDS_CSUM, GSO_TCPV4, 54, 1_460, 34, 16)
    assert len(two) == 44 + 3_020
    assert ones_sum(two[24:44]) == 0


def test_off_link_traffic_goes_through_the_gateway() -> None:
    rig = Rig(Config(gateway=IPv4Address(PEER)))
    path_of(rig, FAR).send(segment(destination=FAR), b"", 0, 0, rig.now)
    frame = rig.sent_one()
    assert (frame.dst, frame[IP].dst) == (PEER_MAC, FAR)
    assert checksums_hold(frame)


def test_moved_neighbor_is_followed_at_once() -> None:
    rig = Rig()
    path = path_of(rig)
    path.send(segment(), b"", 0, 0, rig.now)
    rig.learn(PEER, "02:00:5e:00:02:77")
    path.send(segment(), b"", 0, 0, rig.now)
    assert [frame.dst for frame in rig.sent()] == [PEER_MAC, "02:00:5e:00:02:77"]


def test_progress_keeps_the_neighbor_from_being_probed() -> None:
    rig = Rig()
    path = path_of(rig)
    for _ in range(30):
        path.send(segment(), b"", 0, 0, rig.now)
        path.neighbor.confirmed_at = rig.now
        rig.after(10 * SECOND)
    assert {frame.type for frame in rig.sent()} == {0x0800}
    assert rig.arp.neighbors.entries[octets(PEER)].state is REACHABLE


def test_without_progress_the_neighbor_is_verified_while_segments_flow() -> None:
    rig = Rig()
    path = path_of(rig)
    rig.after(MINUTE)
    path.send(segment(), b"", 0, 0, rig.now)
    assert rig.arp.neighbors.entries[octets(PEER)].state is DELAY
    rig.after(5 * SECOND)
    path.send(segment(), b"", 0, 0, rig.now)
    assert [(frame.type, frame.dst) for frame in rig.sent()] == [
        (0x0800, PEER_MAC), (0x0806, PEER_MAC), (0x0800, PEER_MAC),
    ]  # fmt: skip


def test_transport_is_told_once_that_the_host_is_unreachable() -> None:
    rig = Rig(known=False)
    upper = Upper(rig, 6)
    path = path_of(rig)
    head = segment()
    path.send(head, b"one", 0, 0, rig.now)
    path.send(head, b"two", 0, 0, rig.now)
    path.send(segment(sport=81), b"", 0, 0, rig.now)
    rig.after(3 * SECOND)
    pair = octets(US) + octets(PEER)
    assert upper.errors == [(3, 1, 0, pair, head + b"one"), (3, 1, 0, pair, segment(sport=81))]
    assert rig.drops == {"neighbor.unresolved": 3}
    assert rig.deadline() is None


def test_full_neighbor_table_loses_the_segment_and_says_so() -> None:
    rig = Rig(Config(neighbor_limit=1))
    rig.watch()
    path = path_of(rig, OTHER)
    path.send(segment(), b"", 0, 0, rig.now)
    assert rig.sent() == []
    assert rig.drops == {"neighbor.table_full": 1}
    assert Dropped(rig.now, "neighbor.table_full") in rig.events
    path.neighbor.confirmed_at = rig.now
    rig.after(MINUTE)
    path.send(segment(), b"", 0, 0, rig.now)
    assert [frame.type for frame in rig.sent()] == [0x0806]


def test_sink_sees_what_is_sent() -> None:
    rig = Rig()
    rig.watch()
    path_of(rig).send(segment(b"x"), b"x", 0, 0, rig.now)
    packet, frame = rig.events
    assert packet == PacketSent(rig.now, octets(US), octets(PEER), 6, 20 + len(segment(b"x")) + 1, 64, 0, 0)
    assert frame == FrameSent(rig.now, rig.device.frames[0])


def test_sink_sees_a_super_segment_once_and_what_waits_before_it_leaves() -> None:
    rig = Rig(offload=True, known=False)
    rig.watch()
    path_of(rig).send(segment(bytes(4000)), bytes(4000), 1000, 3, rig.now, ttl=9)
    waits = [event for event in rig.events if isinstance(event, PacketSent)]
    assert [(event.gso_size, event.tos, event.ttl, event.length) for event in waits] == [(1000, 3, 9, 4040)]


def test_sink_sees_packets_to_ourselves_but_no_frames() -> None:
    rig = Rig()
    rig.watch()
    path_of(rig, US).send(segment(b"x"), b"x", 0, 0, rig.now)
    rig.ip.loop(rig.now)
    kinds = [type(event).__name__ for event in rig.events]
    assert kinds[0] == "PacketSent"
    assert "FrameSent" not in kinds


# -- where there is a way


@pytest.mark.parametrize("destination", [FAR, "255.255.255.255", "192.0.2.255", "224.0.0.1", "0.0.0.0"])
def test_no_way_to_groups_or_without_a_route(destination: str) -> None:
    assert Rig().ip.path(None, octets(destination), 6, 16) is None


@pytest.mark.parametrize(("source", "destination"), [(OTHER, PEER), ("127.0.0.1", PEER), (OTHER, US)])
def test_no_way_from_an_address_that_is_not_ours(source: str, destination: str) -> None:
    assert Rig().ip.path(octets(source), octets(destination), 6, 16) is None


# -- to ourselves


@pytest.mark.parametrize("address", [US, "127.0.0.1", "127.1.2.3"])
@pytest.mark.parametrize("offload", [False, True])
def test_packets_to_ourselves_come_back_when_the_stack_looks(address: str, offload: bool) -> None:
    rig = Rig(offload=offload)
    upper = Upper(rig, 6)
    path = path_of(rig, address)
    assert (path.source, path.mtu, path.offload) == (octets(address), 65_535, True)
    data = Random(1).randbytes(60_000)
    path.send(bytes(20), data, 65_495, 0, rig.now)
    assert (upper.received, rig.deadline()) == ([], rig.now)
    assert rig.ip.loop(rig.now) is False
    assert upper.received == [(octets(address) * 2, bytes(20) + data, True)]
    assert rig.deadline() is None
    assert rig.device.frames == []
    assert not rig.drops


def test_answers_to_ourselves_wait_for_the_next_look() -> None:
    rig = Rig()
    path = path_of(rig, US)
    answers = []

    def answer(*_: Any) -> None:
        answers.append(1)
        if len(answers) < 3:
            path.send(bytes(20), b"", 0, 0, rig.now)

    rig.ip.protocols[6] = answer
    path.send(bytes(20), b"", 0, 0, rig.now)
    assert [rig.ip.loop(rig.now), len(answers)] == [True, 1]
    assert [rig.ip.loop(rig.now), len(answers)] == [True, 2]
    assert [rig.ip.loop(rig.now), len(answers)] == [False, 3]


def test_what_waits_for_ourselves_is_bounded() -> None:
    rig = Rig()
    path = path_of(rig, US)
    for _ in range(2_000):
        path.send(bytes(20), b"", 0, 0, rig.now)
    upper = Upper(rig, 6)
    rig.ip.loop(rig.now)
    assert len(upper.received) + rig.drops["ipv4.loop_full"] == 2_000
    assert len(upper.received) == 1_024


def test_our_address_as_source_is_good_inside_only() -> None:
    rig = Rig()
    upper = Upper(rig, 6)
    path_of(rig, US).send(bytes(20), b"", 0, 0, rig.now)
    rig.ip.loop(rig.now)
    rig.rx(IP(src=US, dst=US, proto=6) / bytes(20))
    assert len(upper.received) == 1
    assert rig.drops == {"ipv4.martian_source": 1}
