"""Accurate ECN (RFC 9768) between two stacks over paths that mark, wipe and lose: both ends count the same."""

from random import Random

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from netstack.ip.ecn import CE, ECT_0, ECT_1, NOT_ECT
from netstack.tcp.accecn import ACE_FAIL_RECV, COUNTERS, FAILED, FIRST_CEP, OPT_FAIL_RECV, UNSEEN, AccEcn
from netstack.tcp.ace import Decoder
from netstack.tcp.connection import Connection
from netstack.tcp.ecn import Ecn
from netstack.tcp.ecn_connection import AccEcnConnection
from netstack.tcp.info import OPT_ECN, OPT_ECN_SEEN, tcp_info
from netstack.units import MILLISECOND, SECOND
from netstack.wire.tcp import ACK, AE, CWR, ECE, SYN
from netstack.wire.tcp_options import MAX_LEN, build_segment, build_syn, parse
from netstack.wire.tcp_options import AccEcn as Option
from tests.tcp.pair import CLIENT, SERVER, Pair, with_tos

ACE = AE | CWR | ECE
TCP_AT = 24 + 20
ASK = {"ecn": 3}


def said(passed) -> int:
    """The ACE field of what was sent."""
    return passed.segment.flags >> 6 & 7


def accurate(pair: Pair, **options):
    """A connection with accurate ECN: both ends, and what they know of marks."""
    ours, theirs = pair.open(**options)
    assert isinstance(ours.ecn, AccEcn)
    assert isinstance(theirs.ecn, AccEcn)
    return ours, theirs


def set_flags(frame: bytes, flags: int) -> bytes:
    """What a box makes of a segment that sets these flags instead of ACE, checksum corrected (RFC 1624)."""
    at = TCP_AT + 12
    old = int.from_bytes(frame[at : at + 2], "big")
    new = old & ~ACE | flags
    total = int.from_bytes(frame[at + 4 : at + 6], "big") + old + (~new & 0xFFFF)
    total = (total & 0xFFFF) + (total >> 16)
    total = (total & 0xFFFF) + (total >> 16)
    return frame[:at] + new.to_bytes(2, "big") + frame[at + 2 : at + 4] + total.to_bytes(2, "big") + frame[at + 6 :]


def is_tcp(frame: bytes) -> bool:
    return frame[22:24] == b"\x08\0" and frame[24 + 9] == 6


def flags_of(frame: bytes) -> int:
    return int.from_bytes(frame[TCP_AT + 12 : TCP_AT + 14], "big") & 0x1FF


class Marker:
    """A router that marks some of what is ECN-capable, loses some of everything, and keeps the count."""

    def __init__(self, seed: int, share: float, loss: float = 0.0) -> None:
        self.rng = Random(seed)
        self.share, self.loss = share, loss
        self.packets = self.octets = 0

    def __call__(self, frame: bytes) -> bytes | None:
        if not is_tcp(frame) or flags_of(frame) & SYN:
            return frame
        if self.rng.random() < self.loss:
            return None
        if frame[25] & 3 and self.rng.random() < self.share:
            self.packets += 1
            length = int.from_bytes(frame[26:28], "big") - 20
            self.octets += length - (frame[TCP_AT + 12] >> 4) * 4
            return with_tos(frame, frame[25] | 3)
        return frame


# -- who asks, and who agrees (3.1) ------------------------------------------------------------------------------------


@pytest.mark.parametrize(("client", "server", "agreed"), [
    (3, 3, AccEcn), (3, 4, AccEcn), (3, 5, AccEcn), (3, 2, Ecn), (3, 1, Ecn), (3, 0, None),
    (1, 3, Ecn), (1, 4, Ecn), (1, 5, Ecn), (4, 3, Ecn), (4, 2, Ecn), (4, 0, None),
    (5, 3, None), (2, 3, None), (0, 3, None),
])  # fmt: skip
def test_the_highest_that_both_can_do(client, server, agreed):  # Table 2
    pair = Pair({"ecn": client}, {"ecn": server})
    ours, theirs = pair.open()
    assert [type(conn.ecn) if conn.ecn else None for conn in (ours, theirs)] == [agreed, agreed]
    syn, syn_ack = pair.passed[0].segment.flags, pair.passed[1].segment.flags
    asked = {3: ACE, 1: CWR | ECE, 4: CWR | ECE}.get(client, 0)
    assert syn == SYN | asked
    assert syn_ack & ACE == (CWR if agreed is AccEcn else ECE if agreed is Ecn else 0)
    pair.transfer(ours, theirs, 50_000, SECOND)
    pair.transfer(theirs, ours, 50_000, SECOND)
    for conn in (ours, theirs):
        options = tcp_info(conn, pair.now)["options"]
        assert options & (OPT_ECN | OPT_ECN_SEEN) == (OPT_ECN | OPT_ECN_SEEN if agreed else 0)


