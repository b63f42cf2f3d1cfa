"""`netstack up`: a TAP, the stack on it, and an ASGI application served on the stack."""

import logging
import random
import ssl
import sys
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import click

from asgi import AppNotFound, LifespanError, load_app
from asgi.spec import App
from netstack.host import HostError
from netstack.link.fault import Faults
from netstack.service import addresses, quantities
from netstack.service.plan import MAX_MTU, MIN_MTU, MTU, PORT, TAP, Plan
from netstack.service.run import run
from netstack.tcp.congestion import ALGORITHMS
from netstack.welcome import app as welcome

LEVELS = ("debug", "info", "warning", "error", "critical")


def typed(parse: Callable[[str], Any]) -> Callable[[click.Context, click.Parameter, str], Any]:
    """A callback for an option that one of `service.quantities` reads; what it cannot read is wrong usage."""

    def convert(ctx: click.Context, param: click.Parameter, text: str) -> Any:
        try:
            return parse(text)
        except ValueError as error:
            raise click.BadParameter(str(error), ctx, param) from error

    return convert


def quantity(name: str, parse: Callable[[str], Any], metavar: str, text: str) -> Callable[[Any], Any]:
    """An option for a quantity, 0 unless said otherwise."""
    return click.option(name, callback=typed(parse), default="0", metavar=metavar, help=text)


EXAMPLES = """\b
Examples:
  sudo netstack up                                  a welcome page on http://192.0.2.2:8080/
  sudo netstack up main:app --port 80               your application
  sudo netstack up main:app --netns lab             in a network namespace, made and removed
  sudo netstack up --loss 2% --delay 20ms           over a bad path
  sudo netstack up --inspect                        watch it, and play with it, in a browser
  sudo netstack up --pcap run.pcapng --trace run.jsonl
"""


@click.command("up", epilog=EXAMPLES, short_help="A TAP, the stack on it, and an ASGI application served there.")
@click.argument("application", metavar="[MODULE:ATTR]", required=False)
@click.option("--port", type=click.IntRange(1, 65_535), metavar="PORT", default=PORT, show_default=True,
              help="TCP port to serve on.")  # fmt: skip
@click.option("--address", metavar="A.B.C.D[/N]", help="The stack's address.  [default: 192.0.2.2/24]")
@click.option("--host-address", metavar="A.B.C.D[/N]", help="The host's address on the TAP.  [default: 192.0.2.1/24]")
@click.option("--gateway", metavar="A.B.C.D", help="The stack's way out of its subnet.  [default: the host]")
@click.option("--tap", metavar="NAME", default=TAP, show_default=True, help="Name of the TAP device.")
@click.option("--mtu", type=click.IntRange(MIN_MTU, MAX_MTU), metavar="OCTETS", default=MTU, show_default=True,
              help="MTU of the link.")  # fmt: skip
@click.option("--netns", metavar="NAME", help="Network namespace for the TAP: made, and later removed, if missing.")
@click.option("--cc", type=click.Choice(sorted(ALGORITHMS)), default=Plan().congestion_control, show_default=True,
              help="Congestion control.")  # fmt: skip
@click.option("--fastopen", is_flag=True, help="TCP Fast Open: take data that comes with a SYN (RFC 7413).")
@click.option("--no-offload", is_flag=True, help="Do every checksum and segment here, frames of MTU size only.")
@click.option("--pcap", type=click.Path(dir_okay=False),
              help="Record what passes; in a .pcapng each packet has a comment: what it did, or why it was sent.")
@click.option("--tls-cert", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
              help="Serve https with this certificate (PEM).")
@click.option("--tls-key", type=click.Path(exists=True, dir_okay=False), metavar="FILE",
              help="Its private key, if that is in another file.")
@click.option("--tls-keylog", type=click.Path(dir_okay=False), metavar="FILE", envvar="SSLKEYLOGFILE",
              show_envvar=True, help="Append the secrets of TLS, and have them in the .pcapng.")  # fmt: skip
@click.option("--trace", type=click.Path(dir_okay=False), help="Write the events of stack and server as JSON lines.")
@click.option("--inspect", is_flag=True,
              help="A live page of the stack: at / of the built-in application, else on the next port.")  # fmt: skip
@click.option("--inspect-port", type=click.IntRange(1, 65_535), metavar="PORT", help="Port of the live page.")
@click.option("--log-level", type=click.Choice(LEVELS), metavar="LEVEL", default="info", show_default=True,
              help="debug, info, warning, error or critical.")  # fmt: skip
@click.option("--access-log/--no-access-log", default=True, help="A line for each request.  [default: on]")
@click.option("--factory", is_flag=True, help="ATTR is a function that makes the application.")
@click.option("--app-dir", type=click.Path(exists=True, file_okay=False), default=".", help="Where MODULE is.")
@click.option("--lifespan", type=click.Choice(["auto", "on", "off"]), default="auto", show_default=True,
              help="Whether the application is told of start and end.")  # fmt: skip
