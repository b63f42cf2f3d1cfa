"""Where the server's time goes: `netstack up` under cProfile while 16 connections ask for /plaintext."""

import dataclasses
import pstats
import sys
import tempfile
from pathlib import Path

from bench import contenders
from bench.load import Load
from bench.place import CLIENT, Link, Place
from bench.program import Failure, Program

CONNECTIONS = 16
LINES = 45


def profile(place: Place, generate: Load, seconds: float) -> None:
    """Print the profile to standard error. The profiler slows everything down: shares matter, times do not."""
    entrant = contenders.netstack_up(Link(8))
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder, "profile")
        entrant = dataclasses.replace(entrant, arguments=["-m", "cProfile", "-o", str(file), *entrant.arguments])
        with Program(place, entrant.side, entrant.arguments), place.inside(CLIENT):
            rate = generate(entrant, CONNECTIONS, seconds)
        if not file.exists():
            raise Failure("the profiled server left no profile")
        print(
            f"\nprofile of netstack up, start included; {CONNECTIONS} connections, {rate:,.0f} requests/s under it",
            file=sys.stderr,
        )
        stats = pstats.Stats(str(file), stream=sys.stderr).strip_dirs()
        stats.sort_stats("tottime").print_stats(LINES)
