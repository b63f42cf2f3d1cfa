"""Start and end of the application, and of the server."""

import asyncio

import pytest

from asgi import LifespanError, Server, Settings
from tests.aio.virtual_loop import VirtualLoop, run
from tests.asgi.wire import Script, Wire, plain, request


class Lifespan:
    """An application that does what a list of events says on lifespan, and notes what it received."""

    def __init__(self, *answers):
        self.answers = answers
        self.events = []
        self.scopes = []

    async def __call__(self, scope, receive, send):
        self.scopes.append(scope)
        if scope["type"] != "lifespan":
            await plain()(scope, receive, send)
            return
        scope["state"]["made"] = "at startup"
        for answer in self.answers:
            event = await receive()
            self.events.append(event["type"])
            if isinstance(answer, Exception):
                raise answer
            if answer is not None:
                await send({"type": f"lifespan.{answer}", "message": "because"})


GOOD = ("startup.complete", "shutdown.complete")


@pytest.mark.parametrize("mode", ["auto", "on"])
def test_startup_and_shutdown(mode):
    app = Lifespan(*GOOD)
    wire = Wire(app, lifespan=mode)
    assert app.events == ["lifespan.startup"]
    wire.connect().get()
    wire.end()
    assert app.events == ["lifespan.startup", "lifespan.shutdown"]
    lifespan, http = app.scopes
    assert lifespan == {"type": "lifespan", "asgi": {"version": "3.0", "spec_version": "2.0"}, "state": http["state"]}
    assert http["state"] == {"made": "at startup"}
    assert http["state"] is not lifespan["state"]


def test_off_is_never_asked():
    app = Lifespan(ValueError())
    Wire(app, lifespan="off").end()
    assert app.scopes == []


@pytest.mark.parametrize("answers", [(ValueError("only http"),), (), (None,)])
def test_applications_without_lifespan(answers, caplog):
    wire = Wire(Lifespan(*answers), lifespan="auto")
    assert wire.connect().get().endswith(b"ok")
    wire.end()
    assert caplog.records == []


@pytest.mark.parametrize(
    ("answers", "mode", "message"),
    [
        (("startup.failed",), "auto", "the application failed to start: because"),
        (("startup.failed",), "on", "the application failed to start: because"),
        ((ValueError("x"),), "on", "the application failed to start: ValueError: x"),
        ((), "on", "the application does not support lifespan"),
    ],
)
def test_startup_that_fails(answers, mode, message):
    with pytest.raises(LifespanError, match=message):
        run(Server(Lifespan(*answers), Settings(lifespan=mode)).startup())


def test_startup_that_is_cancelled_ends_the_task():
    async def app(scope, receive, send):
        await asyncio.sleep(1_000)

    async def main():
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await Server(app).startup()
        await asyncio.sleep(0)
        assert len(asyncio.all_tasks()) == 1

    run(main())


def test_shutdown_failed_is_logged(caplog):
    Wire(Lifespan("startup.complete", "shutdown.failed"), lifespan="on").end()
    assert "because" in caplog.text


def test_exception_at_shutdown_is_logged(caplog):
    Wire(Lifespan("startup.complete", ValueError("late")), lifespan="on").end()
    assert "late" in caplog.text


def test_shutdown_that_never_ends_is_cut(caplog):
    cancelled = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        try:
            await asyncio.sleep(10_000)
        except asyncio.CancelledError:
            cancelled.append(True)
            raise

    wire = Wire(app, lifespan="on", timeout_lifespan=5)
    began = wire.loop.time()
    wire.end()
    assert wire.loop.is_closed()
    assert began + 5 <= wire.loop.time() <= began + 6
    assert cancelled == [True]
    assert "did not end within 5 s" in caplog.text


def test_application_that_asks_for_more_events_after_shutdown():
    async def app(scope, receive, send):
        while True:
            event = await receive()
            await send({"type": f"{event['type']}.complete"})

    wire = Wire(app, lifespan="on")
    wire.end()


@pytest.mark.parametrize("event", ["lifespan.shutdown.complete", "http.response.start"])
def test_wrong_events_are_errors_of_the_application(event):
    async def app(scope, receive, send):
        await receive()
        with pytest.raises(RuntimeError):
            await send({"type": event})
        await send({"type": "lifespan.startup.complete"})
        with pytest.raises(RuntimeError):
            await send({"type": "lifespan.startup.complete"})

    Wire(app, lifespan="on").end()


def test_context_of_the_lifespan_is_its_own():
    loop = VirtualLoop()
    loop.run_until_complete(Server(Lifespan("startup.complete")).startup())
    loop.close()


