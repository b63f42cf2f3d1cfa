"""The layers below TCP, wired as a stack wires them, over a device that remembers what was written. Virtual time."""

from random import Random
from typing import Any

from scapy.layers.inet import ICMP, IP, TCP, UDP
from scapy.layers.l2 import ARP, Ether
from scapy.packet import Packet

from netstack.config import Config
from netstack.counters import Counters
from netstack.events import Event
from netstack.ip.icmp import Icmp
from netstack.ip.ipv4 import Ipv4
from netstack.link.arp import Arp
from netstack.link.device import NO_OFFLOAD, Device, InMemory
from netstack.link.ethernet import Ethernet
from netstack.udp.demux import Udp
from netstack.units import Micros
from netstack.wire import ethernet

MAC = "02:00:5e:00:02:02"
US = "192.0.2.2"
PEER_MAC = "02:00:5e:00:02:01"
PEER = "192.0.2.1"
OTHER_MAC = "02:00:5e:00:02:09"
OTHER = "192.0.2.9"
BROADCAST_MAC = "ff:ff:ff:ff:ff:ff"


def octets(address: str) -> bytes:
    """ "192.0.2.1" or "02:00:..." as on the wire."""
    if ":" in address:
        return bytes.fromhex(address.replace(":", ""))
    return bytes(int(part) for part in address.split("."))


class Recorder(InMemory):
    """A Device that nothing ever comes out of; `frames` is what was written."""

    def __init__(self, mtu: int = 1500, offload: bool = False) -> None:
        self.mtu = mtu
        self.offload = offload
        self.frames: list[bytes] = []

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        self.frames.append(head + payload)


class Rig:
    """`rx` a packet, look at what was `sent`, move the clock with `after`."""

    def __init__(
        self,
        config: Config | None = None,
        offload: bool = False,
        mtu: int = 1500,
        known: bool = True,
        device: Device | None = None,
    ) -> None:
        """`known`: PEER is in the neighbour cache already, so that nothing has to wait for ARP."""
        config = config or Config()
        rng = Random(1)
        self.now: Micros = 1_000_000
        self.counters = Counters()
        self.drops = self.counters.drops
        self.device = Recorder(mtu, offload)
        self.link = Ethernet(device or self.device, config.mac, self.counters)
        self.arp = Arp(
            self.link, config.address.ip.packed, rng, self.counters,
            queue_limit=config.neighbor_queue, entry_limit=config.neighbor_limit,
        )  # fmt: skip
        self.ip = Ipv4(config, self.link, self.arp.neighbors, rng, self.counters)
        self.icmp = Icmp(self.ip, config.icmp_errors_per_second, self.counters)
        self.udp = Udp(self.ip, self.icmp, rng, self.counters)
        self.link.protocols = {ethernet.ARP: self.arp.receive, ethernet.IPV4: self.ip.receive}
        self.link.group_protocols = {ethernet.IPV4: self.ip.receive_group}
        self.ip.protocols = {1: self.icmp.receive, 17: self.udp.receive}
        self.ip.errors = {17: self.udp.on_icmp_error}
        self.events: list[Event] = []
        if known:
            self.learn(PEER, PEER_MAC)

    @property
    def mib(self) -> dict[str, int]:
        """nstat's counters, as of now."""
        return self.counters.snapshot()

    def watch(self) -> None:
        """Collect the events of every layer in `events`."""
        self.link.events = self.arp.events = self.icmp.events = self.udp.events = self.events.append
        self.ip.observe(self.events.append)

    def learn(self, address: str, mac: str) -> None:
        """Put a neighbour into the cache that has just answered a request."""
        self.arp.neighbors.learn(octets(address), octets(mac), self.now, reachable=True, override=True, create=True)

    def rx(self, packet: Packet | bytes, vnet: bytes = NO_OFFLOAD) -> None:
        """An Ethernet frame arrives. An IP packet arrives in one from PEER's MAC to ours."""
        if isinstance(packet, IP):
            packet = Ether(src=PEER_MAC, dst=MAC) / packet
        self.link.receive(vnet + bytes(packet), self.now)

    def sent(self) -> list[Any]:
        """What was written since the last look, as scapy reads it."""
        frames, self.device.frames = self.device.frames, []
        return [Ether(frame[10:]) for frame in frames]

    def sent_one(self) -> Any:
        """The one frame written since the last look."""
        frames = self.sent()
        assert len(frames) == 1, frames
        return frames[0]

    def deadline(self) -> Micros | None:
        """When the next timer of any layer is due."""
        times = [layer.deadline() for layer in (self.arp, self.ip, self.udp)]
        return min((at for at in times if at is not None), default=None)

    def after(self, duration: Micros) -> None:
        """Let time pass, stopping at every deadline on the way."""
        end = self.now + duration
        while (at := self.deadline()) is not None and at <= end:
            self.now = max(self.now, at)
            self.arp.expire(self.now)
            self.ip.expire(self.now)
            self.udp.transmit(self.now)
            while self.ip.loop(self.now):
                pass
        self.now = end


class Upper:
    """A transport that only writes down what it is given."""

    def __init__(self, rig: Rig, protocol: int) -> None:
        self.received: list[tuple[bytes, bytes, bool]] = []
        """(pair, payload, verified)"""
        self.errors: list[tuple[int, int, int, bytes, bytes]] = []
        """(type, code, mtu, pair, quoted)"""
        rig.ip.protocols[protocol] = self.receive
        rig.ip.errors[protocol] = self.on_icmp_error

    def receive(self, frame: bytes, ip_at: int, at: int, end: int, pair: bytes, verified: bool, now: Micros) -> None:
        assert frame[ip_at] >> 4 == 4
        self.received.append((pair, frame[at:end], verified))

    def on_icmp_error(self, kind: int, code: int, mtu: int, pair: bytes, quoted: bytes, now: Micros) -> None:
        self.errors.append((kind, code, mtu, pair, quoted))


def quoted(frame: Any) -> bytes:
    """The octets that an ICMP error quotes; scapy would put them into shape."""
    return bytes(frame[IP])[28:]


def checksums_hold(frame: Any) -> bool:
    """Whether scapy, asked to compute every checksum and length anew, comes to the same octets."""
    again = frame.copy()
    layer = again
    fragment = IP in again and (again[IP].flags.MF or again[IP].frag)
    while layer and "in ICMP" not in layer.name and not (fragment and layer.underlayer and IP in layer.underlayer):
        for field in ("chksum", "len"):
            if field in layer.fields:
                layer.delfieldval(field)
        layer = layer.payload
    return bytes(again) == bytes(frame)


__all__ = ["ARP", "ICMP", "IP", "TCP", "UDP", "Ether", "Recorder", "Rig", "Upper", "checksums_hold", "octets", "quoted"]
