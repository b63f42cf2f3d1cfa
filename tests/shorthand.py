"""The shorthand for segments, both ways: `P. 1:101(100) ack 1 win 502 <nop,nop,TS val 10 ecr 5>`.

Numbers are relative: sequence numbers to the sender's initial one, acknowledgments and SACK blocks to the receiver's,
timestamps to where each clock stood at the start.
"""

import re
from dataclasses import dataclass, field
from typing import NamedTuple

from netstack.seq import MASK
from netstack.wire import tcp, tcp_options
from netstack.wire.pretty import flags as flag_letters
from netstack.wire.pretty import parse_flags

_TEXT = re.compile(
    r"(?P<flags>[FSRPUEWA.-]+) (?P<seq>-?\d+):(?P<end>-?\d+)\((?P<length>\d+)\)(?: ack (?P<ack>-?\d+))?"
    r"(?: win (?P<win>\d+))?(?: urg (?P<urg>\d+))?(?: <(?P<options>[^>]*)>)?"
)


@dataclass
class Bases:
    """What is subtracted from one direction's numbers to make them relative."""

    seq: int = 0
    ack: int = 0
    ts_val: int = 0
    ts_ecr: int = 0


class Said(NamedTuple):
    """A line of shorthand, read. None: the line does not say."""

    flags: int
    seq: int
    length: int
    ack: int | None
    win: int | None
    urg: int | None
    options: list[str] | None


@dataclass
class Seen:
    """A segment off the wire in relative numbers."""

    flags: int
    seq: int
    ack: int
    win: int
    urg: int
    payload: bytes
    options: list[str] = field(default_factory=list)
    ts: tuple[int, int] | None = None
    """TSval and TSecr as on the wire."""

    def __str__(self) -> str:
        text = f"{flag_letters(self.flags)} {self.seq}:{self.seq + len(self.payload)}({len(self.payload)})"
        if self.flags & tcp.ACK:
            text += f" ack {self.ack}"
        text += f" win {self.win}"
        if self.urg:
            text += f" urg {self.urg}"
        return f"{text} <{','.join(self.options)}>" if self.options else text


def read(text: str) -> Said:
    """ValueError when `text` is no shorthand."""
    match = _TEXT.fullmatch(text)
    if match is None:
        raise ValueError(f"{text!r} is no segment in shorthand")
    seq, end, length = (int(match[name]) for name in ("seq", "end", "length"))
    if end - seq != length:
        raise ValueError(f"{text!r}: {seq}:{end} are not {length} octets")
    said = match["options"]
    options = None if said is None else [part.strip() for part in said.split(",") if part.strip()]
    ack, win, urg = (None if match[name] is None else int(match[name]) for name in ("ack", "win", "urg"))
    return Said(parse_flags(match["flags"]), seq, length, ack, win, urg, options)


def signed(number: int) -> int:
    """A 32-bit difference as the small number that it is, perhaps negative."""
    return ((number + 0x8000_0000) & MASK) - 0x8000_0000


def show(segment: bytes, bases: Bases) -> Seen:
    """A whole segment off the wire; AssertionError when it is malformed."""
    parsed = tcp.parse(segment)
    assert parsed is not None, segment.hex()
    # A RST that answers a segment without ACK starts at 0 whatever anybody's numbers are (RFC 9293 3.10.7.1).
    seq = 0 if parsed.flags & tcp.RST and not parsed.seq else signed(parsed.seq - bases.seq)
    ack = signed(parsed.ack - bases.ack) if parsed.flags & tcp.ACK else 0
    seen = Seen(parsed.flags, seq, ack, parsed.window, parsed.urgent, parsed.payload)
    for kind, value in tcp_options.walk(parsed.options):
        numbers = [int.from_bytes(value[i : i + 4], "big") for i in range(0, len(value) & ~3, 4)]
        if kind == tcp_options.NOP:
            seen.options.append("nop")
        elif kind == tcp_options.MSS:
            seen.options.append(f"mss {int.from_bytes(value, 'big')}")
        elif kind == tcp_options.WSCALE:
            seen.options.append(f"wscale {value[0]}")
        elif kind == tcp_options.SACK_PERMITTED:
            seen.options.append("sackOK")
        elif kind == tcp_options.TIMESTAMP:
            val, ecr = seen.ts = numbers[0], numbers[1]
            shown = signed(ecr - bases.ts_ecr) if ecr else 0
            seen.options.append(f"TS val {signed(val - bases.ts_val)} ecr {shown}")
        elif kind == tcp_options.SACK:
            edges = [signed(number - bases.ack) for number in numbers]
            blocks = [f"{edges[i]}:{edges[i + 1]}" for i in range(0, len(edges), 2)]
            seen.options.append("sack " + " ".join(blocks))
        else:
            seen.options.append(f"kind {kind} {value.hex()}")
    return seen


