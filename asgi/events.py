"""What the server says about itself: small typed records, handed to one optional callable (`Server.observe`).

Off costs one `is not None` test. `time` is the event loop's, in seconds; `client` and `local` are the two ends of the
connection, as (host, port), None for what has no port. Requests of one connection follow each other.
"""

from collections.abc import Callable
from dataclasses import dataclass

from asgi.spec import Scope

End = tuple[str, int] | None


@dataclass(slots=True)
class Event:
    """Something that happened on one connection."""

    time: float
    client: End
    local: End


@dataclass(slots=True)
class ConnectionMade(Event):
    """A transport was handed to the server."""


@dataclass(slots=True)
class ConnectionLost(Event):
    """The transport is gone; `error` says why when it was not closed in order."""

    error: str | None


@dataclass(slots=True)
class RequestParsed(Event):
    """A whole header block, of `octets`, was read and found good (RFC 9112 2.1)."""

    method: str
    target: str
    fields: int
    octets: int


@dataclass(slots=True)
class RequestRefused(Event):
    """The server answers by itself, with an error `status`, and closes."""

    status: int


@dataclass(slots=True)
class ScopeMade(Event):
    """The application is about to be called with this `scope`."""

    scope: Scope


@dataclass(slots=True)
class TaskStarted(Event):
    """The application's first step begins, in a task of its own."""


@dataclass(slots=True)
class Received(Event):
    """`await receive()` has an event for the application: its type, octets of body, and whether more follow."""

    type: str
    octets: int
    more: bool


@dataclass(slots=True)
class Sent(Event):
    """The application called `send` with an event: its type, octets of body, whether more follow; its status, or 0."""

    type: str
    octets: int
    more: bool
    status: int


@dataclass(slots=True)
class ResponseWritten(Event):
    """The last of a response was handed to the transport: its status and octets of body."""

    status: int
    octets: int


@dataclass(slots=True)
class TaskEnded(Event):
    """The application returned; `error` names what it raised instead."""

    error: str | None


Sink = Callable[[Event], None]
