"""The limits on ICMP errors, in virtual time."""

from netstack.ip.ratelimit import BURST, MAX_PEERS, PEER_BURST, ErrorLimit
from netstack.units import MILLISECOND, SECOND


def peer(n: int) -> bytes:
    return n.to_bytes(4, "big")


def test_one_peer_gets_a_burst_and_then_one_each_second() -> None:
    limit = ErrorLimit(1_000)
    assert [limit.refusal(peer(1), 0) for _ in range(PEER_BURST)] == [None] * PEER_BURST
    assert limit.refusal(peer(1), 0) == "IcmpOutRateLimitHost"
    assert limit.refusal(peer(1), SECOND - 1) == "IcmpOutRateLimitHost"
    assert limit.refusal(peer(1), SECOND) is None
    assert limit.refusal(peer(1), SECOND) == "IcmpOutRateLimitHost"
    assert limit.refusal(peer(2), SECOND) is None


def test_all_peers_together_get_a_burst_and_then_the_rate() -> None:
    limit = ErrorLimit(1_000)
    assert all(limit.refusal(peer(n), 0) is None for n in range(BURST))
    assert limit.refusal(peer(BURST), 0) == "IcmpOutRateLimitGlobal"
    sent = sum(limit.refusal(peer(n), n * 100) is None for n in range(1_000, 11_000))
    assert 990 <= sent - BURST <= 1_010  # a second of 10,000 wishes, and the burst that 100 ms had filled up again


def test_peer_over_its_own_limit_does_not_use_up_the_others() -> None:
    limit = ErrorLimit(1_000)
    for _ in range(1_000):
        limit.refusal(peer(1), 0)
    assert sum(limit.refusal(peer(n), 0) is None for n in range(2, 200)) == BURST - PEER_BURST


def test_unused_tokens_do_not_pile_up() -> None:
    limit = ErrorLimit(1_000)
    limit.refusal(peer(1), 0)
    assert sum(limit.refusal(peer(1), 3_600 * SECOND) is None for _ in range(100)) == PEER_BURST


def test_clock_that_stands_still_gives_nothing() -> None:
    limit = ErrorLimit(1)
    assert limit.refusal(peer(1), 5 * SECOND) is None
    assert limit.refusal(peer(2), 5 * SECOND) == "IcmpOutRateLimitGlobal"
    assert limit.refusal(peer(2), 5 * SECOND + 999 * MILLISECOND) == "IcmpOutRateLimitGlobal"
    assert limit.refusal(peer(2), 6 * SECOND) is None


def test_rate_zero_is_silence() -> None:
    assert ErrorLimit(0).refusal(peer(1), 0) == "IcmpOutRateLimitGlobal"


def test_memory_of_peers_is_bounded() -> None:
    limit = ErrorLimit(1_000)
    for n in range(3 * MAX_PEERS):
        limit.refusal(peer(n), n)
    assert len(limit._peers) == MAX_PEERS
