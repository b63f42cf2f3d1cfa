"""URLs and fields to octets, and what is refused."""

import pytest

from netstack.journey.request import make_request


@pytest.mark.parametrize(("url", "host", "port", "target"), [
    ("/plaintext", "192.0.2.2:8080", 8080, "/plaintext"),
    ("plaintext", "192.0.2.2:8080", 8080, "/plaintext"),
    ("http://example.test/a/b?c=d&e", "example.test", 80, "/a/b?c=d&e"),
    ("http://example.test:81", "example.test:81", 81, "/"),
    ("/a b/ü?q=a b#part", "192.0.2.2:8080", 8080, "/a%20b/%C3%BC?q=a%20b"),
])  # fmt: skip
def test_urls(url, host, port, target):
    request = make_request(url)
    assert (request.host, request.port, request.target) == (host, port, target)
    assert request.octets.startswith(f"GET {target} HTTP/1.1\r\nHost: {host}\r\n".encode())
    assert request.octets.endswith(b"\r\n\r\n")


def test_content_makes_it_a_post_with_its_length():
    request = make_request("/echo", data="hé")
    assert request.octets.startswith(b"POST /echo ")
    assert b"\r\nContent-Length: 3\r\n" in request.octets
    assert request.octets.endswith("\r\n\r\nhé".encode())


def test_own_fields_replace_the_usual_ones():
    octets = make_request("/", fields=("User-Agent: me", "X-A:1")).octets
    assert octets.count(b"User-Agent") == 1
    assert b"\r\nUser-Agent: me\r\nX-A: 1\r\n" in octets


@pytest.mark.parametrize(("url", "more", "said"), [
    ("https://192.0.2.2/", {}, "inside TLS"),
    ("http:///x", {}, "no host"),
    ("http://h:0/", {}, "port"),
    ("http://h:99999/", {}, "port"),
    ("/", {"method": "GE T"}, "no method"),
    ("/", {"fields": ("nothing",)}, "no header field"),
    ("/", {"fields": ("A: b\r\nC: d",)}, "no header field"),
])  # fmt: skip
def test_refused(url, more, said):
    with pytest.raises(ValueError, match=said):
        make_request(url, **more)
