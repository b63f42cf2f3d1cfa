"""Shell text to simple commands, for reading only: nothing is ever handed to a shell.

Variables that the text itself sets and arithmetic are filled in; what only a shell could know is left out.
"""

import ast
import operator
import re
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field

_ASSIGNMENT = re.compile(r"([A-Za-z_]\w*)=(.*)", re.S)
_VARIABLE = re.compile(r"\$(?:\{(\w+)(?::?-([^}]*))?\}|(\w+))")
_OPERATOR = re.compile(r"\d?>>?&?|\d?<<?&?|&>|\|\||&&|[;&|()\n]")
_KEYWORDS = {"if", "then", "else", "elif", "fi", "for", "while", "until", "do", "done", "case", "esac", "{", "}", "!"}
_OPERATORS: dict[type[ast.operator], Callable[[int, int], int]] = {
    ast.Add: operator.add,
    ast.Sub: operator.sub,
    ast.Mult: operator.mul,
    ast.Div: operator.floordiv,
    ast.Mod: operator.mod,
    ast.LShift: operator.lshift,
    ast.RShift: operator.rshift,
    ast.BitOr: operator.or_,
    ast.BitAnd: operator.and_,
}
_LARGEST_SHIFT = 63


@dataclass(slots=True)
class Line:
    """One simple command: its words, the file that takes its output, and the operator before it (`|`, `&&`, ...)."""

    words: list[str] = field(default_factory=list)
    output: str = ""
    after: str = ""

    def __str__(self) -> str:
        return " ".join(self.words)


def simple_commands(text: str) -> list[Line]:
    """The commands in `text`, in order; those after `else` are left out, loops are read once."""
    found: list[Line] = []
    variables: dict[str, str] = {}
    skipping = False
    for line in _lines(text, variables):
        words = line.words
        while words and words[0] in _KEYWORDS:
            skipping = (skipping or words[0] == "else") and words[0] != "fi"
            words = [] if words[0] in ("for", "case") else words[1:]
        while words and (assigned := _ASSIGNMENT.fullmatch(words[0])):
            variables[assigned[1]] = assigned[2]
            words = words[1:]
        line.words = words
        if words and not skipping:
            found.append(line)
    return found


def _lines(text: str, variables: dict[str, str]) -> Iterator[Line]:
    line, redirected = Line(), ""
    for token, quoted in _tokens(text, variables):
        if quoted or not _OPERATOR.fullmatch(token):
            if not redirected:
                line.words.append(token)
            elif ">" in redirected and token != "/dev/null" and not redirected.endswith("&"):
                line.output = token
            redirected = ""
        elif "<" in token or ">" in token:
            redirected = token
        else:
            yield line
            line, redirected = Line(after=token), ""
    yield line


def _tokens(text: str, variables: dict[str, str]) -> Iterator[tuple[str, bool]]:
    """Words, with whether a quote was in them, and operators. Later variables see the assignments of earlier lines."""
    at, word, begun, quoted = 0, "", False, False
    while at < len(text):
        letter = text[at]
        sign = None if begun and letter.isdigit() else _OPERATOR.match(text, at)
        if letter in " \t\r" or sign or (letter == "#" and not begun) or text.startswith("\\\n", at):
            if begun:
                yield word, quoted
                word, begun, quoted = "", False, False
            if sign:
                yield sign[0], False
                at = sign.end()
            elif letter == "#":
                at = (text + "\n").index("\n", at)
            else:
                at += 2 if letter == "\\" else 1
            continue
        begun = True
        piece, at = _piece(text, at, variables)
        quoted |= letter in "'\"\\"
        word += piece
    if begun:
        yield word, quoted


def _piece(text: str, at: int, variables: dict[str, str]) -> tuple[str, int]:
    """What stands at `at` inside a word, filled in, and where it ends."""
    letter = text[at]
    if letter == "'":
        end = text.find("'", at + 1)
        end = len(text) if end < 0 else end
        return text[at + 1 : end], end + 1
    if letter == '"':
        out, at = "", at + 1
        while at < len(text) and text[at] != '"':
            part, at = _piece(text, at, variables) if text[at] in "$\\" else (text[at], at + 1)
            out += part
        return out, at + 1
    if letter == "\\":
        return text[at + 1 : at + 2], at + 2
    if text.startswith("$((", at):
        end = _closing(text, at + 1)
        return str(_computed(text[at + 3 : end - 2], variables)), end
    if text.startswith("$(", at):
        return "", _closing(text, at + 1)
    if letter == "$" and (found := _VARIABLE.match(text, at)):
        return variables.get(found[1] or found[3], found[2] or ""), found.end()
    return letter, at + 1


def _closing(text: str, at: int) -> int:
    """Behind the bracket that closes the one at `at`; the end of the text when none does."""
    depth = 0
    for i in range(at, len(text)):
        depth += (text[i] == "(") - (text[i] == ")")
        if not depth:
            return i + 1
    return len(text)


def _computed(text: str, variables: dict[str, str]) -> int:
    """The value of shell arithmetic; 0 for what is none."""
    text = _VARIABLE.sub(lambda found: variables.get(found[1] or found[3], "0"), text)
    try:
        return _value(ast.parse(text.strip(), mode="eval").body, variables)
    except (SyntaxError, ValueError, ZeroDivisionError, RecursionError):
        return 0


def _value(node: ast.expr, variables: dict[str, str]) -> int:
    match node:
        case ast.Constant(int(value)):
            return value
        case ast.Name(name):
            return int(variables.get(name, "0"), 0)
        case ast.UnaryOp(ast.USub(), operand):
            return -_value(operand, variables)
        case ast.BinOp(left, sign, right) if type(sign) in _OPERATORS:
            one, two = _value(left, variables), _value(right, variables)
            if isinstance(sign, ast.LShift) and not 0 <= two <= _LARGEST_SHIFT:
                raise ValueError(two)
            return _OPERATORS[type(sign)](one, two)
    raise ValueError(ast.dump(node))
