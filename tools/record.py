"""Records the captures under tests/replay: real programs over the kernel's own TCP, in namespaces made for it.

    sudo .venv/bin/python tools/record.py [--into DIRECTORY] [NAME ...]

Without names, all of them, and the table in DIRECTORY/README.md. See record_wire.py for where the capture is taken.
"""

import argparse
import contextlib
import os
import platform
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

from record_programs import CLIENT, READY, SERVER, pattern
from record_scenarios import PROGRAMS, SCENARIOS, Scenario
from record_wire import Forwarder, Loopback, Namespaces

HERE = Path(__file__).parent
README = """# Captures to replay

All recorded by `tools/record.py` (run as root; it makes the network namespaces that it needs and removes them), between
two real programs over the kernel's own TCP on both sides:
{software}.
Client {client}, server {server}, MTU 1500, offloads off, 2 ms each way (simultaneous-close, client-side-fin and
client-side-killed: 30 ms). A forwarder in user space carries the frames, loses or delays those that a scenario names,
and writes the capture as the server's interface sees it: what is lost on the way to the server is not in it, what is
lost on the way to the client is. The client-side ones are taken at the client's; loopback-download has both in one
namespace, and is what its loopback interface sees.

`NAME.txt` beside `NAME.pcap` is what `netstack replay --states NAME.pcap` prints; the tests compare, and
`NETSTACK_UPDATE=1 pytest tests/replay` writes it anew.

| capture | what it holds | client | server |
|---|---|---|---|
{rows}
"""


def record(scenario: Scenario, into: Path) -> None:
    """Run one scenario and write its capture. Raises RuntimeError when a program fails or a capture is empty."""
    path = into / f"{scenario.name}.pcap"
    with tempfile.TemporaryDirectory() as directory, Namespaces(f"record-{os.getpid()}") as namespaces:
        Path(directory, "body").write_bytes(pattern(20_000))
        Path(directory, "file").write_bytes(pattern(scenario.size))
        with contextlib.ExitStack() as stack:
            if scenario.server:
                stack.enter_context(serving(scenario.server, namespaces, directory))
            recorder: Forwarder | Loopback
            if scenario.taken_at == "loopback":
                recorder = Loopback(namespaces, path)
            else:
                recorder = Forwarder(namespaces, path, scenario.delay, scenario.impairment(), scenario.taken_at)
            stack.enter_context(recorder)
            run_client(scenario, namespaces, directory)
            time.sleep(0.3 + 4 * scenario.delay / 1e6)  # the last FIN and ACK are on their way
        if not all(recorder.counts.values()):
            raise RuntimeError(f"{scenario.name}: nothing was recorded in one direction: {recorder.counts}")


@contextlib.contextmanager
def serving(arguments: list[str], namespaces: Namespaces, directory: str) -> Iterator[None]:
    """A server in its namespace, ready before the body runs and killed after it."""
    with namespaces.inside("server"):
        server = subprocess.Popen(
            [sys.executable, "-u", *arguments],
            cwd=directory,
            stdout=subprocess.PIPE,
            stderr=subprocess.DEVNULL,
            text=True,
        )
    try:
        assert server.stdout is not None
        line = server.stdout.readline()
        if not line.startswith((READY, "Serving")):
            raise RuntimeError(f"{' '.join(arguments)} does not start: {line}")
        yield
    finally:
        server.kill()
        server.communicate()


def run_client(scenario: Scenario, namespaces: Namespaces, directory: str) -> None:
    """Run the client to its end, or kill it as the scenario says."""
    own = scenario.client[0] == str(PROGRAMS)
    with namespaces.inside("server" if scenario.taken_at == "loopback" else "client"):
        client = subprocess.Popen(
            [sys.executable, *scenario.client] if own else scenario.client,
            cwd=directory, stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
        )  # fmt: skip
    try:
        if scenario.kill_after is not None:
            time.sleep(scenario.kill_after)
            if scenario.stop_first:
                client.send_signal(signal.SIGSTOP)
                time.sleep(0.1)
        else:
            client.wait(scenario.user_timeout)
    finally:
        client.kill()
        output = client.communicate()[0]
    if scenario.kill_after is None and client.returncode not in (0, 56):  # 56: curl saw the reset that it should see
        raise RuntimeError(f"{scenario.name}: {scenario.client[0]} ended with {client.returncode}: {output}")


def command_line(words: list[str]) -> str:
    """How a program was called, as one would type it."""
    said = " ".join(words).replace(str(PROGRAMS), "record_programs.py").replace(" -o /dev/null", "")
    return f"python {said}" if words[0] in ("-m", str(PROGRAMS)) else said


def notes(into: Path) -> str:
    """README.md: where each capture came from."""
    rows = []
    for scenario in SCENARIOS:
        if not (into / f"{scenario.name}.pcap").exists():
            continue
        server = f"`{command_line(scenario.server)}`" if scenario.server else "the kernel"
        rows.append(f"| `{scenario.name}` | {scenario.about} | `{command_line(scenario.client)}` | {server} |")
    versions = ", ".join(version(tool) for tool in ("curl", "nmap", "ping"))
    software = f"Linux {platform.release()}, Python {platform.python_version()}, {versions}"
    return README.format(software=software, client=CLIENT, server=SERVER, rows="\n".join(rows))


def version(tool: str) -> str:
    """The tool's name and version; just the name where it is missing."""
    if shutil.which(tool) is None:
        return tool
    said = subprocess.run([tool, "-V"], capture_output=True, text=True, check=False).stdout.split("\n")[0]
    return " ".join(said.split(" (")[0].split()[:3]).replace(" version", "").removesuffix(" from iputils")


def main() -> int:
    """Record what was asked for; status 1 when a program is missing or a recording failed."""
    names = [scenario.name for scenario in SCENARIOS]
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("names", nargs="*", metavar="NAME", choices=[[], *names])
    parser.add_argument("--into", type=Path, default=HERE.parent / "tests" / "replay", metavar="DIRECTORY")
    asked = parser.parse_args()
    if os.geteuid() != 0:
        print("record.py: network namespaces need root: run it through sudo", file=sys.stderr)
        return 1
    failed = 0
    for scenario in SCENARIOS:
        if asked.names and scenario.name not in asked.names:
            continue
        own = scenario.client[0] == str(PROGRAMS)
        if not own and shutil.which(scenario.client[0]) is None:
            print(f"{scenario.name}: skipped, {scenario.client[0]} is not installed", file=sys.stderr)
            continue
        try:
            record(scenario, asked.into)
            print(f"{scenario.name}: {(asked.into / f'{scenario.name}.pcap').stat().st_size} octets")
        except (RuntimeError, OSError, subprocess.TimeoutExpired) as problem:
            print(f"{scenario.name}: {problem}", file=sys.stderr)
            failed = 1
    (asked.into / "README.md").write_text(notes(asked.into))
    return failed


if __name__ == "__main__":
    sys.exit(main())
