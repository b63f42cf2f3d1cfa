"""--pcap and --trace: what is in the files, and what Wireshark has to say about it."""

import json
import shutil
import subprocess

import pytest
from scapy.all import RawPcapNgReader

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


def test_every_packet_has_a_comment(recorded):
    with RawPcapNgReader(str(recorded / "run.pcapng")) as reader:
        comments = [meta.comments[0].decode() for _, meta in reader]
    assert all(comments)
    said = "\n".join(comments)
    assert "LISTEN -> SYN-RECEIVED: rcv SYN, snd SYN,ACK (RFC 9293 3.10.7.2" in said
    assert "sent because: data; new data that both windows allow (RFC 9293 3.8.6.2.1)" in said
    assert "woken: transport (READABLE)" in said
    assert "nobody said why" not in said


@pytest.mark.skipif(shutil.which("openssl") is None, reason="openssl is not installed: no certificate")
def test_https_with_its_secrets_in_the_capture(tmp_path):
    key, certificate, log = tmp_path / "key.pem", tmp_path / "certificate.pem", tmp_path / "keys.log"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:prime256v1", "-nodes", "-days", "2",
         "-subj", "/CN=netstack.test", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    capture = tmp_path / "run.pcapng"
    tls = ("--tls-cert", str(certificate), "--tls-key", str(key), "--tls-keylog", str(log))
    with running("--port", "443", "--pcap", str(capture), *tls) as up:
        assert up.curl("-k", "https://192.0.2.2/plaintext") == "Hello, World!"
    data = capture.read_bytes()
    secrets = [line for line in log.read_bytes().splitlines() if not line.startswith(b"#")]
    assert len(secrets) >= 4
    assert all(line in data for line in secrets)
    assert b"Hello, World!" not in data


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
