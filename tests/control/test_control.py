"""The control socket in one process: a stack, its loop, and visitors of every kind."""

import asyncio
import base64
import contextlib
import json
import os
import socket
import stat
from random import Random

import pytest

from netstack.config import Config
from netstack.control import client, places
from netstack.control.server import LONGEST_REQUEST, MOST_VISITORS, ROOM, Control
from netstack.events import Dropped, FrameReceived
from netstack.inspect.sinks import Observers
from netstack.inspect.snapshot import connections
from netstack.link.device import NO_OFFLOAD
from netstack.link.loopback import LoopbackPair
from netstack.stack import Stack
from netstack.units import SECOND
from tests.tcp.pair import Pair

HELLO = {"tap": "tap0", "netns": None, "address": "192.0.2.2/24", "pid": os.getpid(), "epoch": 1_000_000}


@pytest.fixture(autouse=True)
def _own_folder(tmp_path, monkeypatch):
    monkeypatch.setattr(places, "FOLDER", tmp_path / "netstack")
    monkeypatch.delenv("XDG_RUNTIME_DIR", raising=False)


@contextlib.asynccontextmanager
async def served(stack, now=5 * SECOND):
    control = Control(stack, lambda: now, Observers(stack.observe), HELLO)
    with places.bound("tap0") as listening:
        async with control.serving(listening):
            yield control
    assert places.sockets() == []


def run(work):
    asyncio.run(asyncio.wait_for(work, 20))


def bare_stack():
    return Stack(Config(), next(iter(LoopbackPair())), Random(1))


async def ask(what, **arguments):
    """One question from a client of its own, in a thread as a process would."""

    def asking():
        with client.connect() as one:
            return one.ask(what, **arguments)

    return await asyncio.to_thread(asking)


def test_a_client_finds_the_stack_and_gets_the_snapshots_rows():
    async def work():
        pair = Pair()
        pair.open()
        async with served(pair.server, pair.now):
            assert (await ask("hello"))["address"] == "192.0.2.2/24"
            found = await ask("connections")
            assert found["rows"] == json.loads(json.dumps(connections(pair.server, pair.now)))
            assert found["count"] == 2
            layers = await ask("layers")
            assert layers["tcp"]["states"] == {"ESTABLISHED": 1}
            assert await ask("endpoints") == []

    run(work())


def test_only_the_owner_may_look_and_nothing_is_left_behind():
    async def work():
        async with served(bare_stack()):
            (path,) = places.sockets()
            assert stat.S_IMODE(path.stat().st_mode) == 0o600
        assert not path.parent.exists()
        with pytest.raises(client.NoStackError, match=r"^no running netstack found \(start one with"):
            client.connect()

    run(work())


def test_a_dead_stacks_socket_is_replaced_and_a_living_ones_is_left_alone():
    places.FOLDER.mkdir()
    with socket.socket(socket.AF_UNIX) as dead:
        dead.bind(str(places.FOLDER / "tap0.sock"))

    async def work():
        with pytest.raises(client.NoStackError):
            client.connect()
        async with served(bare_stack()):
            with places.bound("tap0") as second:
                assert second is not None
                assert [path.name for path in places.sockets()] == [f"tap0-{os.getpid()}.sock", "tap0.sock"]

    run(work())


def test_several_stacks_have_to_be_told_apart():
    async def work():
        stack = bare_stack()
        control = Control(stack, lambda: 0, Observers(stack.observe), HELLO | {"tap": "tap1"})
        async with served(bare_stack()):
            with places.bound("tap1") as other:
                async with control.serving(other):
                    with pytest.raises(ValueError, match=r"several stacks are running, choose one: .*tap0.sock"):
                        await asyncio.to_thread(client.connect)
                    chosen = await asyncio.to_thread(client.connect, "tap1")
                    assert (chosen.path.name, chosen.hello["tap"]) == ("tap1.sock", "tap1")
                    chosen.close()
                    with pytest.raises(client.NoStackError, match="no running netstack found on tap9"):
                        await asyncio.to_thread(client.connect, "tap9")
                    control.hello["network"] = places.network_of(None)
                    near = await asyncio.to_thread(client.connect)
                    assert near.hello["tap"] == "tap1", "in our own network namespace"
                    near.close()
                    named = await asyncio.to_thread(client.connect, None, str(chosen.path))
                    assert named.hello["tap"] == "tap1"
                    named.close()

    run(work())


