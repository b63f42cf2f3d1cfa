"""A cursor over the text of a script: white space and comments skipped, one-line errors with their place."""

import re
from bisect import bisect_left
from functools import cache

from netstack.drill.nodes import ScriptError
from netstack.drill.preprocess import line_of

_SPACE = re.compile(r"(?:\s+|//[^\n]*|/\*.*?\*/|#[^\n]*)+", re.S)


@cache
def _compiled(pattern: str) -> re.Pattern[str]:
    return re.compile(pattern, re.S)


class Scanner:
    """Reads `text` from `at` on. Every `take` and `peek` first skips white space and comments."""

    __slots__ = ("at", "ends", "text")

    def __init__(self, text: str, at: int = 0) -> None:
        self.text = text
        self.at = at
        self.ends = [found.start() for found in re.finditer("\n", text)]

    def skip(self) -> int:
        """Over white space and comments; returns the new place."""
        space = _SPACE.match(self.text, self.at)
        if space:
            self.at = space.end()
        return self.at

    def done(self) -> bool:
        """Nothing is left."""
        return self.skip() >= len(self.text)

    def peek(self, pattern: str) -> str | None:
        """What matches the regular expression here, not consumed; None when nothing does."""
        found = _compiled(pattern).match(self.text, self.skip())
        return found[0] if found else None

    def take(self, pattern: str) -> str | None:
        """What matches the regular expression here, consumed; None when nothing does."""
        found = _compiled(pattern).match(self.text, self.skip())
        if found is None:
            return None
        self.at = found.end()
        return found[0]

    def groups(self, pattern: str) -> tuple[str | None, ...] | None:
        """Like `take`, for the groups of the expression."""
        found = _compiled(pattern).match(self.text, self.skip())
        if found is None:
            return None
        self.at = found.end()
        return found.groups()

    def need(self, pattern: str, what: str) -> str:
        """Like `take`; a script error that names `what` when nothing matches."""
        taken = self.take(pattern)
        if taken is None:
            raise self.error(f"expected {what}")
        return taken

    def number(self, what: str = "a number", largest: int = 0xFFFF_FFFF) -> int:
        """A decimal or hexadecimal number up to `largest`."""
        at = self.skip()
        value = int(self.need(r"0[xX][0-9a-fA-F]+|\d+", what)[:40], 0 if self._is_hex(at) else 10)
        if value > largest:
            self.at = at
            raise self.error(f"{what} is at most {largest}")
        return value

    def _is_hex(self, at: int) -> bool:
        return self.text[at : at + 2].lower() == "0x"

    def line(self) -> int:
        """The line of the next thing to be read."""
        return bisect_left(self.ends, self.skip()) + 1

    def error(self, message: str) -> ScriptError:
        """A script error here: what was expected, and what is there instead."""
        rest = self.text[self.skip() :].split("\n", 1)[0].strip()
        if rest.startswith("/*"):
            return ScriptError(line_of(self.text, self.at), "a comment that is not closed: /* without */")
        shown = f', not "{rest[:40]}"' if rest else ", not the end of the script" if self.done() else ""
        return ScriptError(line_of(self.text, min(self.at, len(self.text))), message + shown)
