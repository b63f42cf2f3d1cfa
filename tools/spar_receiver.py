"""Random exchanges between this kernel's TCP as receiver and a sender of ours, written down as packetdrill scripts.

    sudo .venv/bin/python tools/spar_receiver.py --seeds 1-100 --out sparring-receiver

The other half of `spar`. A seed decides the connection (segment size, options, who opens it), the receiver's settings
(SO_RCVBUF, TCP_WINDOW_CLAMP, sysctls), what the peer sends (in order, beyond gaps, twice, across the window's edges, a
FIN) and what the application does (reads, looks, waits, writes). What Linux answers is recorded to the octet, windows
included, with TCP_INFO after each step; then the stack has to do the same.
"""

import re
import struct
import sys
from collections.abc import Mapping
from dataclasses import dataclass
from errno import errorcode
from random import Random
from typing import Any

from spar import Spoilt, main

from netstack.drill import notation
from netstack.drill.codec import parse_ip
from netstack.drill.engine import Manner, Run
from netstack.drill.expect import shown
from netstack.drill.kernel.host import KernelHost
from netstack.drill.nodes import Call, Timestamps
from netstack.drill.observe import Observed, observe
from netstack.drill.options import Options
from netstack.drill.parse import parse
from netstack.drill.runner import initial_settings
from netstack.units import MILLISECOND, SECOND, Micros, Octets, Seq

LATE: Micros = 6 * MILLISECOND
LONGEST: Micros = 8 * SECOND
ALL = 100_000
"""More than there is to read."""
LOOKED_AT = (
    "rcv_mss", "rcv_ssthresh", "rcv_wnd", "rcv_ooopack", "bytes_received", "segs_in", "data_segs_in", "rcv_wscale",
    "advmss", "rcv_space",
)  # fmt: skip
NEARLY = ("rcv_rtt", "ato")
STYLES = {
    "bulk": {"next": 80, "gap": 3, "fill": 2, "old": 3, "beyond": 2, "read": 8, "other": 2},
    "mixed": {"next": 40, "gap": 10, "fill": 10, "old": 6, "beyond": 4, "read": 20, "other": 10},
    "gaps": {"next": 10, "gap": 45, "fill": 15, "old": 10, "beyond": 2, "read": 10, "other": 8},
    "chat": {"next": 40, "gap": 2, "fill": 2, "old": 2, "beyond": 2, "read": 20, "other": 32},
    "small": {"next": 60, "gap": 10, "fill": 8, "old": 6, "beyond": 4, "read": 10, "other": 2},
    "edge": {"next": 35, "gap": 10, "fill": 10, "old": 10, "beyond": 25, "read": 10},
    "stream": {"burst": 1},
}
"""How likely the next step is what, in each sort of exchange."""


@dataclass
class Plan:
    """One seed's circumstances."""

    mss: Octets
    sack: bool
    stamps: bool
    wscale: int | None
    rcvbuf: Octets
    clamp: Octets
    active: bool
    rtt: int
    style: str
    reads: float
    """How likely each step is followed by a read of everything."""
    exact: bool
    """Duplicate ACKs do not wait for each other, so several steps may have one time."""
    sysctls: list[str]


def plan(rng: Random) -> Plan:
    """The rarer a thing, the more it hides of what comes after."""
    sysctls = []
    for chance, setting in (
        (0.15, "shrink_window=1"), (0.1, "moderate_rcvbuf=0"), (0.1, "dsack=0"),
        (0.2, 'rmem="' + rng.choice(["4096 20000 60000", "4096 8000 6291456", "10000 30000 200000"]) + '"'),
    ):  # fmt: skip
        if rng.random() < chance:
            sysctls.append(f"net.ipv4.tcp_{setting}")
    rtt, compress = rng.choice([10, 40, 100]), rng.random()
    if compress < 0.35:
        sysctls.append("net.ipv4.tcp_comp_sack_nr=0")
    elif compress < 0.6:
        sysctls.append("net.ipv4.tcp_comp_sack_delay_ns=20000000")
        rtt = rng.choice([100, 200])
    stamps = rng.random() < 0.4
    return Plan(
        mss=rng.choice([1460, 1460, 1000, 1000, 536, 500, 100, 1200]),
        sack=rng.random() < 0.8,
        stamps=stamps,
        wscale=rng.choice([None, 0, 7, 7]),
        rcvbuf=rng.choice([0, 0, 0, 1, 2000, 3000, 4000, 10_000, 20_000, 60_000, 200_000]),
        clamp=rng.choice([0] * 8 + [3000, 10_000, 40_000]),
        active=rng.random() < 0.25,
        rtt=rtt,
        style=rng.choice(list(STYLES)),
        reads=rng.choice([0, 0, 0.1, 0.5, 0.8]),
        exact=compress < 0.35 and not stamps,
        sysctls=sysctls,
    )


