"""A request whose conversation with the application is told to those who watch (`asgi.events`)."""

from asyncio import CancelledError
from collections.abc import Callable, Mapping
from typing import TYPE_CHECKING, Any

from asgi import events
from asgi.cycle import Cycle
from asgi.reply import DONE
from asgi.spec import Message, Scope

if TYPE_CHECKING:
    from asgi.connection import Connection
    from asgi.http import Http
    from asgi.request import RequestReader

def tell(connection: "Connection", kind: Callable[..., events.Event], *values: Any) -> None:
    """Hand a record of `kind`, with the time, the two ends of `connection` and `values`, to whoever watches now."""
    sink = connection.server.events
    if sink is not None:
        sink(kind(connection.server.loop.time(), connection.client, connection.local, *values))


def parsed(connection: "Connection", reader: "RequestReader", octets: int) -> None:
    """A header block of `octets` has become a request."""
    target = reader.target.decode("latin-1")
    tell(connection, events.RequestParsed, reader.method, target, len(reader.fields), octets)


class ReportedCycle(Cycle):
    """A `Cycle` of another class: so the path of the others has nothing to ask."""

    __slots__ = ("failure",)

    failure: str | None
    """What the application raised."""

    @classmethod
    def begin(cls, connection: "Http", scope: Scope, head_only: bool) -> Cycle:
        """A cycle for a request whose scope is made."""
        tell(connection, events.ScopeMade, scope)
        cycle = cls(connection, connection.server.loop, scope, head_only)
        cycle.failure = None
        return cycle

    async def run(self) -> None:
        """As `Cycle.run`."""
        tell(self._connection, events.TaskStarted)
        try:
            await super().run()
        except CancelledError:
            self.failure = "cancelled"
            raise
        finally:
            tell(self._connection, events.TaskEnded, self.failure)

    def _report(self, error: Exception) -> None:
        self.failure = f"{type(error).__name__}: {error}"
        super()._report(error)

    async def receive(self) -> Message:
        """As `Cycle.receive`."""
        message = await super().receive()
        octets, more = len(message.get("body", b"")), bool(message.get("more_body", False))
        tell(self._connection, events.Received, message["type"], octets, more)
        return message

    async def send(self, message: Message) -> None:
        """As `Reply.send`."""
        if isinstance(message, Mapping):  # else it is wrong, and is about to hear so
            body = message.get("body", b"")
            octets = len(body) if isinstance(body, bytes | bytearray | memoryview) else 0
            kind, more = str(message.get("type")), bool(message.get("more_body", False))
            status = message.get("status", 0)
            tell(self._connection, events.Sent, kind, octets, more, status)
        before = self.phase
        await super().send(message)
        if self.phase == DONE != before:
            tell(self._connection, events.ResponseWritten, self.status, self.sent)
