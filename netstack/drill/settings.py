"""What a script's commands set: sysctls and route metrics read out of shell text, which is never handed to a shell."""

import re
from collections.abc import Callable
from dataclasses import dataclass, field

from netstack.drill.freebsd import translated
from netstack.drill.outcome import Unsupported
from netstack.drill.shell import Line, simple_commands
from netstack.units import MILLISECOND, SECOND, Micros

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
    "net.ipv4.tcp_fastopen": "0x70403",
    "net.ipv4.tcp_fastopen_key": "a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4",
}
"""What scripts take for given when they name a file of defaults that is not there."""

_PROC = re.compile(r"/?proc/sys/([\w./-]+)=(.*)", re.S)
_SETTING = re.compile(r"([\w./-]+)\s*=\s*(.*)", re.S)
_SHELL_FILE = re.compile(r"[\w./~-]+\.sh$")
_PYTHON_FILE = re.compile(r"[\w./~-]+\.py$")
_WRAPPERS = {"sudo", "bash", "sh", "source", ".", "python", "python2", "python3", "env", "command", "exec", "/bin/sh"}
_HARMLESS = {
    ":", "true", "set", "exit", "modprobe", "kldload", "kldunload", "sync", "echo", "printf", "rm", "mkdir", "touch",
    "cat", "ls", "cd", "pwd", "date", "uname", "id", "which", "test", "[", "[[", "export", "unset", "local", "return",
    "trap", "shift", "read", "logger", "dmesg", "wait", "ulimit", "umask", "ethtool", "ss", "netstat",
    "sockstat", "vmstat", "ndp", "siftr", "dtrace",
    "ifconfig", "rmmod", "insmod", "chmod", "kill", "killall", "pkill", "grep", "head", "tail", "lsmod", "arp",
}  # fmt: skip
"""Words that begin lines without effect on an end under test."""
FILE = "file."
_MAKES_FILE = {"dd": "", "fallocate": "-l", "truncate": "-s", "head": "-c"}
"""With the option that says how long the file is to be."""
_TABLE = {"/proc/net/tcp", "/proc/net/tcp6"}
DEEPEST = 8
"""Files that name files, shells in shells."""
_QUEUES = {"pfifo", "bfifo", "pfifo_fast", "noqueue", "fq_codel", "mq", "prio", "codel", "sfq"}
"""Queueing disciplines that let single packets through as they come."""
_METRICS = {
    "mtu", "advmss", "window", "initcwnd", "initrwnd", "rto_min", "quickack", "hoplimit", "reordering", "ssthresh",
    "cwnd", "rtt", "rttvar", "congctl", "features", "fastopen_no_cookie",
}  # fmt: skip
_TIMES = {"rto_min", "rtt", "rttvar"}
_LOCKED = {"mtu", "congctl"}
"""Metrics that may be locked."""

Read = Callable[[str], str | None]
"""The text of a file named relative to the script; None when there is none."""


@dataclass(slots=True)
class Settings:
    """What a command asks for.

    `values`: sysctls by name, metrics of the route to the remote end as `route.NAME` (times in microseconds), the
    device's MTU as `link.mtu` and its queueing discipline as `link.qdisc`, the lengths of files of zeros as
    `file.PATH`, in the order of their assignment.
    """

    values: dict[str, str] = field(default_factory=dict)
    ignored: list[str] = field(default_factory=list)
    """Lines that mean nothing here."""
    refused: str = ""
    """The first line that matters and that cannot be obeyed."""
    pause: Micros = 0
    """How long the command takes: its sleeps."""
    counted: list[list[str]] = field(default_factory=list)
    """Patterns that lines of nstat have to match, all of one list on one line."""
    sockets: list[list[str]] = field(default_factory=list)
    """The same of /proc/net/tcp."""
    recount: bool = False
    """nstat was called alone: what it shows later is counted from now."""


def read_settings(text: str, read: Read, usual: bool = True) -> Settings:
    """The settings that shell text makes, files that it names included.

    `usual`: a file of defaults that is not there means `USUAL`.
    """
    found = Settings()
    _lines(text, read, usual, 0, found)
    return found


