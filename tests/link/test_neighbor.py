"""The neighbour cache: RFC 4861's states with Linux's habits, in virtual time."""

from random import Random

import pytest

from netstack.counters import Counters
from netstack.link.device import NO_OFFLOAD
from netstack.link.ethernet import Ethernet
from netstack.link.neighbor import DELAY, FAILED, INCOMPLETE, PROBE, REACHABLE, STALE, NeighborChanged, State
from netstack.link.neighbor_cache import NeighborCache
from netstack.units import MILLISECOND, SECOND
from netstack.wire import ethernet
from tests.ip.rig import MAC, OTHER_MAC, PEER_MAC, Recorder, octets

A = bytes((192, 0, 2, 1))
BLANK = NO_OFFLOAD + bytes(14)


class Wire:
    """A cache with a clock; `asked` is (address, unicast MAC or None) of every request."""

    def __init__(self, queue_limit: int = 3, entry_limit: int = 4) -> None:
        self.now = 0
        self.counters = Counters()
        self.device = Recorder()
        self.asked: list[tuple[bytes, bytes | None]] = []
        self.lost: list[bytes] = []
        self.cache = NeighborCache(
            Ethernet(self.device, octets(MAC), self.counters),
            ethernet.IPV4,
            lambda address, mac, now: self.asked.append((address, mac)),
            Random(1),
            self.counters,
            queue_limit,
            entry_limit,
        )
        self.cache.on_failure = lambda frames, now: self.lost.extend(frames)

    def send(self, payload: bytes = b"x", address: bytes = A) -> bool:
        return self.cache.send(address, BLANK + payload, self.now)

    def sent(self) -> list[bytes]:
        """Payloads that left, checking the Ethernet header of each."""
        frames, self.device.frames = self.device.frames, []
        entries = {entry.mac for entry in self.cache.entries.values()}
        for frame in frames:
            assert frame[10:16] in entries
            assert frame[16:24] == octets(MAC) + ethernet.IPV4
        return [frame[24:] for frame in frames]

    def requests(self) -> list[tuple[bytes, bytes | None]]:
        asked, self.asked = self.asked, []
        return asked

    def answer(self, mac: str = PEER_MAC, address: bytes = A, **how: bool) -> None:
        self.cache.learn(address, octets(mac), self.now, **{"reachable": True, "override": True} | how)

    def state(self, address: bytes = A) -> State:
        return self.cache.entries[address].state

    def after(self, duration: int) -> "Wire":
        end = self.now + duration
        while (at := self.cache.deadline()) is not None and at <= end:
            self.now = at
            self.cache.expire(at)
        self.now = end
        return self


@pytest.fixture
def wire() -> Wire:
    return Wire()


def test_unknown_neighbor_is_asked_for_and_gets_what_waited_in_order(wire: Wire) -> None:
    assert wire.send(b"1")
    assert wire.send(b"2")
    assert wire.state() is INCOMPLETE
    assert wire.requests() == [(A, None)]
    assert wire.sent() == []
    wire.answer()
    assert wire.sent() == [b"1", b"2"]
    assert wire.state() is REACHABLE
    assert wire.cache.deadline() is None


def test_requests_are_repeated_each_second_three_times_and_then_it_fails(wire: Wire) -> None:
    wire.send(b"1")
    assert wire.requests() == [(A, None)]
    wire.after(SECOND - 1)
    assert wire.requests() == []
    wire.after(1)
    assert wire.requests() == [(A, None)]
    wire.after(SECOND)
    assert wire.requests() == [(A, None)]
    wire.after(SECOND)
    assert wire.requests() == []
    assert wire.state() is FAILED
    assert wire.lost == [BLANK + b"1"]
    assert wire.counters.drops == {"neighbor.unresolved": 1}
    assert wire.cache.deadline() is None


def test_failed_neighbor_is_asked_for_again_by_the_next_packet(wire: Wire) -> None:
    wire.send(b"1")
    wire.after(4 * SECOND)
    wire.requests()
    wire.send(b"2")
    assert wire.state() is INCOMPLETE
    assert wire.requests() == [(A, None)]
    wire.answer()
    assert wire.sent() == [b"2"]


def test_queue_keeps_the_newest(wire: Wire) -> None:
    for payload in (b"1", b"2", b"3", b"4", b"5"):
        wire.send(payload)
    assert wire.counters.drops == {"neighbor.queue_full": 2}
    wire.answer()
    assert wire.sent() == [b"3", b"4", b"5"]


def test_queue_is_bounded_in_octets_too_but_always_keeps_one() -> None:
    wire = Wire(queue_limit=101)
    for _ in range(10):
        wire.send(bytes(65_000))
    assert len(wire.cache.entries[A].queue) == 3
    wire.send(bytes(300_000))
    assert len(wire.cache.entries[A].queue) == 1


def test_reachability_lapses_without_a_timer_and_is_verified_by_use(wire: Wire) -> None:
    wire.send()
    wire.answer()
    wire.sent()
    wire.after(60 * SECOND)
    assert wire.requests() == [(A, None)]
    wire.send(b"2")
    assert wire.sent() == [b"2"]  # sent at once, to where it was
    assert wire.state() is DELAY
    wire.after(5 * SECOND)
    assert wire.state() is PROBE
    assert wire.requests() == [(A, octets(PEER_MAC))]
    wire.send(b"3")
    assert wire.sent() == [b"3"]
    wire.answer()
    assert wire.state() is REACHABLE
    assert wire.cache.deadline() is None


