"""Random schedules of everything an application can do, over good and bad paths: octets in are octets out."""

import asyncio
import random

import pytest

from tests.aio.net import Faults, Patient, two_protocols
from tests.aio.virtual_loop import run


class Actor(Patient):
    """Acts at random: writes pieces of any kind and size, pauses and resumes reading, waits; then half-closes."""

    async def act(self, rng):
        self.sent = bytearray()
        for _ in range(rng.randrange(5, 40)):
            await getattr(self, rng.choice(("write", "write", "write_lines", "pause", "resume", "wait")))(rng)
            if rng.random() < 0.5:
                await asyncio.sleep(rng.choice((0, 0, 0.0005, 0.05, 1)))
        self.transport.resume_reading()
        self.transport.write_eof()

    def piece(self, rng):
        data = rng.randbytes(rng.choice((0, 1, 100, 1448, 5_000, 70_000, 400_000)))
        self.sent += data
        return rng.choice((bytes, bytearray, memoryview))(data)

    async def write(self, rng):
        self.transport.write(self.piece(rng))

    async def write_lines(self, rng):
        self.transport.writelines([self.piece(rng) for _ in range(rng.randrange(4))])

    async def pause(self, rng):
        self.transport.pause_reading()

    async def resume(self, rng):
        self.transport.resume_reading()

    async def wait(self, rng):
        await asyncio.sleep(rng.random())

    def received(self):
        return b"".join(entry for entry in self.log if isinstance(entry, bytes))


@pytest.mark.parametrize("seed", range(24))
def test_octets_in_are_octets_out(seed):
    rng = random.Random(seed)
    faults = rng.choice((None, None, Faults(loss=0.03, reorder=0.05, duplicate=0.01, delay=rng.randrange(20_000))))
    offload = faults is None and rng.random() < 0.5

    async def main():
        async with two_protocols(Actor, Actor, faults=faults, offload=offload, seed=seed) as (near, far):
            await asyncio.gather(near.act(random.Random(seed)), far.act(random.Random(seed + 1)))
            for _ in range(600):
                if "eof" in near.log and "eof" in far.log:
                    break
                await asyncio.sleep(1)
            assert far.received() == near.sent
            assert near.received() == far.sent
            for protocol in (near, far):
                pauses = [entry for entry in protocol.log if entry in ("pause", "resume")]
                assert pauses == ["pause", "resume"] * (len(pauses) // 2)
                assert protocol.transport.get_write_buffer_size() == 0
                protocol.transport.close()
            assert await near.lost is None
            assert await far.lost is None

    run(main())
