"""For any octets, in any pieces: the same answers as in one piece, and never an exception."""

from itertools import pairwise

from hypothesis import given, settings
from hypothesis import strategies as st

from asgi import Settings
from asgi.body import Chunked
from asgi.guard import part_status
from asgi.request import RequestReader
from tests.asgi.wire import Wire, echo, request

WORDS = st.sampled_from(
    [
        b"GET", b"POST", b"BREW", b" ", b"/", b"/a%20b?c", b"*", b"http://h/x", b" HTTP/1.1", b" HTTP/1.0",
        b" HTTP/2.0", b"\r\n", b"\n", b"\r", b"\r\n\r\n", b"Host: a", b"Host: b", b"Content-Length: 5",
        b"Content-Length: 0",
        b"Transfer-Encoding: chunked", b"Transfer-Encoding: gzip", b"Connection: close", b"Connection: keep-alive",
        b"Expect: 100-continue", b"Upgrade: x", b"Connection: upgrade", b"hello", b"5\r\nhello\r\n", b"0\r\n\r\n",
        b"0\r\n", b"A: b", b": ", b"\0", b"\xff", b"GET / HTTP/1.1\r\nHost: a\r\n\r\n",
    ]
)  # fmt: skip
NOISE = st.lists(WORDS | st.binary(max_size=5), max_size=30).map(b"".join)


def chunks(body: bytes, sizes: list[int]) -> bytes:
    out = b""
    for size in sizes:
        if body:
            out += b"%x\r\n%b\r\n" % (len(body[:size]), body[:size])
            body = body[size:]
    return out + (b"%x\r\n%b\r\n" % (len(body), body) if body else b"") + b"0\r\n\r\n"


BODY = st.binary(max_size=100).filter(lambda body: b"HTTP/1.1" not in body)  # answers are counted by it
SIZES = st.lists(st.integers(1, 20), max_size=10)
REQUEST = st.one_of(
    st.just(request()),
    st.just(request(target="/%41?q")),
    st.just(request("HEAD", "/h")),
    st.just(request("GET", "/", b"", "Connection: keep-alive", "Cookie: a=b; c=d")),
    BODY.map(lambda body: request("POST", "/p", body)),
    st.builds(lambda b, s: request("PUT", "/c", b"", "Transfer-Encoding: chunked") + chunks(b, s), BODY, SIZES),
)


def split(data: bytes, cuts: list[float]) -> list[bytes]:
    places = sorted({int(cut * len(data)) for cut in cuts} | {0, len(data)})
    return [data[a:b] for a, b in pairwise(places)]


CUTS = st.lists(st.floats(0, 1), max_size=12)


def conversation(pieces: list[bytes]) -> tuple[bytes, bool]:
    wire = Wire(echo)
    client = wire.connect().send(*pieces)
    result = client.got(), client.closed
    client.finish()
    wire.end()
    return result


@settings(max_examples=150, deadline=None)
@given(st.lists(REQUEST, min_size=1, max_size=6), CUTS)
def test_a_valid_stream_is_answered_the_same_in_any_pieces(requests, cuts):
    data = b"".join(requests)
    whole = conversation([data])
    assert whole[0].count(b"HTTP/1.1 200 OK") == len(requests)
    assert not whole[1]
    assert conversation(split(data, cuts)) == whole


@settings(max_examples=300, deadline=None)
@given(NOISE, CUTS)
def test_any_octets_end_in_answers_or_a_refusal(data, cuts):
    conversation(split(data, cuts))


@settings(max_examples=300, deadline=None)
@given(st.lists(REQUEST, max_size=2), NOISE)
def test_noise_after_good_requests_does_not_change_their_answers(requests, noise):
    good = conversation([b"".join(requests)])[0]
    assert conversation([b"".join(requests) + noise])[0].startswith(good)


@settings(max_examples=500, deadline=None)
@given(NOISE)
def test_reader_and_judge_are_total(data):
    reader = RequestReader(Settings())
    status = reader.read(data + b"\r\n\r\n")
    assert status == 0 or 400 <= status < 600
    status = part_status(data, 65_536, 16_384)
    assert status == 0 or 400 <= status < 600
    assert reader.read(request()) == 0


@settings(max_examples=300, deadline=None)
@given(NOISE, st.integers(0, 200))
def test_a_part_that_is_refused_could_not_have_become_a_good_block(data, cut):
    """Judging early is only a favour: it never refuses the beginning of something that would be taken whole."""
    good = request("POST", "/", b"", "Content-Length: 5", "A: b")
    assert part_status(good[:cut], 65_536, 16_384) == 0
    block = data + b"\r\n\r\n"
    block = block[: block.index(b"\r\n\r\n") + 4]
    if not block.startswith(b"\r\n") and RequestReader(Settings()).read(block) == 0:
        assert part_status(block[: cut % len(block)], 65_536, 16_384) == 0


@settings(max_examples=300, deadline=None)
@given(BODY, SIZES, st.binary(max_size=10), CUTS)
def test_chunked_decoder_returns_the_body_and_leaves_the_rest(body, sizes, rest, cuts):
    decoder = Chunked(None)
    content: list[bytes] = []
    left = b""
    for piece in split(chunks(body, sizes) + rest, cuts):
        if decoder.done:
            left += piece
        else:
            end = decoder.take(piece, 0, content)
            assert 0 <= end <= len(piece)
            left += piece[end:]
    assert decoder.done
    assert b"".join(content) == body
    assert left == rest


@settings(max_examples=300, deadline=None)
@given(NOISE, CUTS)
def test_chunked_decoder_judges_the_same_in_any_pieces(data, cuts):
    def verdict(pieces: list[bytes]) -> tuple[int, bytes, bool]:
        decoder = Chunked(50)
        content: list[bytes] = []
        for piece in pieces:
            if not decoder.done:
                end = decoder.take(piece, 0, content)
                if end < 0:
                    return end, b"", False
        return 0, b"".join(content), decoder.done

    whole = verdict([data])
    pieces = verdict(split(data, cuts))
    assert (pieces[0] < 0, *pieces[1:]) == (whole[0] < 0, *whole[1:])
