"""Fast Open with Linux as the client: the request comes with the SYN, and the answer with what follows the SYN-ACK."""

import socket
import struct

import pytest

from tests.e2e.running import running

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
