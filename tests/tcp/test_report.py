"""What those who watch are told: which rule sent a segment, how a loss was found, what changed and when.

That it is true, and that being watched changes nothing, is checked in every scenario by `tests/watcher.py`.
"""

from typing import Any

import pytest

from netstack.events import (
    BufferChanged,
    Dropped,
    LossDetected,
    LossRefuted,
    RttSampled,
    SegmentReceived,
    SegmentSent,
    SegmentTaken,
    StateChanged,
    TimerArmed,
    TimerCancelled,
    TimerFired,
    WindowChanged,
    Woken,
)
from netstack.tcp import why
from netstack.tcp.readiness import READABLE, WRITABLE
from netstack.tcp.state import ESTABLISHED, LISTEN, SYN_RECEIVED
from netstack.units import MILLISECOND, MINUTE, SECOND
from tests.script import STARTS, US, Wire
from tests.tcp.bursts import acks, burst, flight
from tests.tcp.test_acking import settled
from tests.tcp.test_flow_control import fill


@pytest.fixture
def watched():
    wire = Wire(STARTS[1])
    yield wire
    wire.done()


def told(wire: Wire, *kinds: type) -> list[Any]:
    """What there was of these kinds since the last look; looking forgets everything."""
    watcher = wire.bench.watcher
    assert watcher is not None
    found = [event for event in watcher.events if type(event) in kinds]
    watcher.events.clear()
    return found


def rules(wire: Wire) -> list[str]:
    return [event.why for event in told(wire, SegmentSent)]


def test_a_handshake(watched):
    watched.established()
    watcher = watched.bench.watcher
    names = [type(event).__name__ for event in watcher.events if getattr(event, "who", None) == watched.key]
    assert names == [
        "SegmentReceived", "StateChanged", "WindowChanged", "SegmentTaken",  # the SYN
        "SegmentSent", "TimerArmed",  # our SYN-ACK
        "SegmentReceived", "StateChanged", "RttSampled", "TimerCancelled", "SegmentTaken",  # its ACK
    ]  # fmt: skip
    listen, syn, ack = watcher.of(StateChanged)
    assert (listen.who, listen.new) == ((US, 80), LISTEN)
    assert (syn.old, syn.new, syn.cause.paragraph) == (
        LISTEN, SYN_RECEIVED, "RFC 9293 3.10.7.2 third; 3.10.7.3 fourth"
    )  # fmt: skip
    assert ack.new is ESTABLISHED
    first, second = watcher.of(SegmentTaken)
    assert (first.before.state, first.after.state) == (LISTEN, SYN_RECEIVED)
    assert (second.before.state, second.after.state) == (SYN_RECEIVED, ESTABLISHED)
    assert second.after.snd_una - second.before.snd_una == 1
    assert watcher.of(RttSampled)[0].rtt == 100 * MILLISECOND


def test_a_segment_is_shown_with_what_it_changed(watched):
    watched.established()
    told(watched)
    watched.rx("P. 1:101(100) ack 1").tx(". 1:1(0) ack 101")
    received, taken, woken = told(watched, SegmentReceived, SegmentTaken, Woken)
    assert received.length == 100
    assert taken.after.rcv_nxt - taken.before.rcv_nxt == 100
    assert (taken.before.recv_queued, taken.after.recv_queued) == (0, 100)
    assert (woken.ready, woken.what) == (READABLE, "observer")
    watched.recv(100)
    assert [(event.change, event.level) for event in told(watched, BufferChanged)] == [(-100, 0)]


def test_octets_to_send_go_into_the_buffer_and_out_when_acknowledged(watched):
    watched.established().send(500)
    watched.tx("P. 1:501(500) ack 1").rx(". 1:1(0) ack 501")
    into, out = told(watched, BufferChanged)
    assert (into.buffer, into.change, into.level) == ("send", 500, 500)
    assert (out.buffer, out.change, out.level) == ("send", -500, 0)


@pytest.mark.parametrize(
    ("arrives", "rule"),
    [
        ("P. 1:1461(1460) ack 1", why.ACK_QUICK),
        (". 101:201(100) ack 1", why.ACK_GAP),
        ("S 1:1(0)", why.ACK_CHALLENGE),
        ("R 2:2(0)", why.ACK_CHALLENGE),
        (". 1:1(0) ack 5000", why.ACK_CHALLENGE),
        (". 900000:900001(1) ack 1", why.ACK_UNACCEPTABLE),
        ("F. 1:1(0) ack 1", why.ACK_FIN),
    ],
)
def test_an_ack_says_what_asked_for_it(watched, arrives, rule):
    watched.established()
    told(watched)
    watched.rx(arrives)
    if rule == why.ACK_FIN:  # the user's own could carry the ACK: it waits a tick for that
        watched.next()
    assert [text.split("<")[0][:7] for text in watched.take()]
    assert rules(watched) == [rule]


