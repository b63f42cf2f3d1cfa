"""The collection in this folder: every script holds on the stack, and spoilt ones fail with what is wrong with them."""

import re
from pathlib import Path

import pytest

from netstack.drill.outcome import FAILED, PASSED, Outcome
from netstack.drill.parse import parse
from netstack.drill.runner import Wishes, run_text
from netstack.drill.virtual.host import StackHost

FOLDER = Path(__file__).parent
SCRIPTS = sorted(path.relative_to(FOLDER).as_posix() for path in FOLDER.rglob("*.pkt"))

SPOILT = {
    "an epoll event": (
        "calls/epoll_level.pkt",
        "{events=EPOLLIN|EPOLLERR|EPOLLHUP, fd=4}",
        "{events=EPOLLIN|EPOLLHUP, fd=4}",
        r"events: expected EPOLLIN\|EPOLLHUP, got EPOLLIN\|EPOLLERR\|EPOLLHUP",
    ),
    "what an epoll event is about": (
        "calls/epoll_edge.pkt",
        "epoll_wait(5, {events=EPOLLOUT, ptr=4}",
        "epoll_wait(5, {events=EPOLLOUT, ptr=7}",
        "data of the event: expected 7, got 4",
    ),
    "how often an edge is told": ("calls/epoll_edge.pkt", "1, 0) = 0", "1, 0) = 1", "result: expected 1, got 0"),
    "what a SYN-ACK acknowledges": (
        "handshake/numbers_as_written.pkt",
        "ack 123001",
        "ack 123002",
        "ack: expected 123002",
    ),
    "what an error quotes": (
        "udp/unreachable_quotes.pkt",
        "[udp (10)]",
        "[udp (11)]",
        r"quoted: expected \[udp \(11\)",
    ),
    "a row of /proc/net/tcp": ("calls/proc_net_tcp.pkt", '" 03 "', '" 04 "', "/proc/net/tcp: no line matches  04 "),
    "a signature": (
        "md5/signed_exchange.pkt",
        "1:981(980) ack 1 <nop,nop,md5 valid>",
        "1:981(980) ack 1 <nop,nop,md5 000102030405060708090a0b0c0d0e0f>",
        "md5: expected md5 0001",
    ),
    "a signature that is not there": (
        "md5/another_peer.pkt",
        "> P. 1:1001(1000) ack 1 <",
        "> P. 1:1001(1000) ack 1 <md5 0001,",
        "options: expected <md5",
    ),
    "a key": (
        "md5/key_taken_away.pkt",
        'tcpm_key=""}, 216)',
        'tcpm_key="x"}, 216)',
        "length: expected|options: expected none",
    ),
    "a control message": ("calls/inq.pkt", "cmsg_data=40", "cmsg_data=41", "TCP_CM_INQ: expected 41, got 40"),
    "the kind of a control message": ("calls/inq.pkt", "cmsg_type=TCP_CM_INQ", "cmsg_type=1", "control message: "),
    "the number of control messages": (
        "calls/timestamping.pkt",
        "ee_data=2999}}]}",
        "ee_data=2999}}, {cmsg_level=0, cmsg_type=1, cmsg_data=0}]}",
        r"control messages: expected 3, got 2 \(SCM_TIMESTAMPING, IP_RECVERR\)",
    ),
    "a time in a control message": (
        "calls/timestamping.pkt",
        "scm_nsec=160000000",
        "scm_nsec=190000000",
        "scm_sec, scm_nsec: expected 0.190000, got 0.160000",
    ),
    "an extended error": (
        "calls/zerocopy.pkt",
        "ee_info=0, ee_data=1}",
        "ee_info=1, ee_data=1}",
        "ee_info: expected 1, got 0",
    ),
    "the errno of an extended error": (
        "calls/timestamping.pkt",
        "ee_errno=ENOMSG",
        "ee_errno=EAGAIN",
        "ee_errno: expected EAGAIN, got ENOMSG",
    ),
    "msg_flags": (
        "calls/zerocopy.pkt",
        "msg_flags=MSG_ERRQUEUE, ",
        "msg_flags=MSG_ERRQUEUE|MSG_TRUNC, ",
        "msg_flags: expected 0x2020, got 0x2000",
    ),
    "patience": ("calls/receive_timeout.pkt", "0...0.500", "0...0.400", "time: expected return at 0.500000"),
    "an address": ("calls/names.pkt", "htons(8080)", "htons(8081)", "address: expected 192.168.0.1 8081"),
    "octets spliced": ("calls/splice.pkt", "99999, 0) = 200", "99999, 0) = 201", "result: expected 201, got 200"),
    "a low-water mark": ("calls/receive_low_water.pkt", "[100]", "[130]", "result: expected 120, got 180"),
    "a flag": ("handshake/passive_open.pkt", "> S. 0:0(0)", "> SE. 0:0(0)", "flags: expected SE., got S."),
    "PSH": ("data/write_and_ack.pkt", "> P. 1:2501", "> . 1:2501", "flags: expected ., got P."),
    "seq": ("reset/closed_port.pkt", "> R 77:77(0)", "> R 78:78(0)", "seq: expected 78, got 77"),
    "the number of a FIN": (
        "close/passive_close.pkt",
        "> F. 301:301(0)",
        "> F. 300:300(0)",
        "seq: expected 300, got 301",
    ),
    "ack": ("handshake/passive_open.pkt", "ack 1 win 64240", "ack 2 win 64240", "ack: expected 2, got 1"),
    "length": ("data/nagle.pkt", "> P. 101:151(50)", "> P. 101:152(51)", "length: expected 51, got 50"),
    "window": ("handshake/passive_open.pkt", "win 64240", "win 64241", "win: expected 64241, got 64240"),
    "MSS": (
        "handshake/active_open.pkt",
        "<mss 1460,sackOK,TS val 100",
        "<mss 1440,sackOK,TS val 100",
        "mss: expected mss 1440",
    ),
    "window scale": (
        "options/window_scale.pkt",
        "<mss 1460,nop,wscale 7>",
        "<mss 1460,nop,wscale 8>",
        "wscale: expected wscale 8",
    ),
    "option order": (
        "handshake/passive_open.pkt",
        "<mss 1460,nop,nop,sackOK",
        "<mss 1460,sackOK,nop,nop",
        "options: expected",
    ),
    "a SACK block": (
        "data/out_of_order.pkt",
        "sack 3001:4001 1001:2001>",
        "sack 3001:4002 1001:2001>",
        "sack: expected",
    ),
    "the order of SACK blocks": (
        "data/out_of_order.pkt",
        "sack 3001:4001 1001:2001>",
        "sack 1001:2001 3001:4001>",
        "sack: ",
    ),
    "an echoed timestamp": (
        "options/timestamps.pkt",
        "TS val 300 ecr 1200",
        "TS val 300 ecr 1201",
        "TS ecr: expected 1201, got 1200",
    ),
    "an option too many": (
        "reset/in_window.pkt",
        "> . 1:1(0) ack 1",
        "> . 1:1(0) ack 1 <nop,nop>",
        "options: expected <nop,nop>",
    ),
    "an option missing": ("options/dsack.pkt", " <nop,nop,sack 1:1001>", "", "options: expected none, got"),
    "ECN": ("data/nagle.pkt", "> P. 1:101", "> [ect0] P. 1:101", "ECN: expected ect0, got noecn"),
    "the urgent pointer": (
        "data/nagle.pkt",
        "> P. 1:101(100) ack 1",
        "> P. 1:101(100) ack 1 urg 1",
        "urg: expected 1, got 0",
    ),
    "ports": ("data/nagle.pkt", "> P. 1:101", "> 8080 > 81 P. 1:101", r"ports: expected \(8080, 81\)"),
    "time too early": ("handshake/syn_retransmission.pkt", "7 > S", "6.4 > S", "time: expected 6.400000"),
    "time too late": ("handshake/syn_retransmission.pkt", "7 > S", "8.2 > S", "time: expected 8.200000"),
    "silence": (
        "handshake/connection_refused.pkt",
        "+.1 < R. 0:0(0) ack 1 win 0",
        "+.1 > R. 1:1(0) ack 1",
        "no packet|flags",
    ),
    "errno": ("reset/in_window.pkt", "ECONNRESET", "EPIPE", "errno: expected EPIPE, got ECONNRESET"),
    "a result": (
        "close/passive_close.pkt",
        "read(4, ..., 1000) = 500",
        "read(4, ..., 1000) = 501",
        "result: expected 501, got 500",
    ),
    "success for an error": ("reset/in_window.pkt", "= -1 ECONNRESET", "= 0", "result: expected 0, got -1 ECONNRESET"),
    "an error for success": (
        "close/passive_close.pkt",
        "close(4) = 0",
        "close(4) = -1 EBADF",
        "result: expected -1 EBADF, got 0",
    ),
    "a queue's length": (
        "data/write_and_ack.pkt",
        "SIOCOUTQ, [1500]",
        "SIOCOUTQ, [1501]",
        "value: expected .1501., got .1500.",
    ),
    "an option's value": (
        "close/linger_zero.pkt",
        "getsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=0}",
        "getsockopt(4, SOL_SOCKET, SO_LINGER, {onoff=1, linger=1}",
        "option: expected",
    ),
    "revents": (
        "handshake/active_open.pkt",
        "revents=POLLOUT}",
        "revents=POLLIN}",
        "revents: expected POLLIN, got POLLOUT",
    ),
    "the return of a call": (
        "handshake/blocking_calls.pkt",
        "0.1...0.3 accept",
        "0.1...0.33 accept",
        "time: expected return at 0.33",
    ),
    "tcp_info": ("handshake/passive_open.pkt", "tcpi_snd_cwnd == 10", "tcpi_snd_cwnd == 11", "assertion failed: 10"),
    "a state": ("close/active_close.pkt", "== TCP_FIN_WAIT2", "== TCP_CLOSING", "assertion failed: 5"),
    "an echo nobody sent": (
        "options/timestamps.pkt",
        "TS val 1200 ecr 100",
        "TS val 1200 ecr 101",
        "TS ecr 101: no outbound",
    ),
    "a peer's number": (
        "close/active_close.pkt",
        "< F. 1:1(0) ack 2 win 32792\n+0 > . 2:2(0) ack 2\n\n",
        "< F. 2:2(0) ack 2 win 32792\n+0 > . 2:2(0) ack 2\n\n",
        "flags: expected ., got R",
    ),
}
"""What is spoilt -> script, text in it, what takes its place, what the failure says."""