def _lines(text: str, read: Read, usual: bool, depth: int, found: Settings) -> None:
    lines = simple_commands(text) if depth < DEEPEST else []
    for i, line in enumerate(lines):
        fed_by = lines[i - 1] if line.after == "|" and i else None
        if fed_by is None:
            _one_line(line, read, usual, depth, found)
        elif not _tee(fed_by, line, found):
            _filter(fed_by, line, found)


def _tee(source: Line, line: Line, found: Settings) -> bool:
    """`echo 1 | tee /proc/sys/NAME`"""
    names = [named for word in line.words if (named := re.fullmatch(r"/proc/sys/([\w./-]+)", word))]
    if "tee" not in line.words or not names or source.words[0] not in ("echo", "printf"):
        return False
    value = " ".join(word for word in source.words[1:] if not word.startswith("-"))
    found.values.update({named[1].replace("/", "."): value for named in names})
    return True


def _filter(source: Line, line: Line, found: Settings) -> None:
    """`nstat | grep NAME` and `grep NAME /proc/net/tcp | grep PORT` assert; other output cannot be known here."""
    patterns = [word for word in line.words[1:] if not word.startswith("-")]
    first = source.words[0] if source.after != "|" else ""
    if line.words[0] not in ("grep", "egrep") or len(patterns) != 1 or "-v" in line.words:
        asked = None
    elif first == "nstat" or (not first and found.counted):
        asked = found.counted
        found.recount = True
    else:
        asked = found.sockets if _TABLE.intersection(source.words) or (not first and found.sockets) else None
    if asked is not None:
        if first in ("nstat", "cat"):
            asked.append([])
        asked[-1].append(patterns[0])
    elif line.words[0] not in ("cat", "tee"):
        found.refused = found.refused or f"{source} | {line}"


def _one_line(line: Line, read: Read, usual: bool, depth: int, found: Settings) -> None:
    words = line.words
    if proc := re.fullmatch(r"/proc/sys/([\w./-]+)", line.output):
        found.values[proc[1].replace("/", ".")] = " ".join(word for word in words[1:] if word != "-n")
        return
    while words and (words[0] in _WRAPPERS or words[0].startswith("-")):
        words = words[1:]
    if not words:
        return
    if len(words) == 1 and " " in words[0]:
        _lines(words[0], read, usual, depth + 1, found)  # sh -c "..."
        return
    name = words[0].rpartition("/")[2]
    assigned = _assignments(name, words)
    if assigned or name == "sysctl":
        for setting, value in assigned.items():
            found.values.update(translated(setting, value))
    elif _SHELL_FILE.match(words[0]):
        _file(words[0], read, usual, depth, found)
    elif name == "sleep":
        found.pause += _duration(words[-1], SECOND)
    elif name == "ip":
        _ip(line, [word for word in words[1:] if not word.startswith("-")], found)
    elif name in _MAKES_FILE and (made := _zeros(name, words, line.output)):
        found.values[made[0]] = made[1]
    elif name == "nstat":
        found.recount = True
    elif name == "grep" and _TABLE.intersection(words):
        patterns = [word for word in words[1:] if not word.startswith("-") and word not in _TABLE]
        if len(patterns) != 1 or "-v" in words:
            found.refused = found.refused or str(line)
        found.sockets.append(patterns)
    elif name == "tc":
        _queue(line, words, found)
    elif name in ("iptables", "ip6tables", "nft"):
        found.refused = found.refused or str(line)
    elif name == "ifconfig" and "mtu" in words[:-1]:
        found.values["link.mtu"] = words[words.index("mtu") + 1]
    elif name not in _HARMLESS and not _PYTHON_FILE.match(words[0]):
        found.ignored.append(str(line))


def _assignments(name: str, words: list[str]) -> dict[str, str]:
    """`sysctl -q name=value ...`, `sysctl -w name value`, or a helper with /proc/sys/...=value arguments."""
    values = {}
    joined = " ".join(words[1:]) if len(words) == 4 and words[2] == "=" else ""
    for word in [joined] if joined else words[1:]:
        if setting := _PROC.match(word):
            values[setting[1].replace("/", ".")] = " ".join(setting[2].split())
        elif name == "sysctl" and (setting := _SETTING.match(word)):
            values[setting[1].strip().replace("/", ".")] = " ".join(setting[2].split())
    return values


