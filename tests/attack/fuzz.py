"""A hostile peer and a careless user against one whole stack, at random but repeatably: what `test_fuzz` runs.

    python -m tests.attack.fuzz --seeds 1000 --first 0        a long campaign; prints the seeds that fail

The peer knows everything (it looks into the TCB), so that what it sends is nearly right: valid checksums, numbers at
the edges of windows, segments that overlap, lie, repeat, go backwards. After every step each connection's
invariants are checked, and that the turn took bounded work; in the end everybody vanishes, and nothing may be left.
"""

from __future__ import annotations

import argparse
import gc
import signal
import sys
import traceback
from collections import deque
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from ipaddress import IPv4Address
from random import Random
from typing import Any

from netstack.config import Config, TcpConfig
from netstack.link.device import DATA_VALID, NEEDS_CSUM, NO_OFFLOAD, VNET, InMemory
from netstack.seq import MASK
from netstack.stack import Stack
from netstack.tcp.congestion import ALGORITHMS
from netstack.tcp.connection import Connection
from netstack.tcp.listener import Listener
from netstack.tcp.options import SocketOptions
from netstack.tcp.state import CLOSED, SYN_RECEIVED, SYN_SENT, TIME_WAIT
from netstack.units import MILLISECOND, MINUTE, SECOND, Micros, Octets
from netstack.wire import arp, ethernet, icmpv4, ipv4, tcp, tcp_options, udp

US, NET = bytes((192, 0, 2, 2)), bytes((192, 0, 2))
OUR_MAC, PEER_MAC = bytes.fromhex("02005e000202"), bytes.fromhex("02005e000201")
PORTS = (80, 81)
MOST_FRAMES = 3_000
"""What one turn may send: a window's worth of small segments, and no more."""
PATIENCE = 5.0
"""Seconds of real time for one step: an endless loop that sends nothing ends here."""
EPOCH: Micros = 1_000_000
TEXT = Random(9293).randbytes(1 << 17)


class Broken(AssertionError):
    """The stack did something that no input may make it do."""


class Sink(InMemory):
    """A Device that keeps the last frames written, and counts the frames of this turn."""

    def __init__(self, mtu: Octets, offload: bool) -> None:
        self.mtu, self.offload = mtu, offload
        self.frames: deque[bytes] = deque(maxlen=64)
        self.turn = 0

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        self.turn += 1
        if self.turn > MOST_FRAMES:
            raise Broken(f"more than {MOST_FRAMES} frames in one turn")
        frame = head + payload
        flags, gso_type, *_ = VNET.unpack_from(frame)
        if not self.offload and (flags or gso_type):
            raise Broken("offload asked of a device that has none")
        if not gso_type and len(frame) - 24 > self.mtu:
            raise Broken(f"a packet of {len(frame) - 24} octets, larger than the MTU")
        self.frames.append(frame)


@contextmanager
def patience(seconds: float) -> Iterator[None]:
    """Broken when the block takes more of the processor's time: a busy machine is no failure."""

    def on_alarm(number: int, frame: Any) -> None:
        raise Broken("one step takes for ever")

    before = signal.signal(signal.SIGVTALRM, on_alarm)
    signal.setitimer(signal.ITIMER_VIRTUAL, seconds)
    try:
        yield
    finally:
        signal.setitimer(signal.ITIMER_VIRTUAL, 0)
        signal.signal(signal.SIGVTALRM, before)


