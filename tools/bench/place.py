"""Where it is measured: two network namespaces joined by a veth pair, a core for the servers, a core for the clients.

    namespace "client"                                           namespace "server"
    192.0.2.1/28 "bench0" <------------- veth pair ------------> "bench0" 192.0.2.2/28   kernel's own TCP
    192.0.2.17/28 "bench1" <- TAP -> 192.0.2.18, in user space                           a stack, or the bare loop
    192.0.2.33/28 "bench2" <- TAP -> 192.0.2.34, in user space                           another, and so on
"""

import contextlib
import os
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Interface
from pathlib import Path

from pyroute2 import IPRoute, netns

from netstack.host import interface, namespace

PREFIX = "netstack-bench"
CLIENT, SERVER = "client", "server"
MTU = 1500


@dataclass(frozen=True)
class Link:
    """One way from the clients to a server: an interface and a subnet of its own, the `number`-th /28 of TEST-NET-1."""

    number: int

    @property
    def interface(self) -> str:
        """Name of the interface on the client's side."""
        return f"bench{self.number}"

    @property
    def host(self) -> IPv4Interface:
        """The client's address."""
        return IPv4Interface(f"192.0.2.{16 * self.number + 1}/28")

    @property
    def server(self) -> IPv4Interface:
        """The server's address."""
        return IPv4Interface(f"192.0.2.{16 * self.number + 2}/28")


VETH = Link(0)


class Place:
    """The two namespaces; a context manager that removes them whatever happens."""

    def __init__(self) -> None:
        self.names = {side: f"{PREFIX}-{os.getpid()}-{side}" for side in (CLIENT, SERVER)}
        usable = sorted(os.sched_getaffinity(0))
        self.cores = {SERVER: usable[0], CLIENT: usable[1 % len(usable)]}
        self._before = set(usable)

    def __enter__(self) -> "Place":
        remove_stale()
        try:
            for name in self.names.values():
                namespace.make(name)
            with self.inside(CLIENT), IPRoute() as route:
                peer = {"ifname": VETH.interface, "net_ns_fd": self.names[SERVER]}
                route.link("add", ifname=VETH.interface, kind="veth", peer=peer)
                interface.configure(VETH.interface, VETH.host, MTU)
            with self.inside(SERVER):
                interface.configure(VETH.interface, VETH.server, MTU)
        except BaseException:
            self.__exit__()
            raise
        return self

    def __exit__(self, *exception: object) -> None:
        for name in self.names.values():
            namespace.remove(name)
        os.sched_setaffinity(0, self._before)

    @contextlib.contextmanager
    def inside(self, side: str, core: str | None = None) -> Iterator[None]:
        """This thread lives in that namespace, on the core of that side (or `core`'s), for the length of a with block.

        Sockets and processes made meanwhile belong to the namespace, and the processes stay on the core.
        """
        before = os.sched_getaffinity(0)
        os.sched_setaffinity(0, {self.cores[core or side]})
        try:
            with namespace.inside(self.names[side]):
                yield
        finally:
            os.sched_setaffinity(0, before)


def remove_stale() -> None:
    """Remove the namespaces of runs that were killed before they could."""
    for name in netns.listnetns():
        _, prefix, rest = name.partition(f"{PREFIX}-")
        pid = rest.partition("-")[0]
        if prefix and pid.isdigit() and not Path("/proc", pid).exists():
            namespace.remove(name)
