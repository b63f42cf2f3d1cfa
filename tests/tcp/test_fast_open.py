"""Fast Open (RFC 7413) between two stacks in virtual time: cookies, who shows them, and what the network loses.

`tests/drill/fastopen/` has the exchanges segment by segment, as Linux has them too.
"""

from random import Random
from struct import pack

import pytest

from netstack.events import SegmentSent
from netstack.sockets.numbers import IPPROTO_TCP, MSG_FASTOPEN, TCP_FASTOPEN, TCP_FASTOPEN_CONNECT, TCP_FASTOPEN_KEY
from netstack.sockets.stream import StreamSocket
from netstack.tcp import fast_open
from netstack.tcp.connection import Connection
from netstack.tcp.fast_open_client import MOST_DESTINATIONS, Cache
from netstack.tcp.info import OPT_SYN_DATA, tcp_info
from netstack.tcp.readiness import READABLE, WRITABLE
from netstack.tcp.siphash import key_from, siphash
from netstack.tcp.state import CLOSED, ESTABLISHED, SYN_RECEIVED, SYN_SENT, TIME_WAIT
from netstack.units import MILLISECOND, MINUTE, SECOND
from netstack.wire.tcp import SYN
from netstack.wire.tcp_options import parse
from tests.tcp.pair import CLIENT, SERVER, Pair

BOTH = {"fastopen": 3}
NAME = ("192.0.2.2", 80)


class Opened:
    """A pair of stacks, a listener that allows Fast Open, and clients one after the other."""

    def __init__(self, client=None, server=None, limit=8, **pair):
        self.pair = Pair(BOTH | (client or {}), BOTH | (server or {}), **pair)
        self.listener = StreamSocket(self.pair.server)
        self.listener.setsockopt(IPPROTO_TCP, TCP_FASTOPEN, limit)
        self.listener.bind(NAME)
        self.listener.listen(16)

    def send(self, data: bytes) -> tuple[StreamSocket, int]:
        """sendto(MSG_FASTOPEN) from a new socket: it, and how much went with the SYN."""
        sock = StreamSocket(self.pair.client)
        self.pair.client.tcp.now = self.pair.now
        try:
            return sock, sock.sendto(data, MSG_FASTOPEN, NAME)
        except BlockingIOError:
            return sock, 0

    def learn(self) -> None:
        """A first connection, which gets the client its cookie."""
        sock, sent = self.send(b"x")
        assert sent == 0
        self.pair.run(100 * MILLISECOND)
        self.listener.accept()[0].close()
        sock.close()
        self.pair.run(2 * MINUTE)
        self.pair.passed.clear()

    def count(self, name: str) -> tuple[int, int]:
        """A counter, of the client and of the server."""
        return tuple(stack.counters.mib["TcpExtTCPFastOpen" + name] for stack in self.pair.stacks)

    def syns(self, source: bytes = CLIENT) -> list[tuple[int, bytes | None]]:
        """The SYNs that `source` sent: octets of data, and the cookie."""
        sent = [p.segment for p in self.pair.sent(source) if p.segment.flags & SYN]
        return [(len(segment.payload), parse(segment.options).fastopen) for segment in sent]


# The vectors of the paper that introduces SipHash (appendix A), and one more from its authors' test table.
@pytest.mark.parametrize(("length", "expected"), [(15, 0xA129CA6149BE45E5), (0, 0x726FDB47DD0E0E31)])
def test_siphash_is_siphash(length, expected):
    assert siphash(key_from(bytes(range(16))), bytes(range(length))) == expected


def test_a_cookie_is_what_linux_makes_of_key_and_addresses():  # seen on Linux 6.18, tests/drill/fastopen
    keys = fast_open.keys_from_text("a1a1a1a1-b2b2b2b2-c3c3c3c3-d4d4d4d4")
    assert keys == pack("<4I", 0xA1A1A1A1, 0xB2B2B2B2, 0xC3C3C3C3, 0xD4D4D4D4)
    pair = bytes((192, 0, 2, 1, 192, 168, 0, 1))
    assert fast_open.cookie(keys, pair).hex() == "3021b9d889017eeb"
    others = [pair[:i] + bytes((pair[i] ^ 1,)) + pair[i + 1 :] for i in range(8)]
    assert all(fast_open.good_by(keys, other, fast_open.cookie(keys, pair)) is None for other in others)


@pytest.mark.parametrize("text", ["", "1-2-3", "1-2-3-4,5", "1-2-3-4,1-2-3-4,1-2-3-4", "x-2-3-4", "100000000-2-3-4"])
def test_what_is_no_key(text):
    with pytest.raises(ValueError, match=r"key|literal"):
        fast_open.keys_from_text(text)


