"""Hello-world requests/s, at some numbers of keep-alive connections: netstack against the usual servers."""

from collections.abc import Callable
from functools import partial

from bench import contenders, load
from bench.contenders import ASGI, BARE, STACK_HTTP, UVICORN, UVLOOP, started
from bench.load import Load
from bench.place import CLIENT, Link, Place
from bench.report import Report, Row
from bench.rounds import interleave

CONNECTIONS = (1, 16, 64)
PAIRS = [(STACK_HTTP, UVICORN), (STACK_HTTP, UVLOOP), (STACK_HTTP, ASGI), (ASGI, UVICORN), (STACK_HTTP, BARE)]
WARM_UP = 0.15
"""Seconds for each server and number of connections, before the first round."""


def measure(
    place: Place, report: Report, generate: Load, rounds: int, seconds: float, say: Callable[[str], None], floor: bool
) -> None:
    """All servers stay up for all rounds; whoever is not asked has nothing to do. `floor`: the bare loop takes part."""
    entrants = [contenders.netstack_up(Link(1)), contenders.asgi(), *contenders.uvicorns()]
    if floor:
        entrants.append(contenders.bare(Link(2), offload=True))
    with started(place, entrants, report.failures.append) as runners, place.inside(CLIENT):
        for connections in CONNECTIONS:
            name = f"{connections} connection" + "s" * (connections > 1)
            say(f"requests, {name}")
            row = Row("requests", name, "requests/s", PAIRS)
            interleave(
                report, row, rounds, runners,
                partial(generate, connections=connections, seconds=seconds),
                partial(load.own, connections=connections, seconds=WARM_UP),
            )  # fmt: skip
