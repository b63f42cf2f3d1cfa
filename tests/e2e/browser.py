"""A headless Chromium in a namespace, driven over its debugging pipe: open a page, evaluate, wait until."""

import contextlib
import json
import os
import shutil
from collections.abc import Iterator
from itertools import count
from pathlib import Path
from typing import Any

from tests.netns import Namespace

CHROMIUM = next(filter(None, map(shutil.which, ("chromium", "chromium-browser", "google-chrome"))), None)
PATIENCE = 20.0
"""Seconds for anything that ought to take one."""


class Browser:
    """One page. `complaints` has what its console said, errors and refused loads included."""

    def __init__(self, to: int, fro: int) -> None:
        self.complaints: list[str] = []
        self._to, self._from = os.fdopen(to, "wb", buffering=0), os.fdopen(fro, "rb")
        self._numbers = count(1)
        target = self.call("Target.createTarget", url="about:blank")["targetId"]
        self._session = self.call("Target.attachToTarget", targetId=target, flatten=True)["sessionId"]
        for domain in ("Page", "Runtime", "Log"):
            self.call(f"{domain}.enable")

    _session: str | None = None

    def call(self, method: str, **parameters: Any) -> dict[str, Any]:
        """One command's result. AssertionError when the browser refuses, or goes."""
        number = next(self._numbers)
        message = {"id": number, "method": method, "params": parameters}
        if self._session is not None:
            message["sessionId"] = self._session
        self._to.write(json.dumps(message).encode() + b"\0")
        while True:
            said = json.loads(self._read())
            if said.get("id") == number:
                assert "error" not in said, said
                return said["result"]
            if said.get("method") in ("Runtime.exceptionThrown", "Log.entryAdded", "Runtime.consoleAPICalled"):
                self.complaints.append(json.dumps(said["params"]))

    def _read(self) -> bytes:
        octets = bytearray()
        while (octet := self._from.read(1)) != b"\0":
            assert octet, "the browser has gone"
            octets += octet
        return bytes(octets)

    def open(self, url: str) -> None:
        """Go there."""
        self.call("Page.navigate", url=url)

    def evaluate(self, expression: str) -> Any:
        """The value of a JavaScript expression."""
        found = self.call("Runtime.evaluate", expression=expression, returnByValue=True, awaitPromise=True)
        assert "exceptionDetails" not in found, found
        return found["result"].get("value")

    def until(self, expression: str) -> None:
        """Wait until an expression is true."""
        turns = int(PATIENCE / 0.05)
        loop = f"for (let n = 0; n < {turns}; n++) {{ if ({expression}) return true; await new Promise(turn); }}"
        done = self.evaluate(f"(async () => {{ const turn = done => setTimeout(done, 50); {loop} }})()")
        assert done, f"never: {expression}\n" + "\n".join(self.complaints)

    def close(self) -> None:
        """Ask it to go."""
        self._session = None
        with contextlib.suppress(AssertionError, OSError):
            self.call("Browser.close")
        self._to.close()
        self._from.close()


@contextlib.contextmanager
def browser(ns: Namespace, profile: Path) -> Iterator[Browser]:
    """A browser whose network is that of the namespace; it keeps its things in `profile`."""
    commands, to = os.pipe()
    fro, answers = os.pipe()
    options = f"--headless=new --no-sandbox --disable-gpu --no-first-run --user-data-dir={profile}"
    pipes = f"--remote-debugging-pipe 3<&{commands} 4>&{answers}"
    line = f"exec {CHROMIUM} {options} --window-size=1366,768 {pipes} about:blank 2>/dev/null"
    process = ns.popen("bash", "-c", line, pass_fds=(commands, answers))
    os.close(commands)
    os.close(answers)
    one = Browser(to, fro)
    try:
        yield one
    finally:
        one.close()
        process.wait(PATIENCE)
