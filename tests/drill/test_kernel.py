"""Linux as the host: it agrees with the scripts, which are therefore read rightly, and not with spoilt ones."""

from pathlib import Path

import pytest

from netstack.drill.kernel.child import run_on_kernel
from netstack.drill.outcome import FAILED, PASSED, Outcome
from netstack.drill.runner import Wishes
from tests.drill.test_scripts import FOLDER
from tests.netns import require_tap

pytestmark = pytest.mark.tap
NOISE = 40_000
"""Microseconds that a busy machine may be late by."""

SCRIPTS = (
    "handshake/passive_open.pkt",
    "handshake/active_open.pkt",
    "handshake/blocking_calls.pkt",
    "data/out_of_order.pkt",
    "loss/sack_recovery.pkt",
    "close/passive_close.pkt",
    "reset/in_window.pkt",
    "options/timestamps.pkt",
    "fastopen/client_cookie.pkt",
    "fastopen/server_data_in_syn.pkt",
)
SPOILT = (
    ("handshake/passive_open.pkt", "> S. 0:0(0)", "> SE. 0:0(0)", "flags: expected SE., got S."),
    ("handshake/passive_open.pkt", "ack 1 win 64240", "ack 2 win 64240", "ack: expected 2, got 1"),
    ("handshake/passive_open.pkt", "win 64240", "win 64241", "win: expected 64241, got 64240"),
    ("handshake/passive_open.pkt", "nop,nop,sackOK,nop,wscale 7>\n+.1", "nop,nop,sackOK>\n+.1", "options: expected"),
    ("handshake/passive_open.pkt", "tcpi_snd_cwnd == 10", "tcpi_snd_cwnd == 11", "assertion failed: 10"),
    ("handshake/blocking_calls.pkt", "0.1...0.3 accept", "0.1...0.4 accept", "time: expected return at 0.4"),
    ("handshake/active_open.pkt", "revents=POLLOUT}", "revents=POLLIN}", "revents: expected POLLIN, got POLLOUT"),
    ("close/passive_close.pkt", "> F. 301:301(0)", "> F. 300:300(0)", "seq: expected 300, got 301"),
    ("close/passive_close.pkt", "1000) = 500", "1000) = 501", "result: expected 501, got 500"),
    ("close/passive_close.pkt", "+.04~+.05 > .", "+.2~+.3 > .", "time: expected"),
    ("reset/in_window.pkt", "ECONNRESET", "EPIPE", "errno: expected EPIPE, got ECONNRESET"),
)


@pytest.fixture(autouse=True)
def _tap():
    require_tap()


def verdict(text: str) -> Outcome:
    """Linux's verdict on a script."""
    return run_on_kernel(text, "script", Wishes(tolerance=NOISE))


@pytest.mark.parametrize("name", SCRIPTS)
def test_script_holds_on_linux(name):
    outcome = verdict((FOLDER / name).read_text())
    assert outcome.status == PASSED, outcome.report()


@pytest.mark.parametrize(("name", "good", "bad", "told"), SPOILT)
def test_spoilt_script_fails_on_linux(name, good, bad, told):
    text = (FOLDER / name).read_text()
    assert good in text, "the table is out of date"
    outcome = verdict(text.replace(good, bad, 1))
    assert outcome.status == FAILED
    assert outcome.message.startswith(told), outcome.report()
    assert outcome.timeline


def test_settings_hold_in_the_namespace_and_nowhere_else():
    before = Path("/proc/sys/net/ipv4/tcp_sack").read_text()
    text = """`sysctl -q net.ipv4.tcp_sack=0; sysctl -q net.ipv4.no_such_thing=1; frobnicate`
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
    +0 fcntl(3, F_SETFL, O_RDWR|O_NONBLOCK) = 0
    +0 connect(3, ..., ...) = -1 EINPROGRESS (Operation now in progress)
    +0 > S 0:0(0) <mss 1460,nop,nop,TS val 1 ecr 0,nop,wscale 7>"""
    outcome = verdict(text)
    assert outcome.status == PASSED, outcome.report()
    assert outcome.ignored == ["frobnicate", "net.ipv4.no_such_thing=1"]
    assert Path("/proc/sys/net/ipv4/tcp_sack").read_text() == before
    assert "tun0" not in Path("/proc/net/dev").read_text()


def test_a_merged_segment_is_cut_by_the_mss_option():
    text = """--mss=1000
    0 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
    +0 bind(3, ..., ...) = 0
    +0 listen(3, 1) = 0
    +0 < S 0:0(0) win 1000 <mss 1000>
    +0 > S. 0:0(0) ack 1 <mss 1460>
    +0 < . 1:1(0) ack 1 win 1000
    +0 accept(3, ..., ...) = 4
    +0 < P. 1:3001(3000) ack 1 win 1000
    +0 > . 1:1(0) ack 3001
    +0 %{ assert tcpi_rcv_mss == 1000, tcpi_rcv_mss }%
    +0 read(4, ..., 9000) = 3000"""
    outcome = verdict(text)
    assert outcome.status == PASSED, outcome.report()


def test_ipv6_and_udp():
    text = """--ip_version=ipv6
    0 socket(..., SOCK_DGRAM, IPPROTO_UDP) = 3
    +0 bind(3, ..., ...) = 0
    +0 connect(3, ..., ...) = 0
    +0 write(3, ..., 100) = 100
    +0 > udp (100)
    +0 < udp (30)
    +0 read(3, ..., 100) = 30
    +0 < icmp unreachable port_unreachable [udp (100)]
    +0 read(3, ..., 100) = -1 ECONNREFUSED (Connection refused)"""
    outcome = verdict(text)
    assert outcome.status == PASSED, outcome.report()
