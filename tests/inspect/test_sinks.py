"""Observers that come and go, and what a ring remembers."""

from random import Random

from asgi.events import TaskStarted
from netstack.config import Config
from netstack.events import Dropped, FrameSent, TimerFired
from netstack.inspect.sinks import Observers, Ring
from netstack.link.loopback import LoopbackPair
from netstack.stack import Stack


def observed_stack():
    stack = Stack(Config(), LoopbackPair().left, Random(1))
    return stack, Observers(stack.observe)


def test_a_stack_that_nobody_watches_is_off():
    stack, observers = observed_stack()
    assert stack.events is None
    seen = []
    observers.add(seen.append)
    stack.start(0)
    assert seen  # it announced its address
    observers.remove(seen.append)
    assert stack.events is None
    assert stack.tcp.events is None
    count = len(seen)
    stack.start(1)
    assert len(seen) == count


def test_everybody_sees_everything_and_leaves_alone():
    stack, observers = observed_stack()
    early, late = [], []
    observers.add(early.append)
    stack.start(0)
    observers.add(late.append)
    assert not late
    stack.start(1)
    assert late == early[-len(late) :]
    observers.remove(early.append)
    count = len(early)
    stack.start(2)
    assert len(early) == count
    assert len(late) > 1


def test_adding_twice_is_once_and_a_stranger_cannot_be_removed():
    _, observers = observed_stack()
    ring = Ring()
    observers.add(ring)
    observers.add(ring)
    observers.remove(print)
    assert len(observers) == 1
    observers(Dropped(1, "a.b"))
    assert len(ring) == 1


def test_a_sink_may_leave_from_within_and_one_that_raises_is_removed():
    stack, observers = observed_stack()
    seen = []

    def once(event):
        seen.append(event)
        observers.remove(once)

    def broken(event):
        raise ValueError("no")

    rest = Ring()
    for sink in (once, broken, rest):
        observers.add(sink)
    stack.start(0)
    assert len(seen) == 1
    assert [(sink, str(error)) for sink, error in observers.failures] == [(broken, "no")]
    assert broken not in observers
    assert rest in observers


def test_switches_are_thrown_together_and_only_at_the_ends():
    thrown = []
    observers = Observers(lambda sink: thrown.append(("a", sink)), lambda sink: thrown.append(("b", sink)))
    first, second = Ring(), Ring()
    observers.add(first)
    observers.add(second)
    observers.remove(first)
    assert thrown == [("a", observers), ("b", observers)]
    observers.remove(second)
    assert thrown[2:] == [("a", None), ("b", None)]


def test_a_ring_keeps_the_last_and_no_frames():
    ring = Ring(limit=2)
    for at in range(4):
        ring(Dropped(at, "a.b"))
    ring(FrameSent(9, bytes(24)))
    assert [event.at for event in ring] == [2, 3]
    frames = Ring(frames=True)
    frames(FrameSent(9, bytes(24)))
    assert len(frames) == 1


def test_a_servers_events_are_kept_with_those_of_their_connection():
    ring = Ring()
    key = bytes([192, 0, 2, 1, 192, 0, 2, 2]) + (40_000).to_bytes(2, "big") + (80).to_bytes(2, "big")
    ring(TimerFired(1, key, "retransmit"))
    ring(TaskStarted(0.5, ("192.0.2.1", 40_000), ("192.0.2.2", 80)))
    ring(TaskStarted(0.5, ("testclient", 1), ("192.0.2.2", 80)))
    ring(TaskStarted(0.5, None, None))
    assert [type(event).__name__ for event in ring.of(key)] == ["TimerFired", "TaskStarted"]
    assert len(ring) == 4
    assert ring.known == [key]


def test_a_ring_keeps_the_last_of_each_connection_and_the_last_connections():
    ring = Ring(limit=3, each=2, connections=2)
    for at, who in enumerate([b"a", b"b", b"a", b"a", b"c"]):
        ring(TimerFired(at, who, "retransmit"))
    assert [event.at for event in ring.of(b"a")] == [2, 3]
    assert ring.of(b"b") == []  # longest silent, and there was room for two
    assert ring.known == [b"a", b"c"]
    assert ring.of(b"d") == []
