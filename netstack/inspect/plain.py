"""Events as plain values, ready for JSON: names as in the RFCs, a connection as its two ends, times in microseconds."""

from dataclasses import fields, is_dataclass
from enum import Enum
from typing import Any

from netstack.inspect.who import who
from netstack.link.device import VNET_LEN
from netstack.units import SECOND
from netstack.wire import pretty

Plain = dict[str, Any]

_ADDRESSES = frozenset(("address", "source", "destination"))
"""Fields whose octets are an address of IP."""


def plain(event: Any, isns: pretty.Isns | None = None) -> Plain:
    """One record of `netstack.events` or `asgi.events`: "event", "at" in microseconds, then its fields.

    A frame becomes the line that tcpdump would print; `isns` is as for `pretty.frame`. The clock is one, the event
    loop's; but to the stack a turn of its driver is one moment, so within a turn asgi's times run ahead of it.
    """
    record: Plain = {"event": type(event).__name__}
    ends = hasattr(event, "local")  # asgi's names for the connection
    for field in fields(event):
        name, value = field.name, getattr(event, field.name)
        if name == "time":  # asgi's clock is the event loop's, of which the stack's is the microseconds (aio.clock)
            record["at"] = int(value * SECOND + 0.5)
            if ends:
                record["who"] = pretty.who(who(event))
        elif name == "frame":
            record[name] = pretty.frame(value, VNET_LEN, isns)
        elif not (ends and name in ("client", "local")) and (name != "who" or value is not None):
            record[name] = _plain(name, value)
        if name == "cause" and hasattr(value, "paragraph"):
            record["paragraph"] = value.paragraph
    return record


def _plain(name: str, value: Any) -> Any:
    """The value of one field."""
    if value is None or type(value) in (int, float, bool, str):
        return pretty.flags(value) if name == "flags" else value
    if name == "who":
        return pretty.who(value)
    if isinstance(value, bytes):
        if name in _ADDRESSES:
            return pretty.address(value)
        return pretty.mac(value) if name == "mac" else value.decode("latin-1")
    if isinstance(value, dict):
        return {str(key): _plain("", part) for key, part in value.items()}
    if isinstance(value, list | tuple):
        return [_plain("", part) for part in value]
    if isinstance(value, Enum):
        return value.value if isinstance(value.value, str) else str(value)
    if is_dataclass(value):
        return {part.name: _plain(part.name, getattr(value, part.name)) for part in fields(value)}
    return str(value)
