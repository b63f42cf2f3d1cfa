"""Where control sockets are: /run/netstack/NAME.sock; without the right to that, in a folder of the user's own."""

import contextlib
import errno
import os
import socket
import tempfile
from collections.abc import Iterator
from pathlib import Path

from netstack.host.record import FOLDER

SUFFIX = ".sock"
BACKLOG = 8


def folders() -> list[Path]:
    """Where to put a socket, best first; where to look for them too."""
    found = [FOLDER]
    runtime = os.environ.get("XDG_RUNTIME_DIR")
    if runtime:
        found.append(Path(runtime) / "netstack")
    return [*found, Path(tempfile.gettempdir()) / f"netstack-{_own_uid()}"]


def _own_uid() -> int:
    """The uid as the rest of the system knows it: root of one's own user namespace is somebody else outside."""
    uid = os.geteuid()
    with contextlib.suppress(OSError, ValueError):
        for line in Path("/proc/self/uid_map").read_text().splitlines():
            inside, outside, count = map(int, line.split())
            if inside <= uid < inside + count:
                return outside + uid - inside
    return uid


def sockets() -> list[Path]:
    """Every control socket to be seen, of living and of dead stacks."""
    found = []
    for folder in folders():
        with contextlib.suppress(OSError):
            if folder == FOLDER or _is_ours(folder):
                found += sorted(folder.glob(f"*{SUFFIX}"))
    return found


def network_of(netns: str | None) -> int:
    """What tells one network namespace from another: the one called `netns`, or ours. 0: not to be found out."""
    try:
        return os.stat("/proc/self/ns/net" if netns is None else f"/run/netns/{netns}").st_ino
    except OSError:
        return 0


def _is_ours(folder: Path) -> bool:
    """Whether we made it: in a folder that is everybody's, somebody else may have."""
    return folder.stat(follow_symlinks=False).st_uid == os.geteuid()


@contextlib.contextmanager
def bound(name: str) -> Iterator[socket.socket | None]:
    """A listening socket called `name` (with our pid if that name is taken), for the owner's eyes only.

    Gone after the with block. None when there is no folder to put it in: a stack runs without one as well.
    """
    made = _bind(name)
    if made is None:
        yield None
        return
    listening, path = made
    try:
        with listening:
            yield listening
    finally:
        with contextlib.suppress(OSError):
            path.unlink()
            path.parent.rmdir()  # unless others use it


def _bind(name: str) -> tuple[socket.socket, Path] | None:
    for folder in folders():
        try:
            folder.mkdir(mode=0o755 if folder == FOLDER else 0o700, exist_ok=True)
            if not _is_ours(folder):
                continue
        except OSError:
            continue
        remove_stale(folder)
        for path in (folder / f"{name}{SUFFIX}", folder / f"{name}-{os.getpid()}{SUFFIX}"):
            listening = _listen(path)
            if listening is not None:
                return listening, path
    return None


def _listen(path: Path) -> socket.socket | None:
    listening = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    before = os.umask(0o177)  # nobody else, from the first moment on
    try:
        listening.bind(str(path))
        listening.listen(BACKLOG)
        listening.setblocking(False)
    except OSError:
        listening.close()
        return None
    finally:
        os.umask(before)
    return listening


def remove_stale(folder: Path) -> None:
    """Remove the sockets of stacks that were killed."""
    with contextlib.suppress(OSError):
        for path in filter(is_stale, list(folder.glob(f"*{SUFFIX}"))):
            path.unlink()


def is_stale(path: Path) -> bool:
    """Whether there is a socket that nobody listens to: its process was killed."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as probe:
        probe.setblocking(False)
        try:
            probe.connect(str(path))
        except OSError as error:
            return error.errno == errno.ECONNREFUSED
    return False
