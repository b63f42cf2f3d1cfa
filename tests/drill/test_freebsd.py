"""The dialect of FreeBSD: what its scripts set, in Linux's terms, and that they run."""

import pytest

from netstack.config import Config
from netstack.drill.outcome import FAILED, PASSED, SKIPPED, Unsupported
from netstack.drill.runner import Wishes, run_text
from netstack.drill.settings import read_settings
from netstack.drill.virtual.host import StackHost
from netstack.drill.virtual.settings import apply
from netstack.units import MILLISECOND, SECOND


def run(text):
    """The outcome on the stack, relaxed: FreeBSD lays its options out in another order."""
    return run_text(text, "freebsd", StackHost, Wishes(relaxed=True))


def tcp(text):
    """The stack's configuration after one command."""
    return apply(Config(), read_settings(f"sysctl {text}", lambda name: None).values)[0].tcp


@pytest.mark.parametrize(
    ("text", "field", "value"),
    [
        ("net.inet.tcp.sack.enable=0", "sack", False),
        ("net.inet.tcp.ecn.enable=0", "ecn", 0),
        ("net.inet.tcp.ecn.enable=2", "ecn", 2),
        ("net.inet.tcp.ecn.enable=3", "ecn", 3),
        ("net.inet.tcp.ecn.enable=4", "ecn", 5),
        ("net.inet.tcp.ecn.enable=3", "ecn_option", 0),
        ("net.inet.tcp.rfc1323=0", "timestamps", False),
        ("net.inet.tcp.rfc1323=2", "timestamps", False),
        ("net.inet.tcp.rfc1323=2", "window_scaling", True),
        ("net.inet.tcp.rfc1323=3", "window_scaling", False),
        ("net.inet.tcp.syncookies_only=1", "syncookies", 2),
        ("net.inet.tcp.syncookies=0", "syncookies", 0),
        ("net.inet.tcp.rexmit_initial=3000", "initial_rto", 3 * SECOND),
        ("net.inet.tcp.rexmit_min=30", "rto_min", 30 * MILLISECOND),
        ("net.inet.tcp.rexmit_max=4000", "rto_max", 4 * SECOND),
        ("net.inet.tcp.keepidle=7200", "keepalive_time", 8 * SECOND),
        ("net.inet.tcp.keepintvl=1000", "keepalive_intvl", SECOND),
        ("net.inet.tcp.keepcnt=3", "keepalive_probes", 3),
        ("net.inet.tcp.finwait2_timeout=3000", "fin_timeout", 3 * SECOND),
        ("net.inet.tcp.msl=500", "timewait_len", SECOND),
        ("net.inet.tcp.initcwnd_segments=4", "initial_cwnd", 4),
        ("net.inet.tcp.mssdflt=1000", "default_mss", 1_000),
        ("net.inet.tcp.cc.algorithm=newreno", "congestion_control", "reno"),
        ("net.inet.tcp.cc.algorithm=cubic", "congestion_control", "cubic"),
        ("net.inet.tcp.cc.abe=1", "abe", True),
        ("net.inet.tcp.delayed_ack=0", "delack_max", 1),
        ("net.inet.tcp.delayed_ack=1", "delack_max", 200 * MILLISECOND),
        ("net.inet.tcp.delacktime=30", "delack_min", 30 * MILLISECOND),
        ("net.inet.tcp.fastopen.server_enable=1", "fastopen", 3),
        ("net.inet.tcp.pmtud_blackhole_detection=1", "mtu_probing", 1),
        ("net.inet.tcp.recvbuf_auto=0", "moderate_rcvbuf", False),
        ("net.inet.tcp.syncache.rexmtlimit=2", "synack_retries", 2),
        ("kern.ipc.maxsockbuf=500000", "rmem_max", 500_000),
    ],
)  # fmt: skip
def test_settings_with_an_equivalent(text, field, value):
    assert getattr(tcp(text), field) == value


@pytest.mark.parametrize(
    "text",
    [
        "net.inet.tcp.blackhole=1",
        "net.inet.tcp.path_mtu_discovery=0",
        "net.inet.tcp.cc.algorithm=htcp",
        "net.inet.tcp.initcwnd_segments=0",
        "net.inet.tcp.insecure_rst=1",
        "net.inet.tcp.sack.enable=yes",
    ],
)
def test_settings_that_ask_for_what_nobody_does(text):
    with pytest.raises(Unsupported):
        tcp(text)