def write_options(options: list[str], bases: Bases, stamps: tuple[int, int] | None) -> bytes:
    """The octets of `options`. `TS` without numbers takes `stamps` (wire values); a SACK alone is aligned as usual."""
    parts: list[tuple[int, bytes]] = []
    nop = (tcp_options.NOP, b"")
    aligned = not any(option.split()[0] in ("nop", "mss", "eol") for option in options)
    for option in options:
        name, *values = option.split()
        if name == "nop":
            parts.append(nop)
        elif name == "eol":
            parts.append((tcp_options.EOL, b""))
        elif name == "mss":
            parts.append((tcp_options.MSS, int(values[0]).to_bytes(2, "big")))
        elif name == "wscale":
            parts.append((tcp_options.WSCALE, bytes([int(values[0])])))
        elif name == "sackOK":
            parts.append((tcp_options.SACK_PERMITTED, b""))
        elif name == "TS":
            if values:
                stamps = (int(values[1]) + bases.ts_val) & MASK, (int(values[3]) + bases.ts_ecr) & MASK
            assert stamps is not None
            octets = stamps[0].to_bytes(4, "big") + stamps[1].to_bytes(4, "big")
            parts += [nop, nop] * aligned + [(tcp_options.TIMESTAMP, octets)]
        elif name == "sack":
            edges = [(int(edge) + bases.ack) & MASK for block in values for edge in block.split(":")]
            octets = b"".join(edge.to_bytes(4, "big") for edge in edges)
            parts += [nop, nop] * aligned + [(tcp_options.SACK, octets)]
        else:
            raise ValueError(f"no TCP option {option!r}")
    return tcp_options.build(parts)


def differences(said: Said, seen: Seen) -> list[str]:
    """How what left differs from what was to leave; empty when it does not."""
    found = []
    for name in ("flags", "seq", "ack", "win", "urg"):
        wanted, got = getattr(said, name), getattr(seen, name)
        if name == "ack" and wanted is None:
            wanted = 0
        if name == "urg" and wanted is None:
            wanted = 0
        if wanted is not None and wanted != got:
            shown = (flag_letters(wanted), flag_letters(got)) if name == "flags" else (wanted, got)
            found.append(f"{name} is {shown[1]}, not {shown[0]}")
    if said.length != len(seen.payload):
        found.append(f"length is {len(seen.payload)}, not {said.length}")
    if not _options_fit(said.options, seen.options):
        found.append(f"options are <{','.join(seen.options)}>")
    return found


def _options_fit(said: list[str] | None, seen: list[str]) -> bool:
    """No list: anything but SACK blocks. A list of TS and SACK only: without padding, and TS only where listed."""
    if said is None:
        return not any(option.startswith("sack ") for option in seen)
    if said and all(option.split()[0] in ("TS", "sack") for option in said):
        seen = [option for option in seen if option != "nop"]
        if not any(option.startswith("TS") for option in said):
            seen = [option for option in seen if not option.startswith("TS")]
    if len(said) != len(seen):
        return False
    return all(want == got or (want == "TS" and got.startswith("TS")) for want, got in zip(said, seen, strict=True))
