"""The filters of `ss`: `state established`, `sport = :80`, `dst 192.0.2.0/24 and not dport = :443`, as a test of a row.

Rows are those of `snapshot`. States come first, then an expression of conditions joined by and, or, not (also & | !)
and parentheses; conditions that follow each other without a word are joined by and.
"""

import operator
import re
from collections.abc import Callable, Sequence
from ipaddress import ip_address, ip_network

from netstack.inspect.snapshot import Row

Test = Callable[[Row], bool]

STATES = {
    "ESTABLISHED": "ESTAB", "SYN-SENT": "SYN-SENT", "SYN-RECEIVED": "SYN-RECV", "FIN-WAIT-1": "FIN-WAIT-1",
    "FIN-WAIT-2": "FIN-WAIT-2", "TIME-WAIT": "TIME-WAIT", "CLOSED": "CLOSED", "CLOSE-WAIT": "CLOSE-WAIT",
    "LAST-ACK": "LAST-ACK", "LISTEN": "LISTEN", "CLOSING": "CLOSING", "UNCONNECTED": "UNCONN",
}  # fmt: skip
"""A row's state -> how ss spells it."""
EVERY = frozenset(STATES)
CONNECTED = EVERY - {"LISTEN", "CLOSED", "UNCONNECTED"}
_NAMES: dict[str, frozenset[str]] = {
    **{spelling.lower(): frozenset((state,)) for state, spelling in STATES.items()},
    "established": frozenset(("ESTABLISHED",)),
    "syn-received": frozenset(("SYN-RECEIVED",)),
    "listening": frozenset(("LISTEN",)),
    "unconnected": frozenset(("UNCONNECTED", "CLOSED")),
    "all": EVERY,
    "connected": CONNECTED,
    "synchronized": CONNECTED - {"SYN-SENT"},
    "bucket": frozenset(("TIME-WAIT", "SYN-RECEIVED")),
    "big": EVERY - {"TIME-WAIT", "SYN-RECEIVED"},
}
USUAL = CONNECTED - {"TIME-WAIT", "SYN-RECEIVED"}
"""What ss shows when nothing is said."""
LISTENING = frozenset(("LISTEN", "UNCONNECTED", "CLOSED"))

_COMPARE: dict[str, Callable[[int, int], bool]] = {
    "=": operator.eq, "==": operator.eq, "eq": operator.eq, "!=": operator.ne, "ne": operator.ne,
    ">=": operator.ge, "ge": operator.ge, "<=": operator.le, "le": operator.le,
    ">": operator.gt, "gt": operator.gt, "<": operator.lt, "lt": operator.lt,
}  # fmt: skip
_TOKEN = re.compile(r"\s*([()]|[&|]+|!(?!=)|!=|[<>=]=?|[^\s()=<>!&|]+)")
_ENDS = {"src": "local", "dst": "remote", "sport": "local", "dport": "remote"}
_DEEPEST = 64


def row_filter(words: Sequence[str], states: frozenset[str]) -> Test:
    """The test that `words` mean; `states` are wanted unless they say which. ValueError, in words, for nonsense."""
    text = " ".join(words)
    tokens = _TOKEN.findall(text)
    chosen: frozenset[str] | None = None
    while tokens and tokens[0] in ("state", "exclude"):
        if len(tokens) < 2 or tokens[1].lower() not in _NAMES:
            wrong = repr(tokens[1]) if len(tokens) > 1 else "nothing"
            raise ValueError(f"{tokens[0]} is followed by a state such as established or fin-wait-1, not by {wrong}")
        named = _NAMES[tokens[1].lower()]
        if tokens[0] == "state":
            chosen = named if chosen is None else chosen | named
        else:
            chosen = (EVERY if chosen is None else chosen) - named
        del tokens[:2]
    wanted = states if chosen is None else chosen
    test = _Parser(tokens).whole() if tokens else _everything
    return lambda row: row["state"] in wanted and test(row)


def _everything(row: Row) -> bool:
    return True


class _Parser:
    def __init__(self, tokens: list[str]) -> None:
        self._tokens = [*tokens, ""]
        self._at = 0
        self._depth = 0

    def _take(self, *texts: str) -> str:
        token = self._tokens[self._at]
        if token and token in texts:
            self._at += 1
            return token
        return ""

    def _word(self, what: str) -> str:
        token = self._tokens[self._at]
        if not token or token in "()&|!":
            raise ValueError(f"{what} is missing {f'before {token!r}' if token else 'at the end of the filter'}")
        self._at += 1
        return token

    def whole(self) -> Test:
        test = self._either()
        if self._tokens[self._at]:
            raise ValueError(f"{self._tokens[self._at]!r} closes nothing")
        return test

    def _either(self) -> Test:
        left = self._both()
        while self._take("or", "|", "||"):
            left = _either(left, self._both())
        return left

    def _both(self) -> Test:
        left = self._one()
        while self._take("and", "&", "&&") or self._tokens[self._at] not in ("", ")", "or", "|", "||"):
            left = _both(left, self._one())
        return left

    def _one(self) -> Test:
        self._depth += 1
        if self._depth > _DEEPEST:
            raise ValueError("the filter is nested too deeply")
        try:
            if self._take("not", "!"):
                inner = self._one()
                return lambda row: not inner(row)
            if self._take("("):
                inner = self._either()
                if not self._take(")"):
                    raise ValueError(") is missing at the end of the filter")
                return inner
            return self._condition()
        finally:
            self._depth -= 1

    def _condition(self) -> Test:
        name = self._word("a condition such as sport = :80")
        if name not in _ENDS:
            raise ValueError(f"{name!r} is no condition: src, dst, sport, dport are")
        end = _ENDS[name]
        compare = self._take(*_COMPARE)
        if name in ("sport", "dport"):
            if not compare:
                raise ValueError(f"{name} is compared with a port, as in {name} = :80")
            port = _port(self._word("a port").removeprefix(":"))
            return lambda row: _COMPARE[compare](row[end + "_port"], port)
        if compare not in ("", "=", "==", "eq", "!=", "ne"):
            raise ValueError(f"{name} is the same as an address or not: {compare} means nothing")
        test = _address(end, self._word("an address"))
        return (lambda row: not test(row)) if compare in ("!=", "ne") else test


def _either(one: Test, other: Test) -> Test:
    return lambda row: one(row) or other(row)


def _both(one: Test, other: Test) -> Test:
    return lambda row: one(row) and other(row)


def _port(text: str) -> int:
    if not text.isascii() or not text.isdigit() or int(text) > 65_535:
        raise ValueError(f"{text!r} is not a port from 0 to 65535")
    return int(text)


def _address(end: str, text: str) -> Test:
    """192.0.2.1, 192.0.2.0/24, 192.0.2.1:80, :80, *:80, [2001:db8::1]:80"""
    host, port = text, ""
    if text.startswith("["):
        host, _, rest = text[1:].partition("]")
        port = rest.removeprefix(":")
    elif text.count(":") == 1:
        host, _, port = text.partition(":")
    tests: list[Test] = []
    if port and port != "*":
        number = _port(port)
        tests.append(lambda row: bool(row[end + "_port"] == number))
    if host not in ("", "*"):
        try:
            network = ip_network(host, strict=False)
        except ValueError:
            raise ValueError(f"{host!r} is not an address or a network such as 192.0.2.0/24") from None
        tests.append(lambda row: ip_address(row[end + "_address"]) in network)
    return lambda row: all(test(row) for test in tests)
