"""On the kernel's sockets over loopback: real clients, real frameworks, the command itself."""

import asyncio
import contextlib
import hashlib
import os
import signal
import socket
import subprocess
import sys
from collections.abc import AsyncIterator

import httpx
import pytest
from fastapi import BackgroundTasks, Depends, FastAPI, HTTPException, Request
from starlette.applications import Starlette
from starlette.middleware.base import BaseHTTPMiddleware
from starlette.responses import PlainTextResponse, StreamingResponse
from starlette.routing import Mount, Route

from asgi import Server, Settings
from tests.asgi.wire import echo, plain

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(__file__)))


@contextlib.asynccontextmanager
async def serving(app, **settings) -> AsyncIterator[tuple[Server, int]]:
    """The server and its port on 127.0.0.1; nothing may be left at the end."""
    loop = asyncio.get_running_loop()
    unhandled: list[dict[str, object]] = []
    loop.set_exception_handler(lambda loop, context: unhandled.append(context))
    server = Server(app, Settings(**{"timeout_graceful": 5.0, **settings}))
    await server.startup()
    listener = await loop.create_server(server.protocol, "127.0.0.1", 0)
    try:
        yield server, listener.sockets[0].getsockname()[1]
    finally:
        await server.shutdown(listener)
    assert not server.connections
    assert not server.running
    assert unhandled == []


