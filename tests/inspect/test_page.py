"""The live page: what it serves and to whom, what its stream says, and that looking is bounded."""

import asyncio
import re
from xml.etree import ElementTree

import pytest
from scapy.layers.inet import IP, TCP
from scapy.layers.l2 import Ether

from netstack.inspect.page import http
from netstack.inspect.page.app import QUEUED, VIEWERS
from netstack.inspect.page.chart import chart
from netstack.inspect.page.recorder import TRACKS
from netstack.inspect.page.track import HEAD, SAMPLES, TAIL
from netstack.link.device import VNET_LEN
from netstack.link.fault import Faults
from netstack.states.edges import DRAWN
from netstack.tcp.state import State
from tests.aio.net import HOST
from tests.aio.virtual_loop import run
from tests.inspect.lookers import PAGE_PORT, PORT, looked_at, viewer

HTML = ("Accept: text/html,*/*",)


def test_browsers_get_the_page_and_everybody_else_the_application():
    async def main():
        async with looked_at() as net:
            status, fields, body = await net.fetch("/", fields=HTML)
            assert (status, fields["content-type"]) == (200, "text/html; charset=utf-8")
            assert b"<svg" in body
            assert b"{{" not in body
            assert "default-src 'none'" in fields["content-security-policy"]
            assert "access-control-allow-origin" not in fields
            assert (await net.fetch("/5"))[2] == b"xxxxx"
            assert (await net.fetch("/inspect/nothing"))[0] == 404

    run(main())


def test_on_a_port_of_its_own_the_page_leaves_the_application_alone():
    async def main():
        async with looked_at(own_port=True) as net:
            assert b"<svg" in (await net.fetch("/", port=PAGE_PORT))[2]
            assert (await net.fetch("/5", port=PAGE_PORT))[0] == 404
            assert (await net.fetch("/7", fields=HTML))[2] == b"xxxxxxx"

    run(main())


def test_every_part_that_the_page_names_is_served_and_nothing_comes_from_elsewhere():
    page = (http.STATIC / "page.html").read_text()
    files = http.files()
    named = set(re.findall(r'(?:src|href)="inspect/([^"]+)"', page))
    scripts = {name: files[name][0].decode() for name in files if name.endswith(".js") and name != "uPlot.js"}
    named |= {name for text in scripts.values() for name in re.findall(r'from "\./([^"]+)"', text)}
    assert named == {name for name in files if not name.endswith(".txt")}
    assert "uPlot.LICENSE.txt" in files
    for text in (page, *scripts.values(), files["page.css"][0].decode()):
        assert set(re.findall(r"https?://[^'\"\s)]*", text)) <= {"http://www.w3.org/2000/svg"}
    ids = set(re.findall(r'id="([\w-]+)"', page)) | {"chart", "tokens"}
    for text in scripts.values():
        assert set(re.findall(r'(?:\$|getElementById)\("([\w-]+)"\)', text)) <= ids


def test_the_chart_has_every_state_and_every_edge_that_is_drawn():
    root = ElementTree.fromstring(chart())
    ids = {element.get("id") for element in root.iter() if element.get("id")}
    assert {f"s-{state.name}" for state in State} | {"s-END", "tokens"} <= ids
    assert {f"e-{edge.old.name}-{edge.new.name}" for edge in DRAWN} <= ids


def test_a_request_is_seen_from_its_syn_to_its_end():
    async def main():
        async with looked_at() as net, viewer(net) as stream:
            assert stream.hello["address"] == "192.0.2.2/24"
            assert stream.hello["tries"] == ["curl it"]
            await stream.tick()
            assert stream.others() == {}
            assert [row["own"] for row in stream.rows.values() if row["kind"] == "connection"] == [True]
            await net.fetch("/5000")
            await stream.until(lambda s: any(row["state"] == "TIME-WAIT" for row in s.others().values()))
            ((who, _),) = stream.others().items()
            moves = [(old, new) for _, name, old, new, *_ in stream.moves if name == who]
            assert moves == [
                ("LISTEN", "SYN-RECEIVED"), ("SYN-RECEIVED", "ESTABLISHED"), ("ESTABLISHED", "FIN-WAIT-1"),
                ("FIN-WAIT-1", "FIN-WAIT-2"), ("FIN-WAIT-2", "TIME-WAIT"),
            ]  # fmt: skip
            assert all(move[5].startswith("RFC ") and move[6] is False for move in stream.moves if move[1] == who)
            await stream.until(lambda s: s.row(who).get("state") == "CLOSED")  # 2 MSL later
            assert 5_000 < stream.rows[who]["acked"] < 5_200
            assert 30 < stream.rows[who]["received"] < 100

    run(main())


