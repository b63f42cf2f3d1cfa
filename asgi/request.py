"""From one header block to what the request means: httptools parses, limits and what llhttp lets pass are checked here.

The reader is given whole blocks, from the first octet of the request line to the empty line. So one parser serves
every connection of a server (an idle connection keeps none), nothing half-read has to be kept between two arrivals, and
"is this acceptable?" is a question about a bytes object. Bodies are framed in `body.py`, from what is found here.
"""

from http import HTTPStatus
from typing import Any
from urllib.parse import unquote_to_bytes

from httptools import HttpParserError, HttpParserUpgrade, HttpRequestParser

from asgi import guard
from asgi.config import Settings
from asgi.guard import CHUNKED

_FRAMING = frozenset(
    (b"host", b"connection", b"content-length", b"transfer-encoding", b"expect", b"upgrade", b"te", b"proxy-connection")
)
"""Fields that decide, here or inside llhttp, how the message or what follows it is read."""
_KEEP_ALIVE = frozenset((b"keep-alive", b"Keep-Alive"))
_END = object()
_METHODS = {
    name.encode(): name for name in ("GET", "HEAD", "POST", "PUT", "DELETE", "PATCH", "OPTIONS", "TRACE", "PROPFIND")
}


class RequestReader:
    """Reads one block at a time; the attributes describe the last one that `read` accepted."""

    __slots__ = (
        "_callbacks",
        "_found",
        "_hosts",
        "_limit_body",
        "_limit_fields",
        "_limit_head",
        "_limit_line",
        "_lines",
        "_parsed",
        "_parser",
        "expect_continue",
        "fields",
        "http11",
        "keep_alive",
        "length",
        "method",
        "path",
        "plain",
        "query",
        "raw_path",
        "trailers",
    )

    method: str
    path: str
    """Percent-decoded, as UTF-8; octets that are not are replaced by U+FFFD."""
    raw_path: bytes
    query: bytes
    fields: list[tuple[bytes, bytes]]
    """(name in lower case, value without surrounding white space), in order."""
    plain: bool
    """On 1.1, without a body, with nothing that concerns the connection: what follows is not set, and not needed."""
    http11: bool
    keep_alive: bool
    length: int
    """Octets of the body, CHUNKED, or 0 for no body."""
    expect_continue: bool
    trailers: bool
    """The client said "TE: trailers"."""

    def __init__(self, settings: Settings) -> None:
        self._limit_head = settings.limit_head
        self._limit_line = settings.limit_target + 10  # the target with a space before it and the version behind it
        self._limit_fields = settings.limit_fields
        self._limit_body = settings.limit_body
        self._hosts: set[bytes] = set()
        self._lines: dict[bytes, tuple[str, bytes, bytes, str]] = {}
        """Good request lines of HTTP/1.1 in origin form, and what they mean: method, raw_path, query, path. Bounded."""
        self._found: dict[bytes, bytes] = {}
        """The fields of the present block that are in _FRAMING, the values of several joined by a comma."""
        self._parsed: list[Any] = []
        """The present block: its target, then its fields, then _END."""
        self._callbacks = _Callbacks(self._parsed, self._found)
        self._parser = HttpRequestParser(self._callbacks)

    def read(self, block: bytes) -> int:
        """Take a header block, from the request line to the empty line; 0, or the status to refuse it with."""
        parsed = self._parsed
        found = self._found
        parsed.clear()
        found.clear()
        line = block[: block.find(b"\r\n")]
        known = self._lines.get(line)
        http11 = known is not None or line.endswith(b" HTTP/1.1")
        if len(block) > self._limit_head or (known is None and len(line) - line.find(b" ") > self._limit_line):
            return self._too_large(line)
        if not http11 and not line.endswith(b" HTTP/1.0"):
            return guard.line_status(line) or HTTPStatus.BAD_REQUEST
        try:
            self._parser.feed_data(block)
        except HttpParserUpgrade:
            self._reset_parser()  # RFC 9110 7.8 lets a server ignore Upgrade, and this one does
        except HttpParserError:
            self._reset_parser()
            return guard.block_status(block)
        # llhttp's idea of where the header block ends, and how many spaces the request line has, has to be ours.
        target = parsed[0]
        if parsed[-1] is not _END or line.find(b" ") + len(target) != len(line) - 10:
            self._reset_parser()
            return HTTPStatus.BAD_REQUEST
        self.fields = parsed[1:-1]
        if len(parsed) > self._limit_fields + 2:
            self._reset_parser()
            return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE

        if known is not None:
            self.method, self.raw_path, self.query, self.path = known
        elif status := self._read_method(line):
            return status
        try:
            host = found[b"host"]
            plain = http11 and (len(found) == 1 or (len(found) == 2 and found.get(b"connection") in _KEEP_ALIVE))
        except KeyError:
            host = None
            plain = False
        self.plain = plain
        if not plain:
            self.http11 = http11
            # Whatever llhttp made of it (waits for a body, wants no more data) must not reach another connection.
            self._reset_parser()
            if status := self._read_framing(found):
                return status
        if host not in self._hosts and (status := self._check_host(host)):
            return status

        if known is not None:
            return 0
        if target[0] != 47 or b"#" in target:
            return self._read_other_target(target)
        self._read_origin(target)
        if http11 and len(line) < 256:
            if len(self._lines) >= 256:
                self._lines.clear()
            self._lines[line] = self.method, self.raw_path, self.query, self.path
        return 0

    @property
    def target(self) -> bytes:
        """As sent."""
        target: bytes = self._parsed[0]
        return target

    def _reset_parser(self) -> None:
        self._parser = HttpRequestParser(self._callbacks)

    def _read_method(self, line: bytes) -> int:
        name = line[: line.find(b" ")]
        method = _METHODS.get(name)
        if method is None:
            if not guard.TOKEN.fullmatch(name):  # llhttp skips line ends in front of it
                self._reset_parser()
                return HTTPStatus.BAD_REQUEST
            method = name.decode("ascii")
        self.method = method
        return 0

    def _too_large(self, line: bytes) -> int:
        if guard.target_length(line) > self._limit_line - 10:
            return HTTPStatus.REQUEST_URI_TOO_LONG
        return HTTPStatus.REQUEST_HEADER_FIELDS_TOO_LARGE

    def _read_origin(self, target: bytes) -> None:
        """Origin form: /path?query (RFC 9112 3.2.1)."""
        raw_path, _, self.query = target.partition(b"?")
        self.raw_path = raw_path
        if b"%" in raw_path:
            self.path = unquote_to_bytes(raw_path).decode("utf-8", "replace")
        else:
            self.path = raw_path.decode("latin-1")

    def _read_other_target(self, target: bytes) -> int:
        """Absolute form, "*" of OPTIONS; CONNECT's authority form has no meaning at an origin server."""
        if self.method == "CONNECT":
            return HTTPStatus.NOT_IMPLEMENTED
        if b"#" in target:
            return HTTPStatus.BAD_REQUEST  # fragments are not sent
        if target == b"*" and self.method == "OPTIONS":
            self.raw_path, self.query, self.path = target, b"", "*"
            return 0
        split = guard.absolute_target(target)
        if split is None:
            return HTTPStatus.BAD_REQUEST
        authority, origin = split
        # RFC 9112 3.2.2: the authority of the target replaces what the Host field says.
        self.fields = [(b"host", authority), *((n, v) for n, v in self.fields if n != b"host")]
        self._read_origin(origin)
        return 0

    def _read_framing(self, found: dict[bytes, bytes]) -> int:
        """Body length, persistence and expectation from their fields (RFC 9112 6, 9.3; RFC 9110 10.1.1)."""
        http11 = self.http11
        self.length = 0
        coding = found.get(b"transfer-encoding")
        if coding is not None:
            # RFC 9112 6.1: on 1.0 the framing is faulty, and beside Content-Length it smells of smuggling.
            if not http11 or b"content-length" in found:
                return HTTPStatus.BAD_REQUEST
            if status := guard.coding_status(coding):
                return status
            self.length = CHUNKED
        elif (length := found.get(b"content-length")) is not None:
            if not length.isdigit():
                return HTTPStatus.BAD_REQUEST
            self.length = int(length)
            if self._limit_body is not None and self.length > self._limit_body:
                return HTTPStatus.REQUEST_ENTITY_TOO_LARGE

        self.keep_alive = http11
        connection = found.get(b"connection")
        if connection is not None:
            options = [option.strip(b" \t") for option in connection.lower().split(b",")]
            self.keep_alive = b"close" not in options and (http11 or b"keep-alive" in options)

        self.expect_continue = False
        expect = found.get(b"expect")
        if expect is not None and http11:
            if expect.lower() != b"100-continue":
                return HTTPStatus.EXPECTATION_FAILED
            self.expect_continue = self.length != 0
        te = found.get(b"te")
        self.trailers = te is not None and http11 and b"trailers" in [t.strip(b" \t") for t in te.lower().split(b",")]
        return 0

    def _check_host(self, host: bytes | None) -> int:
        """RFC 9112 3.2: exactly one valid Host on 1.1; 1.0 may have none. Good values are remembered, up to a bound."""
        if host is None:
            return HTTPStatus.BAD_REQUEST if self.http11 else 0  # not plain without a Host
        if not guard.host_is_valid(host):  # two fields were joined by a comma and a space: not valid either
            return HTTPStatus.BAD_REQUEST
        if len(self._hosts) < 256:
            self._hosts.add(host)
        return 0


class _Callbacks:
    """What httptools calls, once per field: closures, which cost it half of what bound methods do."""

    def __init__(self, parsed: list[Any], found: dict[bytes, bytes]) -> None:
        append = parsed.append

        def on_header(name: bytes, value: bytes) -> None:
            name = name.lower()
            value = value.rstrip()
            append((name, value))
            if name in _FRAMING:
                found[name] = found[name] + b", " + value if name in found else value

        def on_headers_complete() -> None:
            append(_END)

        self.on_url = append
        self.on_header = on_header
        self.on_headers_complete = on_headers_complete
