"""What is read out of a script's commands, and what it does to the stack's configuration."""

import pytest

from netstack.config import TcpConfig
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


def test_a_file_that_names_itself_ends():
    assert read("loop.sh") == ({}, ["loop.sh"])


def test_nothing_else_is_taken_and_the_harmless_is_silent():
    assert read("ip route flush cache; nstat -n\nip tcp_metrics flush all; true; rm -rf 'x") == (
        {},
        ["ip route flush cache", "rm -rf 'x"],
    )


def test_settings_become_configuration_in_its_units():
    settings = {
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
    config, ignored = apply(TcpConfig(), settings)
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
    assert ignored == ["net.ipv4.tcp_no_such_thing=1", "net.inet.tcp.syncookies=0"]


@pytest.mark.parametrize(
    ("name", "value"),
    [
        ("tcp_mtu_probing", "1"),
        ("tcp_rmem", "1 2"),
        ("tcp_sack", "yes"),
        ("tcp_congestion_control", "no-such-algorithm"),
    ],
)
def test_what_the_stack_lacks_is_unsupported(name, value):
    with pytest.raises(Unsupported, match=value):
        apply(TcpConfig(), {f"net.ipv4.{name}": value})