def test_what_is_late_is_a_duplicate_and_what_fills_a_gap_says_so(watched):
    watched.established()
    told(watched)
    watched.rx(". 101:201(100) ack 1").tx(". 1:1(0) ack 1")
    watched.rx(". 1:101(100) ack 1").tx(". 1:1(0) ack 201")
    watched.rx(". 1:101(100) ack 1").tx(". 1:1(0) ack 201")
    watched.recv(200)
    assert rules(watched) == [why.ACK_GAP, why.ACK_FILLED, why.ACK_DUPLICATE]


def test_a_delayed_ack_and_its_timer(watched):
    settled(watched)
    told(watched)
    watched.rx("P. 11:21(10) ack 11").quiet()
    (armed,) = told(watched, TimerArmed)
    assert armed.name == "delayed-ack"
    watched.next().tx(". 11:11(0) ack 21")
    fired, sent = told(watched, TimerFired, TimerCancelled, SegmentSent)
    assert (fired.name, fired.at, sent.why) == ("delayed-ack", armed.deadline, why.ACK_DELAYED)
    watched.recv(10)


def test_reading_opens_the_window(watched):
    fill(watched, 5840)
    told(watched)
    watched.recv(5840).tx(". 1:1(0) ack 5841 win 5840")
    assert rules(watched) == [why.ACK_WINDOW]


def test_retransmissions_say_how_the_loss_was_found(watched):
    flight(watched, syn="mss 1000,nop,nop,sackOK")
    told(watched)
    for right in (2001, 3001, 4001):
        acks(watched, 1, sack=f"1001:{right}")
    lost, *_ = told_all = told(watched, LossDetected, SegmentSent, WindowChanged)
    losses = [event for event in told_all if isinstance(event, LossDetected)]
    assert [(loss.how, loss.seq - watched.bases_out.seq) for loss in losses] == [(why.RACK, 1)]
    assert f"{why.RETRANSMISSION}: {why.RACK}" in [e.why for e in told_all if isinstance(e, SegmentSent)]
    assert any(isinstance(event, WindowChanged) and event.ssthresh == 5 for event in told_all)
    assert lost


def test_duplicate_acks_then_a_partial_one(watched):
    flight(watched, queued=12_000)
    told(watched)
    acks(watched, 1, 1, 1, 4001, 4001)
    events = told(watched, LossDetected, SegmentSent)
    assert [event.how for event in events if isinstance(event, LossDetected)] == [why.DUPACK, why.PARTIAL]
    again = [event.why for event in events if isinstance(event, SegmentSent) and "retrans" in event.why]
    assert again == ["retransmission: dupack", "retransmission: partial ack"]


def test_a_timeout_and_its_refutation(watched):
    watched.established(syn="mss 1000").send(1000).tx("P. 1:1001(1000) ack 1")
    told(watched)
    watched.next().tx("P. 1:1001(1000) ack 1")
    events = told(watched, TimerFired, LossDetected, SegmentSent, TimerArmed)
    assert [type(event) for event in events] == [TimerFired, LossDetected, TimerArmed, SegmentSent]
    assert (events[0].name, events[1].how, events[3].why) == ("retransmit", why.RTO, "retransmission: rto")


def test_a_syn_ack_is_sent_again_by_the_timer_or_because_the_peer_asks_again(watched):
    watched.listen().rx("S 0:0(0) <mss 1000>").tx("S. 0:0(0) ack 1")
    told(watched)
    watched.next().tx("S. 0:0(0) ack 1")
    fired, lost, sent = told(watched, TimerFired, LossDetected, SegmentSent)
    assert (fired.name, lost.how, sent.why) == ("retransmit", why.RTO, "retransmission: rto")
    watched.rx("S 0:0(0) <mss 1000>").tx("S. 0:0(0) ack 1")
    lost, sent = told(watched, LossDetected, SegmentSent)
    assert (lost.how, sent.why) == (why.SYN_AGAIN, "retransmission: syn again")


def test_our_syn_is_sent_again_by_the_timer(watched):
    watched.connect().tx("S 0:0(0)")
    told(watched)
    watched.next().tx("S 0:0(0)")
    lost, sent = told(watched, LossDetected, SegmentSent)
    assert (lost.how, sent.why) == (why.RTO, "retransmission: rto")


def test_a_timeout_found_needless(watched):  # RFC 5682
    watched.setup(congestion_control="reno").established(syn="mss 1000").send(30_000)
    burst(watched, 1, 10_001)
    watched.next()
    assert rules(watched)[-1] == "retransmission: rto"
    watched.take()
    acks(watched, 2001, 3001)
    assert [event.how for event in told(watched, LossRefuted)] == [why.FRTO]


