"""The welcome application, called as a server would call it."""

import asyncio
import hashlib
import json
import re
from itertools import islice

import pytest

from netstack.welcome import app
from netstack.welcome.content import CHUNK, CHUNKS, pieces


class Answer:
    """What the application sent: status, header fields, body and the number of body messages."""

    def __init__(self, messages):
        start, *bodies = messages
        assert start["type"] == "http.response.start"
        assert not bodies[-1].get("more_body", False)
        self.status, self.fields = start["status"], dict(start["headers"])
        self.body = b"".join(message.get("body", b"") for message in bodies)
        self.messages = len(bodies)


def ask(path, *, method="GET", query=b"", headers=(), body=(b"",), gone=False):
    """Call the application with one request whose body comes in pieces; `gone`: the client leaves after it."""
    scope = {
        "type": "http", "method": method, "path": path, "query_string": query, "http_version": "1.1", "scheme": "http",
        "headers": list(headers), "client": ("192.0.2.1", 40_000), "server": ("192.0.2.2", 8080),
    }  # fmt: skip
    inbox = [{"type": "http.request", "body": piece, "more_body": True} for piece in body]
    inbox[-1]["more_body"] = False
    sent = []

    async def receive():
        if inbox:
            return inbox.pop(0)
        if not gone:
            await asyncio.Event().wait()
        return {"type": "http.disconnect"}

    async def send(message):
        sent.append(message)

    async def run():
        await asyncio.wait_for(app(scope, receive, send), 10)

    asyncio.run(run())
    return sent if gone else Answer(sent)


def test_programs_get_json_with_what_to_try_under_the_name_they_used():
    answer = ask("/", headers=[(b"host", b"stack.example:81"), (b"accept", b"*/*")])
    assert answer.status == 200
    assert answer.fields[b"vary"] == b"accept"
    about = json.loads(answer.body)
    assert about["you"] == "192.0.2.1:40000"
    assert about["try"]["json"] == "curl http://stack.example:81/json"


def test_browsers_get_a_page_with_their_own_request_in_it_and_nothing_from_elsewhere():
    page = ask("/", headers=[(b"accept", b"text/html,*/*;q=0.8")]).body.decode()
    assert "192.0.2.1:40000" in page
    assert "GET / HTTP/1.1" in page
    assert "http://192.0.2.2:8080/echo" in page  # without a Host field: the address that was reached
    assert not re.search(r"""(src|href)\s*=\s*["'](https?:)?//""", page)


def test_what_a_client_sends_is_neither_markup_nor_template_in_the_page():
    headers = [(b"accept", b"text/html"), (b"host", b"<b>{{request}}")]
    assert "http://&lt;b&gt;{{request}}/echo" in ask("/", headers=headers).body.decode()


@pytest.mark.parametrize(
    ("path", "body"), [("/plaintext", b"Hello, World!"), ("/json", b'{"message": "Hello, World!"}\n')]
)
def test_the_paths_for_benchmarks_say_hello(path, body):
    answer = ask(path)
    assert answer.body == body
    assert answer.fields[b"content-length"] == b"%d" % len(body)


def test_headers_shows_the_request_as_it_arrived():
    shown = json.loads(ask("/headers", query=b"a=b", headers=[(b"x-odd", b"caf\xe9")]).body)
    assert shown["query"] == "a=b"
    assert shown["headers"] == [["x-odd", "café"]]


def test_echo_sends_each_piece_back_as_it_comes():
    headers = [(b"content-type", b"text/plain"), (b"content-length", b"6")]
    answer = ask("/echo", method="POST", headers=headers, body=[b"abc", b"def"])
    assert (answer.body, answer.messages) == (b"abcdef", 2)
    assert answer.fields == dict(headers)


def test_echo_of_nothing_says_how_to_use_it():
    answer = ask("/echo")
    assert answer.status == 405
    assert answer.fields[b"allow"] == b"POST, PUT"


def test_upload_counts_and_hashes():
    answer = json.loads(ask("/upload", method="PUT", body=[b"abc", b"", b"def"]).body)
    assert answer["octets"] == 6
    assert answer["sha256"] == hashlib.sha256(b"abcdef").hexdigest()


def test_upload_leaves_the_hash_out_when_told():
    assert json.loads(ask("/upload", method="POST", query=b"sha256=0", body=[b"abc"]).body)["sha256"] is None


def test_an_upload_that_breaks_off_gets_no_answer():
    scope = {"type": "http", "path": "/upload", "method": "POST", "query_string": b"", "headers": []}
    inbox = iter([{"type": "http.request", "body": b"a", "more_body": True}, {"type": "http.disconnect"}])

    async def receive():
        return next(inbox)

    async def send(message):
        raise AssertionError(message)

    asyncio.run(app(scope, receive, send))


@pytest.mark.parametrize("octets", [0, 1, CHUNK - 1, CHUNK, CHUNK + 1, 7 * CHUNK + 3])
def test_bytes_gives_exactly_so_many_octets_always_the_same(octets):
    answer = ask(f"/bytes/{octets}")
    assert answer.fields[b"content-length"] == b"%d" % octets
    assert answer.body == b"".join(islice(pieces(1 << 40), 8))[:octets]


def test_the_chunks_of_a_download_differ_so_that_swapped_ones_show():
    assert len(set(CHUNKS)) == len(CHUNKS) > 1


def test_head_of_a_tebibyte_sends_no_octet():
    answer = ask(f"/bytes/{1 << 40}", method="HEAD")
    assert answer.fields[b"content-length"] == b"1099511627776"
    assert answer.body == b""


@pytest.mark.parametrize("number", ["1099511627777", "9" * 5000, "-1", "1.5", "²", ""])
def test_bytes_of_what_is_no_number_or_too_large_is_refused(number):
    assert ask(f"/bytes/{number}").status == 404


def test_stream_ticks_as_lines_or_as_events():
    assert ask("/stream", query=b"n=2&interval=0").body == b"tick 1 of 2\ntick 2 of 2\n"
    events = ask("/stream", query=b"n=2&interval=0", headers=[(b"accept", b"text/event-stream")])
    assert events.fields[b"content-type"] == b"text/event-stream"
    assert events.body == b"data: tick 1 of 2\n\ndata: tick 2 of 2\n\n"


def test_stream_stops_when_the_client_goes():
    sent = ask("/stream", query=b"n=1000&interval=60", gone=True)
    assert len(sent) == 2


@pytest.mark.parametrize("query", [b"n=x", b"n=-1", b"n=1000001", b"interval=-1", b"interval=61", b"interval=nan"])
def test_stream_refuses_what_makes_no_sense(query):
    assert ask("/stream", query=query).status == 400


def test_an_unknown_path_is_told_what_there_is():
    answer = ask("/favicon.ico")
    assert answer.status == 404
    assert b"/plaintext" in answer.body


def test_lifespan_is_answered_to_its_end():
    inbox = iter([{"type": "lifespan.startup"}, {"type": "lifespan.shutdown"}])
    sent = []

    async def receive():
        return next(inbox)

    async def send(message):
        sent.append(message["type"])

    asyncio.run(app({"type": "lifespan"}, receive, send))
    assert sent == ["lifespan.startup.complete", "lifespan.shutdown.complete"]
