"""Who is compared: each server with the command that starts it, where it runs and where it is reached.

Every HTTP server serves the same application, netstack's own welcome page and its /plaintext, so that what differs is
the server and the TCP under it.
"""

import contextlib
import importlib.util
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass

from bench.place import CLIENT, SERVER, VETH, Link, Place
from bench.program import Failure, Program

APP, PATH = "netstack.welcome:app", "/plaintext"
HTTP_PORT, SINK_PORT, SOURCE_PORT = 8080, 9001, 9002
ASGI_PORT, UVICORN_PORT, UVLOOP_PORT = 8081, 8082, 8083
"""HTTP on the veth pair, where one address serves several."""

STACK, STACK_HTTP, ASGI, UVICORN, UVLOOP = "netstack", "netstack up", "asgi", "uvicorn", "uvicorn+uvloop"
KERNEL, BARE = "kernel", "bare loop"


@dataclass(frozen=True)
class Contender:
    """`python ARGUMENTS...` on `side`, reached over `link`."""

    name: str
    text: str
    """What it is, for the table's legend."""
    link: Link
    side: str
    arguments: list[str]
    port: int = HTTP_PORT
    """For HTTP."""

    @property
    def host(self) -> str:
        """The address to connect to."""
        return str(self.link.server.ip)

    @property
    def url(self) -> str:
        """The resource of thirteen octets."""
        return f"http://{self.host}:{self.port}{PATH}"


def netstack_up(link: Link) -> Contender:
    """The stack and its server as a user starts them."""
    arguments = [
        "-m", "netstack", "up", "--no-access-log", "--tap", link.interface, "--port", str(HTTP_PORT),
        "--address", str(link.server), "--host-address", str(link.host), "--log-level", "warning",
    ]  # fmt: skip
    return Contender(STACK_HTTP, "netstack's TCP and ASGI server, over a TAP", link, CLIENT, arguments)


def on_kernel(name: str, text: str, port: int, *arguments: str) -> Contender:
    """An HTTP server on the kernel's sockets, over the veth pair."""
    at = ("--host", str(VETH.server.ip), "--port", str(port))
    return Contender(name, text, VETH, SERVER, [*arguments, *at], port)


def asgi() -> Contender:
    """The same server on the kernel's TCP."""
    arguments = ("-m", "asgi", APP, "--no-access-log", "--timeout-idle", "75")
    return on_kernel(ASGI, "the same ASGI server on the kernel's TCP, over veth", ASGI_PORT, *arguments)


def uvicorn(loop: str) -> Contender:
    """The usual server; `loop` is asyncio or uvloop."""
    arguments = ("--no-access-log", "--loop", loop, "--http", "httptools", "--timeout-keep-alive", "75")
    name, port = (UVICORN, UVICORN_PORT) if loop == "asyncio" else (UVLOOP, UVLOOP_PORT)
    text = f"uvicorn (httptools, {loop}) on the kernel's TCP, over veth"
    return on_kernel(name, text, port, "-m", "uvicorn", APP, *arguments)


def uvicorns() -> list[Contender]:
    """Those that are installed."""
    if importlib.util.find_spec("uvicorn") is None:
        return []
    return [uvicorn(loop) for loop in ("asyncio", "uvloop") if loop == "asyncio" or importlib.util.find_spec(loop)]


def bare(link: Link, offload: bool) -> Contender:
    """The loop that reads and answers, on a TAP."""
    arguments = ["-m", "bench.bare", str(link.number), *([] if offload else ["--no-offload"])]
    return Contender(BARE, "reads frames and answers them, no state, over a TAP", link, CLIENT, arguments)


def bulk(link: Link, offload: bool) -> Contender:
    """The stack with a protocol that takes, and one that gives, as much as it can."""
    arguments = ["-m", "bench.bulk_server", str(link.number), *([] if offload else ["--no-offload"])]
    return Contender(STACK, "asyncio protocols on netstack's TCP, over a TAP", link, CLIENT, arguments)


def bulk_kernel() -> Contender:
    """The kernel's TCP with blocking sockets and large buffers."""
    arguments = ["-m", "bench.bulk_server", "--kernel"]
    return Contender(KERNEL, "blocking sockets on the kernel's TCP, over veth", VETH, SERVER, arguments)


@contextlib.contextmanager
def started(
    place: Place, contenders: Iterable[Contender], on_failure: Callable[[str], None]
) -> Iterator[list[tuple[Contender, Program]]]:
    """Start them all, hand over those that came up, end them. `on_failure` is told of the others, a line each."""
    with contextlib.ExitStack() as programs:
        running = []
        for one in contenders:
            try:
                running.append((one, programs.enter_context(Program(place, one.side, one.arguments))))
            except Failure as failure:
                on_failure(str(failure))
        yield running
