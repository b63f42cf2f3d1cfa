"""The same server between two of our own stacks in virtual time, over a good path and a bad one."""

import asyncio
import hashlib

import pytest

from asgi import Server, Settings
from netstack.link.fault import Faults
from tests.aio.net import HOST, two_stacks
from tests.aio.virtual_loop import run
from tests.asgi.wire import echo, plain

GET = b"GET / HTTP/1.1\r\nHost: a\r\n\r\n"
LAST = b"GET /last HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n"


async def exchange(stack, data: bytes, finish: bool = False) -> bytes:
    """Send all, then read to the end of the connection."""
    reader, writer = await stack.open_connection(HOST, 80)
    writer.write(data)
    if finish:
        writer.write_eof()
    got = await reader.read(-1)
    writer.close()
    await writer.wait_closed()
    return got


PATHS = {
    "frames of MTU size": {},
    "offload": {"offload": True},
    "loss and delay": {"faults": Faults(loss=0.05, delay=10_000)},
}


@pytest.mark.parametrize("path", PATHS.values(), ids=PATHS.keys())
def test_requests_bodies_refusals_and_the_end(path):
    async def app(scope, receive, send):
        if scope["path"] != "/bulk":
            await echo(scope, receive, send)
            return
        digest = hashlib.sha256()
        more = True
        while more:
            event = await receive()
            digest.update(event["body"])
            more = event["more_body"]
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for _ in range(20):
            await send({"type": "http.response.body", "body": b"y" * 20_000, "more_body": True})
        await send({"type": "http.response.body", "body": digest.hexdigest().encode()})

    async def main():
        async with two_stacks(**path) as (client, server):
            settings = Settings(lifespan="off", limit_body=500_000, timeout_graceful=30, timeout_body=100)
            asgi = Server(app, settings)
            await asgi.startup()
            listener = await server.create_server(asgi.protocol, HOST, 80)

            got = await exchange(client, GET * 10 + LAST)
            assert got.count(b"HTTP/1.1 200 OK") == 11
            got = await exchange(client, GET * 2, finish=True)
            assert got.count(b"HTTP/1.1 200 OK") == 2
            data = bytes(range(256)) * 1_000
            head = b"POST /bulk HTTP/1.1\r\nHost: a\r\nConnection: close\r\nContent-Length: 256000\r\n\r\n"
            got = await exchange(client, head + data)
            assert got.count(b"y" * 20_000) == 20
            assert hashlib.sha256(data).hexdigest().encode() in got
            got = await exchange(client, GET + b"GET / HTTP/1.1\r\n\r\n")
            assert got.startswith(b"HTTP/1.1 200 OK")
            assert b"HTTP/1.1 400 Bad Request" in got
            too_long = b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 500001\r\n\r\n"
            got = await exchange(client, too_long + bytes(400_000))
            assert got.startswith(b"HTTP/1.1 413 ")

            await asgi.shutdown(listener)
            assert not asgi.connections

    run(main())


def test_idle_connections_end_in_time_and_at_shutdown():
    async def main():
        async with two_stacks() as (client, server):
            asgi = Server(plain(), Settings(lifespan="off", timeout_idle=5))
            await asgi.startup()
            listener = await server.create_server(asgi.protocol, HOST, 80)
            loop = asyncio.get_running_loop()
            began = loop.time()
            assert await exchange(client, GET)
            assert 5 <= loop.time() - began < 6
            reader, writer = await client.open_connection(HOST, 80)
            writer.write(GET)
            await reader.readuntil(b"ok")
            began = loop.time()
            await asgi.shutdown(listener)
            assert loop.time() - began < 1
            assert await reader.read() == b""
            writer.close()

    run(main())
