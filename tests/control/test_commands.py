"""The commands that look into a stack: what they say when they cannot, and ss against a stack in this process."""

import asyncio
import json

import pytest

from netstack import cli
from netstack.control import places
from netstack.control.server import Control
from netstack.inspect.sinks import Observers
from tests.tcp.pair import Pair

HELLO = {"tap": "tap0", "netns": None, "address": "192.0.2.2/24", "pid": 1, "epoch": 0}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "FOLDER", tmp_path / "netstack")
    monkeypatch.setattr(places.tempfile, "tempdir", str(tmp_path))
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)


@pytest.mark.parametrize("command", [["ss"], ["tcpdump"], ["watch", "--once"]], ids=lambda words: words[0])
def test_without_a_stack_there_is_one_line_and_status_1(capsys, command):
    assert cli.main(command) == 1
    out, err = capsys.readouterr()
    assert (out, err) == ("", "netstack: no running netstack found (start one with: sudo netstack up)\n")
    assert cli.main([*command, "--socket", "nowhere.sock"]) == 1
    assert capsys.readouterr().err == "netstack: no running netstack behind nowhere.sock\n"


@pytest.mark.parametrize(
    ("words", "complaint"),
    [
        (["ss", "state", "open"], "state is followed by a state such as established or fin-wait-1, not by 'open'"),
        (["ss", "-p"], "No such option '-p'"),
        (["tcpdump", "tcp", "port"], "an address, a port or a protocol is missing at the end of the filter"),
        (["tcpdump", "-c", "0"], "Invalid value for '-c': 0 is not in the range x>=1"),
        (["watch", "sport", "="], "a port is missing at the end of the filter"),
        (["watch"], "this needs a terminal (--once prints one picture)"),
        (["watch", "--once", "--size", "80"], "Invalid value for '--size': '80' is not a size such as 120x40"),
    ],
)
def test_wrong_usage_is_one_line_and_status_2(capsys, words, complaint):
    assert cli.main(words) == 2
    err = capsys.readouterr().err
    assert err == f"netstack {words[0]}: {complaint} (see netstack {words[0]} --help)\n"


def test_ss_and_a_picture_of_a_stack_in_this_process(capsys, tmp_path):
    pair = Pair()
    ours, _ = pair.open()
    control = Control(pair.server, lambda: pair.now, Observers(pair.server.observe), HELLO)

    async def work(*words):
        with places.bound("tap0") as listening:
            async with control.serving(listening):
                assert await asyncio.to_thread(cli.main, list(words)) == 0
        return capsys.readouterr().out

    rows = json.loads(asyncio.run(work("ss", "--json")))
    assert [row["who"] for row in rows] == [f"192.0.2.2:80 - 192.0.2.1:{ours.local[1]}"]
    assert asyncio.run(work("ss", "-lH")).split() == ["tcp", "LISTEN", "0", "16", "192.0.2.2:80", "*:*"]
    assert asyncio.run(work("ss", "-uaH")) == ""
    picture = asyncio.run(work("watch", "--once", "--looks", "1", "--size", "60x12"))
    assert len(picture.splitlines()) == 12
    assert f"192.0.2.1:{ours.local[1]}" in picture
    drawing = tmp_path / "watch.svg"
    asyncio.run(work("watch", "--svg", str(drawing), "--looks", "1"))
    assert drawing.read_text().startswith("<svg")
