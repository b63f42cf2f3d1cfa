"""How many ICMP errors may leave (RFC 1812 4.3.2.8): a bucket for all, and one for each peer, as Linux has it."""

from netstack.units import SECOND, Micros

BURST = 50  # Linux's icmp_msgs_burst
PEER_INTERVAL: Micros = 1 * SECOND  # Linux's icmp_ratelimit
PEER_BURST = 6  # Linux's XRLIM_BURST_FACTOR
MAX_PEERS = 1_024


class TokenBucket:
    """`burst` tokens at most; a new one every `interval` microseconds. Starts full. Integer arithmetic throughout."""

    __slots__ = ("_at", "_credit", "_full", "_interval")

    def __init__(self, interval: Micros, burst: int) -> None:
        self._interval = interval
        self._full = self._credit = interval * burst
        self._at: Micros | None = None

    def ready(self, now: Micros) -> bool:
        """Whether there is a token now."""
        if self._at is not None and now > self._at:
            self._credit = min(self._full, self._credit + now - self._at)
        self._at = now
        return self._credit >= self._interval

    def take(self) -> None:
        """Use the token that `ready` saw."""
        self._credit -= self._interval


class ErrorLimit:
    """Decides whether one more ICMP error may go to a peer. `per_second` 0: none ever."""

    __slots__ = ("_all", "_peers")

    def __init__(self, per_second: int) -> None:
        self._all = TokenBucket(SECOND // per_second, min(BURST, per_second)) if per_second > 0 else None
        self._peers: dict[bytes, TokenBucket] = {}

    def refusal(self, peer: bytes, now: Micros) -> str | None:
        """None: send it, it has been counted against the limits. Otherwise the Linux counter that tells why not.

        The peer is asked first: one that is over its own limit must not use up what is there for everybody.
        """
        bucket = self._peers.pop(peer, None)
        if bucket is None:
            if len(self._peers) >= MAX_PEERS:
                del self._peers[next(iter(self._peers))]
            bucket = TokenBucket(PEER_INTERVAL, PEER_BURST)
        self._peers[peer] = bucket  # the most recently used last
        if not bucket.ready(now):
            return "IcmpOutRateLimitHost"
        if self._all is None or not self._all.ready(now):
            return "IcmpOutRateLimitGlobal"
        bucket.take()
        self._all.take()
        return None