@quantity("--loss", quantities.probability, "SHARE", "Frames lost in each direction, as 2% or 0.02.")
@quantity("--delay", quantities.duration, "TIME", "One-way delay, as 20ms.")
@quantity("--reorder", quantities.probability, "SHARE", "Frames overtaken by those behind them.")
@quantity("--duplicate", quantities.probability, "SHARE", "Frames that arrive twice.")
@quantity("--corrupt", quantities.probability, "SHARE", "Frames with a flipped bit.")
@quantity("--rate", quantities.rate, "BITS", "Bits per second in each direction, as 10M.")
@click.option("--seed", type=int, help="Repeats the same faults.")
def command(**options: Any) -> None:
    """Create a TAP device, put the stack on it, and serve an ASGI application there (a built-in one by default).

    Ctrl-C (or SIGTERM) finishes what runs and removes what was made. The options from --loss to --seed impair the
    path between the host and the stack; they imply --no-offload. So does --inspect, whose page has them as sliders.
    """
    plan = make_plan(options)
    logging.basicConfig(level=options["log_level"].upper(), format="%(levelname)s: %(message)s", stream=sys.stderr)
    app = find_app(options)
    try:
        run(plan, app, say)
    except (HostError, LifespanError) as error:
        raise click.ClickException(one_line(error)) from error


def make_plan(options: dict[str, Any]) -> Plan:
    """The options as a checked plan; click.UsageError for what does not fit together."""
    try:
        stack, host = addresses.both_ends(options["address"], options["host_address"])
        gateway = addresses.gateway(options["gateway"], stack, host)
    except ValueError as error:
        raise click.UsageError(str(error)) from error
    faults = Faults(
        loss=options["loss"], corrupt=options["corrupt"], duplicate=options["duplicate"], delay=options["delay"],
        reorder=options["reorder"], rate=options["rate"],
    )  # fmt: skip
    seed = options["seed"]
    return Plan(
        stack=stack, host=host, gateway=gateway, faults=faults,
        port=options["port"], tap=options["tap"], netns=options["netns"], mtu=options["mtu"],
        offload=not options["no_offload"], fast_open=options["fastopen"], congestion_control=options["cc"],
        pcap=options["pcap"], trace=options["trace"],
        tls=tls_context(options["tls_cert"], options["tls_key"], options["tls_keylog"]),
        keylog=options["tls_keylog"],
        access_log=options["access_log"], lifespan=options["lifespan"],
        seed=random.randrange(1_000_000) if seed is None else seed, inspect=page_port(options),
    )  # fmt: skip


def tls_context(certificate: str | None, key: str | None, keylog: str | None) -> ssl.SSLContext | None:
    """A server's context with this certificate, its secrets logged if that is wanted; None without one."""
    if certificate is None:
        if key is not None:
            raise click.UsageError("--tls-key needs --tls-cert: the certificate that it belongs to")
        return None
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    try:
        context.load_cert_chain(certificate, key)
    except (OSError, ValueError) as error:  # ssl.SSLError is an OSError; ValueError asks for a passphrase in vain
        raise click.ClickException(f"cannot use the certificate in {certificate}: {one_line(error)}") from error
    if keylog is not None:
        try:
            context.keylog_filename = keylog
        except OSError as error:
            raise click.ClickException(f"cannot write {keylog}: {error.strerror}") from error
    return context


def find_app(options: dict[str, Any]) -> App:
    """The application that was named, or the welcome page; one line for what is wrong with it."""
    if options["application"] is None:
        return welcome
    try:
        return load_app(options["application"], str(Path(options["app_dir"]).resolve()), options["factory"])
    except AppNotFound as error:
        logging.getLogger("netstack").debug("while importing", exc_info=error)
        raise click.ClickException(one_line(error) + place_of(error.__cause__)) from error


def page_port(options: dict[str, Any]) -> int | None:
    """Where the live page is to be: at the built-in application's port, but never at that of somebody's own."""
    own, port, chosen = options["application"] is not None, options["port"], options["inspect_port"]
    if not options["inspect"] and chosen is None:
        return None
    if chosen is None:
        chosen = port if not own else port + 1 if port < 65_535 else port - 1
    if own and chosen == port:
        raise click.UsageError(f"port {port} is the application's: give the page another one with --inspect-port")
    return int(chosen)


def place_of(cause: BaseException | None) -> str:
    """Where the application's own code failed, in the words of a traceback; empty for what is not its own fault."""
    if cause is None or isinstance(cause, ModuleNotFoundError | AttributeError | SyntaxError):
        return ""
    last = traceback.extract_tb(cause.__traceback__)[-1]
    return f" ({last.filename}, line {last.lineno})"


def one_line(error: Exception) -> str:
    """The error's message, on one line whoever wrote it."""
    return " ".join(str(error).split())


def say(line: str) -> None:
    """A line for the user, at once: whoever started us may be waiting for it."""
    print(line, flush=True)
