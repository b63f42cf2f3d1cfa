"""One script from its text to its verdict, on any host."""

import traceback
from collections.abc import Callable
from dataclasses import dataclass, replace

from netstack.drill.compare import Rules
from netstack.drill.engine import Manner, Run
from netstack.drill.host import Host
from netstack.drill.nodes import Script, ScriptError
from netstack.drill.options import Options, read_options
from netstack.drill.outcome import FAILED, SKIPPED, Mismatch, Outcome, Unsupported
from netstack.drill.parse import parse
from netstack.drill.settings import Read, Settings, read_settings

OpenHost = Callable[[Options], Host]
"""Makes a host for a script with these options. Unsupported when it cannot be."""


@dataclass(frozen=True, slots=True)
class Wishes:
    """What the user asks for, whatever the script."""

    relaxed: bool = False
    explain: bool = False
    tolerance: int | None = None
    """Microseconds; overrides the script's option."""
    defined: tuple[tuple[str, str], ...] = ()
    """Symbols beside those that the script defines, which they override."""


def run_text(text: str, name: str, open_host: OpenHost, wishes: Wishes, read: Read = lambda name: None) -> Outcome:
    """Parse and run a script. Every way it can end is an Outcome; `read` finds files that its commands name."""
    try:
        script = parse(text, name, dict(wishes.defined))
        options = read_options(script)
        return _opened(script, options, open_host, wishes, read)
    except ScriptError as error:
        return Outcome(name, FAILED, error.line, error.message)
    except Unsupported as error:
        return Outcome(name, SKIPPED, 0, str(error))


def _opened(script: Script, options: Options, open_host: OpenHost, wishes: Wishes, read: Read) -> Outcome:
    host = open_host(options)
    try:
        return _run(script, options, host, wishes, read)
    finally:
        host.close()


def _run(script: Script, options: Options, host: Host, wishes: Wishes, read: Read) -> Outcome:
    settings = initial_settings(script, options, read)
    tolerance = options.tolerance if wishes.tolerance is None else wishes.tolerance
    manner = Manner(
        Rules(wishes.relaxed, options.timestamp_tick, tolerance),
        options.strict_segments,
        options.mss,
        options.local_port,
        options.remote_port,
        wishes.explain,
        options.mapped,
    )
    run = Run(script, host, manner, read)
    outcome = Outcome(script.name, timeline=run.timeline)
    try:
        if settings.refused:
            raise Unsupported(f"the command `{settings.refused}`")
        run.ignored += settings.ignored + host.configure(settings.values)
        run.execute()
        run.leftovers()
    except Mismatch as error:
        run.leftovers()
        outcome = _failed(outcome, error)
    except Unsupported as error:
        outcome = replace(outcome, status=SKIPPED, line=run.line, message=str(error))
    except ScriptError as error:
        outcome = replace(outcome, status=FAILED, line=error.line, message=error.message)
    except Exception as error:  # a fault of the host, or of this interpreter: one script's failure, not the end of all
        where = traceback.extract_tb(error.__traceback__)[-1]
        told = f"{type(error).__name__}: {error} ({where.filename.rpartition('/')[2]}:{where.lineno})"
        outcome = replace(outcome, status=FAILED, line=run.line, message=told)
    outcome.ignored = run.ignored
    outcome.unscripted = run.expecting.unscripted
    return outcome


def initial_settings(script: Script, options: Options, read: Read) -> Settings:
    """What the init command, or the option that stands for it, sets."""
    text = script.init.text if script.init is not None else ""
    if options.init_scripts:
        text = "\n".join((*options.init_scripts.strip('"').split(","), text))
    return read_settings(text, read)


def _failed(outcome: Outcome, error: Mismatch) -> Outcome:
    detail = [f"expected  {error.expected}"] if error.expected else []
    if error.actual:
        detail.append(f"actual    {error.actual}")
    detail += [f"          {line}" for line in error.detail]
    late = error.what.startswith("time:")
    return replace(outcome, status=FAILED, line=error.line, message=error.what, detail=detail, late=late)
