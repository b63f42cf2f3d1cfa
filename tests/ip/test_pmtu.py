"""Path MTU discovery: lowered for everybody on the way, never raised by a message, forgotten in time."""

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstack.ip.pmtu import MAX_ENTRIES, MIN_PMTU, PLATEAUS, PathMtuCache, plateau_below
from netstack.units import MINUTE
from tests.ip.rig import IP, OTHER, PEER, US, Rig, octets

FAR = octets("198.51.100.7")


@given(st.integers(69, 65_535))
def test_plateau_is_the_next_lower_one(length: int) -> None:
    assert plateau_below(length) == max(plateau for plateau in PLATEAUS if plateau < length)


@pytest.mark.parametrize("length", [0, 20, 68])
def test_there_is_no_plateau_below_the_least_mtu(length: int) -> None:
    assert plateau_below(length) == 68


def test_paths_to_the_destination_learn_of_it_and_no_others() -> None:
    rig = Rig()
    paths = [rig.ip.path(None, octets(PEER), protocol, -1) for protocol in (6, 17)]
    other = rig.ip.path(None, octets(OTHER), 6, 16)
    assert paths[0] is not None
    assert other is not None
    paths[0].reduce_mtu(1_400, rig.now)
    assert [path.mtu for path in paths if path] == [1_400, 1_400]
    assert other.mtu == 1_500
    later = rig.ip.path(octets(US), octets(PEER), 253, -1)
    assert later is not None
    assert later.mtu == 1_400


def test_mtu_rises_again_when_the_finding_expires() -> None:
    rig = Rig()
    path = rig.ip.path(None, octets(PEER), 6, 16)
    assert path is not None
    path.reduce_mtu(1_400, rig.now)
    path.reduce_mtu(500, rig.now)
    rig.after(10 * MINUTE - 1)
    assert path.mtu == MIN_PMTU
    rig.after(1)
    assert path.mtu == 1_500
    path.send(bytes(20), b"", 0, 0, rig.now)
    assert rig.sent_one()[IP].flags.DF
    assert rig.ip.deadline() is None


@pytest.mark.parametrize("mtu", [1_500, 1_501, 65_535, 67, 0, -1])
def test_message_neither_raises_the_mtu_nor_makes_it_impossible(mtu: int) -> None:
    rig = Rig()
    rig.ip.reduce_mtu(octets(PEER), mtu, rig.now)
    assert rig.ip.mtu(octets(PEER)) == 1_500
    assert rig.ip.deadline() is None


@pytest.mark.parametrize(("mtu", "df"), [(552, True), (551, False), (68, False)])
def test_below_552_packets_stay_at_552_and_may_be_fragmented(mtu: int, df: bool) -> None:
    rig = Rig()
    path = rig.ip.path(None, octets(PEER), 6, 16)
    assert path is not None
    path.reduce_mtu(mtu, rig.now)
    assert path.mtu == 552
    path.send(bytes(20), bytes(512), 0, 0, rig.now)
    rig.ip.send(octets(PEER), 253, bytes(532), rig.now, df=True)
    assert [frame[IP].flags.DF for frame in rig.sent()] == [df, df]


def test_second_crumb_does_not_prolong_the_finding() -> None:
    cache = PathMtuCache(1_500, 10)
    assert cache.reduce(FAR, 100, 0)
    assert not cache.reduce(FAR, 100, 5)
    assert cache.deadline() == 10


def test_link_smaller_than_the_least_mtu_stays_as_it_is() -> None:
    cache = PathMtuCache(300, 10)
    assert cache.reduce(FAR, 200, 0)
    assert (cache.mtu(FAR), cache.df(FAR)) == (300, False)


def test_findings_are_bounded_and_expire_in_order() -> None:
    cache = PathMtuCache(1_500, 100)
    for n in range(MAX_ENTRIES + 5):
        cache.reduce(n.to_bytes(4, "big"), 1_000, n)
    assert cache.mtu((4).to_bytes(4, "big")) == 1_500
    assert cache.mtu((5).to_bytes(4, "big")) == 1_000
    assert cache.deadline() == 105
    assert cache.expire(107) == [n.to_bytes(4, "big") for n in (5, 6, 7)]


def test_our_own_address_has_no_path() -> None:
    rig = Rig()
    rig.ip.reduce_mtu(octets(US), 600, rig.now)
    assert rig.ip.mtu(octets(US)) == 65_535
