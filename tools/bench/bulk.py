"""Gbit/s of one connection, up and down: with offload against the kernel's own TCP, without against the bare loop."""

from collections.abc import Callable
from functools import partial

from bench import client, contenders
from bench.contenders import BARE, KERNEL, SINK_PORT, SOURCE_PORT, STACK, STACK_HTTP, Contender, started
from bench.place import CLIENT, Link, Place
from bench.report import Report, Row
from bench.rounds import interleave

UPLOAD, DOWNLOAD = "/upload?sha256=0", f"/bytes/{1 << 40}"
"""Of the welcome application: the second is cut off long before its end."""
PAIRS = [(STACK, KERNEL), (STACK_HTTP, KERNEL), (STACK, BARE)]
WARM_UP = 0.1
"""Seconds for each contender and direction, before the first round."""


def upload(one: Contender, seconds: float) -> float:
    """Gbit/s from the client to `one`."""
    if one.name == STACK_HTTP:
        return client.upload((one.host, one.port), seconds, UPLOAD) / 1e9
    return client.upload((one.host, SINK_PORT), seconds) / 1e9


def download(one: Contender, seconds: float) -> float:
    """Gbit/s from `one` to the client."""
    if one.name == STACK_HTTP:
        return client.download((one.host, one.port), seconds, DOWNLOAD) / 1e9
    return client.download((one.host, SOURCE_PORT), seconds) / 1e9


def measure(place: Place, report: Report, rounds: int, seconds: float, say: Callable[[str], None]) -> None:
    """The whole of netstack up takes part too: what a user gets through an ASGI application."""
    with_offload = [contenders.bulk(Link(3), offload=True), contenders.bulk_kernel(), contenders.netstack_up(Link(4))]
    without = [contenders.bulk(Link(5), offload=False), contenders.bare(Link(6), offload=False)]
    for how, entrants in (("offload", with_offload), ("no offload", without)):
        with started(place, entrants, report.failures.append) as runners, place.inside(CLIENT):
            for transfer in (upload, download):
                say(f"bulk, {transfer.__name__}, {how}")
                row = Row("bulk", f"{transfer.__name__}, {how}", "Gbit/s", PAIRS, show="{:.2f}")
                full, short = partial(transfer, seconds=seconds), partial(transfer, seconds=WARM_UP)
                interleave(report, row, rounds, runners, full, short)
