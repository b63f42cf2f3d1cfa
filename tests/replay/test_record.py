"""The tool that made the captures still makes them: one is recorded anew and replayed."""

import os

import pytest
from pyroute2 import netns
from record import command_line, record
from record_scenarios import SCENARIOS, Nth, drop, twice
from record_wire import tcp_payload

from netstack.replay.verdict import Status
from tests.netns import require_tap
from tests.replay.lines import HANDSHAKE, Capture, path, replay


@pytest.mark.tap
@pytest.mark.parametrize(
    ("name", "states"),
    [
        ("half-close", ["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]),
        ("simultaneous-close", ["ESTABLISHED", "FIN-WAIT-1", "CLOSING", "TIME-WAIT"]),
    ],
)
def test_recording_anew(name, states, tmp_path):
    require_tap()
    scenario = next(each for each in SCENARIOS if each.name == name)
    for _ in range(3):  # two programs have to close within 15 ms of each other, which a busy machine may not let them
        record(scenario, tmp_path)
        assert not [each for each in netns.listnetns() if each.startswith(f"record-{os.getpid()}-")]
        verdict = replay((tmp_path / f"{name}.pcap").read_bytes())
        assert verdict.status is Status.SAME, verdict.reason
        if path(verdict) == states:
            break
    assert path(verdict) == states


def test_impairments_strike_the_segments_they_name():
    lines = HANDSHAKE + "> P. 1:11(10) ack 1\n> P. 11:21(10) ack 1"
    frames = [bytes(packet) for packet in Capture().add(lines).packets]
    assert [len(tcp_payload(frame)) for frame in frames] == [0, 0, 0, 10, 10]
    lost, doubled = Nth("client", 2, drop), Nth("client", 1, twice)
    assert [len(lost("client", frame)) for frame in frames] == [1, 1, 1, 1, 0]
    assert [len(doubled("client", frame)) for frame in frames] == [1, 1, 1, 2, 1]
    assert [len(Nth("server", 1, drop, of=9)("client", frame)) for frame in frames] == [1, 1, 1, 1, 1]


def test_notes_show_commands_as_one_would_type_them():
    (scenario,) = (each for each in SCENARIOS if each.name == "curl-keepalive")
    assert command_line(scenario.client) == " ".join(["curl -sS", *(f"http://192.0.2.2/{i}" for i in (1, 2, 3, 4))])
    assert command_line(scenario.server) == "python record_programs.py http"