def _file(name: str, read: Read, usual: bool, depth: int, found: Settings) -> None:
    text = read(name) if depth < 4 else ""
    if text is not None:
        _lines(text, read, usual, depth + 1, found)
    elif usual and not name.startswith("/tmp/"):  # there the helper leaves what restores the settings afterwards
        found.values.update(USUAL)


def _zeros(name: str, words: list[str], output: str) -> tuple[str, str] | None:
    """A file of zeros for sendfile: `dd if=/dev/zero of=FILE bs=1 count=5`, `fallocate -l 1M FILE`, `head -c 5 ...`."""
    if name == "dd":
        given = dict(word.split("=", 1) for word in words[1:] if "=" in word)
        if given.get("if") != "/dev/zero" or "of" not in given:
            return None
        return f"{FILE}{given['of']}", str(_size(given.get("bs", "512")) * _size(given.get("count", "1")))
    option = _MAKES_FILE[name]
    length = next((words[i + 1] for i, word in enumerate(words[:-1]) if word == option), "")
    path = output if name == "head" else words[-1]
    if not length or not path or (name == "head" and "/dev/zero" not in words):
        return None
    return f"{FILE}{path}", str(_size(length))


def _size(text: str) -> int:
    number = re.fullmatch(r"(\d+)([kKMG]?)(B?)", text)
    if number is None:
        raise Unsupported(f'the size "{text}"')
    unit = 1_000 if number[3] else 1_024
    times: int = unit ** " KMG".index(number[2].upper() or " ")
    return int(number[1]) * times


def _ip(line: Line, words: list[str], found: Settings) -> None:
    """`ip route change ... initcwnd 20`, `ip link set dev tun0 mtu 1400`."""
    what, does = words[0] if words else "", words[1] if len(words) > 1 else "show"
    if what in ("r", "ro", "rou", "rout", "route"):
        if does[:1] in ("s", "l", "g", "f"):  # show, list, get, flush: nothing is changed that shows
            return
        if does[:1] == "d":
            found.refused = found.refused or str(line)
            return
        _metrics(words[2:], found)
    elif what.startswith("l") and "mtu" in words[:-1]:
        found.values["link.mtu"] = words[words.index("mtu") + 1]
    elif what.startswith("l") and "down" in words:
        found.refused = found.refused or str(line)


def _metrics(words: list[str], found: Settings) -> None:
    for i, word in enumerate(words[:-1]):
        if word not in _METRICS:
            continue
        value = words[i + 1]
        if value == "lock" and word in _LOCKED and i + 2 < len(words):
            found.values[f"route.{word}_lock"] = "1"
            value = words[i + 2]
        found.values[f"route.{word}"] = str(_duration(value, MILLISECOND)) if word in _TIMES else value


def _duration(text: str, unit: Micros) -> Micros:
    """`200ms`, `1.5s`, or a bare number of `unit`."""
    number = re.fullmatch(r"(\d*\.?\d+)(s|secs?|ms|msecs?|us|usecs?)?", text)
    if number is None:
        raise Unsupported(f'the time "{text}"')
    units = {"s": SECOND, "m": MILLISECOND, "u": 1, "": unit}
    return int(float(number[1]) * units[(number[2] or "")[:1]])


def _queue(line: Line, words: list[str], found: Settings) -> None:
    """`tc qdisc replace dev tun0 root fq`"""
    if "qdisc" not in words or "show" in words or "del" in words:
        if "filter" in words or "class" in words:
            found.refused = found.refused or str(line)
        return
    kind = words[words.index("root") + 1 : words.index("root") + 2] if "root" in words else []
    if kind == ["fq"]:
        found.values["link.qdisc"] = "fq"
    elif not kind or kind[0] not in _QUEUES:
        found.refused = found.refused or str(line)
