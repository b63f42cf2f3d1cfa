"""`netstack drill`: its lines, its exit status, its files."""

from xml.etree import ElementTree

import pytest

from netstack import cli
from tests.drill.test_scripts import FOLDER

GOOD = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n"
BAD = GOOD + "+0 bind(9, ..., ...) = 0\n"
STRANGE = GOOD + "+0 vmsplice(3) = 0\n"


@pytest.fixture
def folder(tmp_path):
    for name, text in (("good.pkt", GOOD), ("bad.pkt", BAD), ("strange.pkt", STRANGE), ("note.txt", "no script")):
        (tmp_path / name).write_text(text)
    return tmp_path


def run(capsys, *words):
    """Exit status, lines on stdout and on stderr."""
    status = cli.main(["drill", *map(str, words)])
    told = capsys.readouterr()
    return status, told.out.splitlines(), told.err.splitlines()


def test_a_line_for_each_script_and_the_count_last(capsys, folder):
    status, out, _ = run(capsys, folder)
    assert status == 1
    assert out[0] == f"FAIL {folder}/bad.pkt:2: result: expected 0, got -1 EBADF"
    assert out[-3:] == [
        f"ok   {folder}/good.pkt",
        f"skip {folder}/strange.pkt:2: system call vmsplice",
        "1 passed, 1 failed, 1 skipped",
    ]


def test_success_is_zero_and_nothing_skipped_is_not_told(capsys, folder):
    assert run(capsys, folder / "good.pkt")[:2] == (0, [f"ok   {folder}/good.pkt", "1 passed, 0 failed"])


def test_processes_give_the_same_in_the_same_order(capsys, folder):
    assert run(capsys, folder, "-j", 2) == run(capsys, folder)


@pytest.mark.parametrize("words", [["nowhere.pkt"], ["--against", "windows", "x"], [], ["-j", "0", "x"]])
def test_wrong_usage_is_two(capsys, words):
    status, out, err = run(capsys, *words)
    assert (status, out, len(err)) == (2, [], 1)


def test_a_folder_without_scripts_is_wrong_usage(capsys, tmp_path):
    status, _, err = run(capsys, tmp_path)
    assert status == 2
    assert f"no *.pkt in {tmp_path}" in err[0]


def test_a_script_that_does_not_parse_fails(capsys, tmp_path):
    (tmp_path / "broken.pkt").write_bytes(b"0 what\n\xff\xfe")
    status, out, _ = run(capsys, tmp_path)
    assert status == 1
    assert out[0].startswith(f"FAIL {tmp_path}/broken.pkt:1: expected a packet")


def test_junit(capsys, folder):
    run(capsys, folder, "--junit", folder / "out.xml")
    suite = ElementTree.parse(folder / "out.xml").getroot()
    assert (suite.get("tests"), suite.get("failures"), suite.get("skipped")) == ("3", "1", "1")
    assert [case.get("name") for case in suite] == ["bad.pkt", "good.pkt", "strange.pkt"]
    assert suite[0][0].tag == "failure"
    assert "expected 0, got -1 EBADF" in suite[0][0].text
    assert (suite[2][0].tag, suite[2][0].get("message")) == ("skipped", "system call vmsplice")
    status, _, err = run(capsys, folder, "--junit", folder / "no" / "such.xml")
    assert (status, len(err)) == (1, 1)


def test_junit_is_xml_whatever_a_script_holds(capsys, tmp_path):
    (tmp_path / "a.pkt").write_text("0 \x01<&]]>\x0b")
    assert run(capsys, tmp_path, "--junit", tmp_path / "out.xml")[0] == 1
    assert "<&]]>" in ElementTree.parse(tmp_path / "out.xml").getroot()[0][0].get("message")


def test_a_process_that_dies_is_no_traceback(capsys, tmp_path):
    (tmp_path / "a.pkt").write_text("0 %{\nimport os\nos._exit(3)\n}%")
    (tmp_path / "b.pkt").write_text("0 %{ import os; os._exit(3) }%")
    status, out, err = run(capsys, "-j", "2", tmp_path)
    assert (status, err) == (1, [])
    assert out[0] == f"FAIL {tmp_path}/a.pkt: not run to its end: a process that runs scripts died"
    assert out[-1] == "0 passed, 2 failed"


def test_verbose_tells_what_was_ignored_and_left_over(capsys, tmp_path):
    (tmp_path / "a.pkt").write_text("`sysctl -q net.ipv4.tcp_foo=1`\n0 < S 0:0(0) win 1")
    status, out, _ = run(capsys, "-v", tmp_path)
    assert status == 0
    assert "     ignored: net.ipv4.tcp_foo=1" in out
    assert "     outbound packets that no line asked for: 1" in out


def test_commands_find_files_beside_the_script(capsys, tmp_path):
    (tmp_path / "common").mkdir()
    (tmp_path / "common" / "defaults.sh").write_text("sysctl -q net.ipv4.tcp_sack=0")
    scripts = tmp_path / "scripts"
    scripts.mkdir()
    syn = "+0 > S 0:0(0) <mss 1460,nop,nop,TS val 1 ecr 0,nop,wscale 7>"
    connect = "+0 fcntl(3, F_SETFL, O_NONBLOCK) = 0\n+0 connect(3, ..., ...) = -1 EINPROGRESS (x)\n"
    (scripts / "a.pkt").write_text("`../common/defaults.sh`\n" + GOOD + connect + syn)
    assert run(capsys, scripts)[0] == 0


def test_explain_draws_both_ends(capsys):
    status, out, _ = run(capsys, "--explain", FOLDER / "close" / "active_close.pkt")
    assert status == 0
    text = "\n".join(out)
    for state in ("LISTEN", "SYN-RECEIVED", "ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"):
        assert state in text
    right = [
        line.rsplit("|", 1)[1].split()[0] for line in out if line.count("|") == 2 and line.rsplit("|", 1)[1].split()
    ]
    assert [state for i, state in enumerate(right[2:]) if state != right[1 + i]] == [
        "SYN-SENT", "ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED",
    ]  # fmt: skip
