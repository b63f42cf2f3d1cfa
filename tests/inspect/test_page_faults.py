"""What the live page does to a stack, and that it is what its buttons say."""

import asyncio

import pytest

from netstack.link.fault import Faults
from tests.aio.virtual_loop import run
from tests.inspect.lookers import PAGE_PORT, PORT, looked_at, viewer


def who_of(conn):
    """The connection's name on the page."""
    (local, near), (remote, far) = conn.local, conn.remote
    return f"{'.'.join(map(str, local))}:{near} - {'.'.join(map(str, remote))}:{far}"


def test_the_sliders_move_the_path_and_every_viewer_sees_where_they_stand():
    async def main():
        async with looked_at() as net, viewer(net) as stream:
            wish = {"loss": 0.02, "delay": 20.5, "reorder": 0.1, "duplicate": 0.2, "corrupt": 0.03, "rate": 10_000_000}
            assert await net.wish(do="path", **wish) == (200, "{}\n")
            spoilt = Faults(loss=0.02, delay=20_500, reorder=0.1, duplicate=0.2, corrupt=0.03, rate=10_000_000)
            assert net.path.inbound.faults == net.path.outbound.faults == spoilt
            await stream.until(lambda s: s.said["path"] == {**wish, "way": "both"})
            await net.wish(do="path", loss=0.5, way="outbound")
            assert (net.path.inbound.faults, net.path.outbound.faults) == (Faults(), Faults(loss=0.5))
            await net.wish(do="path")
            assert net.path.inbound.faults == net.path.outbound.faults == Faults()

    run(main())


@pytest.mark.parametrize(
    "wish",
    [
        {"do": "path", "loss": 0.51},
        {"do": "path", "loss": -0.1},
        {"do": "path", "loss": True},
        {"do": "path", "delay": "20"},
        {"do": "path", "delay": 1e300},
        {"do": "path", "rate": float("nan")},
        {"do": "path", "loss": 0.1, "way": "sideways"},
        {"do": "kill"},
        {"do": "kill", "who": "192.0.2.2:8080 - 192.0.2.1:1"},
        {"do": "hold", "who": ["x"]},
        {"do": "choose", "who": None},
        {"do": "choose", "viewer": [], "who": None},
        {"do": "choose", "viewer": 99, "who": "a"},
        {"do": "fly"},
        {"do": ["path"]},
        {},
    ],
)
def test_a_wish_that_makes_no_sense_changes_nothing_and_is_answered_in_a_line(wish):
    async def main():
        async with looked_at() as net:
            status, line = await net.wish(**wish)
            assert status == 400
            assert line.count("\n") == 1
            assert net.path.inbound.faults == net.path.outbound.faults == Faults()
            assert len(net.stack.tcp.connections) == 1  # in TIME-WAIT

    run(main())


@pytest.mark.parametrize("own_port", [False, True])
def test_the_page_itself_is_spared_so_that_its_faults_can_be_taken_back(own_port):
    async def main():
        port = PAGE_PORT if own_port else PORT
        async with looked_at(own_port) as net, viewer(net, port) as stream:
            await stream.tick()
            net.path.inbound.faults = net.path.outbound.faults = Faults(loss=1)  # more than the page allows
            now = stream.said.get("now", 0)
            for _ in range(20):
                now, before = (await stream.tick())["now"], now
                assert now - before < 250_000
            if own_port:
                await net.wish(port, do="path")
                assert net.path.inbound.faults == Faults()

    run(main())


def test_kill_resets_both_ends():
    async def main():
        async with looked_at() as net, viewer(net) as stream:
            reader, writer = await net.open()
            writer.write(b"GET /10 HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readuntil(b"x" * 10)
            who = who_of(net.connection())
            assert (await net.wish(do="kill", who=who))[0] == 200
            with pytest.raises(ConnectionResetError):
                await reader.read()
            await stream.until(lambda s: s.row(who).get("kind") == "ended")
            assert [move[3:5] for move in stream.moves if move[1] == who][-1] == ["CLOSED", "ABORT, snd RST"]
            assert net.stack.counters.mib["TcpOutRsts"] == 1
            status, line = await net.wish(do="kill", who=who)
            assert (status, line) == (400, f"there is no connection {who}\n")
            writer.close()

    run(main())


def test_time_wait_cannot_be_killed():
    async def main():
        async with looked_at() as net, viewer(net) as stream:
            await net.fetch("/10")
            await stream.until(lambda s: any(row["kind"] == "time-wait" for row in s.others().values()))
            ((who, _),) = stream.others().items()
            status, line = await net.wish(do="kill", who=who)
            assert status == 400
            assert "TIME-WAIT" in line

    run(main())


def test_pausing_an_upload_closes_the_window_until_reading_goes_on():
    async def main():
        size = 3_000_000
        async with looked_at() as net, viewer(net) as stream:
            reader, writer = await net.open()
            writer.write(b"POST / HTTP/1.1\r\nHost: a\r\nContent-Length: %d\r\n\r\n" % size)
            writer.write(bytes(1000))
            await asyncio.sleep(0.1)
            conn = net.connection()
            who = who_of(conn)
            await net.wish(do="hold", who=who, on=True)
            writer.write(bytes(size - 1000))
            await stream.until(lambda s: s.row(who).get("rcv_wnd") == 0)
            held = conn.readable
            assert held > 50_000
            await asyncio.sleep(20)
            assert conn.readable == held  # window probes come, and bring nothing
            while stream.rows[who]["held"] is not True:
                await stream.tick()
            await net.wish(do="hold", who=who, on=False)
            assert b"%d" % size in await reader.readuntil(b"%d" % size)
            await stream.until(lambda s: s.row(who).get("recv_q") == 0 and s.row(who).get("held") is False)
            writer.close()

    run(main())


def test_a_shut_window_stops_the_sender_which_probes_until_it_opens():
    async def main():
        size = 3_000_000
        async with looked_at() as net, viewer(net) as stream:
            net.path.outbound.faults = Faults(rate=8_000_000)
            reader, writer = await net.open()
            writer.write(b"GET /%d HTTP/1.1\r\nHost: a\r\n\r\n" % size)
            await asyncio.sleep(0.5)
            conn = net.connection()
            who = who_of(conn)
            await net.wish(do="shut", who=who, on=True)
            await stream.until(
                lambda s: s.row(who).get("snd_wnd") == 0 and (s.row(who)["timer"] or [""])[0] == "window-probe"
            )
            assert stream.rows[who]["shut"] is True
            acked = stream.rows[who]["acked"]
            await asyncio.sleep(5)
            assert acked <= conn.tcb.snd_una - conn.tcb.iss < acked + 20_000
            assert acked < size
            await net.wish(do="shut", who=who, on=False)
            await reader.readuntil(b"x" * size)
            writer.close()

    run(main())


def test_what_is_held_or_shut_is_forgotten_with_its_connection():
    async def main():
        async with looked_at() as net, viewer(net) as stream:
            _, writer = await net.open()
            await asyncio.sleep(0.1)
            who = who_of(net.connection())
            await net.wish(do="shut", who=who, on=True)
            await net.wish(do="hold", who=who, on=True)
            assert len(net.shutter.shut) == 1
            await net.wish(do="kill", who=who)
            await stream.until(lambda s: s.row(who).get("kind") == "ended")
            assert net.shutter.shut == set()
            writer.close()

    run(main())
