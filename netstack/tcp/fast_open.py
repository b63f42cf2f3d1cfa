"""TCP Fast Open (RFC 7413): what both sides share: the switches, the cookie, and what one connection remembers of it.

The first segment of a connection may carry data, for who shows a cookie that the server gave to this address before.
`fast_open_server` makes connections that may be used before the handshake is complete; `fast_open_client` asks for
cookies, keeps them and sends the data. Nobody does either unless the socket asks for it, as in Linux.
"""

from __future__ import annotations

from collections import deque
from functools import lru_cache
from struct import Struct
from typing import TYPE_CHECKING

from netstack.tcp.siphash import key_from, siphash
from netstack.units import MINUTE, Micros, Octets

if TYPE_CHECKING:
    from netstack.counters import Tally
    from netstack.wire.tcp_options import Options

CLIENT, SERVER, CLIENT_WITHOUT_COOKIE, SERVER_WITHOUT_COOKIE, EVERY_LISTENER = 1, 2, 4, 0x200, 0x400
"""Bits of tcp_fastopen."""
NO_COOKIE, NOT_TAKEN, SYN_AGAIN = 1, 2, 3
"""tcpi_fastopen_client_fail: there was no cookie; the server did not take the data; the SYN had to be sent again."""
KEY_LEN: Octets = 16
_COOKIE = Struct("<Q")
_WORDS = Struct("<4I")
_RESET_COUNTS: Micros = MINUTE


class FastOpen:
    """What a connection, whichever side opened it, has to do with Fast Open."""

    __slots__ = (
        "answered", "asked", "cookie", "data_acked", "deferred", "experimental", "fail", "from_syn", "more_waits",
        "offered", "queue", "size", "speaking", "timeouts", "trial",
    )  # fmt: skip

    def __init__(self, cookie: bytes | None = None, experimental: bool = False) -> None:
        self.cookie = cookie
        """The option of our first SYN or SYN-ACK: empty asks for a cookie, None is no option."""
        self.experimental = experimental
        """In the option of kind 254, from before RFC 7413 had its own."""
        self.data_acked = False
        """Data rode on a SYN and was taken."""
        # The client's.
        self.asked = False
        """Our SYN said the option."""
        self.deferred = False
        """connect() was called; the SYN waits for the first data (TCP_FASTOPEN_CONNECT)."""
        self.size: Octets = 0
        """Data on our SYN."""
        self.more_waits = False
        """Somebody waits to write what did not fit: the ACK of the SYN-ACK can ride on that."""
        self.fail = 0
        self.trial = False
        """Fast Open was suspended for a while; if this connection does well, that is forgotten."""
        # The server's.
        self.from_syn = False
        """The connection was there for its user when the SYN arrived."""
        self.speaking = False
        """So it is, and the handshake is not complete."""
        self.queue: Queue | None = None
        self.offered: Octets = 0
        """The window that our SYN-ACK says."""
        self.answered = False
        """The SYN-ACK has left."""
        self.timeouts = 0
        """Of the SYN-ACK."""


class Queue:
    """How many connections of one listener wait for the ACK that shows that their peer is who it says.

    Those that such a peer reset count for another minute (RFC 7413 5.1): who forges SYNs from an address that answers
    with RST would otherwise never run out of room.
    """

    __slots__ = ("_resets", "pending")

    def __init__(self) -> None:
        self.pending = 0
        self._resets: deque[Micros] = deque()

    def has_room(self, limit: int, mib: Tally, now: Micros) -> bool:
        """Whether one more may be accepted, of at most `limit` (TCP_FASTOPEN; 0: none)."""
        if not limit:
            return False
        if self.pending + len(self._resets) >= limit:
            if not self._resets or self._resets[0] > now:
                mib["TcpExtTCPFastOpenListenOverflow"] += 1
                return False
            self._resets.popleft()
        return True

    def leave(self, reset_at: Micros | None = None) -> None:
        """One has completed its handshake, or came to nothing; by a RST at `reset_at` it still counts."""
        self.pending -= 1
        if reset_at is not None:
            self._resets.append(reset_at + _RESET_COUNTS)


def said(options: Options) -> tuple[bytes | None, bool]:
    """The peer's cookie (None: no option), and whether it was the experimental option that said it."""
    if options.fastopen is None and options.fastopen_exp is not None:
        return options.fastopen_exp, True
    return options.fastopen, False


@lru_cache(maxsize=8)
def keys_from_text(text: str) -> bytes:
    """tcp_fastopen_key: four 32-bit words in hexadecimal with dashes between, or two such keys with a comma.

    ValueError for anything else.
    """
    keys = [[int(word, 16) for word in key.split("-")] for key in text.split(",")]
    if len(keys) > 2 or any(len(key) != 4 or not 0 <= word < 1 << 32 for key in keys for word in key):
        raise ValueError(f"{text}: not a key of four words, or two such keys")
    return b"".join(_WORDS.pack(*key) for key in keys)


def cookie(keys: bytes, pair: bytes, which: int = 0) -> bytes:
    """What the client at the first address of `pair` must show the server at the second (RFC 7413 4.1.2).

    The same as Linux makes with this key, so that a farm of servers may share it. `which`: 1 for the second of `keys`.
    """
    return _COOKIE.pack(siphash(key_from(keys[which * KEY_LEN : (which + 1) * KEY_LEN]), pair))


def good_by(keys: bytes, pair: bytes, shown: bytes) -> int | None:
    """Which of the keys made the cookie that was shown; None: neither."""
    return next((i for i in range(len(keys) // KEY_LEN) if cookie(keys, pair, i) == shown), None)