def test_settings_without_an_equivalent_are_told():
    config, ignored = apply(Config(), read_settings("sysctl net.inet.tcp.hostcache.enable=0", lambda name: None).values)
    assert (config, ignored) == (Config(), ["net.inet.tcp.hostcache.enable=0"])


SCRIPT = """--ip_version=ipv4
 0.00 `kldload -n tcp_rack`
+0.00 `sysctl net.inet.tcp.functions_default=freebsd`
+0.00 `sysctl net.inet.tcp.hostcache.purgenow=1`
+0.00 `sysctl net.inet.tcp.rfc1323=1`
+0.00 `strange_tool -x`
+0.00 socket(..., SOCK_STREAM, IPPROTO_TCP) = 3
+0.00 setsockopt(3, SOL_SOCKET, SO_REUSEADDR, [1], 4) = 0
+0.00 setsockopt(3, SOL_SOCKET, SO_DEBUG, [1], 4) = 0
+0.00 setsockopt(3, SOL_SOCKET, SO_NOSIGPIPE, [1], 4) = 0
+0.00 setsockopt(3, IPPROTO_TCP, TCP_FUNCTION_BLK, {function_set_name="freebsd", pcbcnt=0}, 36) = 0
+0.00 bind(3, ..., ...) = 0
+0.00 listen(3, 1) = 0
+0.00 < S     0:0(0)           win 65535 <mss 1460, nop, wscale 6, sackOK, TS val 100 ecr 0>
+0.00 > S.    0:0(0)    ack 1  win 65535 <mss 1460, nop, wscale 6, sackOK, TS val 100 ecr 100>
+0.05 <  .    1:1(0)    ack 1  win 65535 <nop, nop, TS val 150 ecr 100>
+0.00 accept(3, ..., ...) = 4
+0.00 getsockopt(4, IPPROTO_TCP, TCP_INFO, {tcpi_state=TCPS_ESTABLISHED, tcpi_snd_wscale=6}, [104]) = 0
+0.00 setsockopt(4, IPPROTO_TCP, TCP_NOPUSH, [1], 4) = 0
+0.00 setsockopt(4, IPPROTO_TCP, TCP_CONGESTION, "newreno", 7) = 0
+0.00 getsockopt(4, IPPROTO_TCP, TCP_CONGESTION, "newreno", [16]) = 0
+0.00 send(4, ..., 1000, 0) = 1000
+0.00 ioctl(4, FIONWRITE, [1000]) = 0
+0.01 setsockopt(4, IPPROTO_TCP, TCP_NOPUSH, [0], 4) = 0
+0.00 > P.    1:1001(1000) ack 1 win 1040 <nop, nop, TS val 160 ecr 150>
+0.00 close(3) = 0
"""


def test_a_script_of_that_dialect_runs():
    outcome = run(SCRIPT)
    assert (outcome.status, outcome.message) == (PASSED, "")
    assert "strange_tool -x" in outcome.ignored


@pytest.mark.parametrize(
    ("true", "spoilt", "line", "message"),
    [
        ("TCPS_ESTABLISHED", "TCPS_CLOSE_WAIT", 18, "option: expected tcpi_state=8, got 1"),
        ("FIONWRITE, [1000]", "FIONWRITE, [999]", 23, "value: expected [999], got [1000]"),
        ("SO_NOSIGPIPE, [1], 4) = 0", "SO_NOSIGPIPE, [1], 4) = -1", 10, "result: expected -1, got 0"),
        ("opt(3, IPPROTO_TCP, TCP_F", "opt(9, IPPROTO_TCP, TCP_F", 11, "result: expected 0, got -1 EBADF"),
        ("1:1001(1000) ack 1 win", "1:1000(999) ack 1 win", 25, "length: expected 999, got 1000"),
    ],
)  # fmt: skip
def test_a_spoilt_script_of_that_dialect_fails(true, spoilt, line, message):
    assert true in SCRIPT
    outcome = run(SCRIPT.replace(true, spoilt))
    assert (outcome.status, outcome.line, outcome.message) == (FAILED, line, message)


def test_an_unknown_command_skips_once_the_exchange_has_begun():
    outcome = run(SCRIPT + "+0 `strange_tool -y`")
    assert (outcome.status, outcome.message) == (SKIPPED, "the command `strange_tool -y`")


def test_keys_that_another_program_would_give_are_a_reason_to_skip():
    outcome = run(SCRIPT.replace("TCP_NOPUSH, [1]", "TCP_MD5SIG, [1]"))
    assert outcome.status == SKIPPED
    assert "setkey" in outcome.message
