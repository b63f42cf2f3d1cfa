"""`netstack replay` from the outside: exit status, one-line reasons, JSON; and every kind of file it is given."""

import json
import random
import struct
from pathlib import Path

import pytest

from netstack.cli import main
from netstack.tcp.connection import Connection
from tests.replay.lines import HANDSHAKE, Capture

HERE = Path(__file__).parent
DOWNLOAD = str(HERE / "curl-get.pcap")
CONVERSATION = HANDSHAKE + "> P. 1:11(10) ack 1\n< P. 1:21(20) ack 11\n> F. 11:11(0) ack 21\n< F. 21:21(0) ack 12"


@pytest.fixture
def file(tmp_path):
    def write(data: bytes) -> str:
        path = tmp_path / "capture"
        path.write_bytes(data)
        return str(path)

    return write


def test_same_is_status_0_and_both_timelines_are_shown(capsys):
    assert main(["replay", "--states", DOWNLOAD]) == 0
    out, err = capsys.readouterr()
    assert not err
    assert ": same: 77 octets from the client, 5202 from the server" in out
    assert "FIN-WAIT-2   rcv ACK of FIN" in out
    assert "> P. 1:78(77) ack 1" in out
    row = next(line for line in out.splitlines() if "< P. 1:203(202) ack 78" in line)
    assert row.count("1:203(202) ack 78") == 2
    assert "   =   " in row


def test_the_way_through_the_states_stands_beside_the_ways_not_taken(capsys):
    assert main(["replay", "--states", DOWNLOAD]) == 0
    lines = capsys.readouterr().out.splitlines()
    way = lines[lines.index("netstack's way through the states:") + 2 :]
    taken = [line.split(" > ")[1].split("->")[0].strip() for line in way if " > " in line]
    assert taken == [
        "rcv SYN, snd SYN,ACK", "rcv ACK of SYN", "CLOSE, snd FIN", "rcv ACK of FIN", "rcv FIN, snd ACK"
    ]  # fmt: skip
    assert any("rcv RST" in line and " > " not in line for line in way)
    assert way[-2].strip() == "TIME-WAIT"


def test_the_chart_is_drawn_with_the_path_on_it(capsys, tmp_path):
    path = tmp_path / "path.svg"
    assert main(["replay", "-q", "--svg", str(path), DOWNLOAD]) == 0
    assert ": same: " in capsys.readouterr().out
    drawn = path.read_text()
    assert '<g class="edge taken" id="FIN_WAIT_2-TIME_WAIT">' in drawn
    assert '<g class="edge" id="LAST_ACK-CLOSED">' in drawn
    assert "The path of 192.0.2.1:" in drawn
    assert main(["replay", "--svg", "-", DOWNLOAD]) == 0
    assert capsys.readouterr().out == drawn
    assert main(["replay", "--mermaid", DOWNLOAD]) == 0
    mermaid = capsys.readouterr().out
    assert mermaid.startswith("stateDiagram-v2\n")
    assert "5. at " in mermaid


def test_only_one_drawing_of_one_connection(capsys, tmp_path):
    several = str(HERE / "scan-syn.pcap")
    assert main(["replay", "--mermaid", several]) == 2
    assert "--connection N says which to draw" in capsys.readouterr().err
    assert main(["replay", "--mermaid", "--connection", "2", several]) == 0
    assert main(["replay", "--mermaid", "--svg", "-", DOWNLOAD]) == 2
    assert "two drawings" in capsys.readouterr().err
    missing = tmp_path / "missing" / "path.svg"
    assert main(["replay", "--svg", str(missing), DOWNLOAD]) == 1
    assert f"cannot write {missing}" in capsys.readouterr().err


def test_different_is_status_1_and_the_first_difference_is_marked(capsys, monkeypatch):
    monkeypatch.setattr(Connection, "shutdown", lambda self: None)
    assert main(["replay", DOWNLOAD]) == 1
    out = capsys.readouterr().out
    assert ": different: the states part after ESTABLISHED: recorded FIN-WAIT-1, replayed CLOSE-WAIT" in out
    assert out.count("<-- first difference") == 1
    assert "FP. 4547:5203(656)" in next(line for line in out.splitlines() if "first difference" in line)


def test_not_replayable_is_status_2_with_one_line(capsys):
    assert main(["replay", str(HERE / "ping.pcap")]) == 2
    out, err = capsys.readouterr()
    assert not out
    assert err.splitlines() == [f"{HERE / 'ping.pcap'}: cannot be replayed: no TCP over IPv4 among its 6 packets"]


def test_a_probe_beside_a_connection_that_cannot_be_replayed_does_not_count(capsys, file):
    capture = Capture().add("> P. 1:11(10) ack 1\n< . 1:1(0) ack 11")
    capture.server = (capture.server[0], 81)
    assert main(["replay", "-q", file(capture.add("> S 0:0(0)\n< R. 0:0(0) ack 1").file())]) == 2
    assert "older than the capture" in capsys.readouterr().out


