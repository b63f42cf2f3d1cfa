"""`netstack journey` as it is typed: in memory, with one's own application, on a TAP with curl and the kernel's TCP."""

import shutil

import pytest

from netstack import cli
from tests import netns

APP = '''
async def app(scope, receive, send):
    assert scope["type"] == "http"
    await send({"type": "http.response.start", "status": 201, "headers": []})
    await send({"type": "http.response.body", "body": scope["query_string"]})
'''


def test_it_prints_a_ladder(capsys):
    assert cli.main(["journey", "--width", "100"]) == 0
    lines = capsys.readouterr().out.splitlines()
    assert "cli tap eth  ip tcp buf evl htt asg app" in lines[0]
    assert any("LAST-ACK → CLOSED" in line for line in lines)
    assert max(map(len, lines)) <= 100


def test_it_explains(capsys):
    assert cli.main(["journey", "--explain", "--width", "160"]) == 0
    assert "[RFC 9293 3.5; ISN:" in capsys.readouterr().out


def test_ones_own_application(tmp_path, capsys):
    (tmp_path / "journey_own.py").write_text(APP)
    arguments = ["--app", "journey_own:app", "--app-dir", str(tmp_path), "/?four", "--width", "160"]
    assert cli.main(["journey", *arguments]) == 0
    assert "has the response: 201, 4 octets of content" in capsys.readouterr().out


def test_files(tmp_path, capsys):
    page, drawing = tmp_path / "j.html", tmp_path / "j.svg"
    assert cli.main(["journey", "--html", str(page), "--svg", str(drawing)]) == 0
    assert page.read_text().startswith("<!doctype html>")
    assert drawing.read_text().startswith("<svg ")
    assert capsys.readouterr().out == f"wrote {page}\nwrote {drawing}\n"


@pytest.mark.parametrize(("arguments", "status", "said"), [
    (["https://x/"], 2, "inside TLS"),
    (["--loss", "100%"], 2, "nothing would ever arrive"),
    (["--loss", "x"], 2, "not a share"),
    (["-H", "x"], 2, "no header field"),
    (["--width", "20"], 2, "width"),
    (["--app", "nowhere_at_all:app"], 1, "nowhere_at_all"),
    (["--html", "/nowhere/at/all.html"], 1, "cannot write"),
])  # fmt: skip
def test_what_cannot_be_is_one_line(arguments, status, said, capsys):
    assert cli.main(["journey", *arguments]) == status
    error = capsys.readouterr().err
    assert error.startswith(("netstack journey: ", "netstack: "))
    assert said in error
    assert error.count("\n") == 1


@pytest.mark.tap
@pytest.mark.parametrize("client", ["curl", "kernel"])
def test_on_a_tap_the_client_is_real(client, capsys):
    netns.require_tap()
    if client == "curl" and shutil.which("curl") is None:
        pytest.skip("there is no curl")
    arguments = ["--tap", "--client", client, "-d", "hello", "/echo", "--width", "160"]
    assert cli.main(["journey", *arguments]) == 0
    out = capsys.readouterr().out
    assert "await receive(): http.request, 5 octets" in out
    assert "TIME-WAIT      " in out
    assert "LAST-ACK → CLOSED" in out


@pytest.mark.tap
def test_on_a_tap_over_a_bad_path(capsys):
    netns.require_tap()
    assert cli.main(["journey", "--tap", "--client", "kernel", "--delay", "5ms", "--width", "160"]) == 0
    assert "LAST-ACK → CLOSED" in capsys.readouterr().out
