"""Back-pressure both ways: memory is bounded whoever is slow."""

import asyncio

from tests.asgi.wire import HIGH_WATER, Script, plain, request


def test_send_waits_for_a_client_that_does_not_read(serve):
    produced = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        for n in range(100):
            await send({"type": "http.response.body", "body": b"x" * 10_000, "more_body": True})
            produced.append(n)
        await send({"type": "http.response.body"})

    wire = serve(app)
    client = wire.connect().stop_reading()
    client.get()
    assert len(client.transport.buffer) < HIGH_WATER + 11_000
    assert len(produced) < 8
    while not client.got().endswith(b"0\r\n\r\n"):
        client.read(20_000)
        assert len(client.transport.buffer) < HIGH_WATER + 11_000
        if produced[-1] == 99 and not client.transport.buffer:
            break
    assert len(produced) == 100


def test_each_of_several_senders_waits(serve):
    done = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})

        async def sender(n):
            await send({"type": "http.response.body", "body": b"x" * 70_000, "more_body": True})
            done.append(n)

        tasks = [asyncio.create_task(sender(n)) for n in range(3)]
        await asyncio.sleep(1)
        tasks[1].cancel()
        await asyncio.wait(tasks)
        await send({"type": "http.response.body"})

    wire = serve(app)
    client = wire.connect().stop_reading()
    client.get()
    wire.after(2)
    assert done == []
    client.read(300_000)
    assert sorted(done) == [0, 2]
    client.read(300_000)
    assert client.got().endswith(b"0\r\n\r\n")


def test_send_wakes_when_the_client_goes(serve):
    app = Script(("start", 200, []), *[("body", b"x" * 50_000, True)] * 3)
    client = serve(app).connect().stop_reading()
    client.get()
    client.reset()
    assert [type(error).__name__ for error in app.errors] == ["ClientDisconnected"]


def test_send_wakes_when_the_client_breaks_the_protocol(serve):
    app = Script(("start", 200, []), *[("body", b"x" * 50_000, True)] * 3)
    client = serve(app).connect().stop_reading()
    client.send(request("POST", "/", b"", "Transfer-Encoding: chunked"))
    assert app.errors == []
    client.send(b"no\r\n")
    assert [type(error).__name__ for error in app.errors] == ["ClientDisconnected"]


def test_body_waits_for_the_application(serve):
    door = asyncio.Event()
    app = Script(("wait", door), ("receive",), ("receive",), ("start", 200, []), ("body", b"", False))
    wire = serve(app, limit_buffer=1_000)
    client = wire.connect().send(request("POST", "/", b"", "Content-Length: 2000"), *[b"x" * 100] * 20)
    assert client.transport.reading_paused
    assert len(client.transport.incoming) == 9
    door.set()
    wire.settle()
    assert not client.transport.reading_paused
    assert client.transport.incoming == type(client.transport.incoming)()
    assert [len(event["body"]) for event in app.events] == [1_100, 900]
    assert client.got().startswith(b"HTTP/1.1 200")


def test_reading_goes_on_when_the_response_ends_before_the_body(serve):
    door = asyncio.Event()
    wire = serve(Script(("wait", door), ("start", 200, []), ("body", b"", False)), limit_buffer=1_000)
    client = wire.connect().send(request("POST", "/", b"", "Content-Length: 2000"), *[b"x" * 100] * 20)
    client.send(request())
    assert client.transport.reading_paused
    door.set()
    wire.settle()
    assert not client.transport.reading_paused
    assert client.got().count(b"HTTP/1.1 200") == 2


def test_pipelining_client_that_does_not_read_is_not_served_further(serve):
    served = []

    async def app(scope, receive, send):
        served.append(scope["path"])
        await plain(b"x" * 30_000)(scope, receive, send)

    wire = serve(app)
    client = wire.connect().stop_reading().send(b"".join(request(target=f"/{n}") for n in range(50)))
    assert len(served) == 3
    assert client.transport.reading_paused
    while len(served) < 50:
        before = len(served)
        client.read(60_000)
        assert len(served) - before <= 3
    client.read(10**6)
    assert not client.transport.reading_paused
    assert client.got().count(b"HTTP/1.1 200") == 50


def test_large_upload_is_not_copied(serve):
    seen = []

    async def app(scope, receive, send):
        while True:
            event = await receive()
            seen.append(event["body"])
            if not event["more_body"]:
                break
        await plain()(scope, receive, send)

    piece = bytes(200_000)
    client = serve(app).connect().send(request("POST", "/", b"", "Content-Length: 400000"))
    client.send(piece)
    client.send(piece)
    assert all(body is piece for body in seen)
    assert len(seen) == 2


def test_transport_that_delivers_although_reading_is_paused(serve):
    """Octets may be on their way when reading pauses; the connection goes on afterwards as if they had come later."""
    door = asyncio.Event()
    app = Script(("wait", door), ("receive",), ("start", 200, []), ("body", b"", False))
    wire = serve(app, limit_buffer=10)
    client = wire.connect().send(request("POST", "/", b"", "Content-Length: 40"), b"x" * 20)
    assert client.transport.reading_paused
    client.protocol.data_received(b"x" * 20 + request(target="/2"))
    client.protocol.data_received(request(target="/3"))
    door.set()
    wire.settle()
    assert client.got().count(b"HTTP/1.1 200") == 3
    assert not client.transport.reading_paused


def test_body_that_ends_although_reading_is_paused(serve):
    door = asyncio.Event()
    wire = serve(Script(("wait", door), ("start", 200, []), ("body", b"", False)), limit_buffer=10)
    client = wire.connect().send(request("POST", "/", b"", "Content-Length: 40"), b"x" * 20)
    client.protocol.data_received(b"x" * 20)
    door.set()
    wire.settle()
    assert client.get().count(b"HTTP/1.1 200") == 2
    assert not client.transport.reading_paused
