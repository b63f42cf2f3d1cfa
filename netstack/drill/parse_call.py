"""System calls: `name(arguments) = result [ERRNO] [(text)]`, and the expressions in them."""

from netstack.drill.nodes import (
    Apply,
    Array,
    Call,
    Expression,
    Member,
    Number,
    ScriptError,
    Struct,
    Symbols,
    Text,
    Unspecified,
)
from netstack.drill.scan import Scanner

_NUMBER = r"-?\s*(?:0[xX][0-9a-fA-F]+|\d+)[uUlL]*(?!\w)"
_ATOM = r"(?:[A-Za-z_]\w*|0[xX][0-9a-fA-F]+|\d+)"
_ESCAPES = {"n": "\n", "r": "\r", "t": "\t", "0": "\0"}
_DEEPEST = 40
"""Nested expressions beyond this are garbage, and Python's own stack is finite."""


def parse_call(scanner: Scanner) -> Call:
    """The call at the cursor."""
    name = scanner.need(r"[A-Za-z_]\w*", "the name of a system call")
    scanner.need(r"\(", "( after the name of a system call")
    arguments = _items(scanner, r"\)", ") after the arguments", 0)
    scanner.need("=", "= and the result of the system call")
    result = _expression(scanner, 0)
    errno = scanner.take(r"E[A-Z0-9]+\b")
    note = _note(scanner)
    if errno is None and note is not None and note[:1] == "E" and note.isalnum() and note.isupper():
        errno = note  # = -1 (EAGAIN)
    return Call(name, arguments, result, errno, note)


def _note(scanner: Scanner) -> str | None:
    """Free text in round brackets, which may hold balanced ones."""
    start = scanner.skip()
    if not scanner.take(r"\("):
        return None
    depth = 1
    while depth:
        bracket = scanner.take(r"[^()]*[()]")
        if bracket is None:
            scanner.at = start
            raise scanner.error("expected ) after the remark on the result")
        depth += 1 if bracket.endswith("(") else -1
    return scanner.text[start + 1 : scanner.at - 1].strip()


def _items(scanner: Scanner, closing: str, what: str, depth: int) -> tuple[Expression, ...]:
    """Expressions separated by commas up to `closing`, which is consumed."""
    items: list[Expression] = []
    if scanner.take(closing):
        return ()
    while True:
        items.append(_expression(scanner, depth + 1))
        if not scanner.take(","):
            scanner.need(closing, f"a comma or {what}")
            return tuple(items)


def _expression(scanner: Scanner, depth: int) -> Expression:
    if depth > _DEEPEST:
        raise ScriptError(scanner.line(), "expressions are nested too deeply")
    if scanner.take(r"\.\.\."):
        return Unspecified()
    if scanner.take(r"\["):
        return Array(_items(scanner, r"\]", "]", depth))
    if scanner.take(r"\{"):
        return Struct(_members(scanner, depth))
    if scanner.peek('"'):
        text = _string(scanner)
        scanner.take(r"\.\.\.")  # "abc"...: a buffer that begins so
        return text
    if scanner.peek(rf"{_ATOM}\s*\|(?!\|)"):
        return _symbols(scanner)
    if number := scanner.take(_NUMBER):
        return _number(scanner, number)
    scanner.take("&(?=[A-Za-z_])")  # inet_pton(AF_INET, "192.0.2.1", &sin_addr)
    name = scanner.need(r"[A-Za-z_]\w*", "a value")
    if name == "sizeof" and (type_ := scanner.groups(r"\(\s*((?:struct\s+)?\w+)\s*\)")):
        return Apply(name, (Text(" ".join((type_[0] or "").split())),))
    if scanner.take(r"\("):
        return Apply(name, _items(scanner, r"\)", ")", depth))
    return Symbols((name,))


def _symbols(scanner: Scanner) -> Symbols:
    names = [scanner.need(_ATOM, "a name")]
    while scanner.take(r"\|"):
        names.append(scanner.need(_ATOM, "a name after |"))
    return Symbols(tuple(names))


def _members(scanner: Scanner, depth: int) -> tuple[Member, ...]:
    members: list[Member] = []
    if scanner.take(r"\}"):
        return ()
    while True:
        members.append(_member(scanner, depth))
        if not scanner.take(","):
            scanner.need(r"\}", "a comma or }")
            return tuple(members)


def _member(scanner: Scanner, depth: int) -> Member:
    start = scanner.skip()
    name = scanner.take(r"[A-Za-z_]\w*")
    if name is not None:
        index = None
        if scanner.take(r"\("):
            arguments = _items(scanner, r"\)", ")", depth)
            index = arguments[0] if arguments else None
        if scanner.take("="):
            return Member(name, index, _expression(scanner, depth + 1))
    scanner.at = start  # not "name =": a bare value
    value = _expression(scanner, depth + 1)
    match value:
        case Apply("inet_pton", (_, address, Symbols((target,)))):
            return Member(target, None, address)  # it writes into that member
    return Member("", None, value)


def _string(scanner: Scanner) -> Text:
    """One string; adjacent ones are one, as in C."""
    out = []
    while scanner.peek('"'):
        characters = iter(scanner.need(r'"(?:\\.|[^"\\])*"', "a closing quote")[1:-1])
        for character in characters:
            if character == "\\":
                character = next(characters)
                character = _ESCAPES.get(character, character)
            out.append(character)
    return Text("".join(out))


def _number(scanner: Scanner, text: str) -> Number:
    digits = "".join(text.split()).rstrip("uUlL")
    if len(digits) > 21:
        raise scanner.error("a number has at most 64 bits")
    return Number(int(digits, 16 if "x" in digits.lower() else 10), text)
