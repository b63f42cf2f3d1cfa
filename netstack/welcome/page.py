"""The front page: what the request was, and the way it took, with this request's own facts filled in."""

import re
from collections.abc import Mapping
from html import escape
from pathlib import Path
from typing import Any

from netstack.welcome.answers import Scope

TEMPLATE = (Path(__file__).parent / "page.html").read_text(encoding="utf-8")


def facts(scope: Scope) -> dict[str, Any]:
    """What arrived, as the application sees it."""
    client, server = scope.get("client"), scope.get("server")
    return {
        "method": scope["method"],
        "path": scope["path"],
        "query": scope["query_string"].decode("latin-1"),
        "http": scope["http_version"],
        "client": f"{client[0]}:{client[1]}" if client else None,
        "server": f"{server[0]}:{server[1]}" if server else None,
        "headers": [[name.decode("latin-1"), value.decode("latin-1")] for name, value in scope["headers"]],
    }


def about(scope: Scope) -> dict[str, Any]:
    """The front page for programs."""
    base = base_url(scope)
    return {
        "hello": "this answer came through a TCP/IP stack in plain Python",
        "you": facts(scope)["client"],
        "try": {
            "echo": f"curl -d hello {base}/echo",
            "stream": f"curl -N '{base}/stream?n=5&interval=0.5'",
            "download": f"curl -o /dev/null {base}/bytes/100000000",
            "upload": f"head -c 100000000 /dev/zero | curl -T - {base}/upload",
            "headers": f"curl {base}/headers",
            "plaintext": f"curl {base}/plaintext",
            "json": f"curl {base}/json",
        },
    }


def base_url(scope: Scope) -> str:
    """How the client names us: its Host field, or else the address it reached."""
    host = dict(scope["headers"]).get(b"host", b"").decode("latin-1")
    if not host:
        address, port = scope.get("server") or ("localhost", 80)
        host = f"{address}:{port}"
    return f"{scope.get('scheme', 'http')}://{host}"


def html(scope: Scope) -> str:
    """The front page for people."""
    known = facts(scope)
    return fill(
        TEMPLATE,
        {
            "client": known["client"] or "somewhere",
            "server": known["server"] or "here",
            "request": f"{known['method']} {known['path']} HTTP/{known['http']}",
            "fields": str(len(known["headers"])),
            "base": base_url(scope),
        },
    )


def fill(template: str, values: Mapping[str, str]) -> str:
    """Put values, escaped, where the template says {{name}}; all in one pass, so that no value is itself a template."""
    return re.sub(r"{{(\w+)}}", lambda found: escape(values[found[1]]), template)
