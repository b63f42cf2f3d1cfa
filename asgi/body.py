"""Request bodies on the wire: how many octets belong to this request, and which of them are content (RFC 9112 6, 7).

Both framings have the same two faces: `take` cuts content out of what arrived, `done` says that the message has ended.
The chunked decoder is our own because the octets after the last chunk are the next request's: httptools does not tell
where a message ended, and bounds neither extensions nor trailer fields.
"""

import re
from http import HTTPStatus

_SIZE_LINE = re.compile(rb"([0-9A-Fa-f]{1,15})(?:;[\t -~\x80-\xff]*)?\r\n")
"""RFC 9112 7.1: chunk-size [ chunk-ext ] CRLF. Extensions are not understood, hence ignored (7.1.1)."""
_TRAILER_LINE = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+:[\t -~\x80-\xff]*\r\n")
_LIMIT_SIZE_LINE = 256
_LIMIT_TRAILER = 8_192
"""Octets; more is refused with 400 and 431. Nobody needs either, so neither is a setting."""

_SIZE, _DATA, _DATA_END, _TRAILER, _DONE = range(5)


class Length:
    """A body of a known number of octets."""

    __slots__ = ("remaining",)

    def __init__(self, length: int) -> None:
        self.remaining = length

    @property
    def done(self) -> bool:
        return self.remaining == 0

    def take(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Append the content in `data[at:]` to `pieces`; the position after it."""
        end = min(at + self.remaining, len(data))
        if end > at:
            pieces.append(data if at == 0 and end == len(data) else data[at:end])
            self.remaining -= end - at
        return end


class Chunked:
    """A body in chunks. Trailer fields are checked and dropped: ASGI has no place for those of a request."""

    __slots__ = ("_left", "_limit_body", "_part", "_state", "_total", "_trailer")

    def __init__(self, limit_body: int | None) -> None:
        self._limit_body = limit_body
        self._state = _SIZE
        self._left = 0
        """Octets of the present chunk still to come."""
        self._total = 0
        self._trailer = 0
        self._part = b""
        """The beginning of a line (or of the CRLF after a chunk) whose end has not arrived."""

    @property
    def done(self) -> bool:
        return self._state == _DONE

    @property
    def remaining(self) -> int:
        """0: how much is still to come is not known."""
        return 0

    def take(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        """Append the content in `data[at:]` to `pieces`; the position after it, or minus the status of a refusal."""
        if not self._part:
            return self._take(data, at, pieces)
        kept, self._part = self._part, b""
        end = self._take(kept + data[at:], 0, pieces)
        return end if end < 0 else end - len(kept) + at

    def _take(self, data: bytes, at: int, pieces: list[bytes]) -> int:
        size = len(data)
        while at < size:
            state = self._state
            if state == _DATA:
                end = min(at + self._left, size)
                pieces.append(data if at == 0 and end == size else data[at:end])
                self._left -= end - at
                at = end
                if not self._left:
                    self._state = _DATA_END
            elif state == _SIZE:
                match = _SIZE_LINE.match(data, at)
                if match is None:
                    return self._keep(data, at, _LIMIT_SIZE_LINE)
                if match.end() - at > _LIMIT_SIZE_LINE:
                    return -HTTPStatus.BAD_REQUEST
                at = match.end()
                self._left = int(match[1], 16)
                self._total += self._left
                if self._limit_body is not None and self._total > self._limit_body:
                    return -HTTPStatus.REQUEST_ENTITY_TOO_LARGE
                self._state = _DATA if self._left else _TRAILER
            elif state == _DATA_END:
                if not data.startswith(b"\r\n", at):
                    return self._keep(data, at, 1)
                at += 2
                self._state = _SIZE
            elif state == _TRAILER:
                if data.startswith(b"\r\n", at):
                    self._state = _DONE
                    return at + 2
                match = _TRAILER_LINE.match(data, at)
                if match is None:
                    return self._keep(data, at, _LIMIT_TRAILER)
                self._trailer += match.end() - at
                if self._trailer > _LIMIT_TRAILER:
                    return -HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
                at = match.end()
            else:
                break
        return at

    def _keep(self, data: bytes, at: int, limit: int) -> int:
        """No complete line at `at`: keep what there is if its end may still come."""
        rest = data[at : at + limit + 1]
        if b"\n" in rest or rest.find(b"\r") not in (-1, len(rest) - 1):
            return -HTTPStatus.BAD_REQUEST
        if len(rest) > limit:
            too_long = self._state == _TRAILER
            return -(HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE if too_long else HTTPStatus.BAD_REQUEST)
        if self._state == _DATA_END and rest != b"\r":
            return -HTTPStatus.BAD_REQUEST
        if self._state == _SIZE and re.match(rb"[0-9A-Fa-f]{1,15}(?:[;\r]|$)", rest) is None:
            return -HTTPStatus.BAD_REQUEST
        self._part = rest
        return len(data)
