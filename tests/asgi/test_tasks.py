"""The application runs in a real task, stepped at once: what asyncio, contextvars and anyio see inside."""

import asyncio
import contextvars
import gc
import logging
import sys
import threading

import anyio
import pytest

from asgi.eager import start
from tests.aio.virtual_loop import VirtualLoop
from tests.asgi.wire import plain, request

PYTHON_NESTS = sys.version_info >= (3, 12)
"""Eager tasks of Python itself step inside another task too."""
LABEL: contextvars.ContextVar[str] = contextvars.ContextVar("label", default="unset")


def in_callback(loop, function):
    """The result of `function()`, called by the loop outside any task."""
    result = []
    loop.call_soon(lambda: result.append(function()))
    for _ in range(3):
        loop.call_soon(loop.stop)
        loop.run_forever()
    return result[0]


@pytest.fixture
def loop():
    loop = VirtualLoop()
    yield loop
    loop.run_until_complete(loop.shutdown_asyncgens())
    loop.close()
    assert loop.unhandled == []


def test_coroutine_that_does_not_wait_is_done_at_once(loop):
    seen = []

    async def work():
        seen.append(asyncio.current_task())

    def call():
        task = start(work(), loop, "name", contextvars.copy_context())
        assert task.done()
        assert seen == [task]
        assert asyncio.current_task(loop) is None
        return task

    task = in_callback(loop, call)
    assert task.get_name() == "name"
    assert isinstance(task, asyncio.Task)


def test_coroutine_that_waits_is_resumed_by_the_loop(loop):
    seen = []

    async def work():
        task = asyncio.current_task()
        seen.append("first")
        await asyncio.sleep(1)
        assert asyncio.current_task() is task
        seen.append("second")

    task = in_callback(loop, lambda: start(work(), loop, "n", contextvars.copy_context()))
    assert seen == ["first"]
    loop.run_until_complete(task)
    assert seen == ["first", "second"]


def test_within_a_task_the_new_one_is_scheduled_unless_python_nests(loop):
    order = []

    async def inner():
        order.append("inner")

    async def outer():
        task = start(inner(), loop, "n", contextvars.copy_context())
        order.append("outer")
        await task
        assert order == (["inner", "outer"] if PYTHON_NESTS else ["outer", "inner"])

    loop.run_until_complete(outer())


def test_a_task_started_in_a_first_step_is_scheduled_unless_python_nests(loop):
    order = []

    async def inner():
        order.append("inner")

    async def outer():
        order.append("outer")
        task = start(inner(), loop, "n", contextvars.copy_context())
        assert task.done() is PYTHON_NESTS
        order.append("outer again")

    in_callback(loop, lambda: start(outer(), loop, "n", contextvars.copy_context()))
    assert sorted(order) == ["inner", "outer", "outer again"]


def test_a_task_factory_decides(loop):
    made = []

    def factory(loop, coro):
        made.append(coro)
        return asyncio.Task(coro, loop=loop)

    async def work():
        pass

    loop.set_task_factory(factory)
    task = in_callback(loop, lambda: start(work(), loop, "n", contextvars.copy_context()))
    assert len(made) == 1
    loop.run_until_complete(task)


def test_other_callbacks_keep_their_order(loop):
    order = []

    async def work():
        order.append("work")

    def call():
        loop.call_soon(order.append, "before")
        start(work(), loop, "n", contextvars.copy_context())
        loop.call_soon(order.append, "after")

    in_callback(loop, call)
    assert order == ["work", "before", "after"]


def test_a_loop_that_schedules_something_of_its_own_keeps_the_step():
    """On 3.11 the last handle is then not the task's: the step is left to the loop, and so is the other one."""
    ran = []

    class Busy(VirtualLoop):
        def call_soon(self, callback, *args, context=None):
            handle = super().call_soon(callback, *args, context=context)
            super().call_soon(ran.append, "own")
            return handle

    async def work():
        ran.append("work")

    busy = Busy()
    task = in_callback(busy, lambda: start(work(), busy, "n", contextvars.copy_context()))
    assert task.done()
    assert ran.count("work") == 1
    assert "own" in ran
    busy.close()


def test_an_exception_stays_in_the_task(loop):
    async def work():
        raise ValueError("mine")

    task = in_callback(loop, lambda: start(work(), loop, "n", contextvars.copy_context()))
    assert isinstance(task.exception(), ValueError)


def test_keyboard_interrupt_leaves(loop):
    async def work():
        raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        in_callback(loop, lambda: start(work(), loop, "n", contextvars.copy_context()))
    gc.collect()
    assert [type(context["exception"]) for context in loop.unhandled] == [KeyboardInterrupt]  # nobody asked the task
    loop.unhandled.clear()


def test_cancellation_reaches_the_coroutine(loop):
    seen = []

    async def work():
        try:
            await asyncio.sleep(10)
        except asyncio.CancelledError:
            seen.append("cancelled")
            raise

    task = in_callback(loop, lambda: start(work(), loop, "n", contextvars.copy_context()))
    task.cancel()
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)
    assert seen == ["cancelled"]


def test_cancelling_itself_in_the_first_step(loop):
    async def work():
        asyncio.current_task().cancel()
        await asyncio.sleep(0)

    task = in_callback(loop, lambda: start(work(), loop, "n", contextvars.copy_context()))
    with pytest.raises(asyncio.CancelledError):
        loop.run_until_complete(task)


def test_context_is_the_tasks_own(loop):
    async def work():
        LABEL.set("inside")
        await asyncio.sleep(0)
        assert LABEL.get() == "inside"

    def call():
        task = start(work(), loop, "n", contextvars.copy_context())
        assert LABEL.get() == "unset"
        return task

    loop.run_until_complete(in_callback(loop, call))


