"""What happens to the text before it is parsed: options at the top, `#ifdef`, and symbols replaced by `--define`.

Lines keep their numbers: what is left out becomes blank.
"""

import re
from collections.abc import Mapping

from netstack.drill.nodes import ScriptError

_OPTION = re.compile(r'--([A-Za-z_][\w-]*)(?:=((?:"[^"\n]*"|`[^`]*`|[^\s"`])*))?')
_SKIP = re.compile(r"\s+|//[^\n]*|/\*.*?\*/|#(?!\s*(?:ifn?def|else|endif)\b)[^\n]*", re.S)
_DIRECTIVE = re.compile(r"\s*#\s*(ifdef|ifndef|else|endif)\b\s*(\w+)?")
_OPAQUE = re.compile(
    r'//[^\n]*|#[^\n]*|/\*(?:.*?\*/|.*)|"(?:\\.|[^"\\])*"|`[^`]*`|%\{(?:.*?\}%|.*)|[A-Za-z_]\w*|.', re.S
)
"""Pieces in which no symbol is replaced, then words, then anything."""


def line_of(text: str, at: int) -> int:
    """The line number, from 1, of offset `at`."""
    return text.count("\n", 0, at) + 1


def split_options(text: str) -> tuple[list[tuple[str, str]], int]:
    """The `--name=value` options at the top, and the offset of what follows them."""
    options: list[tuple[str, str]] = []
    at = 0
    while True:
        if skipped := _SKIP.match(text, at):
            at = skipped.end()
        elif option := _OPTION.match(text, at):
            options.append((option[1], option[2] or ""))
            at = option.end()
        elif text.startswith("--", at):
            raise ScriptError(line_of(text, at), "expected an option, --name or --name=value")
        else:
            return options, at


GIVEN = {
    "TFO_COOKIE": "3021b9d889017eeb",
    "TFO_COOKIE_ZERO": "b7c12350a90dc8f5",
    "CMSG_LEVEL_IP": "SOL_IP",
    "CMSG_TYPE_RECVERR": "IP_RECVERR",
}
"""What scripts expect their runner to define, for IPv4: the Fast Open cookies that Linux gives the usual remote address
(RFC 7413 4.1.2) with the usual key, a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4, and with zeros, and where errors are told."""


def definitions(options: list[tuple[str, str]]) -> dict[str, str]:
    """The symbols of every `--define=SYM=value` (value 1 when there is none)."""
    defined = {}
    for name, value in options:
        if name in ("define", "D"):
            if value[:1] == value[-1:] == '"' and "=" in value:
                value = value[1:-1]  # --define="SYM=value"
            symbol, _, meaning = value.partition("=")
            defined[symbol] = meaning or "1"  # as with a C compiler's -D
    return defined


def conditional(text: str, defined: Mapping[str, str]) -> str:
    """`text` with the branches of `#ifdef` that do not hold, and the directives, made blank lines."""
    if "#" not in text:
        return text
    kept: list[str] = []
    branches: list[bool] = []
    for number, line in enumerate(text.split("\n"), 1):
        directive = _DIRECTIVE.match(line)
        if directive is None:
            kept.append(line if all(branches) else "")
            continue
        kept.append("")
        word, symbol = directive[1], directive[2]
        if word in ("ifdef", "ifndef"):
            if symbol is None:
                raise ScriptError(number, f"#{word} needs a symbol")
            branches.append((symbol in defined) == (word == "ifdef"))
        elif not branches:
            raise ScriptError(number, f"#{word} without #ifdef")
        elif word == "else":
            branches[-1] = not branches[-1]
        else:
            branches.pop()
    if branches:
        raise ScriptError(len(kept), "#ifdef without #endif")
    return "\n".join(kept)


def substitute(text: str, defined: Mapping[str, str]) -> str:
    """`text` with every defined word replaced, outside strings, comments, commands and code."""
    if not defined:
        return text
    return _OPAQUE.sub(lambda piece: _meaning(piece[0], defined), text)


def _meaning(piece: str, defined: Mapping[str, str]) -> str:
    seen = set()
    while piece in defined and piece not in seen:  # a symbol may stand for another one
        seen.add(piece)
        piece = defined[piece]
    return piece