@pytest.mark.parametrize("codepoint", [NOT_ECT, ECT_1, ECT_0, CE])
@pytest.mark.parametrize("way", ["to_server", "to_client"])
def test_each_side_says_what_the_others_syn_came_with(codepoint, way):  # Tables 2 and 3
    pair = Pair(ASK, ASK)
    setattr(pair, way, lambda frame: with_tos(frame, codepoint) if is_tcp(frame) and flags_of(frame) & SYN else frame)
    ours, theirs = accurate(pair)
    ace = {NOT_ECT: 0b010, ECT_1: 0b011, ECT_0: 0b100, CE: 0b110}[codepoint]
    syn_ack, third = pair.passed[1], pair.passed[2]
    assert third.segment.payload == b""
    assert (said(syn_ack), said(third)) == ((ace, 0b010) if way == "to_server" else (0b010, ace))
    # Whose SYN or SYN-ACK was tampered with sends nothing more that is ECN-capable (3.2.2.3).
    sender, other = (ours, theirs) if way == "to_server" else (theirs, ours)
    assert bool(sender.ecn.fail_mode & ACE_FAIL_RECV) == (codepoint != NOT_ECT)
    assert not other.ecn.fail_mode
    pair.passed.clear()
    pair.transfer(sender, other, 20_000, SECOND)
    pair.transfer(other, sender, 20_000, SECOND)
    capable = {source: {p.tos & 3 for p in pair.sent(source)} for source in (CLIENT, SERVER)}
    by_sender = CLIENT if way == "to_server" else SERVER
    assert capable.pop(by_sender) == ({NOT_ECT} if codepoint != NOT_ECT else {ECT_0})
    assert capable.popitem()[1] == {ECT_0}


@pytest.mark.parametrize("flags", range(8))
def test_syn_flags_that_nobody_uses_yet_ask_for_it_too(flags):  # 3.1.3
    pair = Pair(ASK, ASK)
    pair.to_server = lambda frame: set_flags(frame, flags << 6) if flags_of(frame) & SYN and is_tcp(frame) else frame
    _, theirs = pair.open()
    expected = None if not flags else Ecn if flags == 3 else AccEcn
    assert (type(theirs.ecn) if theirs.ecn else None) is expected


@pytest.mark.parametrize("flags", range(8))
def test_what_a_syn_ack_means(flags):  # Table 2, 3.1.3
    pair = Pair(ASK, {"ecn": 0})
    pair.to_client = lambda frame: set_flags(frame, flags << 6) if is_tcp(frame) and flags_of(frame) & SYN else frame
    ours, _ = pair.open()
    expected = None if flags in (0, 7) else Ecn if flags == 1 else AccEcn
    assert (type(ours.ecn) if ours.ecn else None) is expected


@pytest.mark.parametrize("lost", [0, 1, 2, 3])
def test_a_lost_syn_asks_once_more_and_then_no_longer(lost):  # 3.1.4.1, 3.1.5
    pair = Pair(ASK, ASK)
    syns = []

    def way(frame: bytes) -> bytes | None:
        if is_tcp(frame) and flags_of(frame) & SYN:
            syns.append(flags_of(frame) & ACE)
            return None if len(syns) <= lost else frame
        return frame

    pair.to_server = way
    listener = pair.server.tcp.listen(SERVER, 80, 16)
    ours = pair.client.tcp.connect(None, (SERVER, 80))
    pair.run(20 * SECOND)
    assert listener.accept() is not None
    assert syns == [ACE, ACE, 0, 0][: lost + 1]
    assert isinstance(ours.ecn, AccEcn) == (lost < 2)


