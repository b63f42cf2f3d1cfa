"""A device around a device that closes the peer's window: chosen flows arrive with a window of 0 in every segment.

What a peer does whose application has stopped reading, on demand: the sender here must stop, and ask with window
probes (RFC 9293 3.8.6.1) until the shutter opens. The checksum is kept right (RFC 1624), so nothing else is altered.
"""

from netstack.link.device import NEEDS_CSUM, VNET_LEN, Device
from netstack.units import Micros
from netstack.wire import ethernet, tcp

IP_AT = VNET_LEN + ethernet.HEADER_LEN
PAIR_AT = IP_AT + 12
"""Source and destination address of an IPv4 packet."""
WINDOW_AT = 14
"""Offset of the window in the TCP header (RFC 9293 3.1)."""


def flow(frame: bytes) -> bytes | None:
    """Source + destination address + ports of a TCP segment over IPv4 as they are on the wire; None for anything else.

    For an arriving frame that is the connection's key in the four-tuple table. A fragment has no ports to look at.
    """
    if len(frame) < IP_AT + 40 or frame[IP_AT - 2 : IP_AT] != ethernet.IPV4 or frame[IP_AT + 9] != tcp.PROTOCOL:
        return None
    if (frame[IP_AT + 6] & 0x3F) or frame[IP_AT + 7]:  # more fragments, or an offset
        return None
    at = IP_AT + (frame[IP_AT] & 0x0F) * 4
    return frame[PAIR_AT : PAIR_AT + 8] + frame[at : at + 4]


class WindowShutter:
    """A Device that passes everything, but with no window in what `shut` (keys as of `flow`) sends to us.

    Raises ValueError when `inner` offloads: a checksum that is not there yet cannot be kept right.
    """

    __slots__ = ("inner", "mtu", "offload", "shut")

    def __init__(self, inner: Device) -> None:
        if inner.offload:
            raise ValueError("windows cannot be altered on a device with offload: open it with offload=False")
        self.inner = inner
        self.mtu = inner.mtu
        self.offload = False
        self.shut: set[bytes] = set()

    def read(self, now: Micros) -> bytes | None:
        """The inner device's next frame."""
        frame = self.inner.read(now)
        if frame is not None and self.shut and flow(frame) in self.shut:
            return without_window(frame)
        return frame

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        """To the inner device as it is."""
        self.inner.write(head, payload, now)

    def deadline(self) -> Micros | None:
        """The inner device's."""
        return self.inner.deadline()

    def expire(self, now: Micros) -> None:
        """The inner device's."""
        self.inner.expire(now)

    def fileno(self) -> int:
        """The inner device's."""
        return self.inner.fileno()

    def close(self) -> None:
        """Close the inner device."""
        self.inner.close()


def without_window(frame: bytes) -> bytes:
    """The same segment with SEG.WND = 0 and its checksum adjusted: HC' = ~(~HC + ~m + m') with m' = 0 (RFC 1624 3)."""
    at = IP_AT + (frame[IP_AT] & 0x0F) * 4
    window = int.from_bytes(frame[at + WINDOW_AT : at + WINDOW_AT + 2], "big")
    checksum_at = at + tcp.CHECKSUM_AT
    if checksum_at + 2 > len(frame) or frame[0] & NEEDS_CSUM:
        return frame
    checksum = int.from_bytes(frame[checksum_at : checksum_at + 2], "big")
    total = (checksum ^ 0xFFFF) + (window ^ 0xFFFF)
    checksum = (total & 0xFFFF) + (total >> 16) ^ 0xFFFF
    return frame[: at + WINDOW_AT] + b"\0\0" + checksum.to_bytes(2, "big") + frame[checksum_at + 2 :]
