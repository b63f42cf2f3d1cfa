"""Small pieces of ASGI: reading a scope, sending a whole answer, noticing that the client has gone."""

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from types import TracebackType
from typing import Any
from urllib.parse import parse_qsl

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
Answer = Callable[[Scope, Receive, Send], Awaitable[None]]

PLAINTEXT = b"Hello, World!"
PLAINTEXT_START = {
    "type": "http.response.start",
    "status": 200,
    "headers": [(b"content-type", b"text/plain"), (b"content-length", b"%d" % len(PLAINTEXT))],
}
PLAINTEXT_BODY = {"type": "http.response.body", "body": PLAINTEXT}


def header(scope: Scope, name: bytes) -> bytes:
    """The value of the first header field of that (lower-case) name; empty when there is none."""
    return next((value for key, value in scope["headers"] if key == name), b"")


def query(scope: Scope) -> dict[str, str]:
    """The query string; of a name given twice, the last value."""
    return dict(parse_qsl(scope["query_string"].decode("latin-1")))


async def send_whole(
    send: Send, body: bytes, kind: bytes, *, status: int = 200, vary: bool = False, allow: bytes = b""
) -> None:
    """One answer, all of it. `vary`: it depends on the Accept field."""
    fields = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
    if vary:
        fields.append((b"vary", b"accept"))
    if allow:
        fields.append((b"allow", allow))
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


async def send_json(send: Send, value: Any, *, vary: bool = False, indent: int | None = 2) -> None:
    """An object as JSON, indented for the people who use curl."""
    await send_whole(send, json.dumps(value, indent=indent).encode() + b"\n", b"application/json", vary=vary)


async def refuse(send: Send, status: int, reason: str, *, allow: bytes = b"") -> None:
    """Say in a line why not."""
    await send_whole(send, f"{reason}\n".encode(), b"text/plain; charset=utf-8", status=status, allow=allow)


class Disconnected:
    """Watches, for the length of an `async with` block, whether the client goes away while its answer is being made."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive

    async def _watch(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def __aenter__(self) -> "Disconnected":
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()

    async def within(self, seconds: float) -> bool:
        """Wait so long, or until the client has gone: True when it has."""
        await asyncio.wait([self._task], timeout=seconds)
        return self._task.done()
