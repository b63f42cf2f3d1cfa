"""StackTransport between two real stacks: asyncio's transport contract, callback by callback."""

import asyncio
import contextvars
import random

import pytest

from netstack.tcp.state import CLOSED, ESTABLISHED
from tests.aio.net import HOST, Patient, Recorder, two_protocols, two_stacks
from tests.aio.virtual_loop import run

BIG = 8 * 1024 * 1024


def settle():
    return asyncio.sleep(5)


def test_connection_made_comes_first_and_data_in_order():
    async def main():
        async with two_protocols() as (near, far):
            near.transport.write(b"one ")
            near.transport.writelines([b"two ", bytearray(b"three "), memoryview(b"four")])
            far.transport.write(b"answer")
            await settle()
            assert far.log == ["made", b"one two three four"]
            assert near.log == ["made", b"answer"]

    run(main())


def test_an_answer_leaves_in_the_turn_that_brought_the_question():
    async def main():
        class Echo(Recorder):
            def data_received(self, data):
                super().data_received(data)
                self.turns = (self.loop_turn, self.transport._driver.awake)
                self.transport.write(data)

        async with two_protocols(server_factory=Echo) as (near, far):
            loop = asyncio.get_running_loop()
            far.loop_turn = 0
            started = loop.micros
            near.transport.write(b"ping")
            turns = 0
            while b"ping" not in near.log:
                await asyncio.sleep(0)
                turns += 1
            assert loop.micros == started
            assert far.turns[1]  # inside a turn: nothing had to be scheduled
            assert turns <= 5  # the client's flush, the server's turn, the client's turn, each one iteration or two

    run(main())


@pytest.mark.parametrize("make", [bytes, bytearray, memoryview])
def test_the_application_may_reuse_its_buffer(make):
    async def main():
        async with two_protocols() as (near, far):
            original = bytearray(b"original")
            near.transport.write(make(original))
            original[:] = b"scribble"
            await settle()
            return far.log[-1]

    assert run(main()) == (b"original")


