"""StreamSocket beyond what the kernel can be compared with: waking, observers, detaching, many connections."""

import socket

import pytest

from netstack.sockets.stream import StreamSocket
from netstack.tcp.readiness import FAILED, READABLE, WRITABLE
from netstack.tcp.state import CLOSED, TIME_WAIT
from tests.sockets.worlds import StackWorld, attempt, connected


def test_observers_hear_what_happened_from_transmit():
    world = StackWorld()
    listener, client, told = world.server(), world.client(), []
    listener.on_ready(lambda bits: told.append(("listener", bits)))
    client.on_ready(lambda bits: told.append(("client", bits)))
    listener.bind((world.host, 80))
    listener.listen()
    attempt(client.connect, (world.host, 80))
    assert told == []
    world.settle()
    assert sorted(told) == [("client", WRITABLE), ("listener", READABLE)]
    accepted, _ = listener.accept()
    told.clear()
    accepted.send(b"x")
    world.settle()
    assert told == [("client", READABLE)]
    told.clear()
    client.on_ready(None)
    accepted.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
    accepted.close()
    world.settle()
    assert told == []
    assert client.readiness() & FAILED


def test_every_call_that_asks_for_something_wakes():
    world = StackWorld()
    client, _accepted, listener = connected(world)
    woken = []
    sock = StreamSocket(world.wire.stacks[0], lambda: woken.append(True))

    def wakes(call, *arguments):
        woken.clear()
        attempt(call, *arguments)
        return bool(woken)

    assert wakes(sock.connect, listener.getsockname())
    world.wait(sock, WRITABLE)
    assert not wakes(sock.recv, 1)
    assert wakes(sock.send, b"x")
    assert wakes(sock.setsockopt, socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
    assert wakes(sock.shutdown, socket.SHUT_WR)
    assert wakes(sock.close)
    client.close()


def test_detach_keeps_the_connection_open():
    world = StackWorld()
    client, accepted, _ = connected(world)
    connection = client.detach()
    assert attempt(client.send, b"x") == "EBADF"
    connection.send(b"still open")
    world.settle()
    assert accepted.recv(100) == b"still open"
    again = StreamSocket.of(world.wire.stacks[0], connection)
    assert again.getpeername() == accepted.getsockname()
    again.close()
    world.settle()
    assert accepted.recv(1) == b""


def test_closing_leaves_nothing_behind():
    world = StackWorld()
    client, accepted, listener = connected(world)
    for sock in (client, accepted, listener):
        sock.close()
    bound = world.server()
    bound.bind((world.host, 0))
    bound.close()
    world.settle()
    states = {connection.state for stack in world.wire.stacks for connection in stack.tcp.connections.values()}
    assert states <= {CLOSED, TIME_WAIT}
    world.wire.run(120_000_000)
    for stack in world.wire.stacks:
        assert not stack.tcp.connections
        assert not stack.tcp.listeners
        assert stack.deadline() is None
    address = (world.host, 50_000)
    world.server().bind(address)
    world.made.pop().close()
    world.server().bind(address)


def test_what_does_not_fit_is_taken_in_part_and_room_is_announced():
    world = StackWorld()
    client, accepted, _ = connected(world)
    told, payload = [], bytes(range(256)) * 16_384
    client.on_ready(told.append)
    sent, received = 0, b""
    while len(received) < len(payload):
        if sent < len(payload):
            outcome = attempt(client.send, payload[sent:])
            if outcome == "EAGAIN":
                assert not client.readiness() & WRITABLE
            else:
                assert 0 < outcome <= len(payload) - sent
                sent += outcome
        world.settle()
        got = attempt(accepted.recv, 1 << 20)
        received += b"" if got == "EAGAIN" else got
    assert received == payload
    assert WRITABLE in told


def test_negative_sizes_are_value_errors():
    client, _, _ = connected(StackWorld())
    with pytest.raises(ValueError, match="negative"):
        client.recv(-1)
