"""The same program on the kernel's loopback and on ours: every result and every errno must be the same."""

import socket
import struct

import pytest

from netstack.tcp.readiness import FAILED, READABLE, WRITABLE
from tests.sockets.worlds import KernelWorld, StackWorld, attempt, connected

LINGER_0 = struct.pack("ii", 1, 0)
SCENARIOS = []


def scenario(function):
    SCENARIOS.append(function)
    return function


@pytest.mark.parametrize("program", SCENARIOS, ids=lambda function: function.__name__)
def test_same_as_the_kernel(program):
    results = {}
    for world in (KernelWorld(), StackWorld()):
        try:
            results[world.name] = list(program(world))
        finally:
            world.close()
    assert results["netstack"] == results["kernel"]


@scenario
def fresh(world):
    sock = world.client()
    yield sock.getsockname()
    yield attempt(sock.getpeername)
    yield attempt(sock.send, b"x")
    yield attempt(sock.send, b"")
    yield attempt(sock.recv, 10)
    yield attempt(sock.recv_into, bytearray(10))
    yield attempt(sock.accept)
    yield world.poll(sock)
    for how in (socket.SHUT_RD, socket.SHUT_WR, socket.SHUT_RDWR):
        yield attempt(sock.shutdown, how)
    yield sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@scenario
def wrong_argument_of_shutdown(world):
    client, _, _ = connected(world)
    yield attempt(client.shutdown, 3)
    yield attempt(client.shutdown, -1)


@scenario
def bound(world):
    sock = world.server()
    yield attempt(sock.bind, ("203.0.113.9", 0))  # not one of this host's
    sock.bind((world.host, 0))
    yield sock.getsockname()[1] > 0
    yield attempt(sock.bind, (world.host, 0))
    yield attempt(sock.getpeername)
    yield attempt(sock.recv, 1)
    again = world.server()
    yield attempt(again.bind, sock.getsockname())
    yield attempt(again.bind, ("", sock.getsockname()[1]))
    sock.close()
    yield attempt(again.bind, (world.host, 0))


@pytest.mark.parametrize("first", [0, 1])
@pytest.mark.parametrize("second", [0, 1])
@pytest.mark.parametrize("listening", [False, True])
def test_reuseaddr_rules_are_the_kernels(first, second, listening):
    def program(world):
        one, two = world.server(), world.server()
        one.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, first)
        two.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, second)
        one.bind((world.host, 0))
        if listening:
            one.listen(1)
        yield attempt(two.bind, one.getsockname())
        yield attempt(two.listen, 1)

    test_same_as_the_kernel(program)


@scenario
def both_listen_where_both_could_bind(world):
    one, two = world.server(), world.server()
    for sock in (one, two):
        sock.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    one.bind((world.host, 0))
    two.bind(one.getsockname())
    one.listen(1)
    yield attempt(two.listen, 1)


@scenario
def port_in_use_by_a_connection(world):
    _client, accepted, listener = connected(world)
    port = accepted.getsockname()[1]
    listener.close()
    world.settle()
    plain, reusing = world.server(), world.server()
    yield attempt(plain.bind, (world.host, port))
    reusing.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    yield attempt(reusing.bind, (world.host, port))


@scenario
def listening(world):
    sock = world.server()
    yield sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    sock.listen(5)
    yield sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)
    yield sock.getsockname()[0]
    yield sock.getsockname()[1] > 0
    yield world.poll(sock)
    yield attempt(sock.accept)
    yield attempt(sock.connect, (world.host, 9))
    yield attempt(sock.recv, 1)
    yield attempt(sock.send, b"x")
    yield attempt(sock.getpeername)
    yield attempt(sock.listen, 1)
    yield attempt(sock.shutdown, socket.SHUT_WR)
    yield attempt(sock.accept)
    yield attempt(sock.shutdown, socket.SHUT_RD)
    yield attempt(sock.accept)
    yield sock.getsockopt(socket.SOL_SOCKET, socket.SO_ACCEPTCONN)