@pytest.mark.parametrize("offload", [True, False])
@pytest.mark.parametrize("timestamps", [True, False])
def test_the_second_connection_is_answered_within_one_round_trip(offload, timestamps):  # RFC 7413 1
    opened = Opened({"timestamps": timestamps}, offload=offload)
    events = []
    for stack in opened.pair.stacks:
        stack.observe(events.append)
    opened.learn()
    events.clear()
    sock, sent = opened.send(b"ask" * 100)
    assert sent == 300
    opened.pair.run(10 * MILLISECOND)
    child, _ = opened.listener.accept()
    assert child.connection.state is SYN_RECEIVED
    assert child.readiness() == READABLE | WRITABLE
    assert child.recv(1000) == b"ask" * 100
    assert child.send(b"answer" * 1000) == 6000
    opened.pair.run(10 * MILLISECOND)
    assert sock.connection.state is ESTABLISHED
    assert sock.recv(10_000) == b"answer" * 1000  # with an ordinary handshake it would be on its way now
    opened.pair.run(20 * MILLISECOND)
    assert child.connection.state is ESTABLISHED
    assert type(child.connection) is Connection
    for one in (sock, child):
        assert tcp_info(one.connection, opened.pair.now)["options"] & OPT_SYN_DATA
    assert child.connection.rtt.srtt == sock.connection.rtt.srtt == 20 * MILLISECOND
    assert (opened.count("Active"), opened.count("Passive"), opened.count("CookieReqd")) == ((1, 0), (0, 1), (0, 1))
    told = [(e.why, e.length) for e in events if isinstance(e, SegmentSent)]
    assert told[:3] == [("syn", 300), ("syn-ack", 0), ("data", told[2][1])]
    opened.pair.transfer(child.connection, sock.connection, 300_000, 30 * SECOND)


def test_nobody_does_it_unasked():
    opened = Opened(limit=0)
    opened.learn()
    assert opened.send(b"x")[1] == 0
    pair = Pair()
    ours, theirs = pair.open()
    assert ours.fast_open is theirs.fast_open is None
    assert all(parse(p.segment.options).fastopen is None for p in pair.passed)


def test_a_server_forgets_its_key_and_the_client_learns_the_new_one():  # RFC 7413 4.1.2
    opened = Opened()
    opened.learn()
    opened.listener.setsockopt(IPPROTO_TCP, TCP_FASTOPEN_KEY, bytes(range(16)))
    sock, _ = opened.send(b"x" * 100)
    opened.pair.run(100 * MILLISECOND)
    child, _ = opened.listener.accept()
    assert child.recv(1000) == b"x" * 100
    assert (opened.count("ActiveFail"), opened.count("PassiveFail")) == ((1, 0), (0, 1))
    assert tcp_info(sock.connection, opened.pair.now)["fastopen_client_fail"] == fast_open.NOT_TAKEN
    assert opened.send(b"y" * 100)[1] == 100
    opened.pair.run(100 * MILLISECOND)
    assert opened.listener.accept()[0].recv(1000) == b"y" * 100
    assert opened.count("Passive") == (0, 1)


def test_two_servers_with_one_key_take_each_others_cookies():
    key = {"fastopen_key": "1-2-3-4"}
    opened, other = Opened(server=key), Opened(server=key)
    opened.learn()
    known = opened.pair.client.tcp.fast_open_cache.get(SERVER)
    other.pair.client.tcp.fast_open_cache.learn(SERVER).cookie = known.cookie
    assert other.send(b"x")[1] == 1
    other.pair.run(100 * MILLISECOND)
    assert other.count("Passive") == (0, 1)


@pytest.mark.parametrize("seed", range(12))
def test_whatever_is_lost_every_octet_arrives_once(seed):
    opened = Opened()
    opened.learn()
    pair, rng = opened.pair, Random(seed)
    lossy = [lambda frame: None if rng.random() < 0.3 else frame] * 2
    pair.to_server, pair.to_client = lossy
    data = rng.randbytes(5_000)
    sock, sent = opened.send(data)
    got, back, child = bytearray(), bytearray(), None
    for _ in range(4_000):
        pair.run(50 * MILLISECOND)
        if sock.connection.state is not SYN_SENT and sock.connection.state is not SYN_RECEIVED and sent < len(data):
            sent += sock.connection.send(data[sent:])
        if child is None and opened.listener.readiness() & READABLE:
            child, _ = opened.listener.accept()
        if child is not None:
            more = child.connection.recv(10_000) or b""
            got += more
            if more:
                child.send(more)
        back += sock.connection.recv(10_000) or b""
        if len(back) == len(data):
            break
    assert bytes(got) == bytes(back) == data


def test_the_syn_that_goes_out_again_is_an_ordinary_one():  # RFC 7413 4.2.1
    opened = Opened()
    opened.learn()
    lost = []
    opened.pair.to_server = lambda frame: frame if lost else lost.append(frame)
    sock, _ = opened.send(b"x" * 100)
    opened.pair.run(1500 * MILLISECOND)
    assert [size for size, _ in opened.syns()] == [100, 0]
    assert opened.syns()[1][1] is None
    assert opened.listener.accept()[0].recv(1000) == b"x" * 100
    assert tcp_info(sock.connection, opened.pair.now)["fastopen_client_fail"] == fast_open.SYN_AGAIN
    assert opened.pair.client.tcp.fast_open_cache.get(SERVER).syn_losses == 1
    assert sock.connection.recovery.cc.cwnd >= 10


