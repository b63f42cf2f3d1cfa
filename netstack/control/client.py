"""The other end of the control socket, for commands: finds the stack that is meant, asks, and reads streams."""

from __future__ import annotations

import errno
import json
import socket
from collections import deque
from pathlib import Path
from typing import Any

from netstack.control import places

PATIENCE = 10.0
"""Seconds to wait for an answer: the stack may be busy."""


class NoStackError(Exception):
    """There is no stack to look into; the message is one line that says so and what to do."""


class Client:
    """A connection to one running stack. Raises NoStackError when the stack ends."""

    def __init__(self, connected: socket.socket, path: Path) -> None:
        self.path = path
        self.hello: dict[str, Any] = {}
        self._socket = connected
        self._received = b""
        self._lines: deque[bytes] = deque()
        self._told: deque[dict[str, Any]] = deque()
        self._asked = 0

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *_: object) -> None:
        self.close()

    def close(self) -> None:
        """Hang up."""
        self._socket.close()

    def fileno(self) -> int:
        """To wait for messages with select; see `pending`."""
        return self._socket.fileno()

    def ask(self, what: str, **arguments: Any) -> Any:
        """The answer. For "connections": {"now", "count", "rows"}. ValueError, in words, for what is refused."""
        number = self._send(what, arguments)
        parts: list[Any] = []
        while True:
            message = self._read(PATIENCE)
            if message is None:
                raise NoStackError(f"the stack behind {self.path} does not answer")
            if "stream" in message:
                self._told.append(message)
            elif "part" in message:
                parts += message["part"]
            elif "error" in message:
                raise ValueError(message["error"])
            elif message["id"] == number:
                result = message["result"]
                return {**result, "rows": parts} if what == "connections" else result

    def subscribe(self, what: str, **arguments: Any) -> int:
        """Start a stream of "frames" or "events"; its number. ValueError as `ask`."""
        number = self._asked + 1
        self.ask(what, **arguments)
        return number

    def told(self, timeout: float | None = None) -> dict[str, Any] | None:
        """The next message of a stream, or None when none comes in time (seconds; None: wait for ever)."""
        if self._told:
            return self._told.popleft()
        return self._read(timeout)

    @property
    def pending(self) -> bool:
        """A message of a stream has been read from the socket already."""
        return bool(self._told or self._lines)

    def _send(self, what: str, arguments: dict[str, Any]) -> int:
        self._asked += 1
        request = {"id": self._asked, "ask": what, **arguments}
        try:
            self._socket.settimeout(PATIENCE)
            self._socket.sendall(json.dumps(request).encode() + b"\n")
        except OSError as error:
            raise NoStackError(f"the stack behind {self.path} has ended") from error
        return self._asked

    def _read(self, timeout: float | None) -> dict[str, Any] | None:
        while not self._lines:
            try:
                self._socket.settimeout(timeout)
                data = self._socket.recv(1 << 18)
            except (TimeoutError, BlockingIOError):
                return None
            except OSError as error:
                raise NoStackError(f"the stack behind {self.path} has ended") from error
            if not data:
                raise NoStackError(f"the stack behind {self.path} has ended")
            *lines, self._received = (self._received + data).split(b"\n")
            self._lines.extend(lines)
        message: dict[str, Any] = json.loads(self._lines.popleft())
        return message


def connect(tap: str | None = None, path: str | None = None) -> Client:
    """The one stack that runs, or the one with this TAP, or the one behind this socket.

    Of several, the one whose TAP is in our network namespace.

    NoStackError when there is none; ValueError, in words, when there are several to choose from.
    """
    if path is not None:
        try:
            client = _open(Path(path))
        except PermissionError:
            raise NoStackError(f"may not look into {path}: it is not yours (use sudo)") from None
        if client is None:
            raise NoStackError(f"no running netstack behind {path}")
        return client
    clients, refused = _everybody()
    chosen = [client for client in clients if tap is None or client.hello["tap"] == tap]
    if len(chosen) > 1:
        here = places.network_of(None)
        chosen = [client for client in chosen if client.hello.get("network") == here] or chosen
    for client in clients:
        if client not in chosen or len(chosen) > 1:
            client.close()
    if len(chosen) == 1:
        return chosen[0]
    if chosen:
        raise ValueError(f"several stacks are running, choose one: {', '.join(map(_choice, chosen))}")
    if refused:
        raise NoStackError(f"may not look into {refused[0].stem}: it is not yours (use sudo)")
    which = "" if tap is None else f" on {tap}"
    raise NoStackError(f"no running netstack found{which} (start one with: sudo netstack up)")


def _choice(client: Client) -> str:
    where = f" in {client.hello['netns']}" if client.hello["netns"] else ""
    return f"--socket {client.path} ({client.hello['address']}{where}, pid {client.hello['pid']})"


def _everybody() -> tuple[list[Client], list[Path]]:
    """(clients of all stacks that answer, sockets that are not ours to open)."""
    clients, refused = [], []
    for path in places.sockets():
        try:
            client = _open(path)
        except PermissionError:
            refused.append(path)
            continue
        if client is not None:
            clients.append(client)
    return clients, refused


def _open(path: Path) -> Client | None:
    connected = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    connected.settimeout(PATIENCE)
    try:
        connected.connect(str(path))
    except PermissionError:
        connected.close()
        raise
    except OSError as error:
        connected.close()
        if error.errno in (errno.ECONNREFUSED, errno.ENOENT):
            return None
        raise NoStackError(f"cannot reach the stack behind {path}: {error.strerror}") from error
    client = Client(connected, path)
    try:
        client.hello = client.ask("hello")
    except (NoStackError, ValueError):
        client.close()
        return None
    return client
