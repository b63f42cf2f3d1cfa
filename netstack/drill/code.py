"""`%{ }%`: the Python of a script. All of it runs once, at the end, in one namespace, with TCP_INFO of each moment."""

import textwrap
from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any

from netstack.drill.nodes import Event, ScriptError
from netstack.drill.outcome import Mismatch, Unsupported
from netstack.drill.symbols import CODE_NAMES


@dataclass(slots=True)
class Moment:
    """A piece of code and TCP_INFO (names without tcpi_) when its line was reached."""

    event: Event
    text: str
    info: Mapping[str, int]


def compiled(text: str, line: int) -> CodeType:
    """The code, whatever its indentation. ScriptError when it is not Python."""
    first, _, rest = text.partition("\n")
    error: SyntaxError | None = None
    for source in (textwrap.dedent(text).strip("\n"), first.strip() + "\n" + textwrap.dedent(rest)):
        try:
            return compile(source.strip() + "\n", f"code at line {line}", "exec")
        except SyntaxError as found:
            error = found
    raise ScriptError(line, f"code: {error.msg if error else 'not Python'}")


def run_code(moments: list[Moment]) -> None:
    """Run every piece. A failing assertion is a Mismatch; a field of TCP_INFO that the host lacks, Unsupported."""
    names: dict[str, Any] = dict(CODE_NAMES)
    for moment in moments:
        names.update({f"tcpi_{name}": value for name, value in moment.info.items()})
        code = compiled(moment.text, moment.event.line)
        try:
            exec(code, names)
        except AssertionError as error:
            said = f": {error}" if str(error) else ""
            raise _mismatch(moment, f"assertion failed{said}", names) from None
        except NameError as error:
            if (error.name or "").startswith("tcpi_"):
                raise Unsupported(f"TCP_INFO without {error.name}") from None
            raise _mismatch(moment, f"NameError: {error}", names) from None
        except Exception as error:
            raise _mismatch(moment, f"{type(error).__name__}: {error}", names) from None


def _mismatch(moment: Moment, what: str, names: Mapping[str, Any]) -> Mismatch:
    used = sorted(name for name in names if name.startswith("tcpi_") and name in moment.text)
    actual = ", ".join(f"{name} = {names[name]}" for name in used)
    return Mismatch(moment.event.line, what, " ".join(moment.text.split()), actual)
