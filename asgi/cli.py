"""The command line of `python -m asgi`."""

import asyncio
import gc
import logging
import os
import sys
from collections.abc import Callable
from typing import Any, TypeVar

import click

from asgi.app import AppNotFound, load_app
from asgi.config import Settings
from asgi.lifespan import LifespanError
from asgi.serve import serve
from asgi.server import Server

F = TypeVar("F", bound=Callable[..., Any])

_LIMITS: dict[str, str] = {
    "limit_head": "Octets of request line and header fields (else 431).",
    "limit_target": "Octets of the request target (else 414).",
    "limit_fields": "Header fields of a request (else 431).",
    "limit_body": "Octets of a request body (else 413). No limit by default.",
    "limit_buffer": "Body octets waiting for the application before reading pauses.",
    "limit_drain": "Unread body octets dropped to keep a connection.",
    "limit_connections": "Connections at a time (else 503). No limit by default.",
    "limit_concurrency": "Requests running at a time (else 503). No limit by default.",
}
_TIMEOUTS: dict[str, str] = {
    "timeout_head": "Seconds for a request's header to arrive (else 408).",
    "timeout_body": "Seconds between two arrivals of body octets (else 408).",
    "timeout_idle": "Seconds a connection is kept without a request.",
    "timeout_write": "Seconds for a client to take some of a response.",
    "timeout_linger": "Seconds for a client to read an error before the close.",
    "timeout_graceful": "Seconds for running requests at shutdown.",
    "timeout_lifespan": "Seconds for the application's own shutdown.",
}


def _settings_options(command: F) -> F:
    """One option for every limit and time-out in `Settings`; not given means the default there."""
    for names, kind in ((_TIMEOUTS, float), (_LIMITS, int)):
        for name, text in reversed(names.items()):
            option = "--" + name.replace("_", "-")
            command = click.option(option, type=kind, default=None, help=text)(command)
    return command


@click.command(epilog="Example: python -m asgi main:app --host 127.0.0.1 --port 8000")
@click.argument("application", metavar="MODULE:ATTR")
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option("--port", type=click.IntRange(0, 65535), default=8000, show_default=True, help="0: any free port.")
@click.option("--factory", is_flag=True, help="ATTR makes the application: call it without arguments.")
@click.option("--app-dir", default=".", show_default=True, help="Directory to import MODULE from.")
@click.option("--lifespan", type=click.Choice(["auto", "on", "off"]), default="auto", show_default=True)
@click.option("--root-path", default="", help="Prefix under which the application is mounted.")
@click.option("--access-log/--no-access-log", default=True, show_default=True, help="A line a request on stdout.")
@click.option(
    "--log-level", type=click.Choice(["debug", "info", "warning", "error"]), default="info", show_default=True
)
@_settings_options
def main(
    application: str,
    host: str,
    port: int,
    factory: bool,
    app_dir: str,
    lifespan: str,
    root_path: str,
    access_log: bool,
    log_level: str,
    **limits: float | None,
) -> None:
    """Serve the ASGI application ATTR of MODULE over HTTP/1.1 on the kernel's TCP."""
    logging.basicConfig(level=log_level.upper(), format="%(levelname)s: %(message)s")
    given: dict[str, Any] = {name: value for name, value in limits.items() if value is not None}
    try:
        settings = Settings(lifespan=lifespan, root_path=root_path.rstrip("/"), access_log=access_log, **given)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    try:
        app = load_app(application, os.path.abspath(app_dir), factory)
        server = Server(app, settings)
        gc.collect()
        gc.freeze()  # what was imported stays: the collector need not look at it again for every few requests
        asyncio.run(serve(server, host, port, _announce))
    except (AppNotFound, LifespanError) as error:
        _fail(str(error))
    except OSError as error:
        _fail(f"cannot listen on {host} port {port}: {error.strerror or error}")


def _announce(urls: list[str]) -> None:
    for url in urls:
        click.echo(f"serving on {url} (Ctrl-C ends it)", err=True)


def _fail(message: str) -> None:
    click.echo(f"error: {message}", err=True)
    sys.exit(1)
