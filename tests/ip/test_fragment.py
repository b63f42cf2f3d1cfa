"""Reassembly: every order, every overlap, every impossible shape; memory and time bounded."""

from itertools import pairwise
from random import Random
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scapy.layers.inet import IPOption_Router_Alert, fragment

from netstack.config import Config
from netstack.ip.fragment import DATAGRAM_OVERHEAD, OVERHEAD, cut
from netstack.link.device import DATA_VALID, VNET
from netstack.units import SECOND
from tests.ip.rig import ICMP, IP, PEER, UDP, US, Rig, Upper, checksums_hold, octets, quoted

PAIR = octets(PEER) + octets(US)
DATA = bytes(n * 7 & 255 for n in range(100))


@pytest.fixture
def rig() -> Rig:
    return Rig()


@pytest.fixture
def upper(rig: Rig) -> Upper:
    return Upper(rig, 6)


def piece(start: int, end: int, more: bool = True, data: bytes = DATA, **fields: Any) -> Any:
    """Octets start..end of `data` as a fragment."""
    return (
        IP(**{"src": PEER, "dst": US, "proto": 6, "id": 1, "frag": start >> 3, "flags": int(more)} | fields)
        / data[start:end]
    )


WHOLE = [piece(0, 40), piece(40, 80), piece(80, 100, False)]


@pytest.mark.parametrize("order", [(0, 1, 2), (0, 2, 1), (1, 0, 2), (1, 2, 0), (2, 0, 1), (2, 1, 0)])
def test_fragments_in_any_order_make_the_datagram(rig: Rig, upper: Upper, order: tuple[int, ...]) -> None:
    for n in order:
        assert upper.received == []
        rig.rx(WHOLE[n])
    assert upper.received == [(PAIR, DATA, False)]
    assert (rig.mib["IpReasmReqds"], rig.mib["IpReasmOKs"], rig.mib["IpInDelivers"]) == (3, 1, 1)
    assert rig.mib["IpReasmFails"] == 0
    assert (len(rig.ip.reassembly), rig.ip.reassembly.used, rig.deadline()) == (0, 0, None)


def test_scapys_fragments_of_the_largest_datagram(rig: Rig, upper: Upper) -> None:
    data = Random(3).randbytes(65_515)
    pieces = fragment(IP(src=PEER, dst=US, proto=6, id=7) / data, 1_480)
    assert len(pieces) == 45
    Random(4).shuffle(pieces)
    for packet in pieces:
        rig.rx(packet)
    assert upper.received == [(PAIR, data, False)]


def test_datagram_has_the_first_fragments_header_made_true(rig: Rig) -> None:
    seen = []
    rig.ip.protocols[253] = lambda frame, ip_at, at, end, *_: seen.append(IP(frame[ip_at:end]))
    rig.rx(piece(40, 100, False, proto=253, ttl=9, tos=0x10))
    rig.rx(piece(0, 40, proto=253, ttl=7, tos=0x20, options=[IPOption_Router_Alert()]))
    (datagram,) = seen
    assert (datagram.len, datagram.id, datagram.ttl, datagram.tos) == (124, 1, 7, 0x20)
    assert (datagram.flags, datagram.frag, datagram.ihl) == (0, 0, 6)
    assert checksums_hold(datagram)


def test_datagrams_do_not_mix(rig: Rig) -> None:
    other = "192.0.2.77"
    tcp, rest = Upper(rig, 6), Upper(rig, 7)
    rig.rx(piece(0, 40))
    rig.rx(piece(40, 100, False, id=2))
    rig.rx(piece(40, 100, False, proto=7))
    rig.rx(piece(40, 100, False, src=other))
    assert (tcp.received, rest.received) == ([], [])
    assert len(rig.ip.reassembly) == 4
    rig.rx(piece(40, 100, False))
    assert tcp.received == [(PAIR, DATA, False)]


def test_exact_duplicates_are_ignored(rig: Rig, upper: Upper) -> None:
    for packet in (WHOLE[0], WHOLE[0], WHOLE[2], WHOLE[2], WHOLE[0], WHOLE[1]):
        rig.rx(packet)
    assert upper.received == [(PAIR, DATA, False)]
    assert rig.drops == {"ipv4.fragment_duplicate": 3}
    assert rig.mib["IpReasmFails"] == 0


