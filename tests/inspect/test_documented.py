"""docs/events.md has every record, every rule and every way to find a loss, as the code has them.

`NETSTACK_UPDATE=1 pytest tests/inspect/test_documented.py` writes the tables anew.
"""

import os
from pathlib import Path

import asgi.events
import netstack.events
from netstack.events import Event
from netstack.link.arp import AddressConflict
from netstack.link.neighbor import NeighborChanged
from netstack.tcp import why

PAGE = Path(__file__).parent.parent.parent / "docs" / "events.md"


def tables():
    """The rows of each table of the page, in order."""
    ours = [kind for kind in vars(netstack.events).values() if isinstance(kind, type) and issubclass(kind, Event)]
    ours += [AddressConflict, NeighborChanged]
    servers = [kind for kind in vars(asgi.events).values() if isinstance(kind, type)]
    servers = [kind for kind in servers if issubclass(kind, asgi.events.Event)]
    yield [record(kind) for kind in ours if kind is not Event]
    yield [record(kind) for kind in servers if kind is not asgi.events.Event]
    for found in (why.RULES, why.FOUND, why.REFUTED):
        yield [f"| `{name}` | {sentence} | {paragraph} |" for name, (sentence, paragraph) in found.items()]


def record(kind):
    return f"| `{kind.__name__}` | {kind.__doc__.partition(chr(10) * 2)[0].replace(chr(10), ' ').strip()} |"


def written():
    """The page with the tables as they should be."""
    rows, out = tables(), []
    for line in PAGE.read_text().splitlines():
        if line.startswith("|---"):
            out += [line, *next(rows)]
        elif not line.startswith("| `"):
            out.append(line)
    return "\n".join(out) + "\n"


def test_the_page_is_what_the_code_says():
    if os.environ.get("NETSTACK_UPDATE") == "1":
        PAGE.write_text(written())
    assert PAGE.read_text() == written()
    assert sum(1 for _ in tables()) == PAGE.read_text().count("\n|---")
