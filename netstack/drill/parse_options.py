"""TCP options as scripts write them: `<mss 1460,nop,wscale 7>`."""

import re

from netstack.drill.nodes import (
    AccEcn,
    Eol,
    FastOpen,
    Md5,
    Mss,
    Nop,
    RawOptions,
    Sack,
    SackPermitted,
    TcpOption,
    Timestamps,
    WindowScale,
)
from netstack.drill.outcome import Unsupported
from netstack.drill.scan import Scanner

_NOT_SPOKEN = re.compile(r"(?:exp-|mp|dss|ao\b|tcp-?ao|echo|cookie|unknown)", re.I)
"""Options that other tongues of the language name: Multipath TCP, TCP-AO, experiments."""
_HEX = r"(?:[0-9a-fA-F]{2}\s*)+(?=[,>])"


def parse_options(scanner: Scanner) -> tuple[TcpOption, ...] | None:
    """The options at the cursor, which is on `<`; None for `<...>`, which are not compared."""
    scanner.need("<", "<")
    if scanner.take(r"\.\.\."):
        scanner.need(">", "> after <...")
        return None
    options: list[TcpOption] = []
    if scanner.take(">"):
        return ()
    while True:
        options.append(_option(scanner))
        if not scanner.take(","):
            scanner.need(">", "a comma or > after a TCP option")
            return tuple(options)


def _option(scanner: Scanner) -> TcpOption:
    word = scanner.take(r"[A-Za-z][\w-]*(?=\s*[,>]|\s)|0x(?=[0-9a-fA-F])") or ""
    match word.lower():
        case "nop":
            return Nop()
        case "eol":
            return Eol()
        case "mss":
            return Mss(scanner.number("an MSS", 65_535))
        case "wscale":
            return WindowScale(scanner.number("a window scale", 255))
        case "sackok":
            return SackPermitted()
        case "sack":
            return _sack(scanner)
        case "ts":
            return _timestamps(scanner)
        case "md5":
            return Md5(None if scanner.take(r"valid\b") else _hex(scanner))
        case "fo" | "foexp" | "exp-fo":
            return FastOpen(_hex(scanner), word.lower() != "fo")
        case "ecn":
            return _acc_ecn(scanner)
        case _:
            scanner.at -= len(word) if word != "0x" else 0
            octets = _hex(scanner)
            if not octets and _NOT_SPOKEN.match(word):
                raise Unsupported(f"the TCP option {word}")
            if not octets:
                raise scanner.error("expected a TCP option")
            return RawOptions(octets)


def _hex(scanner: Scanner) -> bytes:
    return bytes.fromhex(scanner.take(_HEX) or "")


def _sack(scanner: Scanner) -> Sack:
    blocks = []
    while scanner.peek(r"\d"):
        left = scanner.number("the left edge of a SACK block")
        scanner.need(":", ": between the edges of a SACK block")
        blocks.append((left, scanner.number("the right edge of a SACK block")))
    if not blocks:
        raise scanner.error("expected a SACK block, left:right")
    return Sack(tuple(blocks))


def _timestamps(scanner: Scanner) -> Timestamps:
    values: list[int | None] = []
    raws = []
    for word in ("val", "ecr"):
        scanner.need(rf"{word}\b", f"{word} and a timestamp")
        values.append(None if scanner.take(r"\.\.\.") else scanner.number("a timestamp"))
        raws.append(scanner.take("!") is not None)
    return Timestamps(values[0], values[1], raws[0], raws[1])


def _acc_ecn(scanner: Scanner) -> AccEcn:
    counters = []
    while name := scanner.take(r"(?:e0b|ceb|e1b)\b"):
        counters.append((name, scanner.number("a counter of octets", 0xFF_FFFF)))
    return AccEcn(tuple(counters))
