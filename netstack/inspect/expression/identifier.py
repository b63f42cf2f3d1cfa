"""A primitive of a filter expression, from its qualifiers and its identifier: `tcp src port` and `80`."""

from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

from netstack.inspect.expression import match
from netstack.inspect.expression.match import Layout, Test
from netstack.inspect.expression.names import ETHERTYPES, PROTOCOLS, SERVICES
from netstack.inspect.expression.scan import ExpressionError, Token, Tokens

WORD = 0xFFFF_FFFF
"""The largest number."""


class Qualifiers(NamedTuple):
    """The words before an identifier: `tcp src port`."""

    protocol: str = ""
    direction: str = ""
    type: str = ""


def identified(layout: Layout, qualifiers: Qualifiers, token: Token, tokens: Tokens) -> Test:
    """`tcp src port 80`, from its qualifiers and its identifier, which may be followed by more (`/24`, `-90`)."""
    name, direction, kind = qualifiers
    if kind == "proto":
        return _numbered_protocol(layout, name, token)
    if kind in ("port", "portrange"):
        if name and name not in ("tcp", "udp", "sctp"):
            raise ExpressionError(f"{name} has no ports")
        first = last = _port(token)
        if kind == "portrange":
            tokens.need("-")
            last = _port(tokens.next)
            tokens.skip()
            first, last = min(first, last), max(first, last)
        return match.port(layout, name, direction, first, last)
    if name == "ether":
        if token.kind != "mac" or kind not in ("", "host"):
            raise ExpressionError(f"{token.text!r} is no MAC address, as in ether host 02:00:5e:00:02:02")
        mac = bytes(int(part, 16) for part in token.text.split(":"))
        return match.ether(layout, direction, mac)
    if name and name not in ("ip", "arp", "rarp", "ip6"):
        raise ExpressionError(f"{name} has no {kind or 'host'}s: ip, arp and ether have")
    address, mask = _network(kind, token, tokens)
    if name and (len(address) == 16) != (name == "ip6"):
        raise ExpressionError(f"{token.text} is not an address of {name}")
    return match.network(layout, name, direction, address, mask)


def _numbered_protocol(layout: Layout, name: str, token: Token) -> Test:
    if name == "ether":
        number = ETHERTYPES[token.text] if token.text in ETHERTYPES else _number(token, "an EtherType", 0xFFFF)
        return match.ethertype(layout, number)
    if name not in ("", "ip", "ip6"):
        raise ExpressionError(f"{name} proto means nothing: ip proto does")
    number = PROTOCOLS[token.text] if token.text in PROTOCOLS else _number(token, "a protocol", 0xFF)
    return match.protocol(layout, number, name)


def _network(kind: str, token: Token, tokens: Tokens) -> tuple[bytes, bytes | None]:
    """(address, mask) of what follows `host` or `net`: 192.0.2.1, 192.0.2.0/24, 192.0.2, 10, 2001:db8::/32 ..."""
    text = token.text
    if token.kind not in ("address", "number"):
        raise ExpressionError(f"{text!r} is no address, and names are not looked up")
    try:
        if ":" in text:
            address = IPv6Address(text).packed
        elif kind == "net" or text.count(".") == 3:
            address = IPv4Address(text + ".0" * (3 - text.count("."))).packed
        else:
            raise AddressValueError
    except AddressValueError:
        raise ExpressionError(f"{text!r} is no address") from None
    bits = 8 * len(address) if ":" in text else 8 * (text.count(".") + 1)
    if kind == "net" and tokens.take("mask"):
        mask = _network("host", tokens.next, tokens)[0]
        tokens.skip()
    else:
        if kind in ("net", "") and tokens.take("/"):
            bits = _number(tokens.next, "a prefix length", 8 * len(address))
            tokens.skip()
        mask = ((1 << bits) - 1 << 8 * len(address) - bits).to_bytes(len(address), "big")
    if any(octet & ~part & 0xFF for octet, part in zip(address, mask, strict=True)):
        raise ExpressionError(f"{text} has bits set that its mask does not have")
    return address, mask


def integer(text: str) -> int:
    """Decimal, 0x hexadecimal or 0 octal."""
    number = int(text, 16) if text.startswith("0x") else int(text, 8 if len(text) > 1 and text[0] == "0" else 10)
    if number > WORD:
        raise ExpressionError(f"{text} does not fit 32 bits")
    return number


def _number(token: Token, what: str, most: int) -> int:
    if token.kind == "number":
        number = integer(token.text)
        if number <= most:
            return number
    raise ExpressionError(f"{token.text!r} is not {what}")


def _port(token: Token) -> int:
    return SERVICES[token.text] if token.text in SERVICES else _number(token, "a port", 0xFFFF)
