"""What the application learns when the client goes, and what becomes of the response."""

import asyncio

import pytest

from asgi import ClientDisconnected
from tests.asgi.wire import Script, plain, request

DISCONNECT = {"type": "http.disconnect"}
EMPTY = {"type": "http.request", "body": b"", "more_body": False}
OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"


def test_receive_waits_for_the_client_to_go(serve):
    app = Script(("receive",), ("receive",), ("receive",))
    wire = serve(app)
    client = wire.connect()
    client.get()
    wire.after(1_000)
    assert app.events == [EMPTY]
    client.reset()
    assert app.events == [EMPTY, DISCONNECT, DISCONNECT]


def test_body_that_arrived_whole_is_delivered_although_its_client_has_gone(serve):
    door = asyncio.Event()
    app = Script(("wait", door), ("receive",), ("receive",))
    wire = serve(app)
    wire.connect().send(request("POST", "/", b"abc")).reset()
    door.set()
    wire.settle()
    assert app.events == [{**EMPTY, "body": b"abc"}, DISCONNECT]


def test_body_that_broke_off_is_not(serve):
    door = asyncio.Event()
    app = Script(("wait", door), ("receive",))
    wire = serve(app)
    wire.connect().send(request("POST", "/", b"", "Content-Length: 9"), b"abc").reset()
    door.set()
    wire.settle()
    assert app.events == [DISCONNECT]


def test_send_raises_an_oserror(serve):
    app = Script(("start", 200, []), ("body", b"a", True), ("receive",), ("receive",), ("body", b"b", True))
    client = serve(app).connect()
    client.get()
    client.reset()
    assert app.events == [EMPTY, DISCONNECT]
    assert [type(error) for error in app.errors] == [ClientDisconnected]
    assert isinstance(app.errors[0], OSError)


def test_disconnect_is_not_an_error_of_the_application(serve, caplog):
    async def wrapping(scope, receive, send):
        await receive()
        await receive()
        try:
            await send({"type": "http.response.start", "status": 200})
        except OSError as error:
            raise RuntimeError("a framework's own error") from error

    client = serve(wrapping).connect()
    client.get()
    client.reset()
    assert caplog.records == []


def test_other_errors_after_the_client_has_gone_are_logged(serve, caplog):
    client = serve(Script(("receive",), ("receive",), ("raise", ValueError("mine")))).connect()
    client.get()
    client.reset()
    assert "mine" in caplog.text


def test_application_may_return_without_a_response_when_the_client_has_gone(serve, caplog):
    client = serve(Script(("receive",), ("receive",))).connect()
    client.get()
    client.reset()
    assert caplog.records == []


def test_receive_says_disconnect_once_the_response_is_complete(serve):
    app = Script(("start", 200, []), ("body", b"ok", False), ("receive",), ("receive",))
    client = serve(app).connect()
    assert client.send(request("POST", "/", b"abc")).got() == OK
    assert app.events == [DISCONNECT, DISCONNECT]


def test_receive_that_waits_wakes_when_the_response_is_complete(serve):
    events = []

    async def app(scope, receive, send):
        await receive()
        async with asyncio.TaskGroup() as group:

            async def listen():
                events.append(await receive())

            group.create_task(listen())
            group.create_task(listen())
            await asyncio.sleep(1)
            await plain()(scope, receive, send)

    wire = serve(app)
    client = wire.connect()
    client.get()
    wire.after(1)
    assert client.got() == OK
    assert events == [DISCONNECT, DISCONNECT]


def test_polling_for_a_disconnect_leaves_nothing_behind(serve):
    seen = []

    async def app(scope, receive, send):
        await receive()
        for _ in range(100):
            try:
                await asyncio.wait_for(receive(), 0.1)
            except TimeoutError:
                seen.append(len(cycle.waiting))
        await plain()(scope, receive, send)

    wire = serve(app)
    client = wire.connect()
    client.get()
    cycle = client.protocol.cycle
    wire.after(11)
    assert client.got() == OK
    assert seen == [0] * 100


