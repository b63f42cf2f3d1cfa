"""Applications that go wrong, each in its own way."""

import os
import time

number = 1


async def app(scope, receive, send):
    """Does what the path says."""
    if scope["type"] == "lifespan":
        raise RuntimeError("no lifespan here")
    match scope["path"]:
        case "/raise":
            raise RuntimeError("on purpose")
        case "/exit":
            raise SystemExit(7)
        case "/die":
            os._exit(9)
        case "/hang":
            print("hanging", flush=True)
            while True:
                time.sleep(0.05)  # never yields to the event loop
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"2")]})
    await send({"type": "http.response.body", "body": b"ok"})


async def unwilling(scope, receive, send):
    """Says that it cannot start."""
    await receive()
    await send({"type": "lifespan.startup.failed", "message": "the database\nis away"})


async def slow_to_start(scope, receive, send):
    """Never says that it has started."""
    await receive()
    print("starting", flush=True)
    await receive()


def make():
    """A factory."""
    return app


def broken_factory():
    """A factory that fails."""
    raise ValueError("no settings")
