"""A device around a device that records what passes in a capture file."""

from netstack.link.device import NEEDS_CSUM, VNET, VNET_LEN, Device
from netstack.link.pcap_writer import CaptureWriter
from netstack.units import SECOND, Micros
from netstack.wire import udp
from netstack.wire.checksum import finish, ones_sum


class PcapRecorder:
    """Records every frame of `inner` in `capture`, as tcpdump on the other side of the link would see it.

    `epoch` is the wall-clock time in microseconds since the Unix epoch at which the stack's time is 0.
    Super-segments are recorded whole, as tcpdump on Linux does; a partial checksum is completed in the recorded copy,
    so that nobody sees a bad one.

    What is recorded reaches the file `flush_after` microseconds later at the latest (through `expire`). When the file
    takes no more (disk full), recording ends, `error` says why, and frames pass as before.
    """

    __slots__ = ("_flush_at", "_recording", "capture", "epoch", "error", "flush_after", "inner", "mtu", "offload")

    def __init__(self, inner: Device, capture: CaptureWriter, epoch: Micros, flush_after: Micros = 1 * SECOND) -> None:
        self.inner = inner
        self.capture = capture
        self.epoch = epoch
        self.flush_after = flush_after
        self.error: OSError | None = None
        self.mtu = inner.mtu
        self.offload = inner.offload
        self._recording = True
        self._flush_at: Micros | None = None

    def read(self, now: Micros) -> bytes | None:
        """The inner device's next frame, recorded."""
        frame = self.inner.read(now)
        if frame is not None:
            self.record(frame, False, now)
        return frame

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        """Recorded, then written."""
        self.record(b"".join((head, payload)), True, now)
        self.inner.write(head, payload, now)

    def record(self, frame: bytes, outbound: bool, now: Micros, comment: str = "") -> None:
        """Append one frame (with its virtio_net_hdr) to the capture; `comment` shows in pcapng."""
        if not self._recording:
            return
        try:
            self.capture.packet((self.epoch + now) * 1_000, completed(frame), outbound, comment)
        except OSError as error:
            self._give_up(error)
            return
        if self._flush_at is None:
            self._flush_at = now + self.flush_after

    def flush(self) -> None:
        """Pass on to the file what is buffered."""
        self._flush_at = None
        if self._recording:
            try:
                self.capture.flush()
            except OSError as error:
                self._give_up(error)

    def _give_up(self, error: OSError) -> None:
        self.error = error
        self._recording = False
        self._flush_at = None

    def deadline(self) -> Micros | None:
        """The inner device's, or the time of the next flush when something waits for it."""
        inner = self.inner.deadline()
        if self._flush_at is None or inner is None:
            return inner if self._flush_at is None else self._flush_at
        return min(inner, self._flush_at)

    def expire(self, now: Micros) -> None:
        """Flush when due; the inner device's."""
        if self._flush_at is not None and now >= self._flush_at:
            self.flush()
        self.inner.expire(now)

    def fileno(self) -> int:
        """The inner device's."""
        return self.inner.fileno()

    def close(self) -> None:
        """Close the inner device, and the capture with everything recorded in it."""
        self.inner.close()
        self._recording = False
        self._flush_at = None
        try:
            self.capture.close()
        except OSError as error:
            self._give_up(error)


def completed(frame: bytes) -> bytes:
    """The Ethernet frame of `frame`, its transport checksum completed if the virtio_net_hdr says that it is partial.

    An offset that points outside of the frame leaves everything as it is.
    """
    if len(frame) < VNET_LEN:
        return b""
    flags, _, _, _, start, offset = VNET.unpack_from(frame)
    start += VNET_LEN
    field = start + offset
    if not flags & NEEDS_CSUM or field + 2 > len(frame):
        return frame[VNET_LEN:]
    # The field holds the pseudo-header's sum, so the sum over all from `start` on is the whole sum.
    checksum = finish(ones_sum(memoryview(frame)[start:]))
    if checksum == 0 and offset == udp.CHECKSUM_AT:
        checksum = 0xFFFF  # RFC 768: 0 would mean that there is none
    return b"".join((frame[VNET_LEN:field], checksum.to_bytes(2, "big"), frame[field + 2 :]))
