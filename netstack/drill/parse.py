"""Text to `nodes.Script`: options, commands, times and the four kinds of events."""

import re

from netstack.drill.nodes import Anchor, Call, Code, Command, Event, Packet, Script, ScriptError, When
from netstack.drill.parse_call import parse_call
from netstack.drill.parse_packet import parse_packet
from netstack.drill.preprocess import GIVEN, conditional, definitions, split_options, substitute
from netstack.drill.scan import Scanner
from netstack.units import Micros

_TIME = r"\d+\.(?!\.\.)\d*|\.(?!\.)\d+|\d+"
"""Seconds. `0...0.1` is 0, then `...`, then 0.1."""


def parse(text: str, name: str = "script", defined: dict[str, str] | None = None) -> Script:
    """The script in `text`; `name` is for messages, `defined` adds to its own --define. Raises ScriptError."""
    text = text.removeprefix("\ufeff")
    options, _ = split_options(text)
    symbols = {**definitions(options), **(defined or {})}
    text = conditional(text, symbols)
    options, at = split_options(text)
    symbols = {**definitions(options), **symbols}
    scanner = Scanner(text[:at] + substitute(text[at:], {**GIVEN, **symbols}), at)
    init = _command(scanner)
    events: list[Event] = []
    cleanup = None
    while not scanner.done():
        if cleanup := _command(scanner):
            if not scanner.done():
                raise scanner.error("nothing may follow the cleanup command")
            break
        events.append(_event(scanner))
    _check_times(events)
    return Script(name, tuple(options), init, tuple(events), cleanup)


def _command(scanner: Scanner) -> Command | None:
    """One command in back quotes, or several in a row taken as one."""
    line = scanner.line()
    texts = []
    while scanner.peek("`"):
        texts.append(scanner.need(r"`[^`]*`", "a closing back quote")[1:-1])
    return Command("\n".join(texts), line) if texts else None


def _event(scanner: Scanner) -> Event:
    line, start = scanner.line(), scanner.at
    when = _when(scanner)
    action = _action(scanner)
    timed_by_range = when.anchor is Anchor.ANY or when.until is not None
    if timed_by_range and not (isinstance(action, Packet) and not action.inbound):
        raise ScriptError(line, "only an outbound packet may have a range of times or *")
    if when.returns is not None and not isinstance(action, Call):
        raise ScriptError(line, "only a system call may have a time of return (0...1)")
    return Event(line, _squeezed(scanner.text[start : scanner.at]), when, action)


def _action(scanner: Scanner) -> Packet | Call | Code | Command:
    if scanner.peek(r"[<>]"):
        return parse_packet(scanner)
    if scanner.peek("`"):
        line = scanner.line()
        return Command(scanner.need(r"`[^`]*`", "a closing back quote")[1:-1], line)
    if scanner.peek(r"%\{"):
        return Code(scanner.need(r"%\{.*?\}%", "}% at the end of the code")[2:-2])
    if scanner.peek(r"[A-Za-z_]\w*\s*\("):
        return parse_call(scanner)
    raise scanner.error("expected a packet, a system call, a command or code after the time")


def _when(scanner: Scanner) -> When:
    if scanner.take(r"\*"):
        return When(Anchor.ANY)
    anchor = Anchor.PREVIOUS if scanner.take(r"\+") else Anchor.START
    at = _micros(scanner)
    until = returns = None
    if scanner.take("~"):
        if scanner.take(r"\+") is None and anchor is Anchor.PREVIOUS:
            raise scanner.error("expected + before the end of a relative range")
        until = _micros(scanner)
        if until < at:
            raise scanner.error("the end of a range of times is before its beginning")
    elif scanner.take(r"\.\.\."):
        scanner.take(r"\+")
        returns = _micros(scanner)
        if returns < at:
            raise scanner.error("a call cannot return before it starts")
    return When(anchor, at, until, returns)


def _micros(scanner: Scanner) -> Micros:
    seconds = scanner.need(_TIME, "a time")
    whole, _, part = seconds.partition(".")
    if len(whole) > 9:
        raise scanner.error("a time is less than 1000000000 s")
    return int(whole or "0") * 1_000_000 + int(part[:6].ljust(6, "0"))


def _check_times(events: list[Event]) -> None:
    """Absolute times may not go back. Where relative ones lie between, only the run can tell."""
    latest = 0
    for event in events:
        if event.when.anchor is Anchor.START:
            if event.when.at < latest:
                raise ScriptError(event.line, f"time goes back: {event.when.at / 1e6:g} s after {latest / 1e6:g} s")
            latest = event.when.at


def _squeezed(text: str) -> str:
    return re.sub(r"\s+", " ", re.sub(r"//[^\n]*|/\*.*?\*/|#[^\n]*", " ", text, flags=re.S)).strip()
