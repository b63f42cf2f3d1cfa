"""README.md and docs/ tell the truth: files exist, commands work, charts and outputs are those of the code as it is.

`NETSTACK_UPDATE=1 pytest tests/test_docs.py` writes the chart and the outputs anew. Checked of ```console blocks:
their commands exist with the options that they are given; and, where the project's own commands need no network (see
`REPEATABLE`), the output is what they print. A ```python block followed by a ```text block is run, and prints that.
"""

import os
import re
import shlex
import subprocess
import sys
from collections import Counter
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path

import pytest

from netstack import cli
from netstack.states.mermaid import mermaid

ROOT = Path(__file__).parent.parent
README = ROOT / "README.md"
PAGES = [README, *sorted((ROOT / "docs").rglob("*.md"))]
CODE = [*sorted((ROOT / "netstack").rglob("*.py")), *sorted((ROOT / "asgi").rglob("*.py"))]
UPDATE = os.environ.get("NETSTACK_UPDATE") == "1"

REPEATABLE = ("states", "replay", "drill", "lab", "journey --seed")
BLOCK = re.compile(r"^```(\w+)\n(.*?)^```$", re.MULTILINE | re.DOTALL)
PATH = re.compile(r"(?<![\w/.-])(?:netstack|asgi|tests|tools|docs|\.ci)/[\w./-]*\w/?|(?<=\]\()[^)#:]+(?=[)#])")
SECOND_COLUMN = re.compile(r"^\| `([^`]+)` \|", re.MULTILINE)
# Two of the patterns that say where a file lies on somebody's machine, in pieces, so that this line is none.
MACHINE = re.compile("/(?:" + "|".join(("work", "home", "root", "Users", "tmp")) + r")/\w")


def name_of(page: Path) -> str:
    """Its path from the root."""
    return page.relative_to(ROOT).as_posix()


def blocks(language: str, page: Path) -> list[str]:
    """The contents of the fenced blocks of a language."""
    return [text for found, text in BLOCK.findall(page.read_text()) if found == language]


def commands(page: Path) -> Iterator[list[str]]:
    """The words of every command line shown in console blocks: `$ ...`, without sudo, prefixes and pipes."""
    for block in blocks("console", page):
        for line in block.splitlines():
            if line.startswith("$ "):
                words = shlex.split(line[2:], comments=True)
                if "|" in words:
                    words = words[: words.index("|")]
                yield [word for word in words if word not in ("sudo",)]


# -- what the code says is in the docs ---------------------------------------------------------------------------------


def test_every_deviation_has_a_row():
    page = (ROOT / "docs" / "rfcs.md").read_text()
    rows = Counter(SECOND_COLUMN.findall(page.partition("\n## Deviations\n")[2].partition("\n## ")[0]))
    found = Counter({name_of(path): path.read_text().count("Deviation:") for path in CODE})
    assert dict(rows) == {name: count for name, count in found.items() if count}


def test_every_rfc_that_the_code_cites_is_told_of():
    page = (ROOT / "docs" / "rfcs.md").read_text()
    numbers = {number for row in re.findall(r"^\| ([\d, ]+) \|", page, re.MULTILINE) for number in row.split(", ")}
    numbers |= set(re.findall(r"RFC (\d+)", page))
    cited = {number: name_of(path) for path in CODE for number in re.findall(r"\bRFC (\d{3,})", path.read_text())}
    assert {number: where for number, where in cited.items() if number not in numbers} == {}


def test_every_command_is_in_the_readme():
    shown = {words[1] for words in commands(README) if words[0] == "netstack"}
    assert set(cli.commands.list_commands(None)) <= shown


# -- what the docs say is so -------------------------------------------------------------------------------------------


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_paths_exist(page):
    for found in PATH.findall(page.read_text()):
        base = ROOT if found.startswith(("netstack/", "asgi/", "tests/", "tools/", "docs/", ".ci/")) else page.parent
        assert (base / found).exists(), f"{name_of(page)} names {found}"


@pytest.mark.parametrize("page", PAGES, ids=name_of)
def test_commands_and_their_options_exist(page, capsys):
    targets = set(re.findall(r"^(\w+):", (ROOT / "Makefile").read_text(), re.MULTILINE))
    for words in commands(page):
        if words[0] == "make":
            assert words[1] in targets, words
        elif words[0] == "netstack":
            assert cli.main([words[1], "--help"]) == 0
            options = set(re.findall(r"(?<![\w-])--?[a-z][\w-]*", capsys.readouterr().out))
            assert {word.partition("=")[0] for word in words[2:] if word.startswith("-")} <= options | {"--help"}, words


def test_the_state_chart_is_current():
    (chart,) = blocks("mermaid", README)
    if chart != mermaid() + "\n" and UPDATE:
        README.write_text(README.read_text().replace(f"```mermaid\n{chart}", f"```mermaid\n{mermaid()}\n"))
    else:
        assert chart == mermaid() + "\n"


def repeatable() -> list[tuple[Path, str]]:
    """Console blocks whose every command can be run here: (page, block)."""
    found = []
    for page in PAGES:
        for block in blocks("console", page):
            lines = [line for line in block.splitlines() if line.startswith("$ ")]
            if lines and all(line.startswith(tuple(f"$ netstack {name}" for name in REPEATABLE)) for line in lines):
                found.append((page, block))
    return found


def printed(line: str) -> str:
    """What a command line prints, run by a shell in the root of the project."""
    words = f"netstack() {{ {shlex.quote(sys.executable)} -m netstack \"$@\"; }}; {line}"
    result = subprocess.run(["sh", "-c", words], cwd=ROOT, capture_output=True, text=True, timeout=60)
    return result.stdout + result.stderr


@pytest.mark.parametrize(("page", "block"), repeatable(), ids=lambda x: name_of(x) if isinstance(x, Path) else x[:40])
def test_outputs_are_what_the_commands_print(page, block):
    lines = [line for line in block.splitlines() if line.startswith("$ ")]
    now = "".join(f"{line}\n{printed(line[2:])}" for line in lines)
    if now != block and UPDATE:
        page.write_text(page.read_text().replace(f"```console\n{block}", f"```console\n{now}"))
    else:
        assert block == now


def programs() -> list[tuple[str, str]]:
    """Each ```python block of a page that a ```text block follows: (program, output)."""
    return [
        (one[2], other[2])
        for text in (page.read_text() for page in PAGES)
        for one, other in pairwise(BLOCK.finditer(text))
        if (one[1], other[1]) == ("python", "text") and text[one.end() : other.start()].isspace()
    ]


def test_there_is_a_program_to_run():
    assert programs()


@pytest.mark.parametrize(("program", "output"), programs(), ids=lambda value: value.split("\n")[0])
def test_programs_print_what_is_shown(program, output):
    result = subprocess.run([sys.executable, "-c", program], cwd=ROOT, capture_output=True, text=True, timeout=60)
    assert (result.stderr, result.stdout) == ("", output)


def test_nothing_names_a_path_of_some_machine():
    files = [*PAGES, *CODE, *(ROOT / "tools").rglob("*.py"), *(ROOT / "tests").rglob("*.py"), ROOT / "Makefile"]
    places = [str(ROOT) + "/"] if len(ROOT.parts) > 2 else []
    for path in files:
        text = path.read_text()
        assert not MACHINE.search(text), f"{name_of(path)}: {MACHINE.search(text)[0]}"
        assert not any(place in text for place in places), name_of(path)
