"""Events as JSON lines: one object for each record, as it happens."""

import json
from typing import Any, TextIO

from netstack.inspect.plain import plain
from netstack.wire import pretty


class JsonTrace:
    """A sink that writes to a text stream: `observers.add(JsonTrace(stream))`.

    Each line is `inspect.plain` of one record: "event" and its fields, a frame as tcpdump would show it (with --pcap
    for its octets). A stream that fails ends the trace, and `error` says why; nothing else stops.
    """

    def __init__(self, stream: TextIO) -> None:
        self.stream = stream
        self.error: Exception | None = None
        self._isns: pretty.Isns = {}

    def __call__(self, event: Any) -> None:
        if self.error is None:
            try:
                self.stream.write(json.dumps(plain(event, self._isns)) + "\n")
            except (OSError, ValueError) as error:
                self.error = error

    def flush(self) -> None:
        """Pass on to the file what is buffered."""
        if self.error is None:
            try:
                self.stream.flush()
            except (OSError, ValueError) as error:
                self.error = error
