"""Who is woken, as those who watch are told: a transport, a coroutine that waits, a listener."""

import asyncio

from netstack.events import BufferChanged, Woken
from netstack.tcp.readiness import READABLE, WRITABLE
from tests.aio.net import HOST, Recorder, two_stacks
from tests.aio.test_streams import echo
from tests.aio.virtual_loop import run


def test_everybody_who_is_woken_has_a_name():
    async def main():
        async with two_stacks() as (client, server):
            near, far = [], []
            client.stack.observe(near.append)
            server.stack.observe(far.append)
            await server.start_server(echo, HOST, 80)
            await server.create_server(Recorder, HOST, 81)
            reader, writer = await client.open_connection(HOST, 80)
            writer.write(b"hello")
            assert await reader.readexactly(5) == b"hello"
            transport, _ = await client.create_connection(Recorder, HOST, 81)
            transport.write(b"x")
            await asyncio.sleep(1)
            transport.close()
            writer.close()
            return woken(near), woken(far), near, far

    near, far, *events = run(main())
    assert near[:2] == [("coroutine", WRITABLE), ("coroutine", READABLE)]  # connected, answered
    assert far[:2] == [("listener", READABLE), ("coroutine", far[1][1])]
    assert far[1][1] & READABLE
    assert ("transport", READABLE) in [(what, ready & READABLE) for what, ready in far]
    for one in events:  # what went into a buffer has left it
        changes = [event.change for event in one if isinstance(event, BufferChanged)]
        assert len(changes) >= 6
        assert sum(changes) == 0


def woken(events):
    return [(event.what, event.ready) for event in events if isinstance(event, Woken)]
