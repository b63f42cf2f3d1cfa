"""Two places to run the same socket program in: the kernel's loopback, and two stacks of ours in virtual time."""

import errno
import random
import select
import socket
from ipaddress import IPv4Interface

from netstack.config import Config
from netstack.link.loopback import LoopbackPair
from netstack.sockets.stream import StreamSocket
from netstack.stack import Stack
from netstack.tcp.readiness import FAILED, HANGUP, READABLE, WRITABLE

CLIENT = Config(address=IPv4Interface("192.0.2.1/24"), mac=bytes.fromhex("02005e000201"))
SERVER = Config(address=IPv4Interface("192.0.2.2/24"), mac=bytes.fromhex("02005e000202"))


def attempt(call, *arguments):
    """What a call gave, or the name of the errno it raised."""
    try:
        return call(*arguments)
    except OSError as error:
        return errno.errorcode[error.errno]


class Wire:
    """Two stacks joined by a link in memory. `now` moves only in `run`, from deadline to deadline."""

    def __init__(self, offload=False):
        self.now = 1_000_000
        self.devices = tuple(LoopbackPair(offload=offload))
        self.stacks = [
            Stack(config, device, random.Random(seed))
            for seed, (config, device) in enumerate(zip((CLIENT, SERVER), self.devices, strict=True))
        ]

    def settle(self):
        """Exchange frames until both are silent. No time passes."""
        for _ in range(10_000):
            for stack, device in zip(self.stacks, self.devices, strict=True):
                while (frame := device.read(self.now)) is not None:
                    stack.receive(frame, self.now)
                stack.expire(self.now)
                stack.transmit(self.now)
            if all(device.deadline() is None for device in self.devices):
                return
        raise AssertionError("the two stacks never stop talking")

    def run(self, duration):
        """Let `duration` microseconds pass, stopping at every deadline on the way."""
        end = self.now + duration
        self.settle()
        while True:
            dues = [due for stack in self.stacks if (due := stack.deadline()) is not None and due <= end]
            if not dues:
                break
            self.now = max(self.now, min(dues))
            self.settle()
        self.now = end
        self.settle()


class StackWorld:
    """Ours. Sockets of the client are made on one stack, those of the server on the other."""

    name = "netstack"
    host = "192.0.2.2"

    def __init__(self):
        self.wire = Wire()
        self.made = []

    def client(self):
        self.made.append(StreamSocket(self.wire.stacks[0]))
        return self.made[-1]

    def server(self):
        self.made.append(StreamSocket(self.wire.stacks[1]))
        return self.made[-1]

    def settle(self):
        self.wire.settle()

    def wait(self, sock, bits=READABLE):
        """Until one of `bits` holds."""
        for _ in range(100):
            self.wire.settle()
            if sock.readiness() & bits:
                return
            self.wire.run(10_000)
        raise AssertionError("never became ready")

    def poll(self, sock):
        self.wire.settle()
        return sock.readiness()

    def close(self):
        for sock in self.made:
            sock.close()


class KernelWorld:
    """The host's kernel, over its loopback interface."""

    name = "kernel"
    host = "127.0.0.1"
    POLL = ((READABLE, select.POLLIN), (WRITABLE, select.POLLOUT), (HANGUP, select.POLLHUP), (FAILED, select.POLLERR))

    def __init__(self):
        self.made = []

    def client(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_STREAM)
        sock.setblocking(False)
        self.made.append(sock)
        return sock

    server = client

    def settle(self):
        """Loopback delivers before the system call returns."""

    def wait(self, sock, bits=READABLE):
        poll = select.poll()
        poll.register(sock, sum(event for bit, event in self.POLL if bits & bit))
        assert poll.poll(5_000), "never became ready"

    def poll(self, sock):
        poll = select.poll()
        poll.register(sock, select.POLLIN | select.POLLOUT)
        events = poll.poll(0)
        return sum(bit for bit, event in self.POLL if events and events[0][1] & event)

    def close(self):
        for sock in self.made:
            sock.close()


def connected(world):
    """(client, accepted, listener): one connection, open at both ends and reported to the client."""
    listener = world.server()
    listener.bind((world.host, 0))
    listener.listen(5)
    client = world.client()
    assert attempt(client.connect, listener.getsockname()) == "EINPROGRESS"
    world.wait(client, WRITABLE)
    assert client.connect(listener.getsockname()) is None
    world.wait(listener)
    accepted, _ = listener.accept()
    if world.name == "kernel":
        accepted.setblocking(False)
    world.made.append(accepted)
    return client, accepted, listener