# Graceful shutdown.


class Listener:
    def __init__(self):
        self.closed = False

    def close(self):
        self.closed = True


def shutting_down(wire, *listeners):
    """Begin to shut down; everything that can happen at once has happened."""
    task = wire.loop.create_task(wire.server.shutdown(*listeners))
    wire.settle()
    return task


def test_idle_connections_are_closed_at_once(serve):
    wire = serve(plain())
    idle, fresh, half = wire.connect(), wire.connect(), wire.connect()
    idle.get()
    half.send(b"GET / HT")
    listener = Listener()
    assert shutting_down(wire, listener).done()
    assert listener.closed
    assert idle.gone
    assert fresh.gone
    assert half.gone
    assert wire.loop.time() < 0.1


def test_running_requests_are_finished(serve):
    door = asyncio.Event()
    app = Script(("wait", door), ("start", 200, []), ("body", b"a", True), ("body", b"b", False))
    wire = serve(app)
    client = wire.connect().send(request() + request(target="/2"))
    task = shutting_down(wire)
    wire.after(5)
    assert not task.done()
    door.set()
    wire.settle()
    assert client.got() == (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\nconnection: close\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n"
    )
    assert len(app.scopes) == 1
    client.finish()
    assert task.done()


def test_connections_that_come_too_late_are_closed(serve):
    door = asyncio.Event()
    wire = serve(Script(("wait", door), ("start", 200, []), ("body", b"", False)))
    wire.connect().get()
    shutting_down(wire)
    assert wire.connect().gone
    door.set()
    wire.settle()


def test_open_event_stream_does_not_hold_it_up_for_ever(serve, caplog):
    events = []

    async def app(scope, receive, send):
        await receive()
        await send({"type": "http.response.start", "status": 200, "headers": []})
        await send({"type": "http.response.body", "body": b"data: 1\n\n", "more_body": True})
        events.append(await receive())

    wire = serve(app, timeout_graceful=10)
    client = wire.connect()
    client.get()
    task = shutting_down(wire)
    wire.after(9)
    assert not task.done()
    wire.after(2)
    assert task.done()
    assert events == [{"type": "http.disconnect"}]
    assert client.transport.aborted
    assert "1 connections open and 1 requests running" in caplog.text


def test_application_that_does_not_listen_is_cancelled(serve):
    cancelled = []

    async def app(scope, receive, send):
        await plain()(scope, receive, send)
        try:
            await asyncio.sleep(10_000)
        finally:
            cancelled.append(True)

    wire = serve(app, timeout_graceful=1)
    wire.connect().get()
    task = shutting_down(wire)
    wire.after(4)
    assert task.done()
    assert cancelled == [True]


def test_application_that_ignores_cancellation_does_not_stop_the_end(serve):
    async def app(scope, receive, send):
        door = asyncio.Event()
        doors.append(door)
        while not door.is_set():
            try:
                await door.wait()
            except asyncio.CancelledError:
                continue

    doors = []
    wire = serve(app, timeout_graceful=1)
    wire.connect().get()
    task = shutting_down(wire)
    wire.after(4)
    assert task.done()
    doors[0].set()
    wire.settle()


def test_hurry_skips_the_waiting(serve):
    async def app(scope, receive, send):
        await receive()
        await receive()

    wire = serve(app, timeout_graceful=1_000)
    wire.connect().get()
    task = shutting_down(wire)
    wire.loop.call_soon(wire.server.hurry)
    wire.settle()
    assert task.done()
    assert wire.loop.time() < 1


def test_hurry_skips_the_lifespan_too():
    async def app(scope, receive, send):
        await receive()
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await asyncio.sleep(10_000)

    wire = Wire(app, lifespan="on")
    task = shutting_down(wire)
    assert not task.done()
    wire.loop.call_soon(wire.server.hurry)
    wire.settle()
    assert task.done()
    wire.end()


def test_lifespan_ends_after_the_requests():
    order = []

    async def app(scope, receive, send):
        if scope["type"] == "lifespan":
            await receive()
            await send({"type": "lifespan.startup.complete"})
            await receive()
            order.append("lifespan")
            await send({"type": "lifespan.shutdown.complete"})
        else:
            await asyncio.sleep(5)
            order.append("request")
            await plain()(scope, receive, send)

    wire = Wire(app, lifespan="auto")
    client = wire.connect()
    client.get()
    wire.end()
    assert order == ["request", "lifespan"]
    assert client.got().endswith(b"ok")
