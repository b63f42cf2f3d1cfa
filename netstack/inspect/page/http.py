"""The page's share of HTTP: answers, files, who may ask, and noticing that a browser has gone."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable, MutableMapping
from ipaddress import ip_address
from pathlib import Path
from types import TracebackType
from typing import Any

Scope = MutableMapping[str, Any]
Message = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[Message]]
Send = Callable[[Message], Awaitable[None]]
App = Callable[[Scope, Receive, Send], Awaitable[None]]

STATIC = Path(__file__).parent / "static"
KINDS = {".js": b"text/javascript", ".css": b"text/css", ".txt": b"text/plain"}
LIMIT_BODY = 4_096
"""Octets of a wish."""
CAUTION = [
    (b"cache-control", b"no-store"),
    (b"x-content-type-options", b"nosniff"),
    (b"referrer-policy", b"no-referrer"),
    (
        b"content-security-policy",
        b"default-src 'none'; script-src 'self'; style-src 'self'; img-src 'self' data:; connect-src 'self'; "
        b"base-uri 'none'; form-action 'none'; frame-ancestors 'none'",
    ),
]
"""No other page may frame this one, and it may load nothing from elsewhere."""


def files() -> dict[str, tuple[bytes, bytes]]:
    """What the page is made of, the page itself excepted: name -> (octets, media type)."""
    return {
        path.name: (path.read_bytes(), KINDS[path.suffix] + b"; charset=utf-8")
        for path in sorted(STATIC.iterdir())
        if path.suffix in KINDS
    }


async def answer(send: Send, status: int, body: bytes, kind: bytes = b"text/plain; charset=utf-8") -> None:
    """One answer, all of it."""
    fields = [(b"content-type", kind), (b"content-length", b"%d" % len(body)), *CAUTION]
    await send({"type": "http.response.start", "status": status, "headers": fields})
    await send({"type": "http.response.body", "body": body})


def field(scope: Scope, name: bytes) -> str:
    """The value of the first header field of that (lower-case) name; empty when there is none."""
    return next((value.decode("latin-1") for key, value in scope["headers"] if key == name), "")


def stranger(scope: Scope, is_front: bool = False) -> str:
    """Why a request cannot come from the page itself or from somebody at a keyboard; empty when it may.

    The page acts, so no other site may make a browser ask for it. A Host that is a name may be anybody's, pointed here
    (DNS rebinding); an Origin or Sec-Fetch-Site that is not ours is another site's script or form. Only to the front
    page (`is_front`) other sites may link.
    """
    host = field(scope, b"host")
    name = host.rpartition(":")[0] if host.rpartition(":")[2].isdigit() else host
    if name != "localhost":
        try:
            ip_address(name.strip("[]"))
        except ValueError:
            return "ask by address: the Host field is a name"
    if is_front:
        return ""
    origin, site = field(scope, b"origin"), field(scope, b"sec-fetch-site")
    if origin not in ("", f"{scope.get('scheme', 'http')}://{host}") or site not in ("", "same-origin", "none"):
        return "another site asks"
    return ""


async def wish(scope: Scope, receive: Receive) -> dict[str, Any]:
    """The JSON object in a request's body. ValueError when it is none, or no JSON is declared, or it is too long."""
    if field(scope, b"content-type").partition(";")[0].strip() != "application/json":
        raise ValueError("the body is to be application/json")
    body = b""
    while True:
        message = await receive()
        if message["type"] != "http.request":
            raise ValueError("the request was cut short")
        body += message.get("body", b"")
        if len(body) > LIMIT_BODY:
            raise ValueError(f"the body is longer than {LIMIT_BODY} octets")
        if not message.get("more_body", False):
            break
    try:
        found = json.loads(body)
    except (UnicodeDecodeError, json.JSONDecodeError, RecursionError) as error:
        raise ValueError("the body is not JSON") from error
    if not isinstance(found, dict):
        raise ValueError("the body is not a JSON object")
    return found


class Gone:
    """Watches, for the length of an `async with` block, whether the browser goes away."""

    def __init__(self, receive: Receive) -> None:
        self.receive = receive

    async def _watch(self) -> None:
        while (await self.receive())["type"] != "http.disconnect":
            pass

    async def __aenter__(self) -> Gone:
        self._task = asyncio.create_task(self._watch())
        return self

    async def __aexit__(
        self, kind: type[BaseException] | None, error: BaseException | None, trace: TracebackType | None
    ) -> None:
        self._task.cancel()

    async def within(self, seconds: float, closing: asyncio.Event) -> bool:
        """Wait so long, or until the browser has gone or the page closes: then True."""
        stop = asyncio.ensure_future(closing.wait())
        await asyncio.wait((self._task, stop), timeout=seconds, return_when=asyncio.FIRST_COMPLETED)
        stop.cancel()
        return self._task.done() or closing.is_set()
