"""A server under test: a process of its own, on its core and in its namespace, ready once it has said so."""

import contextlib
import os
import re
import signal
import subprocess
import sys
import threading
from collections import deque
from pathlib import Path

from bench.place import SERVER, Place

ROOT = Path(__file__).parent.parent.parent
READY = re.compile(r"(?:serving|running) on ")
READY_WITHIN, END_WITHIN = 20.0, 8.0
"""Seconds."""

# Ends with us, however we end: prctl(2) PR_SET_PDEATHSIG survives the exec.
LAUNCH = """
import ctypes, os, signal, sys
ctypes.CDLL(None).prctl(1, signal.SIGTERM)
signal.signal(signal.SIGINT, signal.SIG_DFL)  # a shell's background job was told to ignore it
if os.getppid() == int(sys.argv[1]):
    os.execv(sys.executable, [sys.executable, *sys.argv[2:]])
"""


class Failure(Exception):
    """Something could not be measured; one line says why."""


class Program:
    """`python ARGUMENTS...` in a namespace of `place`, on the servers' core; a context manager that ends it.

    Entering waits until a line of its output says where it serves; Failure with its last line when it ends before
    that. `said` has the last lines of its output.
    """

    def __init__(self, place: Place, side: str, arguments: list[str]) -> None:
        self.name = " ".join(arguments)
        self.said: deque[str] = deque(maxlen=50)
        self._ready = threading.Event()
        self._heard_ready = False
        path = os.pathsep.join((str(ROOT), str(ROOT / "tools")))
        with place.inside(side, core=SERVER):
            self._process = subprocess.Popen(
                [sys.executable, "-c", LAUNCH, str(os.getpid()), *arguments],
                cwd=ROOT, env=os.environ | {"PYTHONPATH": path, "PYTHONUNBUFFERED": "1"}, text=True,
                stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, stderr=subprocess.STDOUT,
            )  # fmt: skip
        self._listener = threading.Thread(target=self._listen, daemon=True)

    @property
    def pid(self) -> int:
        """The server's process."""
        return self._process.pid

    def _listen(self) -> None:
        """Read the output for as long as there is any, so that the server never waits for a reader."""
        assert self._process.stdout is not None
        for line in self._process.stdout:
            self.said.append(line.rstrip())
            if not self._heard_ready and READY.search(line):
                self._heard_ready = True
                self._ready.set()
        self._ready.set()

    def __enter__(self) -> "Program":
        try:
            self._listener.start()
            self._ready.wait(READY_WITHIN)
            if not self._heard_ready:
                last = next((line for line in reversed(self.said) if line), "no output")
                raise Failure(f"{self.name}: did not come up: {last}")
        except BaseException:
            self.end()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        self.end()

    def check(self) -> None:
        """Raise Failure when the server is no longer running."""
        if self._process.poll() is not None:
            last = next((line for line in reversed(self.said) if line), "no output")
            raise Failure(f"{self.name}: ended with status {self._process.returncode}: {last}")

    def end(self) -> None:
        """Ask it to end, and see to it."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            self._process.send_signal(signal.SIGINT)
            self._process.wait(END_WITHIN)
        self._process.kill()
        self._process.wait()
        if self._listener.ident is not None:
            self._listener.join()
        if self._process.stdout is not None:
            self._process.stdout.close()
