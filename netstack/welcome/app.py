"""The welcome application: which path is answered by what."""

import hashlib
import time

from netstack.welcome import answers
from netstack.welcome.answers import Answer, Receive, Scope, Send
from netstack.welcome.content import pieces
from netstack.welcome.page import about, facts, html

MAX_DOWNLOAD = 1 << 40
"""Octets that /bytes/N gives at most: 1 TiB."""
MAX_TICKS = 1_000_000
MAX_INTERVAL = 60.0
"""Seconds."""


async def app(scope: Scope, receive: Receive, send: Send) -> None:
    """Answer one request, or one lifespan."""
    if scope["type"] == "http":
        path: str = scope["path"]
        answer = ROUTES.get(path) or (download if path.startswith("/bytes/") else missing)
        await answer(scope, receive, send)
    elif scope["type"] == "lifespan":
        while (await receive())["type"] != "lifespan.shutdown":
            await send({"type": "lifespan.startup.complete"})
        await send({"type": "lifespan.shutdown.complete"})
    else:
        raise ValueError(f"the welcome application does not speak {scope['type']}")


async def plaintext(scope: Scope, receive: Receive, send: Send) -> None:
    """Thirteen octets: what is left when the application costs nothing."""
    await send(answers.PLAINTEXT_START)
    await send(answers.PLAINTEXT_BODY)


async def json(scope: Scope, receive: Receive, send: Send) -> None:
    """A small object, encoded each time."""
    await answers.send_json(send, {"message": "Hello, World!"}, indent=None)


async def front(scope: Scope, receive: Receive, send: Send) -> None:
    """A page for browsers, JSON for the others."""
    if b"text/html" in answers.header(scope, b"accept"):
        await answers.send_whole(send, html(scope).encode(), b"text/html; charset=utf-8", vary=True)
    else:
        await answers.send_json(send, about(scope), vary=True)


async def headers(scope: Scope, receive: Receive, send: Send) -> None:
    """The request as it arrived here."""
    await answers.send_json(send, facts(scope))


async def echo(scope: Scope, receive: Receive, send: Send) -> None:
    """The request's body, sent back while it is still coming in."""
    if scope["method"] not in ("POST", "PUT"):
        await answers.refuse(send, 405, "POST something: curl -d hello URL/echo", allow=b"POST, PUT")
        return
    kind = answers.header(scope, b"content-type") or b"application/octet-stream"
    start = [(b"content-type", kind)]
    if length := answers.header(scope, b"content-length"):
        start.append((b"content-length", length))
    await send({"type": "http.response.start", "status": 200, "headers": start})
    while (message := await receive())["type"] == "http.request":
        more = message.get("more_body", False)
        await send({"type": "http.response.body", "body": message.get("body", b""), "more_body": more})
        if not more:
            return


async def upload(scope: Scope, receive: Receive, send: Send) -> None:
    """Counts the body and hashes it (?sha256=0 does not: then it is the network that is measured)."""
    digest = None if answers.query(scope).get("sha256") == "0" else hashlib.sha256()
    began, octets = time.perf_counter(), 0
    while (message := await receive())["type"] == "http.request":
        body = message.get("body", b"")
        octets += len(body)
        if digest is not None:
            digest.update(body)
        if not message.get("more_body", False):
            seconds = time.perf_counter() - began
            counted = {"octets": octets, "sha256": digest and digest.hexdigest(), "seconds": round(seconds, 6)}
            await answers.send_json(send, counted)
            return


async def download(scope: Scope, receive: Receive, send: Send) -> None:
    """N octets (see `content`: the same ones every time, in chunks that exist only once in memory)."""
    number = scope["path"].removeprefix("/bytes/")
    octets = int(number) if number.isascii() and number.isdigit() and len(number) <= 13 else MAX_DOWNLOAD + 1
    if octets > MAX_DOWNLOAD:
        await answers.refuse(send, 404, f"/bytes/N takes a number of octets, at most {MAX_DOWNLOAD}")
        return
    start = [(b"content-type", b"application/octet-stream"), (b"content-length", b"%d" % octets)]
    await send({"type": "http.response.start", "status": 200, "headers": start})
    if scope["method"] != "HEAD":
        for piece in pieces(octets):
            await send({"type": "http.response.body", "body": piece, "more_body": True})
    await send({"type": "http.response.body"})


async def stream(scope: Scope, receive: Receive, send: Send) -> None:
    """Ticks: ?n=10 of them, ?interval=1 second apart; as events for an EventSource, as lines for the others."""
    query = answers.query(scope)
    try:
        ticks, interval = int(query.get("n", "10")), float(query.get("interval", "1"))
    except ValueError:
        ticks = interval = -1
    if not (0 <= ticks <= MAX_TICKS and 0 <= interval <= MAX_INTERVAL):
        await answers.refuse(send, 400, f"n is 0 to {MAX_TICKS} ticks, interval 0 to {MAX_INTERVAL:g} seconds")
        return
    events = b"text/event-stream" in answers.header(scope, b"accept")
    kind = b"text/event-stream" if events else b"text/plain; charset=utf-8"
    start = [(b"content-type", kind), (b"cache-control", b"no-store")]
    await send({"type": "http.response.start", "status": 200, "headers": start})
    async with answers.Disconnected(receive) as disconnected:
        for tick in range(1, ticks + 1):
            text = b"data: tick %d of %d\n\n" if events else b"tick %d of %d\n"
            await send({"type": "http.response.body", "body": text % (tick, ticks), "more_body": True})
            if await disconnected.within(interval if tick < ticks else 0):
                return
    await send({"type": "http.response.body"})


async def missing(scope: Scope, receive: Receive, send: Send) -> None:
    """Anything else."""
    await answers.refuse(send, 404, f"nothing here; there is {', '.join(sorted(ROUTES))} and /bytes/N")


ROUTES: dict[str, Answer] = {
    "/": front,
    "/plaintext": plaintext,
    "/json": json,
    "/headers": headers,
    "/echo": echo,
    "/upload": upload,
    "/stream": stream,
}
