"""Single keys from a terminal, by name."""

import contextlib
import os
import select
import termios
import tty
from collections.abc import Iterator

_SEQUENCES = {
    b"\x1b[A": "up", b"\x1b[B": "down", b"\x1bOA": "up", b"\x1bOB": "down",
    b"\x1b[5~": "pageup", b"\x1b[6~": "pagedown",
    b"\x1b[H": "home", b"\x1b[F": "end", b"\x1b[1~": "home", b"\x1b[4~": "end", b"\x1bOH": "home", b"\x1bOF": "end",
    b"\r": "enter", b"\n": "enter", b"\x1b": "escape", b"\x7f": "backspace", b"\x08": "backspace", b"\x03": "q",
}  # fmt: skip


@contextlib.contextmanager
def one_by_one(fd: int) -> Iterator[None]:
    """The terminal gives each key at once and shows none, for the length of a with block."""
    before = termios.tcgetattr(fd)
    tty.setcbreak(fd)
    try:
        yield
    finally:
        termios.tcsetattr(fd, termios.TCSADRAIN, before)


def read(fd: int) -> list[str]:
    """The keys that wait: "up", "enter", "escape" ..., or the character typed."""
    data = os.read(fd, 1024)
    if data.endswith(b"\x1b") and select.select([fd], [], [], 0.02)[0]:  # a sequence came in two pieces
        data += os.read(fd, 16)
    return names(data)


def names(data: bytes) -> list[str]:
    """What octets from a terminal mean; sequences that mean nothing here are left out."""
    found = []
    while data:
        for length in (4, 3, 1):
            name = _SEQUENCES.get(data[:length])
            if name is not None and not (name == "escape" and data[1:2] in (b"[", b"O")):
                found.append(name)
                data = data[length:]
                break
        else:
            skipped = _unknown(data)
            if not skipped:
                size = 1 if data[0] < 0x80 else 4 if data[0] >= 0xF0 else 3 if data[0] >= 0xE0 else 2
                text = data[:size].decode(errors="ignore")
                if text.isprintable():
                    found += [text] if text else []
                skipped = size
            data = data[skipped:]
    return found


def _unknown(data: bytes) -> int:
    """The length of an escape sequence that is none of ours (ECMA-48 5.4); 0 when it is not one."""
    if data[:2] == b"\x1bO":
        return 3
    if data[:2] != b"\x1b[":
        return 0
    for i, octet in enumerate(data[2:], 3):
        if 0x40 <= octet <= 0x7E:
            return i
    return len(data)
