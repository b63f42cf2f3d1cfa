"""The host's side of a run: set up, refused, undone; always in a namespace of the test's own."""

import contextlib
import os
import signal
from dataclasses import replace
from ipaddress import IPv4Address, IPv4Interface
from pathlib import Path

import pytest

from netstack.host import HostError, Network, network
from netstack.host import namespace as namespaces
from netstack.host import record as records
from tests import netns

pytestmark = pytest.mark.tap
PLAN = Network("ns0", IPv4Interface("192.0.2.1/24"), IPv4Address("192.0.2.2"), 1500, True)
NOBODY = 65_534
ELSEWHERE = IPv4Interface("198.51.100.1/24")


@pytest.fixture
def ns(tmp_path, monkeypatch):
    """A namespace for the tests that need one to be there already; records go to a folder of the test's own."""
    monkeypatch.setattr(records, "FOLDER", tmp_path / "records")
    with netns.namespace() as ns:
        yield ns


def shown(ns, *argv):
    return ns.run("ip", *argv).stdout


def test_the_tap_is_up_with_address_and_mtu_and_gone_afterwards(ns):
    with network(replace(PLAN, netns=ns.name, mtu=1400)) as device:
        assert (device.name, device.mtu, device.offload) == ("ns0", 1400, True)
        address = shown(ns, "addr", "show", "dev", "ns0")
        assert "inet 192.0.2.1/24" in address
        assert "mtu 1400" in address
        assert ",UP" in address
    assert "ns0" not in shown(ns, "link")
    assert namespaces.exists(ns.name)  # it was there before us


def test_a_namespace_that_was_not_there_is_made_and_removed(ns):
    name = f"{ns.name}-made"
    with network(replace(PLAN, netns=name)):
        assert namespaces.exists(name)
        assert records.records()[0].made_netns == name
    assert not namespaces.exists(name)
    assert records.records() == []


def test_everything_is_undone_when_the_block_fails(ns):
    name = f"{ns.name}-made"
    with pytest.raises(RuntimeError, match="app"), network(replace(PLAN, netns=name)):
        raise RuntimeError("app")
    assert not namespaces.exists(name)


def test_the_thread_is_back_where_it_was_while_the_block_runs(ns):
    before = os.stat("/proc/thread-self/ns/net").st_ino
    with network(replace(PLAN, netns=ns.name)):
        assert os.stat("/proc/thread-self/ns/net").st_ino == before


@pytest.mark.parametrize(
    ("change", "complaint"),
    [
        ({"tap": "ns0"}, "ns0: .*in use"),
        ({"tap": "other0"}, "192.0.2.0/24 is already routed through ns0.*--address"),
        ({"tap": "other0", "host": IPv4Interface("192.0.0.1/16")}, "192.0.2.0/24 is already routed through ns0"),
        ({"tap": "other0", "host": ELSEWHERE, "stack": IPv4Address("192.0.2.1")}, "192.0.2.1 is an address of"),
        ({"tap": "lo"}, "lo: .*not a TAP"),
        ({"tap": "sixteen-letters-"}, "longer than 15"),
        ({"netns": "a/b"}, "cannot be the name of a namespace"),
        ({"netns": ".."}, "cannot be the name of a namespace"),
        ({"netns": "-a"}, "cannot be the name of a namespace"),
        ({"netns": ""}, "cannot be the name of a namespace"),
        ({"tap": "other0", "host": ELSEWHERE, "mtu": 65_535}, "other0"),
    ],
)
def test_what_is_taken_or_impossible_is_refused_and_leaves_nothing(ns, change, complaint):
    plan = replace(PLAN, netns=ns.name)
    with network(plan):
        with pytest.raises(HostError, match=complaint) as refused, network(replace(plan, **change)):
            raise AssertionError("should have been refused")
        assert "\n" not in str(refused.value)
        assert "other0" not in shown(ns, "link")


def test_a_wider_route_elsewhere_is_no_conflict(ns):
    wide = replace(PLAN, netns=ns.name, host=IPv4Interface("192.0.0.1/16"))
    with network(wide), network(replace(wide, tap="ns1", host=IPv4Interface("192.0.3.1/24"))) as device:
        assert device.name == "ns1"


def test_a_tap_that_was_there_is_used_and_left_without_our_address(ns):
    ns.run("ip", "tuntap", "add", "ns0", "mode", "tap")
    with network(replace(PLAN, netns=ns.name)):
        assert "192.0.2.1/24" in shown(ns, "addr", "show", "ns0")
    left = shown(ns, "addr", "show", "ns0")
    assert "192.0.2.1/24" not in left
    assert "ns0" in left


def test_an_address_that_was_there_stays(ns):
    ns.run("ip", "tuntap", "add", "ns0", "mode", "tap")
    ns.configure("ns0", "192.0.2.1/24")
    with network(replace(PLAN, netns=ns.name)):
        pass
    assert "192.0.2.1/24" in shown(ns, "addr", "show", "ns0")


def test_a_tap_that_root_made_for_a_user_needs_no_root(ns):
    if Path("/proc/self/uid_map").read_text().split()[2] == "1":
        pytest.skip("there is only one user in this user namespace")
    ns.run("ip", "tuntap", "add", "ns0", "mode", "tap", "user", str(NOBODY))
    ns.configure("ns0", "192.0.2.1/24")
    with ns.inside():
        pid = os.fork()
        if pid == 0:
            status = 1
            with contextlib.suppress(BaseException):
                os.setuid(NOBODY)
                with network(PLAN) as device:
                    status = 0 if device.name == "ns0" else 2
            os._exit(status)
    assert os.waitstatus_to_exitcode(os.waitpid(pid, 0)[1]) == 0


def killed_run(plan):
    """Fork a run that is killed while it is up: what it made stays behind."""
    read, write = os.pipe()
    pid = os.fork()
    if pid == 0:
        with contextlib.suppress(BaseException), network(plan):
            os.write(write, b"up")
            signal.pause()
        os._exit(1)
    os.close(write)
    assert os.read(read, 2) == b"up"
    os.close(read)
    return pid


def test_what_a_killed_run_left_is_removed_and_nothing_else(ns):
    name = f"{ns.name}-made"
    pid = killed_run(replace(PLAN, netns=name))
    try:
        assert records.remove_leftovers() == []  # it lives
        assert namespaces.exists(name)
    finally:
        os.kill(pid, signal.SIGKILL)
        os.waitpid(pid, 0)
    assert records.remove_leftovers() == [f"removed the namespace {name}"]
    assert not namespaces.exists(name)
    assert namespaces.exists(ns.name)
    assert records.records() == []


def test_the_next_run_takes_over_the_namespace_that_a_killed_one_made(ns):
    plan = replace(PLAN, netns=f"{ns.name}-made")
    pid = killed_run(plan)
    os.kill(pid, signal.SIGKILL)
    os.waitpid(pid, 0)
    with network(plan):
        assert namespaces.exists(plan.netns)
    assert not namespaces.exists(plan.netns)


def test_a_record_of_nobody_we_know_is_skipped(ns):
    records.FOLDER.mkdir()
    (records.FOLDER / "1.json").write_text("not a record")
    (records.FOLDER / "2.json").write_text('{"pid": 1}')
    assert records.records() == []
