"""Nothing that a script states goes unchecked: whichever token of an expectation is altered, it no longer passes.

Each script of the collection is run again with one thing wrong, drawn at random but always the same ones. All 18,000:
`MUTANTS=9999 pytest tests/drill/test_mutants.py` (half a minute).
"""

import os
import random
import re
from collections.abc import Callable, Iterator
from itertools import islice
from pathlib import Path

import pytest

from netstack.drill.outcome import PASSED
from netstack.drill.runner import Wishes, run_text
from netstack.drill.virtual.host import StackHost

FOLDER = Path(__file__).parent
SCRIPTS = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.pkt"))
EACH = int(os.environ.get("MUTANTS", "2"))
"""How many of each script."""

TIME = r"(?:[+~\d.]+|\*)"
ANNOTATIONS = r"(?:ipv4 \S+ > \S+: )?(?:\[[^\]]*\] |\([^)]*\) )*(?:\d+ > \d+ )?"
SENT = re.compile(rf"\s*{TIME}\s+> {ANNOTATIONS}(?P<flags>[FSRPUEWA.]+) (?P<start>\d+):(?P<end>\d+)\((?P<length>\d+)\)")
RESULT = re.compile(r"^(?!.*(?:socket|accept|open)\().*\) = (?P<result>-?\d+)(?P<errno> E[A-Z]+)?(?: \(.*\))?\s*$")
NUMBERS = {
    "ack": re.compile(r"\back (\d+)"),
    "win": re.compile(r"\bwin (\d+)"),
    "sack, left": re.compile(r"\bsack (\d+)"),
    "sack, right": re.compile(r"\bsack \d+:(\d+)"),
    "mss": re.compile(r"\bmss (\d+)"),
    "wscale": re.compile(r"\bwscale (\d+)"),
    "ecr": re.compile(r"\becr (\d+)"),
}
ASSERTED = re.compile(r"assert \w+ == (\d+)")


def put(line: str, match: re.Match[str], group: str | int, text: object) -> str:
    return f"{line[: match.start(group)]}{text}{line[match.end(group) :]}"


def sent_otherwise(line: str, match: re.Match[str]) -> Iterator[tuple[str, str]]:
    """An expected segment, with one thing wrong in it."""
    start, end, length = (int(match[name]) for name in ("start", "end", "length"))
    if "S" not in match["flags"]:  # a SYN's number is what the script calls it
        yield "seq", f"{line[: match.start('start')]}{start + 1}:{end + 1}({length}){line[match.end() :]}"
    if length:
        yield "length", f"{line[: match.start('start')]}{start}:{end - 1}({length - 1}){line[match.end() :]}"
    for flag in "FSRPUEW.":
        flags = match["flags"].replace(flag, "") if flag in match["flags"] else match["flags"] + flag
        if flags:
            yield f"flag {flag}", put(line, match, "flags", flags)
    for name, pattern in NUMBERS.items():
        for number in pattern.finditer(line, match.end()):
            yield name, put(line, number, 1, int(number[1]) + 1)
    if (after := re.match(r"\s*\+(\d*\.?\d+)\s", line)) and float(after[1]) >= 0.05:
        yield "earlier", put(line, after, 1, round(float(after[1]) * 0.8, 6))
        yield "later", put(line, after, 1, round(float(after[1]) * 1.25, 6))


def answered_otherwise(line: str, match: re.Match[str]) -> Iterator[tuple[str, str]]:
    """A call with another result."""
    if match["errno"]:
        yield "errno", put(line, match, "errno", " EPIPE" if match["errno"] != " EPIPE" else " EINVAL")
        yield "success", f"{line[: match.start('result')]}0"
    else:
        yield "result", put(line, match, "result", int(match["result"]) + 1)


def asserted_otherwise(line: str, match: re.Match[str]) -> Iterator[tuple[str, str]]:
    yield "assertion", put(line, match, 1, int(match[1]) + 1)


KINDS: dict[re.Pattern[str], Callable[[str, re.Match[str]], Iterator[tuple[str, str]]]] = {
    SENT: sent_otherwise,
    RESULT: answered_otherwise,
    ASSERTED: asserted_otherwise,
}


def mutants(text: str) -> list[tuple[str, str]]:
    """What is wrong (line, token) -> the whole text with it."""
    lines = text.split("\n")
    found = []
    for at, line in enumerate(lines):
        bare = line.partition("//")[0].rstrip()
        for pattern, otherwise in KINDS.items():
            if match := pattern.search(bare):
                for what, changed in otherwise(bare, match):
                    found.append(
                        (f"line {at + 1}, {what}: {changed}", "\n".join([*lines[:at], changed, *lines[at + 1 :]]))
                    )
    return found


@pytest.mark.parametrize("name", SCRIPTS)
def test_whatever_is_altered_the_script_does_not_pass(name):
    text = (FOLDER / name).read_text()
    altered = mutants(text)
    random.Random(name).shuffle(altered)
    assert altered, "nothing is expected in this script"
    for what, mutant in islice(altered, EACH):
        assert run_text(mutant, name, StackHost, Wishes()).status != PASSED, what
