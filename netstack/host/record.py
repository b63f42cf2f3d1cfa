"""What a run made, noted in /run/netstack/PID.json, so that what a killed run left behind can be told and removed."""

import contextlib
import json
import os
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

from netstack.host import interface, namespace

FOLDER = Path("/run/netstack")


@dataclass(frozen=True)
class Record:
    """One run: its process, and the TAP and namespace that it made (None: it used one that was there)."""

    pid: int
    started: str
    """The process's start time in clock ticks since boot, as /proc has it: tells a pid from the same pid used again."""
    netns: str | None
    """The namespace the TAP is in."""
    made_tap: str | None
    made_netns: str | None

    @property
    def alive(self) -> bool:
        """Whether the process that made these is still running."""
        return start_time(self.pid) == self.started

    @property
    def path(self) -> Path:
        """Where the record is kept while the run lasts."""
        return FOLDER / f"{self.pid}.json"


def start_time(pid: int) -> str:
    """Field 22 of /proc/PID/stat (proc(5)); empty when there is no such process."""
    try:
        return Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()[19]
    except OSError:
        return ""


@contextlib.contextmanager
def kept(netns: str | None, made_tap: str | None, made_netns: str | None) -> Iterator[None]:
    """Keep a record for the length of a with block.

    Where /run cannot be written (an unprivileged user in namespaces of their own) there is none to keep: nothing of
    such a run outlives its processes.
    """
    record = Record(os.getpid(), start_time(os.getpid()), netns, made_tap, made_netns)
    with contextlib.suppress(OSError):
        FOLDER.mkdir(exist_ok=True)
        record.path.write_text(json.dumps(asdict(record)))
    try:
        yield
    finally:
        with contextlib.suppress(OSError):
            record.path.unlink()
            FOLDER.rmdir()


def records() -> list[Record]:
    """What is on record, of the living and of the dead. A file that is not a record is skipped."""
    found = []
    for path in sorted(FOLDER.glob("*.json")):
        with contextlib.suppress(OSError, ValueError, TypeError):
            found.append(Record(**json.loads(path.read_text())))
    return found


def was_ours(netns: str) -> bool:
    """Whether a run that is dead made this namespace: whoever uses it next then removes it at the end."""
    return any(record.made_netns == netns and not record.alive for record in records())


def remove_leftovers() -> list[str]:
    """Remove what dead runs made and no living one uses; a line for each thing removed."""
    living = [record for record in records() if record.alive]
    lines = []
    for record in records():
        if record.alive:
            continue
        in_use = {(other.netns, other.made_tap) for other in living}
        there = record.netns is None or namespace.exists(record.netns)
        if record.made_tap and there and (record.netns, record.made_tap) not in in_use:
            with namespace.inside(record.netns):
                if interface.exists(record.made_tap):
                    interface.delete(record.made_tap)
                    lines.append(f"removed the TAP {record.made_tap}")
        made = record.made_netns
        if made and namespace.exists(made) and made not in {other.netns for other in living}:
            namespace.remove(made)
            lines.append(f"removed the namespace {made}")
        record.path.unlink(missing_ok=True)
    return lines