def test_reachable_time_is_between_half_and_three_halves_of_thirty_seconds() -> None:
    lasting = []
    for _ in range(3):
        wire = Wire()
        wire.answer(create=True)
        lasting.append(wire.cache.entries[A].usable_until)
    assert all(15 * SECOND <= time <= 45 * SECOND for time in lasting)


def test_progress_above_confirms_instead_of_a_probe(wire: Wire) -> None:
    wire.answer(create=True)
    wire.after(60 * SECOND)
    wire.send()
    assert wire.state() is DELAY
    wire.cache.entries[A].confirmed_at = wire.now + SECOND
    wire.after(5 * SECOND)
    assert wire.state() is REACHABLE
    assert wire.requests() == []
    assert wire.cache.deadline() is None


def test_progress_above_keeps_an_entry_reachable(wire: Wire) -> None:
    wire.answer(create=True)
    for _ in range(20):
        wire.after(10 * SECOND)
        wire.cache.entries[A].confirmed_at = wire.now
        wire.send()
        assert wire.state() is REACHABLE
    assert wire.requests() == []


def test_unanswered_probes_fail_the_entry_and_the_next_packet_asks_everybody(wire: Wire) -> None:
    wire.answer(create=True)
    wire.after(60 * SECOND)
    wire.send()
    wire.after(8 * SECOND)
    assert wire.state() is FAILED
    assert wire.requests() == [(A, octets(PEER_MAC))] * 3
    assert wire.lost == []
    wire.sent()
    wire.send(b"2")
    assert wire.sent() == []
    assert wire.requests() == [(A, None)]


def test_use_before_a_late_timer_runs_it(wire: Wire) -> None:
    wire.answer(create=True)
    wire.after(60 * SECOND)
    wire.send()
    wire.now += 5 * SECOND  # nobody called expire
    wire.send()
    assert wire.state() is PROBE
    assert wire.requests() == [(A, octets(PEER_MAC))]


def test_claims_of_strangers_make_no_entry(wire: Wire) -> None:
    wire.answer()
    assert wire.cache.entries == {}


def test_unasked_claim_of_the_same_address_changes_nothing(wire: Wire) -> None:
    wire.answer(create=True)
    until = wire.cache.entries[A].usable_until
    wire.after(2 * SECOND)
    wire.answer(reachable=False, override=False)
    assert wire.state() is REACHABLE
    assert wire.cache.entries[A].usable_until == until


def test_first_of_two_quick_answers_holds(wire: Wire) -> None:
    wire.send()
    wire.answer()
    wire.after(900 * MILLISECOND)
    wire.answer(OTHER_MAC, override=False)
    assert wire.cache.entries[A].mac == octets(PEER_MAC)
    assert wire.counters.drops == {"neighbor.locked": 1}
    wire.after(100 * MILLISECOND)
    wire.answer(OTHER_MAC, override=False)
    assert wire.cache.entries[A].mac == octets(OTHER_MAC)


def test_moved_neighbor_is_stale_until_used_and_then_verified(wire: Wire) -> None:
    wire.answer(create=True)
    wire.answer(OTHER_MAC, reachable=False)
    assert wire.state() is STALE
    wire.send()
    assert wire.device.frames[-1][10:16] == octets(OTHER_MAC)
    assert wire.state() is DELAY


def test_what_waited_for_an_entry_that_becomes_stale_starts_its_verification(wire: Wire) -> None:
    wire.send(b"1")
    wire.answer(reachable=False)
    assert wire.sent() == [b"1"]
    assert wire.state() is DELAY
    wire.after(5 * SECOND)
    assert wire.state() is PROBE


def addresses(count: int) -> list[bytes]:
    return [bytes((192, 0, 2, n + 10)) for n in range(count)]


def test_table_takes_no_more_than_its_limit(wire: Wire) -> None:
    assert [wire.send(b"x", address) for address in addresses(6)] == [True] * 4 + [False] * 2
    assert wire.counters.drops == {"neighbor.table_full": 2}
    assert len(wire.cache.entries) == 4


def test_failed_entries_make_room(wire: Wire) -> None:
    for address in addresses(4):
        wire.send(b"x", address)
    assert not wire.send()
    wire.after(3 * SECOND)
    assert wire.send()
    assert len(wire.cache.entries) == 4
    assert A in wire.cache.entries


def test_stale_entries_make_room_when_they_have_been_idle_for_a_while(wire: Wire) -> None:
    for address in addresses(4):
        wire.answer(address=address, reachable=False, create=True)
    assert not wire.send()
    wire.after(5 * SECOND)
    assert wire.send()
    assert addresses(1)[0] not in wire.cache.entries


def test_reachable_entries_are_not_given_up(wire: Wire) -> None:
    for address in addresses(4):
        wire.answer(address=address, create=True)
    wire.after(10 * SECOND)
    assert not wire.send()
    assert wire.counters.drops == {"neighbor.table_full": 1}


def test_sender_that_holds_an_evicted_entry_must_ask_again(wire: Wire) -> None:
    wire.answer(create=True, reachable=False)
    held = wire.cache.entries[A]
    wire.after(5 * SECOND)
    for address in addresses(4):
        wire.send(b"x", address)
    assert A not in wire.cache.entries
    assert held.usable_until <= wire.now


def test_sink_sees_the_states_go_by(wire: Wire) -> None:
    seen: list[tuple[State, State]] = []
    wire.cache.events = lambda event: (
        seen.append((event.old, event.new)) if isinstance(event, NeighborChanged) else None
    )
    wire.send()
    wire.answer()
    wire.after(60 * SECOND)
    wire.send()
    wire.after(8 * SECOND)
    assert seen == [(INCOMPLETE, REACHABLE), (REACHABLE, DELAY), (DELAY, PROBE), (PROBE, FAILED)]
