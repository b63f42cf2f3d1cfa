"""The client's side of Fast Open (RFC 7413 4.2.1): cookies asked for and kept, data on the SYN, and what if it fails.

A server that does not take the data acknowledges the SYN alone, and the data goes out again as if nothing had been. A
path that swallows such SYNs is noticed by their timeouts: the SYN that goes out again is an ordinary one, and after
three of them nobody tries for a while (`tcp_fastopen_blackhole_timeout_sec`), as in Linux.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.tcp.chrono import BUSY
from netstack.tcp.fast_open import (
    CLIENT_WITHOUT_COOKIE,
    NO_COOKIE,
    NOT_TAKEN,
    SYN_AGAIN,
    FastOpen,
    said,
)
from netstack.tcp.md5 import SignedPath
from netstack.tcp.scoreboard import Sent
from netstack.units import MILLISECOND, Micros, Octets
from netstack.wire.tcp import PSH

if TYPE_CHECKING:
    from netstack.counters import Tally
    from netstack.tcp.connection import Connection
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.segment import Arrival

MOST_DESTINATIONS = 1024
_FIXED_HEADERS: Octets = 40
_MOST_OPTIONS: Octets = 40
"""Left free on a SYN with data: somebody on the way may add options (Linux)."""
_LONGEST_PAUSE = 6
"""Doublings."""
_ACK_WITH_DATA: Micros = 200 * MILLISECOND


class Known:
    """What we know of one destination."""

    __slots__ = ("cookie", "experimental", "mss", "syn_losses", "try_experimental")

    def __init__(self) -> None:
        self.cookie = b""
        self.experimental = False
        """The server said it in the experimental option, and is to see it there."""
        self.mss: Octets = 0
        """In the server's last SYN-ACK."""
        self.try_experimental = 0
        """1: RFC 7413's option was ignored, so ask in the experimental one; 2: that was ignored too."""
        self.syn_losses = 0
        """SYNs with data in a row that nobody seems to have seen."""


class Cache:
    """Cookies by destination, the least recently used forgotten first; and whether Fast Open is suspended."""

    __slots__ = ("_known", "_paused_at", "_pauses")

    def __init__(self) -> None:
        self._known: dict[bytes, Known] = {}
        self._paused_at: Micros = 0
        self._pauses = 0

    def get(self, destination: bytes) -> Known | None:
        """What is known."""
        known = self._known.pop(destination, None)
        if known is not None:
            self._known[destination] = known
        return known

    def learn(self, destination: bytes) -> Known:
        """The entry to write to."""
        known = self.get(destination)
        if known is None:
            known = self._known[destination] = Known()
            if len(self._known) > MOST_DESTINATIONS:
                del self._known[next(iter(self._known))]
        return known

    def pause(self, mib: Tally, now: Micros) -> None:
        """The path seems to swallow what Fast Open sends."""
        self._paused_at = now
        self._pauses += 1
        mib["TcpExtTCPFastOpenBlackhole"] += 1

    def is_paused(self, period: Micros, now: Micros) -> bool:
        """It is suspended: for `period`, doubled each time that it had to be again, up to 64 times as long."""
        if not period or not self._pauses:
            return False
        return now < self._paused_at + (period << min(self._pauses - 1, _LONGEST_PAUSE))

    @property
    def has_paused(self) -> bool:
        """It was suspended, and nothing has shown since that it need not have been."""
        return self._pauses > 0

    def forgive(self) -> None:
        """It works."""
        self._pauses = 0


# -- connect, sendto -------------------------------------------------------------------------------------------------


def prepare(conn: Connection) -> FastOpen:
    """`conn`, whose SYN has not left, is to use Fast Open: with the cookie that we have, or to ask for one."""
    conn.fast_open = fast = FastOpen()
    _look_up(conn, fast)
    return fast


def defer(conn: Connection) -> bool:
    """TCP_FASTOPEN_CONNECT: if its first data can ride on the SYN, that waits for it."""
    conn.fast_open = fast = FastOpen()
    if _look_up(conn, fast):
        fast.deferred = True
        conn.syn_due = False
    return fast.deferred


def send(conn: Connection, data: bytes) -> Octets:
    """The SYN leaves, with as much of `data` as fits; returns that. 0: we have no cookie and ask for one."""
    fast = conn.fast_open or prepare(conn)
    taken = 0
    if _look_up(conn, fast):
        tcb = conn.tcb
        known = conn.tcp.fast_open_cache.get(conn.path.destination)
        clamp = known.mss if known is not None and known.mss else tcb.rmss
        conn.mss_clamp = min(clamp, conn.options.maxseg or clamp)
        tcb.smss = tcb.eff_snd_mss = min(conn.mss_clamp, conn.path.mtu - _FIXED_HEADERS)
        conn.send_mss = conn.recovery.scoreboard.mss = tcb.smss
        taken = min(len(data), max(tcb.smss - _MOST_OPTIONS, 0))
        if taken:
            conn.send_buffer.append(data[:taken])
    fast.size = taken
    fast.deferred = False
    conn.syn_due = True
    conn.mark()
    return taken


