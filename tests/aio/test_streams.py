"""Streams between two stacks: asyncio's own reader and writer on our transport."""

import asyncio
import hashlib
import random

import pytest

from netstack.tcp.state import TIME_WAIT
from tests.aio.net import HOST, Faults, two_stacks
from tests.aio.virtual_loop import run

MEGABYTE = 1024 * 1024


async def echo(reader, writer):
    while data := await reader.read(65536):
        writer.write(data)
        await writer.drain()
    writer.close()
    await writer.wait_closed()


def test_lines_are_echoed():
    async def main():
        async with two_stacks() as (client, server):
            await server.start_server(echo, port=7)
            reader, writer = await client.open_connection(HOST, 7)
            for word in (b"one\n", b"two\n"):
                writer.write(word)
                assert await reader.readline() == word
            writer.write_eof()
            assert await reader.read() == b""
            writer.close()
            await writer.wait_closed()

    run(main())


@pytest.mark.parametrize("offload", [False, True])
def test_a_large_transfer_both_ways_at_once(offload):
    payload = random.Random(1).randbytes(6 * MEGABYTE)

    async def main():
        async with two_stacks(offload=offload) as (client, server):
            await server.start_server(echo, port=7)
            reader, writer = await client.open_connection(HOST, 7)

            async def send():
                for at in range(0, len(payload), 100_000):
                    writer.write(payload[at : at + 100_000])
                    await writer.drain()
                writer.write_eof()

            _, received = await asyncio.gather(send(), reader.read())
            assert hashlib.sha256(received).digest() == hashlib.sha256(payload).digest()
            writer.close()

    run(main())


@pytest.mark.parametrize(
    "faults",
    [
        Faults(loss=0.02, delay=5_000),
        Faults(loss=0.05, duplicate=0.02, reorder=0.05, delay=2_000, jitter=1_000),
        Faults(corrupt=0.02, delay=1_000),
        Faults(rate=20_000_000, queue_frames=30, delay=10_000),
    ],
    ids=["loss", "loss-duplication-reordering", "corruption", "bottleneck"],
)
def test_octets_in_are_octets_out_over_a_bad_path(faults):
    payload = random.Random(2).randbytes(MEGABYTE)

    async def main():
        digests = asyncio.get_running_loop().create_future()

        async def sink(reader, writer):
            writer.write(payload)  # both directions at once
            digests.set_result(hashlib.sha256(await reader.read()).digest())
            writer.close()

        async with two_stacks(faults=faults, seed=7) as (client, server):
            await server.start_server(sink, port=9)
            reader, writer = await client.open_connection(HOST, 9)
            writer.write(payload)
            writer.write_eof()
            received = await reader.read()
            writer.close()
            return [await digests, hashlib.sha256(received).digest()]

    assert run(main()) == [hashlib.sha256(payload).digest()] * 2


def test_two_hundred_connections_at_once_leave_nothing_behind():
    async def main():
        async with two_stacks() as (client, server):
            listener = await server.start_server(echo, port=7, backlog=256)

            async def one(number):
                reader, writer = await client.open_connection(HOST, 7)
                message = b"%d " % number * 1000
                writer.write(message)
                writer.write_eof()
                assert await reader.read() == message
                writer.close()
                await writer.wait_closed()

            await asyncio.gather(*(one(number) for number in range(200)))
            listener.close()
            await listener.wait_closed()
            await client.driver.idle()
            await server.driver.idle()
            assert not client.driver.transports
            assert not server.driver.transports
            waiting = [*client.stack.tcp.connections.values(), *server.stack.tcp.connections.values()]
            assert {connection.state for connection in waiting} <= {TIME_WAIT}
            await asyncio.sleep(120)
            assert not client.stack.tcp.connections
            assert not server.stack.tcp.connections
            assert not server.stack.tcp.ports.bound

    run(main())


def test_a_reader_that_does_not_read_stops_the_sender():
    async def main():
        async with two_stacks() as (client, server):
            release = asyncio.Event()

            async def slow(reader, writer):
                await release.wait()
                received.append(len(await reader.read()))
                writer.close()

            received, written = [], 0
            await server.start_server(slow, port=9)
            _, writer = await client.open_connection(HOST, 9)
            drained = True
            while drained:
                writer.write(bytes(100_000))
                written += 100_000
                waiting = asyncio.ensure_future(writer.drain())
                await asyncio.wait((waiting,), timeout=10)
                drained = waiting.done()
            assert written < 16 * MEGABYTE
            release.set()
            await waiting
            writer.close()
            await writer.wait_closed()
            await asyncio.sleep(10)
            assert received == [written]

    run(main())


def test_connection_refused():
    async def main():
        async with two_stacks() as (client, _server):
            with pytest.raises(ConnectionRefusedError, match=r"192\.0\.2\.2:81"):
                await client.open_connection(HOST, 81)

    run(main())


def test_nobody_at_that_address():
    async def main():
        async with two_stacks() as (client, _server):
            with pytest.raises(OSError, match="No route to host"):
                await client.open_connection("192.0.2.77", 80)
            with pytest.raises(OSError, match="unreachable"):
                await client.open_connection("203.0.113.1", 80)
            assert not client.stack.tcp.connections

    run(main())


def test_a_cancelled_connect_is_forgotten():
    async def main():
        async with two_stacks() as (client, server):
            server.stack.ip.protocols[6] = lambda *segment: None
            with pytest.raises(TimeoutError):
                await asyncio.wait_for(client.open_connection(HOST, 80), 2)
            assert not client.stack.tcp.connections

    run(main())


def test_a_connect_that_nobody_answers_times_out():
    async def main():
        async with two_stacks() as (client, server):
            server.stack.ip.protocols[6] = lambda *segment: None
            with pytest.raises(TimeoutError, match="timed out"):
                await client.open_connection(HOST, 80)
            return asyncio.get_running_loop().time()

    assert 60 < run(main()) < 200  # six retransmissions, doubling from a second


def test_the_local_address_can_be_chosen():
    async def main():
        async with two_stacks() as (client, server):
            await server.start_server(echo, port=7)
            _, writer = await client.open_connection(HOST, 7, local_addr=("192.0.2.1", 50_007))
            assert writer.get_extra_info("sockname") == ("192.0.2.1", 50_007)
            with pytest.raises(OSError, match="in use"):
                await client.open_connection(HOST, 7, local_addr=("192.0.2.1", 50_007))
            writer.close()

    run(main())


def test_a_stack_talks_to_itself():
    async def main():
        async with two_stacks() as (_, server):
            await server.start_server(echo, port=7)
            reader, writer = await server.open_connection(HOST, 7)
            writer.write(bytes(300_000))
            writer.write_eof()
            assert len(await reader.read()) == 300_000
            writer.close()
            await writer.wait_closed()

    run(main())
