"""Which addresses the two ends get, and which choices are refused."""

import pytest

from netstack.service.addresses import both_ends, gateway


def ends(stack=None, host=None):
    return " ".join(map(str, both_ends(stack, host)))


@pytest.mark.parametrize(
    ("stack", "host", "result"),
    [
        (None, None, "192.0.2.2/24 192.0.2.1/24"),
        ("10.9.0.7/16", None, "10.9.0.7/16 10.9.0.1/16"),
        ("10.9.0.1/16", None, "10.9.0.1/16 10.9.0.2/16"),  # the first free one is not the stack's own
        (None, "10.9.0.1/16", "10.9.0.2/16 10.9.0.1/16"),
        ("192.0.2.9", None, "192.0.2.9/24 192.0.2.1/24"),  # the usual address of the other end, where it fits
        (None, "192.0.2.254", "192.0.2.2/24 192.0.2.254/24"),
        ("192.0.2.1", None, "192.0.2.1/24 192.0.2.2/24"),
        ("10.1.2.3", "10.1.9.9/16", "10.1.2.3/16 10.1.9.9/16"),  # one length is enough for both
        ("10.0.0.1/30", None, "10.0.0.1/30 10.0.0.2/30"),
    ],
)
def test_what_is_left_out_follows_from_the_rest(stack, host, result):
    assert ends(stack, host) == result


@pytest.mark.parametrize(
    ("stack", "host", "complaint"),
    [
        ("192.0.2.2/24", "198.51.100.1/24", "same subnet"),
        ("192.0.2.2/24", "192.0.2.1/25", "same subnet"),
        ("192.0.2.2", "192.0.2.2", "cannot both be"),
        ("192.0.2.0/24", None, "not the address of one host"),
        (None, "192.0.2.255/24", "not the address of one host"),
        ("10.0.0.1/31", None, "no room"),
        ("10.0.0.1/32", None, "no room"),
        ("224.0.0.5", None, "cannot be the address"),
        ("127.0.0.2", None, "cannot be the address"),
        ("255.255.255.1/24", None, "cannot be the address"),
        ("::1", None, "not an IPv4 address"),
        ("a.b", None, "not an IPv4 address"),
        ("10.0.0.1/64", None, "not an IPv4 address"),
        ("", None, "not an IPv4 address"),
    ],
)
def test_ends_that_cannot_talk_are_refused(stack, host, complaint):
    with pytest.raises(ValueError, match=complaint):
        both_ends(stack, host)


def test_the_gateway_is_the_host_unless_another_neighbour_is_named():
    stack, host = both_ends(None, None)
    assert gateway(None, stack, host) == host.ip
    assert str(gateway("192.0.2.77", stack, host)) == "192.0.2.77"


@pytest.mark.parametrize("text", ["198.51.100.1", "192.0.2.2", "nowhere", "192.0.2.1/24"])
def test_a_gateway_that_is_no_neighbour_is_refused(text):
    with pytest.raises(ValueError, match=r"gateway|not an IPv4"):
        gateway(text, *both_ends(None, None))
