"""A wire for recordings: client and server in network namespaces of their own, joined by a forwarder in user space.

    client namespace            wire namespace                        server namespace
    192.0.2.1  "net0" <- veth -> "client" <- forwarder -> "server" <- veth -> "net0"  192.0.2.2

Both ends are the kernel's own TCP. The forwarder (two AF_PACKET sockets) delays each frame by `delay` microseconds,
asks an `Impairment` what to do with it, and writes the capture as one end's interface sees it: at the server's, a frame
from the client is recorded when it is handed to the server, one from the server as it comes out. So no tcpdump is
needed, nor a kernel with netem.

`Loopback` records a conversation inside the server's namespace instead, with all offloads: segments of up to 64 KiB.
"""

import contextlib
import ctypes
import fcntl
import heapq
import select
import socket
import struct
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

from pyroute2 import IPRoute, netns

CLIENT, SERVER = "192.0.2.1", "192.0.2.2"
MACS = {"client": "02:00:5e:00:02:01", "server": "02:00:5e:00:02:02"}
IPV4, ETH_P_ALL, TCP = 0x0800, 0x0003, 6
SIOCETHTOOL = 0x8946
OFFLOADS_OFF = {"rx checksum": 0x15, "tx checksum": 0x17, "tso": 0x1F, "gso": 0x24, "gro": 0x2C}
"""ETHTOOL_S... commands that take an ethtool_value: segments on this wire have the size they would have on a cable."""
PACKET_OUTGOING = 4
SO_RCVBUFFORCE = 33
SYSCTLS = {
    "ipv6/conf/all/disable_ipv6": "1",  # no neighbour discovery in the captures
    "ipv6/conf/default/disable_ipv6": "1",
    "ipv4/tcp_congestion_control": "cubic",
    "ipv4/tcp_rmem": "4096 131072 6291456",
    "ipv4/tcp_wmem": "4096 16384 4194304",
}

Frame = bytes
Impairment = Callable[[str, Frame], list[tuple[int, Frame]]]
"""(sender, "client" or "server"; frame) -> what is delivered instead: (additional delay in microseconds, frame)."""


def untouched(sender: str, frame: Frame) -> list[tuple[int, Frame]]:
    """Deliver every frame as it is."""
    return [(0, frame)]