@pytest.mark.parametrize(
    ("first", "second"),
    [
        (piece(0, 40), piece(32, 72)),  # the tail of one under the head of the next
        (piece(32, 72), piece(0, 40)),
        (piece(0, 80), piece(8, 40)),  # teardrop: one inside the other
        (piece(8, 40), piece(0, 80)),
        (piece(0, 40), piece(0, 48)),  # same start, other end
        (piece(0, 40), piece(0, 32)),
        (piece(0, 40), piece(0, 40, data=bytes(100))),  # same place, other octets
        (piece(80, 100, False), piece(80, 96, False)),  # two ends
        (piece(80, 100, False), piece(80, 104, True, bytes(104))),  # beyond the end
        (piece(80, 100, False), piece(104, 112, True, bytes(112))),
        (piece(80, 100, False), piece(88, 104, False, bytes(104))),
        (piece(80, 88), piece(40, 60, False)),  # an end before what is there
        (piece(40, 80), piece(40, 80, False)),  # the same octets, now said to be the last
        (piece(40, 80, False), piece(40, 80)),
    ],
)
def test_overlap_condemns_the_whole_datagram(rig: Rig, upper: Upper, first: Any, second: Any) -> None:
    rig.rx(first)
    rig.rx(second)
    assert rig.drops == {"ipv4.fragment_overlap": 1}
    for packet in WHOLE:  # and what comes of it later does not start it anew
        rig.rx(packet)
    assert upper.received == []
    assert rig.drops["ipv4.fragment_condemned"] == 3
    assert rig.ip.reassembly.used == DATAGRAM_OVERHEAD
    rig.after(30 * SECOND)
    assert (rig.ip.reassembly.used, rig.deadline()) == (0, None)
    assert rig.sent() == []
    for packet in WHOLE:
        rig.rx(packet)
    assert upper.received == [(PAIR, DATA, False)]


@pytest.mark.parametrize(
    ("packet", "reason"),
    [
        (piece(0, 0), "length"),
        (piece(40, 40, False), "length"),
        (piece(0, 41), "length"),
        (piece(0, 7), "length"),
        (piece(0, 100, False, frag=0x1FFF), "too_long"),  # ping of death
        (piece(0, 8, False, frag=0x1FFF), "too_long"),
        (piece(0, 8, True, frag=0x1FFE), "too_long"),
    ],
)
def test_impossible_fragment_is_refused_alone(rig: Rig, upper: Upper, packet: Any, reason: str) -> None:
    rig.rx(packet)
    assert rig.drops == {f"ipv4.fragment_{reason}": 1}
    assert rig.mib["IpReasmFails"] == 1
    assert len(rig.ip.reassembly) == 0
    for good in WHOLE:
        rig.rx(good)
    assert len(upper.received) == 1


def test_options_that_make_the_whole_too_long_are_found_at_the_end(rig: Rig, upper: Upper) -> None:
    data = bytes(65_512)
    rig.rx(piece(65_504, 65_512, False, data))
    rig.rx(piece(0, 65_504 - 8 * 8000, True, data))
    for start in range(65_504 - 8 * 8000, 65_504, 16_000):
        rig.rx(piece(start, min(start + 16_000, 65_504), True, data))
    assert len(upper.received) == 1
    rig.rx(piece(65_504, 65_512, False, data, id=9))
    rig.rx(piece(32_000, 65_504, True, data, id=9))
    rig.rx(piece(0, 32_000, True, data, id=9, options=[IPOption_Router_Alert()]))
    assert len(upper.received) == 1
    assert rig.drops == {"ipv4.fragment_too_long": 1}
    assert rig.ip.reassembly.used == 0


