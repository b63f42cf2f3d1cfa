"""The load generator: wrk where it is installed, else the lean client of `client.requests`."""

import re
import shutil
import subprocess
from math import ceil
from typing import Protocol

from bench import client
from bench.contenders import PATH, Contender
from bench.program import Failure


class Load(Protocol):
    """Requests/s that a server answers; runs in the calling thread's namespace and on its core."""

    def __call__(self, contender: Contender, connections: int, seconds: float) -> float: ...


_RATE = re.compile(r"^Requests/sec:\s+([0-9.]+)$", re.MULTILINE)
_WRONG = re.compile(r"^\s*(Non-2xx or 3xx responses: .*|Socket errors: .*)$", re.MULTILINE)


def own(contender: Contender, connections: int, seconds: float) -> float:
    """The client of this tool."""
    return client.requests((contender.host, contender.port), PATH, connections, seconds)


def wrk(contender: Contender, connections: int, seconds: float) -> float:
    """wrk with one thread; it knows whole seconds only."""
    argv = ["wrk", "-t1", f"-c{connections}", f"-d{ceil(seconds)}s", contender.url]
    try:
        done = subprocess.run(argv, text=True, capture_output=True, timeout=ceil(seconds) + 10)
    except subprocess.TimeoutExpired as error:
        raise Failure("wrk did not end in time") from error
    return rate(done.stdout + done.stderr)


def rate(output: str) -> float:
    """Requests/s from what wrk printed. Failure when there were errors, or no figure."""
    wrong, found = _WRONG.search(output), _RATE.search(output)
    if wrong or not found:
        last = output.strip().rpartition("\n")[2]
        raise Failure(f"wrk: {wrong[1] if wrong else last}")
    return float(found[1])


def choose(wanted: str | None) -> tuple[str, Load]:
    """(what to call it, the generator): `wanted` is "wrk", "own", or None for wrk where it is installed."""
    if wanted == "own" or (wanted is None and shutil.which("wrk") is None):
        return "the tool's own epoll client", own
    if shutil.which("wrk") is None:
        raise Failure("wrk is not installed (Debian, Ubuntu: apt install wrk; or --load own)")
    version = subprocess.run(["wrk", "--version"], text=True, capture_output=True).stdout.split()
    return " ".join(version[:2]) or "wrk", wrk
