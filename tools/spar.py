"""Random exchanges between this kernel's TCP as sender and a peer of ours, written down as packetdrill scripts.

    sudo .venv/bin/python tools/spar.py --seeds 1-100 --out sparring

A seed decides the path (loss, reordering, duplication, round trip), the receiver (SACK, timestamps, window, how it
acknowledges) and the application (what it writes, when, with which socket options). What Linux does is recorded, with
TCP_INFO at every moment where the peer or the application acts; then the stack has to do the same (`--only-check`
looks at scripts that are there already). Times are looked at with a tolerance, for the kernel counts in jiffies of
4 ms; everything else exactly. The first difference of each script is told.
"""

import argparse
import heapq
import multiprocessing
import os
import random
import re
import sys
import traceback
from collections import Counter
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from itertools import count
from multiprocessing.connection import Connection
from pathlib import Path
from typing import Any

from netstack.drill import notation
from netstack.drill.code import run_code
from netstack.drill.codec import parse_ip
from netstack.drill.compare import Rules
from netstack.drill.engine import Manner, Run
from netstack.drill.expect import shown
from netstack.drill.kernel.host import KernelHost
from netstack.drill.nodes import Call, Code, Event, Packet, TcpSegment, Timestamps
from netstack.drill.observe import observe
from netstack.drill.options import Options, read_options
from netstack.drill.outcome import Mismatch, Unsupported
from netstack.drill.parse import parse
from netstack.drill.runner import initial_settings
from netstack.drill.timing import Clockwork, Due
from netstack.drill.virtual.host import StackHost
from netstack.units import MILLISECOND, SECOND, Micros, Octets, Seq

LATE: Micros = 5 * MILLISECOND
"""A packet of ours that is injected so much too late spoils the recording."""
ATTEMPTS = 4
ECN = 0.15
"""How many of the paths have it."""
LONGEST: Micros = 20 * SECOND
LOOKED_AT = (
    "ca_state", "snd_cwnd", "snd_ssthresh", "unacked", "sacked", "lost", "retrans", "reordering", "backoff",
    "retransmits", "total_retrans", "notsent_bytes", "bytes_acked", "delivered", "dsack_dups", "reord_seen",
)  # fmt: skip
"""Fields of TCP_INFO that have to be equal."""
NEARLY = ("rto", "rtt", "rttvar", "min_rtt")
"""Those that a clock is in."""


# -- what a seed decides -----------------------------------------------------------------------------------------------


@dataclass
class Plan:
    """One seed's circumstances."""

    mss: Octets
    sack: bool
    stamps: bool
    wscale: int
    window: Octets
    rtt: int
    loss: float
    ack_loss: float
    burst: float
    """How likely the segment after a lost one is lost too."""
    reorder: float
    duplicate: float
    dsack: bool
    delayed: int
    """Milliseconds that a lone segment waits for its ACK; 0: none does."""
    spacing: int
    """Milliseconds between arrivals of one burst."""
    shrinking: bool
    """The reader of the peer stops at times, and its window closes."""
    options: list[str]
    writes: list[tuple[int, Octets, str]]
    """Milliseconds since the one before, octets, flags."""
    ending: str
    sndbuf: Octets
    reneging: bool
    """The peer forgets now and then what it had reported by SACK."""
    sysctls: dict[str, str]
    marks: float
    """How likely a router marks a segment; negative: without ECN."""


