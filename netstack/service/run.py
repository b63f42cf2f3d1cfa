"""From a plan to a served application and back to nothing: in which order things begin, end and are undone."""

import asyncio
import contextlib
import gc
import logging
import random
from collections.abc import Callable, Coroutine, Iterator
from typing import Any, TextIO

from asgi import Server, Settings
from asgi.spec import App
from netstack.aio.interface import Interface
from netstack.host import HostError, network
from netstack.inspect.annotated import AnnotatingRecorder
from netstack.inspect.sinks import Observers
from netstack.link.device import Device
from netstack.link.fault import Impairment
from netstack.link.pcap import PcapRecorder
from netstack.link.shutter import WindowShutter
from netstack.link.tap import TapDevice
from netstack.service.capture import recorded
from netstack.service.looking import looked_into
from netstack.service.plan import Plan
from netstack.service.reach import how_to_reach
from netstack.service.show import Show
from netstack.service.stop import Stop
from netstack.service.thrift import Thrift
from netstack.service.trace import JsonTrace

logger = logging.getLogger("netstack")

BACKLOG = 2_048
LOOK_EVERY = 0.5
"""Seconds between two looks at whether the TAP is still there; also how long a line of the trace may wait."""

Say = Callable[[str], None]


def run(plan: Plan, app: App, say: Say) -> None:
    """Serve `app` until a signal asks to stop; `say` gets the lines for the user. Everything made is gone afterwards.

    Raises HostError (one line) when the network or a file cannot be had, or the TAP is taken away; LifespanError when
    the application says that it cannot start; KeyboardInterrupt when a signal came before there was anything to stop.
    """
    with Stop() as stop, contextlib.ExitStack() as files:
        trace = None if plan.trace is None else JsonTrace(files.enter_context(_text_file(plan.trace)))
        with network(plan.network) as tap:
            try:
                device = files.enter_context(contextlib.closing(recorded(plan, tap, impaired(plan, tap))))
                asyncio.run(serve(plan, app, device, tap, stop, trace, say))
            finally:
                stop.ignore()
        say("stopped, and everything made for it is gone")
        if isinstance(device, PcapRecorder) and device.error is not None:
            raise HostError(f"{plan.pcap} is incomplete: {device.error.strerror}")
        if trace is not None and trace.error is not None:
            raise HostError(f"{plan.trace} is incomplete: {trace.error}")


def impaired(plan: Plan, tap: TapDevice) -> Device:
    """The TAP, behind an imperfect path if one is wanted, or if the live page is to have one to play with."""
    if plan.inspect is None and not plan.impaired:
        return tap
    path = Impairment(tap, random.Random(plan.seed), plan.faults, plan.faults)
    return path if plan.inspect is None else WindowShutter(path)


@contextlib.contextmanager
def _text_file(path: str) -> Iterator[TextIO]:
    try:
        file = open(path, "w", encoding="utf-8")  # noqa: SIM115 - closed below, whatever it then says
    except OSError as error:
        raise HostError(f"cannot write {path}: {error.strerror}") from error
    try:
        yield file
    finally:
        with contextlib.suppress(OSError):  # a full disk was noticed by whoever wrote
            file.close()


async def serve(
    plan: Plan, app: App, device: Device, tap: TapDevice, stop: Stop, trace: JsonTrace | None, say: Say
) -> None:
    """Application up, stack up, listening; until asked to stop. Then the same in reverse."""
    stop.serving()
    show = Show(plan, app)
    server = Server(show.app, Settings(lifespan=plan.lifespan, access_log=plan.access_log))
    if not await unless_stopped(server.startup(), stop):
        return
    net = Interface(device, plan.config, keylog=plan.keylog)
    observers = Observers(net.stack.observe, server.observe)
    for sink in (trace, device):
        if isinstance(sink, JsonTrace | AnnotatingRecorder):
            observers.add(sink)
    async with net, looked_into(plan, tap, net, observers):
        listener = await net.create_server(
            server.protocol, str(plan.stack.ip), plan.port, backlog=BACKLOG, ssl=plan.tls
        )
        try:
            async with show.running(net, observers):
                settle_memory()
                for line in how_to_reach(plan, tap):
                    say(line)
                await unless_stopped(until_gone(tap, trace, Thrift(lambda: len(net.stack.tcp.connections))), stop)
        except BaseException:  # the TAP is gone, or the application exits: nobody is left to drain for
            await shut_down(server, listener, asyncio.sleep(0))
            raise
        if server.connections:
            say(f"draining {len(server.connections)} connection(s); Ctrl-C again: do not wait")
        await shut_down(server, listener, stop.requested(2))
    for watcher, error in observers.failures:
        logger.error("%s failed and was told no more: %r", type(watcher).__name__, error)


async def unless_stopped(work: Coroutine[Any, Any, None], stop: Stop) -> bool:
    """Await `work`, or cancel it when a signal comes first: then False."""
    task = asyncio.ensure_future(work)
    stopped = asyncio.ensure_future(stop.requested())
    await asyncio.wait((task, stopped), return_when=asyncio.FIRST_COMPLETED)
    stopped.cancel()
    if task.done():
        task.result()
        return True
    task.cancel()
    await asyncio.wait((task,))
    return False


async def until_gone(tap: TapDevice, trace: JsonTrace | None, thrift: Thrift) -> None:
    """Return never; raise HostError when somebody deletes the TAP under us.

    Meanwhile, keep the trace's file fresh, and no more memory than is of use.
    """
    while True:
        await asyncio.sleep(LOOK_EVERY)
        if tap.gone:
            raise HostError(f"{tap.name} was deleted while in use")
        if trace is not None:
            trace.flush()
        thrift.look()


async def shut_down(server: Server, listener: asyncio.AbstractServer, impatience: Coroutine[Any, Any, None]) -> None:
    """Let the server drain; once `impatience` has returned, without waiting for anyone."""
    draining = asyncio.ensure_future(server.shutdown(listener))
    hurry = asyncio.ensure_future(impatience)
    await asyncio.wait((draining, hurry), return_when=asyncio.FIRST_COMPLETED)
    hurry.cancel()
    while not draining.done():  # it waits more than once: for requests to end, to notice, to be cancelled
        server.hurry()
        await asyncio.wait((draining,), timeout=0.02)
    draining.result()


def settle_memory() -> None:
    """Start-up's garbage is collected now, and what it left is never looked at again by the cyclic collector."""
    gc.collect()
    gc.freeze()
