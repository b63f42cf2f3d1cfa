"""What is refused, with which status, before the application sees anything; and that the connection then ends."""

import pytest

from tests.asgi.wire import Script, echo, plain, request

GET = b"GET / HTTP/1.1\r\nHost: a\r\n"
POST = b"POST / HTTP/1.1\r\nHost: a\r\n"
CHUNKED = POST + b"Transfer-Encoding: chunked\r\n"

BAD_HEADS = {
    # The request line.
    "no version": (b"GET /\r\nHost: a\r\n\r\n", 400),
    "nothing but a word": (b"hello\r\n\r\n", 400),
    "a TLS handshake": (b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03\r\n\r\n", 400),
    "two spaces before the target": (b"GET  / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "two spaces after the target": (b"GET /  HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "a space after the version": (b"GET / HTTP/1.1 \r\nHost: a\r\n\r\n", 400),
    "tabs": (b"GET\t/\tHTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "version in lower case": (b"GET / http/1.1\r\nHost: a\r\n\r\n", 400),
    "another protocol": (b"DESCRIBE / RTSP/1.0\r\n\r\n", 400),
    "ICE": (b"SOURCE / ICE/1.0\r\n\r\n", 400),
    "HTTP/1": (b"GET / HTTP/1\r\nHost: a\r\n\r\n", 400),
    "HTTP/1.10": (b"GET / HTTP/1.10\r\nHost: a\r\n\r\n", 400),
    "HTTP/0.9": (b"GET / HTTP/0.9\r\nHost: a\r\n\r\n", 505),
    "HTTP/1.2": (b"GET / HTTP/1.2\r\nHost: a\r\n\r\n", 505),
    "HTTP/2 preface": (b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n", 505),
    "HTTP/3.9": (b"GET / HTTP/3.9\r\nHost: a\r\n\r\n", 505),
    "unknown method": (b"BREW / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "method in lower case": (b"get / HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "method that is no token": (b"G(T / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "CONNECT": (b"CONNECT a:80 HTTP/1.1\r\nHost: a\r\n\r\n", 501),
    "relative target": (b"GET x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "star for GET": (b"GET * HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "fragment": (b"GET /a#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "fragment in absolute form": (b"GET http://a/#b HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "another scheme": (b"GET ftp://a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "absolute form without a host": (b"GET http:///x HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "absolute form with user information": (b"GET http://u@a/ HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "octet above 127 in the target": (b"GET /\xc3\xa9 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "NUL in the target": (b"GET /\x00 HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    # Line ends.
    "bare LF after the request line": (b"GET / HTTP/1.1\nHost: a\r\n\r\n", 400),
    "bare LF after a field": (GET + b"X: a\nY: b\r\n\r\n", 400),
    "bare LF everywhere": (b"GET / HTTP/1.1\nHost: a\n\n", 400),
    "bare LF ends the fields": (GET + b"\n", 400),
    "bare LF before the request line": (b"\nGET / HTTP/1.1\r\nHost: a\r\n\r\n", 400),
    "bare CR in a value": (GET + b"X: a\rb\r\n\r\n", 400),
    "CR CR LF": (GET + b"X: a\r\r\n\r\n", 400),
    "CR alone before the end": (GET + b"\r\r\n\r\n", 400),
    # Fields.
    "obsolete folding": (GET + b"X: a\r\n b\r\n\r\n", 400),
    "obsolete folding with a tab": (GET + b"X: a\r\n\tb\r\n\r\n", 400),
    "folding of the first field": (b"GET / HTTP/1.1\r\n Host: a\r\n\r\n", 400),
    "space before the colon": (GET + b"X : a\r\n\r\n", 400),
    "tab before the colon": (GET + b"X\t: a\r\n\r\n", 400),
    "no name": (GET + b": a\r\n\r\n", 400),
    "no colon": (GET + b"X\r\n\r\n", 400),
    "name that is no token": (GET + b"X(y): a\r\n\r\n", 400),
    "name with an octet above 127": (GET + b"X\xe9: a\r\n\r\n", 400),
    "NUL in a value": (GET + b"X: a\x00b\r\n\r\n", 400),
    "control character in a value": (GET + b"X: a\x01b\r\n\r\n", 400),
    "DEL in a value": (GET + b"X: a\x7fb\r\n\r\n", 400),
    # Host.
    "no Host": (b"GET / HTTP/1.1\r\n\r\n", 400),
    "no Host among other fields": (b"GET / HTTP/1.1\r\nConnection: keep-alive\r\n\r\n", 400),
    "two Hosts": (GET + b"Host: b\r\n\r\n", 400),
    "two equal Hosts": (GET + b"Host: a\r\n\r\n", 400),
    "two empty Hosts": (b"GET / HTTP/1.1\r\nHost:\r\nHost:\r\n\r\n", 400),
    "Host with a space": (b"GET / HTTP/1.1\r\nHost: a b\r\n\r\n", 400),
    "Host with a path": (b"GET / HTTP/1.1\r\nHost: a/b\r\n\r\n", 400),
    "Host with user information": (b"GET / HTTP/1.1\r\nHost: u@a\r\n\r\n", 400),
    "Host with a list": (b"GET / HTTP/1.1\r\nHost: a,b\r\n\r\n", 400),
    "Host with a strange port": (b"GET / HTTP/1.1\r\nHost: a:b\r\n\r\n", 400),
    # Length.
    "both lengths": (CHUNKED + b"Content-Length: 3\r\n\r\nabc", 400),
    "both lengths, the other way round": (POST + b"Content-Length: 3\r\nTransfer-Encoding: chunked\r\n\r\nabc", 400),
    "both lengths, unknown coding": (POST + b"Content-Length: 3\r\nTransfer-Encoding: gzip\r\n\r\nabc", 400),
    "two lengths": (POST + b"Content-Length: 3\r\nContent-Length: 4\r\n\r\nabc", 400),
    "two equal lengths": (POST + b"Content-Length: 3\r\nContent-Length: 3\r\n\r\nabc", 400),
    "list of lengths": (POST + b"Content-Length: 3, 3\r\n\r\nabc", 400),
    "length with a sign": (POST + b"Content-Length: +3\r\n\r\nabc", 400),
    "negative length": (POST + b"Content-Length: -3\r\n\r\nabc", 400),
    "length with something behind": (POST + b"Content-Length: 3 x\r\n\r\nabc", 400),
    "hexadecimal length": (POST + b"Content-Length: 0x3\r\n\r\nabc", 400),
    "length with an underscore": (POST + b"Content-Length: 1_0\r\n\r\nabc", 400),
    "empty length": (POST + b"Content-Length:\r\n\r\nabc", 400),
    "length beyond 64 bits": (POST + b"Content-Length: 99999999999999999999\r\n\r\nabc", 400),
    # Transfer codings.
    "unknown coding": (POST + b"Transfer-Encoding: xchunked\r\n\r\n", 501),
    "known coding without chunked": (POST + b"Transfer-Encoding: gzip\r\n\r\n", 501),
    "coding before chunked": (POST + b"Transfer-Encoding: gzip, chunked\r\n\r\n", 501),
    "coding before chunked, in two fields": (
        POST + b"Transfer-Encoding: gzip\r\nTransfer-Encoding: chunked\r\n\r\n",
        501,
    ),
    "identity": (POST + b"Transfer-Encoding: identity\r\n\r\n", 501),
    "chunked is not the last": (POST + b"Transfer-Encoding: chunked, gzip\r\n\r\n", 400),
    "chunked twice": (POST + b"Transfer-Encoding: chunked, chunked\r\n\r\n", 400),
    "chunked in two fields": (CHUNKED + b"Transfer-Encoding: chunked\r\n\r\n", 400),
    "chunked with a parameter": (POST + b"Transfer-Encoding: chunked;q=1\r\n\r\n", 400),
    "empty coding": (POST + b"Transfer-Encoding:\r\n\r\n", 400),
    "vertical tab before chunked": (POST + b"Transfer-Encoding: \x0bchunked\r\n\r\n", 400),
    "quoted coding": (POST + b'Transfer-Encoding: "chunked"\r\n\r\n', 400),
    "chunked on HTTP/1.0": (b"POST / HTTP/1.0\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n", 400),
}


def status_of(data: bytes) -> int:
    return int(data.split(b" ", 2)[1]) if data else 0


@pytest.mark.parametrize(("data", "status"), BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_bad_head_is_refused_at_once(serve, data, status):
    app = Script(("start", 200, []), ("body", b"", False))
    wire = serve(app)
    client = wire.connect().send(data + request(target="/smuggled"))
    got = client.got()
    assert status_of(got) == status
    assert b"\r\nconnection: close\r\n" in got
    assert got.count(b"HTTP/1.1") == 1
    assert app.scopes == []
    assert client.closed


@pytest.mark.parametrize(("data", "status"), BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_bad_head_is_refused_in_any_pieces(serve, data, status):
    wire = serve(echo)
    whole = data if data.endswith(b"\r\n\r\n") else data + b"\r\n\r\n"
    for cut in range(1, len(data)):
        client = wire.connect().send(whole[:cut], whole[cut:])
        assert status_of(client.got()) in (status, 400)
        assert client.closed


@pytest.mark.parametrize(("data", "status"), BAD_HEADS.values(), ids=BAD_HEADS.keys())
def test_other_connections_are_not_harmed(serve, data, status):
    wire = serve(plain())
    other = wire.connect()
    wire.connect().send(data)
    assert status_of(other.get()) == 200


@pytest.mark.parametrize("field", ["Connection: close", "Upgrade: x\r\nConnection: upgrade", "Content-Length: 5"])
def test_one_connections_parser_state_does_not_reach_another(serve, field):
    wire = serve(plain())
    for _ in range(3):
        wire.connect().get("/", *field.split("\r\n"))
        assert status_of(wire.connect().get()) == 200


@pytest.mark.parametrize("host", ["", "a", "A.b-c_d.example:80", "127.0.0.1:8000", "[::1]", "[::1]:80", "a:", "%41"])
def test_good_hosts(serve, host):
    assert status_of(serve(plain()).connect().send(f"GET / HTTP/1.1\r\nHost: {host}\r\n\r\n".encode()).got()) == 200


BAD_CHUNKS = {
    "no size": b"\r\nabc\r\n0\r\n\r\n",
    "size with 0x": b"0x3\r\nabc\r\n0\r\n\r\n",
    "size with a sign": b"+3\r\nabc\r\n0\r\n\r\n",
    "negative size": b"-3\r\nabc\r\n0\r\n\r\n",
    "no hexadecimal size": b"g\r\nabc\r\n0\r\n\r\n",
    "space after the size": b"3 \r\nabc\r\n0\r\n\r\n",
    "space before the size": b" 3\r\nabc\r\n0\r\n\r\n",
    "size with an underscore": b"1_0\r\nabc\r\n0\r\n\r\n",
    "size beyond 60 bits": b"1234567890abcdef1\r\nabc",
    "LF after the size": b"3\nabc\r\n0\r\n\r\n",
    "CR after the size": b"3\rabc\r\n0\r\n\r\n",
    "LF in an extension": b"3;a\nb\r\nabc\r\n0\r\n\r\n",
    "CR in an extension": b"3;a\rb\r\nabc\r\n0\r\n\r\n",
    "NUL in an extension": b"3;a\0b\r\nabc\r\n0\r\n\r\n",
    "endless extension": b"3;" + b"a" * 1_000,
    "long extension": b"3;" + b"a" * 300 + b"\r\nabc\r\n0\r\n\r\n",
    "chunk longer than its size": b"3\r\nabcd\r\n0\r\n\r\n",
    "LF after a chunk": b"3\r\nabc\n0\r\n\r\n",
    "nothing after a chunk": b"3\r\nabc0\r\n\r\n",
    "LF after the last chunk": b"0\n\r\n",
    "LF at the end": b"0\r\n\n",
    "bad trailer name": b"0\r\nX y: a\r\n\r\n",
    "trailer without a colon": b"0\r\nX\r\n\r\n",
    "space before the colon of a trailer": b"0\r\nX : a\r\n\r\n",
    "LF in a trailer": b"0\r\nX: a\nY: b\r\n\r\n",
    "folded trailer": b"0\r\nX: a\r\n b\r\n\r\n",
}


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_bad_chunks_are_refused_before_the_application_starts(serve, chunks):
    app = Script(("receive",))
    client = serve(app).connect().send(CHUNKED + b"\r\n" + chunks)
    assert status_of(client.got()) == 400
    assert app.scopes == []
    assert client.closed


@pytest.mark.parametrize("chunks", BAD_CHUNKS.values(), ids=BAD_CHUNKS.keys())
def test_bad_chunks_end_a_running_request(serve, chunks):
    app = Script(("receive",), ("receive",), ("start", 200, []), ("body", b"", False))
    wire = serve(app)
    client = wire.connect().send(CHUNKED + b"\r\n", *(chunks[n : n + 1] for n in range(len(chunks))))
    assert status_of(client.got()) == 400
    assert client.closed
    assert {"type": "http.disconnect"} in app.events


def test_trailers_of_a_request_are_bounded(serve):
    client = serve(echo).connect().send(CHUNKED + b"\r\n0\r\n" + b"X: aaaaaaaaaa\r\n" * 1_000)
    assert status_of(client.got()) == 431


def test_chunk_error_after_the_response_began_cuts_it(serve):
    app = Script(("start", 200, []), ("body", b"abc", True), ("receive",), ("body", b"def", True))
    client = serve(app).connect().send(CHUNKED + b"\r\n")
    assert client.got().endswith(b"3\r\nabc\r\n")
    client.send(b"no\r\n")
    assert client.got() == b""
    assert client.gone
    assert app.events == [{"type": "http.disconnect"}]


def test_chunk_error_after_the_response_is_no_second_response(serve):
    client = serve(plain()).connect().send(CHUNKED + b"\r\n")
    assert client.got().endswith(b"\r\n\r\nok")
    client.send(b"no\r\n")
    assert client.got() == b""
    assert client.closed


# Sizes.


def test_header_block_of_128_kib(serve):
    wire = serve(plain())
    client = wire.connect().get("/", *[f"X-{n}: {'a' * 1_000}" for n in range(128)])
    assert status_of(client) == 431
    client = wire.connect().send(GET, *([b"X: " + b"a" * 1_000 + b"\r\n"] * 128))
    assert status_of(client.got()) == 431


def test_target_of_128_kib(serve):
    wire = serve(plain())
    assert status_of(wire.connect().get("/" + "a" * 131_072)) == 414
    client = wire.connect().send(b"GET /", *([b"a" * 1_000] * 128))
    assert status_of(client.got()) == 414
    assert client.closed


def test_limits_are_exact(serve):
    wire = serve(plain(), limit_head=100, limit_target=20, limit_fields=3)
    assert status_of(wire.connect().get("/" + "a" * 19)) == 200
    assert status_of(wire.connect().get("/" + "a" * 20)) == 414
    assert status_of(wire.connect().get("/", "A: b", "C: d")) == 200
    assert status_of(wire.connect().get("/", "A: b", "C: d", "E: f")) == 431
    fixed = len(request("GET", "/", b"", "X: "))
    assert status_of(wire.connect().get("/", "X: " + "a" * (100 - fixed))) == 200
    assert status_of(wire.connect().get("/", "X: " + "a" * (101 - fixed))) == 431


def test_endless_method(serve):
    assert status_of(serve(plain()).connect().send(b"A" * 200_000).got()) in (400, 414)


def test_body_limit(serve):
    wire = serve(echo, limit_body=5)
    assert wire.connect().send(request("POST", "/", b"12345")).got().endswith(b"12345")
    client = wire.connect().send(request("POST", "/", b"123456"))
    assert status_of(client.got()) == 413
    assert client.transport.eof_written
    assert not client.gone  # it is still sending: the answer must not be lost to a reset
    client = wire.connect().send(CHUNKED + b"\r\n3\r\nabc\r\n", b"3\r\nabc\r\n0\r\n\r\n")
    assert status_of(client.got()) == 413


def test_connections_over_the_limit_are_told(serve):
    wire = serve(plain(), limit_connections=1)
    first = wire.connect()
    second = wire.connect()
    assert status_of(second.got()) == 503
    assert second.closed
    assert status_of(first.get()) == 200
    second.finish()
    first.finish()
    assert status_of(wire.connect().get()) == 200


def test_requests_over_the_limit_are_told(serve):
    import asyncio

    door = asyncio.Event()
    wire = serve(Script(("wait", door), ("start", 200, []), ("body", b"", False)), limit_concurrency=1)
    first = wire.connect()
    first.get()
    assert status_of(wire.connect().get()) == 503
    door.set()
    wire.settle()
    assert status_of(first.got()) == 200