def test_a_syn_without_flags_behind_one_with_them_ends_ect_on_both_sides():  # 3.1.5
    pair = Pair(ASK, ASK)
    late: list[bytes] = []

    def hold_syn_acks(frame: bytes) -> bytes | None:
        if is_tcp(frame) and flags_of(frame) & SYN and pair.now < start + 2500 * MILLISECOND:
            late.append(frame)
            return None
        return frame

    start = pair.now
    pair.to_client = hold_syn_acks
    listener = pair.server.tcp.listen(SERVER, 80, 16)
    ours = pair.client.tcp.connect(None, (SERVER, 80))
    pair.run(2500 * MILLISECOND)
    assert [p.segment.flags & ACE for p in pair.sent(CLIENT)] == [ACE, ACE, 0]
    pair.client.receive(late[0], pair.now)  # the first SYN-ACK of all, late
    pair.run(100 * MILLISECOND)
    theirs = listener.accept()
    assert isinstance(ours.ecn, AccEcn)
    assert isinstance(theirs.ecn, AccEcn)
    pair.passed.clear()
    pair.transfer(ours, theirs, 30_000, SECOND)
    pair.transfer(theirs, ours, 30_000, SECOND)
    assert {p.tos & 3 for p in pair.passed} == {NOT_ECT}
    assert ours.ecn.fail_mode & theirs.ecn.fail_mode & ACE_FAIL_RECV


def test_syn_acks_that_are_sent_again_say_less_and_less():  # 3.2.3.2.2
    pair = Pair(ASK, ASK)
    pair.to_client = lambda frame: None if is_tcp(frame) else frame
    pair.server.tcp.listen(SERVER, 80, 16)
    pair.client.tcp.connect(None, (SERVER, 80))
    pair.to_server = lambda frame: None if pair.sent(SERVER) else frame
    pair.run(5 * SECOND)
    again = [(said(p), parse(p.segment.options).accecn is not None) for p in pair.sent(SERVER)]
    assert again == [(0b010, True), (0b010, False), (0, False)]


# -- counting ----------------------------------------------------------------------------------------------------------


def check_counts(conn: Connection, other: Connection, way: Marker) -> None:
    """`conn` sent through `way` to `other`: the receiver counted every mark, and the sender knows of all of them."""
    there = other.ecn.info()
    assert there["received_ce"] == way.packets
    assert there["received_ce_bytes"] == way.octets
    here = conn.ecn.info()
    assert here["delivered_ce"] == way.packets
    assert here["delivered_ce_bytes"] == way.octets
    assert here["delivered_e0_bytes"] == there["received_e0_bytes"]
    assert here["delivered_e1_bytes"] == there["received_e1_bytes"] == 0


@pytest.mark.parametrize("option", [1, 2])
@pytest.mark.parametrize("timestamps", [True, False])
@pytest.mark.parametrize("predict", [True, False])
@pytest.mark.parametrize("share", [0.05, 1.0])
def test_both_ends_count_every_mark(option, timestamps, predict, share):  # 3.2.1, 3.2.2.2, 3.2.3.1
    config = {"ecn": 3, "ecn_option": option, "timestamps": timestamps}
    pair = Pair(config, config, predict=predict)
    ours, theirs = accurate(pair)
    assert isinstance(ours, AccEcnConnection)
    there, back = Marker(1, share), Marker(2, share / 2)
    pair.to_server, pair.to_client = there, back
    pair.transfer(ours, theirs, 300_000, 60 * SECOND)
    pair.run(SECOND)
    pair.to_server = pair.to_client = lambda frame: frame
    pair.transfer(theirs, ours, 3_000, 10 * SECOND)
    pair.transfer(ours, theirs, 3_000, 10 * SECOND)
    pair.run(SECOND)
    check_counts(ours, theirs, there)
    if timestamps:  # else one cannot tell a late ACK from one that says something new, when there is no text to count
        check_counts(theirs, ours, back)
    for conn in (ours, theirs):
        assert conn.ecn.option_seen == COUNTERS
        assert not conn.ecn.fail_mode