class PcapFile:
    """A classic pcap file, microseconds, Ethernet."""

    def __init__(self, path: Path) -> None:
        self.file = path.open("wb")
        self.file.write(struct.pack("<IHHiIII", 0xA1B2C3D4, 2, 4, 0, 0, 262_144, 1))

    def write(self, now: int, frame: Frame) -> None:
        """Append one frame; `now` in microseconds since the epoch."""
        self.file.write(struct.pack("<IIII", now // 1_000_000, now % 1_000_000, len(frame), len(frame)) + frame)

    def close(self) -> None:
        """Close the file. Calling twice is harmless."""
        self.file.close()


class Namespaces:
    """The three namespaces of one recording; a context manager that removes them whatever happens."""

    def __init__(self, prefix: str) -> None:
        self.names = {side: f"{prefix}-{side}" for side in ("client", "wire", "server")}

    def __enter__(self) -> "Namespaces":
        try:
            for name in self.names.values():
                netns.create(name)
            with self.inside("wire"):
                for side in ("client", "server"):
                    self._cable(side)
                    offloads_off(side)
            for side, address in (("client", CLIENT), ("server", SERVER)):
                with self.inside(side):
                    self._address(address)
                    offloads_off("net0")
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        for name in self.names.values():
            with contextlib.suppress(OSError):
                netns.remove(name)

    @contextlib.contextmanager
    def inside(self, side: str) -> Iterator[None]:
        """This thread lives in the namespace meanwhile: sockets and children that it makes stay there."""
        netns.pushns(self.names[side])
        try:
            yield
        finally:
            netns.popns()

    def _cable(self, side: str) -> None:
        peer = {"ifname": "net0", "net_ns_fd": self.names[side], "address": MACS[side]}
        set_sysctls()
        with IPRoute() as ip:
            ip.link("add", ifname=side, kind="veth", peer=peer)
            ip.link("set", index=ip.link_lookup(ifname=side)[0], state="up")

    @staticmethod
    def _address(address: str) -> None:
        set_sysctls()
        with IPRoute() as ip:
            index = ip.link_lookup(ifname="net0")[0]
            ip.addr("add", index=index, address=address, prefixlen=24)
            ip.link("set", index=index, state="up")
            ip.link("set", index=ip.link_lookup(ifname="lo")[0], state="up")


def set_sysctls() -> None:
    """What this namespace shall not inherit from the machine: its TCP behaves as Linux does out of the box."""
    for name, value in SYSCTLS.items():
        with contextlib.suppress(OSError):  # a kernel without IPv6 or CUBIC records as it can
            Path("/proc/sys/net", name).write_text(value)


def offloads_off(interface: str) -> None:
    """What `ethtool -K` does, for the interface of that name in this namespace. What it cannot switch is left alone."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as control:
        for command in OFFLOADS_OFF.values():
            value = ctypes.create_string_buffer(struct.pack("II", command, 0), 8)
            request = struct.pack("16sP16x", interface.encode(), ctypes.addressof(value))
            with contextlib.suppress(OSError):
                fcntl.ioctl(control, SIOCETHTOOL, request)


class Forwarder:
    """Carries frames between the two cables in a thread of its own, and records them."""

    def __init__(
        self, namespaces: Namespaces, path: Path, delay: int, impairment: Impairment, taken_at: str = "server"
    ) -> None:
        self.pcap = PcapFile(path)
        self.taken_at = taken_at
        self.delay = delay
        self.impairment = impairment
        self.counts = {"client": 0, "server": 0}
        self.sockets: dict[str, socket.socket] = {}
        with namespaces.inside("wire"):
            for side in ("client", "server"):
                self.sockets[side] = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
                self.sockets[side].bind((side, 0))
                self.sockets[side].setblocking(False)
        self._due: list[tuple[int, int, str, Frame]] = []
        self._order = 0
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Forwarder":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()
        for each in self.sockets.values():
            each.close()
        self.pcap.close()

    def _run(self) -> None:
        while not self._stop.is_set() or self._due:
            wait = max(0.0, (self._due[0][0] - microseconds()) / 1e6) if self._due else 0.05
            readable, _, _ = select.select(list(self.sockets.values()), [], [], min(wait, 0.05))
            for side, each in self.sockets.items():
                if each in readable:
                    self._read(side, each)
            while self._due and self._due[0][0] <= microseconds():
                _, _, sender, frame = heapq.heappop(self._due)
                self._deliver(sender, frame)

    def _read(self, side: str, each: socket.socket) -> None:
        while True:
            try:
                frame, address = each.recvfrom(65_536)
            except BlockingIOError:
                return
            if address[2] == PACKET_OUTGOING:
                continue
            now = microseconds()
            if side == self.taken_at:
                self._record(now, side, frame)
            for later, delivered in self.impairment(side, frame):
                self._order += 1
                heapq.heappush(self._due, (now + self.delay + later, self._order, side, delivered))

    def _deliver(self, sender: str, frame: Frame) -> None:
        if sender != self.taken_at:
            self._record(microseconds(), sender, frame)
        self.sockets["server" if sender == "client" else "client"].send(frame)

    def _record(self, now: int, sender: str, frame: Frame) -> None:
        if struct.unpack_from("!H", frame, 12)[0] == IPV4:  # ARP says nothing about a conversation
            self.counts[sender] += 1
            self.pcap.write(now, frame)


class Loopback:
    """Records what passes the loopback interface of the server's namespace, as it passes there."""

    def __init__(self, namespaces: Namespaces, path: Path) -> None:
        self.pcap = PcapFile(path)
        self.counts = {"client": 0, "server": 0}
        with namespaces.inside("server"):
            self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW, socket.htons(ETH_P_ALL))
            self.socket.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 16 << 20)  # a burst of large frames must fit
            self.socket.bind(("lo", 0))
        self.socket.settimeout(0.05)
        self._stop = threading.Event()
        self._thread = threading.Thread(target=self._run, daemon=True)

    def __enter__(self) -> "Loopback":
        self._thread.start()
        return self

    def __exit__(self, *exception: object) -> None:
        self._stop.set()
        self._thread.join()
        self.socket.close()
        self.pcap.close()

    def _run(self) -> None:
        while not self._stop.is_set():
            with contextlib.suppress(TimeoutError):
                frame, address = self.socket.recvfrom(1 << 17)
                if address[2] != PACKET_OUTGOING:  # each frame is seen going out and coming in
                    self.pcap.write(microseconds(), frame)
                    self.counts["client"] += 1
                    self.counts["server"] += 1


def microseconds() -> int:
    """Now, since the epoch."""
    return time.time_ns() // 1000


def tcp_payload(frame: Frame) -> Frame | None:
    """The octets that a frame of TCP over IPv4 over Ethernet carries; None for anything else."""
    if len(frame) < 34 or struct.unpack_from("!H", frame, 12)[0] != IPV4 or frame[23] != TCP:
        return None
    at = 14 + (frame[14] & 15) * 4
    end = 14 + struct.unpack_from("!H", frame, 16)[0]
    return frame[at + (frame[at + 12] >> 4) * 4 : end]
