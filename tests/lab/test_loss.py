"""Models of loss do what their numbers say."""

from random import Random

import pytest

from netstack.lab import loss
from netstack.lab.scenario import Bursts, Link

N = 100_000


def drawn(link, n=N):
    model = loss.of_data(link, Random(1))
    return [model.lost() for _ in range(n)]


def runs(losses):
    """Lengths of bursts."""
    lengths, length = [], 0
    for lost in [*losses, False]:
        if lost:
            length += 1
        elif length:
            lengths.append(length)
            length = 0
    return lengths


def test_a_perfect_path_asks_nobody():
    assert loss.of_data(Link(), Random(1)) is None
    assert loss.of_acks(Link(loss=0.5), Random(1)) is None


def test_independent_loss():
    losses = drawn(Link(loss=0.02))
    assert sum(losses) / N == pytest.approx(0.02, rel=0.1)
    assert sum(runs(losses)) / len(runs(losses)) == pytest.approx(1 / 0.98, rel=0.05)


def test_evenly_spaced_loss_hits_every_nth_packet():
    losses = drawn(Link(loss_every=7), 700)
    assert [i for i, lost in enumerate(losses) if lost] == list(range(6, 700, 7))


@pytest.mark.parametrize(("mean", "length"), [(0.01, 5), (0.05, 2), (0.3, 20)])
def test_bursts_have_the_mean_and_the_length_asked_for(mean, length):
    model = Bursts.of(mean, length)
    assert model.mean == pytest.approx(mean)
    losses = drawn(Link(bursts=model), 4 * N)
    assert sum(losses) / len(losses) == pytest.approx(mean, rel=0.12)
    assert sum(runs(losses)) / len(runs(losses)) == pytest.approx(length, rel=0.12)


def test_elliotts_states_lose_a_share_each():
    model = Bursts(to_bad=0.01, to_good=0.09, loss_bad=0.5, loss_good=0.001)
    assert model.mean == pytest.approx(0.0509)
    assert sum(drawn(Link(bursts=model), 4 * N)) / (4 * N) == pytest.approx(model.mean, rel=0.1)


def test_several_models_on_one_path_do_not_shift_each_other():
    together = drawn(Link(loss=0.01, loss_every=10), 1000)
    assert all(together[9::10])
    alone = drawn(Link(loss=0.01), 1000)
    assert [i for i, lost in enumerate(together) if lost and i % 10 != 9] == [
        i for i, lost in enumerate(alone) if lost and i % 10 != 9
    ]


@pytest.mark.parametrize(
    ("make", "complaint"),
    [
        (lambda: Bursts.of(0.1, 0.5), "at least one packet"),
        (lambda: Bursts.of(1, 5), "less than 1"),
        (lambda: Bursts.of(0.9, 2), "make them longer"),
        (lambda: Bursts(0.1, 0), "never end"),
        (lambda: Bursts(0.1, 1.5), "probability"),
        (lambda: Link(loss=2), "probability"),
        (lambda: Link(rtt=-1), "negative"),
        (lambda: Link(aqm="fifo"), "no queue discipline"),
    ],
)
def test_nonsense_is_refused_in_words(make, complaint):
    with pytest.raises(ValueError, match=complaint):
        make()
