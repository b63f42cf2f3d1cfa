"""ECN (RFC 3168) between two stacks over a path that marks: what may be ECN-capable, who echoes, who slows down."""

import pytest

from netstack.ip import ecn as ip_ecn
from netstack.tcp.ecn_connection import EcnConnection
from netstack.tcp.info import OPT_ECN, OPT_ECN_SEEN, tcp_info
from netstack.tcp.reduction import OPEN
from netstack.units import MILLISECOND, SECOND
from netstack.wire.tcp import ACK, CWR, ECE, FIN, SYN
from tests.tcp.pair import CLIENT, SERVER, Pair, mark, with_tos

ASK = {"ecn": 1}


@pytest.mark.parametrize(("client", "server", "agreed"), [
    (1, 2, True), (1, 1, True), (1, 0, False), (2, 1, False), (2, 2, False), (0, 1, False),
])  # fmt: skip
def test_who_asks_and_who_agrees(client, server, agreed):  # 6.1.1
    pair = Pair({"ecn": client}, {"ecn": server})
    ours, theirs = pair.open()
    assert (ours.ecn is not None, theirs.ecn is not None) == (agreed, agreed)
    assert isinstance(ours, EcnConnection) == isinstance(theirs, EcnConnection) == agreed
    syn, syn_ack = pair.passed[0].segment.flags, pair.passed[1].segment.flags
    assert syn == (SYN | ECE | CWR if client == 1 else SYN)
    assert syn_ack == (SYN | ACK | ECE if agreed else SYN | ACK)
    pair.transfer(ours, theirs, 50_000, SECOND)
    assert bool(tcp_info(theirs, pair.now)["options"] & OPT_ECN) == agreed
    assert bool(tcp_info(theirs, pair.now)["options"] & OPT_ECN_SEEN) == agreed
    assert not tcp_info(ours, pair.now)["options"] & OPT_ECN_SEEN


def lose(every: int):
    """A network that loses every n-th frame with text."""
    seen = [0]

    def way(frame: bytes) -> bytes | None:
        seen[0] += len(frame) > 200
        return None if len(frame) > 200 and seen[0] % every == 0 else frame

    return way


def test_only_data_that_is_new_is_ecn_capable():  # 6.1.1, 6.1.4, 6.1.5
    pair = Pair(ASK)
    ours, theirs = pair.open()
    pair.to_client = lose(9)
    pair.transfer(theirs, ours, 400_000, 30 * SECOND)
    theirs.close()
    pair.run(100 * MILLISECOND)
    ours.close()
    pair.run(SECOND)
    high = 0
    kinds = {"new": 0, "again": 0, "bare": 0}
    start = next(p.segment.seq for p in pair.sent(SERVER) if p.segment.flags & SYN)
    for passed in pair.sent(SERVER):
        segment = passed.segment
        end = (segment.seq - start & 0xFFFF_FFFF) + len(segment.payload)
        kind = "bare" if not segment.payload else "new" if end > high else "again"
        high = max(high, end)
        kinds[kind] += 1
        assert passed.tos & 3 == (ip_ecn.ECT_0 if kind == "new" else ip_ecn.NOT_ECT), segment
    assert min(kinds.values()) > 2
    assert all(not passed.tos & 3 for passed in pair.sent(CLIENT) if not passed.segment.payload)
    assert any(passed.segment.flags & FIN for passed in pair.sent(SERVER))


def test_a_path_that_marks_everything_slows_down_and_loses_nothing():
    pair = Pair(ASK)
    pair.to_client = mark
    ours, theirs = pair.open()
    pair.transfer(theirs, ours, 300_000, 60 * SECOND)
    assert theirs.recovery.cc.cwnd <= 4
    assert theirs.recovery.total_retrans == 0
    assert theirs.ecn is not None
    assert theirs.ecn.delivered_ce == pair.server.counters.mib["TcpExtTCPDeliveredCE"] > 100
    counted = pair.client.counters.snapshot()
    data = [p for p in pair.sent(SERVER) if p.segment.payload]
    assert counted["IpExtInCEPkts"] == len(data)
    assert "IpExtInECT0Pkts" not in counted
    assert "IpExtInECT1Pkts" not in counted
    assert counted["IpExtInNoECTPkts"] == counted["IpInReceives"] - len(data)