@pytest.mark.parametrize("seed", [0, 1, 3, 4])
def test_counts_survive_loss(seed):  # in none of them a marked duplicate comes too late to be acceptable, and to count
    pair = Pair(ASK, ASK)
    if seed == 1:  # to be watched changes nothing
        for stack in pair.stacks:
            stack.observe([].append)
    ours, theirs = accurate(pair)
    pair.to_server, back = Marker(seed, 0.1, 0.03), Marker(seed + 9, 0.0, 0.05)
    there, pair.to_client = pair.to_server, back
    pair.transfer(ours, theirs, 400_000, 120 * SECOND)
    pair.to_server = pair.to_client = lambda frame: frame
    pair.transfer(ours, theirs, 5_000, 10 * SECOND)
    pair.run(SECOND)
    # Octets that came twice count twice, with the codepoint that each copy had.
    there_info, here = theirs.ecn.info(), ours.ecn.info()
    assert there_info["received_ce"] == there.packets == here["delivered_ce"]
    assert there_info["received_ce_bytes"] == there.octets == here["delivered_ce_bytes"]


def test_a_super_segment_counts_as_what_it_holds():
    pair = Pair(ASK, ASK, offload=True)
    ours, theirs = accurate(pair)
    pair.transfer(ours, theirs, 2_000_000, 20 * SECOND)
    pair.run(SECOND)
    assert any(len(p.segment.payload) > 10_000 for p in pair.sent(CLIENT))
    assert ours.ecn.info()["delivered_e0_bytes"] == 2_000_000
    marker = Marker(1, 1.0)
    pair.to_server = marker
    pair.passed.clear()
    pair.transfer(ours, theirs, 100_000, 20 * SECOND)
    pair.to_server = lambda frame: frame
    pair.transfer(ours, theirs, 10, SECOND)
    packets = sum(-(-len(p.segment.payload) // 1448) for p in pair.sent(CLIENT) if p.segment.payload)
    assert theirs.ecn.info()["received_ce_bytes"] == marker.octets
    assert abs(theirs.ecn.info()["received_ce"] - packets) <= 3


def test_one_reduction_in_a_round_trip_however_many_marks():  # RFC 3168 6.1.2, which 3.2.2.2 leaves as it is
    pair = Pair({"ecn": 3, "congestion_control": "reno"}, ASK, delay=50 * MILLISECOND)
    ours, theirs = accurate(pair)
    cc = ours.recovery.cc
    assert cc.name == "reno"
    cc.cwnd, cc.ssthresh = 40, 40
    pair.to_server = lambda frame: with_tos(frame, 3) if is_tcp(frame) and frame[25] & 3 else frame
    ours.send(bytes(40 * 1436))
    pair.run(140 * MILLISECOND)
    pair.to_server = lambda frame: frame
    pair.run(100 * MILLISECOND)
    assert ours.ecn.info()["delivered_ce"] == 40
    assert cc.ssthresh == 20
    assert pair.client.counters.mib["TcpExtTCPDeliveredCE"] == 40
    assert {said(p) for p in pair.sent(CLIENT) if p.segment.payload} == {FIRST_CEP}  # 3.2: CWR is not said
    assert theirs.readable == 40 * 1436


def test_marks_on_acks_are_counted_and_reported_too():  # 3.2.2.5.1: n is 3 when there is nothing else to acknowledge
    pair = Pair(ASK, ASK)
    ours, theirs = accurate(pair)
    back = Marker(3, 1.0)
    pair.to_client = back
    for _ in range(40):
        ours.send(b"x" * 1000)
        pair.run(25 * MILLISECOND)
    pair.run(SECOND)
    assert back.packets > 25
    assert back.octets == 0
    assert ours.ecn.info()["received_ce"] == back.packets
    assert theirs.ecn.info()["delivered_ce"] >= back.packets - 2  # the last two may wait for something to ride on
    bare = [p for p in pair.sent(CLIENT) if not p.segment.payload]
    assert len(bare) < back.packets  # and it does not go on for ever


# -- paths that play with the bits -------------------------------------------------------------------------------------


def test_ace_wiped_to_zero_is_not_believed():  # 3.2.2.4
    pair = Pair(ASK, ASK)
    pair.to_client = lambda frame: set_flags(frame, 0) if is_tcp(frame) and not flags_of(frame) & SYN else frame
    ours, theirs = accurate(pair)
    pair.transfer(ours, theirs, 200_000, 20 * SECOND)
    assert ours.ecn.fail_mode & ACE_FAIL_RECV
    assert ours.recovery.cc.ssthresh > 1000  # no reduction for what was no mark
    pair.passed.clear()
    pair.transfer(ours, theirs, 50_000, 20 * SECOND)
    assert {p.tos & 3 for p in pair.sent(CLIENT)} == {NOT_ECT}


def test_a_third_ack_wiped_to_zero_is_not_believed_either():  # Table 4
    pair = Pair(ASK, ASK)
    pair.to_server = lambda frame: set_flags(frame, 0) if is_tcp(frame) and not flags_of(frame) & SYN else frame
    _, theirs = accurate(pair)
    assert theirs.ecn.fail_mode & ACE_FAIL_RECV


def strip(frame: bytes) -> bytes:
    """A box that does not know the AccECN option: NOPs instead."""
    if not is_tcp(frame):
        return frame
    end = TCP_AT + (frame[TCP_AT + 12] >> 4) * 4
    at = TCP_AT + 20
    while at < end and frame[at] > 0:
        size = 1 if frame[at] == 1 else frame[at + 1]
        if frame[at] in (172, 174):
            frame = frame[:at] + b"\1" * size + frame[at + size :]
            frame = frame[: TCP_AT + 16] + bytes(2) + frame[TCP_AT + 18 :]
            total = sum(int.from_bytes(frame[i : i + 2], "big") for i in range(36, 44, 2)) + 6 + len(frame) - TCP_AT
            padded = frame[TCP_AT:] + b"\0" * (len(frame) - TCP_AT & 1)
            total += sum(int.from_bytes(padded[i : i + 2], "big") for i in range(0, len(padded), 2))
            while total >> 16:
                total = (total & 0xFFFF) + (total >> 16)
            return frame[: TCP_AT + 16] + (total ^ 0xFFFF).to_bytes(2, "big") + frame[TCP_AT + 18 :]
        at += size
    return frame


def test_without_the_option_three_bits_still_count():  # 3.2.3.2.3
    pair = Pair(ASK, ASK)
    pair.to_server = pair.to_client = strip
    ours, theirs = accurate(pair)
    assert ours.ecn.option_seen == theirs.ecn.option_seen == UNSEEN
    there = Marker(5, 0.05)
    pair.to_server = lambda frame: there(strip(frame))
    pair.transfer(ours, theirs, 300_000, 60 * SECOND)
    pair.to_server = strip
    pair.transfer(ours, theirs, 3_000, 10 * SECOND)
    assert theirs.ecn.info()["received_ce"] == there.packets
    assert ours.ecn.info()["delivered_ce"] == there.packets
    assert pair.server.counters.mib["TcpInCsumErrors"] == 0


def test_an_option_wiped_to_zero_is_not_believed():  # 3.2.3.2.4
    zeros = build_segment(None, (), (0, 0, 0))
    ecn = AccEcn(0, NOT_ECT)
    ecn._note_option(parse(zeros).accecn)
    assert ecn.option_seen == FAILED
    assert ecn.fail_mode == OPT_FAIL_RECV
    empty = AccEcn(0, NOT_ECT)
    empty._note_option(Option(174, None, None, None))
    empty._note_option(Option(174, 1, 0, 1))
    assert empty.option_seen == COUNTERS
    assert not empty.fail_mode


# -- reading three bits (3.2.2.5.2, A.2) -------------------------------------------------------------------------------


class FakeRecovery:
    """What the decoder asks of a connection."""

    ca_state = 0

    class tcb:
        eff_snd_mss = 1000
        sack_ok = True


def decode(marks, delivered, marked_octets=None, octets=None):
    """One ACK for so many segments with so many marks, after one that made the decoder sure of its counters."""
    decoder = Decoder()
    if marked_octets is not None:
        decoder.read(FakeRecovery, 5 + 1 & 7, Option(174, 1, 1000, 1), True, 1, 1000)
    base = decoder.cep
    option = None if marked_octets is None else Option(174, 1, 1000 + marked_octets, 1)
    octets = delivered * 1000 if octets is None else octets
    return decoder.read(FakeRecovery, base + marks & 7, option, option is not None, delivered, octets)


@pytest.mark.parametrize(("marks", "delivered", "marked", "expected"), [
    (0, 1, None, 0), (1, 1, None, 1), (7, 7, None, 7), (3, 7, None, 3),
    (0, 8, 0, 0),  # nothing marked, say the octets, so no wrap
    (8, 8, 8_000, 8), (9, 12, 9_000, 9), (2, 12, 2_000, 2), (10, 30, 10_000, 10), (33, 40, 33_000, 33),
    (40, 40, 40_000, 40),
])  # fmt: skip
def test_how_many_turns_three_bits_took(marks, delivered, marked, expected):
    assert decode(marks, delivered, marked) == expected


def test_without_octets_the_safe_guess_is_the_most_that_fits():
    decoder = Decoder()
    for _ in range(200):
        decoder.note(2)  # ACKs usually cover two segments
    assert decoder.read(FakeRecovery, 5 + 1 & 7, None, False, 12, 12_000) == 9
    thinned = Decoder()
    for _ in range(200):
        thinned.note(30)  # somebody thins out ACKs: then the most would nearly always be far too many
    assert thinned.read(FakeRecovery, 5 + 1 & 7, None, False, 30, 30_000) == 1


@settings(max_examples=30)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 40)), min_size=1, max_size=60))
def test_with_the_option_on_every_ack_the_count_is_never_wrong_by_a_turn_for_long(acks):
    decoder, marks, e0, ce = Decoder(), 5, 0, 0
    decoder.read(FakeRecovery, 6, Option(174, 1, 1000, 1), True, 1, 1000)
    marks, ce = 6, 1000
    for delivered, marked in acks:
        marked = min(marked, delivered)
        marks += marked
        ce += 1000 * marked
        e0 += 1000 * (delivered - marked)
        option = Option(174, (1 + e0) & 0xFF_FFFF, ce & 0xFF_FFFF, 1)
        decoder.read(FakeRecovery, marks & 7, option, True, delivered, 1000 * delivered)
        assert (decoder.cep - marks) % 8 == 0
        assert decoder.reported == {ECT_1: 0, ECT_0: e0, CE: ce}


