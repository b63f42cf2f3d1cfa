"""Which connection an event is about, be it the stack's or the server's."""

from ipaddress import ip_address
from typing import Any


def who(event: Any) -> Any:
    """The `who` of the stack's events: the key of the four-tuple table. None when it is about no connection.

    Events of `asgi.events` name their connection by its two ends, which are the same four-tuple.
    """
    found = getattr(event, "who", None)
    if found is not None:
        return found
    remote, local = getattr(event, "client", None), getattr(event, "local", None)
    if remote is None or local is None:
        return None
    try:
        pair = ip_address(remote[0]).packed + ip_address(local[0]).packed
    except ValueError:  # a name that is no address: not a connection of any stack
        return None
    return pair + remote[1].to_bytes(2, "big") + local[1].to_bytes(2, "big")