def test_probes(watched):
    watched.established(win=0).send(100).quiet()
    told(watched)
    watched.next().tx(". 0:0(0) ack 1")
    assert rules(watched) == [why.WINDOW_PROBE]
    watched.rx(". 1:1(0) ack 1 win 5000").tx("P. 1:101(100) ack 1").rx(". 1:1(0) ack 101 win 5000")
    watched.conn.options.keepalive = True
    watched.conn.options_changed()
    (armed,) = told(watched, TimerArmed)[-1:]
    assert armed.name == "keepalive"
    watched.next().tx(". 100:100(0) ack 1").rx(". 1:1(0) ack 101 win 5000")
    assert rules(watched) == [why.KEEPALIVE]


def test_a_tail_loss_probe(watched):
    watched.established(syn="mss 1000,nop,nop,sackOK").send(1000).tx("P. 1:1001(1000) ack 1")
    told(watched)
    watched.next().tx("P. 1:1001(1000) ack 1")
    assert rules(watched) == [why.TAIL_PROBE]
    watched.rx(". 1:1(0) ack 1001")


def test_who_is_not_known_is_told_of_too(watched):
    watched.listen()
    told(watched)
    watched.another(41_000).rx(". 5:5(0) ack 7").take()
    received, dropped, taken, sent = told(watched, SegmentReceived, Dropped, SegmentTaken, SegmentSent)
    assert (received.before.state, taken.after.state, dropped.reason) == (LISTEN, LISTEN, "tcp.ack_to_listener")
    assert sent.why == why.RESET_CLOSED
    assert sent.who == received.who


def test_the_end_of_time_wait(watched):
    watched.established().call("close").tx("F. 1:1(0) ack 1")
    watched.rx("F. 1:1(0) ack 2").tx(". 2:2(0) ack 2")
    assert told(watched, TimerArmed)[-1].name == "time-wait"
    watched.after(SECOND).rx("F. 1:1(0) ack 2").tx(". 2:2(0) ack 2")
    armed, sent = told(watched, TimerArmed, SegmentSent)
    assert sent.why == why.ACK_TIME_WAIT
    watched.after(2 * MINUTE)
    fired, changed = told(watched, TimerFired, StateChanged)
    assert (fired.name, str(changed.new), str(changed.cause)) == ("time-wait", "CLOSED", "2 MSL passed")
    assert armed.deadline == fired.at


def test_room_to_write_wakes(watched):
    watched.setup(wmem=(4096, 4096, 4096)).established(syn="mss 1000")
    took = watched.conn.send(bytes(10_000))
    watched.sent = took
    told(watched)
    watched.bench.device.frames.clear()
    watched.bench.turn()
    watched.bench.device.frames.clear()
    watched.rx(f". 1:1(0) ack {took + 1}")
    assert WRITABLE in [event.ready for event in told(watched, Woken)]


def test_watching_may_begin_and_end_in_the_middle(watched):
    watched.established().send(1000).tx("P. 1:1001(1000) ack 1")
    seen: list[Any] = []
    watched.bench.watcher = None  # which will miss something
    watched.stack.observe(None)
    watched.rx(". 1:1(0) ack 1001").send(500).tx("P. 1001:1501(500) ack 1")
    watched.stack.observe(seen.append)
    assert not seen
    watched.rx(". 1:1(0) ack 1501")
    assert [event.change for event in seen if isinstance(event, BufferChanged)] == [-500]
    assert [event.rtt for event in seen if isinstance(event, RttSampled)]


def test_every_rule_has_a_paragraph():
    for sentence, paragraph in (*why.RULES.values(), *why.FOUND.values(), *why.REFUTED.values()):
        assert sentence[-1] not in " .:"
        assert paragraph.startswith("RFC ")
    assert why.explain("retransmission: rto") == why.FOUND["rto"]
    assert why.explain(why.DATA) == why.RULES["data"]


def test_a_sink_may_leave_within_any_event(watched):
    """Whoever is told may stop listening at once: what follows goes on untold."""
    watched.listen()
    watched.bench.watcher = None
    for count in range(1, 30):
        left = [count]

        def leave(event, left=left):
            left[0] -= 1
            if not left[0]:
                watched.stack.observe(None)

        watched.stack.observe(leave)
        other = watched.another(42_000 + count)
        other.rx("S 0:0(0) <mss 1000>").tx("S. 0:0(0) ack 1").rx(". 1:1(0) ack 1").accept()
        other.rx("P. 1:11(10) ack 1").take()
        other.send(10).take()
        other.rx(". 11:11(0) ack 11").recv(10)
        other.conn.abort()
        other.take()
        assert watched.stack.events is None