def test_missing_fragment_is_reported_after_thirty_seconds_if_the_first_came(rig: Rig, upper: Upper) -> None:
    rig.rx(WHOLE[0])
    rig.after(30 * SECOND - 1)
    assert rig.sent() == []
    rig.rx(WHOLE[2])  # does not prolong it
    rig.after(1)
    error = rig.sent_one()
    assert (error[IP].src, error[IP].dst, error[ICMP].type, error[ICMP].code) == (US, PEER, 11, 1)
    assert quoted(error) == bytes(WHOLE[0])
    assert checksums_hold(error)
    assert rig.drops == {"ipv4.reassembly_timeout": 1}
    assert (rig.mib["IpReasmTimeout"], rig.mib["IpReasmFails"], rig.mib["IcmpOutTimeExcds"]) == (1, 1, 1)
    assert (len(rig.ip.reassembly), rig.ip.reassembly.used, rig.ip.deadline()) == (0, 0, None)
    rig.rx(WHOLE[1])
    assert upper.received == []


def test_without_the_first_fragment_the_timeout_is_silent(rig: Rig) -> None:
    rig.rx(WHOLE[1])
    rig.after(30 * SECOND)
    assert rig.sent() == []
    assert rig.drops == {"ipv4.reassembly_timeout": 1}


def test_memory_is_bounded_and_the_oldest_datagram_goes_first() -> None:
    rig = Rig(Config(reassembly_memory=10_000))
    upper = Upper(rig, 6)
    for ident in range(100):
        rig.rx(piece(0, 40, id=ident))
        assert rig.ip.reassembly.used <= 10_000
    kept = len(rig.ip.reassembly)
    assert kept == 10_000 // (40 + OVERHEAD + DATAGRAM_OVERHEAD)
    assert rig.drops == {"ipv4.reassembly_memory": 100 - kept}
    rig.rx(piece(40, 100, False, id=99))
    assert upper.received == [(PAIR, DATA, False)]
    rig.rx(piece(40, 100, False, id=0))
    assert len(upper.received) == 1


def test_datagram_too_large_for_the_memory_is_given_up() -> None:
    rig = Rig(Config(reassembly_memory=1_000))
    rig.rx(piece(0, 1_400, True, bytes(1_400)))
    assert (len(rig.ip.reassembly), rig.ip.reassembly.used) == (0, 0)
    assert rig.drops == {"ipv4.reassembly_memory": 1}


@pytest.mark.parametrize(
    ("fields", "reason"),
    [
        ([2, 3], None),  # ECT(0) and CE: congestion was met
        ([2, 1], None),
        ([0, 3], "ipv4.fragment_ecn"),  # not ECT and CE: somebody lies
    ],
)
def test_congestion_marks_survive(rig: Rig, fields: list[int], reason: str | None) -> None:  # RFC 3168 5.3
    seen = []
    rig.ip.protocols[6] = lambda frame, ip_at, *_: seen.append(frame[ip_at + 1])
    rig.rx(piece(0, 40, tos=fields[0]))
    rig.rx(piece(40, 100, False, tos=fields[1]))
    assert rig.drops == ({reason: 1} if reason else {})
    assert seen == ([] if reason else [3 if 3 in fields else fields[0]])


@pytest.mark.parametrize(("flags", "verified"), [((DATA_VALID,) * 3, True), ((DATA_VALID, 0, DATA_VALID), False)])
def test_device_must_vouch_for_every_fragment(rig: Rig, upper: Upper, flags: tuple[int, ...], verified: bool) -> None:
    for packet, flag in zip(WHOLE, flags, strict=True):
        rig.rx(packet, VNET.pack(flag, 0, 0, 0, 0, 0))
    assert upper.received == [(PAIR, DATA, verified)]


def test_reassembled_datagram_is_checked_like_any_other(rig: Rig) -> None:
    endpoint = rig.udp.bind(port=9)
    good = bytes(UDP(bytes(IP(src=PEER, dst=US) / UDP(sport=5, dport=9) / DATA)[20:]))
    bad = good[:-1] + bytes((good[-1] ^ 1,))
    for ident, data in ((1, good), (2, bad)):
        rig.rx(piece(0, 64, True, data, proto=17, id=ident))
        rig.rx(piece(64, len(data), False, data, proto=17, id=ident))
    datagram = endpoint.receive()
    assert datagram is not None
    assert datagram.data == DATA
    assert endpoint.receive() is None
    assert rig.drops == {"udp.bad_checksum": 1}


