"""What the stack asks of a network interface. Devices stack: a wrapper wraps a device and looks like one.

A *frame* everywhere in netstack is `bytes`: a 10-octet virtio_net_hdr (what a TAP with IFF_VNET_HDR reads and writes,
all zeros when there is nothing to say), then the Ethernet frame without FCS. So one representation serves the TAP
with offload, the TAP without, the in-memory link and every wrapper.
"""

from struct import Struct
from typing import Protocol

from netstack.units import Micros, Octets

VNET = Struct("<BBHHHH")
"""virtio_net_hdr, little-endian: flags, gso_type, hdr_len, gso_size, csum_start, csum_offset (from Ethernet on)."""
VNET_LEN: Octets = VNET.size
NO_OFFLOAD = bytes(VNET_LEN)
"""The header of a frame that is complete as it stands."""

NEEDS_CSUM = 1
"""flags: the checksum field at csum_start + csum_offset holds only the (folded, not inverted) pseudo-header sum."""
DATA_VALID = 2
"""flags: the device has verified the transport checksum."""
GSO_NONE, GSO_TCPV4, GSO_TCPV6, GSO_ECN = 0, 1, 4, 0x80
"""gso_type: this frame is one super-segment, to be cut into segments of gso_size octets of payload."""

MAX_FRAME: Octets = VNET_LEN + 14 + 65535


class Device(Protocol):
    """A source and sink of frames. Never blocks, never raises for what a peer sent."""

    mtu: Octets
    """The largest IP packet (not frame) the medium takes, super-segments aside."""
    offload: bool
    """True: frames from `read` may carry NEEDS_CSUM and GSO, and `write` takes both. False: complete frames only."""

    def read(self, now: Micros) -> bytes | None:
        """The next frame that has arrived, or None when none waits."""
        ...

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        """Send one frame, `head + payload` (handed over in two parts so that bulk data is never joined)."""
        ...

    def deadline(self) -> Micros | None:
        """When `expire` has work or `read` may have something new without the medium saying so; None: never."""
        ...

    def expire(self, now: Micros) -> None:
        """Do what is due by `now`. Calling early is harmless."""
        ...

    def fileno(self) -> int:
        """What an event loop watches for readability; -1 for a device in memory."""
        ...

    def close(self) -> None:
        """Release the interface. Calling twice is harmless."""
        ...


class InMemory:
    """What all devices have whose owner brings the frames and takes them away: nothing to watch, await or release."""

    __slots__ = ()

    def read(self, now: Micros) -> bytes | None:
        """Nothing waits here."""
        return None

    def deadline(self) -> Micros | None:
        """Never."""
        return None

    def expire(self, now: Micros) -> None:
        """Nothing is ever due."""

    def fileno(self) -> int:
        """-1: there is nothing to watch."""
        return -1

    def close(self) -> None:
        """Nothing to release."""