def plan(rng: random.Random) -> Plan:
    """Half of the paths are mild: whatever differs there is easier to read."""
    mild = rng.random() < 0.5
    mss = rng.choice([1000, 1000, 1000, 1460, 500, 536, 1200])
    wscale = rng.choice([0, 2, 7, 8])
    window = rng.choice([60_000, 60_000, 120_000, 30_000, 20_000, 5_000, 3_000])
    if not wscale:
        window = min(window, 65_535)
    options = []
    if rng.random() < 0.3:
        options.append("TCP_NODELAY")
    if rng.random() < 0.1:
        options.append("TCP_CORK")
    writes = []
    for _ in range(rng.randint(1, 6)):
        size = rng.choice([rng.randint(1, 999), rng.randint(1, 12) * mss, rng.randint(1_000, 40_000)])
        flags = "MSG_MORE" if rng.random() < 0.1 else "0"
        writes.append((rng.choice([0, 0, 3, 20, 150, 600, 1500]), size, flags))
    sysctls = {
        "tcp_wmem": "4096 262144 4194304",
        "tcp_congestion_control": rng.choice(["cubic", *["reno"] * 7]),
        "tcp_slow_start_after_idle": rng.choice(["1", "1", "0"]),
    }
    for name, value, likely in (
        ("tcp_early_retrans", "0", 0.1), ("tcp_recovery", rng.choice(["0", "2", "4"]), 0.2), ("tcp_frto", "0", 0.1),
        ("tcp_reordering", "5", 0.05), ("tcp_thin_linear_timeouts", "1", 0.05), ("tcp_rto_min_us", "40000", 0),
        ("tcp_notsent_lowat", "6000", 0.05),
    ):  # fmt: skip
        if rng.random() < likely:
            sysctls[name] = value
    return Plan(
        mss=mss,
        sack=rng.random() < 0.75,
        stamps=rng.random() < 0.4,
        wscale=wscale,
        window=window,
        rtt=rng.choice([20, 40, 60, 100, 150]),
        loss=rng.choice([0, 0.03, 0.08]) if mild else rng.choice([0.1, 0.2, 0.3]),
        ack_loss=rng.choice([0, 0, 0.1, 0.3]),
        burst=rng.choice([0, 0.3, 0.7]),
        reorder=rng.choice([0, 0, 0.05, 0.2]),
        duplicate=rng.choice([0, 0, 0.05]),
        dsack=rng.random() < 0.8,
        delayed=rng.choice([0, 0, 40, 200]),
        spacing=rng.choice([0, 0, 2, 3]),
        shrinking=rng.random() < 0.15,
        options=options,
        writes=writes,
        ending=rng.choice(["", "", "shutdown", "close"]),
        sndbuf=rng.choice([200_000, 200_000, 200_000, 0, 10_000]) if rng.random() < 0.1 else 0,
        reneging=rng.random() < 0.1,
        sysctls=sysctls,
        marks=rng.choice([0, 0.05, 0.2]) if rng.random() < ECN else -1,
    )


# -- the peer ----------------------------------------------------------------------------------------------------------


