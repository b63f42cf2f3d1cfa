"""The parts of the path by themselves: the agenda, the bottleneck, the legs."""

from random import Random

import pytest

from netstack.lab.agenda import NEVER, Agenda
from netstack.lab.aqm import CoDel, DropTail
from netstack.lab.bottleneck import Bottleneck
from netstack.lab.leg import Leg
from netstack.lab.loss import Periodic

MS = 1_000


class Packets:
    """Stands for a burst: `n` packets of 1250 octets (1 ms at 10 Mbit/s)."""

    def __init__(self, name, n=1, flow=0, ect=False):
        self.name, self.segments, self.flow, self.ect = name, n, flow, ect
        self.full = self.last = 1250
        self.length, self.gso, self.seq = n * 1250, 1250, 0

    def frame(self, first, stop, marked):
        return f"{self.name}{first}" + (f"-{stop - 1}" if stop > first + 1 else "") + ("!" if marked else "")


class Host:
    """The end of a leg: notes what arrives when, and how often it got a turn."""

    def __init__(self):
        self.got = []
        self.turns = 0

    def receive(self, frame, now):
        self.got.append((now, frame))

    def turn(self, now):
        self.turns += 1


class Path:
    """A bottleneck of 10 Mbit/s and one leg."""

    def __init__(self, rate=10_000_000, limit=0, packets=0, aqm=None, loss=None, duplicate=0.0, delay=10 * MS,
                 coalesce=0, **leg):  # fmt: skip
        self.agenda, self.host = Agenda(), Host()
        self.neck = Bottleneck(
            self.agenda, rate, limit, packets, aqm or DropTail(), loss, duplicate, Random(1), 1, None
        )
        self.leg = Leg(self.agenda, self.host, self.neck, delay, coalesce, Random(2), **leg)
        self.neck.attach(self.leg)

    def run(self, *offers):
        """Offer (time, packets), then let everything arrive."""
        for at, packets in offers:
            self.agenda.run(at)
            self.neck.offer(packets, at)
        self.agenda.run(10**9)
        return self.host.got


class Sleeper:
    def __init__(self, agenda, name, log):
        self.agenda, self.name, self.log, self.wake_at = agenda, name, log, NEVER

    def run(self, now):
        self.log.append((now, self.name))


def test_the_agenda_keeps_to_times_and_then_to_the_order_of_asking():
    agenda, log = Agenda(), []
    a, b, c = (Sleeper(agenda, name, log) for name in "abc")
    agenda.wake(b, 5)
    agenda.wake(a, 5)
    agenda.wake(c, 9)
    agenda.wake(c, 3)  # earlier: the entry for 9 is stale
    agenda.wake(a, 7)  # later than asked for already
    agenda.run(4)
    assert (log, agenda.now) == ([(3, "c")], 4)
    agenda.wake(c, 1)  # the past is now
    agenda.run(20)
    assert log == [(3, "c"), (4, "c"), (5, "b"), (5, "a")]


def test_a_stopped_agenda_stays_where_it_is():
    agenda, log = Agenda(), []
    a = Sleeper(agenda, "a", log)
    a.run = lambda now: agenda.stop()
    agenda.wake(a, 5)
    agenda.wake(Sleeper(agenda, "b", log), 6)
    agenda.run(20)
    assert (agenda.now, log) == (5, [])


def test_packets_leave_at_the_rate_and_arrive_after_the_delay():
    got = Path().run((0, Packets("a", 3)), (20 * MS, Packets("b")))
    assert got == [(11 * MS, "a0"), (12 * MS, "a1"), (13 * MS, "a2"), (31 * MS, "b0")]


def test_without_a_rate_there_is_no_queue():
    assert Path(rate=0).run((5, Packets("a", 2))) == [(5 + 10 * MS, "a0"), (5 + 10 * MS, "a1")]


@pytest.mark.parametrize("limits", [{"packets": 2}, {"limit": 2500}, {"limit": 3749}])
def test_a_full_queue_drops_what_comes_and_the_packet_being_sent_takes_no_room(limits):
    path = Path(**limits)
    assert [frame for _, frame in path.run((0, Packets("a", 5)))] == ["a0", "a1", "a2"]
    assert path.neck.counts[0]["queue_full"] == 2
    assert list(path.neck.waits[0]) == [0, 1 * MS, 2 * MS]
    assert path.neck.octets == 3 * 1250


def test_lost_packets_take_no_time():
    path = Path(loss=Periodic(2))
    assert path.run((0, Packets("a", 4))) == [(11 * MS, "a0"), (12 * MS, "a2")]
    assert path.neck.counts[0] == {"sent": 4, "lost": 2}


def test_a_doubled_packet_takes_its_time_twice():
    path = Path(duplicate=1.0)
    assert path.run((0, Packets("a"))) == [(11 * MS, "a0"), (12 * MS, "a0")]
    assert path.neck.counts[0]["duplicated"] == 1


def test_moving_packets_on_late_changes_nothing():
    """Whoever looks at the queue all the time sees the same departures as who looks only when he must."""

    def offered(path, eager):
        rng = Random(3)
        at = 0
        for _ in range(400):
            at += rng.randrange(3 * MS)
            if eager:
                for now in range(path.agenda.now, at, 50):
                    path.agenda.run(now)
                    path.neck.advance(now)
            path.agenda.run(at)
            path.neck.offer(Packets("p", rng.randrange(1, 5), ect=rng.random() < 0.5), at)
        path.agenda.run(10**9)
        return path.host.got, list(path.neck.waits[0]), dict(path.neck.counts[0])

    def path():
        return Path(aqm=CoDel(2_000_000, 20_000_000, 1250), limit=30_000)

    lazy = offered(path(), False)
    assert lazy == offered(path(), True)
    assert lazy[2]["aqm_dropped"] > 5
    assert lazy[2]["marked"] > 5
    assert any(frame.endswith("!") for _, frame in lazy[0])


def test_jitter_delays_and_does_not_reorder():
    got = Path(jitter=5 * MS).run(*((i * 2 * MS, Packets(f"{i}.")) for i in range(200)))
    assert [frame for _, frame in got] == [f"{i}.0" for i in range(200)]
    late = [at - (11 + 2 * i) * MS for i, (at, _) in enumerate(got)]
    assert min(late) >= 0
    assert 4 * MS < max(late) <= 5 * MS


def test_what_is_held_back_is_overtaken():
    path = Path(reorder=0.1, reorder_by=5 * MS)
    got = path.run((0, Packets("a", 100)))
    order = [int(frame[1:]) for _, frame in got]
    assert sorted(order) == list(range(100))
    assert order != sorted(order)
    assert path.leg.reordered > 3
    assert all(at - (11 + i) * MS in (0, 5 * MS) for (at, _), i in zip(got, order, strict=True))


def test_a_card_joins_what_arrives_in_time_and_belongs_together():
    got = Path(coalesce=2 * MS).run((0, Packets("a", 5)), (0, Packets("b", 2)))
    assert got == [(13 * MS, "a0-2"), (15 * MS, "a3-4"), (17 * MS, "b0-1")]


def test_a_card_does_not_join_over_a_gap():
    got = Path(coalesce=5 * MS, loss=Periodic(3)).run((0, Packets("a", 5)))
    assert [frame for _, frame in got] == ["a0-1", "a3-4"]


def test_a_host_gets_one_turn_for_all_that_arrives_at_once():
    path = Path(rate=0)
    path.run((0, Packets("a", 7)))
    assert path.host.turns == 1
