"""Runs every scenario six times: three places where numbers start, with the short cuts of both directions and without.

The short cuts are header prediction and its counterpart for a lone segment; nothing may depend on either.
"""

from difflib import unified_diff
from typing import Any

import pytest

from netstack.tcp import output
from tests.script import STARTS, Wire


@pytest.fixture
def wire() -> Wire:
    """One conversation with a stack, as in `tests/script.py`; each run of the scenario gets one of its own."""
    return Wire()


@pytest.hookimpl(tryfirst=True)
def pytest_pyfunc_call(pyfuncitem: pytest.Function) -> bool | None:
    """Run the scenario in every variant; all exchanges must be equal to the octet and the microsecond."""
    if "wire" not in pyfuncitem.fixturenames:
        return None
    arguments = {name: pyfuncitem.funcargs[name] for name in pyfuncitem._fixtureinfo.argnames}
    first: list[str] | None = None
    for start in STARTS:
        for predict in (True, False):
            exchange = _run(pyfuncitem.obj, arguments, start, predict)
            if first is None:
                first = exchange
            elif exchange != first:
                lines = unified_diff(first, exchange, _name(STARTS[0], True), _name(start, predict), lineterm="")
                what = "\n".join(("the exchange depends on what it must not depend on:", *lines))
                pytest.fail(what, pytrace=False)
    return True


def _run(function: Any, arguments: dict[str, Any], start: int, predict: bool) -> list[str]:
    wire = Wire(start, predict)
    try:
        with pytest.MonkeyPatch.context() as patch:
            if not predict:
                patch.setattr(output, "send_alone", lambda conn, now: False)  # the sender's short cut, too
            function(**{**arguments, "wire": wire})
            return wire.done()
    except Exception as error:
        if wire._bench is not None:
            exchange = "\n".join(wire.bench.exchange[-60:])
            error.add_note(f"{_name(start, predict)}; the exchange so far:\n{exchange}")
        raise


def _name(start: int, predict: bool) -> str:
    return f"start {start:#x}, header prediction {'on' if predict else 'off'}"