@dataclass
class Receiver:
    """The peer's half of the connection: a receiver by the book, on a path that is not."""

    plan: Plan
    rng: random.Random
    rcv_nxt: Seq = 1
    held: list[tuple[Seq, Seq]] = field(default_factory=list)
    """Ranges beyond a gap, the one that grew last first."""
    unacked: int = 0
    fin: bool = False
    ts_recent: int | None = None
    closed_until: int = -1
    """Milliseconds: its reader sleeps until then, and octets fill the buffer."""
    unread: Octets = 0
    losing: bool = False
    marked: bool = False
    """Says so until the sender answers (RFC 3168 6.1.3)."""

    def loses(self) -> bool:
        """Whether the path drops the next segment."""
        chance = self.plan.burst if self.losing else 0
        self.losing = self.rng.random() < max(chance, self.plan.loss)
        return self.losing

    def take(self, seq: Seq, end: Seq, fin: bool, stamp: int | None) -> tuple[bool, tuple[Seq, Seq] | None]:
        """A segment is here. Returns whether it is to be acknowledged at once, and what is reported as duplicate."""
        before = self.rcv_nxt
        if self.held and self.plan.reneging and self.rng.random() < 0.1:
            self.held.clear()
        if stamp is not None and seq <= self.rcv_nxt:
            self.ts_recent = stamp if self.ts_recent is None else max(stamp, self.ts_recent)
        double = self._double(seq, end)
        if end > self.rcv_nxt:
            self._hold(seq, end)
        while ready := [block for block in self.held if block[0] <= self.rcv_nxt]:
            for block in ready:
                self.rcv_nxt = max(self.rcv_nxt, block[1])
                self.held.remove(block)
        self.fin = self.fin or (fin and self.rcv_nxt >= end)
        self.unacked += self.rcv_nxt - before
        if self.closed_until >= 0:
            self.unread += self.rcv_nxt - before
        at_once = bool(self.held) or double is not None or self.rcv_nxt - before != end - seq or self.fin
        return at_once or self.unacked >= 2 * self.plan.mss or not self.plan.delayed, double

    def _double(self, seq: Seq, end: Seq) -> tuple[Seq, Seq] | None:
        if seq < self.rcv_nxt:
            return seq, min(end, self.rcv_nxt)
        for left, right in self.held:
            if left <= seq < right:
                return seq, min(end, right)
        return None

    def _hold(self, seq: Seq, end: Seq) -> None:
        for block in self.held.copy():
            if block[0] <= end and seq <= block[1]:
                seq, end = min(seq, block[0]), max(end, block[1])
                self.held.remove(block)
        self.held.insert(0, (seq, end))

    def window(self) -> int:
        """The field of the header."""
        return max(0, self.plan.window - self.unread) >> self.plan.wscale

    def options(self, double: tuple[Seq, Seq] | None, now: int) -> str:
        """Those of an ACK that leaves at `now`."""
        items = []
        if self.plan.stamps:
            items.append(f"nop,nop,TS val {1000 + now} ecr {self.ts_recent}")
        blocks = [double] if double is not None and self.plan.dsack else []
        blocks += [block for block in self.held if block[0] >= self.rcv_nxt]
        if blocks and self.plan.sack:
            some = blocks[: 3 if self.plan.stamps else 4]
            items.append("nop,nop,sack " + " ".join(f"{left}:{right}" for left, right in some))
        return f" <{','.join(items)}>" if items else ""


# -- the recording -----------------------------------------------------------------------------------------------------


class Spoilt(Exception):
    """This recording is worth nothing: the machine was late."""


