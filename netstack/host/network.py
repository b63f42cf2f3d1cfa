"""One run's network: namespace, TAP and host address as one context manager."""

import contextlib
from collections.abc import Iterator
from dataclasses import dataclass
from ipaddress import IPv4Address, IPv4Interface

from netstack.host import interface, namespace, record
from netstack.host.error import HostError
from netstack.link.tap import TapDevice
from netstack.units import Octets


@dataclass(frozen=True)
class Network:
    """What to set up: a TAP of this name, in this namespace (None: the one we are in), with the host at this address.

    `stack` is the address that the other end will have: here it is only checked that nobody else has it.
    """

    tap: str
    host: IPv4Interface
    stack: IPv4Address
    mtu: Octets
    offload: bool
    netns: str | None = None


@contextlib.contextmanager
def network(plan: Network) -> Iterator[TapDevice]:
    """Set up, hand over the device, and undo exactly what was done, however the block ends. Raises HostError.

    A TAP or namespace that was there before is used and left; what is made here goes at the end.
    """
    with contextlib.ExitStack() as undo:
        made_netns = None
        if plan.netns is not None:
            namespace.check_name(plan.netns)
            if not namespace.exists(plan.netns) or record.was_ours(plan.netns):
                made_netns = plan.netns
        with namespace.inside(plan.netns if plan.netns and not made_netns else None):
            there_before = bool(plan.tap) and not made_netns and interface.exists(plan.tap)
        # On record first: whatever kills us from here on, `netstack down` knows what we were about to make.
        undo.enter_context(record.kept(plan.netns, None if there_before else plan.tap, made_netns))
        if made_netns:
            undo.callback(namespace.remove, made_netns)
            if not namespace.exists(made_netns):
                namespace.make(made_netns)
        with namespace.inside(plan.netns):
            device = open_tap(plan)
            undo.callback(device.close)
            interface.check_free(device.name, plan.host, plan.stack)
            if interface.configure(device.name, plan.host, plan.mtu) and there_before:
                undo.callback(take_address_back, plan)
        yield device


def open_tap(plan: Network) -> TapDevice:
    """The TAP, in the namespace that the thread is in. Raises HostError."""
    try:
        return TapDevice(plan.tap, plan.mtu, plan.offload)
    except OSError as error:
        raise HostError(f"{plan.tap}: {error.strerror}") from error


def take_address_back(plan: Network) -> None:
    """Remove our address from a TAP that was there before us."""
    with namespace.inside(plan.netns):
        interface.deconfigure(plan.tap, plan.host)