def test_every_reduction_is_answered_by_one_cwr():  # 6.1.2
    pair = Pair(ASK)
    ours, theirs = pair.open()
    count = [0]

    def sometimes(frame: bytes) -> bytes:
        count[0] += len(frame) > 200
        return mark(frame) if count[0] % 40 == 20 else frame

    pair.to_client = sometimes
    pair.transfer(theirs, ours, 600_000, 60 * SECOND)
    cwrs = [p for p in pair.sent(SERVER) if p.segment.flags & CWR]
    assert all(p.segment.payload and p.tos & 3 == ip_ecn.ECT_0 for p in cwrs)
    echoes = "".join("E" if p.segment.flags & ECE else "." for p in pair.sent(CLIENT) if not p.segment.flags & SYN)
    episodes = len([e for e in echoes.split(".") if e])
    assert len(cwrs) > 3
    assert episodes <= len(cwrs) <= episodes + 2  # each episode of echoes ends with a CWR
    assert pair.server.counters.mib["TcpRetransSegs"] == 0


def test_marks_are_heard_with_header_prediction_as_without_it():
    found = []
    for predict in (True, False):
        pair = Pair(ASK, predict=predict)
        ours, theirs = pair.open()
        pair.to_client = pair.to_server = mark
        pair.transfer(theirs, ours, 100_000, 30 * SECOND)
        pair.transfer(ours, theirs, 100_000, 30 * SECOND)
        found.append([(p.at, p.source, p.tos, p.segment[2:5]) for p in pair.passed])
    assert found[0] == found[1]


@pytest.mark.parametrize("algorithm", ["reno", "cubic"])
def test_alternative_backoff(algorithm):  # RFC 8511 3.1: gentler for marks, not for losses
    after = {}
    for abe in (False, True):
        for trouble in ("mark", "loss"):
            pair = Pair(ASK, {"abe": abe, "congestion_control": algorithm})
            ours, theirs = pair.open()
            pair.transfer(theirs, ours, 200_000, 10 * SECOND)
            pair.run(100 * MILLISECOND)  # for the last ACKs
            before = theirs.recovery.cc.cwnd
            once = [True]

            def way(frame: bytes, trouble: str = trouble, once: list[bool] = once) -> bytes | None:
                if len(frame) > 1000 and once:
                    once.clear()
                    return mark(frame) if trouble == "mark" else None
                return frame

            pair.to_client = way
            pair.transfer(theirs, ours, 20_000, 10 * SECOND)
            pair.run(100 * MILLISECOND)
            pair.transfer(theirs, ours, 1_000, 10 * SECOND)  # above the recovery point
            pair.run(100 * MILLISECOND)
            assert theirs.recovery.ca_state == OPEN
            after[abe, trouble] = theirs.recovery.cc.ssthresh / before
    usual, gentle = (0.5, 0.8) if algorithm == "reno" else (0.7, 0.85)
    assert after[False, "mark"] == after[False, "loss"] == after[True, "loss"] == pytest.approx(usual, abs=0.03)
    assert after[True, "mark"] == pytest.approx(gentle, abs=0.03)


def test_a_box_that_bleaches_the_field_leaves_plain_tcp():
    pair = Pair(ASK)
    ours, theirs = pair.open()
    pair.to_client = lambda frame: with_tos(frame, 0) if frame[22:24] == b"\x08\0" else frame
    pair.transfer(theirs, ours, 200_000, 10 * SECOND)
    assert theirs.recovery.ca_state == OPEN
    assert theirs.ecn is not None
    assert theirs.ecn.delivered_ce == 0


def test_cwr_is_said_by_one_segment_even_where_the_device_segments():
    pair = Pair(ASK, offload=True)
    ours, theirs = pair.open()
    pair.transfer(theirs, ours, 200_000, 10 * SECOND)
    text = [0]

    def once(frame: bytes) -> bytes:
        text[0] += len(frame) > 1000
        return mark(frame) if text[0] == 3 else frame

    pair.to_client = once
    pair.transfer(theirs, ours, 300_000, 10 * SECOND)
    assert max(len(p.segment.payload) for p in pair.sent(SERVER)) > 10_000
    said = [len(p.segment.payload) for p in pair.sent(SERVER) if p.segment.flags & CWR]
    assert len(said) == 1
    assert said[0] <= theirs.send_mss
