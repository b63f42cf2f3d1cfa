"""The grammar of filter expressions (pcap-filter(7)): what a text means, as a test of a frame.

One recursive descent for both kinds of expressions, since a parenthesis may begin either: conditions (`Test`) and
arithmetic (`Value`). Whoever combines two says which kind it needs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from ipaddress import AddressValueError, IPv4Address, IPv6Address
from typing import NamedTuple

from netstack.inspect.expression import match
from netstack.inspect.expression.match import Layout, Number, Test
from netstack.inspect.expression.names import CONSTANTS, ETHERTYPES, PROTOCOLS, SERVICES
from netstack.inspect.expression.scan import ExpressionError, Token, scan

_WORD = 0xFFFF_FFFF
_RELATIONS: dict[str, Callable[[int, int], bool]] = {
    "=": operator.eq, "!=": operator.ne, "<": operator.lt, ">": operator.gt, "<=": operator.le, ">=": operator.ge,
}  # fmt: skip
_ARITHMETIC: list[dict[str, Callable[[int, int], int]]] = [
    {"|": operator.or_, "^": operator.xor},
    {"&": operator.and_},
    {"<<": lambda a, b: a << b if b < 32 else 0, ">>": operator.rshift},
    {"+": operator.add, "-": operator.sub},
    {"*": operator.mul, "/": operator.floordiv, "%": operator.mod},
]
"""From what binds least to what binds most."""
_TYPES = ("host", "net", "port", "portrange", "proto")
_DEEPEST = 64


class Value(NamedTuple):
    """A number that a frame has, provided it passes `guards`. `literal`: it is the same for each frame."""

    guards: tuple[Test, ...]
    number: Number
    literal: int | None = None


class Qualifiers(NamedTuple):
    """The words before an identifier: `tcp src port`."""

    protocol: str = ""
    direction: str = ""
    type: str = ""


def parse(text: str, at: int) -> Test:
    """The test that `text` means, of frames whose Ethernet header is at `at`."""
    parser = _Parser(scan(text), Layout(at))
    try:
        return parser.whole()
    except RecursionError as error:
        raise ExpressionError("the filter is nested too deeply") from error


class _Parser:
    def __init__(self, tokens: list[Token], layout: Layout) -> None:
        self._tokens = tokens
        self._layout = layout
        self._next = 0
        self._depth = 0
        self._last: Qualifiers | None = None

    # -- tokens

    @property
    def _token(self) -> Token:
        return self._tokens[self._next]

    def _take(self, *texts: str) -> str:
        """The next token's text if it is one of these operators or words; else ''."""
        token = self._token
        if token.text not in texts or token.kind not in ("operator", "word"):
            return ""
        self._next += 1
        return token.text

    def _need(self, text: str) -> None:
        if not self._take(text):
            raise self._wrong(f"{text} is missing")

    def _wrong(self, what: str) -> ExpressionError:
        where = f"before {self._token.text!r}" if self._token.kind != "end" else "at the end"
        return ExpressionError(f"{what} {where} of the filter" if self._token.kind == "end" else f"{what} {where}")

    # -- conditions

    def whole(self) -> Test:
        test = self._condition(self._logic())
        if self._token.kind != "end":
            raise self._wrong("and, or is missing")
        return test

    def _logic(self) -> Test | Value:
        left = self._negation()
        while word := self._take("&&", "||"):
            first, second = self._condition(left), self._condition(self._negation())
            left = match.all_of(first, second) if word == "&&" else match.any_of(first, second)
        return left

    def _negation(self) -> Test | Value:
        if not self._take("!"):
            return self._relation()
        self._nest(1)
        test = match.negated(self._condition(self._negation()))
        self._nest(-1)
        return test

    def _nest(self, step: int) -> None:
        self._depth += step
        if self._depth > _DEEPEST:
            raise ExpressionError("the filter is nested too deeply")

    def _condition(self, found: Test | Value) -> Test:
        if not isinstance(found, Value):
            return found
        if found.literal is not None and self._last is not None:  # `port 80 or 443`
            return self._identified(self._last, Token("number", str(found.literal), 0))
        raise self._wrong("a comparison is missing")

    def _relation(self) -> Test | Value:
        left = self._arithmetic(0)
        word = self._take(*_RELATIONS)
        if not word:
            return left
        first, second = self._value(left), self._value(self._arithmetic(0))
        compare, a, b = _RELATIONS[word], first.number, second.number
        return match.all_of(*first.guards, *second.guards, lambda frame: compare(a(frame), b(frame)))

    # -- arithmetic

    def _arithmetic(self, level: int) -> Test | Value:
        if level == len(_ARITHMETIC):
            return self._operand()
        left = self._arithmetic(level + 1)
        while word := self._take(*_ARITHMETIC[level]):
            right = self._arithmetic(level + 1)
            left = _combined(_ARITHMETIC[level][word], self._value(left), self._value(right), word)
        return left

    def _value(self, found: Test | Value) -> Value:
        if isinstance(found, Value):
            return found
        raise self._wrong("a number is missing")

    def _operand(self) -> Test | Value:
        token = self._token
        if self._take("("):
            self._nest(1)
            inner = self._logic()
            self._nest(-1)
            self._need(")")
            return inner
        if self._take("-"):
            return _combined(operator.sub, _literal(0), self._value(self._operand()), "-")
        if token.kind == "number":
            self._next += 1
            return _literal(_integer(token.text))
        if token.kind == "word" and token.text in CONSTANTS:
            self._next += 1
            return _literal(CONSTANTS[token.text])
        if token.kind == "word" and self._tokens[self._next + 1].text == "[":
            return self._load()
        if self._take("len"):
            start = self._layout.ether
            return Value((), lambda frame: len(frame) - start)
        return self._primitive()

    def _load(self) -> Value:
        """`tcp[13]`, `ip[2:2]`."""
        kind = self._token.text
        if kind == "icmp6" or not (kind == "ether" or kind in ETHERTYPES or kind in PROTOCOLS):
            raise ExpressionError(f"{kind}[...] cannot be looked into")
        self._next += 2
        offset = self._value(self._arithmetic(0))
        size = 1
        if self._take(":"):
            size = self._value(self._arithmetic(0)).literal or 0
        if size not in (1, 2, 4):
            raise self._wrong(f"{kind}[offset:size] has a size of 1, 2 or 4, which is missing")
        self._need("]")
        guards, number = match.load(self._layout, kind, offset.number, size)
        return Value((*guards, *offset.guards), number)

    # -- primitives

    def _primitive(self) -> Test:
        for word in ("less", "greater"):
            if self._take(word):
                return self._sized(word)
        qualifiers = self._qualifiers()
        name, direction, kind = qualifiers
        if self._take("broadcast", "multicast"):
            return self._group(self._tokens[self._next - 1].text, name)
        if not direction and not kind and name and name != "ether" and not self._identifier_follows():
            return self._bare(name)
        token = self._token
        if token.kind not in ("number", "address", "mac", "word"):
            raise self._wrong("an address, a port or a protocol is missing")
        if qualifiers == Qualifiers():
            if token.kind == "word":
                raise ExpressionError(f"{token.text!r} is no word of a filter, and names are not looked up")
            qualifiers = self._last or Qualifiers(type="host")
        self._next += 1
        return self._identified(qualifiers, token)

    def _identifier_follows(self) -> bool:
        return self._token.kind in ("number", "address", "mac")

    def _qualifiers(self) -> Qualifiers:
        token = self._token
        name = ""
        if token.kind == "word" and (token.text in ETHERTYPES or token.text in PROTOCOLS or token.text == "ether"):
            name = token.text
            self._next += 1
        direction = self._take("src", "dst")
        if direction:
            ahead = [token.text for token in self._tokens[self._next : self._next + 2]]
            if ahead[0] in ("||", "&&") and ahead[1:] == [{"src": "dst", "dst": "src"}[direction]]:
                self._next += 2
                direction = "src and dst" if ahead[0] == "&&" else "src or dst"
        kind = self._take(*_TYPES)
        return Qualifiers(name, direction, kind)

    def _sized(self, word: str) -> Test:
        limit = self._value(self._arithmetic(len(_ARITHMETIC))).literal
        if limit is None:
            raise self._wrong(f"{word} needs a number, which is missing")
        most = limit + self._layout.ether
        return (lambda frame: len(frame) <= most) if word == "less" else (lambda frame: len(frame) >= most)

    def _bare(self, name: str) -> Test:
        """`tcp`, `arp` ..."""
        if name in ETHERTYPES:
            return match.is_(self._layout, name)
        version = {"icmp": "ip", "igmp": "ip", "icmp6": "ip6"}.get(name, "")
        return match.protocol(self._layout, PROTOCOLS[name], version)

    def _group(self, word: str, name: str) -> Test:
        """`broadcast`, `multicast`, with `ether` (which is the default) or `ip`."""
        at = self._layout.ether
        if name in ("", "ether"):
            if word == "multicast":
                return lambda frame: bool(frame[at] & 1)
            return match.octets_at(at, b"\xff" * 6)
        if name == "ip" and word == "multicast":
            first = self._layout.network + 16
            return match.all_of(match.is_(self._layout, "ip"), lambda frame: frame[first] >= 224)
        raise ExpressionError(f"{name} {word} is not known here")

    def _identified(self, qualifiers: Qualifiers, token: Token) -> Test:
        """`tcp src port 80`, from its qualifiers and its identifier, which may be followed by more (`/24`, `-90`)."""
        self._last = qualifiers
        name, direction, kind = qualifiers
        if kind == "proto":
            return self._numbered_protocol(name, token)
        if kind in ("port", "portrange"):
            if name and name not in ("tcp", "udp", "sctp"):
                raise ExpressionError(f"{name} has no ports")
            first = last = _port(token)
            if kind == "portrange":
                self._need("-")
                last = _port(self._token)
                self._next += 1
                first, last = min(first, last), max(first, last)
            return match.port(self._layout, name, direction, first, last)
        if name == "ether":
            if token.kind != "mac" or kind not in ("", "host"):
                raise ExpressionError(f"{token.text!r} is no MAC address, as in ether host 02:00:5e:00:02:02")
            mac = bytes(int(part, 16) for part in token.text.split(":"))
            return match.ether(self._layout, direction, mac)
        if name and name not in ("ip", "arp", "rarp", "ip6"):
            raise ExpressionError(f"{name} has no {kind or 'host'}s: ip, arp and ether have")
        address, mask = self._network(kind, token)
        if name and (len(address) == 16) != (name == "ip6"):
            raise ExpressionError(f"{token.text} is not an address of {name}")
        return match.network(self._layout, name, direction, address, mask)

    def _numbered_protocol(self, name: str, token: Token) -> Test:
        if name == "ether":
            number = ETHERTYPES[token.text] if token.text in ETHERTYPES else _number(token, "an EtherType", 0xFFFF)
            return match.ethertype(self._layout, number)
        if name not in ("", "ip", "ip6"):
            raise ExpressionError(f"{name} proto means nothing: ip proto does")
        number = PROTOCOLS[token.text] if token.text in PROTOCOLS else _number(token, "a protocol", 0xFF)
        return match.protocol(self._layout, number, name)

    def _network(self, kind: str, token: Token) -> tuple[bytes, bytes | None]:
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
        if kind == "net" and self._take("mask"):
            mask = self._network("host", self._token)[0]
            self._next += 1
        else:
            if kind in ("net", "") and self._take("/"):
                bits = _number(self._token, "a prefix length", 8 * len(address))
                self._next += 1
            mask = ((1 << bits) - 1 << 8 * len(address) - bits).to_bytes(len(address), "big")
        if any(octet & ~part & 0xFF for octet, part in zip(address, mask, strict=True)):
            raise ExpressionError(f"{text} has bits set that its mask does not have")
        return address, mask


def _combined(combine: Callable[[int, int], int], first: Value, second: Value, word: str) -> Value:
    a, b = first.number, second.number
    guards = (*first.guards, *second.guards)
    if second.literal == 0 and word in ("/", "%"):
        raise ExpressionError("division by zero")
    if first.literal is not None and second.literal is not None:
        return _literal(combine(first.literal, second.literal) & _WORD)
    return Value(guards, lambda frame: combine(a(frame), b(frame)) & _WORD)


def _literal(number: int) -> Value:
    return Value((), lambda frame: number, number)


def _integer(text: str) -> int:
    number = int(text, 16) if text.startswith("0x") else int(text, 8 if len(text) > 1 and text[0] == "0" else 10)
    if number > _WORD:
        raise ExpressionError(f"{text} does not fit 32 bits")
    return number


def _number(token: Token, what: str, most: int) -> int:
    if token.kind == "number":
        number = _integer(token.text)
        if number <= most:
            return number
    raise ExpressionError(f"{token.text!r} is not {what}")


def _port(token: Token) -> int:
    return SERVICES[token.text] if token.text in SERVICES else _number(token, "a port", 0xFFFF)
