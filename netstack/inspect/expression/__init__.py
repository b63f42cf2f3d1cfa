"""Capture filters as people type them at tcpdump (pcap-filter(7)): `tcp port 80 and not host 192.0.2.1`.

`predicate` turns an expression into a function of a frame. Reading path: `scan` (words), `parse` (grammar: which
meaning), `match` (what each primitive looks at), `names` (tcp-syn, icmp-echo, http ...).

As in libpcap: `and` and `or` bind equally, from left to right, `not` tighter; an address or port without a keyword
takes those of the one before (`port 80 or 443`); arithmetic is of unsigned 32-bit numbers; looking beyond the end of a
frame makes the whole expression false. Names of hosts are not looked up. What is not here: vlan, mpls, pppoe, wlan.
"""

from collections.abc import Callable

from netstack.inspect.expression.parse import parse
from netstack.inspect.expression.scan import ExpressionError
from netstack.units import Octets

__all__ = ["ExpressionError", "predicate"]


def predicate(text: str, at: Octets = 0) -> Callable[[bytes], bool]:
    """Whether a frame, whose Ethernet header is at `at`, is wanted. An empty expression wants everything.

    ExpressionError (a ValueError), in words, for what means nothing.
    """
    if not text.strip():
        return lambda frame: True
    test = parse(text, at)

    def wanted(frame: bytes) -> bool:
        try:
            return test(frame)
        except (IndexError, ZeroDivisionError):  # beyond the end; a divisor that the frame brought
            return False

    return wanted
