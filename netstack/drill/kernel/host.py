"""Linux as the host of a script: real sockets and real time in a network namespace of its own."""

import contextlib
import os
import select
import socket
import struct
import threading
import time
from collections import deque
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pyroute2 import NetlinkError

from netstack.drill.constants import CA_STATES, STATES
from netstack.drill.host import Address, Pending
from netstack.drill.kernel.calls import MAY_BLOCK, KernelSockets
from netstack.drill.options import PREFIX, Options
from netstack.drill.outcome import Unsupported
from netstack.drill.settings import FILE
from netstack.host.tun import VNET, enter_namespace, open_sniffer, open_tun, set_link, set_sysctl
from netstack.tcp.info_layout import LONGEST, decode, decode_congestion
from netstack.units import Micros, Octets

PACKET_OUTGOING = 4
SCM_TIMESTAMPNS = 35
TCP_CC_INFO = 26
NEEDS_CSUM, GSO_TCPV4, GSO_TCPV6 = 1, 1, 4
SOON = 0.002
"""Seconds after which a call that has not returned counts as blocked."""
_CONGESTION = "net.ipv4.tcp_congestion_control"
_ALGORITHMS = "/proc/sys/net/ipv4/tcp_available_congestion_control"
BASE = {"net.ipv4.tcp_rmem": "4096 131072 6291456", _CONGESTION: "cubic"}
"""Linux's defaults of many years, whatever this kernel uses: without settings a script sees window scale 7, CUBIC."""
_OF_LINK = ("link.", "route.")
SPIN: Micros = 1_000
"""The last part of a wait is spent looking at the clock: a sleep ends about that much too late."""