class Recorder:
    """Plays one seed on a host, and writes down what both sides do."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = random.Random(seed)
        self.plan = plan(self.rng)
        self.peer = Receiver(self.plan, self.rng)
        self.lines: list[str] = []
        self.queue: list[tuple[Micros, int, Callable[[Micros], None]]] = []
        self.order = count()
        self.alarm = 0
        if self.plan.marks >= 0:
            self.plan.sysctls["tcp_ecn"] = "1"
        wanted = " ".join(f'net.ipv4.{name}="{value}"' for name, value in self.plan.sysctls.items())
        self.begin = f"`sysctl -q {wanted}`\n"
        self.run = Run(parse(self.begin), KernelHost(Options()), Manner(), lambda name: None)
        settings = initial_settings(parse(self.begin), Options(), lambda name: None)
        self.run.host.configure(settings.values)

    def record(self) -> str:
        """The script."""
        self._open()
        at = self.run.host.now() // MILLISECOND * MILLISECOND + 20 * MILLISECOND
        for pause, size, flags in self.plan.writes:
            at += pause * MILLISECOND
            self._later(at, lambda at, size=size, flags=flags: self._write(at, size, flags))
        if "TCP_CORK" in self.plan.options:
            at += self.rng.choice([0, 50, 300]) * MILLISECOND
            self._later(at, lambda at: self._line(at, "setsockopt(4, SOL_TCP, TCP_CORK, [0], 4) = 0"))
        if self.plan.ending:
            at += self.rng.choice([0, 100, 1000]) * MILLISECOND
            call = "shutdown(4, SHUT_WR) = 0" if self.plan.ending == "shutdown" else "close(4) = 0"
            self._later(at, lambda at: self._line(at, call))
        if self.plan.shrinking:
            self._later(at - self.rng.randint(0, 400) * MILLISECOND, self._stop_reading)
        last = at
        while self.queue:
            due = self.queue[0][0]
            self._watch(due)
            if self.queue[0][0] < due:
                continue
            _, _, act = heapq.heappop(self.queue)
            if due > LONGEST:
                break
            act(due)
            last = due
            if not self.queue:
                self._watch(self.run.host.now() + 700 * MILLISECOND, first=True)
        self._watch(max(self.run.host.now(), last + 300 * MILLISECOND))
        self._look(self.run.host.now() // MILLISECOND * MILLISECOND + MILLISECOND)
        return self._text()

    def _text(self) -> str:
        told = ", ".join(f"{name} {value}" for name, value in vars(self.plan).items() if name != "writes")
        return f"// Seed {self.seed}: {told}\n{self.begin}" + "\n".join(self.lines) + "\n"

    def _open(self) -> None:
        chosen = self.plan
        stamps = "TS val 1000 ecr 0" if chosen.stamps else ""
        sack = "sackOK" if chosen.sack else ""
        syn, accepted = ("SEW", "SE.") if chosen.marks >= 0 else ("S", "S.")
        offered = ",".join(item for item in (f"mss {chosen.mss}", sack, stamps, f"nop,wscale {chosen.wscale}") if item)
        answer = {
            (True, True): "sackOK,TS val 100 ecr 1000,", (False, True): "nop,nop,TS val 100 ecr 1000,",
            (True, False): "nop,nop,sackOK,", (False, False): "",
        }[chosen.sack, chosen.stamps]  # fmt: skip
        echo = " <nop,nop,TS val 1000 ecr 100>" if chosen.stamps else ""
        self._line(0, "socket(..., SOCK_STREAM, IPPROTO_TCP) = 3")
        self._line(0, "setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0")
        self._line(0, "bind(3, ..., ...) = 0")
        self._line(0, "listen(3, 1) = 0")
        at = 10 * MILLISECOND
        self._line(at, f"< {syn} 0:0(0) win {min(chosen.window, 65_535)} <{offered}>")
        self._line(at, f"> {accepted} 0:0(0) ack 1 <mss 1460,{answer}nop,wscale 7>")
        at += chosen.rtt * MILLISECOND
        self._line(at, f"< . 1:1(0) ack 1 win {self.peer.window()}{echo}")
        self._line(at, "accept(3, ..., ...) = 4")
        self._line(at, "fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0")
        if chosen.sndbuf:
            self._line(at, f"setsockopt(4, SOL_SOCKET, SO_SNDBUF, [{chosen.sndbuf}], 4) = 0")
        for option in chosen.options:
            self._line(at, f"setsockopt(4, SOL_TCP, {option}, [1], 4) = 0")
        self.peer.ts_recent = 100 if chosen.stamps else None
        self.opened = True

    def _later(self, at: Micros, act: Callable[[Micros], None]) -> None:
        heapq.heappush(self.queue, (at, next(self.order), act))

    def _line(self, at: Micros, text: str) -> None:
        """A line whose outcome is known is written down and happens."""
        if self.run.host.now() > at + LATE:
            raise Spoilt(f"{self.run.host.now() - at} us late")
        self._look(at)
        at = max(at, self.run.host.now())
        line = f"{notation.seconds(at)} {text}"
        self.run._event(parse(line + "\n").events[0])
        self.lines.append(line)
        self._acted(at)

    def _acted(self, at: Micros) -> None:
        self.acted_due, self.acted_at, self.news = at, self.run.host.now(), True

    def _write(self, at: Micros, size: Octets, flags: str) -> None:
        """What write returns is recorded."""
        at = max(at, self.latest)
        name = "write" if flags == "0" else "send"
        more = "" if flags == "0" else f", {flags}"
        event = parse(f"{notation.seconds(at)} {name}(4, ..., {size}{more}) = 0\n").events[0]
        self._look(at)
        self.run.host.run_until(at)
        at = max(at, self.run.host.now())
        assert isinstance(event.action, Call)
        started = self.run.calls.begin(event.action)
        self.run.host.wait(started.pending, at + LATE)
        result = "-1 EAGAIN" if started.pending.error else str(started.pending.value)
        if started.pending.error and started.pending.error.errno != 11:
            result = f"-1 {started.pending.error}"
        self.lines.append(f"{notation.seconds(at)} {name}(4, ..., {size}{more}) = {result}")
        self._acted(at)

    def _look(self, at: Micros) -> None:
        """TCP_INFO, just before something happens at `at`."""
        descriptor = self.run.connections.live_descriptor()
        if descriptor is None or not self.news or not self.opened:
            return
        self.run.host.run_until(at)
        self.news = False
        self._watch(at)
        at = max(at, self.latest, self.acted_due)
        info = self.run.host.tcp_info(descriptor)
        if not info:
            return
        told = [f"tcpi_{name} == {info[name]}" for name in LOOKED_AT]
        again = info["total_retrans"] and self.plan.stamps  # then the time of a timer is in the round trip
        least, part = (10_000, 3) if again else (4_000, 6)
        told += [f"abs(tcpi_{name} - {info[name]}) <= {max(least, info[name] // part)}" for name in NEARLY]
        self.lines.append(f"{notation.seconds(at)} %{{ assert {'; assert '.join(told)} }}%")

    def _watch(self, until: Micros, first: bool = False) -> None:
        """Take what leaves until then (`first`: until something did), and let it travel."""
        while (got := self.run.host.outbound(until)) is not None:
            self._left(*got)
            if self.queue and (first or self.queue[0][0] < until):
                return

    def _left(self, at: Micros, octets: bytes) -> None:
        datagram = parse_ip(octets)
        flow = self.run.connections.outbound(datagram) if datagram is not None else None
        if datagram is None or flow is None:
            return
        got = observe(at, datagram, flow)
        body = got.tcp
        assert body is not None
        stamp = next((item for item in got.raw_options if isinstance(item, Timestamps)), None)
        told = None
        if stamp is not None:
            told = flow.timestamp_to_script(stamp.val or 0)
            flow.learn_timestamp(stamp.val or 0, told)
        if at - self.acted_at < 2 * MILLISECOND:  # an answer, not a timer
            at = self.acted_due
        self.news = True
        self.latest = at
        written = replace(got, packet=replace(got.packet, body=replace(body, window=None)))
        self.lines.append(f"{notation.seconds(at)} {shown(None, written).replace('[noecn] ', '')}")
        if "R" in body.flags:
            return
        if not body.length and "F" not in body.flags:  # a probe for the window, or for life
            if not self._drops():
                self._later(self._arrival(at), lambda at: self._answer(at))
            return
        end = body.seq + body.length + ("F" in body.flags)
        copies = 2 if self.rng.random() < self.plan.duplicate else 1
        if self.peer.loses():
            return
        arrival = self._arrival(at)
        if self.rng.random() < self.plan.reorder:
            arrival += self.rng.choice([2, 5, self.plan.rtt // 4, self.plan.rtt]) * MILLISECOND
        for _ in range(copies):
            self._later(arrival, lambda at, told=told: self._arrive(at, body, end, told))
            arrival += 3 * MILLISECOND

    def _drops(self) -> bool:
        return self.rng.random() < self.plan.loss

    def _arrival(self, at: Micros) -> Micros:
        due = (-(-at // MILLISECOND) + self.plan.rtt) * MILLISECOND
        if self.plan.spacing:
            due = max(due, self.last_arrival + self.plan.spacing * MILLISECOND)
        self.last_arrival = due
        return due

    last_arrival: Micros = 0
    acted_at = acted_due = latest = 0
    opened = news = False

    def _arrive(self, at: Micros, body: TcpSegment, end: Seq, stamp: int | None) -> None:
        if "W" in body.flags:
            self.peer.marked = False
        if self.plan.marks > 0 and body.length and self.rng.random() < self.plan.marks:
            self.peer.marked = True
        now, double = self.peer.take(body.seq, end, "F" in body.flags, stamp)
        if now:
            self._answer(at, double)
        elif not self.alarm:
            self.alarm = at + self.plan.delayed * MILLISECOND
            self._later(self.alarm, self._alarmed)

    def _alarmed(self, at: Micros) -> None:
        if self.alarm == at:
            self._answer(at)

    def _answer(self, at: Micros, double: tuple[Seq, Seq] | None = None) -> None:
        self.alarm = self.peer.unacked = 0
        if self.rng.random() < self.plan.ack_loss:
            return
        peer = self.peer
        now = at // MILLISECOND
        flags = "E." if peer.marked else "."
        self._line(at, f"< {flags} 1:1(0) ack {peer.rcv_nxt} win {peer.window()}{peer.options(double, now)}")

    def _stop_reading(self, at: Micros) -> None:
        self.peer.closed_until = at
        self._later(at + self.rng.choice([200, 500, 900]) * MILLISECOND, self._read_on)

    def _read_on(self, at: Micros) -> None:
        self.peer.closed_until, self.peer.unread = -1, 0
        self._answer(at)


def record(seed: int, recorder: Callable[[int], Any]) -> str:
    """The script of `seed`, recorded in a child process with a network namespace of its own."""
    context = multiprocessing.get_context("fork")
    for _ in range(ATTEMPTS):
        ours, theirs = context.Pipe(duplex=False)
        child = context.Process(target=_child, args=(theirs, seed, recorder), daemon=True)
        child.start()
        theirs.close()
        try:
            good, text = ours.recv()
        except EOFError:
            good, text = False, "the recording process died"
        child.join()
        if good:
            return str(text)
    raise Spoilt(text)


def _child(theirs: Connection, seed: int, recorder: Callable[[int], Any]) -> None:
    sys.setswitchinterval(0.0005)
    try:
        theirs.send((True, recorder(seed).record()))
    except (Spoilt, Mismatch) as late:
        theirs.send((False, str(late)))
    except BaseException:
        theirs.send((False, traceback.format_exc()))
    theirs.close()
    os._exit(0)


# -- the stack's turn --------------------------------------------------------------------------------------------------


JIFFY: Micros = 4 * MILLISECOND
WHEEL = ((64, 1), (512, 8), (4096, 64), (1 << 62, 512))
"""Linux's timer wheel: a timer so many jiffies away fires with such a granularity, never early."""


