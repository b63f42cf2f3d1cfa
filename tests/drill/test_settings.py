"""What is read out of a script's commands, and what it does to the stack's configuration."""

import pytest

from netstack.config import Config
from netstack.drill.outcome import Unsupported
from netstack.drill.settings import USUAL, read_settings
from netstack.drill.virtual.settings import apply
from netstack.units import MILLISECOND, SECOND

FILES = {
    "../common/defaults.sh": """#!/bin/sh
# all
sysctl -q net.ipv4.tcp_sack=0 \\
  net.ipv4.tcp_rmem="1 2  3"
./more.sh
foo bar
""",
    "./more.sh": "sysctl -w net.ipv4.tcp_dsack=0",
    "loop.sh": "./loop.sh",
    "./loop.sh": "loop.sh",
}


def read(text):
    """Values and ignored lines of a command."""
    found = read_settings(text, FILES.get)
    return found.values, found.ignored


@pytest.mark.parametrize(
    "text",
    [
        "sysctl -q net.ipv4.tcp_x=1; sysctl -q net.ipv4.tcp_y='2 3'",
        "sysctl -q net.ipv4.tcp_x=1\n sysctl -q net.ipv4.tcp_y='2 3'\n",
        'sysctl -q -w net.ipv4.tcp_x=1 net.ipv4.tcp_y="2  3"',
        "sysctl -w net.ipv4.tcp_x=1 && /sbin/sysctl -w net.ipv4.tcp_y=2\\ 3",
        "../common/set.py /proc/sys/net/ipv4/tcp_x=1 '/proc/sys/net/ipv4/tcp_y=2 3'",
        "echo 1 > /proc/sys/net/ipv4/tcp_x; echo '2 3' > /proc/sys/net/ipv4/tcp_y",
        "sudo sysctl net.ipv4.tcp_x = 1; sysctl net/ipv4/tcp_y='2 3'",
        "echo 1 | sudo tee /proc/sys/net/ipv4/tcp_x; printf '2 3' | tee -a /proc/sys/net/ipv4/tcp_y > /dev/null",
        """sh -c "sysctl -q net.ipv4.tcp_x=1; bash -c \\"sysctl -w net.ipv4.tcp_y='2 3'\\"" """,
    ],
)
def test_forms_of_an_assignment(text):
    assert read(text) == ({"net.ipv4.tcp_x": "1", "net.ipv4.tcp_y": "2 3"}, [])


def test_files_are_read_and_the_later_assignment_wins():
    values, ignored = read("../common/defaults.sh\nsysctl -q net.ipv4.tcp_sack=1")
    assert values == {"net.ipv4.tcp_sack": "1", "net.ipv4.tcp_rmem": "1 2 3", "net.ipv4.tcp_dsack": "0"}
    assert ignored == ["foo bar"]


def test_a_missing_file_means_the_usual():
    values, _ = read("./nowhere.sh; sysctl -q net.ipv4.tcp_sack=0")
    assert values == {**USUAL, "net.ipv4.tcp_sack": "0"}


def test_a_missing_file_means_nothing_in_the_middle_or_below_tmp():
    assert read_settings("./nowhere.sh", FILES.get, usual=False).values == {}
    assert read("/tmp" + "/restore_$PPID.sh") == ({}, [])


def test_a_file_that_names_itself_ends():
    assert read("loop.sh") == ({}, [])


def test_nothing_else_is_taken_and_the_harmless_is_silent():
    assert read("ip route flush cache; ip tcp_metrics flush all; true; rm -rf 'x; frob 1 # 2\n frob '#'") == (
        {},
        [],
    )
    assert read("frob 1 # 2; ls | cat; frob '#'") == ({}, ["frob 1"])


