"""The command line itself: commands are files, failures are one line, the status says which kind."""

import subprocess
import sys
from pathlib import Path

from netstack import __version__, cli

ROOT = Path(__file__).parent.parent


def run(capsys, *words):
    """(exit status, stdout, stderr) of `netstack WORDS`."""
    status = cli.main(words)
    out, err = capsys.readouterr()
    return status, out, err


def test_every_file_is_a_command_with_help_and_an_example(capsys):
    files = {path.stem for path in (ROOT / "netstack" / "cli").glob("*.py") if not path.stem.startswith("_")}
    assert {name.replace("-", "_") for name in cli.commands.list_commands(None)} == files
    for name in cli.commands.list_commands(None):
        status, out, _ = run(capsys, name, "--help")
        assert status == 0
        assert "Example" in out, name


def test_without_a_command_the_help_is_shown(capsys):
    status, out, _ = run(capsys)
    assert status == 0
    assert "up " in out


def test_version(capsys):
    assert run(capsys, "--version") == (0, f"netstack {__version__}\n", "")


def test_a_command_that_does_not_exist_is_wrong_usage(capsys):
    status, _, err = run(capsys, "upp")
    assert status == 2
    assert err.startswith("netstack: No such command 'upp'")
    assert err.count("\n") == 1


def test_it_is_a_module_too():
    result = subprocess.run(
        [sys.executable, "-m", "netstack", "nonsense"], cwd=ROOT, capture_output=True, text=True, timeout=30
    )
    assert (result.returncode, result.stdout) == (2, "")
    assert result.stderr.startswith("netstack: No such command")


def test_output_that_nobody_reads_on_is_no_traceback():
    command = f"{sys.executable} -m netstack up --help | head -c 1"
    result = subprocess.run(["sh", "-c", command], cwd=ROOT, capture_output=True, text=True, timeout=30)
    assert result.stderr == ""
