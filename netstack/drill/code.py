"""`%{ }%`: the Python of a script. All of it runs once, at the end, in one namespace, with TCP_INFO of each moment."""

import re
import textwrap
import traceback
import warnings
from collections.abc import Mapping
from dataclasses import dataclass
from types import CodeType
from typing import Any

from netstack.drill.constants import CODE_NAMES
from netstack.drill.nodes import Event, ScriptError
from netstack.drill.outcome import Mismatch, Unsupported

FILENAME = "<code of the script>"
_PRINT = re.compile(r"^(\s*)print\s+([^(\n].*)$", re.M)
"""The print statement of Python 2, which old scripts use."""


@dataclass(slots=True)
class Moment:
    """A piece of code and TCP_INFO (names without tcpi_) when its line was reached."""

    event: Event
    text: str
    info: Mapping[str, int]


def compiled(text: str, line: int) -> CodeType:
    """The code, whatever its indentation; its line numbers are the script's. ScriptError when it is not Python."""
    first, _, rest = text.partition("\n")
    written = (textwrap.dedent(text), first.strip() + "\n" + textwrap.dedent(rest))
    error: SyntaxError | None = None
    for source in (*written, *(_PRINT.sub(r"\1print(\2)", source) for source in written)):
        try:
            with warnings.catch_warnings():
                warnings.simplefilter("ignore", SyntaxWarning)  # what is doubtful shows when it is run
                return compile("\n" * (line - 1) + source.rstrip() + "\n", FILENAME, "exec")
        except SyntaxError as found:
            error = found
    raise ScriptError(line, f"code: {error.msg if error else 'not Python'}")


def run_code(moments: list[Moment]) -> None:
    """Run every piece. A failing assertion is a Mismatch; a field of TCP_INFO that the host lacks, Unsupported."""
    names: dict[str, Any] = dict(CODE_NAMES)
    for moment in moments:
        names.update({_spelt(name): value for name, value in moment.info.items()})
        code = compiled(moment.text, moment.event.line)
        try:
            exec(code, names)
        except AssertionError as error:
            said = f": {error}" if str(error) else ""
            raise _mismatch(moment, f"assertion failed{said}", names, error) from None
        except NameError as error:
            if (error.name or "").startswith("tcpi_"):
                raise Unsupported(f"TCP_INFO without {error.name}") from None
            raise _mismatch(moment, f"NameError: {error}", names, error) from None
        except (Exception, SystemExit) as error:
            raise _mismatch(moment, f"{type(error).__name__}: {error}", names, error) from None


def _spelt(name: str) -> str:
    """As scripts have it: fields of TCP_INFO as in C, those of TCP_CC_INFO with the algorithm in front already."""
    return name if name.startswith("bbr_") else f"tcpi_{name}"


def _mismatch(moment: Moment, what: str, names: Mapping[str, Any], error: BaseException) -> Mismatch:
    """What failed, the line it was in, and the fields of TCP_INFO that the line names."""
    frames = [frame for frame in traceback.extract_tb(error.__traceback__) if frame.filename == FILENAME]
    line = frames[-1].lineno if frames and frames[-1].lineno else moment.event.line
    text = moment.text.split("\n")[line - moment.event.line].strip()
    used = sorted(name for name in names if name.startswith("tcpi_") and name in text)
    return Mismatch(line, what, text, ", ".join(f"{name} = {names[name]}" for name in used))