def test_quiet_is_one_line_a_connection(capsys):
    assert main(["replay", "-q", str(HERE / "scan-syn.pcap")]) == 0
    assert [line.split(",")[0] for line in capsys.readouterr().out.splitlines()] == ["connection 1", "connection 2"]


def test_one_connection_of_several(capsys):
    assert main(["replay", "-q", "--connection", "2", str(HERE / "scan-syn.pcap")]) == 0
    assert capsys.readouterr().out.startswith("connection 2, ")
    assert main(["replay", "--connection", "3", str(HERE / "scan-syn.pcap")]) == 2
    assert "has 2 connections, there is no connection 3" in capsys.readouterr().err


def test_wrong_usage_is_status_2(capsys):
    assert main(["replay", "/nowhere.pcap"]) == 2
    assert len(capsys.readouterr().err.splitlines()) == 1


def test_json_holds_everything(capsys):
    assert main(["replay", "--json", DOWNLOAD]) == 0
    data = json.loads(capsys.readouterr().out)
    (connection,) = data["connections"]
    assert (data["status"], connection["status"], connection["verdict"]) == (0, 0, "same")
    assert connection["states"]["same"] is True
    assert [each["state"] for each in connection["states"]["replayed"]][-1] == "TIME-WAIT"
    assert connection["octets"]["server"] == {
        "captured": 5202, "acknowledged": 5202, "replayed": 5202, "same": True, "first_difference": None,
    }  # fmt: skip
    assert len(connection["timeline"]) >= 16
    assert {"client", "recorded", "replayed", "differs"} == set(connection["timeline"][0])


def test_json_of_what_cannot_be_replayed(capsys, file):
    assert main(["replay", "--json", file(b"")]) == 2
    data = json.loads(capsys.readouterr().out)
    assert (data["status"], data["reason"], data["connections"]) == (2, "the file is empty", [])
    assert main(["replay", "--json", file(Capture().add("> S 0:0(0)").file())]) == 2
    data = json.loads(capsys.readouterr().out)
    assert data["connections"][0]["reason"] == "no handshake: the SYN was never answered"


LINKS = {
    "raw IP": (101, b""),
    "raw IPv4": (228, b""),
    "Linux cooked": (113, struct.pack("!HHH8sH", 0, 1, 6, bytes(8), 0x0800)),
    "Linux cooked 2": (276, struct.pack("!HHIHBB8s", 0x0800, 0, 2, 1, 0, 6, bytes(8))),
    "BSD loopback": (0, struct.pack("<I", 2)),
    "BSD loopback, big-endian": (0, struct.pack(">I", 2)),
    "OpenBSD loopback": (108, struct.pack(">I", 2)),
    "VLAN": (1, bytes(12) + b"\x81\x00\x00\x05\x08\x00"),
    "QinQ": (1, bytes(12) + b"\x88\xa8\x00\x05\x81\x00\x00\x06\x08\x00"),
}


@pytest.mark.parametrize("link", LINKS)
def test_link_types(link, file, capsys):
    linktype, header = LINKS[link]
    assert main(["replay", "-q", file(Capture().add(CONVERSATION).file(linktype, header))]) == 0
    assert "CLOSE-WAIT LAST-ACK" in capsys.readouterr().out


def test_pcapng(tmp_path, capsys):
    Capture().add(CONVERSATION).pcapng(tmp_path / "capture.pcapng")
    assert main(["replay", "-q", str(tmp_path / "capture.pcapng")]) == 0
    assert "CLOSE-WAIT LAST-ACK" in capsys.readouterr().out


def test_a_file_that_ends_in_the_middle_of_a_packet(file, capsys):
    data = Capture().add(CONVERSATION).file()
    assert main(["replay", "-q", file(data[:-20])]) == 0
    out, err = capsys.readouterr()
    assert "ESTABLISHED CLOSE-WAIT\n" in out
    assert "cut short in packet 7" in err


UNREADABLE = {
    "nothing": (b"", "the file is empty"),
    "text": (b"GET / HTTP/1.0\r\n", "neither a pcap nor a pcapng file"),
    "no packets": (Capture().file(), "there are no packets in it"),
    "IPv6": (Capture().add(HANDSHAKE).file(1, bytes(12) + b"\x86\xdd"), "no IPv4 at all among its 3 packets"),
    "USB": (Capture().add(HANDSHAKE).file(220, b""), "no packet of a link type that can be read, only of type 220"),
}


@pytest.mark.parametrize("case", UNREADABLE)
def test_unreadable_files_say_why(case, file, capsys):
    data, why = UNREADABLE[case]
    path = file(data)
    assert main(["replay", path]) == 2
    (line,) = capsys.readouterr().err.splitlines()
    assert line.startswith(f"{path}: cannot be replayed: ")
    assert why in line


def test_damaged_files_are_judged_not_crashed_on(file, capsys):
    whole = Capture().add(CONVERSATION).file()
    rng = random.Random(1)
    for _ in range(150):
        data = bytearray(whole)
        for _ in range(rng.randrange(1, 6)):
            data[rng.randrange(24, len(data))] = rng.randrange(256)
        assert main(["replay", "-q", file(bytes(data))]) in (0, 1, 2)
        capsys.readouterr()