# -- the option --------------------------------------------------------------------------------------------------------


@settings(max_examples=60)
@given(st.tuples(*[st.integers(0, (1 << 24) - 1)] * 3), st.integers(0, 4), st.booleans(), st.integers(0, 3))
def test_the_option_fits_beside_sack_and_timestamps(counters, blocks, stamps, least):
    times = (1, 2) if stamps else None
    sack = [(i * 100, i * 100 + 50) for i in range(blocks)]
    octets = build_segment(times, sack, counters, least)
    assert len(octets) <= MAX_LEN
    assert not len(octets) & 3
    found = parse(octets)
    assert (found.ts_val, found.ts_ecr) == (times or (None, None))
    most = min(blocks, 3 if stamps else 4)
    assert min(most, 2) <= len(found.sack) <= most
    assert found.sack == tuple(sack[: len(found.sack)])
    if found.accecn is None:
        assert len(found.sack) == most
        return
    fields = [found.accecn.e1b, found.accecn.ceb, found.accecn.e0b]
    kept = len([field for field in fields if field is not None])
    assert kept >= least
    assert fields[:kept] == list(counters[:kept])
    if not blocks:
        assert kept == 3


@pytest.mark.parametrize("stamps", [None, (1, 2)])
@pytest.mark.parametrize("sack", [True, False])
@pytest.mark.parametrize("wscale", [None, 7])
@pytest.mark.parametrize("cookie", [None, b"12345678", b"1234567890123456"])
def test_a_syn_ack_has_room_for_all_of_it(stamps, sack, wscale, cookie):
    octets = build_syn(1460, wscale, sack, stamps, cookie, accecn=(1, 0, 1))
    assert len(octets) <= MAX_LEN
    assert not len(octets) & 3
    found = parse(octets)
    assert (found.mss, found.wscale, found.sack_permitted, found.fastopen) == (1460, wscale, sack, cookie)
    assert (found.ts_val, found.ts_ecr) == (stamps or (None, None))
    assert found.accecn is not None or len(octets) > MAX_LEN - 4
    assert not found.unknown


