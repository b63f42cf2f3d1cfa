"""A device around a device that says in one line each what passes."""

from collections.abc import Callable

from netstack.link.device import GSO_NONE, VNET, VNET_LEN, Device
from netstack.units import SECOND, Micros
from netstack.wire import pretty


class Tracer:
    """Calls `show` with one line, without a newline, for every frame: time, direction, and the frame as tcpdump has it.

        0.001234 < IP 192.0.2.1.40000 > 192.0.2.2.80: S 0:0(0) win 64240 <mss 1460,sackOK>
        0.001300 > IP 192.0.2.2.80 > 192.0.2.1.40000: . 1:4345(4344) ack 79 win 502 [gso 1448]

    `<` came from the inner device, `>` went to it (packetdrill's arrows). Time is the stack's, in seconds. With
    `relative`, sequence numbers count from the handshake where it passed here; else they are those of the wire.
    """

    __slots__ = ("_isns", "inner", "mtu", "offload", "show")

    def __init__(self, inner: Device, show: Callable[[str], None], relative: bool = True) -> None:
        self.inner = inner
        self.show = show
        self.mtu = inner.mtu
        self.offload = inner.offload
        self._isns: pretty.Isns | None = {} if relative else None

    def read(self, now: Micros) -> bytes | None:
        """The inner device's next frame, shown."""
        frame = self.inner.read(now)
        if frame is not None:
            self.show(self.line("<", frame, now))
        return frame

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        """Shown before it is written, so that a frame which the inner device refuses is the last line."""
        self.show(self.line(">", b"".join((head, payload)), now))
        self.inner.write(head, payload, now)

    def line(self, arrow: str, frame: bytes, now: Micros) -> str:
        """The line for one frame. Total: octets that make no sense are shown as that."""
        gso = ""
        if len(frame) >= VNET_LEN:
            _, gso_type, _, gso_size, _, _ = VNET.unpack_from(frame)
            gso = f" [gso {gso_size}]" if gso_type != GSO_NONE else ""
        return f"{now // SECOND}.{now % SECOND:06d} {arrow} {pretty.frame(frame, VNET_LEN, self._isns)}{gso}"

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