def test_the_ladder_is_what_a_capture_beside_it_shows():
    async def main():
        async with looked_at() as net, viewer(net) as stream:
            frames = []
            net.path.inner = Beside(net.path.inner, frames)
            reader, writer = await net.open()
            writer.write(b"GET /40000 HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readuntil(b"x" * 40_000)
            await stream.until(lambda s: s.others())
            who = next(iter(stream.others()))
            assert (await net.wish(do="choose", viewer=stream.hello["viewer"], who=who))[0] == 200
            await stream.until(lambda s: s.segments)
            port = int(who.rpartition(":")[2])
            wire = [segment for frame in frames if (segment := of_port(frame, port))]
            shown = [row[2:7] for row in stream.segments]
            assert shown == relative(wire)[-len(shown) :]
            assert len(wire) - len(shown) <= 1  # the SYN, which reaches a listener and no connection
            assert stream.said["chosen"]["sent"] == sum(segment[0] for segment in wire)
            last = dict(zip(stream.hello["fields"], stream.samples[-1], strict=True))
            row = stream.rows[who]
            assert (last["cwnd"], last["snd_una"], last["srtt"]) == (row["cwnd"], row["acked"] + 1, row["srtt"])
            assert row["acked"] >= 40_000
            writer.close()

    run(main())


class Beside:
    """A device that keeps what passes."""

    def __init__(self, inner, frames):
        self.inner, self.frames, self.mtu, self.offload = inner, frames, inner.mtu, inner.offload
        self.deadline, self.expire, self.fileno, self.close = inner.deadline, inner.expire, inner.fileno, inner.close

    def read(self, now):
        frame = self.inner.read(now)
        if frame is not None:
            self.frames.append((0, frame))
        return frame

    def write(self, head, payload, now):
        self.frames.append((1, head + bytes(payload)))
        self.inner.write(head, payload, now)


def of_port(frame, port):
    """(ours, flags, seq, ack, length) of a TCP segment of that port of the peer, as scapy reads it; else None."""
    ours, octets = frame
    packet = Ether(octets[VNET_LEN:])
    if TCP not in packet or port not in (packet[TCP].sport, packet[TCP].dport):
        return None
    segment = packet[TCP]
    length = packet[IP].len - packet[IP].ihl * 4 - segment.dataofs * 4
    return ours, str(segment.flags), segment.seq, segment.ack, length


def relative(wire):
    """The same as the ladder has it: [ours, flags, seq, ack, length]."""
    isns = {ours: seq for ours, flags, seq, _, _ in wire if "S" in flags}
    letters = {"F": "F", "S": "S", "R": "R", "P": "P", "A": "."}
    return [
        [ours, "".join(letters[f] for f in "FSRPA" if f in flags), seq - isns[ours],
         ack - isns[1 - ours] if "A" in flags else None, length]
        for ours, flags, seq, ack, length in wire
    ]  # fmt: skip


def test_an_idle_page_does_not_feed_itself():
    async def main():
        async with looked_at() as net, viewer(net) as stream:
            await stream.tick()
            loop = asyncio.get_running_loop()
            began, before = loop.time(), stream.octets
            while loop.time() < began + 60:
                await stream.tick()
            assert 200 <= stream.ticks <= 301  # five a second, however much each of them makes happen
            assert (stream.octets - before) / 60 < 20_000
            assert stream.moves == []

    run(main())


def test_a_viewer_that_does_not_read_costs_no_more_than_a_buffer_and_then_sees_the_present():
    async def main():
        async with looked_at() as net, viewer(net) as stream:
            await stream.tick()
            stream.writer.transport.pause_reading()
            conn = net.connection(own=True)
            for _ in range(15):
                await asyncio.gather(*(net.fetch("/10") for _ in range(20)))
                await asyncio.sleep(1)
                assert len(conn.send_buffer) <= QUEUED + 60_000  # a message at most beyond the mark
            assert len(net.subject.recorder.tracks) <= TRACKS
            stream.writer.transport.resume_reading()
            await asyncio.sleep(5)
            loop = asyncio.get_running_loop()
            while True:
                said = await stream.tick()
                if said["now"] > (loop.time() - 0.5) * 1e6:
                    break
            assert set(stream.rows) >= {who for who, row in net.page.picture(net.subject).rows.items() if row["own"]}
            assert stream.said["total"] == len(net.stack.tcp.connections)  # the listener in, the page's own out

    run(main())


def test_events_flow_only_while_somebody_looks():
    async def main():
        async with looked_at() as net:
            assert net.stack.events is None
            async with viewer(net) as stream, viewer(net) as other:
                await stream.tick()
                await other.tick()
                assert net.stack.events is not None
            await asyncio.sleep(1)
            assert net.page.viewers == {}
            assert net.stack.events is None

    run(main())


def test_more_viewers_than_there_is_room_for_are_told_so():
    async def main():
        async with looked_at() as net:
            streams = [viewer(net) for _ in range(VIEWERS)]
            for one in streams:
                await one.__aenter__()
            assert (await net.fetch("/inspect/events"))[0] == 503
            for one in streams:
                await one.__aexit__(None, None, None)

    run(main())


def test_streams_end_when_the_page_closes():
    async def main():
        async with looked_at() as net, viewer(net) as stream:
            await stream.tick()
            net.page.close()
            while await stream.event() is not None:
                pass
            assert (await net.fetch("/inspect/events"))[0] == 503

    run(main())


def test_a_long_transfer_over_a_bad_path_is_kept_within_bounds_and_its_losses_are_marked():
    async def main():
        async with looked_at() as net, viewer(net) as stream:
            net.path.outbound.faults = Faults(loss=0.02, delay=5_000)
            reader, writer = await net.open()
            writer.write(b"GET /3000000 HTTP/1.1\r\nHost: a\r\n\r\n")
            await stream.until(lambda s: s.others())
            who = next(iter(stream.others()))
            await net.wish(do="choose", viewer=stream.hello["viewer"], who=who)
            await reader.readuntil(b"x" * 3_000_000)
            await stream.until(lambda s: s.row(who).get("acked", 0) >= 3_000_000)
            track = net.subject.recorder.named(who)
            assert len(track.samples) <= SAMPLES
            assert len(track.head) + len(track.tail) == HEAD + TAIL
            again = {mark[3] for mark in stream.marks if mark[2] == "again"}
            assert again
            assert len(again) <= stream.rows[who]["retrans"] <= net.stack.counters.mib["TcpRetransSegs"]
            times = [sample[0] for sample in stream.samples]
            assert times == sorted(set(times))
            writer.close()

    run(main())


STRANGE = [
    (("Origin: http://elsewhere.example",), 403),
    ((f"Origin: http://{HOST}:{PORT + 1}",), 403),
    (("Origin: null",), 403),
    (("Sec-Fetch-Site: cross-site",), 403),
    (("Sec-Fetch-Site: same-site",), 403),
    ((f"Host: pointed-here.example:{PORT}",), 403),
    (("Host: pointed-here.example", "Origin: http://pointed-here.example"), 403),
    ((f"Origin: http://{HOST}:{PORT}", "Sec-Fetch-Site: same-origin"), 200),
    ((f"Host: localhost:{PORT}", f"Origin: http://localhost:{PORT}"), 200),  # through ssh -L
    ((), 200),  # curl
]


@pytest.mark.parametrize(("fields", "expected"), STRANGE)
def test_only_the_page_itself_may_act(fields, expected):
    async def main():
        async with looked_at() as net:
            kind = "Content-Type: application/json"
            body = b'{"do": "path", "loss": 0.1}'
            status, _, _ = await net.fetch("/inspect/do", method="POST", body=body, fields=[kind, *fields])
            assert status == expected
            assert net.path.inbound.faults.loss == (0.1 if expected == 200 else 0)

    run(main())


@pytest.mark.parametrize(
    ("method", "kind", "body", "expected"),
    [
        ("GET", "application/json", b"", 405),
        ("POST", "text/plain", b'{"do": "path", "loss": 0.1}', 400),
        ("POST", "application/json", b"loss=0.1", 400),
        ("POST", "application/json", b"[]", 400),
        ("POST", "application/json", b"\xff", 400),
        ("POST", "application/json", b"[" * 4000, 400),
        ("POST", "application/json", b" " * 5000, 400),
    ],
)
def test_a_wish_that_cannot_be_read_is_refused(method, kind, body, expected):
    async def main():
        async with looked_at() as net:
            fields = [f"Content-Type: {kind}"]
            assert (await net.fetch("/inspect/do", method=method, body=body, fields=fields))[0] == expected
            assert net.path.inbound.faults == Faults()

    run(main())


def test_until_somebody_chooses_the_newest_connection_is_looked_at():
    async def main():
        async with looked_at() as net, viewer(net) as stream:
            reader, writer = await net.open()
            writer.write(b"GET /10 HTTP/1.1\r\nHost: a\r\n\r\n")
            await reader.readuntil(b"x" * 10)
            await stream.until(lambda s: "chosen" in s.said)
            first = stream.said["chosen"]["who"]
            assert first in stream.others()
            await net.fetch("/20")
            await asyncio.sleep(3)
            await stream.until(lambda s: len(s.others()) == 2)
            assert stream.said["chosen"]["who"] == first  # it lives
            (second,) = set(stream.others()) - {first}
            await net.wish(do="choose", viewer=stream.hello["viewer"], who=second)
            await stream.until(lambda s: s.said["chosen"]["who"] == second)
            writer.close()
            await net.fetch("/30")
            await asyncio.sleep(3)
            await stream.until(lambda s: len(s.others()) == 3)
            assert stream.said["chosen"]["who"] == second  # it was chosen
            await net.wish(do="choose", viewer=stream.hello["viewer"])
            await stream.until(lambda s: s.said["chosen"]["who"] not in (first, second))

    run(main())


def test_what_never_was_a_connection_is_not_shown_as_one():
    async def main():
        async with looked_at() as net, viewer(net) as stream:
            await stream.tick()
            with pytest.raises(ConnectionRefusedError):
                await net.open(9)
            for _ in range(5):
                await stream.tick()
            assert net.stack.counters.drops["tcp.no_listener"] == 1
            assert stream.others() == {}
            assert all(net.subject.is_own(key) for key in net.subject.recorder.tracks)

    run(main())
