"""An ASGI server for HTTP/1.0 and 1.1 on asyncio transports, whatever they are connected to.

- `python -m asgi MODULE:ATTR` serves an application on the kernel's sockets;
- `Server(app, Settings(...))` serves it on any transports: see `asgi.server`.
"""

from asgi.app import AppNotFound, load_app
from asgi.config import Settings
from asgi.lifespan import LifespanError
from asgi.server import Server
from asgi.spec import ClientDisconnected

__all__ = ["AppNotFound", "ClientDisconnected", "LifespanError", "Server", "Settings", "load_app"]
