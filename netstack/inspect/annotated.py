"""A device around a device that records what passes, with what the stack thought of it as a comment on each packet."""

from typing import Any

from netstack.inspect.commentary import Commentary
from netstack.inspect.keylog import KeyLog
from netstack.link.device import Device
from netstack.link.pcap import PcapRecorder
from netstack.link.pcap_writer import PcapngWriter
from netstack.units import SECOND, Micros

_WAITING = 128
"""Frames that wait to be written at most."""


class AnnotatingRecorder(PcapRecorder):
    """A `PcapRecorder` for pcapng that is also a sink of the events of the stack on it: `observers.add(recorder)`.

    Frames that came are written when they have been acted on and before one leaves, or `flush_after` later: so their
    comments can tell what they did, and the order in the file is that on the link. With `keys`, the secrets of TLS go
    into the capture before the first packet that they decrypt.
    """

    __slots__ = ("_came", "_commentary", "_is_open", "_keys", "_pcapng")

    def __init__(
        self,
        inner: Device,
        capture: PcapngWriter,
        epoch: Micros,
        flush_after: Micros = 1 * SECOND,
        keys: KeyLog | None = None,
    ) -> None:
        super().__init__(inner, capture, epoch, flush_after)
        self._pcapng = capture
        self._keys = keys
        self._commentary = Commentary()
        self._came: list[tuple[bytes, Micros, str]] = []
        """Frames that are not written yet, the last of them perhaps not acted on, with what they did."""
        self._is_open = False
        """What the last of them did is still to be told."""

    def __call__(self, event: Any) -> None:
        """A sink."""
        self._commentary(event)

    def read(self, now: Micros) -> bytes | None:
        """The inner device's next frame, to be recorded when it has been acted on."""
        frame = self.inner.read(now)
        if frame is not None:
            self._tell()
            if len(self._came) >= _WAITING:
                self._settle()
            self._came.append((frame, now, ""))
            self._is_open = True
            if self._flush_at is None:
                self._flush_at = now + self.flush_after
        return frame

    def write(self, head: bytes, payload: bytes | memoryview, now: Micros) -> None:
        """Recorded, then written."""
        self._settle()
        frame = b"".join((head, payload))
        self.record(frame, True, now, self._commentary.sent(frame))
        self.inner.write(head, payload, now)

    def record(self, frame: bytes, outbound: bool, now: Micros, comment: str = "") -> None:
        """As `PcapRecorder.record`, behind the secrets that TLS has drawn since."""
        fresh = b"" if self._keys is None or not self._recording else self._keys.fresh()
        if fresh:
            try:
                self._pcapng.secrets(fresh)
            except OSError as error:
                self._give_up(error)
        super().record(frame, outbound, now, comment)

    def flush(self) -> None:
        """Pass on to the file what is buffered, and what came and was acted on."""
        self._settle()
        super().flush()

    def close(self) -> None:
        """Close the inner device, and the capture with everything recorded in it."""
        self._settle()
        super().close()

    def _settle(self) -> None:
        """What came has been acted on, so it can be written."""
        self._tell()
        came, self._came = self._came, []
        for frame, at, comment in came:
            self.record(frame, False, at, comment)

    def _tell(self) -> None:
        """The frame that came last has been acted on: that is all it did."""
        if self._is_open:
            self._is_open = False
            frame, at, _ = self._came[-1]
            self._came[-1] = frame, at, self._commentary.received(frame)
