"""The access log: one line a request, written once a turn of the event loop however many there were.

A line of the standard library's logging costs as much as serving the request does. This formats one string and joins
them when the loop comes round, so that 64 busy connections share one system call.
"""

from asyncio import AbstractEventLoop
from typing import TextIO


class AccessLog:
    """Lines like `192.0.2.1:51234 "GET /a?b HTTP/1.1" 200 13 0.42ms` on a text stream."""

    __slots__ = ("_lines", "_loop", "_stream")

    def __init__(self, stream: TextIO, loop: AbstractEventLoop) -> None:
        self._stream: TextIO | None = stream
        self._loop = loop
        self._lines: list[str] = []

    def request(
        self, client: tuple[str, int] | None, method: str, target: bytes, version: str, status: int, octets: int,
        seconds: float,
    ) -> None:  # fmt: skip
        """A request that was answered. Status 0: its client went, or its application failed, before there was one."""
        # llhttp lets only printable ASCII into a target; the quote is escaped so that a line stays one record.
        path = target.decode("latin-1").replace('"', "%22")
        line = f'{_peer(client)} "{method} {path} HTTP/{version}" {status or "-"} {octets} {seconds * 1e3:.2f}ms\n'
        self._write(line)

    def refused(self, client: tuple[str, int] | None, status: int) -> None:
        """Octets that did not become a request."""
        self._write(f'{_peer(client)} "-" {status} 0 -\n')

    def _write(self, line: str) -> None:
        if not self._lines:
            self._loop.call_soon(self.flush)
        self._lines.append(line)

    def flush(self) -> None:
        """Write what there is. A stream that fails (a closed pipe) loses lines, never requests."""
        lines, self._lines = self._lines, []
        if lines and self._stream is not None:
            try:
                self._stream.write("".join(lines))
                self._stream.flush()
            except (OSError, ValueError):
                self._stream = None


def _peer(client: tuple[str, int] | None) -> str:
    if client is None:
        return "-"
    host, port = client
    return f"[{host}]:{port}" if ":" in host else f"{host}:{port}"