def _look_up(conn: Connection, fast: FastOpen) -> bool:
    """What the SYN is to say (`fast.cookie`), and whether it may carry data."""
    tcp = conn.tcp
    cache, config = tcp.fast_open_cache, tcp.config
    known = cache.get(conn.path.destination)
    fast.cookie, fast.experimental = b"", False
    if isinstance(conn.path, SignedPath):
        fast.cookie = None
        return False
    if known is not None:
        fast.cookie = known.cookie
        fast.experimental = known.experimental if known.cookie else known.try_experimental == 1
    if cache.is_paused(config.fastopen_blackhole_timeout, tcp.now):
        fast.cookie = None
        return False
    fast.trial = bool(config.fastopen_blackhole_timeout) and cache.has_paused
    if config.fastopen & CLIENT_WITHOUT_COOKIE or conn.options.fastopen_no_cookie:
        fast.cookie = None
        return True
    if not fast.cookie:
        fast.fail = NO_COOKIE
    return bool(fast.cookie)


# -- what becomes of it ----------------------------------------------------------------------------------------------


def note_sent(conn: ConnectionCore, size: Octets, now: Micros) -> None:
    """Our first SYN left, with so much data. If it must be sent again, then without."""
    tcb, recovery = conn.tcb, conn.recovery
    record = Sent(tcb.snd_nxt, tcb.snd_nxt + size, 1, now)
    record.push = True
    recovery.rate.stamp(record, recovery.delivered, True, now)
    recovery.scoreboard.records.append(record)
    recovery.scoreboard.packets_out += 1
    tcb.snd_nxt += size
    conn.data_segs_out += 1
    conn.chrono.start(BUSY, now)


def on_syn_ack(conn: Connection, fast: FastOpen, seg: Arrival, now: Micros) -> bool:
    """The SYN-ACK was taken in. True: the data that our SYN carried is not acknowledged, and goes out again at once."""
    tcb, recovery, tcp = conn.tcb, conn.recovery, conn.tcp
    board, mib = recovery.scoreboard, tcp.counters.mib
    if fast.size:
        conn.send_buffer.acknowledge(min(tcb.snd_una, conn.send_buffer.end))
    refused = bool(board.records)
    _remember(conn, fast, seg, refused)
    if refused:
        fast.fail = SYN_AGAIN if recovery.total_retrans else NOT_TAKEN
        mib["TcpExtTCPFastOpenActiveFail"] += 1
        recovery.on_not_taken()
        conn.plain = False
        conn.restart_timer(now)
        conn.mark()
        return True
    if fast.size:
        fast.data_acked = True
        mib["TcpExtTCPFastOpenActive"] += 1
        recovery.delivered -= recovery.delivered > 1  # SYN and data were one segment
    if seg.length:
        fast.data_acked = True
        start = seg.text
        conn.deliver(seg.data[start : start + seg.length], seg.length, seg.flags & PSH, now)
    if fast.more_waits:
        conn.acking.at = now + _ACK_WITH_DATA
        conn.arm(conn.acking.at)
    return False


def _remember(conn: ConnectionCore, fast: FastOpen, seg: Arrival, refused: bool) -> None:
    """RFC 7413 4.1.3.1: the server's segment size, a cookie that it gave, and what it seems not to understand."""
    cookie, experimental = said(seg.options)
    known = conn.tcp.fast_open_cache.learn(conn.path.destination)
    if seg.options.mss:
        known.mss = seg.options.mss
    lost = False
    attempt = 0
    if not fast.asked:
        cookie = None
    elif conn.recovery.total_retrans:
        lost = cookie is None and refused
    elif cookie is None and not fast.size:
        attempt = 2 if fast.experimental else 1
    if cookie:
        known.cookie, known.experimental = cookie, experimental
    elif attempt > known.try_experimental and not known.cookie:
        known.try_experimental = attempt
    known.syn_losses = known.syn_losses + 1 if lost else 0


def on_timeout(conn: ConnectionCore, fast: FastOpen, given_up: bool, now: Micros) -> None:
    """The retransmission timer fired: the third time in a row, or the last, on a connection that used Fast Open.

    It may be that somebody on the way does not let it pass.
    """
    timeouts = conn.recovery.timeouts
    used = fast.asked or fast.size or fast.data_acked
    if used and (timeouts == 2 or (timeouts < 2 and given_up)) and conn.tcp.config.fastopen_blackhole_timeout:
        conn.tcp.fast_open_cache.pause(conn.tcp.counters.mib, now)


def on_end(conn: ConnectionCore, fast: FastOpen) -> None:
    """The connection is over: what does it say of the path? A lone FIN that nothing came before says: black hole."""
    tcp = conn.tcp
    cache = tcp.fast_open_cache
    if not fast.asked:
        return
    if not conn.data_segs_in:
        lone_fin = conn.peer_fin_at is not None and conn.peer_fin_at > conn.tcb.rcv_nxt
        if lone_fin and tcp.config.fastopen_blackhole_timeout:
            cache.pause(tcp.counters.mib, tcp.now)
    elif fast.trial:
        cache.forgive()