def test_a_path_that_swallows_it_is_left_alone_for_longer_and_longer():
    opened = Opened({"fastopen_blackhole_timeout": 10 * SECOND, "syn_linear_timeouts": 0})
    opened.learn()
    pair = opened.pair
    waits = []
    for _ in range(3):
        pair.to_server = lambda frame: None
        sock, sent = opened.send(b"x")
        assert sent == 1
        pair.run(8 * SECOND)  # the third timeout is at 7 s
        sock.close()
        begun = pair.now - SECOND
        pair.to_server = lambda frame: frame
        while True:
            sock, sent = opened.send(b"x")
            pair.run(SECOND)
            sock.connection.abort()
            opened.listener.accept()[0].close()
            if sent:
                break
        waits.append((pair.now - begun - SECOND) // SECOND)
    assert waits == [10, 20, 40]
    assert opened.count("Blackhole") == (3, 0)
    sock, _ = opened.send(b"x")
    pair.run(SECOND)
    child, _ = opened.listener.accept()
    child.send(b"y")
    pair.run(SECOND)
    child.close()
    sock.close()
    pair.run(2 * MINUTE)
    assert not pair.client.tcp.fast_open_cache.has_paused  # it did well, so that is forgotten


def test_a_flood_of_stolen_cookies_ends_at_the_limit():  # RFC 7413 5.1
    opened = Opened(limit=3)
    opened.learn()
    opened.pair.to_client = lambda frame: None
    for _ in range(6):
        opened.send(b"x")
    opened.pair.run(500 * MILLISECOND)
    listener = opened.listener.listener
    assert (listener.waiting, listener.half_open, listener.fast_open.pending) == (3, 3, 3)
    assert opened.count("ListenOverflow") == (0, 3)
    opened.pair.to_client = lambda frame: frame
    opened.pair.run(20 * SECOND)
    assert (listener.waiting, listener.half_open, listener.fast_open.pending) == (6, 0, 0)


def test_nothing_is_left_when_the_user_closes_before_the_handshake_is_complete():
    opened = Opened()
    opened.learn()
    sock, _ = opened.send(b"x")
    opened.pair.run(10 * MILLISECOND)
    child, _ = opened.listener.accept()
    assert child.recv(10) == b"x"
    child.send(b"bye")
    child.close()
    opened.pair.run(SECOND)
    assert sock.recv(10) == b"bye"
    assert sock.recv(10) == b""
    sock.close()
    opened.listener.close()
    opened.pair.run(3 * MINUTE)
    assert [stack.tcp.connections for stack in opened.pair.stacks] == [{}, {}]
    assert opened.pair.server.deadline() is None


def test_a_syn_with_data_has_the_right_checksum_on_either_device():
    sent = []
    for offload in (True, False):
        opened = Opened({"timestamps": False}, offload=offload)
        opened.learn()
        opened.send(bytes(range(256)) * 4)
        opened.pair.run(10 * MILLISECOND)
        assert opened.pair.server.counters.mib["TcpInCsumErrors"] == 0
        assert opened.listener.accept()[0].recv(2000) == bytes(range(256)) * 4
        sent.append(opened.syns()[0][0])
    assert sent == [1024, 1024]


def test_connect_waits_for_the_first_write_only_with_a_cookie():
    opened = Opened()
    opened.learn()
    sock = StreamSocket(opened.pair.client)
    sock.setsockopt(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    sock.connect(NAME)
    opened.pair.run(SECOND)
    assert opened.pair.passed == []
    assert sock.readiness() == WRITABLE
    assert sock.send(b"now") == 3
    opened.pair.run(10 * MILLISECOND)
    assert opened.syns() == [(3, opened.pair.client.tcp.fast_open_cache.get(SERVER).cookie)]
    unused = StreamSocket(opened.pair.client)
    unused.setsockopt(IPPROTO_TCP, TCP_FASTOPEN_CONNECT, 1)
    unused.connect(NAME)
    conn = unused.connection
    unused.close()
    opened.pair.run(SECOND)
    assert conn.state is CLOSED
    assert len(opened.syns()) == 1


def test_destinations_long_unused_are_forgotten():
    cache = Cache()
    for number in range(MOST_DESTINATIONS):
        cache.learn(number.to_bytes(4, "big"))
    assert cache.get(bytes(4)) is not None  # just used
    cache.learn(b"new!")
    assert cache.get(bytes(4)) is not None
    assert cache.get((1).to_bytes(4, "big")) is None


def test_a_fin_beyond_a_gap_and_nothing_else_means_a_black_hole():
    opened = Opened({"fastopen_blackhole_timeout": 10 * SECOND})
    opened.learn()
    sock, _ = opened.send(b"x")
    opened.pair.run(100 * MILLISECOND)
    child, _ = opened.listener.accept()
    child.recv(10)
    opened.pair.to_client = lambda frame: None if len(frame) > 200 else frame
    child.send(bytes(300))
    opened.pair.run(MILLISECOND)
    child.close()
    opened.pair.run(100 * MILLISECOND)
    assert sock.connection.state is not TIME_WAIT
    sock.close()
    opened.pair.run(20 * MINUTE)
    assert opened.count("Blackhole") == (1, 0)