def test_close_flushes_and_then_ends_both_sides_cleanly():
    async def main():
        async with two_protocols() as (near, far):
            payload = bytes(range(256)) * (BIG // 256)
            near.transport.write(payload)
            near.transport.close()
            assert near.transport.is_closing()
            assert near.log[-1] == "pause"  # more than the high-water mark stayed here
            await settle()
            assert far.log == ["made", payload, "eof", ("lost", type(None))]
            assert near.log[-1] == ("lost", type(None))
            assert near.log.count(("lost", type(None))) == 1

    run(main())


def test_close_calls_connection_lost_later_and_once():
    async def main():
        async with two_protocols() as (near, _far):
            near.transport.close()
            near.transport.close()
            assert near.log == ["made"]
            await settle()
            near.transport.abort()
            await settle()
            assert near.log == ["made", ("lost", type(None))]

    run(main())


def test_half_close_lets_the_other_half_go_on():
    async def main():
        async with two_protocols(client_factory=Patient, server_factory=Patient) as (near, far):
            assert near.transport.can_write_eof()
            near.transport.write(b"request")
            near.transport.write_eof()
            near.transport.write_eof()
            await settle()
            assert far.log == ["made", b"request", "eof"]
            assert not far.transport.is_closing()
            far.transport.write(b"late answer")
            await settle()
            assert near.log == ["made", b"late answer"]
            far.transport.close()
            await settle()
            assert near.log == ["made", b"late answer", "eof"]
            assert far.log[-1] == ("lost", type(None))
            near.transport.close()
            await settle()
            assert near.log[-1] == ("lost", type(None))

    run(main())


def test_write_eof_waits_for_the_backlog():
    async def main():
        async with two_protocols() as (near, far):
            near.transport.write(bytes(BIG))
            near.transport.write_eof()
            await settle()
            return far.log

    assert run(main()) == ["made", bytes(BIG), "eof", ("lost", type(None))]


def test_write_after_write_eof_is_an_error():
    async def main():
        async with two_protocols() as (near, _far):
            near.transport.write_eof()
            with pytest.raises(RuntimeError, match="write_eof"):
                near.transport.write(b"x")
            with pytest.raises(TypeError):
                near.transport.write("text")

    run(main())


def test_writes_on_a_lost_connection_are_warned_about_in_the_end(caplog):
    async def main():
        async with two_protocols() as (near, _far):
            near.transport.close()
            for _ in range(4):
                near.transport.write(b"x")
            assert not caplog.records
            near.transport.write(b"x")
            near.transport.write(b"x")
            assert {record.name for record in caplog.records} == {"asyncio"}
            await settle()

    run(main())


def test_abort_resets_the_peer():
    async def main():
        async with two_protocols() as (near, far):
            near.transport.write(b"lost")
            near.transport.abort()
            assert near.log == ["made"]
            await settle()
            assert near.log == ["made", ("lost", type(None))]
            assert far.log[-1] == ("lost", ConnectionResetError)
            assert "eof" not in far.log

    run(main())


def test_a_peer_that_does_not_read_stops_the_writer_with_bounded_memory():
    async def main():
        async with two_protocols() as (near, far):
            far.transport.pause_reading()
            assert not far.transport.is_reading()
            chunk, written = bytes(64 * 1024), 0
            while "pause" not in near.log:
                near.transport.write(chunk)
                written += len(chunk)
                await asyncio.sleep(0.01)
                assert written < 32 * 1024 * 1024
            await settle()
            connection = near.transport._connection
            assert near.transport.get_write_buffer_size() <= 64 * 1024 + len(chunk)
            assert connection.tcb.snd_wnd == 0
            assert far.log == ["made"]
            assert near.log == ["made", "pause"]
            far.transport.resume_reading()
            assert far.log == ["made"]  # never from inside resume_reading()
            await settle()
            assert near.log == ["made", "pause", "resume"]
            assert len(far.log[-1]) == written

    run(main())


def test_nothing_is_delivered_while_reading_is_paused():
    async def main():
        class PausesItself(Recorder):
            def data_received(self, data):
                super().data_received(data)
                self.transport.pause_reading()

        async with two_protocols(server_factory=PausesItself) as (near, far):
            near.transport.write(b"one")
            await settle()
            near.transport.write(b"two")
            near.transport.write_eof()
            await settle()
            assert far.log == ["made", b"one"]
            far.transport.resume_reading()
            await settle()
            assert far.log == ["made", b"onetwo"]
            far.transport.resume_reading()
            await settle()
            assert far.log == ["made", b"onetwo", "eof", ("lost", type(None))]

    run(main())


def test_pausing_twice_and_resuming_once_reads_again():
    async def main():
        async with two_protocols() as (near, far):
            far.transport.pause_reading()
            far.transport.pause_reading()
            near.transport.write(b"x")
            await settle()
            far.transport.resume_reading()
            far.transport.resume_reading()
            assert far.transport.is_reading()
            await settle()
            assert far.log == ["made", b"x"]

    run(main())


def test_what_arrived_before_a_reset_is_still_read_after_a_pause():
    async def main():
        async with two_protocols() as (near, far):
            far.transport.pause_reading()
            near.transport.write(b"last words")
            await settle()
            near.transport.abort()
            await settle()
            assert far.log == ["made"]
            far.transport.resume_reading()
            await settle()
            assert far.log == ["made", b"last words", ("lost", ConnectionResetError)]

    run(main())


def test_a_reset_is_reported_at_once_when_nothing_is_left_to_read():
    async def main():
        async with two_protocols() as (near, far):
            far.transport.pause_reading()
            near.transport.abort()
            await settle()
            return far.log

    assert run(main()) == ["made", ("lost", ConnectionResetError)]


def test_data_and_the_end_of_the_stream_survive_a_pause_and_a_late_reset():
    """The peer ended its stream properly; that it then reset what we still sent changes nothing about that."""

    async def main():
        async with two_protocols(server_factory=Patient) as (near, far):
            far.transport.pause_reading()
            near.transport.write(b"all of it")
            near.transport.close()
            await settle()
            far.transport.write(b"nobody is there any more")
            await settle()
            assert far.transport._connection.state is CLOSED
            far.transport.resume_reading()
            await settle()
            return far.log

    assert run(main()) == ["made", b"all of it", "eof", ("lost", BrokenPipeError)]


def test_a_write_on_a_connection_that_failed_meanwhile_is_its_end():
    async def main():
        async with two_protocols() as (near, far):
            far.transport.pause_reading()
            near.transport.write(b"unread")
            await settle()
            near.transport.abort()
            await settle()
            assert far.log == ["made"]
            far.transport.write(b"x")
            await settle()
            return far.log

    assert run(main()) == ["made", ("lost", ConnectionResetError)]


def test_closing_with_unread_data_resets_as_the_kernel_does():
    async def main():
        async with two_protocols() as (near, far):
            far.transport.pause_reading()
            near.transport.write(b"unread")
            await settle()
            far.transport.close()
            await settle()
            return near.log, far.log

    assert run(main()) == (["made", ("lost", ConnectionResetError)], ["made", ("lost", type(None))])


def test_a_last_answer_gets_out_before_the_reset_for_unread_data():
    """An HTTP server that answers 413 and closes without reading the body."""

    async def main():
        async with two_protocols() as (near, far):
            far.transport.pause_reading()
            near.transport.write(b"unread")
            await settle()
            far.transport.write(b"413")
            far.transport.close()
            await settle()
            return near.log

    assert run(main()) == ["made", b"413", ("lost", ConnectionResetError)]


@pytest.mark.parametrize("callback", ["data_received", "eof_received"])
def test_what_a_protocol_raises_ends_its_connection_only(callback):
    async def main():
        def explode(*_):
            raise ZeroDivisionError

        async with two_stacks() as (client, server):
            protocols = []

            def factory():
                protocols.append(Recorder())
                return protocols[-1]

            await server.create_server(factory, port=80)
            _, bad = await client.create_connection(Recorder, HOST, 80)
            _, good = await client.create_connection(Recorder, HOST, 80)
            setattr(protocols[0], callback, explode)
            bad.transport.write(b"x")
            bad.transport.write_eof()
            good.transport.write(b"y")
            await settle()
            assert protocols[0].log[-1] == ("lost", ZeroDivisionError)
            assert protocols[1].log == ["made", b"y"]
            [context] = asyncio.get_running_loop().unhandled
            assert context["transport"] is protocols[0].transport
            assert context["protocol"] is protocols[0]

    run(main(), expect_unhandled=True)


def test_what_connection_made_raises_is_reported_and_the_connection_stays():
    async def main():
        class Clumsy(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                raise ZeroDivisionError

        async with two_protocols(server_factory=Clumsy) as (near, far):
            near.transport.write(b"x")
            await settle()
            assert far.log == ["made", b"x"]
            assert len(asyncio.get_running_loop().unhandled) == 1

    run(main(), expect_unhandled=True)


class Buffered(asyncio.BufferedProtocol):
    def __init__(self):
        self.buffer, self.log = bytearray(1000), []

    def connection_made(self, transport):
        self.transport = transport

    def get_buffer(self, sizehint):
        return self.buffer

    def buffer_updated(self, nbytes):
        self.log.append(bytes(self.buffer[:nbytes]))

    def eof_received(self):
        self.log.append("eof")

    def connection_lost(self, exc):
        self.log.append(("lost", type(exc)))


def test_a_buffered_protocol_gets_all_in_its_own_buffer():
    async def main():
        async with two_protocols(server_factory=Buffered) as (near, far):
            payload = bytes(range(250)) * 40
            near.transport.write(payload)
            near.transport.write_eof()
            await settle()
            *pieces, eof, lost = far.log
            assert (b"".join(pieces), eof, lost) == (payload, "eof", ("lost", type(None)))
            assert max(map(len, pieces)) == 1000

    run(main())


def test_a_buffered_protocol_with_no_room_is_an_error():
    async def main():
        async with two_protocols(server_factory=Buffered) as (near, far):
            far.buffer = bytearray()
            near.transport.write(b"x")
            await settle()
            assert far.log == [("lost", RuntimeError)]

    run(main(), expect_unhandled=True)


def test_the_protocol_can_be_changed_between_kinds():
    async def main():
        async with two_protocols() as (near, far):
            other = Buffered()
            far.transport.set_protocol(other)
            assert far.transport.get_protocol() is other
            near.transport.write(b"for the other")
            await settle()
            far.transport.set_protocol(far)
            near.transport.write(b"for the first")
            await settle()
            assert (other.log, far.log) == ([b"for the other"], ["made", b"for the first"])

    run(main())


def test_a_protocol_that_replaces_itself_loses_nothing():
    async def main():
        other = Buffered()

        class Replaced(Recorder):
            def data_received(self, data):
                super().data_received(data)
                self.transport.set_protocol(other)

        async with two_protocols(server_factory=Replaced, offload=True) as (near, far):
            other.plain = Recorder()
            other.buffer_updated = lambda nbytes: (Buffered.buffer_updated(other, nbytes), back())

            def back():
                far.transport.set_protocol(other.plain)

            far.transport.pause_reading()
            payload = random.Random(1).randbytes(400_000)
            near.transport.write(payload[:60_000])
            near.transport.write(payload[60_000:])
            near.transport.write_eof()
            await settle()
            far.transport.resume_reading()
            await settle()
            first, second = far.log[-1], other.log[0]
            assert len(second) == 1000
            assert other.plain.log[1:] == ["eof", ("lost", type(None))]
            assert first + second + other.plain.log[0] == payload

    run(main())


def test_write_buffer_limits_are_asyncios():
    async def main():
        async with two_protocols() as (near, far):
            transport = near.transport
            assert transport.get_write_buffer_limits() == (16 * 1024, 64 * 1024)
            transport.set_write_buffer_limits(high=0)
            far.transport.pause_reading()
            transport.write(bytes(BIG))
            assert near.log == ["made", "pause"]
            far.transport.resume_reading()
            await settle()
            assert near.log == ["made", "pause", "resume"]
            assert transport.get_write_buffer_size() == 0
            with pytest.raises(ValueError, match="high"):
                transport.set_write_buffer_limits(high=1, low=2)

    run(main())


def test_extra_info_names_both_ends_and_the_socket():
    async def main():
        async with two_protocols() as (near, far):
            assert far.transport.get_extra_info("sockname") == (HOST, 80)
            assert far.transport.get_extra_info("peername") == near.transport.get_extra_info("sockname")
            assert far.transport.get_extra_info("nothing", "default") == "default"
            sock = far.transport.get_extra_info("socket")
            assert sock is far.transport.get_extra_info("socket")
            assert sock.getpeername() == far.transport.get_extra_info("peername")
            assert sock.getsockname() == (HOST, 80)
            assert sock.getsockopt(6, 1) == 1  # TCP_NODELAY, as asyncio sets it
            assert sock.fileno() == -1
            sock.settimeout(0)
            sock.setblocking(False)
            assert sock.gettimeout() == 0
            with pytest.raises(ValueError, match="0 timeout"):
                sock.settimeout(1)
            with pytest.raises(ValueError, match="cannot be blocking"):
                sock.setblocking(True)
            sock.setsockopt(6, 4, 77)  # TCP_KEEPIDLE
            assert far.transport._connection.options.keepidle == 77_000_000
            near.transport.close()
            await settle()
            assert far.transport.get_extra_info("peername")[0] == "192.0.2.1"

    run(main())


def test_the_transport_takes_attributes():
    async def main():
        async with two_protocols() as (near, _far):
            near.transport.note = "kept"
            near.transport.write = lambda data: "patched"
            return near.transport.write(b""), near.transport.note

    assert run(main()) == ("patched", "kept")


def test_context_variables_belong_to_one_connection():
    name = contextvars.ContextVar("name", default="nobody")

    async def main():
        class Named(Recorder):
            def data_received(self, data):
                self.log.append(name.get())
                name.set(data.decode())

            def eof_received(self):
                pass

            def connection_lost(self, exc):
                self.log.append(name.get())

        protocols = []

        def factory():
            protocols.append(Named())
            return protocols[-1]

        async with two_stacks() as (client, server):
            name.set("server")
            await server.create_server(factory, port=80)
            name.set("client")
            for word in (b"a", b"b"):
                transport, _ = await client.create_connection(Recorder, HOST, 80)
                transport.write(word)
                await settle()
                transport.write(word)
                await settle()
                transport.close()
            await settle()
            assert name.get() == "client"
            return [protocol.log for protocol in protocols]

    assert run(main()) == [["made", "server", "a", "a"], ["made", "server", "b", "b"]]


def test_data_that_came_with_the_handshake_is_not_missed():
    """The connection is open and has data before the coroutine that awaited it gets to run."""

    async def main():
        class Greets(Recorder):
            def connection_made(self, transport):
                super().connection_made(transport)
                transport.write(b"220 ready")
                transport.write_eof()

        async with two_protocols(server_factory=Greets) as (near, _far):
            await settle()
            return near.log

    assert run(main()) == ["made", b"220 ready", "eof", ("lost", type(None))]


def test_a_vanished_peer_times_out():
    async def main():
        async with two_protocols() as (near, far):
            far.transport._driver.stack.ip.protocols[6] = lambda *segment: None  # it still answers ARP
            near.transport.write(b"anybody?")
            assert type(await near.lost) is TimeoutError
            assert near.transport._connection.state is not ESTABLISHED
            return asyncio.get_running_loop().time()

    assert run(main()) > 600  # RFC 9293 3.8.3: R2 is at least 100 s; Linux's 15 retransmissions take 924 s


def test_sendfile_falls_back_to_writing(tmp_path):
    path = tmp_path / "file"
    path.write_bytes(bytes(range(256)) * 4096)

    async def main():
        async with two_protocols() as (near, far):
            with path.open("rb") as file:
                sent = await asyncio.get_running_loop().sendfile(near.transport, file)
            near.transport.close()
            await settle()
            return sent, far.log[1]

    async def with_threads():
        # The fallback reads in a thread pool, which virtual time cannot see: let the loop wait for it.
        loop = asyncio.get_running_loop()

        def at_once(executor, function, *arguments):
            future = loop.create_future()
            future.set_result(function(*arguments))
            return future

        loop.run_in_executor = at_once
        return await main()

    assert run(with_threads()) == (1 << 20, path.read_bytes())


def test_a_lost_connection_is_warned_of_once_however_much_is_written(caplog):
    async def main():
        async with two_protocols() as (near, far):
            near.transport.abort()
            await settle()
            for _ in range(100):
                far.transport.write(b"to nobody")

    run(main())
    assert [record.message for record in caplog.records] == ["write() on a connection that is lost."]


def test_reading_that_is_held_stays_so_whatever_the_protocol_asks_for():
    async def main():
        async with two_protocols() as (near, far):
            far.transport.hold_reading()
            near.transport.write(b"later")
            await asyncio.sleep(1)
            far.transport.pause_reading()
            far.transport.resume_reading()
            await asyncio.sleep(1)
            assert far.log == ["made"]
            assert "reading held" in repr(far.transport)
            far.transport.release_reading()
            await asyncio.sleep(1)
            assert far.log == ["made", b"later"]
            far.transport.release_reading()  # calling twice is harmless
            near.transport.write(b", and on")
            await asyncio.sleep(1)
            assert far.log == ["made", b"later, and on"]

    run(main())


def test_a_protocol_that_paused_while_it_was_held_stays_paused():
    async def main():
        async with two_protocols() as (near, far):
            far.transport.hold_reading()
            far.transport.pause_reading()
            near.transport.write(b"later")
            far.transport.release_reading()
            await asyncio.sleep(1)
            assert far.log == ["made"]
            far.transport.resume_reading()
            await asyncio.sleep(1)
            assert far.log == ["made", b"later"]

    run(main())


def test_a_reset_while_held_is_told_once_reading_goes_on():
    async def main():
        async with two_protocols() as (near, far):
            far.transport.hold_reading()
            near.transport.write(b"last words")
            await asyncio.sleep(1)
            near.transport.abort()
            await asyncio.sleep(1)
            assert far.log == ["made"]
            far.transport.release_reading()
            await asyncio.sleep(1)
            assert far.log == ["made", b"last words", ("lost", ConnectionResetError)]

    run(main())