class Visit:
    """A visitor byte by byte."""

    async def __aenter__(self):
        (path,) = places.sockets()
        self.reader, self.writer = await asyncio.open_unix_connection(str(path), limit=1 << 24)
        return self

    async def __aexit__(self, *_):
        self.writer.close()

    def say(self, *requests):
        for request in requests:
            self.writer.write((request if isinstance(request, bytes) else json.dumps(request).encode()) + b"\n")

    async def hear(self):
        line = await self.reader.readline()
        return json.loads(line) if line else None


@pytest.mark.parametrize(
    "request_",
    [b"nonsense", b"[]", b"1", b"{}", b'{"id":1}', b'{"id":1,"ask":"shutdown"}', b'{"id":1,"ask":"stop","stream":5}',
     b'{"id":1,"ask":{}}', b'{"id":"x","ask":"frames"}', b'{"id":1,"ask":"frames","filter":"tcp port"}', b"\xff\xfe",
     b'{"id":1,"ask":"frames","snap":"many"}', b'{"id":1,"ask":"frames","snap":Infinity}', b"[" * 60_000],
)  # fmt: skip
def test_a_request_that_means_nothing_is_refused_and_the_next_one_answered(request_):
    async def work():
        async with served(bare_stack()), Visit() as visit:
            visit.say(request_, {"id": 2, "ask": "hello"})
            error = (await visit.hear())["error"]
            named = {
                b"filter": "an address, a port or a protocol is missing at the end of the filter",
                b"snap": "snap is a number of octets",
                b'"x"': "a stream needs a number of its own as id",
            }
            assert error.startswith(next((said for part, said in named.items() if part in request_), "no such request"))
            assert (await visit.hear())["result"]["tap"] == "tap0"

    run(work())


def test_whoever_sends_no_end_of_a_line_is_shown_out():
    async def work():
        async with served(bare_stack()), Visit() as visit:
            visit.writer.write(b"x" * (LONGEST_REQUEST + 70_000))
            assert "not that long" in (await visit.hear())["error"]
            assert await visit.hear() is None

    run(work())


def test_no_more_visitors_than_there_are_chairs():
    async def work():
        async with served(bare_stack()) as control, contextlib.AsyncExitStack() as visits:
            for _ in range(MOST_VISITORS):
                visit = await visits.enter_async_context(Visit())
                visit.say({"id": 1, "ask": "hello"})
                await visit.hear()
            late = await visits.enter_async_context(Visit())
            assert (await late.hear())["error"] == f"{MOST_VISITORS} others are looking already"
            visit.writer.close()
            await asyncio.sleep(0.01)
            assert len(control.visitors) == MOST_VISITORS - 1

    run(work())


def frame_of(stack, number, size=100):
    return NO_OFFLOAD + stack.config.mac + b"\2\0\0\0\0\1" + b"\x88\xcc" + number.to_bytes(4, "big") + bytes(size)


def test_frames_that_pass_the_filter_arrive_cut_and_in_order_and_nothing_is_on_before_or_after():
    async def work():
        stack = bare_stack()
        async with served(stack), Visit() as visit:
            assert stack.link.events is None
            visit.say({"id": 7, "ask": "frames", "filter": "greater 119", "snap": 18})
            assert await visit.hear() == {"id": 7, "result": None}
            assert stack.tcp.events is None, "only the link is watched"
            for number, size in enumerate((100, 101, 200)):
                stack.receive(frame_of(stack, number, size), 3 * SECOND)
            for number, size in ((1, 101), (2, 200)):
                told = await visit.hear()
                assert base64.b64decode(told.pop("frame")) == frame_of(stack, number, 0)
                assert told == {"stream": 7, "at": 4 * SECOND, "out": 0, "length": 28 + size}
            visit.say({"id": 8, "ask": "stop", "stream": 7})
            assert await visit.hear() == {"id": 8, "result": {"lost": 0}}
            assert stack.link.events is None

    run(work())


