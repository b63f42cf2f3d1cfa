"""Clients that send much of nothing: empty lines without end, bodies in chunks of an octet."""

import asyncio
import gc
import tracemalloc

import pytest

from tests.asgi.wire import echo, plain, request


@pytest.mark.parametrize("lines", [1, 2, 3, 100_000])
def test_empty_lines_before_a_request_are_skipped(serve, lines):
    client = serve(echo).connect()
    assert b"GET /x" in client.send(b"\r\n" * lines + request("GET", "/x")).got()
    assert b"GET /y" in client.send(b"\r\n" * lines, request("GET", "/y")).got()


@pytest.mark.parametrize("halves", [(b"\r", b"\n\r\n"), (b"\r\n\r", b"\n"), (b"\r\n",)])
def test_empty_lines_do_not_keep_a_connection(serve, halves):
    """timeout_idle ends it, though something arrives all the time."""
    wire = serve(plain(), timeout_idle=5, timeout_head=10)
    client = wire.connect()
    for i in range(60):
        if client.closed:
            break
        client.send(halves[i % len(halves)])
        wire.after(0.5)
    assert wire.loop.time() < 8


def test_tiny_chunks_that_nobody_takes_yet_cost_what_they_hold(serve):
    door = asyncio.Event()
    got = []

    async def app(scope, receive, send):
        await door.wait()
        more = True
        while more:
            event = await receive()
            got.append(event["body"])
            more = event["more_body"]
        await plain()(scope, receive, send)

    client = serve(app).connect()
    client.send(request("POST", "/", b"", "Transfer-Encoding: chunked"))
    crumbs = b"".join(b"2\r\n%02d\r\n" % (i % 100) for i in range(10_000))
    client.send(crumbs)
    gc.collect()
    tracemalloc.start()
    before, _ = tracemalloc.get_traced_memory()
    for _ in range(10):
        client.send(crumbs)
    gc.collect()
    after, _ = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert after - before < 2 * 200_000
    door.set()
    assert client.send(b"0\r\n\r\n").got().endswith(b"ok")
    assert b"".join(got) == b"".join(b"%02d" % (i % 100) for i in range(10_000)) * 11
