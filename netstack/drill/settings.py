"""What a script's commands set: sysctls read out of shell text, which is never handed to a shell."""

import re
import shlex
from collections.abc import Callable
from dataclasses import dataclass, field

USUAL = {
    "net.ipv4.tcp_rmem": "4096 540000 15728640",
    "net.ipv4.tcp_wmem": "4096 262144 4194304",
    "net.ipv4.tcp_timestamps": "1",
    "net.ipv4.tcp_sack": "1",
    "net.ipv4.tcp_dsack": "1",
    "net.ipv4.tcp_ecn": "0",
    "net.ipv4.tcp_syn_retries": "5",
    "net.ipv4.tcp_synack_retries": "5",
    "net.ipv4.tcp_frto": "2",
    "net.ipv4.tcp_reordering": "3",
    "net.ipv4.tcp_congestion_control": "cubic",
    "net.ipv4.tcp_slow_start_after_idle": "0",
    "net.ipv4.tcp_early_retrans": "3",
    "net.ipv4.tcp_recovery": "1",
    "net.ipv4.tcp_tso_win_divisor": "3",
    "net.ipv4.tcp_syncookies": "1",
}
"""What scripts take for given when they name a file of defaults that is not there."""

_PROC = re.compile(r"/proc/sys/([\w./-]+)=(.*)", re.S)
_ECHO = re.compile(r"""echo\s+(?:-n\s+)?["']?([^"'>]*?)["']?\s*>\s*/proc/sys/([\w./-]+)\s*$""")
_SETTING = re.compile(r"(net[\w./-]*)\s*=\s*(.*)", re.S)
_SHELL_FILE = re.compile(r"[\w./-]+\.sh$")
_PIECE = re.compile(r"""(?:\\.|[^;&\n"']|"[^"]*"|'[^']*'|(?<!&)&(?!&)|["'])+""")
_HARMLESS = {"", ":", "true", "set", "exit", "nstat", "modprobe", "kldload", "sleep", "sync"}
"""Words that begin lines without effect on an end under test."""

Read = Callable[[str], str | None]
"""The text of a file named relative to the script; None when there is none."""


@dataclass(slots=True)
class Settings:
    """Sysctls in the order of their assignment, and the lines that were no such thing."""

    values: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)


def read_settings(text: str, read: Read, depth: int = 0) -> Settings:
    """The settings that shell text makes, files that it names included."""
    found = Settings()
    for line in _lines(text):
        _one_line(line, read, depth, found)
    return found


def _lines(text: str) -> list[str]:
    """Commands, one each: split at newlines, `;` and `&&` outside quotes, continuation lines joined."""
    pieces = _PIECE.findall(re.sub(r"#[^\n]*", "", text.replace("\\\n", " ")))
    return [piece.strip() for piece in pieces if piece.strip()]


def _one_line(line: str, read: Read, depth: int, found: Settings) -> None:
    if echo := _ECHO.match(line):
        found.values[echo[2].replace("/", ".")] = echo[1].strip()
        return
    try:
        words = shlex.split(line, comments=True)
    except ValueError:
        found.ignored.append(line)
        return
    while words and words[0] in ("sudo", "bash", "sh", "source", ".", "python", "python3"):
        words = words[1:]
    assigned = _assignments(words)
    if assigned:
        found.values.update(assigned)
    elif words and _SHELL_FILE.match(words[0]) and depth < 4:
        _file(words[0], read, depth, found)
    elif words and words[0] not in _HARMLESS and words[:2] != ["ip", "tcp_metrics"]:
        found.ignored.append(line)


def _assignments(words: list[str]) -> dict[str, str]:
    """`sysctl -q name=value ...`, `sysctl -w name value`, or a helper with /proc/sys/...=value arguments."""
    values = {}
    joined = " ".join(words[1:]) if len(words) == 4 and words[2] == "=" else ""
    for word in [joined] if joined else words[1:]:
        if setting := _PROC.match(word):
            values[setting[1].replace("/", ".")] = " ".join(setting[2].split())
        elif words[0].endswith("sysctl") and (setting := _SETTING.match(word)):
            values[setting[1].strip().replace("/", ".")] = " ".join(setting[2].split())
    return values


def _file(name: str, read: Read, depth: int, found: Settings) -> None:
    text = read(name)
    if text is None:
        found.values.update(USUAL)
        return
    inner = read_settings(text, read, depth + 1)
    found.values.update(inner.values)
    found.ignored += inner.ignored