def test_events_of_one_connection_beside_a_capture_and_another_observer():
    async def work():
        pair = Pair()
        stack, seen = pair.server, []
        async with served(stack) as control, Visit() as visit:
            control.observers.add(seen.append)
            visit.say({"id": 1, "ask": "frames"}, {"id": 2, "ask": "hello"})
            await visit.hear()
            await visit.hear()
            ours, _ = pair.open()
            who = f"192.0.2.2:80 - 192.0.2.1:{ours.local[1]}"
            visit.say({"id": 3, "ask": "events", "who": who})
            while "id" not in await visit.hear():
                pass
            other = pair.client.tcp.connect(None, (b"\xc0\0\2\2", 80))
            ours.send(b"hello")
            pair.run(SECOND)
            told = []
            while {one["stream"] for one in told} < {1, 3}:
                told.append(await visit.hear())
            assert {one["who"] for one in told if one["stream"] == 3} == {who}
            assert other.local[1] != ours.local[1]
        assert any(isinstance(event, FrameReceived) for event in seen)
        control.observers.remove(seen.append)

    run(work())


def test_who_does_not_read_loses_messages_hears_how_many_and_costs_bounded_memory():
    async def work():
        stack = bare_stack()
        async with served(stack) as control, Visit() as visit:
            visit.say({"id": 1, "ask": "frames"})
            await visit.hear()
            visit.writer.transport.pause_reading()
            (visitor,) = control.visitors
            sent = 400
            for number in range(sent):
                stack.receive(frame_of(stack, number, 60_000), 0)
                if number % 10 == 0:
                    await asyncio.sleep(0)
                assert visitor._transport.get_write_buffer_size() <= 2 * ROOM
            visit.writer.transport.resume_reading()
            got = lost = 0
            while got + lost < sent:
                told = await visit.hear()
                got += "frame" in told
                lost += told.get("lost", 0)
            assert lost > 100
            stack.receive(frame_of(stack, 1), 0)
            assert "frame" in await visit.hear(), "it goes on"

    run(work())


def test_a_visitor_who_leaves_in_the_middle_takes_its_streams_along():
    async def work():
        stack = bare_stack()
        async with served(stack) as control:
            async with Visit() as visit:
                visit.say({"id": 1, "ask": "frames"}, {"id": 2, "ask": "events"}, {"id": 3, "ask": "connections"})
                await visit.hear()
            for _ in range(20):
                await asyncio.sleep(0.001)
            assert not control.visitors
            assert stack.link.events is None
            assert stack.tcp.events is None
            stack.receive(b"", 0)

    run(work())


def test_many_connections_are_described_in_parts_with_turns_in_between(monkeypatch):
    monkeypatch.setattr("netstack.control.server.SLICE", 0)

    async def work():
        pair = Pair()
        pair.server.tcp.listen(b"\xc0\0\2\2", 80, 100)
        for _ in range(30):
            pair.client.tcp.connect(None, (b"\xc0\0\2\2", 80))
        pair.run(SECOND)
        async with served(pair.server, pair.now), Visit() as visit:
            turns = 0

            async def turning():
                nonlocal turns
                while True:
                    turns += 1
                    await asyncio.sleep(0)

            meanwhile = asyncio.ensure_future(turning())
            visit.say({"id": 1, "ask": "connections"})
            parts = []
            while "part" in (told := await visit.hear()):
                parts += told["part"]
            meanwhile.cancel()
            assert told["result"]["count"] == len(parts) == 31
            assert turns >= 31

    run(work())


def test_dropped_is_an_event_too():
    async def work():
        stack = bare_stack()
        async with served(stack), Visit() as visit:
            visit.say({"id": 1, "ask": "events"})
            await visit.hear()
            stack.link.receive(bytes(5), SECOND)
            assert await visit.hear() == {
                "stream": 1, "event": Dropped.__name__, "at": SECOND, "reason": "ethernet.too_short",
            }  # fmt: skip

    run(work())


def test_a_folder_of_somebody_elses_is_neither_used_nor_believed(monkeypatch, tmp_path):
    monkeypatch.setattr(places.tempfile, "tempdir", str(tmp_path))
    monkeypatch.setattr(places, "FOLDER", tmp_path / "file" / "netstack")
    (tmp_path / "file").touch()
    with places.bound("tap0") as listening:
        assert listening is not None
        (path,) = places.sockets()
        assert path.parent.parent == tmp_path
        monkeypatch.setattr(places.os, "geteuid", lambda: 12_345)
        assert places.sockets() == []
        with places.bound("tap1") as other:
            assert other is None

    async def work():
        async with Control(bare_stack(), lambda: 0, Observers(), HELLO).serving(None):
            pass

    run(work())