class Recorder:
    """Plays one seed on Linux, and writes down what both sides do."""

    def __init__(self, seed: int) -> None:
        self.seed = seed
        self.rng = Random(seed)
        self.plan = plan(self.rng)
        self.lines: list[str] = []
        self.at: Micros = 0
        self.noted: Micros = 0
        """When what was written down last happened."""
        self.busy: Micros = 0
        """Since so long steps follow each other closely; the kernel's timers are late by up to two jiffies."""
        self.acked: Seq = 1
        self.edge: Seq = 1
        """Up to where the receiver has acknowledged, and has offered."""
        self.shift = 0
        self.heard: Seq = 1
        """Up to where we acknowledge what it sends."""
        self.sent: list[tuple[Seq, Seq]] = []
        self.stamped: list[tuple[Micros, int]] = [(0, 100)]
        self.over = False
        self.socket = 3 if self.plan.active else 4
        init = f"`sysctl -q {' '.join(self.plan.sysctls)}`\n" if self.plan.sysctls else "`true`\n"
        self.run = Run(parse(init), KernelHost(Options()), Manner(), lambda name: None)
        self.run.host.configure(initial_settings(parse(init), Options(), lambda name: None).values)
        self.init = init

    def record(self) -> str:
        """The script."""
        self._open()
        self.at = self.run.host.now() // MILLISECOND * MILLISECOND + 20 * MILLISECOND
        for _ in range(self.rng.randint(8, 40)):
            self._step()
            self._wait(self._pause())
            if self.over or self.at > LONGEST:
                break
        self._wait(300 * MILLISECOND)
        self._call(f"read({self.socket}, ..., {ALL})")
        self._wait(300 * MILLISECOND)
        told = ", ".join(f"{name} {value}" for name, value in vars(self.plan).items() if name != "sysctls")
        return f"// Seed {self.seed}: {told}\n{self.init}" + "\n".join(self.lines) + "\n"

    # -- the connection ------------------------------------------------------------------------------------------------

    def _open(self) -> None:
        chosen = self.plan
        stamps = "TS val 1000 ecr 0" if chosen.stamps else ""
        scale = f"nop,wscale {chosen.wscale}" if chosen.wscale is not None else ""
        offered = ",".join(x for x in (f"mss {chosen.mss}", "sackOK" if chosen.sack else "", stamps, scale) if x)
        self._line("socket(..., SOCK_STREAM, IPPROTO_TCP) = 3")
        self._line("setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0")
        if chosen.rcvbuf:
            self._line(f"setsockopt(3, SOL_SOCKET, SO_RCVBUF, [{chosen.rcvbuf}], 4) = 0")
        if chosen.clamp:
            self._line(f"setsockopt(3, SOL_TCP, TCP_WINDOW_CLAMP, [{chosen.clamp}], 4) = 0")
        opening = 10 * MILLISECOND
        echo = f" <nop,nop,TS val {1000 + chosen.rtt} ecr 100>" if chosen.stamps else ""
        if chosen.active:
            self._line("fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0")
            self.at = opening
            self._line("connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)")
            self._first()
            self.at += chosen.rtt * MILLISECOND
            self._line(f"< S. 0:0(0) ack 1 win 65535 <{offered.replace('1000 ecr 0', f'{1000 + chosen.rtt} ecr 100')}>")
            self._watch(self.at + MILLISECOND)
        else:
            self._line("bind(3, ..., ...) = 0")
            self._line("listen(3, 1) = 0")
            self.at = opening
            self._line(f"< S 0:0(0) win 65535 <{offered}>")
            self._first()
            self.at += chosen.rtt * MILLISECOND
            self._line(f"< . 1:1(0) ack 1 win {60_000 >> (chosen.wscale or 0)}{echo}")
            self._line("accept(3, ..., ...) = 4")
            self._line("fcntl(4, F_SETFL, O_RDWR|O_NONBLOCK) = 0")
        descriptor = self.run.connections.live_descriptor()
        assert descriptor is not None
        self.descriptor = descriptor

    def _first(self) -> None:
        """The SYN, or the SYN-ACK: its numbers and its timestamp become those of the script."""
        got = self.run.host.outbound(self.at + 50 * MILLISECOND)
        if got is None:
            raise Spoilt("no SYN left")
        datagram = parse_ip(got[1])
        flow = self.run.connections.outbound(datagram) if datagram is not None else None
        assert datagram is not None
        assert flow is not None
        flow.learn_syn(struct.unpack_from("!I", datagram.payload, 4)[0], 0)
        stamp = _stamp(observe(got[0], datagram, flow))
        if stamp is not None:
            flow.timestamp_shift = stamp - 100 & 0xFFFF_FFFF
            flow.learn_timestamp(stamp, 100)
        line = shown(None, observe(got[0], datagram, flow)).replace("[noecn] ", "")
        self._note(self.at, line)
        scale, window = re.search(r"wscale (\d+)", line), re.search(r"win (\d+)", line)
        assert window is not None
        self.edge = 1 + int(window[1])
        self.shift = int(scale[1]) if scale is not None and self.plan.wscale is not None else 0

    # -- time ----------------------------------------------------------------------------------------------------------

    def _pause(self) -> Micros:
        """Nothing is done while a delayed ACK might be about to leave: the kernel's timers are not that exact."""
        chosen, rng = self.plan, self.rng
        if chosen.style == "stream":
            return chosen.rtt * MILLISECOND
        short = [0, 0, 0, 2, 5, 10] if chosen.exact else [3, 3, 4, 6, 10]
        pause = rng.choice([*short, 20, 95] if rng.random() < 0.9 else [150, 300, 600])
        self.busy += pause
        if pause > 20 or self.busy > 25:
            pause, self.busy = max(pause, 95), 0
        return pause * MILLISECOND

    def _wait(self, pause: Micros) -> None:
        until = self.at + pause
        self._watch(until if pause else self.run.host.now())
        self.at = until
        info = self.run.host.tcp_info(self.descriptor)
        if info:
            self._note(self.at, _asserted(info))
        if self.run.host.now() > self.at + LATE:
            raise Spoilt(f"{self.run.host.now() - self.at} us late")

    def _watch(self, until: Micros) -> None:
        while (got := self.run.host.outbound(until)) is not None:
            datagram = parse_ip(got[1])
            flow = self.run.connections.outbound(datagram) if datagram is not None else None
            if datagram is None or flow is None:
                continue
            seen = observe(got[0], datagram, flow)
            stamp, body = _stamp(seen), seen.tcp
            assert body is not None
            if stamp is not None:
                told = flow.timestamp_to_script(stamp)
                flow.learn_timestamp(stamp, told)
                self.stamped.append((seen.at, told))
            at = self.at if seen.at - self.at < 1500 else seen.at  # an answer, or a timer's doing
            self.over |= "R" in body.flags
            self.heard = max(self.heard, body.seq + body.length + ("F" in body.flags))
            self.acked = max(self.acked, body.ack or 0)
            self.edge = max(self.edge, (body.ack or 0) + ((body.window or 0) << self.shift))
            self._note(at, shown(None, seen).replace("[noecn] ", ""))

    # -- what happens --------------------------------------------------------------------------------------------------

    def _note(self, at: Micros, text: str) -> None:
        """Write a line down. What left of its own accord may be seen a little after what happens next is due."""
        self.noted = max(self.noted, at)
        self.lines.append(f"{notation.seconds(self.noted)} {text}")

    def _line(self, text: str) -> None:
        """A line whose outcome is known."""
        self._note(self.at, text)
        self.run._event(parse(f"{notation.seconds(self.at)} {text}\n").events[0])

    def _call(self, call: str) -> None:
        """A call whose result is recorded."""
        event = parse(f"{notation.seconds(self.at)} {call} = 0\n").events[0]
        assert isinstance(event.action, Call)
        self.run.host.run_until(self.at)
        started = self.run.calls.begin(event.action)
        self.run.host.wait(started.pending, self.at + 3 * MILLISECOND)
        value, error = started.pending.value, started.pending.error
        if "poll(" in call:
            wrong = " ".join(self.run.calls.judge(started)[1])
            got = re.search(r"revents: expected 0, got (\S+)", wrong)
            call, value = call.replace("revents=0", f"revents={got[1] if got else 0}"), int(got is not None)
        result = str(value if isinstance(value, int) else len(value or b""))
        if error is not None:
            result = f"-1 {errorcode[error.errno or 0]}"
        self._note(self.at, f"{call} = {result}")

    def _send(self, left: Seq, right: Seq, flags: str = "") -> None:
        """The peer's segment."""
        options = ""
        if self.plan.stamps:
            older = self.rng.choice([1, 5, 50, 100]) if self.rng.random() < 0.04 else 0
            echo = max(told for at, told in self.stamped if at <= max(0, self.at - self.plan.rtt * MILLISECOND))
            options = f" <nop,nop,TS val {1000 + self.at // MILLISECOND - older} ecr {echo}>"
        flags = flags or self.rng.choice([".", "P.", "P."])
        window = 60_000 >> (self.plan.wscale or 0)
        self._line(f"< {flags} {left}:{right}({right - left}) ack {self.heard} win {window}{options}")
        if right > left:
            self.sent.append((left, right))

    def _step(self) -> None:
        odds = STYLES[self.plan.style]
        step: Any = getattr(self, "_" + self.rng.choices(list(odds), list(odds.values()))[0])
        step()
        if self.rng.random() < self.plan.reads:
            self._wait(0)
            self._call(f"read({self.socket}, ..., {ALL})")

    def _size(self) -> Octets:
        rng, mss = self.rng, self.plan.mss
        if self.plan.style == "small":
            return rng.choice([1, 10, 50, 77, 100, 130, 200, 400])
        dice = rng.random()
        return mss if dice < 0.8 else rng.randint(1, mss) if dice < 0.95 else mss * rng.randint(2, 4)

    def _front(self) -> Seq:
        """Where what the receiver has in order ends, if it took all that it was sent."""
        front = self.acked
        for left, right in sorted(self.sent):
            if left <= front < right:
                front = right
        return front

    def _holes(self) -> list[tuple[Seq, Seq]]:
        front, holes = self._front(), []
        for left, right in sorted(self.sent):
            if left > front:
                holes.append((front, left))
            front = max(front, right)
        return holes

    def _next(self) -> None:
        front, size = self._front(), self._size()
        if self.rng.random() < 0.85:
            size = min(size, max(self.edge - front, 0))
        if size:
            self._send(front, front + size, "FP." if self.rng.random() < 0.01 else "")
        elif self.rng.random() < 0.5 and front > 1:
            self._send(front - 1, front - 1, ".")
        else:
            self._send(front, front + self.rng.choice([1, self.plan.mss]), ".")

    def _gap(self) -> None:
        rng, mss, front = self.rng, self.plan.mss, self._front()
        left = front + rng.choice([1, mss, mss, 2 * mss, rng.randint(1, 5 * mss)])
        if rng.random() < 0.5 and self.sent:
            left = max(left, max(right for _, right in self.sent) + rng.choice([0, 0, mss]))
        right = left + self._size()
        if right <= self.edge or rng.random() < 0.1:
            self._send(left, right)

    def _fill(self) -> None:
        holes = self._holes()
        if holes:
            left, right = self.rng.choice(holes)
            if self.rng.random() < 0.6:
                right = min(right, left + self.plan.mss)
            elif self.rng.random() < 0.5:
                right += self.rng.randint(1, self.plan.mss)
            self._send(left, right)

    def _old(self) -> None:
        rng, mss, front = self.rng, self.plan.mss, self._front()
        left = rng.randint(max(1, front - 3 * mss), max([front, *(right for _, right in self.sent)]))
        size = rng.choice([mss, rng.randint(1, 2 * mss)])
        self._send(left, left + (min(size, max(self.edge - left, 1)) if rng.random() < 0.8 else size))

    def _beyond(self) -> None:
        left = self.edge + self.rng.choice([-1, 0, 1, -self.plan.mss // 2, 1000])
        if left > 0:
            self._send(left, left + self.rng.choice([0, 1, self.plan.mss]))

    def _burst(self) -> None:
        """A round trip's worth, some of it lost and sent again."""
        for _ in range(self.rng.randint(3, 20)):
            front = self._front()
            size = min(self.plan.mss, self.edge - front)
            if size <= 0:
                break
            lost = self.rng.random() < 0.04
            self._send(front + size * lost, front + size + size * lost, ".")
            self._wait(3 * MILLISECOND)
            if self.rng.random() < self.plan.reads:
                self._call(f"read({self.socket}, ..., {ALL})")
        for left, right in self._holes()[:3]:
            self._send(left, min(right, left + self.plan.mss), ".")

    def _read(self) -> None:
        self._call(f"read({self.socket}, ..., {self.rng.choice([100, 1000, self.plan.mss, 5000, ALL, ALL])})")

    def _other(self) -> None:
        rng, fd = self.rng, self.socket
        what = rng.choice(["write", "quickack", "lowat", "ack", "rcvbuf", "recv", "poll"])
        if what == "write":
            self._call(f"write({fd}, ..., {rng.choice([10, 88])})")
            self._wait(rng.choice([3, 10]) * MILLISECOND)
        if what in ("ack", "write"):
            self._send(self._front(), self._front(), ".")
        elif what == "quickack":
            self._call(f"setsockopt({fd}, SOL_TCP, TCP_QUICKACK, [{rng.choice([0, 1, 1])}], 4)")
        elif what == "lowat":
            self._call(f"setsockopt({fd}, SOL_SOCKET, SO_RCVLOWAT, [{rng.choice([1, 500, 3000, 20_000])}], 4)")
        elif what == "rcvbuf":
            self._call(f"setsockopt({fd}, SOL_SOCKET, SO_RCVBUF, [{rng.choice([3000, 10_000, 50_000])}], 4)")
        elif what == "recv":
            flags = rng.choice(["MSG_PEEK", "MSG_TRUNC", "MSG_WAITALL|MSG_DONTWAIT"])
            self._call(f"recv({fd}, ..., {rng.choice([100, 3000, ALL])}, {flags})")
        else:
            self._call(f"poll([{{fd={fd}, events=POLLIN|POLLRDHUP, revents=0}}], 1, 0)")


def _stamp(seen: Observed) -> int | None:
    return next((item.val or 0 for item in seen.raw_options if isinstance(item, Timestamps)), None)


def _asserted(info: Mapping[str, int]) -> str:
    """TCP_INFO's fields as a line of the script has them. A clock is in some: of a jiffy, or of a millisecond."""
    told = [f"tcpi_{name} == {info[name]}" for name in LOOKED_AT]
    told += [f"abs(tcpi_{name} - {info[name]}) <= {max(9000, info[name] // 8)}" for name in NEARLY]
    return f"%{{ assert {'; assert '.join(told)} }}%"


if __name__ == "__main__":
    sys.exit(main(Recorder, __doc__, "sparring-receiver"))
