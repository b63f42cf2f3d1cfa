"""Ethernet framing: which frames are for us, and whose they are. Knows nothing of what travels inside."""

from collections.abc import Callable

from netstack.counters import Counters
from netstack.events import Dropped, FrameReceived, FrameSent, Sink
from netstack.link.device import NO_OFFLOAD, VNET_LEN, Device
from netstack.units import Micros, Octets
from netstack.wire.ethernet import HEADER_LEN, is_group

PAYLOAD_AT: Octets = VNET_LEN + HEADER_LEN
"""Offset in a frame of what Ethernet carries."""

Receive = Callable[[bytes, int, Micros], None]
"""`receive(frame, at, now)`: the payload of `frame` starts at `at`."""


class Ethernet:
    """One interface: a device and our MAC address.

    `protocols` maps an EtherType (2 octets, as on the wire) to its receiver. A protocol that must know that a frame was
    broadcast or multicast registers a second receiver in `group_protocols`; the others get such frames through
    `protocols` too.
    """

    on_wire = True
    __slots__ = ("counters", "device", "events", "group_protocols", "mac", "packet_events", "protocols")

    def __init__(self, device: Device, mac: bytes, counters: Counters, events: Sink | None = None) -> None:
        if len(mac) != 6 or is_group(mac):
            raise ValueError("an interface needs a unicast MAC address of 6 octets")
        self.device = device
        self.mac = mac
        self.counters = counters
        self.events = events
        self.packet_events: Sink | None = None
        """Who is told of the packets that IP hands over (`ip.path`); set by IP."""
        self.protocols: dict[bytes, Receive] = {}
        self.group_protocols: dict[bytes, Receive] = {}

    def receive(self, frame: bytes, now: Micros) -> None:
        """A frame came out of the device: hand its payload to the protocol of its EtherType, or count why not.

        The FCS has been checked and removed by whatever is below us; padding is for the protocol to cut off.
        """
        if self.events is not None:
            self.events(FrameReceived(now, frame))
        if frame[10:16] == self.mac:
            receive = self.protocols.get(frame[22:24])
            if receive is not None:
                receive(frame, 24, now)
                return
            self._drop("ethernet.too_short" if len(frame) < PAYLOAD_AT else "ethernet.unknown_ethertype", now)
        elif len(frame) < PAYLOAD_AT:
            self._drop("ethernet.too_short", now)
        elif frame[10] & 1:
            self._receive_group(frame, now)
        else:
            self._drop("ethernet.other_host", now)

    def _receive_group(self, frame: bytes, now: Micros) -> None:
        """A broadcast, or any multicast: which groups we are in is IP's to say, as a hash filter would leave it."""
        ethertype = frame[22:24]
        receive = self.group_protocols.get(ethertype) or self.protocols.get(ethertype)
        if receive is not None:
            receive(frame, PAYLOAD_AT, now)
        else:
            self._drop("ethernet.unknown_ethertype", now)

    def send(self, destination: bytes, ethertype: bytes, packet: bytes, now: Micros) -> None:
        """Send one complete packet: no checksum and no segmentation is left to the device."""
        self.transmit(NO_OFFLOAD + destination + self.mac + ethertype, packet, now)

    def transmit(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        """Write one frame, `head + payload`, virtio_net_hdr and Ethernet header included."""
        if self.events is not None:
            self.events(FrameSent(now, b"".join((head, payload))))
        self.device.write(head, payload, now)

    def _drop(self, reason: str, now: Micros) -> None:
        self.counters.drops[reason] += 1
        if self.events is not None:
            self.events(Dropped(now, reason))
