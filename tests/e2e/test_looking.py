"""Looking into a running `netstack up` from other processes, beside what the kernel's tools say of the same thing."""

import contextlib
import fcntl
import json
import os
import pty
import re
import select
import shutil
import signal
import socket
import struct
import subprocess
import sys
import termios

import pytest

from tests.e2e.running import ROOT, URL, Up, running

pytestmark = pytest.mark.tap


TAP = f"look{os.getpid()}"
"""Other stacks may be running."""


def netstack(up: Up, *arguments: str, check: bool = True):
    """A command of ours, run in the namespace."""
    command, *rest = arguments
    return up.ns.run(sys.executable, "-m", "netstack", command, "--tap", TAP, *rest, cwd=ROOT, check=check)


@contextlib.contextmanager
def connected(up: Up):
    """A kernel's connection that has asked for the page, and read none of the answer."""
    with up.ns.inside(), socket.create_connection(("192.0.2.2", 8080), 10) as end:
        end.sendall(b"GET /text HTTP/1.1\r\nHost: x\r\n\r\n")
        end.recv(1, socket.MSG_PEEK)
        yield end


def fields(line: str) -> dict[str, str]:
    """name:value of the line below a connection."""
    return dict(re.findall(r"(\w+):(\S+)", line))


def test_ss_beside_the_kernels_ss_and_nothing_left_when_the_stack_has_gone():
    with running("--tap", TAP) as up:
        with connected(up) as end:
            port = end.getsockname()[1]
            kernel = up.ns.run("ss", "-tinHo", f"sport = :{port}").stdout.splitlines()
            ours = netstack(up, "ss", "-tinHo", f"dport = :{port}").stdout.splitlines()
            after = fields(up.ns.run("ss", "-tinHo", f"sport = :{port}").stdout.splitlines()[1])
            assert ours[0].split()[:5] == ["ESTAB", "0", "0", "192.0.2.2:8080", f"192.0.2.1:{port}"]
            assert kernel[0].split()[3:5] == [f"192.0.2.1:{port}", "192.0.2.2:8080"]
            here, there = fields(ours[1]), fields(kernel[1])
            assert here["wscale"].split(",") == there["wscale"].split(",")[::-1]
            assert here["bytes_sent"] == here["bytes_acked"] == there["bytes_received"]
            assert here["bytes_received"] == there["bytes_sent"]
            assert int(there["segs_out"]) <= int(here["segs_in"]) <= int(after["segs_out"])  # an ACK may be on its way
            assert here["data_segs_in"] == there["data_segs_out"]
            assert here["data_segs_out"] == there["data_segs_in"]
            assert here["mss"] == there["mss"] == "1448"
            assert " ts sack " in ours[1]
            (row,) = json.loads(netstack(up, "ss", "--json", f"dport = :{port}").stdout)
            assert row["info"]["bytes_received"] == int(there["bytes_sent"])
            assert "(estab 1, closed 0, orphaned 0, timewait 0)" in netstack(up, "ss", "-s").stdout
        assert up.curl(f"{URL}/text")
        listening = netstack(up, "ss", "-ltH").stdout.split()
        assert listening == ["LISTEN", "0", "2048", "192.0.2.2:8080", "*:*"]
        assert up.stop() == 0
        left = netstack(up, "ss", check=False)
        assert (left.returncode, left.stderr) == (
            1, f"netstack: no running netstack found on {TAP} (start one with: sudo netstack up)\n"
        )  # fmt: skip


@pytest.mark.skipif(shutil.which("tcpdump") is None, reason="no tcpdump to compare with")
def test_tcpdump_beside_the_kernels_on_the_same_tap(tmp_path):
    with running("--tap", TAP) as up:
        one_request = "tcp port 8080 and (tcp[tcpflags] & (tcp-syn + tcp-fin) != 0 or greater 300)"
        kernel = up.ns.popen(
            "tcpdump", "-l", "-n", "-t", "-i", TAP, one_request, stdout=subprocess.PIPE, stderr=subprocess.PIPE
        )
        ours = [
            up.ns.popen(
                sys.executable, "-m", "netstack", "tcpdump", "--tap", TAP, *options, one_request,
                cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE,
            )
            for options in (("-t", "-n"), ("-c", "5", "-w", str(tmp_path / "run.pcap")))
        ]  # fmt: skip
        for process in (kernel, *ours):
            while "listening on" not in process.stderr.readline():
                assert process.poll() is None
        up.curl(f"{URL}/text")
        lines, theirs = ([process.stdout.readline() for _ in range(5)] for process in (ours[0], kernel))
        assert sorted(lines) == sorted(theirs), "an ACK may pass a segment between the two places"
        assert sum("Flags [F.]" in line for line in lines) == 2
        ours[0].send_signal(signal.SIGTERM)
        assert ours[0].communicate(timeout=20) == ("", "\n5 packets captured\n")
        assert ours[1].communicate(timeout=20) == ("", "5 packets captured\n")
        assert [process.returncode for process in ours] == [0, 0]
        again = up.ns.run("tcpdump", "-n", "-t", "-r", str(tmp_path / "run.pcap")).stdout
        assert again == "".join(lines)
        verbose = up.ns.run("tcpdump", "-n", "-v", "-r", str(tmp_path / "run.pcap")).stdout
        assert verbose.count("(correct)") == 5, "checksums left to the device are completed"


def test_watch_on_a_terminal_draws_opens_a_connection_and_leaves_all_as_it_was():
    master, slave = pty.openpty()
    fcntl.ioctl(slave, termios.TIOCSWINSZ, struct.pack("HHHH", 24, 80, 0, 0))
    with running("--tap", TAP) as up, connected(up) as end:
        port = end.getsockname()[1]
        with up.ns.inside():
            watch = subprocess.Popen(
                [sys.executable, "-m", "netstack", "watch", "--tap", TAP, "-d", "0.25"],
                cwd=ROOT, stdin=slave, stdout=slave, stderr=subprocess.PIPE, env=os.environ | {"TERM": "xterm"},
            )  # fmt: skip
        before = termios.tcgetattr(slave)
        drawn = Drawn(master)
        drawn.until(f"192.0.2.1:{port}")
        os.write(master, b"\r")
        drawn.until("peer ▶ stack")
        end.sendall(b"GET /text HTTP/1.1\r\nHost: x\r\n\r\n")
        drawn.until("P. 32:63(31) ack")
        os.write(master, b"\x1b")
        drawn.until("sort: rate")
        os.write(master, b"q")
        drawn.until("\x1b[?1049l")  # back from the alternate screen (xterm's control sequences)
        assert watch.wait(20) == 0
        assert watch.stderr.read() == b""
        assert termios.tcgetattr(slave) == before
        text = netstack(up, "watch", "--once", "-d", "0.25").stdout.splitlines()
        assert len(text) == 24
        assert f"192.0.2.1:{port}" in text[4]
        refused = netstack(up, "watch", check=False)
        assert (refused.returncode, "this needs a terminal" in refused.stderr) == (2, True)
    os.close(master)
    os.close(slave)


class Drawn:
    """What a program draws on a terminal of ours."""

    def __init__(self, fd: int) -> None:
        self._fd = fd
        self._text = ""

    def until(self, part: str) -> None:
        """Read on until `part` has been drawn since the last time."""
        while part not in self._text:
            assert select.select([self._fd], [], [], 20)[0], f"no {part!r} in {self._text[-3000:]!r}"
            self._text += os.read(self._fd, 65_536).decode(errors="replace")
        self._text = self._text.partition(part)[2]
