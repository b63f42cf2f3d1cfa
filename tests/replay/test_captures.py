"""Each recorded capture, used three ways: its packets survive parse and build; the client's half yields the recorded
state path and octets; the timeline is the committed text (`NETSTACK_UPDATE=1 pytest tests/replay` writes it anew).
"""

import os
import random
from pathlib import Path

import pytest
from record_programs import pattern
from record_scenarios import SCENARIOS

from netstack.link.pcap_reader import read_capture
from netstack.replay.extract import conversations
from netstack.replay.recorded import Recording, read_recording
from netstack.replay.report import text
from netstack.replay.verdict import Status, Verdict, judge, states
from netstack.wire import ethernet, icmpv4, ipv4, tcp, tcp_options

HERE = Path(__file__).parent
CAPTURES = sorted(path.stem for path in HERE.glob("*.pcap"))
WITH_TCP = [name for name in CAPTURES if name != "ping"]

OPENED = ["LISTEN", "SYN-RECEIVED", "ESTABLISHED"]
CLIENT_CLOSES = [*OPENED, "CLOSE-WAIT", "LAST-ACK", "CLOSED"]
SERVER_CLOSES = [*OPENED, "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"]
BOTH_CLOSE = [*OPENED, "FIN-WAIT-1", "CLOSING", "TIME-WAIT"]
PATHS = {
    "client-killed": [*OPENED, "CLOSED"],
    "client-side-fin": BOTH_CLOSE,
    "client-side-killed": [*OPENED, "CLOSE-WAIT", "CLOSED"],
    "curl-get": SERVER_CLOSES,
    "reordering-server": SERVER_CLOSES,
    "retransmission": SERVER_CLOSES,
    "scan-syn": ["LISTEN", "SYN-RECEIVED", "CLOSED"],
    "scan-fin": ["LISTEN"],
    "scan-null": ["LISTEN"],
    "scan-xmas": ["LISTEN"],
    "server-reset": [*OPENED, "CLOSED"],
    "simultaneous-close": BOTH_CLOSE,
    "tail-loss": SERVER_CLOSES,
}
"""Of the first connection, where it is not CLIENT_CLOSES: known from what the programs do."""


def recording(name: str) -> Recording:
    with (HERE / f"{name}.pcap").open("rb") as file:
        return read_recording(file)


def verdicts(name: str) -> list[Verdict]:
    return [judge(conversation, random.Random(9293)) for conversation in conversations(recording(name))]


def test_every_scenario_is_here_with_its_note():
    notes = (HERE / "README.md").read_text()
    assert sorted(scenario.name for scenario in SCENARIOS) == CAPTURES
    assert all(f"| `{name}` |" in notes for name in CAPTURES)


@pytest.mark.parametrize("name", CAPTURES)
def test_packets_survive_parse_and_build(name):
    with (HERE / f"{name}.pcap").open("rb") as file:
        frames = list(read_capture(file))
    assert frames
    for frame in frames:
        assert rebuilt(frame.data) == frame.data


def rebuilt(frame: bytes) -> bytes:
    """The frame, taken apart down to the options of its transport and put together again."""
    link = ethernet.parse(frame)
    at = ethernet.HEADER_LEN
    header = ipv4.parse(frame, at)
    assert link is not None
    assert header is not None
    assert ipv4.checksum_valid(frame, at)
    start, end = at + header.header_len, at + header.total_length
    if header.protocol == tcp.PROTOCOL:
        transport = rebuilt_segment(frame[start:end], header.pair)
    else:
        message = icmpv4.parse(frame, start, end)
        assert message is not None
        transport = icmpv4.build(message.type, message.code, message.word1, message.word2, message.body)
    packet = ipv4.build(
        header.pair, header.protocol, len(transport), ident=header.ident, ttl=header.ttl, tos=header.tos,
        df=header.df, mf=header.mf, offset=header.offset, options=header.options,
    )  # fmt: skip
    return ethernet.build(*link) + packet + transport


def rebuilt_segment(octets: bytes, pair: bytes) -> bytes:
    segment = tcp.parse(octets)
    assert segment is not None
    options = tcp_options.build(tcp_options.walk(segment.options))
    header = tcp.build(*segment[:6], options, checksum=segment.checksum, urgent=segment.urgent)
    built = header + segment.payload
    if tcp.checksum_valid(octets, pair):
        assert tcp.with_checksum(built, pair) == built
    return built


def test_checksums_of_captures_on_a_cable_are_right():
    for name in WITH_TCP:
        if not name.startswith("loopback"):
            assert not any(packet.damaged for packet in recording(name).packets), name


@pytest.mark.parametrize("name", WITH_TCP)
def test_the_recorded_octets_and_states_come_about_again(name):
    for number, verdict in enumerate(verdicts(name)):
        assert verdict.status is Status.SAME, verdict.reason
        expected = PATHS.get(name, CLIENT_CLOSES) if number == 0 else ["CLOSED"]  # scans: an open port, a closed one
        assert states(verdict.replayed) == states(verdict.recorded) == expected
        conversation = verdict.conversation
        assert verdict.client.replayed == len(conversation.client_stream.data)
        assert verdict.server.replayed == len(conversation.server_stream.data)


def test_a_download_is_replayed_to_its_last_octet():
    (verdict,) = verdicts("curl-download")
    head, _, body = verdict.conversation.server_stream.data.partition(b"\r\n\r\n")
    assert body == pattern(400_000)
    assert verdict.server.replayed == verdict.server.acknowledged == len(head) + 4 + 400_000


@pytest.mark.parametrize(
    ("name", "from_client"),
    [("retransmission", False), ("tail-loss", False), ("retransmission-timeout", False), ("client-side-loss", True)],
)
def test_captures_of_a_retransmission_hold_one(name, from_client):
    (conversation,) = conversations(recording(name))
    sent = [segment for segment in conversation.of(from_client) if segment.payload]
    assert len({segment.seq for segment in sent}) < len(sent)


def test_captures_of_reordering_hold_it():
    (conversation,) = conversations(recording("reordering"))
    numbers = [segment.seq for segment in conversation.of(True)]
    assert numbers != sorted(numbers)


def test_ping_holds_nothing_to_replay():
    found = recording("ping")
    assert found.ip_frames == 6
    assert not found.packets


@pytest.mark.parametrize("name", WITH_TCP)
def test_the_timeline_is_the_committed_one(name):
    said = "\n\n".join("\n".join(text(verdict, True)) for verdict in verdicts(name)) + "\n"
    path = HERE / f"{name}.txt"
    if os.environ.get("NETSTACK_UPDATE"):
        path.write_text(said)
    assert said == path.read_text(), f"{path.name} has changed: NETSTACK_UPDATE=1 pytest tests/replay writes it anew"
