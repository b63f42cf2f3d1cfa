"""The secrets of TLS, as they appear in the file that SSLKEYLOGFILE names."""

from pathlib import Path


class KeyLog:
    """What is appended to the file at `path` from now on. A file that cannot be read has no secrets to tell."""

    __slots__ = ("_at", "_path", "_rest")

    def __init__(self, path: str | Path) -> None:
        self._path = Path(path)
        self._at = self._path.stat().st_size if self._path.exists() else 0
        self._rest = b""
        """The beginning of a line whose end has not come."""

    def fresh(self) -> bytes:
        """The whole lines that are new."""
        try:
            with self._path.open("rb") as file:
                file.seek(self._at)
                data = file.read()
        except OSError:
            return b""
        self._at += len(data)
        data = self._rest + data
        end = data.rfind(b"\n") + 1
        self._rest = data[end:]
        return data[:end]
