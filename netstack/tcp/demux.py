"""TCP as IP sees it: the four-tuple table, listeners, ports, and what is shared by all connections of a stack."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from errno import EADDRINUSE, EADDRNOTAVAIL, EINVAL, ENETUNREACH
from functools import cached_property, partial
from typing import Protocol

from netstack.config import TcpConfig
from netstack.counters import Counters
from netstack.events import Dropped, Sink, StateChanged, TimerArmed, TimerCancelled, TimerFired
from netstack.ip.ipv4 import Ipv4
from netstack.ip.path import Path
from netstack.tcp import ecn_setup, fast_open_client, icmp, md5_connection, report, why
from netstack.tcp.accecn import AccEcn
from netstack.tcp.census import Census
from netstack.tcp.challenge import ChallengeLimit
from netstack.tcp.closed import answer, reset
from netstack.tcp.congestion import ALGORITHMS, CongestionControl
from netstack.tcp.connection import Connection
from netstack.tcp.core import ConnectionCore
from netstack.tcp.ecn_connection import AccEcnConnection, EcnConnection
from netstack.tcp.fast_open import EVERY_LISTENER, KEY_LEN, SERVER, keys_from_text
from netstack.tcp.fast_open_client import Cache
from netstack.tcp.iss import Secret
from netstack.tcp.listener import Listener
from netstack.tcp.md5 import only
from netstack.tcp.memory import Memory
from netstack.tcp.opening import hear_syn
from netstack.tcp.options import SocketOptions
from netstack.tcp.ports import Ports
from netstack.tcp.replies import CHECKSUM_AT, PROTOCOL, Replies
from netstack.tcp.segment import Arrival
from netstack.tcp.state import CLOSED, LISTEN, TIME_WAIT, Cause, State
from netstack.tcp.timers import TimerQueue
from netstack.tcp.timewait import TimeWait, TimeWaitQueue
from netstack.tcp.variables import without_connection
from netstack.units import Micros, Octets
from netstack.wire.checksum import ones_sum
from netstack.wire.tcp import HEADER, SYN

_MAY_BE_SIGNED: Octets = 20 + 18
"""A header with less has no room for an MD5 option."""


class Entropy(Protocol):
    """What the stack asks of a random source: `random.Random` and `random.SystemRandom` have it."""

    def randrange(self, stop: int, /) -> int:
        """An int in [0, stop)."""
        ...

    def randbytes(self, n: int, /) -> bytes:
        """`n` random octets."""
        ...


class Tcp:
    """Every connection and listener of one stack."""

    def __init__(
        self, ip: Ipv4, config: TcpConfig, rng: Entropy, counters: Counters, events: Sink | None = None
    ) -> None:
        self.ip = ip
        self.config = config
        self.counters = counters
        self.events = events
        self.now: Micros = 0
        """The latest time any verb was told; user calls, which have no clock, go by it."""
        self.connections: dict[bytes, Connection | TimeWait] = {}
        self.listeners: dict[tuple[bytes, int], Listener] = {}
        self.ready: deque[ConnectionCore | TimeWait] = deque()
        """Marked: they may want to send."""
        self.upcalls: deque[ConnectionCore | Listener] = deque()
        """Their observers are to be called."""
        self._unfinished: list[ConnectionCore] = []
        """They sent as much as one may in one go; the next transmit, which is due at once, goes on."""
        self.memory = Memory(self)
        self.census = Census(self.living)
        counters.sources.append(self.census.counters)
        self.timers = TimerQueue()
        self.challenge_limit = ChallengeLimit(config.challenge_ack_limit, rng)
        self._secret = Secret(rng.randbytes(32))
        self._rng = rng
        self.replies = Replies(ip, counters.mib)
        """What leaves on behalf of no connection."""
        self.signing = False
        """A socket was given a key (RFC 2385): replies may have to be signed."""
        self.time_waits = TimeWaitQueue()
        self.ports = Ports(config.port_range, rng, self)
        ip.protocols[PROTOCOL] = self.receive
        ip.errors[PROTOCOL] = self.on_icmp_error

    def living(self) -> Iterator[ConnectionCore]:
        """Every connection in the table, TIME-WAIT excepted."""
        return (conn for conn in self.connections.values() if isinstance(conn, ConnectionCore))

    # -- arrivals ------------------------------------------------------------------------------------------------------

    def receive(
        self, frame: bytes, ip_at: int, at: int, end: int, pair: bytes, verified: bool, now: Micros
    ) -> None:
        """A TCP segment at `frame[at:end]`; `pair`: source + destination; `verified`: the checksum is vouched for."""
        self.now = now
        self.counters.tcp_received += 1
        length = end - at
        if length < 20:
            self._malformed("truncated", now)
            return
        _, _, seq, ack, offset_flags, window, _, urgent = HEADER.unpack_from(frame, at)
        text = at + (offset_flags >> 10 & 0x3C)
        if text < at + 20 or text > end:
            self._malformed("bad_offset", now)
            return
        if not verified and (ones_sum(pair) + PROTOCOL + length + ones_sum(memoryview(frame)[at:end])) % 0xFFFF:
            self.counters.mib["TcpInCsumErrors"] += 1
            self._malformed("bad_checksum", now)
            return
        conn = self.connections.get(pair + frame[at : at + 4])
        flags = offset_flags & 0x1FF
        if self.events is not None:
            self._show(conn, frame, ip_at, at, text, end, pair, seq, ack, flags, window, urgent, now)
        elif conn is not None:
            conn.on_segment(frame, ip_at, at, text, end, seq, ack, flags, window, urgent, now)
        else:
            self._no_connection(frame, ip_at, at, text, end, pair, seq, ack, flags, window, urgent, now)

    def _show(
        self, conn: Connection | TimeWait | None, frame: bytes, ip_at: int, at: int, text: int, end: int, pair: bytes,
        seq: int, ack: int, flags: int, window: int, urgent: int, now: Micros,
    ) -> None:  # fmt: skip
        """`receive` while somebody watches: told before and after, whoever it is for."""
        rest = seq, ack, flags, window, urgent, now
        if isinstance(conn, Connection):
            report.segment(conn, frame, ip_at, at, text, end, *rest)
            return
        if conn is None:
            before = without_connection(CLOSED if self._listener(pair, frame, at) is None else LISTEN)
            act = partial(self._no_connection, frame, ip_at, at, text, end, pair, *rest)
        else:
            before = conn.variables()
            act = partial(conn.on_segment, frame, ip_at, at, text, end, *rest)
        report.stray(self, act, pair + frame[at : at + 4], before, seq, ack, flags, window, end - text, now)

    def _listener(self, pair: bytes, frame: bytes, at: int) -> Listener | None:
        """Who listens where the segment at `frame[at:]` goes to."""
        half = len(pair) // 2
        port = frame[at + 2] << 8 | frame[at + 3]
        return self.listeners.get((pair[half:], port)) or self.listeners.get((bytes(half), port))

    def _no_connection(
        self, frame: bytes, ip_at: int, at: int, text: int, end: int, pair: bytes, seq: int, ack: int, flags: int,
        window: int, urgent: int, now: Micros,
    ) -> None:  # fmt: skip
        listener = self._listener(pair, frame, at)
        if listener is not None:
            seg = Arrival(frame, ip_at, text, end, at + 20, seq, ack, flags, window, urgent)
            listener.syn_arrives(seg, pair + frame[at : at + 4], pair, now)
            return
        self.drop("no_listener", now)
        key = None
        if text - at >= _MAY_BE_SIGNED:
            answerable, key = md5_connection.key_for_stray(self, pair, frame, at, text, end)
            if not answerable:
                return
        ports = int.from_bytes(frame[at + 2 : at + 4] + frame[at : at + 2], "big")
        head = answer(ports, seq, ack, flags, end - text)
        if head is not None:
            self.reply(pair, head, key=key)

    def observe(self, sink: Sink | None) -> None:
        """Tell `sink` everything from now on; None: nobody."""
        self.events = self.replies.events = sink
        for conn in self.living():
            conn.shown = None  # what is told is what changes from here

    def _malformed(self, reason: str, now: Micros) -> None:
        self.counters.mib["TcpInErrs"] += 1
        self.drop(reason, now)

    def drop(self, reason: str, now: Micros) -> None:
        """Count, and tell who watches, that input was refused."""
        self.counters.drops["tcp." + reason] += 1
        if self.events is not None:
            self.events(Dropped(now, "tcp." + reason))

    def on_icmp_error(self, kind: int, code: int, mtu: Octets, pair: bytes, quoted: bytes, now: Micros) -> None:
        """An ICMP error that quotes a segment of ours."""
        self.now = now
        icmp.on_error(self, kind, code, mtu, pair, quoted, now)

    def reply(
        self, pair: bytes, head: bytes, rule: str = why.RESET_CLOSED, state: State = CLOSED, key: bytes | None = None
    ) -> None:
        """A RST for a segment that belongs to no connection; `pair` as it arrived. Leaves with the next transmit."""
        self.counters.mib["TcpOutRsts"] += 1
        if self.signing and key is None:
            key = md5_connection.key_for_reply(self, pair, head)
        self.replies.add(pair, head, rule, state, key=key)

    def reset_for(self, conn: ConnectionCore, seq: int, now: Micros) -> None:
        """<SEQ=seq><CTL=RST> from a connection that goes on (an unacceptable ACK in SYN-SENT or SYN-RECEIVED)."""
        half = (len(conn.key) - 4) // 2
        self.reply(conn.key[: 2 * half], reset(conn.ports, seq), why.RESET_ACK, conn.tcb.state)

    # -- opening -------------------------------------------------------------------------------------------------------

    def congestion(self, options: SocketOptions) -> CongestionControl:
        """A fresh instance of the algorithm that the socket, or else the stack, chose."""
        name = options.congestion or self.config.congestion_control
        return ALGORITHMS[name](self.config.initial_cwnd, self._rng)

    @cached_property
    def cookie_secret(self) -> Secret:
        """The key of SYN cookies, drawn when the first is made."""
        return Secret(self._rng.randbytes(32))

    @property
    def fast_open_keys(self) -> bytes:
        """Of the cookies that listeners give: what tcp_fastopen_key says, or drawn when first needed."""
        return keys_from_text(self.config.fastopen_key) if self.config.fastopen_key else self._random_fast_open_key

    @property
    def has_fast_open_keys(self) -> bool:
        """Whether there is one yet."""
        return bool(self.config.fastopen_key) or "_random_fast_open_key" in self.__dict__

    @cached_property
    def _random_fast_open_key(self) -> bytes:
        return self._rng.randbytes(KEY_LEN)

    @cached_property
    def fast_open_cache(self) -> Cache:
        """The cookies that servers gave us."""
        return Cache()

    def timestamp_offset(self, pair: bytes) -> int:
        """What is added to the millisecond clock towards this peer; `pair` as it arrives."""
        return self._secret.ts_offset(pair)

    def way_back(self, pair: bytes, now: Micros) -> Path | None:
        """The way to whoever sent from `pair`; None, and counted, when there is none."""
        half = len(pair) // 2
        path = self.ip.path(pair[half:], pair[:half], PROTOCOL, CHECKSUM_AT)
        if path is None:
            self.drop("no_route", now)
        return path

    def passive(
        self, listener: Listener, key: bytes, pair: bytes, seg: Arrival, now: Micros, iss: int | None
    ) -> Connection | None:
        """A SYN reached a listener: a connection in SYN-RECEIVED; None when there is no way back."""
        path = self.way_back(pair, now)
        if path is None:
            return None
        anew = iss is not None  # a new incarnation takes the place of one in TIME-WAIT
        conn = Connection(self, key, path, self._secret.iss(key, now) if iss is None else iss, listener.options.copy())
        conn.listener = listener
        conn.rtt.rto_max = self.config.rto_max  # of SYN-ACKs, whatever the socket has for later (Linux)
        conn.tcb.ts_offset = self.timestamp_offset(pair)
        conn.tcb.state = LISTEN
        if conn.options.md5 is not None:
            conn.options.md5 = only(path.destination, conn.options.md5.find(path.destination))
            md5_connection.attach(conn)
        if self.events is not None:
            report.shown_of(conn)
        if listener.options.save_syn:
            begin = seg.ip_at - (14 if listener.options.save_syn == 2 else 0)
            conn.saved_syn = bytes(seg.data[begin : seg.text])
        if self.config.reflect_tos:
            conn.options.tos = seg.data[seg.ip_at + 1] & 0xFC
        hear_syn(conn, seg, now)
        ecn_setup.on_syn(conn, seg)
        if anew:
            conn.tcb.state = TIME_WAIT
        conn.move(Cause.REOPENED if anew else Cause.PEER_SYN)
        conn.bare_segs_in = 1
        self.connections[key] = conn
        return conn

    def make_ecn_capable(self, conn: ConnectionCore) -> None:
        """ECN was negotiated for `conn`."""
        conn.__class__ = AccEcnConnection if isinstance(conn.ecn, AccEcn) else EcnConnection
        if conn.options.md5 is not None:
            md5_connection.attach(conn)

    def listen(self, address: bytes, port: int, backlog: int, options: SocketOptions | None = None) -> Listener:
        """Passive open (3.10.1). `address` zeros: any of ours. OSError(EADDRINUSE) when somebody listens there."""
        any_address = bytes(len(address))
        if not 0 < port < 65_536:
            raise OSError(EINVAL, "Invalid argument")
        for other in ((address, port), (any_address, port)):
            if other in self.listeners:
                raise OSError(EADDRINUSE, "Address already in use")
        if address == any_address and any(p == port for _, p in self.listeners):
            raise OSError(EADDRINUSE, "Address already in use")
        backlog = min(max(backlog, 0), self.config.somaxconn)
        options = options or SocketOptions()
        if not options.fastopen and self.config.fastopen & EVERY_LISTENER and self.config.fastopen & SERVER:
            options.fastopen = backlog
        listener = Listener(self, address, port, backlog, options)
        self.listeners[(address, port)] = listener
        if self.events is not None:
            self.events(StateChanged(self.now, (address, port), CLOSED, LISTEN, Cause.PASSIVE_OPEN))
        return listener

    def unlisten(self, listener: Listener) -> None:
        """The listener is closed."""
        self.listeners.pop((listener.address, listener.port), None)
        if self.events is not None:
            who = listener.address, listener.port
            self.events(StateChanged(self.now, who, LISTEN, CLOSED, Cause.CLOSE_CALLED))

    def connect(
        self,
        local: tuple[bytes, int] | None,
        remote: tuple[bytes, int],
        options: SocketOptions | None = None,
    ) -> Connection:
        """Active open (3.10.1): the SYN leaves with the next transmit. A local port of 0, or None: one is chosen.

        OSError: ENETUNREACH, EADDRNOTAVAIL (no port left), EADDRINUSE (the four-tuple exists).
        """
        address, port = local or (None, 0)
        if address is not None and not any(address):
            address = None
        path = self.ip.path(address, remote[0], PROTOCOL, CHECKSUM_AT)
        if path is None:
            raise OSError(ENETUNREACH, "Network is unreachable")
        options = options or SocketOptions()
        pair = path.destination + path.source
        far = remote[1].to_bytes(2, "big")
        if not port:
            port = self.ports.ephemeral(pair, far, self._secret.port_offset(pair + far))
        key = pair + far + port.to_bytes(2, "big")
        old = self.connections.get(key)
        if isinstance(old, TimeWait) and old.ts_ok:
            self.end_time_wait(old, Cause.TWO_MSL_PASSED)
            self.counters.mib["TcpExtTWRecycled"] += 1
        elif old is not None:
            raise OSError(EADDRNOTAVAIL if not local else EADDRINUSE, "Address already in use")
        iss = self._secret.iss(key, self.now)
        conn = Connection(self, key, path, iss, options)
        conn.tcb.ts_offset = self._secret.ts_offset(pair)
        conn.active = True
        if options.md5 is not None:
            md5_connection.attach(conn)
        if self.events is not None:
            report.shown_of(conn)
        conn.move(Cause.ACTIVE_OPEN)
        conn.syn_due = True
        self.connections[key] = conn
        self.counters.mib["TcpActiveOpens"] += 1
        conn.mark()
        return conn

    # -- closing -------------------------------------------------------------------------------------------------------

    def remove(self, conn: ConnectionCore) -> None:
        """The connection is CLOSED."""
        if self.connections.get(conn.key) is conn:
            del self.connections[conn.key]
            if conn.fast_open is not None:
                fast_open_client.on_end(conn, conn.fast_open)
            self.census.bury(conn)
            self.memory.release(conn)

    def enter_time_wait(self, conn: ConnectionCore, now: Micros) -> None:
        """3.10.7.4: the last ACK leaves, and for 2 MSL its place is kept, unless too many wait already."""
        wait = TimeWait(conn, now)
        if conn.acking.scheduled:
            wait.mark()  # the peer's FIN; not when the ACK of our FIN brought us here, from CLOSING
            conn.bare_segs_out += 1
        self.counters.mib["TcpExtTW"] += not conn.close_at  # else it was counted in FIN-WAIT-2: see `on_fin_wait_2`
        conn.timer_at = conn.keepalive_at = conn.close_at = conn.acking.at = 0
        conn.recovery.scoreboard.clear()
        conn.acking.due, conn.acking.scheduled = False, 0
        self.connections[conn.key] = wait
        if conn.fast_open is not None:
            fast_open_client.on_end(conn, conn.fast_open)
        self.census.bury(conn)
        self.memory.release(conn)
        self.time_waits.add(wait)
        if self.events is not None:
            self.events(TimerArmed(now, wait.key, report.TIME_WAIT, wait.expires_at))
        if len(self.time_waits) > self.config.max_tw_buckets:
            self.counters.mib["TcpExtTCPTimeWaitOverflow"] += 1
            self.end_time_wait(wait, Cause.TWO_MSL_PASSED)

    def end_time_wait(self, wait: TimeWait, cause: Cause) -> None:
        """Give the four-tuple free."""
        if self.connections.get(wait.key) is wait:
            del self.connections[wait.key]
        if self.events is not None:
            over = TimerFired if wait.expires_at <= self.now else TimerCancelled
            self.events(over(self.now, wait.key, report.TIME_WAIT))
        self.time_waits.end(wait)
        wait.release(cause)

    def reopen(
        self, wait: TimeWait, frame: bytes, ip_at: int, at: int, text: int, end: int, seq: int, ack: int, flags: int,
        window: int, urgent: int, now: Micros,
    ) -> None:  # fmt: skip
        """RFC 6191, RFC 9293 3.10.7.4 fourth: a new SYN in TIME-WAIT opens a new incarnation, ISS beyond the old."""
        pair = wait.key[:-4]
        listener = self._listener(pair, frame, at)
        if listener is None or not flags & SYN:
            wait.mark()
            return
        self.end_time_wait(wait, Cause.TWO_MSL_PASSED)
        seg = Arrival(frame, ip_at, text, end, at + 20, seq, ack, flags, window, urgent)
        listener.syn_arrives(seg, wait.key, pair, now, wait.snd_nxt + 65_537)

    # -- transmit, timers ----------------------------------------------------------------------------------------------

    def transmit(self, now: Micros) -> None:
        """Call observers whose readiness changed, then let everything marked send; until nothing is left to do."""
        self.now = now
        upcalls, ready, watched = self.upcalls, self.ready, self.events is not None
        if self._unfinished:
            unfinished, self._unfinished = self._unfinished, []
            for one in unfinished:
                one.mark()
        while True:
            while upcalls:
                who = upcalls.popleft()
                flags, who.pending = who.pending, 0
                if who.observer is not None:
                    if watched:
                        report.woken(self, who, flags, now)
                    who.observer(flags)
            if ready:
                conn = ready.popleft()
                conn.marked = False
                if watched and isinstance(conn, ConnectionCore):
                    report.transmit(conn, now)
                else:
                    conn.transmit(now)
            elif not upcalls:
                break
        if self.replies.waiting:
            self.replies.transmit(now)

    def resume(self, conn: ConnectionCore) -> None:
        """`conn` has more to send than it may at once."""
        self._unfinished.append(conn)

    def deadline(self, exact: bool = True) -> Micros | None:
        """The earliest deadline of any connection; at once when one was interrupted in sending.

        Not `exact`: never later than that, and cheaper.
        """
        if self._unfinished:
            return self.now
        at = self.timers.deadline() if exact else self.timers.glance()
        wait_at = self.time_waits.deadline()
        return wait_at if at is None or (wait_at is not None and wait_at < at) else at

    def expire(self, now: Micros) -> None:
        """Do what is due."""
        self.now = now
        self.timers.expire(now)
        while (wait := self.time_waits.due(now)) is not None:
            self.end_time_wait(wait, Cause.TWO_MSL_PASSED)
