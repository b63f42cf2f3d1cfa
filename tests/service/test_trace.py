"""Events as JSON lines."""

import io
import json

from asgi.events import ScopeMade, Sent
from netstack.events import Dropped, FrameSent, SegmentReceived, StateChanged, Variables
from netstack.link.device import NO_OFFLOAD
from netstack.link.neighbor import REACHABLE, STALE, NeighborChanged
from netstack.service.trace import JsonTrace
from netstack.tcp.state import Cause, State

KEY = bytes([192, 0, 2, 1, 192, 0, 2, 2]) + (40_000).to_bytes(2, "big") + (80).to_bytes(2, "big")

KNOWN = Variables(State.ESTABLISHED, 1, 2, 3, 2**33, 5, 10, 7, 1, 9, 200_000, 1, 0)


def traced(*events):
    stream = io.StringIO()
    trace = JsonTrace(stream)
    for event in events:
        trace(event)
    return [json.loads(line) for line in stream.getvalue().splitlines()]


def test_a_segment_is_written_in_the_words_of_the_rfc():
    (line,) = traced(SegmentReceived(7, KEY, 2**33, 1, 0x18, 65_535, 100, KNOWN))
    assert line == {
        "event": "SegmentReceived", "at": 7, "who": "192.0.2.2:80 - 192.0.2.1:40000",
        "seq": 2**33, "ack": 1, "flags": "P.", "wnd": 65_535, "length": 100,
        "before": {
            "state": "ESTABLISHED", "snd_una": 1, "snd_nxt": 2, "snd_wnd": 3, "rcv_nxt": 2**33, "rcv_wnd": 5,
            "cwnd": 10, "ssthresh": 7, "in_flight": 1, "srtt": 9, "rto": 200_000, "send_queued": 1, "recv_queued": 0,
        },
    }  # fmt: skip


def test_states_are_spelt_as_in_the_rfc_and_drops_say_why():
    changed, dropped = traced(
        StateChanged(1, KEY, State.ESTABLISHED, State.FIN_WAIT_1, Cause.CLOSE_CALLED), Dropped(2, "tcp.bad_checksum")
    )
    assert (changed["old"], changed["new"], changed["cause"]) == ("ESTABLISHED", "FIN-WAIT-1", "CLOSE, snd FIN")
    assert changed["paragraph"] == "RFC 9293 3.10.4"
    assert dropped == {"event": "Dropped", "at": 2, "reason": "tcp.bad_checksum"}


def test_a_frame_is_shown_not_dumped():
    (line,) = traced(FrameSent(3, NO_OFFLOAD + bytes.fromhex("ffffffffffff02005e0002020806") + bytes(28)))
    assert isinstance(line["frame"], str)
    assert "\\x" not in line["frame"]


def test_addresses_are_written_as_people_write_them():
    (line,) = traced(NeighborChanged(4, bytes([192, 0, 2, 1]), STALE, REACHABLE, bytes.fromhex("02005e000201")))
    assert (line["address"], line["mac"]) == ("192.0.2.1", "02:00:5e:00:02:01")
    assert (line["old"], line["new"]) == ("STALE", "REACHABLE")


def test_a_servers_events_have_the_same_clock_and_names():
    ends = ("192.0.2.1", 40_000), ("192.0.2.2", 80)
    scope = {"type": "http", "headers": [(b"host", b"a")], "state": {"pool": object}}
    sent, made = traced(Sent(1.5, *ends, "http.response.start", 0, False, 200), ScopeMade(2.0, *ends, scope))
    assert sent == {
        "event": "Sent", "at": 1_500_000, "who": "192.0.2.2:80 - 192.0.2.1:40000",
        "type": "http.response.start", "octets": 0, "more": False, "status": 200,
    }  # fmt: skip
    assert made["scope"]["headers"] == [["host", "a"]]


def test_a_stream_that_fails_ends_the_trace_and_nothing_else():
    class Full(io.StringIO):
        def write(self, text):
            raise OSError(28, "No space left on device")

    trace = JsonTrace(Full())
    trace(Dropped(1, "a.b"))
    trace(Dropped(2, "a.b"))
    assert trace.error.errno == 28
