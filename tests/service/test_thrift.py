"""When memory is given back."""

import ctypes
import os

import pytest

from netstack.service.thrift import Thrift, trim


def test_each_halving_of_a_crowd_gives_memory_back_once():
    counts = iter([0, 10, 0, 100, 90, 51, 50, 50, 40, 25, 24, 0, 0, 31, 0])
    seen, at = [0], []
    thrift = Thrift(lambda: seen[-1], lambda: at.append(seen[-1]))
    for seen[-1] in counts:
        thrift.look()
    assert at == [50, 25]


def resident() -> int:
    with open("/proc/self/statm") as file:
        return int(file.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")


def test_what_was_freed_between_what_lives_goes_back():
    if not hasattr(ctypes.CDLL(None), "malloc_trim"):
        pytest.skip("not glibc")
    blocks = [os.urandom(60_000) for _ in range(2_000)]
    with_all = resident()
    del blocks[:-1]
    trim()
    assert with_all - resident() > 80_000_000
