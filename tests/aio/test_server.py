"""Servers and the interface: listening, closing, draining, and what is left afterwards."""

import asyncio

import pytest

from netstack.aio import Interface
from netstack.tcp.state import CLOSED
from tests.aio.net import CLIENT, HOST, Recorder, two_stacks
from tests.aio.virtual_loop import run


def test_a_server_says_where_it_listens():
    async def main():
        async with two_stacks() as (_, server):
            listener = await server.create_server(Recorder)
            [sock] = listener.sockets
            host, port = sock.getsockname()
            assert (host, port > 1023) == ("0.0.0.0", True)
            assert sock.getsockopt(1, 30) == 1  # SO_ACCEPTCONN
            assert listener.is_serving()
            assert listener.get_loop() is asyncio.get_running_loop()

    run(main())


def test_an_address_in_use_is_an_error_and_leaves_nothing_bound():
    async def main():
        async with two_stacks() as (_, server):
            first = await server.create_server(Recorder, HOST, 80)
            for host in (HOST, "0.0.0.0", None, ["192.0.2.2", ""]):
                with pytest.raises(OSError, match="Address already in use"):
                    await server.create_server(Recorder, host, 80)
            with pytest.raises(OSError, match="Cannot assign"):
                await server.create_server(Recorder, "192.0.2.99", 80)
            first.close()
            assert not server.stack.tcp.ports.bound
            await server.create_server(Recorder, None, 80)

    run(main())


def test_a_server_that_does_not_serve_yet_refuses():
    async def main():
        async with two_stacks() as (client, server):
            listener = await server.create_server(Recorder, port=80, start_serving=False)
            assert not listener.is_serving()
            with pytest.raises(ConnectionRefusedError):
                await client.create_connection(Recorder, HOST, 80)
            await listener.start_serving()
            await listener.start_serving()
            await client.create_connection(Recorder, HOST, 80)
            listener.close()
            with pytest.raises(RuntimeError, match="closed"):
                await listener.start_serving()

    run(main())


def test_a_closed_server_refuses_and_its_connections_live_on():
    async def main():
        async with two_stacks() as (client, server):
            made = []

            def factory():
                made.append(Recorder())
                return made[-1]

            listener = await server.create_server(factory, port=80)
            _, near = await client.create_connection(Recorder, HOST, 80)
            await asyncio.sleep(1)
            listener.close()
            listener.close()
            assert not listener.is_serving()
            assert listener.sockets == ()
            with pytest.raises(ConnectionRefusedError):
                await client.create_connection(Recorder, HOST, 80)
            closed = asyncio.ensure_future(listener.wait_closed())
            near.transport.write(b"still here")
            await asyncio.sleep(1)
            assert made[0].log == ["made", b"still here"]
            assert not closed.done()
            near.transport.close()
            await closed
            assert made[0].log[-1] == ("lost", type(None))

    run(main())


@pytest.mark.parametrize(("method", "ending"), [("close_clients", type(None)), ("abort_clients", ConnectionResetError)])
def test_a_server_can_end_its_connections(method, ending):
    async def main():
        async with two_stacks() as (client, server):
            listener = await server.create_server(Recorder, port=80)
            other = await server.create_server(Recorder, port=81)
            _, near = await client.create_connection(Recorder, HOST, 80)
            _, elsewhere = await client.create_connection(Recorder, HOST, 81)
            listener.close()
            getattr(listener, method)()
            await listener.wait_closed()
            assert type(await near.lost) is ending
            assert elsewhere.log == ["made"]
            assert other.is_serving()

    run(main())


def test_serve_forever_ends_by_cancellation():
    async def main():
        async with two_stacks() as (client, server):
            listener = await server.create_server(Recorder, port=80, start_serving=False)
            serving = asyncio.ensure_future(listener.serve_forever())
            await asyncio.sleep(1)
            with pytest.raises(RuntimeError, match="already"):
                await listener.serve_forever()
            transport, _ = await client.create_connection(Recorder, HOST, 80)
            transport.close()
            serving.cancel()
            with pytest.raises(asyncio.CancelledError):
                await serving
            assert not listener.is_serving()
            with pytest.raises(ConnectionRefusedError):
                await client.create_connection(Recorder, HOST, 80)

    run(main())


def test_a_factory_that_raises_costs_its_connection_only():
    async def main():
        made = []

        def factory():
            if not made:
                made.append(None)
                raise ZeroDivisionError
            made.append(Recorder())
            return made[-1]

        async with two_stacks() as (client, server):
            await server.create_server(factory, port=80)
            _, first = await client.create_connection(Recorder, HOST, 80)
            assert type(await first.lost) is ConnectionResetError
            transport, _ = await client.create_connection(Recorder, HOST, 80)
            transport.write(b"x")
            await asyncio.sleep(1)
            assert made[1].log == ["made", b"x"]
            [context] = asyncio.get_running_loop().unhandled
            assert isinstance(context["exception"], ZeroDivisionError)

    run(main(), expect_unhandled=True)


def test_leaving_the_interface_delivers_what_was_written():
    async def main():
        async with two_stacks() as (client, server):
            made = asyncio.get_running_loop().create_future()

            def factory():
                made.set_result(Recorder())
                return made.result()

            await server.create_server(factory, port=80)
            transport, near = await client.create_connection(Recorder, HOST, 80)
            payload = bytes(5_000_000)
            transport.write(payload)
            await client.close()
            far = await made
            assert far.log == ["made", payload, "eof", ("lost", type(None))]
            assert near.log[-1] == ("lost", type(None))
            assert client.device.closed

    run(main())


def test_leaving_the_interface_resets_what_does_not_end():
    async def main():
        async with two_stacks() as (client, server):
            made = asyncio.get_running_loop().create_future()

            def factory():
                made.set_result(Recorder())
                return made.result()

            await server.create_server(factory, port=80)
            transport, near = await client.create_connection(Recorder, HOST, 80)
            far = await made
            far.transport.pause_reading()
            transport.write(bytes(20_000_000))
            started = asyncio.get_running_loop().time()
            await client.close()
            assert asyncio.get_running_loop().time() - started == pytest.approx(client.linger, abs=0.1)
            assert near.log[-1] == ("lost", type(None))
            assert not client.driver.transports
            assert far.transport._connection.state is CLOSED  # the RST got out
            far.transport.abort()

    run(main())


def test_an_interface_that_is_not_up_says_so():
    async def main():
        async with two_stacks() as (client, _server):
            down = Interface(client.device, CLIENT)
            with pytest.raises(RuntimeError, match="not up"):
                await down.open_connection(HOST, 80)

    run(main())


def test_sockets_of_the_interface_wake_its_driver():
    async def main():
        async with two_stacks() as (client, server):
            await server.create_server(Recorder, port=80)
            sock = client.socket()
            ready = asyncio.get_running_loop().create_future()
            sock.on_ready(lambda bits: ready.done() or ready.set_result(bits))
            with pytest.raises(BlockingIOError):
                sock.connect((HOST, 80))
            await asyncio.wait_for(ready, 1)
            assert sock.getpeername() == (HOST, 80)
            sock.close()

    run(main())
