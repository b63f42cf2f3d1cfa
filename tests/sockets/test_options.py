"""Socket options: numbers, ranges, units and read-back as the kernel has them."""

import errno
import itertools
import socket
import struct

import pytest

from netstack.sockets import numbers
from netstack.sockets.inert import NAMES
from tests.sockets.worlds import SERVER, KernelWorld, StackWorld, attempt, connected

SOL, TCP, IP = socket.SOL_SOCKET, socket.IPPROTO_TCP, socket.IPPROTO_IP
NOT_IN_PYTHON = {
    "TCP_FASTOPEN_CONNECT": 30, "TCP_FASTOPEN_KEY": 33, "TCP_FASTOPEN_NO_COOKIE": 34, "IP_MTU_DISCOVER": 10,
    "IP_RECVERR": 11, "IP_MTU": 14, "IP_PMTUDISC_DONT": 0, "IP_PMTUDISC_OMIT": 5, "SO_SNDBUFFORCE": 32,
    "SO_RCVBUFFORCE": 33, "TCP_THIN_LINEAR_TIMEOUTS": 16, "TCP_RTO_MAX_MS": 44, "SO_MAX_PACING_RATE": 47,
    "TCP_CC_INFO": 26, "TCP_MD5SIG": 14, "TCP_MD5SIG_EXT": 32, "TCP_SAVE_SYN": 27, "TCP_SAVED_SYN": 28,
    "TCP_RTO_MIN_US": 45,
}  # fmt: skip
FLAGS = [
    (SOL, "SO_REUSEADDR"), (SOL, "SO_KEEPALIVE"), (TCP, "TCP_NODELAY"), (TCP, "TCP_CORK"), (TCP, "TCP_QUICKACK"),
]  # fmt: skip
NUMBERS = [
    (TCP, "TCP_KEEPIDLE"), (TCP, "TCP_KEEPINTVL"), (TCP, "TCP_KEEPCNT"), (TCP, "TCP_SYNCNT"), (TCP, "TCP_MAXSEG"),
    (TCP, "TCP_USER_TIMEOUT"), (TCP, "TCP_DEFER_ACCEPT"), (TCP, "TCP_NOTSENT_LOWAT"), (IP, "IP_TOS"), (IP, "IP_TTL"),
    (TCP, "TCP_LINGER2"),
]  # fmt: skip
EDGES = (-1, 0, 1, 2, 3, 5, 8, 30, 87, 88, 100, 127, 128, 255, 256, 1460, 32767, 32768, 65536, 1 << 20)


def test_the_numbers_are_linuxs():
    names = [name for name in vars(numbers) if name.startswith(("SO_", "TCP_", "IP_", "SOL_", "SHUT_", "IPPROTO_"))]
    assert len(names) > 30
    for name in names:
        assert getattr(numbers, name) == NOT_IN_PYTHON.get(name, getattr(socket, name, None)), name
    assert numbers.AF_INET == socket.AF_INET
    assert numbers.SOCK_STREAM == socket.SOCK_STREAM


def on_both(program):
    results = []
    for world in (KernelWorld(), StackWorld()):
        try:
            results.append(program(world))
        finally:
            world.close()
    return results


@pytest.mark.parametrize(("level", "name"), FLAGS)
@pytest.mark.parametrize("value", [-1, 0, 1, 2])
def test_flags_read_back(level, name, value):
    def program(world):
        sock, number = world.client(), getattr(socket, name)
        first = sock.getsockopt(level, number)
        return first, attempt(sock.setsockopt, level, number, value), sock.getsockopt(level, number)

    kernel, ours = on_both(program)
    assert ours == kernel


@pytest.mark.parametrize(("level", "name"), NUMBERS)
def test_numbers_have_the_kernels_default_range_and_rounding(level, name):
    def program(world):
        sock, number = world.client(), getattr(socket, name)
        results = [sock.getsockopt(level, number)]
        for value in EDGES:
            results.append((value, attempt(sock.setsockopt, level, number, value), sock.getsockopt(level, number)))
        return results

    kernel, ours = on_both(program)
    assert ours == kernel


