"""The fixture of every test of the server over a fake transport."""

from collections.abc import Callable, Iterator
from typing import Any

import pytest

from tests.asgi.wire import Wire


@pytest.fixture
def serve() -> Iterator[Callable[..., Wire]]:
    """Makes a `Wire` for an application; at the end each is shut down and checked for leftovers."""
    wires: list[Wire] = []

    def make(app: Any, **settings: Any) -> Wire:
        wires.append(Wire(app, **settings))
        return wires[-1]

    yield make
    for wire in wires:
        wire.end()