@pytest.mark.parametrize("mode", [0, 1, 2])
def test_how_often_the_option_is_sent(mode):  # 3.2.3.3
    config = {"ecn": 3, "ecn_option": mode}
    pair = Pair(config, config)
    ours, theirs = accurate(pair)
    pair.passed.clear()
    pair.transfer(ours, theirs, 300_000, 60 * SECOND)
    with_option = [parse(p.segment.options).accecn is not None for p in pair.passed]
    share = sum(with_option) / len(with_option)
    assert {0: share == 0, 1: 0 < share < 0.3, 2: share == 1}[mode], share
    assert max(len(p.segment.payload) + len(p.segment.options) for p in pair.sent(CLIENT)) == 1460


def test_a_counter_that_wraps_is_followed():
    decoder = Decoder()
    total = 0
    for _ in range(50):
        total += 1_000_000
        decoder.read(FakeRecovery, 5, Option(174, (total + 1) & 0xFF_FFFF, 0, 1), True, 2, 2_000)
    assert decoder.reported[ECT_0] == total == 50_000_000


# -- with the rest of TCP ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize("timestamps", [True, False])
def test_accurate_ecn_survives_a_syn_cookie_with_timestamps(timestamps):  # 5.1
    pair = Pair(ASK | {"timestamps": timestamps}, {"ecn": 3, "syncookies": 2})
    ours, theirs = pair.open()
    assert isinstance(ours.ecn, AccEcn) == isinstance(theirs.ecn, AccEcn) == timestamps
    pair.transfer(ours, theirs, 50_000, 10 * SECOND)


