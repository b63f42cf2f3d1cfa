"""Fast Open with Linux at the other end: as the client of `netstack up`, and as the server of a bare stack on a TAP."""

import select
import socket
import struct
import time
from random import Random

import pytest

from netstack.config import Config, TcpConfig
from netstack.link.tap import TapDevice
from netstack.sockets.numbers import MSG_FASTOPEN
from netstack.sockets.stream import StreamSocket
from netstack.stack import Stack
from netstack.tcp.info import OPT_SYN_DATA
from tests.e2e.running import running
from tests.netns import namespace

pytestmark = pytest.mark.tap
REQUEST = b"GET /json HTTP/1.1\r\nHost: stack\r\nConnection: close\r\n\r\n"


def counter(ns, name: str) -> int:
    """One of the TcpExt counters of the namespace."""
    lines = ns.run("cat", "/proc/net/netstat").stdout.splitlines()
    names, values = (line.split() for line in lines if line.startswith("TcpExt:"))
    return int(values[names.index(name)])


def ask(ns) -> bytes:
    """One request in sendto(MSG_FASTOPEN), and the whole answer."""
    with ns.inside():
        sock = socket.socket()
    with sock:
        for direction in (socket.SO_RCVTIMEO, socket.SO_SNDTIMEO):  # settimeout() would make it non-blocking
            sock.setsockopt(socket.SOL_SOCKET, direction, struct.pack("ll", 20, 0))
        assert sock.sendto(REQUEST, socket.MSG_FASTOPEN, ("192.0.2.2", 8080)) == len(REQUEST)
        answer = b""
        while part := sock.recv(65_536):
            answer += part
    return answer


def test_linux_gets_a_cookie_and_saves_a_round_trip():
    with running("--fastopen", "--no-access-log", "--delay", "50ms") as up:
        first, second = ask(up.ns), ask(up.ns)
        for answer in (first, second):
            assert answer.startswith(b"HTTP/1.1 200 OK\r\n")
        assert (counter(up.ns, "TCPFastOpenActive"), counter(up.ns, "TCPFastOpenActiveFail")) == (1, 0)


class Turns:
    """A stack on a TAP and a socket of Linux, both in one thread."""

    def __init__(self, tap: TapDevice) -> None:
        self.tap = tap
        self.stack = Stack(Config(tcp=TcpConfig()), tap, Random(1))

    def until(self, done, seconds: float = 10) -> None:
        """Turn the stack until `done()`."""
        end = time.monotonic() + seconds
        while not done():
            assert time.monotonic() < end, "it takes for ever"
            select.select([self.tap.fileno()], [], [], 0.005)
            now = time.monotonic_ns() // 1000
            while (frame := self.tap.read(now)) is not None:
                self.stack.receive(frame, now)
            self.stack.expire(now)
            self.stack.transmit(now)


def test_linux_gives_a_cookie_and_takes_data_with_the_syn():
    with namespace() as ns:
        ns.sysctl("net/ipv4/tcp_fastopen", 2)
        with ns.inside():
            tap = TapDevice("tap0", offload=True)
            server = socket.socket()
        ns.configure("tap0", "192.0.2.1/24")
        server.setsockopt(socket.IPPROTO_TCP, socket.TCP_FASTOPEN, 4)
        server.bind(("192.0.2.1", 80))
        server.listen()
        server.setblocking(False)
        turns = Turns(tap)
        taken = []
        for request in (b"first", b"second " * 100):
            sock = StreamSocket(turns.stack)
            try:
                sent = sock.sendto(request, MSG_FASTOPEN, ("192.0.2.1", 80))
            except BlockingIOError:
                sent = 0
            taken.append(sent)
            turns.until(lambda sock=sock: sock.info()["state"] == 1)
            if not sent:
                sock.send(request)
            child, _ = server.accept()
            with child:
                child.settimeout(5)
                turns.until(lambda sock=sock: not sock.connection.send_buffer)
                assert child.recv(1000) == request
            syn_data = sock.info()["options"] & OPT_SYN_DATA
            assert bool(syn_data) == bool(sent)
            sock.close()
        assert taken == [0, 700]
        server.close()
        tap.close()
    mib = turns.stack.counters.mib
    assert (mib["TcpExtTCPFastOpenActive"], mib["TcpExtTCPFastOpenActiveFail"]) == (1, 0)
