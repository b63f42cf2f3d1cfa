"""The layer diagram, executable: every import in the tree points the right way (see `LAYERS` and `KEEPERS`).

The rules are data; `violations(root)` reads every import with ast and returns one line for each that breaks a rule.
The tests at the end plant wrong imports in a tree of their own and expect them to be caught.
"""

import ast
from collections.abc import Iterator
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent

# Lower may not import higher, and of two on one level neither may import the other. A package or module that appears
# in netstack/ and not here fails the test: whoever adds one says where it belongs.
LAYERS: list[set[str]] = [
    {"units", "seq", "rangeset", "counters", "events", "config", "errors"},
    {"wire"},
    {"link"},
    {"ip"},
    {"udp", "tcp"},
    {"stack"},  # the composition root: knows every layer below, and no layer below knows it
    {"sockets"},
    {"aio"},
    {"host"},  # the kernel's side of the TAP: beside the core, which does not know it
    {"states"},  # the state machine drawn: knows its table and nothing else
    {"inspect"},  # what a running stack is seen with: any of the above, and nothing below imports it
    {"control"},  # how other processes look into one
    {"drill", "replay", "lab", "watch", "welcome", "service"},  # what is built on the stack
    {"journey"},  # plans as a service does, and reads a kernel's mind as drill does
    {"cli"},
    {"__main__"},
]
LEVEL = {name: level for level, names in enumerate(LAYERS) for name in names}
LEAVES = LAYERS[0]

# Who may import what is not a function of its arguments: time, chance, the operating system, an event loop. Time
# reaches the core as `now`, entropy as a Random or as bytes, configuration as a value.
OUTSIDE = (
    *("netstack/aio/", "netstack/host/", "netstack/link/tap.py", "netstack/service/", "netstack/welcome/"),
    *("netstack/drill/kernel", "netstack/journey", "netstack/lab", "netstack/watch", "netstack/cli/"),
    "netstack/control/",
    "netstack/inspect/page/",
    "netstack/__main__.py",
)
IMPURE = {
    "time", "datetime", "random", "secrets", "os", "socket", "select", "selectors", "fcntl", "signal", "subprocess",
    "threading", "multiprocessing", "concurrent", "asyncio", "contextvars", "logging",
}  # fmt: skip
# What runs stacks in virtual time makes the seeded Random that they are handed, and has no other business outside.
SEEDERS = ("netstack/drill/", "netstack/replay/")
# Libraries that are let in at one place only, by top-level package: the paths (from the root) that may import each.
KEEPERS = {
    "pytun": ("netstack/link/tap.py",),
    "pyroute2": ("netstack/host/", "netstack/drill/kernel", "tests/", "tools/"),
    "click": ("netstack/cli/", "asgi/"),
    "rich": ("netstack/cli/", "netstack/watch", "netstack/journey", "netstack/lab"),
    "httptools": ("asgi/", "netstack/journey", "tests/", "tools/"),
    "scapy": ("tests/", "tools/"),
    "matplotlib": ("netstack/lab/plot.py", "tests/"),
    "hypothesis": ("tests/",),
    "pytest": ("tests/",),
    "uvicorn": ("tests/", "tools/"),
    "fastapi": ("tests/", "tools/"),
    "starlette": ("tests/", "tools/"),
}
# asgi runs on anyone's asyncio transports; it is imported by the programs, never by the stack.
ASGI_USERS = ("asgi/", "netstack/service/", "netstack/cli/", "netstack/journey", "netstack/lab", "tests/", "tools/")


def violations(root: Path) -> list[str]:
    """Every import under `root` that breaks a rule, as "path:line: what is wrong"."""
    found = []
    for folder in ("netstack", "asgi", "tests", "tools"):
        for path in sorted((root / folder).rglob("*.py")):
            where = path.relative_to(root).as_posix()
            for line, module in imports(path, where):
                wrong = judge(where, module)
                if wrong:
                    found.append(f"{where}:{line}: {wrong}")
    return found


