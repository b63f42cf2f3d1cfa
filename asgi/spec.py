"""The words of the ASGI specification that this server uses: types, versions, the error of a send that nobody hears.

The application's side is asgi.readthedocs.io, "HTTP & WebSocket ASGI Message Format" and "Lifespan Protocol".
"""

from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

ASGI_VERSION = "3.0"
HTTP_SPEC_VERSION = "2.4"
"""From 2.4 on, `send` after the client has gone raises an OSError; frameworks look at this number to rely on it."""
LIFESPAN_SPEC_VERSION = "2.0"


class ClientDisconnected(ConnectionError):
    """`send` was awaited after the client had gone, or after the server had to close the connection."""
