"""The request that travels: from a URL and what else was asked for to the octets of HTTP/1.1."""

import re
from dataclasses import dataclass
from urllib.parse import quote, urlsplit

from netstack.service.plan import PORT

_TOKEN = re.compile(r"[!#$%&'*+.^_`|~0-9A-Za-z-]+")
"""RFC 9110 5.6.2: what methods and field names are made of."""
_NO_FIELD_VALUE = re.compile(r"[\x00-\x08\x0a-\x1f\x7f]")


@dataclass(frozen=True)
class Request:
    """One request. `host` goes into its Host field; the server listens on `port`, whatever the host is called."""

    host: str
    port: int
    target: str
    method: str = "GET"
    fields: tuple[tuple[str, str], ...] = ()
    body: bytes = b""
    server_closes: bool = False
    """Asks the server to close the connection after the response; otherwise the client closes it, as curl does."""

    @property
    def url(self) -> str:
        """The whole of it again."""
        return f"http://{self.host}{self.target}"

    @property
    def octets(self) -> bytes:
        """As it goes on the wire (RFC 9112 2.1)."""
        given = {name.lower() for name, _ in self.fields}
        usual = [("Host", self.host), ("User-Agent", "netstack-journey"), ("Accept", "*/*")]
        lines = [(name, value) for name, value in usual if name.lower() not in given] + list(self.fields)
        if self.body:
            lines.append(("Content-Length", str(len(self.body))))
        if self.server_closes:
            lines.append(("Connection", "close"))
        head = "".join(f"{name}: {value}\r\n" for name, value in lines)
        return f"{self.method} {self.target} HTTP/1.1\r\n{head}\r\n".encode("latin-1") + self.body


def make_request(
    url: str, method: str | None = None, data: str | None = None, fields: tuple[str, ...] = (), *,
    server_closes: bool = False,
) -> Request:  # fmt: skip
    """A request for `url` (`http://host:port/path?query`, or `/path?query` alone). ValueError for what is none."""
    parts = urlsplit(url if "://" in url else f"http://192.0.2.2:{PORT}/{url.removeprefix('/')}")
    if parts.scheme != "http":
        raise ValueError(f"{url!r}: only http:// can be followed, inside TLS there is nothing to see")
    if not parts.hostname:
        raise ValueError(f"{url!r} has no host: http://192.0.2.2:{PORT}/path, or /path")
    try:
        port = 80 if parts.port is None else parts.port
    except ValueError:
        port = 0
    if not port:
        raise ValueError(f"{url!r}: the port is a number from 1 to 65535")
    method = method or ("GET" if data is None else "POST")
    if not _TOKEN.fullmatch(method):
        raise ValueError(f"{method!r} is no method")
    target = quote(parts.path or "/", safe="/%:@!$&'()*+,;=~-._")
    if parts.query:
        target += "?" + quote(parts.query, safe="/%:@!$&'()*+,;=~-._?")
    return Request(
        host=parts.netloc.rpartition("@")[2], port=port, target=target, method=method,
        fields=tuple(_field(line) for line in fields), body=b"" if data is None else data.encode(),
        server_closes=server_closes,
    )  # fmt: skip


def _field(line: str) -> tuple[str, str]:
    name, colon, value = line.partition(":")
    value = value.strip()
    if not colon or not _TOKEN.fullmatch(name) or _NO_FIELD_VALUE.search(value) or not value.isascii():
        raise ValueError(f"{line!r} is no header field: Name: value")
    return name, value