@pytest.mark.parametrize(
    ("text", "values"),
    [
        ('X=3; sysctl -q net.ipv4.tcp_x="$X $((X * (1 + 2) * 1024)) ${Y:-7}"', {"net.ipv4.tcp_x": "3 9216 7"}),
        ("sysctl -q net.ipv4.tcp_x=$((1<<20)) > /dev/null 2>&1 # all", {"net.ipv4.tcp_x": "1048576"}),
        ("if [ -f x ]; then\nsysctl -q net.ipv4.tcp_x=1\nelse\nsysctl -q net.ipv4.tcp_y=1\nfi", {
            "net.ipv4.tcp_x": "1",
        }),
        ("sysctl -q net.ipv4.tcp_x=$((1/0)) || exit 1", {"net.ipv4.tcp_x": "0"}),
        ("ip -4 ro cha default via 1.2.3.4 dev tun0 initcwnd 20 mtu lock 900", {
            "route.initcwnd": "20", "route.mtu_lock": "1", "route.mtu": "900",
        }),
        ("ip route change default dev tun0 rto_min 5ms quickack 1", {"route.rto_min": "5000", "route.quickack": "1"}),
        ("ip link set dev tun0 mtu 1400; tc qdisc replace dev tun0 root fq", {"link.mtu": "1400", "link.qdisc": "fq"}),
        ("tc qdisc replace dev tun0 root pfifo; tc -s qdisc show", {}),
    ],
)  # fmt: skip
def test_shell_is_read_as_a_shell_would(text, values):
    assert read(text) == (values, [])


@pytest.mark.parametrize(
    "text",
    [
        "iptables -A INPUT -j DROP",
        "tc qdisc add dev tun0 root netem delay 10ms",
        "ip route del default",
        "ss -nt | grep cwnd",
        "nstat | awk '{print $2}'",
        "ip link set dev tun0 down",
    ],
)
def test_what_would_matter_and_cannot_be_done_is_refused(text):
    assert read_settings(text, FILES.get).refused.startswith(text.split()[0])


def test_sleeping_and_counting():
    settings = read_settings("sleep 1.5; sleep .25s; nstat -n; nstat | grep -q TcpExtX | grep ' 1 '", FILES.get)
    assert settings.pause == 1_750 * MILLISECOND
    assert settings.recount
    assert settings.counted == [["TcpExtX", " 1 "]]


def test_settings_become_configuration_in_its_units():
    settings = {
        "net.ipv4.tcp_rto_max_ms": "3000",
        "net.ipv4.tcp_orphan_retries": "0",
        "net.ipv4.tcp_base_mss": "900",
        "net.ipv4.ip_default_ttl": "33",
        "route.initcwnd": "20",
        "link.mtu": "900",
        "net.ipv4.tcp_timestamps": "0",
        "net.ipv4.tcp_rmem": "4096 5000 6000",
        "net.ipv4.tcp_fin_timeout": "7",
        "net.ipv4.tcp_invalid_ratelimit": "50",
        "net.ipv4.tcp_rto_min_us": "100000",
        "net.ipv4.tcp_congestion_control": "reno",
        "net.core.somaxconn": "3",
        "net.ipv4.tcp_no_such_thing": "1",
        "net.inet.tcp.syncookies": "0",
    }
    changed, ignored = apply(Config(), settings)
    config = changed.tcp
    assert (config.timestamps, config.rmem, config.congestion_control, config.somaxconn) == (
        False,
        (4096, 5000, 6000),
        "reno",
        3,
    )
    assert (config.fin_timeout, config.invalid_ratelimit, config.rto_min) == (
        7 * SECOND,
        50 * MILLISECOND,
        100 * MILLISECOND,
    )
    assert (config.rto_max, config.orphan_retries, config.base_mss, config.initial_cwnd) == (3 * SECOND, 8, 900, 20)
    assert (changed.default_ttl, changed.mtu) == (33, 900)
    assert ignored == ["net.ipv4.tcp_no_such_thing=1", "net.inet.tcp.syncookies=0"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tcp_rmem", "1 2"),
        ("tcp_sack", "yes"),
        ("tcp_congestion_control", "no-such-algorithm"),
        ("ip_no_pmtu_disc", "x"),
    ],
)
def test_what_the_stack_lacks_is_unsupported(name, value):
    with pytest.raises(Unsupported, match=value):
        apply(Config(), {f"net.ipv4.{name}": value})


@pytest.mark.parametrize(
    ("text", "path", "size"),
    [
        ("dd if=/dev/zero of=/x/f bs=1 count=5 status=none", "/x/f", 5),
        ("/bin/dd bs=1k count=3 if=/dev/zero of=f", "f", 3_072),
        ("dd if=/dev/zero of=f bs=2MB count=1", "f", 2_000_000),
        ("fallocate -l 10M f", "f", 10 << 20),
        ("truncate -s 7 f", "f", 7),
        ("head -c 100 /dev/zero > f", "f", 100),
    ],
)  # fmt: skip
def test_files_of_zeros_that_a_command_makes(text, path, size):
    assert read(text) == ({f"file.{path}": str(size)}, [])


def test_a_size_that_is_none():
    with pytest.raises(Unsupported):
        read("fallocate -l much f")
