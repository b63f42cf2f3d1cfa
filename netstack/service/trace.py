"""Events as JSON lines: one object for each record of `netstack.events`, as it happens."""

import json
from dataclasses import fields
from typing import Any, TextIO

from netstack.events import Event, FrameReceived, FrameSent, Variables
from netstack.link.device import VNET_LEN
from netstack.wire import pretty


class JsonTrace:
    """A sink that writes to a text stream: `stack.observe(JsonTrace(stream))`.

    Each line has "event" and the fields of the record: times in microseconds, names as in the RFC, a connection as
    its two ends, a frame as tcpdump would show it (with --pcap for its octets). A stream that fails ends the trace,
    and `error` says why; nothing else stops.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.error: Exception | None = None
        self._isns: pretty.Isns = {}

    def __call__(self, event: Event) -> None:
        if self.error is None:
            record = {"event": type(event).__name__} | {
                name.name: self._plain(event, name.name, getattr(event, name.name)) for name in fields(event)
            }
            try:
                self.stream.write(json.dumps(record) + "\n")
            except (OSError, ValueError) as error:
                self.error = error

    def flush(self) -> None:
        """Pass on to the file what is buffered."""
        if self.error is None:
            try:
                self.stream.flush()
            except (OSError, ValueError) as error:
                self.error = error

    def _plain(self, event: Event, name: str, value: Any) -> Any:
        if name == "who":
            return pretty.who(value)
        if name == "flags":
            return pretty.flags(value)
        if isinstance(event, FrameReceived | FrameSent) and name == "frame":
            return pretty.frame(value, VNET_LEN, self._isns)
        if isinstance(value, Variables):
            return {part.name: self._plain(event, part.name, getattr(value, part.name)) for part in fields(value)}
        return value if type(value) in (int, float, bool, type(None)) else str(value)
