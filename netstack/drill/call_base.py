"""What every system call of a script needs: its host, its descriptors, and how a result becomes a verdict."""

from collections.abc import Callable
from typing import Any

from netstack.drill import arguments as args
from netstack.drill.connections import Connections, Descriptor
from netstack.drill.host import Host
from netstack.drill.nodes import Call, Unspecified
from netstack.drill.symbols import integer
from netstack.units import Micros

NOT_OPEN = -1
"""A live descriptor that never exists: for those the script names without having made them."""

Conclude = Callable[[Any], tuple[int, list[str]]]
"""From the host's value to the C library's result, and what is wrong with what came along with it."""
Prepared = tuple[str, tuple[Any, ...], Conclude]
"""The name for the host, its arguments, what to make of its value."""


class CallBase:
    """Host, descriptors, and the tolerance of the script's times."""

    def __init__(self, host: Host, connections: Connections, near: Callable[[Micros], bool], mapped: bool) -> None:
        self.host = host
        self.connections = connections
        self.near = near
        """Whether a time that differs from the script's by so much is right."""
        self.mapped = mapped
        """Sockets of IPv6 are those of IPv4."""
        self.on_error: Callable[[int], None] = no_matter

    def descriptor(self, call: Call, index: int = 0) -> Descriptor:
        """The descriptor that argument number `index` names."""
        script = args.number(call, index)
        return self.connections.descriptors.get(script) or Descriptor(script, NOT_OPEN)

    def live(self, call: Call, index: int = 0) -> int:
        """The live descriptor that argument number `index` names."""
        return self.descriptor(call, index).live


def no_matter(_: int) -> None:
    """An error that changes nothing here."""


def zero(_: Any) -> tuple[int, list[str]]:
    """The calls that return 0."""
    return 0, []


def count(value: int) -> tuple[int, list[str]]:
    """The calls that return a number."""
    return value, []


def result_of(call: Call, live: int) -> int:
    """The script's number for a descriptor that was made."""
    return live if isinstance(call.result, Unspecified) else integer(call.result)