@pytest.mark.parametrize("name", ["SO_SNDBUF", "SO_RCVBUF"])
@pytest.mark.parametrize("value", [0, 1, 1000, 2303, 2304, 4608, 10_000, 100_000])
def test_buffer_sizes_read_back_doubled(name, value):
    def program(world):
        sock = world.client()
        sock.setsockopt(SOL, getattr(socket, name), value)
        return sock.getsockopt(SOL, getattr(socket, name))

    kernel, ours = on_both(program)
    assert ours == kernel


@pytest.mark.parametrize("name", ["SO_TYPE", "SO_ERROR", "SO_ACCEPTCONN", "SO_PROTOCOL", "SO_DOMAIN"])
def test_read_only_options_refuse(name):
    def program(world):
        sock, number = world.client(), getattr(socket, name)
        return sock.getsockopt(SOL, number), attempt(sock.setsockopt, SOL, number, 1)

    kernel, ours = on_both(program)
    assert ours == kernel


@pytest.mark.parametrize("value", [struct.pack("ii", *pair) for pair in itertools.product((0, 1, 2), (-1, 0, 1, 30))])
def test_linger_reads_back(value):
    def program(world):
        sock = world.client()
        sock.setsockopt(SOL, socket.SO_LINGER, value)
        onoff, seconds = struct.unpack("ii", sock.getsockopt(SOL, socket.SO_LINGER, 8))
        return onoff, seconds if onoff else 0, sock.getsockopt(SOL, socket.SO_LINGER)

    kernel, ours = on_both(program)
    if value[4:] == struct.pack("i", -1) and kernel[0]:
        return  # Deviation: a negative linger is 0 s here, and 2^32 - 1 s (bounded) there
    assert ours == kernel


@pytest.mark.parametrize(
    ("level", "number", "value"),
    [
        (SOL, 9999, 1),
        (TCP, 9999, 1),
        (99, 1, 1),
        (SOL, socket.SO_KEEPALIVE, b"\1"),
        (SOL, socket.SO_LINGER, b"\1\0\0\0"),
        (SOL, socket.SO_LINGER, 1),
        (TCP, socket.TCP_CONGESTION, b"no-such-algorithm"),
        (TCP, socket.TCP_CONGESTION, b""),
        (TCP, socket.TCP_NODELAY, b"\1\0\0\0\0\0\0\0"),
        (IP, 10, 99),
    ],
)
def test_wrong_use_gets_the_kernels_errno(level, number, value):
    kernel, ours = on_both(lambda world: attempt(world.client().setsockopt, level, number, value))
    assert ours == kernel


@pytest.mark.parametrize("buflen", [1, 3, 4, 8, 16])
def test_octets_are_given_as_many_as_asked_for(buflen):
    def program(world):
        sock = world.client()
        sock.setsockopt(TCP, socket.TCP_NODELAY, 1)
        return sock.getsockopt(TCP, socket.TCP_NODELAY, buflen)

    kernel, ours = on_both(program)
    assert ours == kernel


def test_congestion_control_is_chosen_by_name():
    sock = StackWorld().client()
    sock.setsockopt(TCP, socket.TCP_CONGESTION, b"reno")
    assert sock.getsockopt(TCP, socket.TCP_CONGESTION, 16) == b"reno".ljust(16, b"\0")
    assert sock.options.congestion == "reno"


@pytest.mark.parametrize("name", NAMES)
def test_options_without_effect_are_checked_and_kept_as_the_kernels(name):
    level, number = NAMES[name]

    def program(world):
        sock = world.client()
        results = [attempt(sock.getsockopt, level, number)]
        for value in EDGES:
            results.append((value, attempt(sock.setsockopt, level, number, value)))
            results.append(attempt(sock.getsockopt, level, number))
        return results

    kernel, ours = on_both(program)
    if kernel[0] == "ENOPROTOOPT" != ours[0] or "EPERM" in str(kernel):
        pytest.skip("this kernel does not know it, or does not let everybody use it")
    assert ours == kernel


@pytest.mark.parametrize("number", [1, 2, 10, 11, 13, 15, 19, 24])
def test_options_of_ip_may_be_one_octet(number):
    def program(world):
        sock = world.client()
        results = []
        for value in (b"", b"\1", b"\2\0", b"\0\0\0", b"\1\0\0\0", b"\1\0\0\0\0"):
            results.append((value, attempt(sock.setsockopt, IP, number, value)))
            results += [attempt(sock.getsockopt, IP, number, buflen) for buflen in (1, 2, 4, 8)]
        return results

    kernel, ours = on_both(program)
    assert ours == kernel