# Half-closed connections.


def test_client_that_has_finished_sending_still_gets_its_answer(serve):
    door = asyncio.Event()
    wire = serve(Script(("wait", door), ("start", 200, []), ("body", b"ok", False)))
    client = wire.connect().send(request())
    client.finish()
    assert not client.closed
    door.set()
    wire.settle()
    assert client.got() == OK
    assert client.gone


def test_requests_before_the_fin_are_all_answered(serve):
    doors = [asyncio.Event(), asyncio.Event(), asyncio.Event()]
    order = []

    async def app(scope, receive, send):
        order.append(scope["path"])
        await doors[len(order) - 1].wait()
        await plain()(scope, receive, send)

    wire = serve(app)
    client = wire.connect().send(request(target="/1"), request(target="/2") + request(target="/3"))
    client.finish()
    for door in doors:
        door.set()
        wire.settle()
    assert client.got() == OK * 3
    assert client.gone


def test_fin_is_a_disconnect_for_who_waits_for_one(serve):
    app = Script(("receive",), ("receive",), ("start", 200, []), ("body", b"ok", False))
    client = serve(app).connect().send(request())
    client.finish()
    assert app.events == [EMPTY, DISCONNECT]
    assert client.got() == OK


@pytest.mark.parametrize("data", [b"", b"GET / HT", request()])
def test_fin_without_a_request_closes(serve, data):
    client = serve(plain()).connect().send(data) if data else serve(plain()).connect()
    client.finish()
    assert client.gone


def test_fin_in_a_body_is_a_disconnect(serve):
    app = Script(("receive",), ("receive",))
    client = serve(app).connect().send(request("POST", "/", b"", "Content-Length: 9"), b"abc")
    client.finish()
    assert [event["type"] for event in app.events] == ["http.request", "http.disconnect"]
    assert client.gone


def test_fin_over_tls_ends_the_request(serve):
    """asyncio's TLS transports have no half-closed state: what is answered after it would not arrive."""
    app = Script(("receive",), ("receive",))
    wire = serve(app)
    client = wire.connect(sslcontext=object())
    client.transport.can_write_eof = lambda: False
    client.get()
    client.finish()
    assert client.gone
    assert app.events == [EMPTY, DISCONNECT]


def endless(most=5_000):
    """An application that never waits for anything but `send`; (application, the sends that returned)."""
    sent = []

    async def app(scope, receive, send):
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while len(sent) < most and scope["path"] == "/":
            await send({"type": "http.response.body", "body": bytes(40_000), "more_body": True})
            sent.append(scope["method"])
        sent.append("end")
        await send({"type": "http.response.body"})

    return app, sent


def test_who_sends_for_ever_hears_of_a_client_that_broke_off(serve):
    """The last words of a transport that is lost are that its buffer is empty: the application goes on at once."""
    app, sent = endless()
    wire = serve(app)
    client = wire.connect().stop_reading()
    client.get()
    assert len(sent) == 1

    def break_off():
        client.transport.closing = True
        client.protocol.resume_writing()
        wire.loop.call_soon(client.transport.lose, ConnectionResetError())

    wire.loop.call_soon(break_off)
    wire.settle()
    assert len(sent) < 5
    assert not wire.server.running


def test_head_of_an_endless_stream_does_not_keep_others_waiting(serve):
    app, sent = endless()
    wire = serve(app)
    other = wire.connect()
    client = wire.connect()
    client.transport.incoming.append(b"HEAD / HTTP/1.1\r\nHost: a\r\n\r\n")
    wire.loop.call_soon(client.transport.deliver)
    other.transport.incoming.append(b"GET /end HTTP/1.1\r\nHost: a\r\n\r\n")
    wire.loop.call_soon(other.transport.deliver)
    for _ in range(20):
        wire.loop.call_soon(wire.loop.stop)
        wire.loop.run_forever()
    assert sent.index("end") < 50
    assert other.got().startswith(b"HTTP/1.1 200 OK")
    client.transport.lose(None)
    wire.settle()
    assert not wire.server.running