DIFFERS: dict[str, str] = {}
"""Where the stack does not do what Linux does, and what that is. A script that holds again fails: strike it out."""


def verdict(name: str, text: str | None = None) -> Outcome:
    """The verdict on a script of the collection, or on a changed text of it."""
    return run_text(text or (FOLDER / name).read_text(), name, StackHost, Wishes())


def marked(name: str) -> object:
    """The script's name, expected to fail where the stack is known to differ."""
    marks = [pytest.mark.xfail(reason=DIFFERS[name], strict=True)] if name in DIFFERS else []
    return pytest.param(name, marks=marks, id=name)


@pytest.mark.parametrize("name", [marked(name) for name in SCRIPTS])
def test_script_holds_on_the_stack(name):
    """Nothing leaves that the script does not mention, either: our own scripts account for every segment."""
    outcome = verdict(name)
    assert outcome.status == PASSED, outcome.report()
    assert outcome.unscripted == 0, outcome.report()


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_says_what_it_shows_and_where_that_is_written(name):
    text = (FOLDER / name).read_text()
    comment = text[: text.index("\n0")] if "\n0" in text else text
    assert text.startswith("//")
    assert re.search(r"RFC \d+|POSIX|Linux|--\w+|tcp_\w+|TCP_\w+", comment), "no source named"
    assert all(len(line) <= 120 for line in text.splitlines())


