"""What a journey is made of, in which order: every layer has its say, states follow the table, losses show."""

import itertools

import pytest

from netstack.journey.explain import explain
from netstack.journey.steps import (
    APPLICATION,
    CLIENT_LANE,
    CLOSE,
    HANDSHAKE,
    LANES,
    PHASES,
    REQUEST,
    RESPONSE,
    TAP,
    folded,
)
from netstack.journey.travel import NoAnswer
from netstack.link.fault import Faults
from netstack.tcp.state import TRANSITIONS, Cause
from tests.journey.trips import journey, plain


def states(found, end):
    """The states of one end, each once, in order."""
    seen = [getattr(step, end).state for step in found]
    return [state for n, state in enumerate(seen) if n == 0 or seen[n - 1] != state]


def test_one_request_goes_through_every_state_of_a_client_that_closes():
    found = journey()
    assert states(found, "client") == ["CLOSED", "SYN-SENT", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"]
    assert states(found, "server") == ["LISTEN", "SYN-RECEIVED", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]


def test_the_server_closes_first_when_it_is_asked_to():
    found = journey(server_closes=True)
    assert states(found, "server")[-3:] == ["FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"]
    assert states(found, "client")[-3:] == ["CLOSE-WAIT", "LAST-ACK", "CLOSED"]


def test_the_same_seed_gives_the_same_journey():
    assert plain(journey()) == plain(journey())
    assert plain(journey()) != plain(journey(seed=8))


def test_phases_come_in_order_and_all_of_them():
    order = [PHASES.index(step.phase) for step in journey()]
    assert order == sorted(order)
    assert set(order) == {PHASES.index(phase) for phase in (HANDSHAKE, REQUEST, RESPONSE, CLOSE)}


def test_every_lane_is_visited_and_the_request_climbs_through_them():
    found = journey()
    lanes = {lane for step in found for lane in range(min(step.start, step.end), max(step.start, step.end) + 1)}
    assert lanes == set(range(len(LANES)))
    at = next(n for n, step in enumerate(found) if step.kind == "client sends" and "P." in step.text)
    called = next(n for n, step in enumerate(found) if step.end == APPLICATION)
    up = [step for step in found[at : called + 1] if step.end != step.start]
    assert (up[0].start, up[-1].end) == (CLIENT_LANE, APPLICATION)
    assert all(step.end > step.start for step in up)
    assert all(before.end <= after.start or after.start <= before.end for before, after in itertools.pairwise(up))


def test_arp_goes_before_the_first_syn():
    sent = [step.text for step in journey() if step.kind == "client sends"]
    assert sent[0] == "ARP, who-has 192.0.2.2 tell 192.0.2.1"
    assert sent[1].startswith("S 0:0(0) win 64240 <mss 1460,sackOK,TS val ")


def test_numbers_are_relative_to_the_handshake():
    texts = [step.text for step in journey() if step.kind.startswith("segment out")]
    assert texts[0].startswith("S. 0:0(0) ack 1")
    assert texts[-1].startswith("F. ")
    request = next(step for step in journey() if step.kind == "request")
    assert any(f"ack {request.octets + 1} " in text for text in texts)


def test_a_body_is_received_and_comes_back():
    found = journey("/echo", data="hello, stack")
    texts = [step.text for step in found]
    assert "writes POST /echo HTTP/1.1" in texts
    assert any(text.startswith("await receive(): http.request, 12 octets") for text in texts)
    assert "has the response: 200, 12 octets of content" in texts


def test_a_large_answer_is_several_segments_each_acknowledged():
    found = journey("/bytes/20000")
    data = [step for step in found if step.kind == "segment out data"]
    assert sum(step.octets for step in data) > 20_000
    assert len(data) == 14
    assert "has the response: 200, 20,000 octets of content" in [step.text for step in found]


def test_what_is_lost_is_marked_and_sent_again():
    found = journey(faults=Faults(loss=0.25))
    lost = [step for step in found if step.lost]
    assert lost
    assert {(step.start, step.end) for step in lost if step.kind == "client sends"} <= {(CLIENT_LANE, TAP)}
    again = [step for step in found if step.kind == "timer"]
    assert again
    assert "has the response: 200, 13 octets of content" in [step.text for step in found]
    arrived = sum(step.kind.startswith("frame in") for step in found)
    assert arrived == sum(step.kind == "client sends" and not step.lost for step in found)


def test_nothing_is_lost_on_a_good_path():
    assert not any(step.lost for step in journey(faults=Faults(delay=5_000)))


def test_the_states_follow_the_table():
    for end in ("client", "server"):
        path = states(journey(faults=Faults(loss=0.2), seed=3), end)
        edges = {(str(old), str(new)) for targets in TRANSITIONS.values() for old, new in targets.items()}
        # A stateless LISTEN makes a connection of its own; otherwise only edges of the table.
        assert all(edge in edges for edge in itertools.pairwise(path)), path


def test_no_server_no_answer():
    async def silent(scope, receive, send):
        if scope["type"] == "lifespan":
            raise RuntimeError("none")
        await receive()
        await receive()  # waits for the client to go

    with pytest.raises(NoAnswer, match="no answer within 60 s"):
        journey(app=silent)


@pytest.mark.parametrize("case", [
    {}, {"server_closes": True}, {"url": "/echo", "data": "x"}, {"method": "HEAD"}, {"faults": Faults(loss=0.3)},
    {"url": "/nowhere"}, {"url": "/stream?n=2&interval=0.1"},
])  # fmt: skip
def test_every_step_is_explained(case):
    for step in journey(**case):
        sentence, source = explain(step)
        assert sentence.endswith("."), step.kind
        assert "…" not in sentence
        assert source or step.kind == "left out", step.kind


def test_every_cause_has_its_sentence():
    from netstack.journey.explain import _STATES

    assert set(_STATES) == {cause.name for cause in Cause}


def test_a_long_journey_is_folded_in_the_middle():
    found = journey("/bytes/100000")
    short = folded(found, 20)
    assert len(short) == 21
    assert short[:10] == found[:10]
    assert short[-10:] == found[-10:]
    assert short[10].text == f"… {len(found) - 20} steps left out (see --limit)"
    assert folded(found, len(found)) is found
