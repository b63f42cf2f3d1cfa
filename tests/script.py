"""TCP scenarios: what arrives, what must leave and when, in the shorthand of `shorthand`, on a virtual clock.

    def test_simultaneous_close(wire):
        wire.established()
        wire.conn.close()
        wire.tx("F. 1:1(0) ack 1")
        wire.rx("F. 1:1(0) ack 1").tx(". 2:2(0) ack 2").state(CLOSING)

Both directions are explicit: what left must be expected by a `tx`, in order and at its exact time, before anything
else happens; what is not expected fails the scenario. `tests/tcp/conftest.py` runs each scenario six times: with
initial sequence numbers and timestamps at 0, just below 2^31 and just below 2^32, each with header prediction and
without, and all six exchanges must be the same. Every invariant of every connection is checked after every step, and
when the scenario is over nothing may be left of it in the stack, no timer either.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from random import Random
from typing import Any

from netstack.config import Config, TcpConfig
from netstack.link.device import GSO_TCPV4, NEEDS_CSUM, NO_OFFLOAD, VNET, VNET_LEN, InMemory
from netstack.seq import MASK
from netstack.stack import Stack
from netstack.tcp.connection import Connection
from netstack.tcp.listener import Listener
from netstack.tcp.options import SocketOptions
from netstack.tcp.state import CLOSED, LISTEN, TIME_WAIT, State
from netstack.units import MILLISECOND, MINUTE, Micros, Octets
from netstack.wire import ethernet, icmpv4, ipv4, tcp
from netstack.wire.checksum import ones_sum, pseudo_sum
from tests.shorthand import Bases, Seen, differences, read, show, write_options
from tests.watcher import Watcher

US, PEER = bytes((192, 0, 2, 2)), bytes((192, 0, 2, 1))
OUR_MAC, PEER_MAC = bytes.fromhex("02005e000202"), bytes.fromhex("02005e000201")
TO_US, FROM_US = PEER + US, US + PEER
EPOCH: Micros = 1_000_000
"""The time at which every scenario begins; shown as 0."""
TEXT = Random(9293).randbytes(1 << 20)
"""What both sides say: the octet with relative sequence number n is TEXT[n - 1], so every delivery can be verified."""
FULL = "mss 1460,sackOK,TS,nop,wscale 7"
"""The options of a usual SYN."""
STARTS = (0, 0x7FFF_FC00, 0xFFFF_FC00)
"""Where sequence numbers and timestamps start: they pass 2^31 and 2^32 within the first segment of data."""


def octets_at(seq: int, length: Octets) -> bytes:
    """The octets of either stream from relative sequence number `seq` on."""
    at = (seq - 1) % len(TEXT)
    return (TEXT[at : at + length] + TEXT[: max(0, at + length - len(TEXT))])[:length]


class FixedNumbers:
    """Takes the place of the secret that RFC 6528 and RFC 7323 want: everything starts where the scenario says."""

    def __init__(self, start: int) -> None:
        self.start = start

    def iss(self, four_tuple: bytes, now: Micros) -> int:
        return self.start

    def ts_offset(self, addresses: bytes) -> int:
        return self.start

    def port_offset(self, destination: bytes) -> int:
        return 0


class Mismatch(AssertionError):
    """What happened is not what the scenario says."""


class Outbox(InMemory):
    """A Device that nothing comes out of; it keeps what is written, with the time."""

    def __init__(self, mtu: Octets, offload: bool) -> None:
        self.mtu = mtu
        self.offload = offload
        self.frames: deque[tuple[Micros, bytes]] = deque()

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        frame = head + payload
        flags, gso_type, _, _, _, _ = VNET.unpack_from(frame)
        assert self.offload or not (flags or gso_type), "offload asked of a device that has none"
        assert gso_type or len(frame) - VNET_LEN - ethernet.HEADER_LEN <= self.mtu, "larger than the MTU"
        self.frames.append((now, frame))


class Bench:
    """A whole stack with a clock, a peer whose MAC is known, and a record of everything that passes."""

    def __init__(
        self, start: int = 0, predict: bool = True, mtu: Octets = 1500, offload: bool = False, **tcp_config: Any
    ) -> None:
        self.start = start
        self.predict = predict
        self.now: Micros = EPOCH
        self.exchange: list[str] = []
        self.gathering = False
        self.device = Outbox(mtu, offload)
        config = Config(mtu=mtu, tcp=replace(TcpConfig(), **tcp_config))
        self.watcher = Watcher() if start == STARTS[1] else None
        """Every third run is watched: it must be the same as the others, and what is told must be true."""
        self.stack = Stack(config, self.device, Random(1), self.watcher)
        self.stack.tcp._secret = FixedNumbers(start)  # type: ignore[assignment]
        neighbors = self.stack.arp.neighbors
        neighbors.learn(PEER, PEER_MAC, self.now, reachable=True, override=True, create=True)
        neighbors.entries[PEER].usable_until = 1 << 62

    def note(self, direction: str, text: object) -> None:
        """One line of the exchange."""
        self.exchange.append(f"{(self.now - EPOCH) / 1e6:12.6f} {direction} {text}")

    def deliver(self, frame: bytes) -> None:
        """A frame arrives: one turn of the driver, unless several are gathered into one."""
        if not self.predict:
            for conn in self.connections():
                conn.plain = False
        self.stack.receive(frame, self.now)
        if not self.gathering:
            self.turn()

    def turn(self) -> None:
        """Let the stack send what it wants to, and check that it is in order."""
        self.stack.transmit(self.now)
        self.check()

    def advance(self, duration: Micros) -> None:
        """Let time pass, stopping at every deadline on the way, in order."""
        end = self.now + duration
        self.turn()
        stuck = 0
        while (at := self.stack.deadline()) is not None and at <= end:
            stuck = stuck + 1 if at <= self.now else 0
            assert stuck < 20, "a deadline that is never done with"
            self.now = max(self.now, at)
            self.stack.expire(self.now)
            self.turn()
        self.now = end

    def connections(self) -> list[Connection]:
        """Those in the table that are not in TIME-WAIT."""
        return [conn for conn in self.stack.tcp.connections.values() if isinstance(conn, Connection)]

    def check(self) -> None:
        """The invariants of every connection."""
        for conn in self.connections():
            conn.check()
            assert conn.state not in (CLOSED, TIME_WAIT)
            at = conn.deadline()
            assert at == 1 << 62 or conn.wake_at <= at, "nobody will wake this connection in time"
        assert not self.stack.tcp.ready
        assert not self.stack.tcp.upcalls
        if self.watcher is not None:
            self.watcher.check(self.stack)

    def finish(self) -> None:
        """Everybody leaves; then nothing may be left."""
        tcp = self.stack.tcp
        for conn in self.connections():
            conn.abort()
        for listener in list(tcp.listeners.values()):
            listener.close()
        self.advance(10 * MINUTE)
        assert not tcp.connections
        assert not tcp.listeners
        assert self.stack.deadline() is None, "an idle stack has a deadline"

    def fingerprint(self) -> list[tuple[Any, ...]]:
        """What the connections believe: the same with and without header prediction, wherever the numbers started."""
        found = []
        for key, conn in sorted(self.stack.tcp.connections.items()):
            if not isinstance(conn, Connection):
                found.append((key, "TIME-WAIT", conn.expires_at))
                continue
            tcb, recovery, acking = conn.tcb, conn.recovery, conn.acking
            found.append((
                key, str(conn.state), conn.error, conn.soft_error, conn.timer if conn.timer_at else "", conn.timer_at,
                conn.keepalive_at, conn.close_at, tcb.snd_una - tcb.iss, tcb.snd_nxt - tcb.iss, tcb.snd_wnd,
                tcb.max_snd_wnd, tcb.rcv_nxt - tcb.irs, tcb.rcv_wnd, tcb.rcv_wup - tcb.irs, conn.send_mss,
                (tcb.ts_recent - self.start) & MASK if tcb.ts_ok else 0, tcb.ts_recent_at, conn.rtt.srtt, conn.rtt.rto,
                conn.rtt.rttvar, conn.rtt.min_rtt, conn.rtt.backoff, recovery.ca_state, recovery.cc.cwnd,
                recovery.cc.ssthresh, recovery.delivered, recovery.timeouts, recovery.scoreboard.packets_out,
                acking.at, acking.ato, acking.quick, acking.pingpong, acking.rcv_mss, acking.due, acking.scheduled,
                conn.window.rcvbuf, conn.window.ssthresh, conn.probes_out, conn.keepalives_out,
            ))  # fmt: skip
        return found


class Wire:
    """One conversation with the stack. The verbs return the wire, so that a line reads as one exchange."""

    def __init__(self, start: int = 0, predict: bool = True, bench: Bench | None = None, port: int = 40_000) -> None:
        self._start, self._predict = start, predict
        self._bench = bench
        self.remote_port, self.local_port = port, 80
        self.irs = start
        self.bases_out = Bases(start, self.irs, start + EPOCH // 1000, self.irs)
        self.bases_in = Bases(self.irs, start, self.irs, start + EPOCH // 1000)
        self.win = 65_535
        """The window field of what arrives when the line does not say."""
        self.ts_echo = 0
        """TSval of the last segment that left, as on the wire."""
        self.stamped = False
        """Both sides said timestamps: what arrives carries them unless told otherwise."""
        self.sent = self.received = 0
        """Octets that the user gave and took."""
        self.edge: int | None = None
        """The right edge of our receive window, as last said to the peer."""
        self.told: list[int] = []
        """What the observer of the connection was called with."""
        self._conn: Connection | None = None
        self.listener: Listener | None = None

    # -- the stack -----------------------------------------------------------------------------------------------------

    def setup(self, mtu: Octets = 1500, offload: bool = False, **tcp_config: Any) -> Wire:
        """Before anything else: the device, and what differs from the default TcpConfig."""
        assert self._bench is None, "the stack is running already"
        self._bench = Bench(self._start, self._predict, mtu, offload, **tcp_config)
        return self

    @property
    def bench(self) -> Bench:
        """The stack and its clock."""
        if self._bench is None:
            self.setup()
        assert self._bench is not None
        return self._bench

    @property
    def stack(self) -> Stack:
        """The stack under test."""
        return self.bench.stack

    @property
    def now(self) -> Micros:
        """Microseconds since the scenario began."""
        return self.bench.now - EPOCH

    @property
    def mib(self) -> dict[str, int]:
        """The SNMP and Linux counters."""
        return self.stack.counters.snapshot()

    @property
    def drops(self) -> dict[str, int]:
        """What was refused, by reason, without the "tcp." in front."""
        return {name.removeprefix("tcp."): count for name, count in self.stack.counters.drops.items()}

    @property
    def key(self) -> bytes:
        """This conversation's place in the table of connections."""
        return TO_US + self.remote_port.to_bytes(2, "big") + self.local_port.to_bytes(2, "big")

    @property
    def conn(self) -> Connection:
        """The connection, once there is or was one."""
        found = self.stack.tcp.connections.get(self.key)
        if isinstance(found, Connection):
            self._conn = found
        assert self._conn is not None, "there is no connection"
        return self._conn

    def another(self, port: int) -> Wire:
        """A second conversation with the same stack, from another port of the same peer."""
        other = Wire(self._start, self._predict, self.bench, port)
        other.listener, other.local_port = self.listener, self.local_port
        return other

    # -- opening -------------------------------------------------------------------------------------------------------

    def listen(self, backlog: int = 16, **options: Any) -> Wire:
        """The user listens on port 80 with these socket options."""
        self.listener = self.stack.tcp.listen(US, 80, backlog, _socket_options(options))
        return self

    def connect(self, port: int = 0, **options: Any) -> Wire:
        """The user connects, from `port` or any."""
        self.remote_port = 80
        conn = self.stack.tcp.connect((US, port), (PEER, 80), _socket_options(options))
        self.local_port = conn.local[1]
        self._conn = conn
        conn.observer = self.told.append
        return self

    def accept(self) -> Wire:
        """The user accepts what must be this conversation."""
        assert self.listener is not None
        conn = self.listener.accept()
        assert conn is not None, "nothing to accept"
        assert conn.key == self.key
        self._conn = conn
        conn.observer = self.told.append
        return self

    def established(
        self,
        syn: str = "mss 1460",
        win: int = 65_535,
        rtt: Micros = 100 * MILLISECOND,
        active: bool = False,
        **options: Any,
    ) -> Wire:
        """The handshake, opened by the peer or, `active`, by us. `syn`: the peer's options; `win`: in all it sends."""
        self.win = win
        if active:
            self.connect(**options)
            self.tx("S 0:0(0)").after(rtt)
            self.rx(f"S. 0:0(0) ack 1 <{syn}>").tx(". 1:1(0) ack 1")
        else:
            if self.listener is None:
                self.listen(**options)
            self.rx(f"S 0:0(0) <{syn}>").tx("S. 0:0(0) ack 1").after(rtt)
            self.rx(". 1:1(0) ack 1").accept()
        self.bench.turn()
        self.told.clear()
        return self

    # -- the wire ------------------------------------------------------------------------------------------------------

    def rx(
        self, text: str, data: bytes | None = None, gso: Octets = 0, ts: tuple[int, int] | bool = True, damage: str = ""
    ) -> Wire:
        """A segment arrives. `data`: its text, when that is not what belongs there. `gso`: it is a super-segment.

        `ts`: False for no timestamps where there should be some, or (TSval, TSecr) relative. `damage`: "checksum".
        """
        if not self.bench.gathering:
            self._nothing_unexpected(f"before < {text}")
        said = read(text)
        bases = self.bases_in
        payload = octets_at(said.seq, said.length) if data is None else data
        assert len(payload) == said.length
        options = said.options or []
        stamps = (self.bench.now - EPOCH) // 1000 + self.irs, self.ts_echo
        if isinstance(ts, tuple):
            stamps = ts[0] + bases.ts_val, ts[1] + bases.ts_ecr
        if self.stamped and ts and said.options != [] and not any(o.startswith(("TS", "mss", "nop")) for o in options):
            options = ["TS", *options]
        if said.options == [] or (said.options is None and not (self.stamped and ts)):
            options = []
        if said.flags & tcp.SYN:
            self.stamped = any(option.startswith("TS") for option in options) and self.stack.config.tcp.timestamps
        head = tcp.build(
            self.remote_port, self.local_port, said.seq + bases.seq, 0 if said.ack is None else said.ack + bases.ack,
            said.flags, self.win if said.win is None else said.win,
            write_options(options, bases, (stamps[0] & MASK, stamps[1] & MASK)), urgent=said.urg or 0,
        )  # fmt: skip
        self.bench.note("<", show(head + payload, bases))
        vnet = NO_OFFLOAD
        if gso:
            vnet = VNET.pack(NEEDS_CSUM, GSO_TCPV4, 34 + len(head), gso, 34, 16)
            partial = pseudo_sum(TO_US, tcp.PROTOCOL, len(head) + len(payload)) % 0xFFFF
            segment = head[:16] + partial.to_bytes(2, "big") + head[18:] + payload
        else:
            segment = tcp.with_checksum(head + payload, TO_US)
        if damage == "checksum":
            segment = segment[:16] + bytes((segment[16] ^ 0xFF,)) + segment[17:]
        self.bench.deliver(vnet + packet(segment))
        return self

    def rx_icmp(self, code: int, seq: int, mtu: Octets = 0, kind: int = icmpv4.UNREACHABLE) -> Wire:
        """An ICMP error arrives from a router; it quotes a segment of ours that began at relative `seq`."""
        self._nothing_unexpected("before ICMP")
        head = tcp.build(self.local_port, self.remote_port, seq + self.bases_out.seq, 0, tcp.ACK, 0)
        quote = ipv4.build(FROM_US, tcp.PROTOCOL, 1000, ident=1, ttl=60, df=True) + head[:8]
        self.bench.note("<", f"icmp type {kind} code {code} mtu {mtu} for seq {seq}")
        self.bench.deliver(NO_OFFLOAD + packet(icmpv4.build(kind, code, 0, mtu, quote), icmpv4.PROTOCOL))
        return self

    def tx(self, text: str, gso: Octets = 0) -> Wire:
        """The next segment that left, just now. `gso`: a super-segment for the device to cut at this size; 0: none."""
        self.bench.turn()
        if not self.bench.device.frames:
            self._fail(f"nothing left; expected > {text}")
        at, frame = self.bench.device.frames.popleft()
        seen = self._dissect(frame)
        wrong = differences(read(text), seen)
        if at != self.bench.now:
            wrong.append(f"it left {(self.bench.now - at) / 1e6:.6f} s ago")
        vnet_gso = VNET.unpack_from(frame)[3]
        if vnet_gso != gso:
            wrong.append(f"gso_size is {vnet_gso}, not {gso}")
        self._note_sent(at, seen)
        if wrong:
            self._fail(f"expected > {text}: {'; '.join(wrong)}")
        return self

    def take(self) -> list[str]:
        """Everything that left and no `tx` has taken yet, verified, as text without windows and padding."""
        self.bench.turn()
        taken = []
        while self.bench.device.frames:
            at, frame = self.bench.device.frames.popleft()
            seen = self._dissect(frame)
            self._note_sent(at, seen)
            text = str(seen).replace(f" win {seen.win}", "")
            taken.append(text.split(" <")[0] + "".join(f" <{o}>" for o in seen.options if o.startswith("sack ")))
        return taken

    def quiet(self, duration: Micros = 0) -> Wire:
        """Nothing leaves, now and for `duration`."""
        self.after(duration)
        self._nothing_unexpected("in silence")
        return self

    def after(self, duration: Micros) -> Wire:
        """Time passes. What leaves on the way is expected afterwards, and must have left at the very end."""
        self._nothing_unexpected("before time passes")
        self.bench.advance(duration)
        return self

    def next(self) -> Wire:
        """Time passes up to the next deadline, whatever it is."""
        at = self.stack.deadline()
        assert at is not None, "nothing is due"
        return self.after(at - self.bench.now)

    def run(self, most: Micros = 100 * MINUTE) -> list[tuple[Micros, str]]:
        """Jump from deadline to deadline until the stack is idle: what left, as (microseconds from now, text)."""
        self._nothing_unexpected("before the clock runs")
        began, sent = self.bench.now, []
        while (at := self.stack.deadline()) is not None and at <= began + most:
            self.bench.advance(at - self.bench.now)
            sent += [(self.bench.now - began, text) for text in self.take()]
        return sent

    @contextmanager
    def turn(self) -> Iterator[None]:
        """What arrives inside is read in one turn of the driver."""
        self._nothing_unexpected("before several arrive")
        self.bench.gathering = True
        yield
        self.bench.gathering = False
        self.bench.turn()

    def state(self, state: State) -> Wire:
        """The connection is in this state: in the table, and as the user sees it."""
        self.bench.turn()
        found = self.stack.tcp.connections.get(self.key)
        now = found.state if found is not None else LISTEN if self._listening() else CLOSED
        if state is CLOSED and now is LISTEN:
            now = CLOSED
        if now is not state:
            self._fail(f"the state is {now}, not {state}")
        replaced = isinstance(found, Connection) and found is not self._conn
        if self._conn is not None and not (replaced or self._conn.user_gone) and self._conn.state is not state:
            self._fail(f"the user sees {self._conn.state}, not {state}")
        return self

    def _listening(self) -> bool:
        return self.listener is not None and not self.listener.closed

    # -- the user ------------------------------------------------------------------------------------------------------

    def send(self, length: Octets, more: bool = False, accepted: Octets | None = None) -> Wire:
        """The user sends the next `length` octets; `accepted`: how many of them the buffer has room for."""
        took = self.conn.send(octets_at(self.sent + 1, length), more)
        assert took == (length if accepted is None else accepted), f"{took} of {length} octets were accepted"
        self.sent += took
        self.bench.note("|", f"send({length}) = {took}")
        return self

    def recv(self, length: Octets, limit: Octets = 1 << 20) -> Wire:
        """The user reads and must get `length` octets, those that the peer sent."""
        data = self.conn.recv(limit)
        self.bench.note("|", f"recv({limit}) = {None if data is None else len(data)}")
        assert data is not None, "nothing to read"
        assert data == octets_at(self.received + 1, len(data)), "not what the peer sent"
        assert len(data) == length, f"{len(data)} octets were read, not {length}"
        self.received += length
        return self

    def call(self, name: str) -> Wire:
        """The user calls shutdown, close or abort."""
        self.bench.note("|", f"{name}()")
        getattr(self.conn, name)()
        return self

    # -- verdicts ------------------------------------------------------------------------------------------------------

    def _dissect(self, frame: bytes) -> Seen:
        """Verify everything below and around a segment of ours, and read it."""
        at = VNET_LEN + ethernet.HEADER_LEN
        assert frame[VNET_LEN:at] == PEER_MAC + OUR_MAC + ethernet.IPV4
        header = ipv4.parse(frame, at)
        assert header is not None
        assert ipv4.checksum_valid(frame, at)
        assert at + header.total_length == len(frame)
        if header.protocol != tcp.PROTOCOL:
            self._fail(f"not TCP: protocol {header.protocol}")
        assert header.pair == FROM_US
        segment = frame[at + header.header_len :]
        if VNET.unpack_from(frame)[0] & NEEDS_CSUM:
            assert int.from_bytes(segment[16:18], "big") == pseudo_sum(FROM_US, tcp.PROTOCOL, len(segment)) % 0xFFFF
        else:
            total = pseudo_sum(FROM_US, tcp.PROTOCOL, len(segment)) + ones_sum(segment)
            assert total % 0xFFFF == 0, "bad checksum"
        ports = int.from_bytes(segment[:2], "big"), int.from_bytes(segment[2:4], "big")
        if ports != (self.local_port, self.remote_port):
            self._fail(f"a segment {ports[0]} > {ports[1]} belongs to another conversation")
        seen = show(segment, self.bases_out)
        if seen.payload != octets_at(seen.seq, len(seen.payload)):
            self._fail(f"> {seen} does not carry what the user sent")
        return seen

    def _note_sent(self, at: Micros, seen: Seen) -> None:
        if seen.ts is not None:
            self.ts_echo = seen.ts[0]
        if seen.flags & (tcp.SYN | tcp.RST | tcp.ACK) == tcp.ACK and self._conn is not None:
            edge = seen.ack + (seen.win << self._conn.tcb.rcv_wscale)
            assert self.edge is None or edge >= self.edge, "the right edge of the window moved left (3.8.6)"
            self.edge = edge
        self.bench.exchange.append(f"{(at - EPOCH) / 1e6:12.6f} > {seen}")

    def _nothing_unexpected(self, when: str) -> None:
        if self.bench.gathering:
            return
        self.bench.turn()
        if self.bench.device.frames:
            left = self.take()
            self._fail(f"unexpected {when}: > {'; > '.join(left[:5])}")

    def _fail(self, what: str) -> None:
        raise Mismatch(what)

    def done(self) -> list[str]:
        """The scenario is over: nothing unexpected, nothing left behind. Returns the exchange, to compare runs."""
        self._nothing_unexpected("at the end")
        exchange = list(self.bench.exchange)
        exchange += map(str, self.bench.fingerprint())
        self.bench.finish()
        return exchange


def packet(segment: bytes, protocol: int = tcp.PROTOCOL, pair: bytes = TO_US) -> bytes:
    """An Ethernet frame from the peer to us, without the virtio header."""
    return OUR_MAC + PEER_MAC + ethernet.IPV4 + ipv4.build(pair, protocol, len(segment), ident=1, ttl=64) + segment


def _socket_options(values: dict[str, Any]) -> SocketOptions:
    options = SocketOptions()
    for name, value in values.items():
        assert hasattr(options, name), name
        setattr(options, name, value)
    return options