@scenario
def accepting(world):
    client, accepted, listener = connected(world)
    yield accepted.getpeername() == client.getsockname()
    yield accepted.getsockname() == listener.getsockname() == client.getpeername()
    yield attempt(listener.accept)
    yield attempt(accepted.accept)
    yield attempt(accepted.listen)
    yield attempt(accepted.bind, (world.host, 0))
    yield attempt(accepted.connect, client.getsockname())
    yield world.poll(accepted)


@scenario
def connected_and_talking(world):
    client, accepted, listener = connected(world)
    yield attempt(client.connect, listener.getsockname())
    yield attempt(client.recv, 10)
    yield attempt(client.recv_into, bytearray(10))
    yield client.recv(0)
    yield client.send(b"")
    yield client.send(b"hello")
    world.wait(accepted)
    yield world.poll(accepted)
    yield accepted.recv(3)
    buffer = bytearray(10)
    yield accepted.recv_into(buffer)
    yield bytes(buffer)
    yield attempt(accepted.recv, 1)
    yield accepted.send(bytearray(b"ab"))
    yield accepted.send(memoryview(b"cd"))
    world.wait(client)
    yield client.recv(100)


@scenario
def refused(world):
    address = _nobody(world)
    sock = world.client()
    yield attempt(sock.connect, address)
    world.wait(sock, FAILED)
    yield world.poll(sock)
    yield sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    yield sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    yield world.poll(sock)
    yield attempt(sock.getpeername)
    yield attempt(sock.recv, 1)
    yield attempt(sock.connect, address)
    yield attempt(sock.connect, address)


@scenario
def refused_and_connected_again(world):
    address = _nobody(world)
    sock = world.client()
    yield attempt(sock.connect, address)
    world.wait(sock, FAILED)
    yield attempt(sock.connect, address)
    yield attempt(sock.connect, address)
    world.wait(sock, FAILED)
    yield sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@scenario
def refused_and_read(world):
    sock = world.client()
    yield attempt(sock.connect, _nobody(world))
    world.wait(sock, FAILED)
    yield attempt(sock.recv, 1)
    yield attempt(sock.recv, 1)
    yield attempt(sock.send, b"x")


@scenario
def refused_and_written(world):
    sock = world.client()
    yield attempt(sock.connect, _nobody(world))
    world.wait(sock, FAILED)
    yield attempt(sock.send, b"x")
    yield attempt(sock.send, b"x")
    yield attempt(sock.recv, 1)


def _nobody(world):
    """An address where nobody listens."""
    sock = world.server()
    sock.bind((world.host, 0))
    address = sock.getsockname()
    sock.close()
    return address


@scenario
def still_connecting(world):
    """A full accept queue leaves the next SYN without an answer."""
    listener = world.server()
    listener.bind((world.host, 0))
    listener.listen(0)
    address = listener.getsockname()
    first = world.client()
    yield attempt(first.connect, address)
    world.wait(first, WRITABLE)
    sock = world.client()
    yield attempt(sock.connect, address)
    world.settle()
    yield world.poll(sock)
    yield attempt(sock.connect, address)
    yield attempt(sock.send, b"x")
    yield attempt(sock.recv, 1)
    yield attempt(sock.getpeername)
    yield attempt(sock.listen, 1)
    yield sock.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)


@scenario
def reset_and_read(world):
    client, accepted, listener = connected(world)
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
    accepted.close()
    world.wait(client, FAILED)
    yield world.poll(client)
    yield attempt(client.recv, 1)
    yield attempt(client.recv, 1)
    yield attempt(client.send, b"x")
    yield world.poll(client)
    yield client.getsockopt(socket.SOL_SOCKET, socket.SO_ERROR)
    yield attempt(client.getpeername)
    yield attempt(client.shutdown, socket.SHUT_WR)
    yield attempt(client.connect, listener.getsockname())


@scenario
def reset_and_written(world):
    client, accepted, _ = connected(world)
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
    accepted.close()
    world.wait(client, FAILED)
    yield attempt(client.send, b"x")
    yield attempt(client.send, b"x")
    yield attempt(client.recv, 1)