def test_handles_of_other_threads_are_left_alone(loop):
    """Threads schedule all the time while tasks are started; every callback and every task runs once."""
    ran = []
    stop = threading.Event()
    sent = [0]

    def schedule():
        while not stop.is_set() and sent[0] < 200_000:
            loop.call_soon_threadsafe(ran.append, sent[0])
            sent[0] += 1

    done = []

    async def work(n):
        done.append(n)

    def call():
        for n in range(2_000):
            start(work(n), loop, "n", contextvars.copy_context())

    thread = threading.Thread(target=schedule)
    thread.start()
    in_callback(loop, call)
    stop.set()
    thread.join()
    in_callback(loop, lambda: None)
    in_callback(loop, lambda: None)
    assert sorted(done) == list(range(2_000))
    assert sorted(ran) == list(range(sent[0]))


def test_debug_mode(loop):
    loop.set_debug(True)

    async def work():
        pass

    assert in_callback(loop, lambda: start(work(), loop, "n", contextvars.copy_context())).done()


# In the server.


def test_request_is_answered_before_data_received_returns(serve):
    wire = serve(plain())
    client = wire.connect()

    def arrive():
        client.protocol.data_received(request())
        return client.got()

    assert in_callback(wire.loop, arrive).endswith(b"ok")


def test_request_that_arrives_within_a_task_is_answered_too(serve):
    wire = serve(plain())
    client = wire.connect()

    async def arrive():
        client.protocol.data_received(request() * 3)

    wire.run(arrive())
    wire.settle()
    assert client.got().count(b"HTTP/1.1 200") == 3


def test_what_applications_use_of_asyncio(serve):
    seen = []

    async def app(scope, receive, send):
        task = asyncio.current_task()
        assert task.get_name() == "/path"
        assert task in asyncio.all_tasks()
        assert anyio.get_current_task().name == "/path"
        with pytest.raises(TimeoutError):
            async with asyncio.timeout(1):
                await asyncio.sleep(10)
        async with asyncio.TaskGroup() as group:
            child = group.create_task(asyncio.sleep(1, "child"))
        seen.append(child.result())
        with anyio.move_on_after(1) as limit:
            await anyio.sleep(10)
        assert limit.cancelled_caught
        async with anyio.create_task_group() as anyio_group:
            anyio_group.start_soon(anyio.sleep, 1)
        assert task.cancelling() == 0
        with pytest.raises(ExceptionGroup):
            async with asyncio.TaskGroup() as group:
                group.create_task(fail())
        assert asyncio.current_task() is task
        await plain()(scope, receive, send)

    async def fail():
        raise ValueError

    wire = serve(app)
    client = wire.connect()
    client.get("/path")
    wire.after(10)
    assert client.got().endswith(b"ok")
    assert seen == ["child"]


def test_cancel_scope_in_the_first_step(serve):
    async def app(scope, receive, send):
        with anyio.CancelScope() as cancel:
            cancel.cancel()
            await anyio.sleep(1)
        assert cancel.cancelled_caught
        await plain()(scope, receive, send)

    client = serve(app).connect()
    assert client.get().endswith(b"ok")


def test_context_variables_of_one_request_do_not_reach_the_next(serve):
    seen = []

    async def app(scope, receive, send):
        seen.append(LABEL.get())
        LABEL.set(scope["path"])
        await asyncio.sleep(0)
        seen.append(LABEL.get())
        await plain()(scope, receive, send)

    client = serve(app).connect()
    client.send(request(target="/1") + request(target="/2"), request(target="/3"))
    assert seen == ["unset", "/1", "unset", "/2", "unset", "/3"]


def test_each_request_has_a_task_of_its_own(serve):
    tasks = []

    async def app(scope, receive, send):
        tasks.append(asyncio.current_task())
        await plain()(scope, receive, send)

    client = serve(app).connect()
    client.send(request() * 3, request())
    assert len(set(tasks)) == 4


def test_background_work_does_not_hold_up_the_next_request(serve):
    finished = []

    async def app(scope, receive, send):
        await plain()(scope, receive, send)
        await asyncio.sleep(60)
        finished.append(scope["path"])

    wire = serve(app)
    client = wire.connect().send(request(target="/1"), request(target="/2") + request(target="/3"))
    assert client.got().count(b"HTTP/1.1 200") == 3
    assert len(wire.server.running) == 3
    wire.after(61)
    assert sorted(finished) == ["/1", "/2", "/3"]
    assert client.gone  # idle meanwhile


def test_application_that_cancels_itself(serve, caplog):
    async def app(scope, receive, send):
        asyncio.current_task().cancel()
        await asyncio.sleep(1)

    client = serve(app).connect()
    assert client.get().startswith(b"HTTP/1.1 500 ")
    assert client.gone


def test_running_requests_are_not_garbage_collected(serve):
    async def app(scope, receive, send):
        await asyncio.get_running_loop().create_future()

    wire = serve(app, timeout_graceful=1)
    client = wire.connect()
    client.get()
    gc.collect()
    wire.after(1)
    assert len(wire.server.running) == 1


def test_a_request_leaves_no_garbage(serve):
    wire = serve(plain())
    client = wire.connect()
    client.get()
    gc.collect()
    gc.disable()
    try:
        for _ in range(10):
            client.get()
        assert gc.collect() == 0
    finally:
        gc.enable()


def test_logging_goes_to_one_logger(serve, caplog):
    async def app(scope, receive, send):
        raise ValueError

    serve(app).connect().get()
    assert [(record.name, record.levelno) for record in caplog.records] == [("asgi", logging.ERROR)]