def imports(path: Path, where: str) -> Iterator[tuple[int, str]]:
    """(line, absolute dotted name) of every import in a file, in functions and under TYPE_CHECKING too.

    `from a.b import c` gives a.b.c: c may be a module, and if it is not, its package decides all the same.
    """
    package = where.removesuffix(".py").split("/")[:-1]
    for node in ast.walk(ast.parse(path.read_bytes(), where)):
        if isinstance(node, ast.Import):
            yield from ((node.lineno, alias.name) for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            stem = ".".join([*base, *filter(None, [node.module])])
            yield from ((node.lineno, f"{stem}.{alias.name}") for alias in node.names)


def judge(where: str, module: str) -> str:
    """What is wrong with the file `where` importing `module`; empty when nothing is."""
    top, *rest = module.split(".")
    if top in KEEPERS and not where.startswith(KEEPERS[top]):
        return f"{top} is imported only in {', '.join(KEEPERS[top])}"
    if top == "asgi" and not where.startswith(ASGI_USERS):
        return f"asgi is imported only in {', '.join(ASGI_USERS)}"
    if top == "netstack" and where.startswith("asgi/"):
        return "asgi imports nothing of netstack"
    if not where.startswith("netstack/"):
        return ""
    if top in ("tests", "tools"):
        return f"netstack does not import {top}"
    layer = where.removesuffix(".py").split("/")[1]
    if layer != "__init__" and layer not in LEVEL:
        return f"netstack.{layer} has no place in LAYERS of tests/test_layering.py yet"
    if top in IMPURE and not where.startswith(OUTSIDE) and not (top == "random" and where.startswith(SEEDERS)):
        return f"{top} is not for the core: time, chance and the system come in as arguments"
    if top == "netstack" and rest:
        return judge_layers(layer, rest[0])
    return ""


def judge_layers(layer: str, imported: str) -> str:
    """What is wrong with a file of netstack/`layer` importing netstack.`imported`."""
    if layer == "__init__":
        return "" if imported in LEAVES else f"the package itself imports leaves only, not {imported}"
    if imported not in LEVEL:  # a name defined in netstack/__init__.py
        return ""
    if imported == layer or LEVEL[imported] < LEVEL[layer] or {layer, imported} <= LEAVES:
        return ""
    return f"{layer} must not import {imported}: the arrows point the other way"


def cycles(root: Path) -> list[str]:
    """Modules of netstack and asgi that import each other while they load, as "a -> b -> a"."""
    graph: dict[str, set[str]] = {}
    for folder in ("netstack", "asgi"):
        for path in (root / folder).rglob("*.py"):
            where = path.relative_to(root).as_posix()
            graph[where.removesuffix(".py").removesuffix("/__init__").replace("/", ".")] = set(loads(path, where))
    found, done = [], set()

    def visit(name: str, trail: list[str]) -> None:
        if name in trail:
            found.append(" -> ".join([*trail[trail.index(name) :], name]))
        elif name not in done:
            for target in sorted(graph[name]):
                visit(target, [*trail, name])
            done.add(name)

    def known(name: str) -> str | None:
        """The module that `a.b.c` means: itself, or a.b when c is a name in it."""
        return next((m for m in (name, name.rpartition(".")[0]) if m in graph), None)

    for name, targets in graph.items():
        graph[name] = {module for target in targets if (module := known(target)) and module != name}
    for name in sorted(graph):
        visit(name, [])
    return found


def loads(path: Path, where: str) -> Iterator[str]:
    """What a module imports at its top level, outside `if TYPE_CHECKING`."""
    tree = ast.parse(path.read_bytes(), where)
    lines = {node.lineno for node in tree.body if isinstance(node, ast.Import | ast.ImportFrom)}
    yield from (module for line, module in imports(path, where) if line in lines)


def test_every_import_points_the_right_way():
    assert violations(ROOT) == []


def test_no_modules_import_each_other_in_a_circle():
    assert cycles(ROOT) == []


@pytest.mark.parametrize(
    ("where", "line", "complaint"),
    [
        ("netstack/wire/tcp.py", "from netstack.tcp.state import State", "wire must not import tcp"),
        ("netstack/wire/tcp.py", "from netstack import tcp", "wire must not import tcp"),
        ("netstack/wire/tcp.py", "from ..tcp import state", "wire must not import tcp"),
        ("netstack/wire/tcp.py", "def f():\n    import netstack.ip.ipv4", "wire must not import ip"),
        ("netstack/tcp/demux.py", "from netstack.udp import demux", "tcp must not import udp"),
        ("netstack/tcp/demux.py", "from netstack.stack import Stack", "tcp must not import stack"),
        ("netstack/units.py", "import netstack.wire.tcp", "units must not import wire"),
        ("netstack/stack.py", "import netstack.aio.driver", "stack must not import aio"),
        ("netstack/ip/route.py", "from netstack.host import interface", "ip must not import host"),
        ("netstack/tcp/rto.py", "import time", "time is not for the core"),
        ("netstack/tcp/iss.py", "from random import Random", "random is not for the core"),
        ("netstack/link/fault.py", "import os.path", "os is not for the core"),
        ("netstack/sockets/stream.py", "import asyncio", "asyncio is not for the core"),
        ("netstack/replay/runner.py", "import time", "time is not for the core"),
        ("netstack/stack.py", "import logging", "logging is not for the core"),
        ("netstack/link/pcap.py", "import scapy.all", "scapy is imported only in tests/, tools/"),
        ("asgi/http.py", "from netstack.aio import streams", "asgi imports nothing of netstack"),
        ("netstack/aio/streams.py", "import asgi.server", "asgi is imported only in"),
        ("netstack/link/loopback.py", "import pytun", "pytun is imported only in"),
        ("netstack/aio/driver.py", "import pyroute2.netns", "pyroute2 is imported only in"),
        ("netstack/cli/up.py", "from tests import netns", "netstack does not import tests"),
        ("netstack/novelty.py", "import struct", "netstack.novelty has no place in LAYERS"),
        ("netstack/__init__.py", "from netstack.stack import Stack", "the package itself imports leaves only"),
    ],
)
def test_a_wrong_import_is_caught_with_its_place(tmp_path, where, line, complaint):
    plant(tmp_path, where, f'"""A module."""\n\n{line}\n')
    (only,) = violations(tmp_path)
    assert only.startswith(f"{where}:{line.count(chr(10)) + 3}: {complaint}")


@pytest.mark.parametrize(
    ("where", "line"),
    [
        ("netstack/tcp/demux.py", "from netstack.ip.path import Path"),
        ("netstack/tcp/demux.py", "from netstack.tcp.state import State"),
        ("netstack/seq.py", "from netstack.units import Seq"),
        ("netstack/aio/driver.py", "import asyncio, time, os"),
        ("netstack/link/tap.py", "import os, pytun"),
        ("netstack/cli/up.py", "from asgi.server import Server"),
        ("netstack/wire/tcp.py", "from struct import Struct"),
        ("netstack/replay/runner.py", "from random import Random"),
        ("netstack/__main__.py", "from netstack.cli import main"),
        ("tests/wire/test_tcp.py", "import scapy.all"),
        ("asgi/server.py", "import asyncio, logging, httptools"),
    ],
)
def test_a_right_import_is_left_alone(tmp_path, where, line):
    plant(tmp_path, where, line)
    assert violations(tmp_path) == []


def test_a_circle_is_found_and_one_for_type_checkers_only_is_not(tmp_path):
    plant(tmp_path, "netstack/tcp/a.py", "from netstack.tcp.b import B")
    plant(tmp_path, "netstack/tcp/b.py", "from netstack.tcp import c")
    plant(tmp_path, "netstack/tcp/c.py", "if TYPE_CHECKING:\n    import netstack.tcp.a")
    assert cycles(tmp_path) == []
    plant(tmp_path, "netstack/tcp/c.py", "import netstack.tcp.a")
    assert cycles(tmp_path) == ["netstack.tcp.a -> netstack.tcp.b -> netstack.tcp.c -> netstack.tcp.a"]


def plant(root: Path, where: str, text: str) -> None:
    """Write a file into a tree of the test's own."""
    (root / where).parent.mkdir(parents=True, exist_ok=True)
    (root / where).write_text(text)