@pytest.mark.parametrize("what", SPOILT)
def test_spoilt_script_fails_and_says_why(what):
    name, good, bad, told = SPOILT[what]
    text = (FOLDER / name).read_text()
    assert text.count(good) >= 1, "the table is out of date"
    spoilt = text.replace(good, bad, 1)
    outcome = verdict(name, spoilt)
    assert outcome.status == FAILED
    assert re.match(told, outcome.message) or any(re.search(told, line) for line in outcome.detail), outcome.report()
    changed = [i for i, (a, b) in enumerate(zip(text.splitlines(), spoilt.splitlines(), strict=False), 1) if a != b]
    line = changed[0]
    while spoilt.splitlines()[line - 1].startswith("    "):  # of an event that began further up
        line -= 1
    assert outcome.line == line or what in FAILS_LATER, outcome.report()


FAILS_LATER = {"a low-water mark", "silence", "a peer's number", "a key"}
"""Where not the changed line is wrong but what the stack does about it."""


def test_relaxed_forgives_the_layout_of_options():
    name = "handshake/passive_open.pkt"
    text = (FOLDER / name).read_text().replace("<mss 1460,nop,nop,sackOK,nop,wscale 7>", "<sackOK,wscale 6,mss 1460>")
    text = text.replace("win 64240", "win 1")
    assert run_text(text, name, StackHost, Wishes()).status == FAILED
    assert run_text(text, name, StackHost, Wishes(relaxed=True)).status == PASSED