def on_the_wheel(at: Micros, now: Micros) -> Micros:
    """When Linux's timer fires that is armed `now` for `at`."""
    jiffy, away = now // JIFFY, -(-(at - now) // JIFFY)
    grain = next(grain for least, grain in WHEEL if away < least)
    return (jiffy + away + grain) // grain * grain * JIFFY


class JiffyHost(StackHost):
    """The stack with its timers on Linux's wheel, so that they fire when the recorded ones did, or nearly."""

    def __init__(self, options: Options) -> None:
        super().__init__(options)
        self.seen: dict[Any, Micros] = {}

    def _turn(self) -> None:
        super()._turn()
        self._snap()

    def _step(self, until: Micros) -> bool:
        self._snap()
        return super()._step(until)

    def _snap(self) -> None:
        for conn in self.stack.tcp.connections.values():
            if conn.timer_at and self.seen.get(conn) != conn.timer_at:
                self.seen[conn] = conn.timer_at = on_the_wheel(conn.timer_at, self.clock)


class Patient(Clockwork):
    """What happens long after the script last acted may be off by as much as a timer's granularity adds up to."""

    acted: Micros = 0

    def due(self, event: Event) -> Due:
        found = super().due(event)
        if isinstance(event.action, Packet) and event.action.inbound:
            self.acted = found.end
        return replace(found, slack=self.least + (found.end - self.acted) // 7)


class Checked(Run):
    """A run that looks at TCP_INFO when it is due, not at the end: the first difference is the one to read."""

    def _act(self, event: Event, action: object, due: Due) -> None:
        super()._act(event, action, due)  # type: ignore[arg-type]
        if isinstance(action, Code):
            try:
                run_code(self.moments[-1:])
            except Mismatch as wrong:
                raise _differing(wrong, self.moments[-1].info) from None


def _differing(wrong: Mismatch, info: Mapping[str, int]) -> Mismatch:
    """Only the fields that differ."""
    told = []
    for term in wrong.expected.removeprefix("assert ").split("; assert "):
        if not eval(term, {"abs": abs, **{f"tcpi_{name}": value for name, value in info.items()}}):
            name = re.findall(r"tcpi_(\w+)", term)[0]
            told.append((name, term.split("==")[-1].split("- ")[-1].split(")")[0].strip(), str(info[name])))
    linux, stack = (", ".join(f"{one[0]} {one[which]}" for one in told) for which in (1, 2))
    return Mismatch(wrong.line, f"tcp_info: {', '.join(one[0] for one in told)}", linux, stack)


def check(text: str, name: str, tolerance: Micros) -> Mismatch | None:
    """The first thing that the stack does otherwise."""
    script = parse(text, name)
    options = read_options(script)
    host = JiffyHost(options)
    run = Checked(script, host, Manner(Rules(tolerance=tolerance)), lambda name: None)
    run.clockwork = Patient(tolerance)
    try:
        host.configure(initial_settings(script, options, lambda name: None).values)
        run.execute()
    except Mismatch as wrong:
        return wrong
    except Unsupported as wrong:
        return Mismatch(run.line, f"unsupported: {wrong}", "", "")
    got = host.outbound(host.now())
    if got is not None:
        run.expecting.leftover(*got)
        return Mismatch(run.line, "more than the kernel sends", "", str(run.timeline[-1]))
    return None


def kind(wrong: Mismatch) -> str:
    """What sort of difference it is."""
    return wrong.what.partition(":")[0]


def main(recorder: Callable[[int], Any], about: str | None, folder: str) -> int:
    """Record, check, tell."""
    parser = argparse.ArgumentParser(description=about, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("--seeds", default="1-20", help="N or N-M (%(default)s)")
    parser.add_argument("--out", type=Path, default=Path(folder), help="folder of the scripts (%(default)s)")
    parser.add_argument("--only-check", action="store_true", help="look at the scripts in the folder, record none")
    parser.add_argument("--tolerance", type=int, default=36_000, help="microseconds (%(default)s)")
    asked = parser.parse_args()
    first, _, last = asked.seeds.partition("-")
    asked.out.mkdir(parents=True, exist_ok=True)
    kinds: Counter[str] = Counter()
    for seed in range(int(first), int(last or first) + 1):
        path = asked.out / f"seed{seed:04}.pkt"
        if not asked.only_check:
            try:
                path.write_text(record(seed, recorder))
            except Spoilt as late:
                print(f"{path.name}: not recorded: {late}")
                continue
        elif not path.exists():
            continue
        wrong = check(path.read_text(), path.name, asked.tolerance)
        kinds[kind(wrong) if wrong else "same"] += 1
        if wrong:
            print(f"{path.name}:{wrong.line}: {wrong.what}\n    linux {wrong.expected[:150]}\n    stack {wrong.actual}")
    print(", ".join(f"{how} {number}" for how, number in kinds.most_common()))
    return 0 if set(kinds) <= {"same"} else 1


if __name__ == "__main__":
    sys.exit(main(Recorder, __doc__, "sparring"))
