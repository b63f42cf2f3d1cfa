"""Response octets: status lines, header fields from the application, the refusals the server writes itself.

What is the same for every response is rendered once: status lines at import, Date and Server once a second.
"""

import re
from collections.abc import Iterable
from email.utils import formatdate
from http import HTTPStatus
from typing import Any

from asgi.guard import TOKEN

_PHRASES = {status.value: status.phrase.encode() for status in HTTPStatus} | {
    413: b"Content Too Large",  # the names of RFC 9110, where Python 3.11 still has older ones
    414: b"URI Too Long",
    416: b"Range Not Satisfiable",
    422: b"Unprocessable Content",
}
STATUS_LINES = {code: b"HTTP/1.1 %d %b\r\n" % (code, _PHRASES.get(code, b"")) for code in range(200, 1000)}
"""Also for HTTP/1.0: the version of a response is the server's own (RFC 9110 6.2)."""

CLOSE = b"connection: close\r\n"
KEEP_ALIVE = b"connection: keep-alive\r\n"
CHUNKED = b"transfer-encoding: chunked\r\n"
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"

PLAIN, LENGTH, CONNECTION, TRANSFER, DATE, SERVER = 0, 1, 2, 4, 8, 16
_SPECIAL = {
    b"content-length": LENGTH,
    b"connection": CONNECTION,
    b"keep-alive": TRANSFER,
    b"transfer-encoding": TRANSFER,
    b"date": DATE,
    b"server": SERVER,
}
_KINDS: dict[bytes, int] = {}
"""Field names seen so far that are valid, as the application spells them, and what they are to us. Bounded."""

_HEADS: dict[tuple[Any, ...], tuple[bytes, int, int]] = {}
"""Heads rendered lately: most applications have few. Bounded."""

_LINE_BREAKS = b"\r\n\0"
_LENGTH_LINE = re.compile(rb"\r\ncontent-length: [0-9]*\r\n", re.IGNORECASE)


def render_head(status: int, fields: Iterable[Iterable[bytes]]) -> tuple[bytes, int, int]:
    """The status line and the application's fields, without those that the server decides.

    Returns (octets, Content-Length or -1, flags): CONNECTION is set when the application wants the connection closed,
    DATE and SERVER when it has set them itself. Raises TypeError or ValueError for what must not be sent: wrong types,
    names that are not tokens, line breaks, malformed or several lengths.
    """
    if type(fields) is not list:
        return _render(status, fields)
    key = (status, *fields)
    try:
        head = _HEADS.get(key)
    except TypeError:  # of fields that are lists
        return _render(status, fields)
    if head is None:
        head = _render(status, fields)
        if len(_HEADS) >= 256:
            _HEADS.clear()
        if len(head[0]) < 1_024:
            _HEADS[key] = head
    return head


def _render(status: int, fields: Iterable[Iterable[bytes]]) -> tuple[bytes, int, int]:
    try:
        block = STATUS_LINES[status]
    except KeyError:
        raise ValueError(f"status {status!r} is not that of a final response (an int from 200 to 999)") from None
    lines = 1
    length = -1
    flags = 0
    for name, value in fields:
        try:
            kind = _KINDS[name]
        except KeyError:
            kind = _classify(name)
        if kind:
            if kind == LENGTH:
                if length >= 0 or not value.isdigit() or len(value) > 18:
                    raise ValueError(f"content-length is one decimal number, once: {value!r}")
                length = int(value)
            elif kind == CONNECTION:
                if b"close" in value.lower():
                    flags |= CONNECTION
                continue
            elif kind == TRANSFER:
                continue  # the server frames the body; the specification has it ignore this field
            else:
                flags |= kind
        block += name + b": " + value + b"\r\n"
        lines += 1
    # One pass for all values: every CR, LF and NUL in the block has to be one of those just added.
    if len(block) - len(block.translate(None, _LINE_BREAKS)) != 2 * lines:
        raise ValueError("a response header value contains CR, LF or NUL")
    return block, length, flags


def without_length(block: bytes) -> bytes:
    """For 204, which must not have a Content-Length (RFC 9110 8.6)."""
    return _LENGTH_LINE.sub(b"\r\n", block)


def _classify(name: bytes) -> int:
    if not isinstance(name, bytes):
        raise TypeError(f"response header names are bytes, not {type(name).__name__}")
    if not TOKEN.fullmatch(name):
        raise ValueError(f"invalid response header name {name!r}")
    kind = _SPECIAL.get(name.lower(), PLAIN)
    if len(_KINDS) < 1_024:
        _KINDS[name] = kind
    return kind


def trailer_lines(fields: Iterable[Iterable[bytes]]) -> bytes:
    """Trailer fields, rendered. Those that would reframe the message are an error (RFC 9110 6.5.1)."""
    lines = []
    for name, value in fields:
        if _classify(name) or name.lower() in (b"host", b"content-encoding", b"content-type", b"content-range"):
            raise ValueError(f"{name!r} may not be a trailer field")
        if len(value) != len(value.translate(None, _LINE_BREAKS)):
            raise ValueError("a trailer field value contains CR, LF or NUL")
        lines.append(name + b": " + value + b"\r\n")
    return b"".join(lines)


class Endings:
    """The last lines of a header block, Date and Server, and the empty line; rendered anew once a second."""

    __slots__ = ("_date_header", "_second", "_server_line", "usual")

    usual: bytes
    """For responses whose application has set neither."""

    def __init__(self, server_header: str | None, date_header: bool) -> None:
        self._server_line = b"" if server_header is None else b"server: " + server_header.encode("ascii") + b"\r\n"
        self._date_header = date_header
        self._second = -1
        self.usual = self._server_line + b"\r\n"

    def refresh(self, now: float) -> None:
        """`now`: seconds since the epoch."""
        if self._date_header and int(now) != self._second:
            self._second = int(now)
            self.usual = self._date_line() + self._server_line + b"\r\n"

    def without(self, flags: int) -> bytes:
        """For an application that has set the fields in `flags` itself: nothing is doubled."""
        date = b"" if flags & DATE or not self._date_header or self._second < 0 else self._date_line()
        return date + (b"" if flags & SERVER else self._server_line) + b"\r\n"

    def _date_line(self) -> bytes:
        return b"date: " + formatdate(self._second, usegmt=True).encode("ascii") + b"\r\n"


def refusal(status: int, ending: bytes, head_only: bool = False) -> bytes:
    """A complete response of the server's own, which closes the connection."""
    text = b"%d %b\n" % (status, _PHRASES[status])
    fields = b"content-type: text/plain; charset=utf-8\r\ncontent-length: %d\r\n" % len(text)
    return b"".join((STATUS_LINES[status], fields, CLOSE, ending, b"" if head_only else text))
