"""Whole stacks over bad paths: whatever is lost, late, doubled, swapped or damaged: the octets arrive."""

from pathlib import Path
from random import Random

import pytest

from netstack.link.fault import Faults
from netstack.units import MILLISECOND
from tests.netsim import Network, Transfer, table

SNAPSHOT = Path(__file__).parent / "throughput.txt"

PATHS = {
    "perfect": Faults(),
    "long": Faults(delay=100 * MILLISECOND),
    "lossy": Faults(loss=0.05, delay=10 * MILLISECOND),
    "very lossy": Faults(loss=0.2, delay=10 * MILLISECOND),
    "reordering": Faults(reorder=0.2, reorder_by=15 * MILLISECOND, delay=10 * MILLISECOND),
    "doubling": Faults(duplicate=0.3, delay=5 * MILLISECOND),
    "damaging": Faults(corrupt=0.05, delay=5 * MILLISECOND),
    "jittery": Faults(delay=5 * MILLISECOND, jitter=40 * MILLISECOND),
    "narrow": Faults(rate=2_000_000, queue_frames=10, delay=10 * MILLISECOND),
    "everything": Faults(
        loss=0.03, reorder=0.05, duplicate=0.05, corrupt=0.03, delay=8 * MILLISECOND, jitter=4 * MILLISECOND,
        rate=10_000_000, queue_frames=30,
    ),
}  # fmt: skip


@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize("path", PATHS)
def test_octets_in_are_octets_out(path, seed):
    Transfer(Network(seed, PATHS[path]), up=60_000, down=90_000).run().verify()


@pytest.mark.parametrize("seed", range(40))
def test_any_path_any_options(seed):
    """Everything drawn from the seed: the path in each direction, the options of each end, who reads how fast."""
    rng = Random(seed)

    def faults() -> Faults:
        return Faults(
            loss=rng.choice((0, 0.01, 0.1)),
            reorder=rng.choice((0, 0, 0.1)),
            duplicate=rng.choice((0, 0, 0.1)),
            corrupt=rng.choice((0, 0, 0.05)),
            delay=rng.choice((0, 1, 20, 200)) * MILLISECOND,
            jitter=rng.choice((0, 0, 30)) * MILLISECOND,
            rate=rng.choice((0, 0, 5_000_000)),
            queue_frames=20,
        )

    network = Network(
        seed,
        faults(),
        faults(),
        timestamps=rng.random() < 0.7,
        sack=rng.random() < 0.7,
        dsack=rng.random() < 0.7,
        window_scaling=rng.random() < 0.7,
        congestion_control=rng.choice(("reno", "cubic")),
    )
    transfer = Transfer(
        network,
        up=rng.choice((0, 1, 3_000, 50_000)),
        down=rng.choice((0, 1, 3_000, 50_000)),
        reads_at_most=rng.choice((1 << 30, 5_000)),
        nodelay=rng.random() < 0.5,
        rcvbuf=rng.choice((0, 0, 6_000, 30_000)),
        sndbuf=rng.choice((0, 0, 4_000)),
    )
    transfer.run().verify()


def test_a_run_repeats_itself():
    """The same seed gives the same exchange, to the microsecond: what is found once can be found again."""
    runs = [Transfer(Network(7, PATHS["everything"]), up=50_000, down=50_000).run() for _ in range(2)]
    assert runs[0].took == runs[1].took
    mibs = [[dict(stack.counters.mib) for stack in run.network.stacks] for run in runs]
    assert mibs[0] == mibs[1]


def test_partition_that_heals():
    """Nothing passes for ten seconds in the middle; then all of it does."""
    network = Network(1, Faults(delay=10 * MILLISECOND, rate=5_000_000))
    transfer = Transfer(network, up=200_000, down=200_000)
    turns = transfer._turns()
    for _ in turns:
        if network.now > 1_100_000:
            break
    healthy = network.path.outbound.faults
    network.path.outbound.faults = network.path.inbound.faults = Faults(loss=1)
    for _ in turns:
        if network.now > 11_000_000:
            break
    network.path.outbound.faults = network.path.inbound.faults = healthy
    transfer.run().verify()


def test_throughput_is_as_recorded():
    """A regression shows up as a readable difference; one that is meant is recorded with `python -m tests.netsim`."""
    assert table() == SNAPSHOT.read_text()
