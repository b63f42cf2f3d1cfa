"""A host of the experiment: a stack on a device that leads into the path, and whatever it runs."""

from ipaddress import IPv4Interface
from random import Random

from netstack.config import Config, TcpConfig
from netstack.lab.agenda import NEVER, Agenda
from netstack.lab.bottleneck import Bottleneck
from netstack.lab.burst import HEADERS, Burst
from netstack.lab.watch import Meter
from netstack.link.device import InMemory
from netstack.stack import Stack
from netstack.units import Micros, Octets
from netstack.wire import ethernet

MAC_PREFIX = bytes.fromhex("020000000000")[:4]
NETWORK = "10.0.0.0/16"


class Lan:
    """What is not routed: ARP finds its hosts at once, for it does not cross a path either."""

    __slots__ = ("_agenda", "_frames", "hosts", "wake_at")

    def __init__(self, agenda: Agenda) -> None:
        self._agenda = agenda
        self._frames: list[tuple[Host, bytes]] = []
        self.hosts: dict[bytes, Host] = {}
        self.wake_at: Micros = NEVER

    def send(self, frame: bytes, sender: "Host", now: Micros) -> None:
        """Deliver a frame to whom it is addressed, or to everybody else."""
        to = self.hosts.get(frame[10:16])
        hosts = [to] if to is not None else [host for host in self.hosts.values() if host is not sender]
        self._frames += [(host, frame) for host in hosts]
        self._agenda.wake(self, now)

    def run(self, now: Micros) -> None:
        """Deliver."""
        frames, self._frames = self._frames, []
        for host, frame in frames:
            host.receive(frame, now)
            host.turn(now)


class Host(InMemory):
    """One stack. As a Device it always offloads: the path cuts super-segments (`burst`).

    `way` is the direction of the path it sends into. A sender's host belongs to one flow; the receiver tells flows
    apart by the MAC address that a frame is for.
    """

    __slots__ = ("_agenda", "_flows", "_lan", "address", "mac", "meter", "mtu", "offload", "stack", "wake_at", "way")

    def __init__(
        self, agenda: Agenda, lan: Lan, way: Bottleneck, number: int, tcp: TcpConfig, mtu: Octets, seed: str
    ) -> None:
        self._agenda = agenda
        self._lan = lan
        self._flows: dict[bytes, int] = {}
        self.way = way
        self.wake_at: Micros = NEVER
        self.meter: Meter | None = None
        """Watches the connection of a sender."""
        self.mtu = mtu
        self.offload = True
        self.mac = MAC_PREFIX + number.to_bytes(2, "big")
        interface = IPv4Interface((0x0A00_0000 + number, 16))
        self.address = interface.ip.packed
        self.stack = Stack(Config(address=interface, mac=self.mac, mtu=mtu, tcp=tcp), self, Random(seed))
        lan.hosts[self.mac] = self

    def connects(self, mac: bytes, flow: int) -> None:
        """Frames to `mac` belong to `flow`."""
        self._flows[mac] = flow

    def receive(self, frame: bytes, now: Micros) -> None:
        """A frame has come through the path."""
        self.stack.receive(frame, now)

    def turn(self, now: Micros) -> None:
        """React to what came, and find out when to be woken."""
        meter = self.meter
        if meter is not None:
            meter.on_ack(now)
        stack = self.stack
        stack.transmit(now)
        if meter is not None:
            meter.on_sent(now)
        at = stack.deadline()
        if at is not None and at < self.wake_at:
            self._agenda.wake(self, at)

    def run(self, now: Micros) -> None:
        """A timer of the stack is due."""
        self.stack.expire(now)
        self.turn(now)

    # -- the Device that the stack writes to

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        """Into the path; what is not IP, onto the LAN."""
        if head[22:24] == ethernet.IPV4:
            if len(head) < HEADERS:  # it waited for ARP, and is handed over cut elsewhere
                frame = b"".join((head, payload))
                text = HEADERS + (frame[HEADERS - 8] >> 4) * 4 - 20
                head, payload = frame[:text], memoryview(frame)[text:]
            burst = Burst(head, payload, self._flows[head[10:16]])
            if self.meter is not None:
                self.meter.on_burst(burst, now)
            self.way.offer(burst, now)
        else:
            self._lan.send(b"".join((head, payload)), self, now)