@pytest.mark.parametrize("mode", [0, 1])
def test_the_syn_is_kept_for_who_asks_once(mode):
    def program(world):
        listener = world.server()
        listener.bind((world.host, 0))
        listener.setsockopt(TCP, 27, mode)
        listener.listen(1)
        client = world.client()
        attempt(client.connect, listener.getsockname())
        world.wait(listener)
        accepted, _ = listener.accept()
        world.made.append(accepted)
        short = attempt(accepted.getsockopt, TCP, 28, 30)
        kept = accepted.getsockopt(TCP, 28, 100)
        words = kept[:1], kept[9:10], kept[22:24] == struct.pack("!H", listener.getsockname()[1]), kept[32:34]
        return short, len(kept), words, accepted.getsockopt(TCP, 28, 100), attempt(accepted.setsockopt, TCP, 27, 3)

    kernel, ours = on_both(program)
    assert ours == kernel
    assert ours[1] == (60 if mode else 0)


def test_the_frame_of_the_syn_is_kept_with_its_header():
    world = StackWorld()
    listener = world.server()
    listener.bind((world.host, 80))
    listener.setsockopt(TCP, 27, 2)
    listener.listen(1)
    attempt(world.client().connect, (world.host, 80))
    world.wait(listener)
    kept = listener.accept()[0].getsockopt(TCP, 28, 100)
    assert (len(kept), kept[:6], kept[12:15]) == (74, SERVER.mac, b"\x08\0\x45")


@pytest.mark.parametrize("value", [1, 4_001, 8_000, 100_000, 196_001, 200_000, 200_001])
def test_a_shorter_rto_is_kept_in_jiffies(value):
    sock = StackWorld().client()
    told = attempt(sock.setsockopt, TCP, 45, value)
    if 4_000 < value <= 200_000:
        assert sock.getsockopt(TCP, 45) == -(-value // 4_000) * 4_000
    else:
        assert (told, sock.getsockopt(TCP, 45)) == ("EINVAL", 200_000)


def test_path_mtu_needs_a_connection():
    def program(world):
        client, _, listener = connected(world)
        return attempt(listener.getsockopt, IP, 14), client.getsockopt(IP, 14) > 0, client.getsockopt(IP, 10)

    kernel, ours = on_both(program)
    assert ours == kernel


def test_accepted_connections_inherit_the_listeners_options():
    def program(world):
        listener = world.server()
        listener.bind((world.host, 0))
        listener.listen(1)
        listener.setsockopt(SOL, socket.SO_KEEPALIVE, 1)
        listener.setsockopt(TCP, socket.TCP_NODELAY, 1)
        listener.setsockopt(TCP, socket.TCP_KEEPIDLE, 77)
        client = world.client()
        attempt(client.connect, listener.getsockname())
        world.wait(listener)
        accepted, _ = listener.accept()
        world.made.append(accepted)
        accepted.setsockopt(TCP, socket.TCP_KEEPIDLE, 78)
        return [
            accepted.getsockopt(SOL, socket.SO_KEEPALIVE),
            accepted.getsockopt(TCP, socket.TCP_NODELAY),
            accepted.getsockopt(TCP, socket.TCP_KEEPIDLE),
            listener.getsockopt(TCP, socket.TCP_KEEPIDLE),
        ]

    kernel, ours = on_both(program)
    assert ours == kernel


def test_an_integer_too_large_is_an_overflow_error():
    sock = StackWorld().client()
    with pytest.raises(OverflowError):
        sock.setsockopt(TCP, socket.TCP_NODELAY, 1 << 31)


def test_setting_keeps_what_was_there_when_it_fails():
    sock = StackWorld().client()
    sock.setsockopt(TCP, socket.TCP_KEEPCNT, 5)
    assert attempt(sock.setsockopt, TCP, socket.TCP_KEEPCNT, 128) == errno.errorcode[errno.EINVAL]
    assert sock.getsockopt(TCP, socket.TCP_KEEPCNT) == 5
