"""The words of a filter expression: keywords, numbers, addresses, operators."""

import re
from typing import NamedTuple


class ExpressionError(ValueError):
    """An expression that means nothing; the message says where and why."""


class Token(NamedTuple):
    """`kind` is "word", "number", "address" (of IP), "mac", "operator" or "end"."""

    kind: str
    text: str
    at: int


_TOKEN = re.compile(
    r"""\s*(?:
    (?P<mac>(?:[0-9a-f]{1,2}:){5}[0-9a-f]{1,2}(?![\w:]))
  | (?P<address>\d+(?:\.\d+){1,3} | (?:[0-9a-f]{1,4})?(?::[0-9a-f]{0,4}){2,7}(?:\d+(?:\.\d+){3})?)
  | (?P<number>0x[0-9a-f]+ | \d+)
  | (?P<word>\\?[a-z_]\w*(?:-[a-z_]\w*|\.\w+)*)
  | (?P<operator>&& | \|\| | != | == | <= | >= | << | >> | [!=<>&|^+\-*/%()\[\]:])
    )""",
    re.IGNORECASE | re.VERBOSE,
)
_SPELLINGS = {"and": "&&", "or": "||", "not": "!", "==": "="}


def scan(text: str) -> list[Token]:
    """The tokens of `text`, the last one of kind "end"; words in lower case, `and or not` as `&& || !`."""
    tokens = []
    at, end = 0, len(text.rstrip())
    while at < end:
        found = _TOKEN.match(text, at)
        if found is None:
            raise ExpressionError(f"{text[at:].strip()!r} begins with nothing that a filter may have there")
        kind = found.lastgroup or ""
        word = found[kind].lower()
        if word in _SPELLINGS:
            kind, word = "operator", _SPELLINGS[word]
        tokens.append(Token(kind, word.removeprefix("\\"), found.start(kind)))
        at = found.end()
    return [*tokens, Token("end", "", end)]


class Tokens:
    """The tokens of an expression, taken one after the other."""

    def __init__(self, text: str) -> None:
        self._tokens = scan(text)
        self._at = 0

    @property
    def next(self) -> Token:
        """The one that comes next; of kind "end" after the last."""
        return self._tokens[self._at]

    def ahead(self, count: int) -> list[str]:
        """The texts of the next `count`."""
        return [token.text for token in self._tokens[self._at : self._at + count]]

    def skip(self, count: int = 1) -> None:
        """They are dealt with."""
        self._at += count

    def take(self, *texts: str) -> str:
        """The next token's text if it is one of these operators or words; else ''."""
        token = self.next
        if token.text not in texts or token.kind not in ("operator", "word"):
            return ""
        self.skip()
        return token.text

    def need(self, text: str) -> None:
        """The next token, which has to be this one."""
        if not self.take(text):
            raise self.wrong(f"{text} is missing")

    def wrong(self, what: str) -> ExpressionError:
        """An error that says where."""
        where = f"before {self.next.text!r}" if self.next.kind != "end" else "at the end of the filter"
        return ExpressionError(f"{what} {where}")
