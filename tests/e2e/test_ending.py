"""How a run ends: drained, hurried, crashed, killed. What it made is gone afterwards, and nothing else is."""

import contextlib
import signal
import subprocess
import sys

import pytest

from netstack.host import namespace as namespaces
from tests.e2e.running import APPS, ROOT, URL, Up, interfaces, running
from tests.netns import namespace

pytestmark = pytest.mark.tap
ELSEWHERE = ("--tap", "other0", "--address", "198.51.100.2")


@pytest.fixture
def ns():
    """A namespace to run in."""
    with namespace() as ns:
        yield ns


@pytest.fixture
def made(ns):
    """The name of a namespace that is not there."""
    yield f"{ns.name}-made"
    assert not namespaces.exists(f"{ns.name}-made")  # whatever the test did


@pytest.mark.parametrize("number", [signal.SIGINT, signal.SIGTERM, signal.SIGHUP])
def test_a_signal_ends_it_well_and_everything_is_gone(ns, made, number):
    up = Up(ns, "--netns", made).ready()
    assert "netstack0" in ns.run("ip", "netns", "exec", made, "ip", "-brief", "link").stdout
    up.signal(number)
    assert up.end() == 0
    assert up.lines[-1] == "stopped, and everything made for it is gone"


def test_a_tap_in_a_namespace_that_was_there_goes_and_the_namespace_stays(ns):
    up = Up(ns).ready()
    assert "netstack0" in interfaces(ns)
    assert up.stop() == 0
    assert "netstack0" not in interfaces(ns)
    assert namespaces.exists(ns.name)


def test_the_curl_line_that_is_shown_works(ns, made):
    up = Up(ns, "--netns", made, "--port", "80").ready()
    command = up.wait_for("curl")
    assert command == f"  ip netns exec {made} curl http://192.0.2.2/"
    assert "hello" in ns.run(*command.split()).stdout
    assert up.stop() == 0


def test_what_runs_is_finished_before_the_end(ns):
    up = Up(ns).ready()
    client = ns.popen("curl", "-sS", "-N", f"{URL}/stream?n=4&interval=0.2", stdout=-1)
    assert client.stdout.readline() == "tick 1 of 4\n"
    up.signal()
    assert up.end() == 0
    assert client.communicate(timeout=20)[0].splitlines()[-1] == "tick 4 of 4"
    assert up.wait_for("draining 1 connection")


def test_a_second_signal_does_not_wait(ns):
    up = Up(ns).ready()
    client = ns.popen("curl", "-sS", "-N", f"{URL}/stream?n=1000&interval=5", stdout=-1)
    assert client.stdout.readline()
    up.signal(signal.SIGINT)
    up.wait_for("draining")
    up.signal(signal.SIGINT)
    assert up.end() == 0


def test_an_application_that_never_yields_is_left_after_the_third_signal(ns, made):
    up = Up(ns, "wrong:app", "--app-dir", str(APPS), "--netns", made).ready()
    ns.popen("ip", "netns", "exec", made, "curl", "-sS", f"{URL}/hang")
    up.wait_for("hanging")
    for _ in range(20):  # signals that come too fast count as one
        up.signal(signal.SIGINT)
        with contextlib.suppress(subprocess.TimeoutExpired):
            up.process.wait(0.1)
            break
    assert up.end() == 130


def test_an_error_in_a_request_is_500_and_the_run_goes_on():
    with running("wrong:app", "--app-dir", str(APPS)) as up:
        assert "HTTP/1.1 500" in up.curl("-i", f"{URL}/raise")
        assert up.curl(f"{URL}/") == "ok"
        up.wait_for("RuntimeError: on purpose")


def test_an_application_that_exits_takes_the_run_with_it_and_everything_is_gone(ns, made):
    up = Up(ns, "wrong:app", "--app-dir", str(APPS), "--netns", made).ready()
    ns.popen("ip", "netns", "exec", made, "curl", "-sS", f"{URL}/exit")
    assert up.end() == 7


def test_what_a_killed_run_leaves_is_removed_by_down(ns, made):
    up = Up(ns, "wrong:app", "--app-dir", str(APPS), "--netns", made).ready()
    ns.popen("ip", "netns", "exec", made, "curl", "-sS", f"{URL}/die")
    assert up.end() == 9
    assert namespaces.exists(made)
    assert f"removed the namespace {made}\n" in down(ns)


def test_down_leaves_a_living_run_alone(ns, made):
    up = Up(ns, "--netns", made).ready()
    assert f"process {up.process.pid} is still running" in down(ns)
    assert namespaces.exists(made)
    assert up.stop() == 0


def down(ns):
    """What `netstack down` says."""
    return ns.run(sys.executable, "-m", "netstack", "down", cwd=ROOT).stdout


def test_an_application_that_cannot_start_is_one_line_and_everything_is_gone(ns, made):
    up = Up(ns, "wrong:unwilling", "--app-dir", str(APPS), "--netns", made)
    assert up.end() == 1
    assert up.lines[-1] == "netstack: the application failed to start: the database is away"


def test_a_signal_while_the_application_starts_ends_it_well(ns, made):
    up = Up(ns, "wrong:slow_to_start", "--app-dir", str(APPS), "--netns", made)
    up.wait_for("starting")
    up.signal()
    assert up.end() == 0


def test_a_tap_that_somebody_deletes_ends_the_run_with_one_line(ns):
    up = Up(ns).ready()
    ns.delete("netstack0")
    assert up.end() == 1
    assert up.lines[-1] == "netstack: netstack0 was deleted while in use"


@pytest.mark.parametrize(
    ("options", "complaint"),
    [
        ([], "netstack: netstack0: cannot open the TAP: in use by another program (choose another name)"),
        (["--tap", "other0"], "netstack: 192.0.2.0/24 is already routed through netstack0"),
        (["--tap", "lo"], "netstack: lo: cannot open the TAP"),
        ([*ELSEWHERE, "--pcap", "/nowhere/x"], "netstack: cannot write /nowhere/x: No such"),
        ([*ELSEWHERE, "--trace", "/nowhere/x"], "netstack: cannot write /nowhere/x: No such"),
    ],
    ids=["TAP", "subnet", "not a TAP", "capture", "trace"],
)
def test_what_is_in_use_is_one_line_and_leaves_nothing(ns, options, complaint):
    first = Up(ns).ready()
    before = interfaces(ns)
    second = Up(ns, *options)
    assert second.end() == 1
    (line,) = second.lines
    assert line.startswith(complaint)
    assert interfaces(ns) == before
    assert first.stop() == 0