@scenario
def reset_behind_data(world):
    client, accepted, _ = connected(world)
    accepted.send(b"last words")
    world.settle()
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, LINGER_0)
    accepted.close()
    world.wait(client, FAILED)
    yield attempt(client.recv, 4)
    yield attempt(client.recv, 100)
    yield attempt(client.recv, 1)
    yield attempt(client.recv, 1)


@scenario
def closed_with_unread_data(world):
    client, accepted, _ = connected(world)
    client.send(b"unread")
    world.wait(accepted)
    accepted.close()
    world.wait(client, FAILED)
    yield attempt(client.recv, 1)


@scenario
def peer_closed(world):
    client, accepted, _ = connected(world)
    accepted.send(b"bye")
    accepted.close()
    world.wait(client)
    yield client.recv(100)
    world.wait(client)
    yield client.recv(100)
    yield client.recv(100)
    yield world.poll(client)
    yield attempt(client.send, b"into the void")
    world.wait(client, FAILED)
    yield world.poll(client)
    yield attempt(client.recv, 1)
    yield attempt(client.send, b"x")
    yield attempt(client.send, b"x")


@scenario
def half_closed(world):
    client, accepted, _ = connected(world)
    client.send(b"request")
    yield attempt(client.shutdown, socket.SHUT_WR)
    yield attempt(client.send, b"more")
    yield attempt(client.recv, 1)
    world.wait(accepted)
    yield accepted.recv(100)
    world.wait(accepted)
    yield accepted.recv(100)
    yield accepted.send(b"answer")
    world.wait(client)
    yield client.recv(100)
    yield attempt(client.shutdown, socket.SHUT_WR)
    yield world.poll(client)
    accepted.close()
    world.wait(client)
    yield client.recv(1)
    yield attempt(client.send, b"x")


@scenario
def receiving_shut(world):
    client, accepted, _ = connected(world)
    yield attempt(client.shutdown, socket.SHUT_RD)
    yield world.poll(client)
    yield client.recv(10)
    accepted.send(b"though")
    world.settle()
    yield client.recv(10)
    yield client.recv(10)
    yield client.send(b"x")


@scenario
def shut_both_ways(world):
    client, accepted, _ = connected(world)
    yield attempt(client.shutdown, socket.SHUT_RDWR)
    yield client.recv(1)
    yield attempt(client.send, b"x")
    world.wait(accepted)
    yield accepted.recv(1)
    yield attempt(accepted.shutdown, socket.SHUT_RDWR)
    world.settle()
    yield attempt(accepted.shutdown, socket.SHUT_WR)
    yield world.poll(accepted)


@scenario
def full_buffers(world):
    client, _accepted, _ = connected(world)
    chunk, outcome = bytes(65536), 0
    while isinstance(outcome, int):
        world.settle()
        outcome = attempt(client.send, chunk)
    yield outcome
    yield world.poll(client)


@scenario
def closed(world):
    sock = world.client()
    sock.close()
    sock.close()
    address = (world.host, 9)
    yield attempt(sock.bind, address)
    yield attempt(sock.connect, address)
    yield attempt(sock.listen, 1)
    yield attempt(sock.accept)
    yield attempt(sock.send, b"x")
    yield attempt(sock.recv, 1)
    yield attempt(sock.getsockname)
    yield attempt(sock.getpeername)
    yield attempt(sock.shutdown, socket.SHUT_WR)
    yield attempt(sock.setsockopt, socket.SOL_SOCKET, socket.SO_KEEPALIVE, 1)
    yield attempt(sock.getsockopt, socket.SOL_SOCKET, socket.SO_KEEPALIVE)


@scenario
def unreachable_network(world):
    """Nothing to compare but the class of failure: there is no route."""
    sock = world.client()
    yield attempt(sock.connect, ("255.255.255.255", 9)) in ("ENETUNREACH", "EACCES")


def test_readiness_bits_are_not_the_polls_by_chance():
    world = StackWorld()
    client, accepted, _ = connected(world)
    assert world.poll(client) == WRITABLE
    accepted.send(b"x")
    assert world.poll(client) == READABLE | WRITABLE