def test_the_notation_of_the_fork():
    text = """--ip_version=ipv4
    0.00 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
    +0.00 fcntl(3, F_GETFL) = 0x2 (flags O_RDWR)
    +0.00 fcntl(3, F_SETFL, O_RDWR | O_NONBLOCK) = 0
    +0.00 setsockopt(3, SOL_SOCKET, SO_DEBUG, [1], 4) = 0
    #ifdef NEVER
    +0.00 splice(3) = 0
    #endif
    +0.00 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
    +0.00 > S 0:0(0) <...>
    +0.05 < S. 100:100(0) ack 1 win 65535 <020405b4>
    +0.00 > . 1:1(0) ack 1
    +0.00 `sysctl net.inet.tcp.something=1`
    +0.00 write(3, ..., 10) = 10
    +0.00 > P. ...(10) ack 1
    +0.05 < P. 101:106(5)! ack 11 win 65535
    +0.00 > . 11:11(0) ack 6
    +0.00 close(3) = 0
    +0.00 > R. ...(0) ack 6"""
    outcome = verdict("fork", text)
    assert outcome.status == PASSED, outcome.report()
    assert outcome.ignored == ["net.inet.tcp.something=1"]


@pytest.mark.parametrize(("queue", "spread"), [("fq", True), ("pfifo", False)])
def test_a_device_that_paces_spreads_what_leaves(queue, spread):
    text = f"""`tc qdisc replace dev tun0 root {queue}`
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
    +0 bind(3, ..., ...) = 0
    +0 listen(3, 1) = 0
    +0 < S 0:0(0) win 65535 <mss 1000>
    +0 > S. 0:0(0) ack 1 <mss 1460>
    +.1 < . 1:1(0) ack 1 win 65535
    +0 accept(3, ..., ...) = 4
    +0 write(4, ..., 30000) = 30000
    +0 > P. 1:10001(10000) ack 1
    +.1 < . 1:1(0) ack 10001 win 65535
    +.2 write(4, ..., 1) = 1"""
    outcome = verdict("fq", text)
    times = {entry.at for entry in outcome.timeline if entry.packet is not None and entry.at >= 200_000}
    assert outcome.status == PASSED
    assert (len(times) > 3) == spread, outcome.report()


@pytest.mark.parametrize("family", ["...", "AF_INET6", "AF_INET"])
def test_mapped_sockets_are_those_of_ipv4(family):
    text = f"""--ip_version=ipv4-mapped-ipv6
    0 socket({family}, SOCK_STREAM, IPPROTO_TCP) = 3
    +0 bind(3, ..., ...) = 0
    +0 listen(3, 1) = 0
    +0 < S 0:0(0) win 65535 <mss 1000>
    +0 > S. 0:0(0) ack 1 <mss 1460>"""
    assert verdict("mapped", text).status == PASSED


def test_a_blocking_write_returns_when_all_of_it_is_taken():
    text = """0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
    +0 setsockopt(3, SOL_SOCKET, SO_SNDBUF, [2500], 4) = 0
    +0 bind(3, ..., ...) = 0
    +0 listen(3, 1) = 0
    +0 < S 0:0(0) win 65535 <mss 1000>
    +0 > S. 0:0(0) ack 1 <mss 1460>
    +0 < . 1:1(0) ack 1 win 65535
    +0 accept(3, ..., ...) = 4
    +0 write(4, ..., 5000) = 5000
    +0...0.1 write(4, ..., 4000) = 4000
    +0 > P. 1:5001(5000) ack 1
    +.1 < . 1:1(0) ack 5001 win 65535
    +0 > P. 5001:9001(4000) ack 1
    +0 setsockopt(4, IPPROTO_TCP, TCP_NODELAY, [1], 4) = 0
    +0 send(4, ..., 9000, MSG_DONTWAIT) = 9000"""
    outcome = verdict("write", text)
    assert outcome.status == PASSED, outcome.report()


def test_virtual_time_is_exact_and_costs_nothing():
    text = "0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3\n+1000000 close(3) = 0"
    assert parse(text).events[1].when.at == 10**12
    outcome = verdict("a long wait", text)
    assert (outcome.status, outcome.timeline[-1].at) == (PASSED, 10**12)
