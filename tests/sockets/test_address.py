"""Addresses and errors as the socket module has them."""

import errno
import os

import pytest

from netstack.sockets.address import ANY, pack, unpack
from netstack.sockets.errors import _TEXTS, os_error


def test_numeric_addresses_round_trip():
    assert pack(("192.0.2.2", 80), "bind") == (b"\xc0\x00\x02\x02", 80)
    assert unpack((b"\xc0\x00\x02\x02", 80)) == ("192.0.2.2", 80)


def test_empty_host_is_any_address():
    assert pack(("", 0), "bind") == (ANY, 0)


@pytest.mark.parametrize("address", ["192.0.2.2", ("192.0.2.2",), ("192.0.2.2", "80"), None, ("192.0.2.2", 80, 0, 0)])
def test_what_is_no_address_is_a_type_error(address):
    with pytest.raises(TypeError):
        pack(address, "connect")


@pytest.mark.parametrize("port", [-1, 65536])
def test_port_out_of_range_is_an_overflow_error(port):
    with pytest.raises(OverflowError):
        pack(("192.0.2.2", port), "bind")


@pytest.mark.parametrize("host", ["example.org", "192.0.2", "192.0.2.256", "::1", "192.0.2.2 ", "192.0.2.02", b"\xff"])
def test_what_is_not_numeric_is_refused(host):
    with pytest.raises(OSError, match="not a numeric") as caught:
        pack((host, 80), "connect")
    assert caught.value.errno == errno.EINVAL


@pytest.mark.parametrize("code", sorted(_TEXTS))
def test_error_texts_are_the_c_librarys(code):
    assert os_error(code).strerror == os.strerror(code)


def test_errors_are_of_the_subclass_programs_catch():
    assert type(os_error(errno.ECONNRESET)) is ConnectionResetError
    assert type(os_error(errno.ETIMEDOUT)) is TimeoutError
    assert type(os_error(errno.EINPROGRESS)) is BlockingIOError
