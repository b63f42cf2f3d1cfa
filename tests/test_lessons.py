"""docs/lessons/ tells the truth: the functions that a lesson names are those that ran when its commands were run.

That the outputs are those of the commands is tested in test_docs.py, together with the README's.
"""

import re
import shlex

import pytest

from netstack import cli
from tests.test_docs import ROOT, blocks, name_of
from tests.test_tour import STEP, Notes, functions_of

LESSONS = sorted((ROOT / "docs" / "lessons").glob("[0-9]*.md"))
PARTS = ["Run", "See", "The paragraph", "The code", "A question"]
SHORTER = re.compile(r"--duration \d+s")
# What is a table or is there before anything runs: it exists, and nobody calls it.
DATA = {("netstack/tcp/state.py", "State")}


def test_there_are_ten_and_the_list_leads_to_each():
    assert len(LESSONS) == 10
    listed = re.findall(r"^(\d+)\. \[(.+)\]\((.+)\)$", (ROOT / "docs/lessons/README.md").read_text(), re.MULTILINE)
    titles = [path.read_text().split("\n", 1)[0] for path in LESSONS]
    assert [f"# {number}. {title}" for number, title, _ in listed] == titles
    assert [name for _, _, name in listed] == [path.name for path in LESSONS]


@pytest.mark.parametrize("lesson", LESSONS, ids=name_of)
def test_it_has_all_its_parts(lesson):
    text = lesson.read_text()
    assert re.findall(r"^## (.+)$", text, re.MULTILINE) == PARTS
    paragraph = text.partition("## The paragraph")[2].partition("## The code")[0]
    assert re.search(r"RFC \d+", paragraph)
    assert re.search(r"<details><summary>.+\?.*</summary>\n\n.+\n\n</details>\n$", text, re.DOTALL)


@pytest.mark.parametrize("lesson", LESSONS, ids=name_of)
def test_what_it_names_is_what_runs(lesson, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    steps = [(path, function) for _, path, function in STEP.findall(lesson.read_text())]
    assert len(steps) >= 4
    for path, function in steps:
        assert function in functions_of(ROOT / path) or (path, function) in DATA, f"{path} has no {function}"
    notes = Notes()
    lines = [line for block in blocks("console", lesson) for line in block.splitlines() if line.startswith("$ ")]
    for line in lines:  # while calls are noted everything takes a while: a second of a transfer will do
        words = shlex.split(SHORTER.sub("--duration 1s", line[2:]))
        with notes.taken():
            assert cli.main(words[1 : words.index("|")] if "|" in words else words[1:]) == 0
    called = {(call.path, call.function) for call in notes.calls}
    assert [step for step in steps if step not in called and step not in DATA] == []


@pytest.mark.parametrize("lesson", LESSONS, ids=name_of)
def test_other_commands_that_it_speaks_of_work(lesson, capsys, monkeypatch):
    monkeypatch.chdir(ROOT)
    for command in re.findall(r"`(netstack drill [^`]+)`", lesson.read_text().partition("## The code")[2]):
        assert cli.main(command.split()[1:]) == 0, command
