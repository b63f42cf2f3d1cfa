"""The driver on devices that an event loop watches: a socket pair stands in for the TAP."""

import asyncio
import random
import socket

from netstack.aio import Interface
from netstack.aio.driver import Driver
from netstack.link.device import MAX_FRAME
from tests.aio.net import CLIENT, HOST, SERVER
from tests.aio.test_streams import echo
from tests.aio.virtual_loop import run


class SocketDevice:
    """One end of a datagram socket pair, as a Device without offload."""

    def __init__(self, sock):
        self.sock, self.mtu, self.offload, self.reads = sock, 1500, False, 0
        sock.setblocking(False)

    def read(self, now):
        self.reads += 1
        try:
            return self.sock.recv(MAX_FRAME)
        except BlockingIOError:
            return None

    def write(self, head, payload, now):
        try:
            self.sock.sendmsg([head, payload])
        except (BlockingIOError, BrokenPipeError, ConnectionRefusedError):
            pass

    def deadline(self):
        return None

    def expire(self, now):
        """Nothing is ever due."""

    def fileno(self):
        return self.sock.fileno()

    def close(self):
        self.sock.close()


def ends():
    return [SocketDevice(sock) for sock in socket.socketpair(socket.AF_UNIX, socket.SOCK_DGRAM)]


def test_streams_over_a_descriptor():
    async def main():
        near, far = ends()
        async with (
            Interface(near, CLIENT, rng=random.Random(1)) as client,
            Interface(far, SERVER, rng=random.Random(2)) as server,
        ):
            await server.start_server(echo, port=7)
            reader, writer = await client.open_connection(HOST, 7)
            payload = random.Random(3).randbytes(1_000_000)
            writer.write(payload)
            writer.write_eof()
            assert await reader.read() == payload
            writer.close()
            await writer.wait_closed()
        assert near.fileno() == far.fileno() == -1

    run(main())


def test_a_flooded_descriptor_is_read_once_per_iteration_and_drained():
    async def main():
        near, far = ends()
        far.sock.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 20)
        async with Interface(near, CLIENT, rng=random.Random(1)) as client:
            await asyncio.sleep(1)
            sent = 0
            while True:
                try:
                    far.sock.send(bytes(100))
                    sent += 1
                except BlockingIOError:
                    break
            drops, reads, steps = client.stack.counters.drops, near.reads, []
            while sum(drops.values()) < sent:
                await asyncio.sleep(0)
                steps.append(near.reads - reads)
                reads = near.reads
            assert max(steps) <= 2 * Driver.FRAMES + 1
            await asyncio.sleep(1)
            assert near.reads - reads <= 2  # quiet again: nobody polls an empty device
        far.close()

    run(main())


def test_closed_it_no_longer_watches_the_descriptor():
    async def main():
        near, far = ends()
        async with Interface(near, CLIENT, rng=random.Random(1)) as client:
            await asyncio.sleep(1)
            client.driver.close()
            reads = near.reads
            far.sock.send(bytes(100))
            await asyncio.sleep(1)
            assert near.reads == reads
            client.driver.start()
            await asyncio.sleep(1)
            assert near.reads > reads
        far.close()

    run(main())
