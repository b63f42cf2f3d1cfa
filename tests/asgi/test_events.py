"""What the server tells those who watch, in order; and that it tells nothing when nobody does."""

import asyncio

from asgi import events
from tests.asgi.wire import echo, plain, request

ENDS = ("192.0.2.1", 50_000), ("192.0.2.2", 80)


def watched(serve, app, **settings):
    wire = serve(app, **settings)
    seen = []
    wire.server.observe(seen.append)
    return wire, seen


def names(seen):
    return [type(event).__name__ for event in seen]


def test_a_request_from_its_octets_to_the_response(serve):
    wire, seen = watched(serve, plain())
    client = wire.connect()
    data = request()
    client.send(data)
    assert names(seen) == [
        "ConnectionMade", "RequestParsed", "ScopeMade", "TaskStarted", "Sent", "Sent", "ResponseWritten", "TaskEnded",
    ]  # fmt: skip
    made, parsed, scope, _, head, body, written, ended = seen
    assert (made.client, made.local) == ENDS
    assert (parsed.method, parsed.target, parsed.octets) == ("GET", "/", len(data))
    assert scope.scope["path"] == "/"
    assert (head.type, head.status) == ("http.response.start", 200)
    assert (body.type, body.more) == ("http.response.body", False)
    assert (written.status, written.octets) == (200, body.octets)
    assert ended.error is None
    assert all(event.time == wire.loop.time() for event in seen)


def test_a_body_is_received_in_pieces(serve):
    wire, seen = watched(serve, echo)
    client = wire.connect()
    client.send(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: 6\r\n\r\nab", b"cdef")
    received = [(event.type, event.octets, event.more) for event in seen if type(event) is events.Received]
    assert received == [("http.request", 2, True), ("http.request", 4, False)]


def test_refusals_failures_and_the_end(serve):
    async def fails(scope, receive, send):
        raise ValueError("no")

    wire, seen = watched(serve, fails)
    client = wire.connect()
    client.send(request())
    refused, ended = (event for event in seen if type(event) in (events.RequestRefused, events.TaskEnded))
    assert refused.status == 500
    assert ended.error == "ValueError: no"
    client.transport.lose(ConnectionResetError("reset"))
    assert type(seen[-1]) is events.ConnectionLost
    other = wire.connect()
    other.send(b"nonsense\r\n\r\n")
    assert seen[-1].status == 400


def test_a_message_that_is_wrong_is_told_and_refused(serve):
    caught = []

    async def wrong(scope, receive, send):
        for message in (None, {"type": "http.response.body", "body": 5}):
            try:
                await send(message)
            except Exception as error:
                caught.append(type(error))
        await plain()(scope, receive, send)

    wire, seen = watched(serve, wrong)
    assert wire.connect().get().startswith(b"HTTP/1.1 200")
    assert caught == [TypeError, RuntimeError]
    assert next(event.type for event in seen if type(event) is events.Sent) == "http.response.body"


def test_a_request_that_is_cancelled(serve):
    async def waits(scope, receive, send):
        await asyncio.sleep(1000)

    wire, seen = watched(serve, waits)
    wire.connect().send(request())
    wire.run(wire.server.shutdown())
    assert [event.error for event in seen if type(event) is events.TaskEnded] == ["cancelled"]


def test_nobody_is_told_after_leaving_even_in_the_middle_of_a_request(serve):
    gate = asyncio.Event()

    async def app(scope, receive, send):
        await gate.wait()
        await plain()(scope, receive, send)

    wire, seen = watched(serve, app)
    client = wire.connect()
    client.send(request())
    wire.server.observe(None)
    count = len(seen)
    wire.loop.call_soon(gate.set)
    wire.settle()
    assert client.transport.received.startswith(b"HTTP/1.1 200")
    client.send(request())
    assert len(seen) == count
