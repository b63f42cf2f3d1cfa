"""Queue disciplines, packet by packet."""

from itertools import pairwise
from math import sqrt
from random import Random

from netstack.lab.aqm import DROP, MARK, PASS, CoDel, DropTail, Red

MS = 1_000_000  # nanoseconds
MTU = 1_514


def codel():
    return CoDel(5 * MS, 100 * MS, MTU)


def departures(aqm, waited, start, end, ect=False, step=MS, backlog=10 * MTU):
    """A packet leaves every `step`, each having waited so long: when were some dropped or marked?"""
    verdicts = [(at, aqm.leave(waited, backlog, at, ect)) for at in range(start, end, step)]
    return [(at // MS, verdict) for at, verdict in verdicts if verdict != PASS]


def test_drop_tail_lets_everything_pass():
    assert DropTail().arrive(10**9, 0, True) == PASS
    assert DropTail().leave(10**12, 10**9, 0, True) == PASS


def test_codel_leaves_a_short_queue_alone():
    assert departures(codel(), 4 * MS, 0, 10_000 * MS) == []


def test_codel_leaves_a_queue_of_one_packet_alone_however_long_it_waited():
    assert departures(codel(), 50 * MS, 0, 10_000 * MS, backlog=MTU) == []


def test_codel_drops_after_an_interval_and_then_ever_faster():
    drops = departures(codel(), 6 * MS, 0, 600 * MS)
    assert {verdict for _, verdict in drops} == {DROP}
    expected = [100.0]  # the first one an interval after the wait rose; then RFC 8289's control law
    for n in range(1, len(drops)):
        expected.append(expected[-1] + 100 / sqrt(n))
    assert all(0 <= at - wanted <= 2 + i for i, ((at, _), wanted) in enumerate(zip(drops, expected, strict=True)))
    assert len(drops) > 8


def test_codel_marks_instead_when_it_may():
    dropped, marked = departures(codel(), 6 * MS, 0, 600 * MS), departures(codel(), 6 * MS, 0, 600 * MS, ect=True)
    assert {verdict for _, verdict in marked} == {MARK}
    assert abs(len(marked) - len(dropped)) <= 1


def test_codel_stops_as_soon_as_one_packet_waited_less_and_begins_anew():
    aqm = codel()
    assert departures(aqm, 6 * MS, 0, 350 * MS)
    assert aqm.leave(4 * MS, 10 * MTU, 350 * MS, False) == PASS
    assert departures(aqm, 6 * MS, 351 * MS, 451 * MS) == []
    assert departures(aqm, 6 * MS, 451 * MS, 452 * MS) == [(451, DROP)]


def test_codel_resumes_its_rate_when_the_load_comes_back_soon():
    fresh = departures(codel(), 6 * MS, 0, 400 * MS)
    aqm = codel()
    departures(aqm, 6 * MS, 0, 1_000 * MS)
    aqm.leave(4 * MS, 10 * MTU, 1_000 * MS, False)
    again = departures(aqm, 6 * MS, 1_001 * MS, 1_401 * MS)
    assert len(again) > 2 * len(fresh)
    aqm.leave(4 * MS, 10 * MTU, 1_401 * MS, False)
    much_later = departures(aqm, 6 * MS, 10_000 * MS, 10_400 * MS)
    assert len(much_later) == len(fresh)


def red(limit=60_000):
    return Red(limit, 12_000, Random(1))


def arrivals(aqm, backlog, n, ect=False):
    return [aqm.arrive(backlog, i * 12_000, ect) for i in range(n)]


def test_red_leaves_a_short_average_alone():
    assert set(arrivals(red(), 9_000, 5_000)) == {PASS}


def test_red_drops_a_share_between_the_thresholds_and_spreads_it():
    aqm = red()
    arrivals(aqm, 20_000, 5_000)
    verdicts = arrivals(aqm, 20_000, 20_000)
    share = verdicts.count(DROP) / len(verdicts)
    assert 0.05 < share < 0.15  # half-way: MAX_P / 2, and about twice that by the spreading
    gaps = [i for i, verdict in enumerate(verdicts) if verdict == DROP]
    assert max(b - a for a, b in pairwise(gaps)) <= 1 / 0.05 + 1


def test_red_rises_to_certainty_at_twice_the_upper_threshold():
    aqm = red()
    arrivals(aqm, 60_000, 10_000)
    assert set(arrivals(aqm, 60_000, 100)) == {DROP}


def test_red_marks_between_the_thresholds_and_drops_above():
    aqm = red()
    arrivals(aqm, 20_000, 5_000)
    assert set(arrivals(aqm, 20_000, 1_000, ect=True)) == {PASS, MARK}
    arrivals(aqm, 45_000, 10_000)
    verdicts = arrivals(aqm, 45_000, 1_000, ect=True)
    assert DROP in verdicts
    assert MARK not in verdicts


def test_red_forgets_while_the_link_idles():
    aqm = red()
    arrivals(aqm, 50_000, 10_000)
    aqm.leave(0, 0, 10_000 * 12_000, False)
    assert aqm.arrive(0, 10_000 * 12_000 + 10**9, False) == PASS
    assert set(arrivals(aqm, 9_000, 100)) == {PASS}
