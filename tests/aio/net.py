"""Two interfaces back to back on one virtual loop, and a protocol that writes down what it is told."""

import asyncio
import random
from contextlib import asynccontextmanager
from ipaddress import IPv4Interface

from netstack.aio import Interface
from netstack.config import Config
from netstack.link.fault import Faults, Impairment
from netstack.link.loopback import LoopbackPair

CLIENT = Config(address=IPv4Interface("192.0.2.1/24"), mac=bytes.fromhex("02005e000201"))
SERVER = Config(address=IPv4Interface("192.0.2.2/24"), mac=bytes.fromhex("02005e000202"))
HOST = "192.0.2.2"


@asynccontextmanager
async def two_stacks(offload=False, faults=None, seed=1):
    """(client, server), each an Interface; with `faults`, both directions of the path between them have them."""
    left, right = LoopbackPair(offload=offload)
    if faults is not None:
        left = Impairment(left, random.Random(seed), inbound=faults, outbound=faults)
    async with (
        Interface(left, CLIENT, rng=random.Random(seed)) as client,
        Interface(right, SERVER, rng=random.Random(seed + 1)) as server,
    ):
        yield client, server


class Recorder(asyncio.Protocol):
    """`log` has every callback in order; runs of data are joined."""

    keep_open = False

    def __init__(self):
        self.log = []
        self.transport = None
        self.lost = asyncio.get_running_loop().create_future()

    def connection_made(self, transport):
        self.transport = transport
        self.log.append("made")

    def data_received(self, data):
        assert type(data) is bytes
        if self.log and isinstance(self.log[-1], bytes):
            data = self.log.pop() + data
        self.log.append(data)

    def eof_received(self):
        self.log.append("eof")
        return self.keep_open

    def pause_writing(self):
        self.log.append("pause")

    def resume_writing(self):
        self.log.append("resume")

    def connection_lost(self, exc):
        self.log.append(("lost", type(exc)))
        self.lost.set_result(exc)


class Patient(Recorder):
    """Keeps its half open when the peer closes the other."""

    keep_open = True


@asynccontextmanager
async def two_protocols(client_factory=Recorder, server_factory=Recorder, **path):
    """One connection: (client protocol, server protocol), both made."""
    made = asyncio.get_running_loop().create_future()

    def factory():
        protocol = server_factory()
        made.set_result(protocol)
        return protocol

    async with two_stacks(**path) as (client, server):
        await server.create_server(factory, port=80)
        _, near = await client.create_connection(client_factory, HOST, 80)
        yield near, await made


__all__ = ["CLIENT", "HOST", "SERVER", "Faults", "Patient", "Recorder", "two_protocols", "two_stacks"]
