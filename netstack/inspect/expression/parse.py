"""The grammar of filter expressions (pcap-filter(7)): what a text means, as a test of a frame.

One recursive descent for both kinds of expressions, since a parenthesis may begin either: conditions (`Test`) and
arithmetic (`Value`). Whoever combines two says which kind it needs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable
from typing import NamedTuple

from netstack.inspect.expression import match
from netstack.inspect.expression.identifier import WORD, Qualifiers, identified, integer
from netstack.inspect.expression.match import Layout, Number, Test
from netstack.inspect.expression.names import CONSTANTS, ETHERTYPES, PROTOCOLS
from netstack.inspect.expression.scan import ExpressionError, Token, Tokens

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


def parse(text: str, at: int) -> Test:
    """The test that `text` means, of frames whose Ethernet header is at `at`."""
    parser = _Parser(Tokens(text), Layout(at))
    try:
        return parser.whole()
    except RecursionError as error:
        raise ExpressionError("the filter is nested too deeply") from error


class _Parser:
    def __init__(self, tokens: Tokens, layout: Layout) -> None:
        self._tokens = tokens
        self._layout = layout
        self._depth = 0
        self._last: Qualifiers | None = None

    # -- conditions

    def whole(self) -> Test:
        test = self._condition(self._logic())
        if self._tokens.next.kind != "end":
            raise self._tokens.wrong("and, or is missing")
        return test

    def _logic(self) -> Test | Value:
        left = self._negation()
        while word := self._tokens.take("&&", "||"):
            first, second = self._condition(left), self._condition(self._negation())
            left = match.all_of(first, second) if word == "&&" else match.any_of(first, second)
        return left

    def _negation(self) -> Test | Value:
        if not self._tokens.take("!"):
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
        raise self._tokens.wrong("a comparison is missing")

    def _relation(self) -> Test | Value:
        left = self._arithmetic(0)
        word = self._tokens.take(*_RELATIONS)
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
        while word := self._tokens.take(*_ARITHMETIC[level]):
            right = self._arithmetic(level + 1)
            left = _combined(_ARITHMETIC[level][word], self._value(left), self._value(right), word)
        return left

    def _value(self, found: Test | Value) -> Value:
        if isinstance(found, Value):
            return found
        raise self._tokens.wrong("a number is missing")

    def _operand(self) -> Test | Value:
        token = self._tokens.next
        if self._tokens.take("("):
            self._nest(1)
            inner = self._logic()
            self._nest(-1)
            self._tokens.need(")")
            return inner
        if self._tokens.take("-"):
            return _combined(operator.sub, _literal(0), self._value(self._operand()), "-")
        if token.kind == "number":
            self._tokens.skip()
            return _literal(integer(token.text))
        if token.kind == "word" and token.text in CONSTANTS:
            self._tokens.skip()
            return _literal(CONSTANTS[token.text])
        if token.kind == "word" and self._tokens.ahead(2)[1:] == ["["]:
            return self._load()
        if self._tokens.take("len"):
            start = self._layout.ether
            return Value((), lambda frame: len(frame) - start)
        return self._primitive()

    def _load(self) -> Value:
        """`tcp[13]`, `ip[2:2]`."""
        kind = self._tokens.next.text
        if kind == "icmp6" or not (kind == "ether" or kind in ETHERTYPES or kind in PROTOCOLS):
            raise ExpressionError(f"{kind}[...] cannot be looked into")
        self._tokens.skip(2)
        offset = self._value(self._arithmetic(0))
        size = 1
        if self._tokens.take(":"):
            size = self._value(self._arithmetic(0)).literal or 0
        if size not in (1, 2, 4):
            raise self._tokens.wrong(f"{kind}[offset:size] has a size of 1, 2 or 4, which is missing")
        self._tokens.need("]")
        guards, number = match.load(self._layout, kind, offset.number, size)
        return Value((*guards, *offset.guards), number)

    # -- primitives

    def _primitive(self) -> Test:
        for word in ("less", "greater"):
            if self._tokens.take(word):
                return self._sized(word)
        qualifiers = self._qualifiers()
        name, direction, kind = qualifiers
        group = self._tokens.take("broadcast", "multicast")
        if group:
            return self._group(group, name)
        if not direction and not kind and name and name != "ether" and not self._identifier_follows():
            return self._bare(name)
        token = self._tokens.next
        if token.kind not in ("number", "address", "mac", "word"):
            raise self._tokens.wrong("an address, a port or a protocol is missing")
        if qualifiers == Qualifiers():
            if token.kind == "word":
                raise ExpressionError(f"{token.text!r} is no word of a filter, and names are not looked up")
            qualifiers = self._last or Qualifiers(type="host")
        self._tokens.skip()
        return self._identified(qualifiers, token)

    def _identifier_follows(self) -> bool:
        return self._tokens.next.kind in ("number", "address", "mac")

    def _qualifiers(self) -> Qualifiers:
        token = self._tokens.next
        name = ""
        if token.kind == "word" and (token.text in ETHERTYPES or token.text in PROTOCOLS or token.text == "ether"):
            name = token.text
            self._tokens.skip()
        direction = self._tokens.take("src", "dst")
        if direction:
            ahead = self._tokens.ahead(2)
            if ahead[0] in ("||", "&&") and ahead[1:] == [{"src": "dst", "dst": "src"}[direction]]:
                self._tokens.skip(2)
                direction = "src and dst" if ahead[0] == "&&" else "src or dst"
        kind = self._tokens.take(*_TYPES)
        return Qualifiers(name, direction, kind)

    def _sized(self, word: str) -> Test:
        limit = self._value(self._arithmetic(len(_ARITHMETIC))).literal
        if limit is None:
            raise self._tokens.wrong(f"{word} needs a number, which is missing")
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
        self._last = qualifiers
        return identified(self._layout, qualifiers, token, self._tokens)


def _combined(combine: Callable[[int, int], int], first: Value, second: Value, word: str) -> Value:
    a, b = first.number, second.number
    guards = (*first.guards, *second.guards)
    if second.literal == 0 and word in ("/", "%"):
        raise ExpressionError("division by zero")
    if first.literal is not None and second.literal is not None:
        return _literal(combine(first.literal, second.literal) & WORD)
    return Value(guards, lambda frame: combine(a(frame), b(frame)) & WORD)


def _literal(number: int) -> Value:
    return Value((), lambda frame: number, number)
