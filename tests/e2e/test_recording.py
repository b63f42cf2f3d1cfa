"""--pcap and --trace: what is in the files, and what Wireshark has to say about it."""

import json
import shutil
import subprocess

import pytest

import asgi.events
from netstack.link.pcap_reader import read_capture
from tests.e2e.running import URL, running

pytestmark = pytest.mark.tap

SERVERS = {kind.__name__ for kind in asgi.events.Event.__subclasses__()}
"""The names of the server's events."""


@pytest.fixture(scope="module")
def recorded(tmp_path_factory):
    """The folder with run.pcapng and run.jsonl of a run that served a few requests and ended."""
    folder = tmp_path_factory.mktemp("recorded")
    with running("--pcap", str(folder / "run.pcapng"), "--trace", str(folder / "run.jsonl")) as up:
        up.curl(f"{URL}/plaintext", f"{URL}/bytes/1000000", "-o", "/dev/null", "-o", "/dev/null")
        up.curl("-d", "x" * 100_000, f"{URL}/upload")
    return folder


def test_every_frame_is_in_the_capture(recorded):
    with open(recorded / "run.pcapng", "rb") as file:
        frames = [packet.data for packet in read_capture(file)]
    everything = b"".join(frames)
    assert b"GET /plaintext HTTP/1.1" in everything
    assert b"Hello, World!" in everything


def test_the_trace_tells_the_life_of_each_connection(recorded):
    events = [json.loads(line) for line in (recorded / "run.jsonl").read_text().splitlines()]
    stack = [event["at"] for event in events if event["event"] not in SERVERS]
    server = [event["at"] for event in events if event["event"] in SERVERS]
    assert stack == sorted(stack)
    assert server == sorted(server)  # within a turn of the stack, which to it is one moment, time passes for the server
    assert len(server) > 20
    assert {event.get("who") for event in events if event["event"] in SERVERS} <= {
        event.get("who") for event in events if event["event"] not in SERVERS
    }
    lives = {}
    for event in events:
        if event["event"] == "StateChanged":
            lives.setdefault(event["who"], []).append(event["new"])
    assert lives.pop("192.0.2.2:8080") == ["LISTEN", "CLOSED"]
    assert len(lives) == 2
    for states in lives.values():
        assert states[:2] == ["SYN-RECEIVED", "ESTABLISHED"]
        assert states[-1] in ("CLOSED", "TIME-WAIT")


@pytest.mark.skipif(shutil.which("tshark") is None, reason="tshark is not installed")
def test_wireshark_finds_nothing_to_warn_of(recorded):
    # A sender that fills the window it was given is called a warning, and is no fault.
    faults = "_ws.expert.severity >= 0x600000 and not tcp.analysis.window_full"
    wanted = ("-Y", faults, "-T", "fields", "-e", "frame.number", "-e", "_ws.expert.message")
    checking = ("-o", "tcp.check_checksum:TRUE", "-o", "ip.check_checksum:TRUE")
    command = ["tshark", "-r", str(recorded / "run.pcapng"), *checking, *wanted]
    result = subprocess.run(command, capture_output=True, text=True, timeout=60)
    assert result.returncode == 0, result.stderr
    assert result.stdout == ""