async def talk(port: int, data: bytes, finish: bool = False) -> bytes:
    """Send all, then read to the end of the connection."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port)
    writer.write(data)
    if finish:
        writer.write_eof()
    got = await asyncio.wait_for(reader.read(-1), 10)
    writer.close()
    return got


def test_keep_alive_pipelining_and_close():
    async def main():
        async with serving(echo) as (_, port):
            one = b"POST /%d HTTP/1.1\r\nHost: a\r\nContent-Length: 3\r\n\r\nabc"
            last = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"
            got = await talk(port, b"".join(one % n for n in range(50)) + last)
            assert got.count(b"HTTP/1.1 200 OK") == 51
            assert [got.index(b"POST /%d abc" % n) for n in range(50)] == sorted(
                got.index(b"POST /%d abc" % n) for n in range(50)
            )
            assert got.endswith(b"GET /last ")

    asyncio.run(main())


def test_half_closed_client_gets_its_answers():
    async def main():
        async with serving(echo) as (_, port):
            got = await talk(port, b"GET /1 HTTP/1.1\r\nHost: a\r\n\r\nGET /2 HTTP/1.1\r\nHost: a\r\n\r\n", finish=True)
            assert got.count(b"HTTP/1.1 200 OK") == 2

    asyncio.run(main())


def test_refusal_of_an_upload_is_not_lost_to_a_reset():
    """The client sends far more than any buffer holds before it reads: it still gets to read the 413."""

    async def main():
        async with serving(plain(), limit_body=1_000) as (_, port):
            head = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 20000000\r\n\r\n"
            reader, writer = await asyncio.open_connection("127.0.0.1", port)
            writer.write(head)
            for _ in range(100):
                writer.write(bytes(100_000))
                await writer.drain()
            assert (await reader.readline()).startswith(b"HTTP/1.1 413 ")
            writer.close()

    asyncio.run(main())


def test_large_bodies_both_ways():
    size = 20_000_000

    async def app(scope, receive, send):
        digest = hashlib.sha256()
        while True:
            event = await receive()
            digest.update(event["body"])
            if not event["more_body"]:
                break
        await send({"type": "http.response.start", "status": 200, "headers": [(b"x-sum", digest.hexdigest().encode())]})
        for _ in range(size // 100_000):
            await send({"type": "http.response.body", "body": b"y" * 100_000, "more_body": True})
        await send({"type": "http.response.body"})

    async def main():
        async with serving(app) as (_, port), httpx.AsyncClient() as client:
            data = os.urandom(size)
            response = await client.post(f"http://127.0.0.1:{port}/", content=data)
            assert response.headers["x-sum"] == hashlib.sha256(data).hexdigest()
            assert response.content == b"y" * size

    asyncio.run(main())


def test_clients_that_vanish_leave_nothing():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while True:
            await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})

    async def main():
        async with serving(app) as (server, port):
            for _ in range(20):
                _, writer = await asyncio.open_connection("127.0.0.1", port)
                writer.write(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
                await asyncio.sleep(0)
                writer.transport.abort()
            for _ in range(1_000):
                if not server.connections and not server.running:
                    break
                await asyncio.sleep(0)
                await asyncio.to_thread(lambda: None)
            assert not server.running

    asyncio.run(main())


# Frameworks.


def fastapi_app() -> FastAPI:
    log: list[str] = []

    @contextlib.asynccontextmanager
    async def lifespan(app):
        log.append("up")
        yield {"pool": "pool"}
        log.append("down")

    app = FastAPI(lifespan=lifespan)
    app.state.log = log

    async def session():
        log.append("session")
        yield "session"
        log.append("session closed")

    @app.get("/items/{number}")
    async def item(number: int, request: Request, q: str = "", db: str = Depends(session)):
        task = asyncio.current_task()
        return {"n": number, "q": q, "db": db, "pool": request.state.pool, "task": task is not None}

    @app.get("/thread")
    def thread():
        return {"in": "a thread"}

    @app.post("/upload")
    async def upload(request: Request):
        return {"size": len(await request.body())}

    @app.post("/json")
    async def json(body: dict[str, int]):
        return {"sum": sum(body.values())}

    @app.get("/later")
    async def later(tasks: BackgroundTasks):
        tasks.add_task(log.append, "background")
        return "ok"

    @app.get("/stream")
    async def stream():
        async def numbers():
            for n in range(5):
                yield f"{n}\n"
                await asyncio.sleep(0)

        return StreamingResponse(numbers())

    @app.get("/missing")
    async def missing():
        raise HTTPException(404, "not here")

    @app.get("/broken")
    async def broken():
        raise ValueError("broken on purpose")

    @app.middleware("http")
    async def stamp(request, call_next):
        response = await call_next(request)
        response.headers["x-stamp"] = "1"
        return response

    return app


def test_fastapi():
    app = fastapi_app()

    async def main():
        async with (
            serving(app, lifespan="on") as (_, port),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
        ):
            item = await client.get("/items/3?q=x")
            assert item.json() == {"n": 3, "q": "x", "db": "session", "pool": "pool", "task": True}
            assert item.headers["x-stamp"] == "1"
            assert item.headers["server"] == "netstack"
            assert "date" in item.headers
            assert (await client.get("/items/x")).status_code == 422
            assert (await client.get("/thread")).json() == {"in": "a thread"}
            upload = await client.post("/upload", content=b"x" * 300_000)
            assert upload.json() == {"size": 300_000}
            assert (await client.post("/json", json={"a": 1, "b": 2})).json() == {"sum": 3}
            assert (await client.get("/later")).json() == "ok"
            assert (await client.get("/stream")).text == "0\n1\n2\n3\n4\n"
            assert (await client.get("/missing")).status_code == 404
            assert (await client.get("/broken")).status_code == 500
            assert (await client.get("/nowhere")).status_code == 404
            many = await asyncio.gather(*(client.get(f"/items/{n}") for n in range(40)))
            assert [answer.json()["n"] for answer in many] == list(range(40))

    asyncio.run(main())
    log = app.state.log
    assert log[:3] == ["up", "session", "session closed"]
    assert log[-1] == "down"
    assert "background" in log


def test_starlette_with_pure_and_base_middleware_and_a_mount():
    class Stamp(BaseHTTPMiddleware):
        async def dispatch(self, request, call_next):
            response = await call_next(request)
            response.headers["x-stamp"] = request.url.path
            return response

    async def where(request):
        return PlainTextResponse(f"{request.url} {request.scope['root_path']} {request.path_params}")

    async def disconnected(request):
        return PlainTextResponse(str(await request.is_disconnected()))

    inner = Starlette(routes=[Route("/who/{name}", where), Route("/gone", disconnected)])
    app = Starlette(routes=[Mount("/in", app=inner)])
    app.add_middleware(Stamp)

    async def main():
        async with (
            serving(app, root_path="/api") as (_, port),
            httpx.AsyncClient(base_url=f"http://127.0.0.1:{port}") as client,
        ):
            answer = await client.get("/in/who/me?x=1")
            assert answer.text == f"http://127.0.0.1:{port}/api/in/who/me?x=1 /api/in {{'name': 'me'}}"
            assert answer.headers["x-stamp"] == "/api/in/who/me"
            assert (await client.get("/in/gone")).text == "False"

    asyncio.run(main())


# The command.


@contextlib.contextmanager
def command(*arguments: str):
    """`python -m asgi` serving on a free port; (process, URL)."""
    line = [sys.executable, "-m", "asgi", *arguments, "--port", "0"]
    with subprocess.Popen(line, cwd=ROOT, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True) as process:
        try:
            assert process.stderr is not None
            said = process.stderr.readline()
            assert said.startswith("serving on http://127.0.0.1:"), said + process.stderr.read()
            yield process, said.split()[2]
        finally:
            process.kill()


def curl(*arguments: str) -> str:
    return subprocess.run(["curl", "-sS", "-m", "10", *arguments], capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize("ending", [signal.SIGTERM, signal.SIGINT])
def test_command_serves_and_ends(ending):
    with command("tests.asgi.wire:echo") as (process, url):
        assert curl(url + "a?b") == "GET /a?b "
        assert curl("-d", "hello", url) == "POST / hello"
        assert curl("-H", "Transfer-Encoding: chunked", "-d", "hello", url) == "POST / hello"
        assert curl("-H", "Expect: 100-continue", "-d", "hello", url) == "POST / hello"
        assert curl("--http1.0", url) == "GET / "
        assert curl("-I", url).startswith("HTTP/1.1 200 OK")
        assert curl(url + "1", url + "2") == "GET /1 GET /2 "
        process.send_signal(ending)
        out, err = process.communicate(timeout=10)
    assert process.returncode == 0
    assert err == ""
    assert [line.split(" ", 1)[1].rsplit(" ", 1)[0] for line in out.splitlines()][:2] == [
        '"GET /a?b HTTP/1.1" 200 9',
        '"POST / HTTP/1.1" 200 12',
    ]


def test_command_takes_limits_and_factories():
    arguments = ("--limit-body", "4", "--root-path", "/api/", "--no-access-log", "--factory", "--lifespan", "off")
    with command("tests.asgi.test_real:make_echo", *arguments) as (process, url):
        assert curl(url + "x") == "GET /api/x "
        assert curl("-o", "/dev/null", "-w", "%{http_code}", "-d", "12345", url) == "413"
        process.terminate()
        assert process.communicate(timeout=10) == ("", "")


def make_echo():
    return echo


@pytest.mark.parametrize(
    ("arguments", "status", "message"),
    [
        (["nowhere:app"], 1, 'error: there is no module "nowhere"'),
        (["tests.asgi.wire:nope"], 1, 'error: module "tests.asgi.wire" has no attribute "nope"'),
        (["tests.asgi.wire:echo", "--lifespan", "on"], 1, "error: the application failed to start: KeyError"),
        (["tests.asgi.wire:echo", "--timeout-idle", "0"], 2, "timeout_idle is more than 0"),
        (["tests.asgi.wire:echo", "--port", "99999"], 2, "--port"),
        ([], 2, "Missing argument 'MODULE:ATTR'"),
    ],
)
def test_command_says_in_a_line_what_is_wrong(arguments, status, message):
    line = [sys.executable, "-m", "asgi", *arguments]
    done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == status
    assert message in done.stderr
    assert "Traceback" not in done.stderr.replace("ERROR: Exception in the application's lifespan\nTraceback", "")


def test_command_says_that_the_port_is_taken():
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = str(taken.getsockname()[1])
        line = [sys.executable, "-m", "asgi", "tests.asgi.wire:echo", "--port", port]
        done = subprocess.run(line, cwd=ROOT, capture_output=True, text=True, timeout=20)
    assert done.returncode == 1
    assert done.stderr.startswith(f"error: cannot listen on 127.0.0.1 port {port}: ")
    assert done.stderr.count("\n") == 1


def test_second_signal_does_not_wait():
    with command("tests.asgi.test_real:endless", "--timeout-graceful", "1000", "--lifespan", "off") as (process, url):
        host, port = url.removeprefix("http://").rstrip("/").split(":")
        with socket.create_connection((host, int(port))) as client:
            client.sendall(b"GET / HTTP/1.1\r\nHost: a\r\n\r\n")
            assert client.recv(10)
            process.send_signal(signal.SIGINT)
            with contextlib.suppress(ConnectionError):
                while True:  # until it has stopped listening
                    socket.create_connection((host, int(port))).close()
            assert process.poll() is None
            process.send_signal(signal.SIGINT)
            assert process.wait(10) == 0


async def endless(scope, receive, send):
    await send({"type": "http.response.start", "status": 200, "headers": []})
    await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
    await asyncio.Event().wait()