@st.composite
def shuffled_pieces(draw: st.DrawFn) -> tuple[bytes, list[tuple[int, int]]]:
    """A payload, and intervals of it in some order: a partition, with copies thrown in."""
    data = draw(st.binary(min_size=1, max_size=400))
    cuts = draw(st.sets(st.integers(1, (len(data) - 1) // 8).map(lambda n: n * 8)) if len(data) > 8 else st.just(set()))
    bounds = [0, *sorted(cuts), len(data)]
    parts = list(pairwise(bounds))
    copies = draw(st.lists(st.sampled_from(parts), max_size=4))
    return data, draw(st.permutations(parts + copies))


@given(shuffled_pieces())
@settings(max_examples=60, deadline=None)
def test_partition_in_any_order_with_copies_gives_the_payload_once(case: tuple[bytes, list[tuple[int, int]]]) -> None:
    data, parts = case
    rig = Rig()
    upper = Upper(rig, 6)
    missing = {start for start, _ in parts}
    for start, end in parts:
        rig.rx(piece(start, end, end < len(data), data))
        missing.discard(start)
        if not missing:
            break
    assert upper.received == [(PAIR, data, False)]
    assert rig.ip.reassembly.used == 0


class Naive:
    """A dict of octets. Says for each fragment what must become of the datagram, by the policy in words."""

    def __init__(self) -> None:
        self.octets: dict[int, int] = {}
        self.seen: set[tuple[int, bytes, bool]] = set()
        self.length: int | None = None
        self.condemned = False

    def add(self, start: int, data: bytes, more: bool) -> bytes | None:
        end = start + len(data)
        if not data or (more and len(data) % 8) or (start, data, more) in self.seen or self.condemned:
            return None
        places = range(start, end)
        clash = any(place in self.octets for place in places)
        beyond = self.length is not None and (end > self.length or not more)
        short = not more and any(place >= end for place in self.octets)
        if clash or beyond or short:
            self.condemned = True
            return None
        self.seen.add((start, data, more))
        self.octets.update(zip(places, data, strict=True))
        if not more:
            self.length = end
        if self.length is not None and len(self.octets) == self.length:
            whole = bytes(self.octets[place] for place in range(self.length))
            self.__init__()  # type: ignore[misc]
            return whole
        return None


fragments = st.tuples(st.integers(0, 5), st.integers(0, 3), st.integers(-1, 1), st.booleans(), st.booleans())


@given(st.lists(fragments, max_size=14))
@settings(max_examples=150, deadline=None)
def test_any_fragments_at_all_do_what_a_dict_of_octets_does(parts: list[tuple[int, int, int, bool, bool]]) -> None:
    rig = Rig()
    upper = Upper(rig, 6)
    naive = Naive()
    expected = []
    for start, units, extra, more, other in parts:
        length = max(0, units * 8 + (extra if not more else 0))
        if not start and not more:
            continue  # no fragment at all
        data = (b"\xaa" if other else b"\x55") * length
        whole = naive.add(start * 8, data, more)
        expected += [whole] if whole is not None else []
        rig.rx(piece(0, length, more, data, frag=start))
    assert [payload for _, payload, _ in upper.received] == expected
    assert rig.ip.reassembly.used >= 0
    assert sum(rig.drops.values()) + len(expected) <= len(parts)
    rig.after(30 * SECOND)
    assert (len(rig.ip.reassembly), rig.ip.reassembly.used, rig.ip.deadline()) == (0, 0, None)


@given(st.binary(max_size=3_000), st.integers(8, 1_500))
def test_cutting_covers_the_payload_in_order(payload: bytes, room: int) -> None:
    parts = list(cut(payload, room))
    assert b"".join(part for _, _, part in parts) == payload
    at = 0
    for offset, more, part in parts:
        assert offset == at
        assert offset % 8 == 0
        assert len(part) <= room
        assert more == (part is not parts[-1][2])
        at += len(part)


def test_nothing_can_be_cut_into_less_than_eight_octets() -> None:
    with pytest.raises(ValueError, match="no fragment"):
        list(cut(b"x" * 20, 7))
