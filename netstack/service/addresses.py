"""The two ends of the link: which address the stack gets and which the host, and whether they fit together."""

from ipaddress import AddressValueError, IPv4Address, IPv4Interface, NetmaskValueError

DEFAULT_STACK = IPv4Interface("192.0.2.2/24")
DEFAULT_HOST = IPv4Interface("192.0.2.1/24")
PREFIX = 24
"""The prefix length of an address given without one, when the other end has none either."""
LONGEST = 30
"""A longer prefix leaves no room for two hosts beside the network's own address and its broadcast address."""


def both_ends(stack: str | None, host: str | None) -> tuple[IPv4Interface, IPv4Interface]:
    """(stack, host) from what was typed, each `A.B.C.D[/LENGTH]` or None; what is left out follows from the rest.

    Raises ValueError, in words, when they cannot talk to each other.
    """
    length = next((text.partition("/")[2] for text in (stack, host) if text and "/" in text), str(PREFIX))
    ours, theirs = _interface(stack, length), _interface(host, length)
    if ours is None and theirs is None:
        return DEFAULT_STACK, DEFAULT_HOST
    if ours is None:
        assert theirs is not None
        ours = _neighbor(theirs, DEFAULT_STACK)
    elif theirs is None:
        theirs = _neighbor(ours, DEFAULT_HOST)
    if ours.network != theirs.network:
        raise ValueError(f"the stack ({ours}) and the host ({theirs}) are not in the same subnet")
    if ours.ip == theirs.ip:
        raise ValueError(f"the stack and the host cannot both be {ours.ip}")
    return ours, theirs


def gateway(text: str | None, stack: IPv4Interface, host: IPv4Interface) -> IPv4Address:
    """Where the stack sends what is not for its subnet: the host, unless another neighbour is named."""
    if text is None:
        return host.ip
    try:
        address = IPv4Address(text)
    except AddressValueError as error:
        raise ValueError(f"{text!r} is not an IPv4 address") from error
    if address == stack.ip or address not in stack.network:
        raise ValueError(f"the gateway {address} is not a neighbour in {stack.network}")
    return address


def _interface(text: str | None, length: str) -> IPv4Interface | None:
    if text is None:
        return None
    try:
        address = IPv4Interface(text if "/" in text else f"{text}/{length}")
    except (AddressValueError, NetmaskValueError) as error:
        raise ValueError(f"{text!r} is not an IPv4 address such as {DEFAULT_STACK}") from error
    network = address.network
    if network.prefixlen > LONGEST:
        raise ValueError(f"{address} leaves no room for two ends: the prefix is /{LONGEST} at most")
    if address.ip in (network.network_address, network.broadcast_address):
        raise ValueError(f"{address.ip} is not the address of one host in {network}")
    if address.is_multicast or address.is_loopback or address.is_unspecified or address.ip in _RESERVED:
        raise ValueError(f"{address.ip} cannot be the address of an interface")
    return address


_RESERVED = IPv4Interface("240.0.0.0/4").network  # class E, and the limited broadcast address (RFC 1122 3.2.1.3)


def _neighbor(other: IPv4Interface, usual: IPv4Interface) -> IPv4Interface:
    """The usual address where it fits beside `other`; else the first free one of other's subnet."""
    if usual.ip in other.network and usual.ip != other.ip:
        return IPv4Interface((usual.ip, other.network.prefixlen))
    first = next(address for address in other.network.hosts() if address != other.ip)
    return IPv4Interface((first, other.network.prefixlen))