class KernelHost:
    """Runs in a process of its own, which it moves into a new namespace."""

    name = "kernel"

    def __init__(self, options: Options) -> None:
        self.local, self.remote = options.local_address, options.remote_address
        try:
            enter_namespace()
            address = options.local_address
            self.tun = open_tun(address, PREFIX[options.ip_version], options.mtu)
        except OSError as error:
            raise Unsupported(f"no TUN device in a namespace of its own: {error}") from None
        self.sniffer = open_sniffer()
        self.sockets = KernelSockets()
        self.left: deque[tuple[Micros, bytes]] = deque()
        with contextlib.suppress(OSError):  # without the privilege, times are less exact and that is all
            os.sched_setscheduler(0, os.SCHED_FIFO, os.sched_param(1))
        self.untouched = True
        self.configure(BASE)

    def now(self) -> Micros:
        """By the clock that stamps packets (CLOCK_REALTIME)."""
        return (time.time_ns() - self.epoch) // 1000

    def run_until(self, at: Micros) -> None:
        """Wait, taking packets off the queue."""
        while (left := at - self.now()) > 0:
            self._collect(left - SPIN if left > SPIN else 0)
        self._collect(0)

    def inject(self, packet: bytes, gso_size: Octets) -> None:
        """Into the TUN device; the kernel has dealt with it on return."""
        self.untouched = False
        header = bytes(VNET.size)
        if gso_size:
            ip = 20 if packet[0] >> 4 == 4 else 40
            offset = (packet[ip + 12] >> 4) * 4
            kind = GSO_TCPV4 if ip == 20 else GSO_TCPV6
            header = VNET.pack(NEEDS_CSUM, kind, ip + offset, gso_size, ip, 16)
        os.write(self.tun, header + packet)
        self._collect(0)

    def outbound(self, until: Micros) -> tuple[Micros, bytes] | None:
        """The next packet off the sniffer."""
        self._collect(0)
        while not self.left:
            left = until - self.now()
            if left <= 0:
                return None
            self._collect(left)
        return self.left.popleft()

    def start(self, name: str, *arguments: Any) -> Pending:
        """At once, or in a thread where it may block."""
        self.untouched = False
        pending = Pending(name, self.now())
        if name not in MAY_BLOCK:
            self._perform(pending, arguments)
            return pending
        thread = threading.Thread(target=self._perform, args=(pending, arguments), daemon=True)
        thread.start()
        thread.join(SOON)
        return pending

    def wait(self, pending: Pending, until: Micros) -> bool:
        """Wait for the thread."""
        while not pending.done and (left := until - self.now()) > 0:
            self._collect(min(left, 500))
        return pending.done

    def configure(self, settings: Mapping[str, str]) -> list[str]:
        """Into /proc/sys of the namespace, its device and its route."""
        link = {name: value for name, value in settings.items() if name.startswith(_OF_LINK)}
        try:
            set_link(link, self.local)
        except NetlinkError as error:
            asked = " ".join(f"{name}={value}" for name, value in link.items())
            raise Unsupported(f"this kernel refuses {asked}: {error.args[-1]}") from None
        for name, size in settings.items():
            if name.startswith(FILE):
                self.sockets.make_file(name.removeprefix(FILE), int(size))
        sysctls = {name: value for name, value in settings.items() if not name.startswith((*_OF_LINK, FILE))}
        ignored = []
        for name, value in sysctls.items():
            try:
                known = set_sysctl(name, value)
            except ValueError as error:
                if name != _CONGESTION:
                    raise Unsupported(f"this kernel refuses {error}") from None
                known = False
            if not known:
                ignored.append(f"{name}={value}")
        if (algorithm := settings.get(_CONGESTION)) is not None:
            self.sockets.congestion = ""
            refused = f"{_CONGESTION}={algorithm}"
            if refused in ignored and algorithm in Path(_ALGORITHMS).read_text().split():
                ignored.remove(refused)  # as a namespace's default it may be refused; each socket may choose it still
                self.sockets.congestion = algorithm
        if self.untouched:  # settings take milliseconds, and the script has not begun
            self.epoch = time.time_ns()
            self.origin = self.epoch // 1000
        return ignored

    def tcp_info(self, fd: int) -> Mapping[str, int]:
        """From getsockopt, TCP_CC_INFO's fields among them. Without such a socket there are no fields."""
        try:
            info = decode(self.sockets.getsockopt(fd, socket.IPPROTO_TCP, socket.TCP_INFO, LONGEST))
            model = decode_congestion(self.sockets.getsockopt(fd, socket.IPPROTO_TCP, TCP_CC_INFO, LONGEST))
            return {**info, **model}
        except OSError:
            return {}

    def counters(self) -> Mapping[str, int]:
        """Of the namespace, from /proc/net."""
        found = {}
        for file in ("snmp", "netstat"):
            lines = Path("/proc/thread-self/net", file).read_text().splitlines()
            for names, values in zip(lines[::2], lines[1::2], strict=True):
                layer = names.partition(":")[0]
                pairs = zip(names.split()[1:], values.split()[1:], strict=True)
                found.update({layer + name: int(value) for name, value in pairs})
        return found

    def sockets_table(self) -> list[str]:
        """Of the namespace."""
        return Path("/proc/thread-self/net/tcp").read_text().splitlines()[1:]

    def explain(self, fd: int | None, local: Address | None, remote: Address | None) -> str:
        """What TCP_INFO tells; Linux does not tell its sequence numbers."""
        info = self.tcp_info(fd) if fd is not None else {}
        if not info:
            return ""
        state = STATES[info["state"] - 1].removeprefix("TCP_")
        shown = f"{state} cwnd={info['snd_cwnd']} unacked={info['unacked']} ca={CA_STATES[info['ca_state']][7:]}"
        return f"{shown} rto={info['rto'] // 1000}ms"

    def close(self) -> None:
        """Close what is open; the namespace goes with the process."""
        for fd in list(self.sockets.sockets):
            with contextlib.suppress(OSError):
                self.sockets.setsockopt(fd, socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
                self.sockets.close(fd)
        self.sniffer.close()
        os.close(self.tun)

    def _perform(self, pending: Pending, arguments: tuple[Any, ...]) -> None:
        try:
            pending.value = getattr(self.sockets, pending.name)(*arguments)
        except OSError as error:
            pending.error = error
        pending.finished_at = self.now()
        pending.done = True

    def _collect(self, wait: Micros) -> None:
        """What left, in the order it did; the TUN queue is emptied besides."""
        select.select([self.sniffer.fileno(), self.tun], [], [], max(wait, 0) / 1e6)
        with contextlib.suppress(BlockingIOError):
            while True:
                octets, control, _, sender = self.sniffer.recvmsg(70_000, 256)
                if sender[2] == PACKET_OUTGOING:
                    self.left.append((self._stamp(control), octets))
        with contextlib.suppress(BlockingIOError):
            while os.read(self.tun, 70_000):
                pass

    def _stamp(self, control: list[tuple[int, int, bytes]]) -> Micros:
        for level, kind, data in control:
            if (level, kind) == (socket.SOL_SOCKET, SCM_TIMESTAMPNS):
                seconds, nanoseconds = struct.unpack("qq", data[:16])
                return int((seconds * 1_000_000_000 + nanoseconds - self.epoch) // 1000)
        return self.now()
