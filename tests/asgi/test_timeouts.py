"""Who dawdles: one stored deadline a connection, looked at by one ticker. All in virtual time."""

import asyncio

import pytest

from asgi.config import TICK
from tests.aio.virtual_loop import Deadlock
from tests.asgi.test_refusals import status_of
from tests.asgi.wire import Script, echo, plain, request

LATE = 2 * TICK + 0.01
"""A time-out ends at most two ticks after its time, and never before it."""


def assert_ends_after(wire, client, seconds: float) -> None:
    wire.after(seconds)
    assert not client.closed
    wire.after(LATE)
    assert client.closed


def test_new_connection_that_says_nothing_is_closed_without_a_word(serve):
    wire = serve(plain(), timeout_idle=7)
    client = wire.connect()
    assert_ends_after(wire, client, 7)
    assert client.got() == b""


def test_idle_connection_is_closed(serve):
    wire = serve(plain(), timeout_idle=7)
    client = wire.connect()
    for _ in range(3):
        wire.after(6)
        assert status_of(client.get()) == 200
    assert_ends_after(wire, client, 7)
    assert client.got() == b""


def test_header_that_trickles_is_answered_408_in_time(serve):
    wire = serve(plain(), timeout_head=10)
    client = wire.connect().send(b"G")
    for octet in b"ET / HTTP":
        wire.after(1)
        client.send(bytes([octet]))
    wire.after(0.9)
    assert not client.closed
    wire.after(0.1 + LATE)
    assert status_of(client.got()) == 408
    assert client.closed


def test_header_that_begins_behind_another_request_has_its_own_time(serve):
    wire = serve(plain(), timeout_head=10, timeout_idle=5)
    client = wire.connect().send(request() + b"GET / HT")
    assert status_of(client.got()) == 200
    wire.after(9)
    assert status_of(client.send(b"TP/1.1\r\nHost: a\r\n\r\n").got()) == 200


def test_body_that_stalls_is_answered_408(serve):
    app = Script(("receive",), ("receive",), ("start", 200, []))
    wire = serve(app, timeout_body=30)
    client = wire.connect().send(request("POST", "/", b"", "Content-Length: 9"))
    wire.after(29)
    client.send(b"a")
    assert_ends_after(wire, client, 30)
    assert status_of(client.got()) == 408
    assert [event["type"] for event in app.events] == ["http.request", "http.disconnect"]


def test_body_that_stalls_after_the_response_began_cuts_it(serve):
    app = Script(("start", 200, []), ("body", b"a", True), ("receive",), ("body", b"b", True))
    wire = serve(app, timeout_body=30)
    client = wire.connect().send(request("POST", "/", b"", "Content-Length: 9"))
    wire.after(30 + LATE)
    assert client.gone
    assert client.got().count(b"HTTP/1.1") == 1


def test_body_that_nobody_wants_may_not_stall_either(serve):
    wire = serve(plain(), timeout_body=30)
    client = wire.connect().send(request("POST", "/", b"", "Content-Length: 9"))
    assert status_of(client.got()) == 200
    assert_ends_after(wire, client, 30)


def test_body_timer_stands_still_while_the_application_is_the_slow_one(serve):
    door = asyncio.Event()
    app = Script(("wait", door), ("receive",), ("receive",), ("start", 200, []), ("body", b"", False))
    wire = serve(app, timeout_body=30, limit_buffer=10)
    client = wire.connect().send(request("POST", "/", b"", "Content-Length: 21"), b"x" * 20)
    assert client.transport.reading_paused
    wire.after(1_000)
    door.set()
    wire.settle()
    wire.after(29)
    assert status_of(client.send(b"y").got()) == 200


def test_application_may_take_its_time(serve):
    door = asyncio.Event()
    wire = serve(Script(("wait", door), ("start", 200, []), ("body", b"", False)))
    client = wire.connect().send(request())
    wire.after(10_000)
    assert not client.closed
    door.set()
    wire.settle()
    assert status_of(client.got()) == 200


def test_client_that_does_not_read_is_aborted(serve):
    app = Script(("start", 200, []), *[("body", b"x" * 50_000, True)] * 3)
    wire = serve(app, timeout_write=60)
    client = wire.connect().stop_reading()
    client.get()
    wire.after(59)
    assert not client.closed
    wire.after(1 + LATE)
    assert client.transport.aborted
    assert [type(error).__name__ for error in app.errors] == ["ClientDisconnected"]


def test_client_that_reads_slowly_is_not(serve):
    wire = serve(Script(("start", 200, []), *[("body", b"x" * 50_000, True)] * 10), timeout_write=60)
    client = wire.connect().stop_reading()
    client.get()
    for _ in range(20):
        wire.after(50)
        assert not client.closed
        client.read(1_000)
    wire.after(120 + LATE)
    assert client.transport.aborted


def test_closing_does_not_wait_for_ever_either(serve):
    wire = serve(plain(b"x" * 1_000), timeout_write=60)
    client = wire.connect().stop_reading()
    client.get("/", "Connection: close")
    wire.after(59)
    assert not client.gone
    wire.after(1 + LATE)
    assert client.transport.aborted


def test_lingering_close_ends(serve):
    wire = serve(plain(), timeout_linger=2)
    client = wire.connect().send(b"no\r\n\r\n")
    assert status_of(client.got()) == 400
    wire.after(1.9)
    assert not client.gone
    wire.after(0.1 + LATE)
    assert client.gone


def test_lingering_close_goes_on_while_the_client_sends_but_not_for_ever(serve):
    wire = serve(plain(), timeout_linger=2)
    client = wire.connect().send(b"no\r\n\r\n")
    for _ in range(10):
        wire.after(1.9)
        client.send(b"still talking")
        assert not client.gone
    for _ in range(2):
        wire.after(1.9)
        client.send(b"still talking")
    assert client.gone


def test_requests_that_wait_for_a_slow_reader_are_not_idle(serve):
    wire = serve(plain(b"x" * 70_000), timeout_idle=5, timeout_write=60)
    client = wire.connect().stop_reading().send(request() * 2)
    wire.after(50)
    client.read(10**6)
    client.read(10**6)
    assert client.got().count(b"HTTP/1.1 200") == 2


def test_lingering_close_ends_when_the_client_has_read(serve):
    client = serve(plain()).connect().send(b"no\r\n\r\n")
    client.finish()
    assert client.gone


def test_server_without_connections_has_no_timer(serve):
    wire = serve(plain())
    assert wire.server._ticker is None
    client = wire.connect()
    client.get("/", "Connection: close")
    assert client.gone
    wire.after(LATE)
    assert wire.server._ticker is None
    with pytest.raises(Deadlock):  # the loop has nothing left to wait for
        wire.loop.run_forever()


def test_time_out_while_requests_wait_for_a_client_that_does_not_read(serve):
    wire = serve(plain(b"x" * 70_000), timeout_write=60)
    client = wire.connect().stop_reading().send(request() * 3)
    assert client.transport.reading_paused
    wire.after(60 + LATE)
    assert client.transport.aborted


def test_echo_of_a_slow_but_steady_upload(serve):
    wire = serve(echo, timeout_body=30)
    client = wire.connect().send(request("POST", "/", b"", "Content-Length: 20"))
    for _ in range(20):
        wire.after(25)
        client.send(b"x")
    assert client.got().endswith(b"x" * 20)
