"""The same layers on a TAP, with the Linux kernel and its programs as the other host."""

import errno
import select
import socket
import subprocess
import time
from collections.abc import Callable, Iterator
from typing import Any

import pytest

from netstack.link.tap import TapDevice
from tests.ip.rig import PEER, US, Rig, octets
from tests.netns import Namespace, namespace

pytestmark = pytest.mark.tap

PATIENCE = 20.0  # real seconds that a program may take for what it does at once


@pytest.fixture(scope="module")
def ns() -> Iterator[Namespace]:
    with namespace() as made:
        made.sysctl("net/ipv6/conf/all/disable_ipv6", 1)
        made.sysctl("net/ipv6/conf/default/disable_ipv6", 1)
        yield made


class Host:
    """A rig on a TAP, run for as long as somebody waits for it."""

    def __init__(self, ns: Namespace, tap: TapDevice) -> None:
        self.ns = ns
        self.tap = tap
        self.rig = Rig(device=tap, known=False)

    def run(self, done: Callable[[], bool]) -> None:
        """Receive and transmit until `done()`."""
        until = time.monotonic() + PATIENCE
        rig = self.rig
        while not done():
            assert time.monotonic() < until, (rig.mib, rig.drops)
            select.select([self.tap.fileno()], [], [], 0.01)
            rig.now = time.monotonic_ns() // 1_000
            while (frame := self.tap.read(rig.now)) is not None:
                rig.link.receive(frame, rig.now)
            rig.arp.expire(rig.now)
            rig.ip.expire(rig.now)
            rig.udp.transmit(rig.now)

    def program(self, *argv: str) -> str:
        """The output of a program in the namespace, which must end well."""
        process = self.ns.popen(*argv, stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        self.run(lambda: process.poll() is not None)
        output, _ = process.communicate()
        self.ns.processes.remove(process)
        assert process.returncode == 0, output
        return output


@pytest.fixture(params=[True, False], ids=["offload", "plain"])
def host(ns: Namespace, request: Any) -> Iterator[Host]:
    with ns.inside():
        tap = TapDevice("tap1", offload=request.param)
    try:
        ns.configure(tap.name, f"{PEER}/24")
        yield Host(ns, tap)
    finally:
        tap.close()


@pytest.mark.parametrize("size", ["0", "56", "1472", "1473", "65507"])
def test_ping_of_any_size(host: Host, size: str) -> None:
    output = host.program("ping", "-n", "-c3", "-i0.1", "-W5", "-M", "dont", "-s", size, US)
    assert " 0% packet loss" in output
    assert host.rig.mib["IcmpOutEchoReps"] == 3
    assert not host.rig.drops


def test_kernel_learns_our_address_and_tells_us_its_own(host: Host) -> None:
    host.program("ping", "-n", "-c1", "-W5", US)
    assert host.rig.arp.neighbors.entries[octets(PEER)].mac != bytes(6)


@pytest.fixture
def client(host: Host) -> Iterator[socket.socket]:
    with host.ns.inside():
        made = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
    with made:
        made.setblocking(False)
        made.connect((US, 53))
        yield made


def test_closed_port_is_connection_refused(host: Host, client: socket.socket) -> None:
    client.send(b"anybody?")
    host.run(lambda: host.rig.mib["UdpNoPorts"] > 0)
    with pytest.raises(ConnectionRefusedError):
        client.recv(100)


@pytest.mark.parametrize("size", [1, 1_472, 1_473, 20_000, 65_507])
def test_datagrams_of_any_size_come_and_go(host: Host, client: socket.socket, size: int) -> None:
    endpoint = host.rig.udp.bind(port=53)
    data = bytes(n * 31 & 255 for n in range(size))
    client.send(data)
    host.run(lambda: bool(endpoint.incoming))
    arrived = endpoint.receive()
    assert arrived is not None
    assert arrived.data == data
    endpoint.send(data, arrived.remote)
    host.run(lambda: bool(select.select([client], [], [], 0)[0]))
    assert client.recv(70_000) == data
    assert not host.rig.drops


def test_kernels_port_unreachable_reaches_a_connected_endpoint(host: Host) -> None:
    endpoint = host.rig.udp.bind()
    endpoint.connect((octets(PEER), 9))
    endpoint.send(b"anybody?")
    host.run(lambda: endpoint.error != 0)
    assert endpoint.error == errno.ECONNREFUSED
