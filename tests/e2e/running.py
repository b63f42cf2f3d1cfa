"""`netstack up` as a user runs it: a process of its own, in a namespace of its own, awaited line by line."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections.abc import Iterator
from pathlib import Path

from tests.netns import Namespace, namespace

ROOT = Path(__file__).parent.parent.parent
APPS = Path(__file__).parent / "apps"
URL = "http://192.0.2.2:8080"
PATIENCE = 20.0
"""Seconds for anything that ought to take one: these machines may be busy."""


class Up:
    """One run. `lines` is what it has printed so far (both streams), `wait_for` waits for a line."""

    def __init__(self, ns: Namespace, *arguments: str) -> None:
        self.ns = ns
        self.lines: list[str] = []
        self.ended = False
        self._more = threading.Condition()
        command = [sys.executable, "-m", "netstack", "up", *arguments]
        self.process = ns.popen(*command, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self._reader = threading.Thread(target=self._read, daemon=True)
        self._reader.start()

    def _read(self) -> None:
        assert self.process.stdout is not None
        for line in self.process.stdout:
            with self._more:
                self.lines.append(line.rstrip("\n"))
                self._more.notify_all()
        with self._more:
            self.ended = True
            self._more.notify_all()

    def wait_for(self, pattern: str) -> str:
        """The first line, of those printed and those to come, in which the pattern is found."""
        with self._more:
            seen = 0
            while True:
                for line in self.lines[seen:]:
                    if re.search(pattern, line):
                        return line
                seen = len(self.lines)
                if self.ended or not self._more.wait(PATIENCE):
                    raise AssertionError(f"no line with {pattern!r} in:\n" + "\n".join(self.lines))

    def ready(self) -> "Up":
        """Wait until it serves."""
        self.wait_for("serving on")
        return self

    def signal(self, number: int = signal.SIGTERM) -> None:
        """Send a signal to the process."""
        self.process.send_signal(number)

    def end(self) -> int:
        """Wait for the process's end; its exit status."""
        status = self.process.wait(PATIENCE)
        self._reader.join(PATIENCE)
        return status

    def stop(self) -> int:
        """Ask it to stop, as Ctrl-C does, and wait for it."""
        self.signal(signal.SIGINT)
        return self.end()

    def curl(self, *arguments: str, check: bool = True) -> str:
        """What curl, in the namespace, writes to its standard output."""
        return self.ns.run("curl", "-sS", "--max-time", str(PATIENCE), *arguments, check=check).stdout


@contextlib.contextmanager
def running(*arguments: str) -> Iterator[Up]:
    """A run in a fresh namespace, already serving; stopped at the end, and that must go well."""
    with namespace() as ns:
        up = Up(ns, *arguments).ready()
        yield up
        if up.process.poll() is None:
            assert up.stop() == 0, "\n".join(up.lines)


def interfaces(ns: Namespace) -> str:
    """The names of the interfaces in a namespace, as `ip` shows them."""
    return ns.run("ip", "-brief", "link").stdout


def alive(pid: int) -> bool:
    """Whether there is such a process."""
    return os.path.exists(f"/proc/{pid}")
