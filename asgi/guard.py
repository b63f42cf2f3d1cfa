"""Why a request is refused: the status for header blocks that llhttp or our own checks did not take.

Everything here is off the path of a good request. llhttp (measured, 9.x by way of httptools) refuses by itself: bare LF
and bare CR, obsolete folding, spaces before the colon, names that are not tokens, control characters, a
Content-Length that is malformed, doubled or beside Transfer-Encoding, a final coding other than chunked. It lets
pass, and so `request.py` asks here: versions other than 1.0 and 1.1 and none at all, RTSP and ICE, more than one
space in the request line, bare LF before it, "*" for any method, fragments, any size, missing, doubled and odd Host
fields, codings before chunked, Transfer-Encoding on 1.0.
"""

import re
from http import HTTPStatus

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

CHUNKED = -1
"""The body length of a request with Transfer-Encoding: chunked."""

TOKEN = re.compile(rb"[!#$%&'*+\-.^_`|~0-9A-Za-z]+")
"""RFC 9110 5.6.2."""
_VERSION = re.compile(rb"HTTP/[0-9]\.[0-9]")
_HOST = re.compile(rb"(?:\[[0-9A-Fa-f:.]+\]|(?:[A-Za-z0-9\-._~!$&'()*+;=]|%[0-9A-Fa-f]{2})*)(?::[0-9]*)?")
"""RFC 3986 3.2.2 without the comma, which in a Host field is far more likely two of them made one."""
_ABSOLUTE = re.compile(rb"[hH][tT][tT][pP][sS]?://([^/?#]*)(.*)", re.DOTALL)


class _Silent:
    """A parser's protocol without callbacks: the parser only judges."""


def line_status(line: bytes) -> int:
    """The refusal for a request line (without its CRLF) that does not end in HTTP/1.0 or HTTP/1.1: 505, 501 or 400."""
    parts = line.split(b" ")
    if len(parts) != 3 or not TOKEN.fullmatch(parts[0]) or not parts[1]:
        return HTTPStatus.BAD_REQUEST
    if not _VERSION.fullmatch(parts[2]):
        return HTTPStatus.BAD_REQUEST
    if parts[2] not in (b"HTTP/1.0", b"HTTP/1.1"):
        return HTTPStatus.HTTP_VERSION_NOT_SUPPORTED
    return 0


def block_status(block: bytes) -> int:
    """The refusal for a header block (or the part of one) that llhttp did not take: 501, 505 or 400."""
    line, _, fields = block.partition(b"\r\n")
    if status := line_status(line):
        return status
    method = line[: line.find(b" ")]
    try:
        HttpRequestParser(_Silent()).feed_data(method + b" ")
    except HttpParserError:
        return HTTPStatus.NOT_IMPLEMENTED  # RFC 9110 9.1: a method that the server does not know
    # RFC 9112 6.1: a coding that is not understood is 501; with anything else wrong as well it is plainly bad.
    codings = []
    for field in fields.split(b"\r\n"):
        name, _, value = field.partition(b":")
        if name.lower() == b"content-length":
            return HTTPStatus.BAD_REQUEST
        if name.lower() == b"transfer-encoding":
            codings.append(value)
    if codings and line.endswith(b"1"):
        return coding_status(b",".join(codings)) or HTTPStatus.BAD_REQUEST
    return HTTPStatus.BAD_REQUEST


def part_status(part: bytes, limit_head: int, limit_target: int) -> int:
    """The refusal for the beginning of a header block that cannot become a good one, 0 if it still can."""
    eol = part.find(b"\r\n")
    line = part if eol < 0 else part[:eol]
    if len(line) > limit_target + 48 or target_length(line) > limit_target:
        return HTTPStatus.REQUEST_URI_TOO_LONG
    if len(part) > limit_head:
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE
    if eol >= 0 and (status := line_status(line)):
        return status
    try:
        HttpRequestParser(_Silent()).feed_data(part)
    except HttpParserUpgrade:
        pass  # "PRI" and CONNECT stop early; the whole block will tell
    except HttpParserError:
        if eol < 0:
            method, space, _ = part.partition(b" ")
            known = space and TOKEN.fullmatch(method) and b"\n" not in part
            # A part that ends inside the request line: only the method can be wrong in a way worth a name.
            return block_status(method + b" / HTTP/1.1\r\n\r\n") if known else HTTPStatus.BAD_REQUEST
        return block_status(part)
    return 0


def target_length(line: bytes) -> int:
    """Octets of the request target in a request line, complete or not."""
    start = line.find(b" ") + 1
    end = line.rfind(b" ")
    return (end if end >= start else len(line)) - start if start else 0


def coding_status(value: bytes) -> int:
    """0 when Transfer-Encoding is chunked and nothing else; 400 when it cannot be framed, 501 when it is not known."""
    codings = [coding.strip(b" \t").lower() for coding in value.split(b",")]
    if codings == [b"chunked"]:
        return 0
    if not all(TOKEN.fullmatch(coding) for coding in codings) or b"chunked" in codings[:-1]:
        return HTTPStatus.BAD_REQUEST
    return HTTPStatus.NOT_IMPLEMENTED


def host_is_valid(value: bytes) -> bool:
    """RFC 9112 3.2: one uri-host with an optional port, or nothing."""
    return _HOST.fullmatch(value) is not None


def absolute_target(target: bytes) -> tuple[bytes, bytes] | None:
    """(authority, origin form) of an absolute-form target (RFC 9112 3.2.2), None if it is something else or bad."""
    match = _ABSOLUTE.fullmatch(target)
    if match is None:
        return None
    authority, rest = match.groups()
    if not authority or not host_is_valid(authority):
        return None
    return authority, rest if rest.startswith(b"/") else b"/" + rest
