"""Measures speed and memory beside the kernel's own TCP: `make bench`, or as root `python tools/bench.py`.

Everything happens in network namespaces that it makes and removes. The table goes to standard output, progress to
standard error, and the figures to bench.json.
"""

import argparse
import contextlib
import gc
import os
import resource
import signal
import sys
import time
from collections.abc import Sequence
from pathlib import Path
from types import FrameType

ROOT = Path(__file__).parent.parent
sys.path.insert(0, str(ROOT))

from bench import bulk, contenders, load, memory, requests, segments  # noqa: E402 - from the tree, installed or not
from bench.place import CLIENT, SERVER, Place  # noqa: E402
from bench.profiled import profile  # noqa: E402
from bench.program import Failure  # noqa: E402
from bench.report import Report, conditions  # noqa: E402

from netstack.host import HostError  # noqa: E402

SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
GROUPS = ("requests", "bulk", "memory", "segments")


def parse(arguments: Sequence[str] | None) -> argparse.Namespace:
    """The command line."""
    parser = argparse.ArgumentParser(
        description="Measure netstack beside the kernel's TCP and uvicorn.",
        epilog="Example: python tools/bench.py --quick --only requests,memory",
    )
    parser.add_argument("--quick", action="store_true", help="one short round: 25 s instead of 90")
    parser.add_argument("--rounds", type=int, metavar="N", help="interleaved rounds [3; --quick: 1]")
    parser.add_argument("--only", default=",".join(GROUPS), metavar="GROUPS", help="some of: %(default)s")
    parser.add_argument("--load", choices=("wrk", "own"), help="load generator [wrk if installed, else own]")
    parser.add_argument("--json", type=Path, default=ROOT / "bench.json", metavar="FILE", help="[bench.json]")
    parser.add_argument("--profile", action="store_true", help="afterwards, a profile of the server to standard error")
    options = parser.parse_args(arguments)
    options.only = options.only.split(",") if options.only else []
    if wrong := set(options.only) - set(GROUPS):
        parser.error(f"--only takes some of {','.join(GROUPS)}, not {','.join(sorted(wrong))}")
    options.rounds = options.rounds or (1 if options.quick else 3)
    return options


def run(options: argparse.Namespace, place: Place) -> Report:
    """Measure what is asked for."""
    text, generate = load.choose(options.load)
    cores = place.cores
    report = Report(conditions(text, options.rounds, cores[SERVER], cores[CLIENT]))
    if not contenders.uvicorns():
        report.failures.append("uvicorn is not installed: pip install 'uvicorn>=0.32' (make bench does)")
    transfer, in_process = (0.3, 0.3) if options.quick else (0.6, 0.4)
    if "requests" in options.only:
        requests.measure(place, report, generate, options.rounds, 1.0, say, floor=not options.quick)
    if "bulk" in options.only:
        bulk.measure(place, report, options.rounds, transfer, say)
    if "memory" in options.only:
        memory.measure(place, report, say)
    if "segments" in options.only:
        with place.inside(CLIENT, core=SERVER):
            segments.measure(report, options.rounds, in_process, say)
    return report


def say(line: str) -> None:
    """What is being measured, with the time since the start."""
    print(f"{time.monotonic() - BEGAN:5.1f} s  {line}", file=sys.stderr, flush=True)


BEGAN = time.monotonic()


def raise_limits() -> None:
    """As many descriptors as the clients and servers of the memory rows have connections, and some."""
    soft, hard = resource.getrlimit(resource.RLIMIT_NOFILE)
    wanted = 2 * memory.CONNECTIONS + 1_000
    if soft < wanted:
        with contextlib.suppress(ValueError, OSError):  # not permitted: those rows say what they miss
            resource.setrlimit(resource.RLIMIT_NOFILE, (wanted, max(wanted, hard)))


def unwind(number: int, frame: FrameType | None) -> None:
    """The first signal ends the run; everything made is removed on the way out, which further ones do not disturb."""
    for each in SIGNALS:
        signal.signal(each, signal.SIG_IGN)
    raise KeyboardInterrupt


def main(arguments: Sequence[str] | None = None) -> int:
    """0 when everything could be measured, 1 when not."""
    options = parse(arguments)
    for number in SIGNALS:
        signal.signal(number, unwind)
    gc.collect()
    gc.freeze()
    raise_limits()
    try:
        with Place() as place:
            report = run(options, place)
            print(report.table(), flush=True)
            report.write(options.json)
            if options.profile:
                _, generate = load.choose(options.load)
                profile(place, generate, 2.0)
    except (HostError, Failure, OSError) as error:
        hint = " (it needs root)" if os.geteuid() else ""
        print(f"bench: {error}{hint}", file=sys.stderr)
        return 1
    except KeyboardInterrupt:
        print("bench: interrupted", file=sys.stderr)
        return 130
    return 1 if report.failures else 0


if __name__ == "__main__":
    sys.exit(main())
