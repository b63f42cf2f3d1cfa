"""The server: what all connections share, the one timer that looks at their deadlines, start and graceful end.

    server = Server(app, Settings(...))
    await server.startup()                                   # lifespan; raises LifespanError
    listener = await create_server(server.protocol, ...)     # the event loop's, or any with the same protocol factory
    ...
    await server.shutdown(listener)                          # never waits for ever

Nothing here opens a socket: a `Server` answers on whatever transports its protocols are connected to.
"""

import asyncio
import logging
import sys
import time
from asyncio import AbstractEventLoop, Future, TimerHandle
from contextvars import Context, copy_context
from typing import Any, Protocol, TextIO

from asgi.access import AccessLog
from asgi.config import TICK, Settings
from asgi.connection import Connection
from asgi.cycle import Cycle
from asgi.events import Sink
from asgi.http import Http
from asgi.lifespan import Lifespan
from asgi.request import RequestReader
from asgi.response import Endings
from asgi.spec import App

logger = logging.getLogger("asgi")

_GRACE = 1.0
"""Seconds that requests have to end after they were disconnected at shutdown, and again after they were cancelled."""
_HURRIED = 0.05
"""What is left of that for who does not want to wait."""


class Closable(Protocol):
    """A listening server: anything whose `close` stops accepting."""

    def close(self) -> Any: ...


class Server:
    """An application and its connections, on one event loop. Not thread-safe, and not to be started twice."""

    def __init__(self, app: App, settings: Settings | None = None, *, access_stream: TextIO | None = None) -> None:
        """`access_stream`: where the access log goes if `settings.access_log` is set; standard output by default."""
        self.app = app
        self.settings = settings or Settings()
        self.root_path = self.settings.root_path
        self.limit_concurrency = self.settings.limit_concurrency
        self.raw_root_path = self.root_path.encode("utf-8")
        self.reader = RequestReader(self.settings)
        self.endings = Endings(self.settings.server_header, self.settings.date_header)
        self.lifespan = Lifespan(app, self.settings.lifespan)
        self.state = self.lifespan.state
        self.access: AccessLog | None = None
        self.loop: AbstractEventLoop
        self.context: Context
        self.connections: set[Connection] = set()
        self.running: set[Cycle] = set()
        """Requests whose application has not returned; more than one per connection while background tasks run."""
        self.stopping = False
        self.events: Sink | None = None
        """Who watches; set by `observe`."""
        # Deadlines for something that begins now; brought up to date at every tick while there are connections.
        self.idle_at = self.head_at = self.body_at = self.write_at = self.linger_at = 0.0
        self._access_stream = access_stream
        self._ticker: TimerHandle | None = None
        self._stalled: dict[Connection, tuple[float, int]] = {}
        """Connections whose client does not read: (deadline, octets in the write buffer)."""
        self._emptied: Future[None] | None = None
        self._hurried = False

    async def startup(self) -> None:
        """Run the application's lifespan startup. From here on connections may be made."""
        self._bind(asyncio.get_running_loop())
        await self.lifespan.startup()

    def _bind(self, loop: AbstractEventLoop) -> None:
        self.loop = loop
        # Every request begins with these variables, not with those of whatever made its octets arrive: reading may
        # have been resumed, or a waiting request taken up, from inside another request.
        self.context = copy_context()
        if self.settings.access_log:
            self.access = AccessLog(self._access_stream or sys.stdout, loop)

    def observe(self, sink: Sink | None) -> None:
        """Tell `sink` what happens from now on (`asgi.events`), requests that have begun excepted; None: nobody."""
        self.events = sink

    def protocol(self) -> Http:
        """A protocol for one connection: the factory that `create_server` wants."""
        return Http(self)

    async def shutdown(self, *listeners: Closable) -> None:
        """Stop accepting, finish what runs, disconnect what is left, end the lifespan.

        Idle connections are closed at once. Running requests have `timeout_graceful` seconds; then their connections
        are reset, `receive` says http.disconnect, and a second later their tasks are cancelled. So this ends
        although an event stream is open, or an application ignores that it is cancelled.
        """
        self.stopping = True
        for listener in listeners:
            listener.close()
        for connection in tuple(self.connections):
            connection.stop()
        await self._wait_empty(self.settings.timeout_graceful)
        if self.connections or self.running:
            counts = len(self.connections), len(self.running)
            logger.warning("Shutting down with %d connections open and %d requests running", *counts)
            for connection in tuple(self.connections):
                connection.abort()
            await self._wait_empty(_GRACE)
            for cycle in tuple(self.running):
                if cycle.task is not None:
                    cycle.task.cancel()
            await self._wait_empty(_GRACE)
        if self._ticker is not None:
            self._ticker.cancel()
            self._ticker = None
        await self.lifespan.shutdown(self.settings.timeout_lifespan)
        if self.access is not None:
            self.access.flush()

    def hurry(self) -> None:
        """Cut short what `shutdown` is waiting for, now and later."""
        self._hurried = True
        self.lifespan.hurry()
        if self._emptied is not None and not self._emptied.done():
            self._emptied.set_result(None)

    async def _wait_empty(self, limit: float) -> None:
        if self.connections or self.running:
            self._emptied = self.loop.create_future()
            await asyncio.wait((self._emptied,), timeout=_HURRIED if self._hurried else limit)
            self._emptied = None

    def _check_empty(self) -> None:
        emptied = self._emptied
        if emptied is not None and not emptied.done() and not self.connections and not self.running:
            emptied.set_result(None)

    # What connections and cycles call.

    def attach(self, connection: Connection) -> None:
        """A connection was made."""
        self.connections.add(connection)
        if self._ticker is None:
            self._tick()

    def detach(self, connection: Connection) -> None:
        """A connection is gone."""
        self.connections.discard(connection)
        self._stalled.pop(connection, None)
        self._check_empty()

    def on_end(self, cycle: Cycle) -> None:
        """An application has returned (or failed, or was cancelled)."""
        self.running.discard(cycle)
        if self._emptied is not None:
            self._check_empty()

    def on_stalled(self, connection: Connection) -> None:
        """The transport's write buffer is full."""
        self._stalled[connection] = (self.write_at, connection.transport.get_write_buffer_size())

    def on_flowing(self, connection: Connection) -> None:
        """The write buffer has space again."""
        self._stalled.pop(connection, None)

    # Time.

    def _tick(self) -> None:
        """Look at every deadline, bring the Date field up to date, come back if there are connections."""
        self._ticker = None
        now = self.loop.time()
        settings = self.settings
        # Until the next tick `now` is up to a tick old; that tick is added, so that nothing is cut off early.
        begin = now + TICK
        self.idle_at = begin + settings.timeout_idle
        self.head_at = begin + settings.timeout_head
        self.body_at = begin + settings.timeout_body
        self.write_at = begin + settings.timeout_write
        self.linger_at = begin + settings.timeout_linger
        self.endings.refresh(time.time())
        if self.connections:
            self._ticker = self.loop.call_at(now + TICK, self._tick)
        for connection in [c for c in self.connections if c.deadline <= now]:
            connection.expire()
        for connection, (deadline, size) in list(self._stalled.items()):
            if deadline <= now:
                left = connection.transport.get_write_buffer_size()
                if left < size:
                    self._stalled[connection] = (self.write_at, left)
                else:
                    connection.abort()
