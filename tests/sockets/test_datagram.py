"""Datagram sockets: the same programs on the kernel's loopback and on two stacks."""

import errno
import random
import select
import socket

import pytest

from netstack.sockets.datagram import DatagramSocket
from netstack.tcp.readiness import FAILED, READABLE, WRITABLE
from tests.sockets.worlds import Wire, attempt


class StackWorld:
    name, host = "netstack", "192.0.2.2"

    def __init__(self):
        self.wire = Wire()
        self.made = []

    def client(self):
        self.made.append(DatagramSocket(self.wire.stacks[0]))
        return self.made[-1]

    def server(self):
        self.made.append(DatagramSocket(self.wire.stacks[1]))
        return self.made[-1]

    def wait(self, sock):
        self.wire.settle()
        assert sock.readiness() & (READABLE | FAILED)

    def error(self, sock):
        return sock.take_error()


class KernelWorld:
    name, host = "kernel", "127.0.0.1"

    def __init__(self):
        self.made = []

    def client(self):
        sock = socket.socket(socket.AF_INET, socket.SOCK_DGRAM)
        sock.setblocking(False)
        self.made.append(sock)
        return sock

    server = client

    def wait(self, sock):
        poll = select.poll()
        poll.register(sock, select.POLLIN)
        assert poll.poll(5_000)

    def error(self, sock):
        return sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


def exchange(world):
    server, client = world.server(), world.client()
    server.bind((world.host, 0))
    yield attempt(server.recvfrom, 10)
    yield client.getsockname()
    yield client.sendto(b"question", server.getsockname())
    world.wait(server)
    data, sender = server.recvfrom(100)
    yield data
    yield sender[1] == client.getsockname()[1]
    yield server.sendto(bytearray(b"answer"), sender)
    yield server.sendto(b"", sender)
    world.wait(client)
    yield client.recvfrom(3) == (b"ans", server.getsockname())
    yield client.recv(10)
    yield attempt(client.recv, 10)


def large(world):
    server, client = world.server(), world.client()
    server.bind((world.host, 0))
    payload = random.Random(1).randbytes(30_000)
    yield client.sendto(payload, server.getsockname())
    world.wait(server)
    yield server.recv(65_535) == payload
    yield attempt(client.sendto, bytes(65_508), server.getsockname())


def nobody(world):
    server, client = world.server(), world.client()
    server.bind((world.host, 0))
    address = server.getsockname()
    server.close()
    client.connect(address)
    yield client.getpeername() == address
    yield client.send(b"anybody?")
    world.wait(client)
    yield attempt(client.recv, 10)
    yield attempt(client.recv, 10)
    yield client.send(b"anybody?")
    world.wait(client)
    yield errno.errorcode[world.error(client)]
    yield world.error(client)
    yield client.send(b"anybody?")
    world.wait(client)
    yield attempt(client.send, b"anybody?")


def connected(world):
    server, stranger, client = world.server(), world.server(), world.client()
    server.bind((world.host, 0))
    stranger.bind((world.host, 0))
    client.connect(server.getsockname())
    client.send(b"hello")
    world.wait(server)
    _, sender = server.recvfrom(10)
    stranger.sendto(b"not for you", sender)
    server.sendto(b"for you", sender)
    world.wait(client)
    yield client.recv(100)
    yield attempt(client.recv, 100)


def misuse(world):
    sock, other = world.server(), world.server()
    sock.bind((world.host, 0))
    yield attempt(sock.send, b"x")
    yield attempt(sock.getpeername)
    yield attempt(sock.bind, (world.host, 0))
    yield attempt(other.bind, sock.getsockname())
    yield attempt(other.bind, ("203.0.113.9", 0))
    sock.close()
    sock.close()
    yield attempt(sock.send, b"x")
    yield attempt(sock.recv, 1)
    yield attempt(sock.getsockname)


@pytest.mark.parametrize("program", [exchange, large, nobody, connected, misuse])
def test_same_as_the_kernel(program):
    results = {}
    for world in (KernelWorld(), StackWorld()):
        try:
            results[world.name] = list(program(world))
        finally:
            for sock in world.made:
                sock.close()
    assert results["netstack"] == results["kernel"]


def test_observers_are_told_from_transmit():
    world = StackWorld()
    server, client = world.server(), world.client()
    told = []
    server.on_ready(told.append)
    server.bind((world.host, 0))
    client.sendto(b"x", server.getsockname())
    world.wire.settle()
    assert told == [READABLE]
    assert server.readiness() == READABLE | WRITABLE


def test_a_full_queue_says_try_again():
    world = StackWorld()
    client = world.client()
    woken = []
    client._wake = lambda: woken.append(True)
    outcome, count = 1, 0
    while outcome == 1:
        outcome = attempt(client.sendto, b"x", (world.host, 9))
        count += 1
    assert outcome == "EAGAIN"
    assert len(woken) == count - 1
    assert not client.readiness() & WRITABLE
    world.wire.settle()
    assert client.readiness() & WRITABLE