class Fight:
    """One stack, one clock, one source of malice."""

    def __init__(self, rng: Random) -> None:
        self.rng = rng
        self.now: Micros = EPOCH
        mtu = rng.choice((68, 296, 576, 1500, 1500, 1500, 9000, 65_521))
        self.device = Sink(mtu, rng.random() < 0.4)
        self.log: deque[str] = deque(maxlen=40)
        config = Config(
            mtu=mtu,
            gateway=IPv4Address("192.0.2.1") if rng.random() < 0.5 else None,
            neighbor_limit=rng.choice((4, 1_024)),
            reassembly_memory=rng.choice((3_000, 4 * 1024 * 1024)),
            tcp=TcpConfig(
                timestamps=rng.random() < 0.7,
                sack=rng.random() < 0.8,
                window_scaling=rng.random() < 0.8,
                congestion_control=rng.choice(sorted(ALGORITHMS)),
                max_tw_buckets=rng.choice((2, 65_536)),
                syncookies=rng.choice((0, 1, 1, 2)),
                abort_on_overflow=rng.random() < 0.2,
                rmem=rng.choice(((4_096, 4_096, 8_192), (4_096, 131_072, 6_291_456))),
                wmem=rng.choice(((4_096, 8_192, 16_384), (4_096, 262_144, 4_194_304))),
                mem=rng.choice((TcpConfig().mem, TcpConfig().mem, (50_000, 80_000, 120_000), (10_000, 10_000, 10_000))),
                max_orphans=rng.choice((16_384, 16_384, 2, 0)),
                ecn=rng.choice((0, 1, 2)),
                abe=rng.random() < 0.3,
                notsent_lowat=rng.choice((0xFFFF_FFFF, 0xFFFF_FFFF, 1, 10_000)),
                moderate_rcvbuf=rng.random() < 0.8,
                syn_linear_timeouts=rng.choice((0, 4)),
            ),
        )
        self.stack = Stack(config, self.device, Random(rng.getrandbits(32)))
        self.tcp = self.stack.tcp
        self.listeners: list[Listener] = []
        self.mine: list[Connection] = []
        """What the user holds."""
        self.endpoint = self.stack.udp.bind(port=9)
        if rng.random() < 0.9:  # else nobody answers ARP, at first
            self.know_neighbors()
        for port in PORTS:
            self.listeners.append(self.tcp.listen(US, port, rng.choice((0, 1, 4, 16)), self.socket_options()))
        self.steps: list[tuple[int, Callable[[], None]]] = [
            (30, self.segment), (8, self.syn), (10, self.complete), (3, self.rubbish_segment), (4, self.icmp_error),
            (2, self.arp_packet), (2, self.fragment), (1, self.ping), (1, self.datagram), (2, self.damage),
            (8, self.accept), (10, self.send), (8, self.receive), (3, self.close), (2, self.connect), (3, self.option),
            (14, self.wait), (1, self.mtu), (4, self.conversation),
        ]  # fmt: skip

    def know_neighbors(self) -> None:
        """Every neighbour's MAC address is known for good."""
        neighbors = self.stack.arp.neighbors
        for last in (1, 3, 4):
            address = NET + bytes((last,))
            neighbors.learn(address, PEER_MAC, self.now, reachable=True, override=True, create=True)

    # -- the frame of everything ---------------------------------------------------------------------------------------

    def run(self, steps: int) -> None:
        """So many steps, then the end of everything."""
        weights = [weight for weight, _ in self.steps]
        for _ in range(steps):
            _, step = self.rng.choices(self.steps, weights)[0]
            with patience(PATIENCE):
                step()
                if self.rng.random() < 0.8:
                    self.turn()
        with patience(60):
            self.turn()
            self.end()

    def note(self, what: str) -> None:
        self.log.append(f"{(self.now - EPOCH) / 1e6:14.6f} {what}")

    def turn(self) -> None:
        """One turn of the driver, and the invariants."""
        self.device.turn = 0
        self.stack.transmit(self.now)
        self.check()

    def check(self) -> None:
        tcp = self.tcp
        memory = tcp.memory
        living = [conn for conn in tcp.connections.values() if isinstance(conn, Connection)]
        if memory.used != sum(conn.charged for conn in living):
            raise Broken(f"memory {memory.used}, charged {sum(conn.charged for conn in living)}")
        if memory.orphans != sum(conn.orphaned for conn in living):
            raise Broken(f"{memory.orphans} orphans, {sum(conn.orphaned for conn in living)} of them alive")
        if sum(map(self.kept, living)) > 2 * tcp.config.mem[2] + 500_000:
            raise Broken("more kept than there is")
        for key, conn in tcp.connections.items():
            if isinstance(conn, Connection):
                conn.check()
                if conn.key != key or conn.state in (CLOSED, TIME_WAIT):
                    raise Broken(f"{conn.state} in the table")
                at = conn.deadline()
                if at < 1 << 62 and conn.wake_at > at:
                    raise Broken("nobody will wake this connection in time")
                if conn.receive_buffer.ready + conn.receive_buffer.held > tcp.config.rmem[2] + 300_000:
                    raise Broken("more received than the buffer holds")
                if len(conn.send_buffer) > max(tcp.config.wmem[2], 300_000):
                    raise Broken("more queued than the buffer holds")
                if conn.recovery.cc.cwnd < 1:
                    raise Broken("cwnd is not positive")
        undone = len(tcp.ready), len(tcp.upcalls), len(tcp.replies.waiting)
        if any(undone) and self.stack.deadline() is None:
            raise Broken(f"the turn left something undone: {undone}")
        if self.stack.ip.reassembly.used > max(self.stack.config.reassembly_memory, 70_000):
            raise Broken("reassembly uses more memory than it may")
        for neighbor in self.stack.arp.neighbors.entries.values():
            if neighbor.queued > 300_000 or len(neighbor.queue) > 101:
                raise Broken("too much waits for a neighbour")

    def kept(self, conn: Connection) -> Octets:
        """What `conn` holds beyond what is granted to everybody."""
        config, receive, send = self.tcp.config, conn.receive_buffer, conn.send_buffer
        return max(receive.charge - config.rmem[0] - 66_000, 0) + max(len(send) - config.wmem[0], 0)

    def advance(self, duration: Micros) -> None:
        """Time passes, with a stop at every deadline on the way."""
        until = self.now + duration
        stuck = 0
        while (at := self.stack.deadline()) is not None and at <= until:
            stuck = stuck + 1 if at <= self.now else 0
            if stuck > 50:
                raise Broken("a deadline that is never done with")
            self.now = max(self.now, at)
            self.stack.expire(self.now)
            self.turn()
        self.now = until

    def end(self) -> None:
        """The peers vanish and the users leave: in the end nothing is left, no timer either."""
        self.note("the end")
        while self.mine:
            self.mine.pop().close()
        for listener in self.listeners:
            listener.close()
        self.endpoint.close()
        self.listeners.clear()
        self.turn()
        for _ in range(500):
            if self.stack.deadline() is None:
                break
            self.advance(10 * MINUTE)
        if self.tcp.connections:
            raise Broken(f"left in the table: {[(str(c.state)) for c in self.tcp.connections.values()]}")
        if (at := self.stack.deadline()) is not None:
            raise Broken(f"an idle stack has a deadline at {at - self.now}")
        left = len(self.tcp.timers._heap), len(self.tcp.time_waits._heap), self.stack.ip.reassembly.used
        if any(left) or self.tcp.memory.used or self.tcp.memory.orphans:
            raise Broken(f"left behind: {left}, {self.tcp.memory.used} octets, {self.tcp.memory.orphans} orphans")
        gc.collect()
        self.device.frames.clear()
        if len(self.stack.ip._paths):
            raise Broken(f"left behind: {list(self.stack.ip._paths)}")

    # -- the peer ------------------------------------------------------------------------------------------------------

    def someone(self) -> bytes:
        """An address: a neighbour's, mostly, or anybody's."""
        return NET + bytes((self.rng.choice((1, 1, 1, 1, 3, 4, 4, self.rng.randrange(256))),))

    def deliver(
        self, packet: bytes, vnet: bytes = NO_OFFLOAD, mac: bytes = OUR_MAC, kind: bytes = ethernet.IPV4
    ) -> None:
        self.stack.receive(vnet + mac + PEER_MAC + kind + packet, self.now)

    def send_ip(self, pair: bytes, protocol: int, payload: bytes, vnet: bytes = NO_OFFLOAD, **fields: Any) -> None:
        if len(payload) > 65_000:
            payload = payload[:65_000]
        self.deliver(ipv4.build(pair, protocol, len(payload), **fields) + payload, vnet)

    def send_tcp(
        self, key: bytes, seq: int, ack: int, flags: int, window: int, options: bytes, text: bytes, urgent: int = 0
    ) -> None:
        """A segment of the connection `key` (as it arrives)."""
        pair, sport, dport = key[:8], int.from_bytes(key[8:10], "big"), int.from_bytes(key[10:], "big")
        self.note(
            f"< {sport}>{dport} seq {seq & MASK} ack {ack & MASK} flags {flags:#x} win {window} "
            f"<{options.hex()}> ({len(text)})"
        )
        head = tcp.build(sport, dport, seq, ack, flags, window, options, urgent=urgent)
        if self.rng.random() < 0.5:
            vnet = VNET.pack(self.rng.choice((NEEDS_CSUM, DATA_VALID)), 0, 0, 0, 0, 0)
            self.send_ip(pair, tcp.PROTOCOL, head + text, vnet, ident=self.rng.getrandbits(16))
        else:
            self.send_ip(pair, tcp.PROTOCOL, tcp.with_checksum(head + text, pair), ident=self.rng.getrandbits(16))

    def pick(self) -> Connection | None:
        """Some connection of the table."""
        found = [conn for conn in self.tcp.connections.values() if isinstance(conn, Connection)]
        return self.rng.choice(found) if found else None

    def near(self, *values: int) -> int:
        """One of `values`, now and then off by a little or a lot."""
        value = self.rng.choice(values)
        return value + self.rng.choice((0, 0, 0, 0, 0, 0, 1, -1, 2, -2, 1_000, -1_000, 1 << 20, 1 << 31, -(1 << 31)))

    def text(self, conn: Connection, seq: int) -> bytes:
        """What belongs at `seq`, of a length that is one of the interesting ones."""
        mss = conn.tcb.rmss
        length = self.rng.choice((0, 0, 0, 1, 1, 2, 10, mss - 1, mss, mss + 1, 2 * mss, 9_000, 40_000, 65_000))
        at = seq % 50_000
        return TEXT[at : at + max(length, 0)]

    def window(self) -> int:
        return self.rng.choice((0, 0, 1, 2, 10, 27, 28, 29, 100, 500, 536, 537, 1_000, 1_460, 5_000, 65_535, 65_535))

    def options(self, conn: Connection) -> bytes:
        """Timestamps as they should be or not, SACK blocks that are true or not, rubbish."""
        rng, tcb = self.rng, conn.tcb
        if rng.random() < 0.05:
            return self.rubbish(rng.randrange(0, 41))
        out = b""
        if tcb.ts_ok and rng.random() < 0.95:
            val = tcb.ts_recent + rng.choice((0, 0, 0, 1, 1, 10, -1, -10, -100_000, 1 << 31, 1 << 30))
            ecr = (self.now // 1000 + tcb.ts_offset) - rng.choice((0, 0, 1, 40, 200, 3_000, -1_000, 1 << 31))
            if rng.random() < 0.05:
                ecr = 0
            out = tcp_options.build_segment((val, ecr))
        if rng.random() < (0.5 if tcb.snd_nxt > tcb.snd_una + 1 else 0.1):
            blocks = [self.block(conn) for _ in range(rng.randrange(1, 5))]
            blocks = blocks[: (40 - len(out) - 4) // 8]
            out += tcp_options.build_segment(None, blocks)
        return out[:40]

    def block(self, conn: Connection) -> tuple[int, int]:
        rng, tcb = self.rng, conn.tcb
        records = conn.recovery.scoreboard.records
        if records and rng.random() < 0.7:
            record = rng.choice(records)
            mss = rng.choice((tcb.eff_snd_mss, conn.send_mss))
            left = record.seq + rng.randrange(max(record.segments, 1)) * mss
            right = left + mss * rng.randrange(1, 5)
            if rng.random() < 0.3:
                left, right = record.seq, record.end
            return self.near(left), self.near(right)
        edges = (tcb.snd_una, tcb.snd_nxt, tcb.snd_una + 1, tcb.snd_nxt - 1, tcb.iss, tcb.snd_una - 100)
        return self.near(*edges), self.near(*edges)

    def rubbish(self, length: int) -> bytes:
        octets = bytearray(self.rng.randbytes(length - length % 4))
        for i in range(0, len(octets), 4):
            if self.rng.random() < 0.5:
                octets[i] = self.rng.choice((0, 1, 2, 3, 4, 5, 8, 19, 34, 172, 174, 254))
        return bytes(octets)

    def segment(self) -> None:
        """A segment for a connection that exists, as good as right."""
        conn = self.pick()
        if conn is None:
            self.syn()
            return
        rng, tcb = self.rng, conn.tcb
        edges = [tcb.rcv_nxt, tcb.rcv_nxt, tcb.rcv_nxt, tcb.rcv_wup, tcb.rcv_wup + tcb.rcv_wnd, tcb.irs]
        buffer = conn.receive_buffer
        for left, right in buffer.blocks()[:4]:
            edges += (left, right)
        edges += (tcb.rcv_nxt + rng.randrange(1, 5_000), tcb.rcv_nxt - rng.randrange(0, 100))
        seq = self.near(*edges)
        middle = rng.randint(tcb.snd_una, tcb.snd_nxt)
        ack = self.near(tcb.snd_una, tcb.snd_nxt, tcb.snd_nxt, middle, middle)
        flags = tcp.ACK if rng.random() < 0.97 else 0
        for flag, share in (
            (tcp.PSH, 0.3), (tcp.FIN, 0.05), (tcp.RST, 0.01), (tcp.SYN, 0.02), (tcp.URG, 0.03), (tcp.ECE, 0.04),
            (tcp.CWR, 0.04), (0x100, 0.01),
        ):  # fmt: skip
            if rng.random() < share:
                flags |= flag
        if tcb.state is SYN_SENT and rng.random() < 0.8:
            flags |= tcp.SYN
        text = self.text(conn, seq)
        urgent = rng.getrandbits(16) if flags & tcp.URG else 0
        self.send_tcp(conn.key, seq, ack, flags, self.window(), self.options(conn), text, urgent)

    def conversation(self) -> None:
        """Several good segments in a row: so that states deep inside are reached."""
        conn = self.pick()
        if conn is None:
            return
        rng, tcb = self.rng, conn.tcb
        window = self.window() if rng.random() < 0.3 else 65_535
        for _ in range(rng.randrange(1, 12)):
            if tcb.state in (CLOSED, TIME_WAIT) or self.tcp.connections.get(conn.key) is not conn:
                return
            stamps = (tcb.ts_recent + 1, self.now // 1000 + tcb.ts_offset) if tcb.ts_ok else None
            blocks = []
            ack = tcb.snd_nxt
            if tcb.sack_ok and rng.random() < 0.3 and conn.recovery.scoreboard.records:
                ack, blocks = tcb.snd_una, [self.block(conn) for _ in range(rng.randrange(1, 4))]
            options = tcp_options.build_segment(stamps, blocks)
            flags = tcp.ACK | tcp.SYN if tcb.state is SYN_SENT else tcp.ACK
            seq = tcb.rcv_nxt if tcb.state is not SYN_SENT else 77
            length = rng.choice((0, 0, 1, 100, tcb.rmss))
            if rng.random() < 0.2:
                seq += rng.choice((1, tcb.rmss, 3 * tcb.rmss))
            self.send_tcp(conn.key, seq, ack, flags, window, options, TEXT[:length])
            self.turn()
            self.now += rng.choice((0, 10, 1_000, 20_000))

    def syn(self) -> None:
        """A new connection, or a SYN where there is one already."""
        rng = self.rng
        port = rng.choice((*PORTS, *PORTS, *PORTS, 99))
        sport = rng.choice((rng.randrange(1, 65_536), rng.randrange(1, 6)))
        key = self.someone() + US + sport.to_bytes(2, "big") + port.to_bytes(2, "big")
        if rng.random() < 0.1 and self.tcp.connections:
            key = rng.choice(list(self.tcp.connections))
        if rng.random() < 0.15:
            options = self.rubbish(rng.randrange(0, 41))
        else:
            mss = rng.choice((1, 36, 48, 88, 100, 536, 1_460, 1_460, 1_460, 8_960, 65_535))
            shift = rng.choice((None, 0, 2, 7, 14, 15, 255))
            stamps = (rng.getrandbits(32), 0) if rng.random() < 0.8 else None
            options = tcp_options.build_syn(mss, shift, rng.random() < 0.8, stamps)
            if rng.random() < 0.1:
                options = b""
        flags = tcp.SYN
        for flag in (tcp.FIN, tcp.RST, tcp.ACK, tcp.PSH, tcp.URG, tcp.ECE | tcp.CWR, 0x100):
            if rng.random() < 0.03:
                flags |= flag
        text = TEXT[: rng.choice((0, 0, 0, 0, 1, 1_000))]
        self.send_tcp(key, rng.getrandbits(32), rng.getrandbits(32), flags, self.window(), options, text)

    def complete(self) -> None:
        """The ACK that opens a connection in SYN-RECEIVED or SYN-SENT."""
        for conn in list(self.tcp.connections.values()):
            if isinstance(conn, Connection) and conn.state in (SYN_RECEIVED, SYN_SENT):
                tcb = conn.tcb
                window = self.rng.choice((self.window(), 65_535))
                text = TEXT[: self.rng.choice((0, 0, 0, 100))]
                stamps = (tcb.ts_recent, self.now // 1000 + tcb.ts_offset) if tcb.ts_ok else None
                if conn.state is SYN_SENT:
                    stamps = (self.rng.getrandbits(32), self.now // 1000 + tcb.ts_offset)
                    options = tcp_options.build_syn(self.rng.choice((36, 1_460)), 7, True, stamps)
                    seq = self.rng.getrandbits(32)
                    self.send_tcp(conn.key, seq, tcb.snd_nxt, tcp.SYN | tcp.ACK, window, options, b"")
                else:
                    options = tcp_options.build_segment(stamps)
                    self.send_tcp(conn.key, tcb.rcv_nxt, tcb.snd_nxt, tcp.ACK, window, options, text)
                if self.rng.random() < 0.7:
                    return

    def rubbish_segment(self) -> None:
        """A header of random octets for a connection that exists, or one that does not."""
        conn = self.pick()
        key = conn.key if conn is not None else self.someone() + US + self.rng.randbytes(4)
        octets = bytearray(self.rng.randbytes(self.rng.randrange(0, 100)))
        octets[:4] = key[8:]
        if len(octets) > 12 and self.rng.random() < 0.7:
            octets[12] = 0x50 + 0x10 * self.rng.randrange(0, 11)
        pair = key[:8]
        segment = bytes(octets)
        if len(segment) >= 20 and self.rng.random() < 0.9:
            segment = tcp.with_checksum(segment, pair)
        self.note(f"< rubbish {segment.hex()}")
        self.send_ip(pair, tcp.PROTOCOL, segment)

    def icmp_error(self) -> None:
        """An error that quotes something in flight, or something that is not."""
        rng = self.rng
        conn = self.pick()
        if conn is not None and rng.random() < 0.8:
            key, tcb = conn.key, conn.tcb
            seq = self.near(tcb.snd_una, tcb.snd_una, tcb.snd_nxt, tcb.snd_nxt - 1)
            transport = key[10:12] + key[8:10] + (seq & MASK).to_bytes(4, "big") + rng.randbytes(12)
            pair, protocol = key[4:8] + key[:4], tcp.PROTOCOL
        else:
            transport = rng.randbytes(rng.randrange(0, 40))
            pair, protocol = US + self.someone(), rng.choice((1, 6, 17, 250))
        length = rng.choice((len(transport), 0, 1_480, 65_515))
        quote = ipv4.build(pair, protocol, length) + transport
        kind = rng.choice((3, 3, 3, 3, 4, 5, 11, 12, rng.randrange(256)))
        code = rng.choice((0, 1, 2, 3, 4, 4, 4, 4, 13, rng.randrange(256)))
        mtu = rng.choice((0, 1, 67, 68, 296, 551, 552, 576, 1_006, 1_499, 1_500, 65_535))
        self.note(f"< icmp {kind}/{code} mtu {mtu}")
        source = rng.choice((pair[4:], self.someone()))
        self.send_ip(source + US, icmpv4.PROTOCOL, icmpv4.build(kind, code, rng.choice((0, 0, 5)), mtu, quote))

    def arp_packet(self) -> None:
        rng = self.rng
        addresses = (self.someone(), self.someone(), US, bytes(4), b"\xff" * 4)
        mac = rng.choice((PEER_MAC, PEER_MAC, OUR_MAC, b"\xff" * 6, bytes(6), rng.randbytes(6)))
        packet = arp.build(rng.choice((1, 1, 2, 2, 3)), mac, rng.choice(addresses), OUR_MAC, rng.choice(addresses))
        if rng.random() < 0.1:
            packet = packet[: rng.randrange(len(packet))]
        self.note(f"< arp {packet.hex()}")
        self.deliver(packet, mac=rng.choice((OUR_MAC, b"\xff" * 6)), kind=ethernet.ARP)

    def fragment(self) -> None:
        """Fragments of few datagrams: they overlap, repeat, contradict each other, or never end."""
        rng = self.rng
        for _ in range(rng.randrange(1, 12)):
            length = rng.choice((8, 8, 16, 24, 1_480, 1_000, 3))
            offset = rng.choice((0, 8, 16, 24, 1_480, 2_960, 65_512, 8 * rng.randrange(0, 8_190)))
            if offset + length + 20 > 65_535:
                length = 65_535 - 20 - offset
            protocol = rng.choice((1, 6, 17, 200))
            payload = TEXT[offset : offset + length]
            fields = {"ident": rng.randrange(3), "mf": rng.random() < 0.7, "offset": offset, "tos": rng.randrange(4)}
            self.send_ip(self.someone() + US, protocol, payload, **fields)
        self.note("< fragments")

    def ping(self) -> None:
        size = self.rng.choice((0, 56, 1_472, 1_473, 60_000))
        body = icmpv4.build_echo(1, 2, TEXT[:size])
        destination = self.rng.choice((US, US, NET + b"\xff", b"\xff" * 4, bytes((224, 0, 0, 1))))
        self.note(f"< ping {size}")
        self.send_ip(self.someone() + destination, icmpv4.PROTOCOL, body)

    def datagram(self) -> None:
        source = self.someone()
        body = udp.build(5, self.rng.choice((9, 10)), TEXT[: self.rng.choice((0, 1, 1_000, 60_000))], source + US)
        self.send_ip(source + US, udp.PROTOCOL, body)
        if self.rng.random() < 0.3:
            while self.endpoint.receive() is not None:
                pass

    def damage(self) -> None:
        """One of our own last frames comes back, damaged, to us or as it was; or a frame of random octets."""
        rng = self.rng
        if not self.device.frames or rng.random() < 0.3:
            self.stack.receive(rng.randbytes(rng.randrange(0, 200)), self.now)
            return
        frame = bytearray(rng.choice(self.device.frames))
        for _ in range(rng.randrange(0, 4)):
            frame[rng.randrange(len(frame))] = rng.randrange(256)
        frame[10:16] = OUR_MAC
        self.stack.receive(bytes(frame), self.now)

    # -- the user ------------------------------------------------------------------------------------------------------

    def socket_options(self) -> SocketOptions:
        rng, options = self.rng, SocketOptions()
        for _ in range(rng.choice((0, 0, 1, 2))):
            self.set_one(options)
        return options

    def set_one(self, options: SocketOptions) -> None:
        rng = self.rng
        name, value = rng.choice((
            ("nodelay", rng.random() < 0.5), ("cork", rng.random() < 0.5), ("quickack", rng.random() < 0.5),
            ("keepalive", rng.random() < 0.8), ("keepidle", rng.choice((SECOND, 10 * SECOND))),
            ("keepintvl", rng.choice((SECOND, 10 * SECOND))), ("keepcnt", rng.choice((1, 3))),
            ("user_timeout", rng.choice((0, MILLISECOND, 300 * MILLISECOND, 5 * SECOND))),
            ("linger", rng.choice((None, 0, SECOND))), ("rcvbuf", rng.choice((2304, 10_000, 300_000))),
            ("sndbuf", rng.choice((4608, 10_000, 300_000))), ("maxseg", rng.choice((88, 536, 2_000))),
            ("syncnt", rng.choice((1, 3))), ("defer_accept", rng.choice((0, SECOND, 10 * SECOND))),
            ("window_clamp", rng.choice((0, 1_500, 30_000))), ("notsent_lowat", rng.choice((0, 1, 20_000))),
            ("paced", True), ("max_pacing_rate", rng.choice((0, 1, 10_000, 1_000_000, (1 << 64) - 1))),
            ("congestion", rng.choice(("", "reno", "cubic", "bbr"))), ("tos", rng.choice((0, 3, 0x10))),
        ))  # fmt: skip
        setattr(options, name, value)

    def accept(self) -> None:
        for listener in self.listeners:
            conn = listener.accept()
            if conn is not None:
                self.mine.append(conn)
                if self.rng.random() < 0.7:
                    conn.observer = lambda ready, conn=conn: self.on_ready(conn, ready)
                self.note(f"| accept {conn.remote[1]}")

    def on_ready(self, conn: Connection, ready: int) -> None:
        """A user that acts from within the turn."""
        rng = self.rng
        if rng.random() < 0.5:
            conn.recv(rng.choice((1, 1_000, 1 << 20)))
        if rng.random() < 0.2:
            self.send_on(conn, 10_000)
        if rng.random() < 0.03:
            rng.choice((conn.shutdown, conn.close, conn.abort))()

    def whose(self) -> Connection | None:
        return self.rng.choice(self.mine) if self.mine else None

    def send(self) -> None:
        conn = self.whose()
        if conn is not None:
            self.send_on(conn, self.rng.choice((1, 10, 100, 1_448, 5_000, 66_000, 120_000)))

    def send_on(self, conn: Connection, length: int) -> None:
        if conn.user_gone or conn.fin_queued or conn.state in (CLOSED, TIME_WAIT):
            return
        taken = conn.send(TEXT[:length], self.rng.random() < 0.1)
        self.note(f"| {conn.remote[1]} send {length} = {taken}")

    def receive(self) -> None:
        conn = self.whose()
        if conn is not None and not conn.user_gone:
            data = conn.recv(self.rng.choice((1, 100, 5_000, 1 << 20)))
            self.note(f"| {conn.remote[1]} recv = {None if data is None else len(data)}")

    def close(self) -> None:
        conn = self.whose()
        if conn is None:
            return
        how = self.rng.choice((conn.shutdown, conn.shutdown, conn.close, conn.close, conn.abort))
        self.note(f"| {conn.remote[1]} {how.__name__}")
        how()
        if conn.user_gone:
            self.mine.remove(conn)

    def connect(self) -> None:
        try:
            local = (US, self.rng.randrange(1, 4)) if self.rng.random() < 0.3 else None
            remote = self.rng.choice((self.someone(), self.someone(), US)), self.rng.choice((7, 80, 81))
            conn = self.tcp.connect(local, remote, self.socket_options())
        except OSError:
            return
        self.note(f"| connect {conn.local[1]} > {conn.remote}")
        self.mine.append(conn)

    def option(self) -> None:
        conn = self.whose()
        if conn is not None and not conn.user_gone:
            self.set_one(conn.options)
            conn.options_changed(quickack=self.rng.random() < 0.1)
            self.note(f"| {conn.remote[1]} option")

    # -- the world -----------------------------------------------------------------------------------------------------

    def wait(self) -> None:
        rng = self.rng
        kind = rng.randrange(6)
        if kind == 0:
            self.now += rng.randrange(0, 2_000)  # the timer is late
        elif kind == 1 and (at := self.stack.deadline()) is not None:
            self.advance(max(at - self.now, 0))
        else:
            self.advance(
                rng.choice((1, 100, MILLISECOND, 50 * MILLISECOND, 500 * MILLISECOND, 5 * SECOND, 70 * SECOND))
            )
            if rng.random() < 0.02:
                self.advance(rng.choice((15 * MINUTE, 180 * MINUTE)))
        self.note("wait")

    def mtu(self) -> None:
        """The path to a peer is found to be narrower, by somebody."""
        mtu = self.rng.choice((600, 1_000, 1_400))
        self.stack.ip.reduce_mtu(self.someone(), mtu, self.now)
        self.note(f"path mtu {mtu}")


def fight(seed: int, steps: int = 400, kind: type[Fight] = Fight) -> None:
    """One run; what goes wrong is raised with the seed and the last steps."""
    one = kind(Random(seed))
    try:
        one.run(steps)
    except Exception as error:
        error.add_note(f"seed {seed}, {steps} steps, mtu {one.device.mtu}; the last of them:\n" + "\n".join(one.log))
        raise


def main(description: str, kind: type[Fight] = Fight) -> int:
    """Fights from the command line; the exit status."""
    parser = argparse.ArgumentParser(description=description)
    parser.add_argument("--seeds", type=int, default=100)
    parser.add_argument("--first", type=int, default=0)
    parser.add_argument("--steps", type=int, default=400)
    arguments = parser.parse_args()
    failed: dict[str, list[int]] = {}
    notes: dict[str, str] = {}
    for seed in range(arguments.first, arguments.first + arguments.seeds):
        try:
            fight(seed, arguments.steps, kind)
        except Exception as error:
            place = traceback.extract_tb(error.__traceback__)[-1]
            what = f"{type(error).__name__} {str(error)[:80]} at {place.filename.rsplit('/', 1)[-1]}:{place.lineno}"
            failed.setdefault(what, []).append(seed)
            notes.setdefault(what, "".join(traceback.format_exception(error)))
    for what, seeds in sorted(failed.items(), key=lambda item: len(item[1])):
        print(notes[what][-6000:])
        print(f"=== {what}: {len(seeds)} seeds, first {seeds[:8]}\n")
    print(f"{arguments.seeds} seeds, {sum(map(len, failed.values()))} failed")
    return 1 if failed else 0


if __name__ == "__main__":
    sys.exit(main("A long campaign against the stack."))
