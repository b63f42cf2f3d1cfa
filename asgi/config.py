"""Settings of the server: one frozen value with every limit and time-out, each with its default and its reason.

Sizes are octets, times seconds. A limit of None means that there is none.
"""

from dataclasses import dataclass

TICK = 0.25
"""Seconds between two looks at the deadlines: a time-out ends at most two ticks late, never early."""


@dataclass(frozen=True, slots=True)
class Settings:
    """What a `Server` may be told. Wrong values raise ValueError when the object is made."""

    root_path: str = ""
    """The prefix under which the application is mounted; put before every path, as the specification has it."""
    lifespan: str = "auto"
    """"auto": applications without lifespan are served too; "on": they are an error; "off": never asked."""
    server_header: str | None = "netstack"
    """Value of the Server field, None for no such field."""
    date_header: bool = True
    access_log: bool = False

    limit_head: int = 65_536
    """Request line and header fields together (431)."""
    limit_target: int = 16_384
    """The request target (414). RFC 9112 3 recommends at least 8,000."""
    limit_fields: int = 128
    """Header fields of one request (431)."""
    limit_body: int | None = None
    """Octets of one request body (413). None by default: a body is streamed, never gathered by the server."""
    limit_buffer: int = 262_144
    """Body octets waiting for the application before reading from the client pauses."""
    limit_drain: int = 65_536
    """Body octets the application left unread that are read and dropped to keep the connection."""
    limit_connections: int | None = None
    """Connections at a time; one more is told 503 and closed."""
    limit_concurrency: int | None = None
    """Requests that may be running at a time; one more is answered 503."""

    timeout_head: float = 10.0
    """From the first octet of a request to the end of its header fields (408)."""
    timeout_body: float = 30.0
    """Between two arrivals of body octets (408); does not run while the server itself has paused reading."""
    timeout_idle: float = 5.0
    """Without a request, on a connection that is new or kept alive: closed without a word."""
    timeout_write: float = 60.0
    """Without the client taking any of a response that waits for it: aborted."""
    timeout_linger: float = 2.0
    """Without an arrival, for the client to read a refusal before the connection is closed (RFC 9112 9.6)."""
    timeout_graceful: float = 10.0
    """For running requests to end at shutdown; what is left is then disconnected and cancelled."""
    timeout_lifespan: float = 30.0
    """For the application's lifespan shutdown."""

    def __post_init__(self) -> None:
        if self.lifespan not in ("auto", "on", "off"):
            raise ValueError(f"lifespan is auto, on or off, not {self.lifespan!r}")
        if self.root_path and not self.root_path.startswith("/"):
            raise ValueError(f"root_path begins with a slash: {self.root_path!r}")
        if self.server_header is not None and not (self.server_header.isascii() and self.server_header.isprintable()):
            raise ValueError("server_header is printable ASCII")
        for name in self.__slots__:
            value = getattr(self, name)
            if name.startswith(("limit_", "timeout_")) and value is not None and not value > 0:
                raise ValueError(f"{name} is more than 0, not {value!r}")
