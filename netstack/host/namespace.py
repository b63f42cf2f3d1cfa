"""Network namespaces by name: made when missing, entered for the length of a with block, removed by who made them."""

import contextlib
import os
import re
from collections.abc import Iterator

from pyroute2 import IPRoute, netns
from pyroute2.netlink.exceptions import NetlinkError

from netstack.host.error import HostError, explain

LOOPBACK = 1
"""The index of `lo` in every namespace."""


def exists(name: str) -> bool:
    """Whether `ip netns` lists a namespace of that name."""
    return name in netns.listnetns()


def check_name(name: str) -> None:
    """Raise HostError for what is no plain name of a file in /run/netns, or would be an option to `ip netns exec`."""
    if not re.fullmatch(r"\w[\w.-]*", name):
        raise HostError(f"{name!r} cannot be the name of a namespace (choose a plain word)")


def make(name: str) -> None:
    """Make a namespace with `lo` up, as `ip netns add` would."""
    try:
        netns.create(name)
        with inside(name), IPRoute() as route:
            route.link("set", index=LOOPBACK, state="up")
    except (OSError, NetlinkError) as error:
        raise explain(f"cannot make the namespace {name}", error) from error


def remove(name: str) -> None:
    """Remove a namespace's name, and with it the namespace once no process is in it. One that is gone is fine."""
    with contextlib.suppress(FileNotFoundError):
        netns.remove(name)


@contextlib.contextmanager
def inside(name: str | None) -> Iterator[None]:
    """Move the calling thread into a namespace and back; None: stay where we are.

    Descriptors opened meanwhile (a TAP, a netlink socket) go on belonging to that namespace.
    """
    if name is None:
        yield
        return
    before = os.open("/proc/thread-self/ns/net", os.O_RDONLY | os.O_CLOEXEC)
    try:
        try:
            netns.setns(name, flags=0)
        except OSError as error:
            raise explain(f"cannot enter the namespace {name}", error) from error
        try:
            yield
        finally:
            netns.setns(before)
    finally:
        os.close(before)