def test_fast_open_and_accurate_ecn_on_the_same_syn():
    from netstack.sockets.numbers import IPPROTO_TCP, MSG_FASTOPEN, TCP_FASTOPEN
    from netstack.sockets.stream import StreamSocket

    config = {"ecn": 3, "fastopen": 0x3 | 0x204}
    pair = Pair(config, config)
    listener = StreamSocket(pair.server)
    listener.setsockopt(IPPROTO_TCP, TCP_FASTOPEN, 4)
    listener.bind(("192.0.2.2", 80))
    listener.listen(4)
    sock = StreamSocket(pair.client)
    assert sock.sendto(b"x" * 100, MSG_FASTOPEN, ("192.0.2.2", 80)) == 100
    pair.run(35 * MILLISECOND)
    child, _ = listener.accept()
    assert child.recv(200) == b"x" * 100
    child.send(b"y" * 3000)
    pair.run(100 * MILLISECOND)
    assert sock.recv(4000) == b"y" * 3000
    ours, theirs = sock.connection, child.connection
    assert type(ours) is type(theirs) is AccEcnConnection
    assert said(pair.passed[1]) == 0b010
    marker = Marker(1, 0.2)
    pair.to_server = marker
    pair.transfer(ours, theirs, 100_000, 10 * SECOND)
    pair.to_server = lambda frame: frame
    pair.transfer(ours, theirs, 1_000, 10 * SECOND)
    check = theirs.ecn.info()
    assert check["received_ce"] == marker.packets == ours.ecn.info()["delivered_ce"]
    assert not ours.ecn.fail_mode | theirs.ecn.fail_mode


def test_rfc_3168_connections_are_as_they_were():
    pair = Pair({"ecn": 4}, {"ecn": 5})
    ours, theirs = pair.open()
    assert type(ours.ecn) is type(theirs.ecn) is Ecn
    assert pair.passed[0].segment.flags == SYN | CWR | ECE
    assert pair.passed[1].segment.flags == SYN | ACK | ECE
    pair.transfer(ours, theirs, 50_000, 10 * SECOND)
    assert all(parse(p.segment.options).accecn is None for p in pair.passed)
