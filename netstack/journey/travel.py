"""The journey itself: both ends set up, one request sent, everything noted, both ends taken down.

In memory there are two stacks on one event loop, joined by a link in memory. On a TAP the client is curl or this
kernel's TCP, in a network namespace that is made for the journey and removed after it (root).
"""

import asyncio
import contextlib
import os
import random
import shutil
import socket
import subprocess
from collections.abc import AsyncIterator, Callable, Coroutine
from dataclasses import dataclass, field
from typing import Any

from asgi import Server, Settings
from asgi.spec import App
from netstack.aio import Interface
from netstack.config import Config
from netstack.host import HostError, Network, namespace, network
from netstack.journey.client import Client
from netstack.journey.record import CLIENT, SERVER, Did, Recorder, WatchedDevice
from netstack.journey.request import Request
from netstack.link.device import Device
from netstack.link.fault import Faults, Impairment
from netstack.link.loopback import LoopbackPair
from netstack.service.plan import MTU, TAP, Plan
from netstack.units import Octets

STACK, CURL, KERNEL = "stack", "curl", "kernel"
_MAC = bytes.fromhex("02005e000201")
_PLAN = Plan()


@dataclass(frozen=True)
class Trip:
    """What travels, and over which path."""

    request: Request
    client: str = STACK
    """STACK: a second stack, in memory; CURL or KERNEL: over a TAP."""
    faults: Faults = field(default_factory=Faults)
    """In each direction."""
    seed: int | None = None
    """For the faults and, in memory, for both stacks: ports, sequence numbers. None: never the same."""
    offload: bool = False
    mtu: Octets = MTU
    lifespan: str = "auto"
    patience: float = 60.0
    """Seconds that it may take."""

    @property
    def bad(self) -> bool:
        """Whether the path is anything but perfect."""
        return self.faults != Faults()

    def device(self, device: Device) -> Device:
        """`device`, behind the path's faults if it has any."""
        return Impairment(device, self.random(0), self.faults, self.faults) if self.bad else device

    def random(self, n: int) -> random.Random:
        """The `n`-th source of randomness."""
        return random.SystemRandom() if self.seed is None else random.Random(self.seed * 3 + n)


class NoAnswer(Exception):
    """The request found no answer; what was noted until then is there all the same."""


Run = Callable[[Coroutine[Any, Any, None]], None]


def travel(trip: Trip, app: App, recorder: Recorder, run: Run = asyncio.run) -> None:
    """Make the trip on an event loop of its own (`run`); what happens is in `recorder` afterwards.

    Raises NoAnswer; LifespanError when the application says that it cannot start; HostError for a TAP that cannot be
    had.
    """
    if trip.client == STACK:
        run(in_memory(trip, app, recorder))
        return
    netns = f"netstack-journey-{os.getpid()}"
    with network(Network(TAP, _PLAN.host, _PLAN.stack.ip, trip.mtu, trip.offload and not trip.bad, netns)) as tap:
        run(on_tap(trip, app, recorder, tap, netns))


async def in_memory(trip: Trip, app: App, recorder: Recorder) -> None:
    """Client and server are two stacks on the running loop."""
    near, far = LoopbackPair(trip.mtu, offload=trip.offload and not trip.bad)
    ours = Config(address=_PLAN.host, mac=_MAC, mtu=trip.mtu)
    async with (
        Interface(near, ours, events=recorder.sink(CLIENT), rng=trip.random(1)) as client,
        serving(trip, app, recorder, trip.device(far)) as server,
        asked(trip, recorder, server),
    ):
        request = trip.request
        _, protocol = await client.create_connection(
            lambda: Client(request, recorder), str(_PLAN.stack.ip), request.port
        )
        assert isinstance(protocol, Client)
        await protocol.done
        await client.driver.idle()


async def on_tap(trip: Trip, app: App, recorder: Recorder, tap: Device, netns: str) -> None:
    """The client is a program on this kernel's TCP, in the namespace of the TAP."""
    device = trip.device(WatchedDevice(tap, recorder))
    async with serving(trip, app, recorder, device) as server, asked(trip, recorder, server):
        await (run_curl(trip, netns) if trip.client == CURL else use_kernel(trip, recorder, netns))


@contextlib.asynccontextmanager
async def serving(trip: Trip, app: App, recorder: Recorder, device: Device) -> AsyncIterator[Interface]:
    """The server's stack on `device`, with the application on it."""
    server = Server(app, Settings(lifespan=trip.lifespan, access_log=False))
    server.observe(recorder.sink(SERVER))
    await server.startup()
    config = Config(address=_PLAN.stack, mtu=trip.mtu)
    async with Interface(device, config, events=recorder.sink(SERVER), rng=trip.random(2)) as net:
        listener = await net.create_server(server.protocol, str(_PLAN.stack.ip), trip.request.port)
        await asyncio.sleep(0)  # the announcement of our address is no part of the journey
        try:
            yield net
        finally:
            recorder.on = False
            await server.shutdown(listener)


@contextlib.asynccontextmanager
async def asked(trip: Trip, recorder: Recorder, server: Interface) -> AsyncIterator[None]:
    """Note what happens in the block, and until the server has nothing more to say; NoAnswer when that takes long."""
    recorder.on = True
    if trip.client != CURL:  # which takes its time before it connects, and does not tell when
        recorder.note(CLIENT, Did("connect", f"{_PLAN.stack.ip}:{trip.request.port}"))
    try:
        async with asyncio.timeout(trip.patience):
            yield
            await server.driver.idle()
    except TimeoutError as error:
        raise NoAnswer(f"no answer within {trip.patience:g} s") from error
    except OSError as error:
        raise NoAnswer(error.strerror or str(error)) from error
    finally:
        recorder.on = False


async def use_kernel(trip: Trip, recorder: Recorder, netns: str) -> None:
    """The same client as in memory, on a socket of the kernel."""
    loop = asyncio.get_running_loop()
    with namespace.inside(netns):  # a socket belongs to the namespace it was made in
        connection = socket.socket()
    connection.setblocking(False)
    try:
        await loop.sock_connect(connection, (str(_PLAN.stack.ip), trip.request.port))
    except BaseException:
        connection.close()
        raise
    _, protocol = await loop.create_connection(lambda: Client(trip.request, recorder), sock=connection)
    await protocol.done


async def run_curl(trip: Trip, netns: str) -> None:
    """curl, as a child that lives in the namespace."""
    request = trip.request
    program = shutil.which("curl")
    if program is None:
        raise HostError("there is no curl here: use --client kernel")
    words = [
        program, "--silent", "--show-error", "--http1.1", "--noproxy", "*", "--path-as-is", "--globoff",
        "--output", os.devnull, "--max-time", f"{trip.patience:g}",
        "--connect-to", f"::{_PLAN.stack.ip}:{request.port}",
    ]  # fmt: skip
    words += ["--head"] if request.method == "HEAD" else ["--request", request.method]
    for name, value in request.fields:
        words += ["--header", f"{name}: {value}"]
    if request.server_closes:
        words += ["--header", "Connection: close"]
    if request.body:
        words += ["--data-binary", "@-"]
    with namespace.inside(netns):
        child = subprocess.Popen(
            [*words, request.url], stdin=subprocess.PIPE, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE
        )
    try:
        _, said = await asyncio.to_thread(child.communicate, request.body)
    finally:
        if child.poll() is None:
            child.kill()
    if child.returncode:
        raise NoAnswer(said.decode(errors="replace").strip() or f"curl ended with status {child.returncode}")
