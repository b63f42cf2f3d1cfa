"""Octets of RSS that an idle keep-alive connection costs the server's process: transport, protocol and all."""

import re
from collections.abc import Callable
from pathlib import Path

from bench import client, contenders
from bench.contenders import ASGI, PATH, STACK_HTTP, UVICORN, Contender, started
from bench.place import CLIENT, Link, Place
from bench.program import Failure, Program
from bench.report import Report, Row

CONNECTIONS = 2_000
WARM_UP = 5
"""Connections opened and closed before, so that what every first time costs is not counted."""
PAIRS = [(STACK_HTTP, UVICORN), (STACK_HTTP, ASGI)]


def measure(place: Place, report: Report, say: Callable[[str], None]) -> None:
    """Each in a fresh process. The kernel's memory for its own sockets is in nobody's RSS.

    The first connections may find room that start-up left in the allocator's hands; the next as many find none.
    """
    names = f"{CONNECTIONS} idle connections", f"{CONNECTIONS} more"
    rows = [Row("memory", name, "octets of RSS each", PAIRS) for name in names]
    report.rows += rows
    for entrant in (contenders.netstack_up(Link(7)), contenders.asgi(), *contenders.uvicorns()[:1]):
        say(f"memory, {entrant.name}")
        report.explain("memory", entrant.name, entrant.text)
        with started(place, [entrant], report.failures.append) as runners, place.inside(CLIENT):
            for one, program in runners:
                try:
                    for row, octets in zip(rows, per_connection(one, program), strict=True):
                        row.add(one.name, octets)
                except (Failure, OSError) as error:
                    report.failures.append(f"memory, {one.name}: {error}")


def per_connection(one: Contender, program: Program) -> tuple[float, float]:
    """Octets for each of CONNECTIONS connections that have had one answer and are kept alive, and for as many more."""
    address = one.host, one.port
    with client.idle(address, PATH, WARM_UP):
        pass
    sizes, still = [rss(program.pid)], 0
    with client.idle(address, PATH, CONNECTIONS) as first:
        sizes.append(rss(program.pid))
        with client.idle(address, PATH, CONNECTIONS) as second:
            sizes.append(rss(program.pid))
            still = client.open_ones(first + second)
    if still != 2 * CONNECTIONS:
        raise Failure(f"{2 * CONNECTIONS - still} of {2 * CONNECTIONS} connections did not stay open")
    return (sizes[1] - sizes[0]) / CONNECTIONS, (sizes[2] - sizes[1]) / CONNECTIONS


def rss(pid: int) -> int:
    """Octets in memory; smaps_rollup is exact where /proc/PID/status may lag behind."""
    found = re.search(r"^Rss:\s+(\d+) kB$", Path(f"/proc/{pid}/smaps_rollup").read_text(), re.MULTILINE)
    if found is None:
        raise Failure("/proc has no Rss for the server")
    return int(found[1]) * 1024
