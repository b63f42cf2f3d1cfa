"""From the application's events to octets: framing, persistence, fields; and what happens when it does wrong."""

import logging

import h11
import pytest

from tests.asgi.wire import Script, plain, request

START = {"type": "http.response.start", "status": 200, "headers": []}
TEXT = [(b"content-type", b"text/plain")]


def body(data: bytes = b"", more: bool = False) -> dict[str, object]:
    return {"type": "http.response.body", "body": data, "more_body": more}


def answer(serve, *messages, method="GET", version="1.1", fields=()):
    """(octets, client) for an application that sends these messages."""
    app = Script(*(("send", message) for message in messages))
    client = serve(app).connect().send(request(method, "/", b"", *fields, version=version))
    return client.got(), client


# Framing.


def test_whole_body_gets_a_length(serve):
    got, client = answer(serve, START, body(b"hello"))
    assert got == b"HTTP/1.1 200 OK\r\ncontent-length: 5\r\n\r\nhello"
    assert not client.closed


def test_body_may_be_left_out(serve):
    got, _ = answer(serve, {"type": "http.response.start", "status": 200}, {"type": "http.response.body"})
    assert got == b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"


def test_body_of_unknown_length_is_chunked(serve):
    got, client = answer(serve, START, body(b"hello", True), body(b"", True), body(b"x" * 17, True), body(b"end"))
    assert got == (
        b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n"
        b"5\r\nhello\r\n11\r\nxxxxxxxxxxxxxxxxx\r\n3\r\nend\r\n0\r\n\r\n"
    )
    assert not client.closed


def test_chunked_body_may_begin_and_end_empty(serve):
    got, _ = answer(serve, START, body(b"", True), body(b"a", True), body(b""))
    assert got.endswith(b"chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
    got, _ = answer(serve, START, body(b"", True), body(b""))
    assert got.endswith(b"chunked\r\n\r\n0\r\n\r\n")


def test_body_of_unknown_length_on_http_10_ends_with_the_connection(serve):
    got, client = answer(serve, START, body(b"a", True), body(b"b"), version="1.0", fields=("Connection: keep-alive",))
    assert got == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nab"
    assert client.gone
    assert not client.transport.aborted


def test_declared_length_is_used_for_a_streamed_body(serve):
    start = {**START, "headers": [(b"Content-Length", b"4")]}
    got, client = answer(serve, start, body(b"ab", True), body(b"", True), body(b"cd", True), body())
    assert got == b"HTTP/1.1 200 OK\r\nContent-Length: 4\r\n\r\nabcd"
    assert not client.closed


def test_applications_transfer_encoding_is_ignored(serve):
    start = {**START, "headers": [(b"transfer-encoding", b"chunked"), (b"keep-alive", b"timeout=1")]}
    got, _ = answer(serve, start, body(b"a"))
    assert got == b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na"


def test_application_may_close(serve):
    got, client = answer(serve, {**START, "headers": [(b"connection", b"Close")]}, body(b"a"))
    assert got == b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\nconnection: close\r\n\r\na"
    assert client.gone


@pytest.mark.parametrize("size", [0, 1, 131_071, 131_072, 1_000_000])
@pytest.mark.parametrize("kind", [bytes, bytearray, memoryview])
def test_bodies_of_any_size_and_type(serve, size, kind):
    data = b"x" * size
    got, _ = answer(serve, START, body(kind(data)))
    assert got.partition(b"\r\n\r\n")[2] == data
    got, _ = answer(serve, START, body(kind(data), True), body(kind(data)))
    chunk = b"%x\r\n%b\r\n" % (size, data) if size else b""
    assert got.partition(b"\r\n\r\n")[2] == chunk * 2 + b"0\r\n\r\n"
    start = {**START, "headers": [(b"content-length", b"%d" % (2 * size))]}
    got, _ = answer(serve, start, body(kind(data), True), body(kind(data)))
    assert got.partition(b"\r\n\r\n")[2] == data * 2


@pytest.mark.parametrize("status", [200, 201, 404, 500, 599, 799, 999])
def test_status_lines(serve, status):
    got, _ = answer(serve, {**START, "status": status}, body())
    phrase = {200: "OK", 201: "Created", 404: "Not Found", 500: "Internal Server Error"}.get(status, "")
    assert got.startswith(f"HTTP/1.1 {status} {phrase}\r\n".encode())


# No content.


def test_head_has_the_fields_of_get_and_no_body(serve):
    declared = {**START, "headers": [(b"content-length", b"1000")]}
    assert answer(serve, declared, body(), method="HEAD")[0] == b"HTTP/1.1 200 OK\r\ncontent-length: 1000\r\n\r\n"
    assert answer(serve, START, body(b"abc"), method="HEAD")[0] == b"HTTP/1.1 200 OK\r\ncontent-length: 3\r\n\r\n"
    assert answer(serve, START, body(), method="HEAD")[0] == b"HTTP/1.1 200 OK\r\n\r\n"
    streamed, client = answer(serve, START, body(b"a", True), body(b"b"), method="HEAD")
    assert streamed == b"HTTP/1.1 200 OK\r\n\r\n"
    assert client.get() == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n1\r\nb\r\n0\r\n\r\n"


@pytest.mark.parametrize(
    ("status", "headers", "expected"),
    [
        (204, [], b"HTTP/1.1 204 No Content\r\n\r\n"),
        (204, [(b"a", b"b"), (b"content-length", b"3")], b"HTTP/1.1 204 No Content\r\na: b\r\n\r\n"),
        (204, [(b"content-length", b"3"), (b"a", b"b")], b"HTTP/1.1 204 No Content\r\na: b\r\n\r\n"),
        (304, [], b"HTTP/1.1 304 Not Modified\r\n\r\n"),
        (304, [(b"content-length", b"3")], b"HTTP/1.1 304 Not Modified\r\ncontent-length: 3\r\n\r\n"),
        (205, [], b"HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n"),
        (205, [(b"content-length", b"3")], b"HTTP/1.1 205 Reset Content\r\ncontent-length: 0\r\n\r\n"),
    ],
)
@pytest.mark.parametrize("messages", [(body(b"abc"),), (body(),), (body(b"a", True), body(b"bc"))])
def test_statuses_without_content(serve, status, headers, expected, messages):
    got, client = answer(serve, {**START, "status": status, "headers": headers}, *messages)
    assert got == expected
    assert not client.closed


# Fields of the server's own.


def test_date_and_server(serve, monkeypatch):
    clock = [784_111_777.5]
    monkeypatch.setattr("asgi.server.time.time", lambda: clock[0])
    wire = serve(plain(), date_header=True, server_header="netstack")
    client = wire.connect()
    fields = b"date: Sun, 06 Nov 1994 08:49:37 GMT\r\nserver: netstack\r\n\r\n"
    assert client.get() == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n" + fields + b"ok"
    clock[0] += 1
    wire.after(1)
    assert b"date: Sun, 06 Nov 1994 08:49:38 GMT\r\n" in client.get()


@pytest.mark.parametrize("name", [b"date", b"Server"])
def test_date_and_server_are_not_doubled(serve, name):
    wire = serve(plain(headers=[(name, b"mine")]), date_header=True, server_header="netstack")
    lower = wire.connect().get().lower()
    assert lower.count(b"\r\ndate: ") == lower.count(b"\r\nserver: ") == 1
    assert name.lower() + b": mine\r\n" in lower


# Trailers.

TRAILERS = {"type": "http.response.trailers", "headers": [(b"x-sum", b"1")], "more_trailers": False}
PROMISED = {**START, "trailers": True}


def test_trailers_are_sent_to_those_who_take_them(serve):
    got, client = answer(serve, PROMISED, body(b"a"), TRAILERS, fields=("TE: trailers",))
    assert got == b"HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n1\r\na\r\n0\r\nx-sum: 1\r\n\r\n"
    assert not client.closed
    assert client.get("/", "TE: gzip, Trailers").endswith(b"0\r\nx-sum: 1\r\n\r\n")


def test_trailers_in_several_events(serve):
    more = {**TRAILERS, "more_trailers": True}
    got, _ = answer(serve, PROMISED, body(b"a", True), body(b"b"), more, TRAILERS, fields=("TE: trailers",))
    assert got.endswith(b"1\r\na\r\n1\r\nb\r\n0\r\nx-sum: 1\r\nx-sum: 1\r\n\r\n")


def test_trailers_are_dropped_for_others(serve):
    got, client = answer(serve, PROMISED, body(b"a"), TRAILERS)
    assert got.endswith(b"chunked\r\n\r\n1\r\na\r\n0\r\n\r\n")
    assert not client.closed
    got, client = answer(serve, PROMISED, body(b"a"), TRAILERS, version="1.0")
    assert got == b"HTTP/1.1 200 OK\r\nconnection: close\r\n\r\na"
    got, _ = answer(serve, {**PROMISED, "headers": [(b"content-length", b"1")]}, body(b"a"), TRAILERS)
    assert got == b"HTTP/1.1 200 OK\r\ncontent-length: 1\r\n\r\na"


def test_trailers_are_offered_only_where_they_arrive(serve):
    app = Script(("start", 200, []), ("body", b"", False))
    client = serve(app).connect()
    client.get()
    client.get("/", "TE: trailers")
    assert [scope["extensions"] for scope in app.scopes] == [{}, {"http.response.trailers": {}}]


@pytest.mark.parametrize("field", [(b"content-length", b"1"), (b"a b", b"c"), (b"x", b"a\r\nb: c"), (b"host", b"h")])
def test_bad_trailers_cut_the_response(serve, field):
    got, client = answer(serve, PROMISED, body(b"a"), {**TRAILERS, "headers": [field]}, fields=("TE: trailers",))
    assert got.endswith(b"1\r\na\r\n0\r\n")
    assert client.gone


# The application does wrong.

MISUSE = {
    "body first": [body(b"x")],
    "unknown event": [{"type": "http.response.push"}],
    "event without a type": [{}],
    "two starts": [START, START],
    "start without status": [{"type": "http.response.start"}],
    "status in text": [{**START, "status": "200"}],
    "status 100": [{**START, "status": 100}],
    "status 1000": [{**START, "status": 1_000}],
    "names in text": [{**START, "headers": [("x", b"y")]}, body()],
    "values in text": [{**START, "headers": [(b"x", "y")]}, body()],
    "no pair": [{**START, "headers": [(b"x",)]}, body()],
    "CR LF in a value": [{**START, "headers": [(b"x", b"y\r\nset-cookie: evil")]}, body()],
    "LF in a value": [{**START, "headers": [(b"x", b"y\nz")]}, body()],
    "CR in a value": [{**START, "headers": [(b"x", b"y\rz")]}, body()],
    "NUL in a value": [{**START, "headers": [(b"x", b"y\0z")]}, body()],
    "CR LF in a name": [{**START, "headers": [(b"x: y\r\nz", b"a")]}, body()],
    "space in a name": [{**START, "headers": [(b"x y", b"a")]}, body()],
    "colon in a name": [{**START, "headers": [(b"x:", b"a")]}, body()],
    "empty name": [{**START, "headers": [(b"", b"a")]}, body()],
    "length in words": [{**START, "headers": [(b"content-length", b"two")]}, body(b"ab")],
    "length with a sign": [{**START, "headers": [(b"content-length", b"+2")]}, body(b"ab")],
    "two lengths": [{**START, "headers": [(b"content-length", b"2")] * 2}, body(b"ab")],
    "body longer than its length": [{**START, "headers": [(b"content-length", b"2")]}, body(b"abc")],
    "body shorter than its length": [{**START, "headers": [(b"content-length", b"2")]}, body(b"a")],
    "body in text": [START, body("abc")],
    "body is a number": [START, body(3)],
    "trailers that were not promised": [START, TRAILERS],
    "nothing at all": [],
    "start only": [START],
}


@pytest.mark.parametrize("messages", MISUSE.values(), ids=MISUSE.keys())
def test_misuse_before_the_head_is_written_is_a_500(serve, messages, caplog):
    got, client = answer(serve, *messages)
    assert got == (
        b"HTTP/1.1 500 Internal Server Error\r\ncontent-type: text/plain; charset=utf-8\r\ncontent-length: 26\r\n"
        b"connection: close\r\n\r\n500 Internal Server Error\n"
    )
    assert client.gone
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


TWO = {**START, "headers": [(b"content-length", b"2")]}
LATE_MISUSE = {
    "start after body": [START, body(b"a", True), START],
    "body longer than its length": [TWO, body(b"a", True), body(b"bc", True)],
    "body shorter than its length": [TWO, body(b"", True), body(b"b")],
    "body in text": [START, body(b"a", True), body("b")],
    "no end": [START, body(b"a", True)],
    "trailers for the rest of the body": [PROMISED, body(b"a", True), TRAILERS],
    "body where trailers are due": [PROMISED, body(b"a"), body(b"b")],
    "trailers never come": [PROMISED, body(b"a")],
}


@pytest.mark.parametrize("messages", LATE_MISUSE.values(), ids=LATE_MISUSE.keys())
def test_misuse_after_the_head_closes_without_a_proper_end(serve, messages, caplog):
    got, client = answer(serve, *messages)
    assert got.startswith(b"HTTP/1.1 200 OK\r\n")
    assert got.count(b"HTTP/1.1") == 1
    assert not got.endswith(b"0\r\n\r\n")
    assert client.gone
    assert [record.levelno for record in caplog.records] == [logging.ERROR]


def test_response_that_ends_with_the_connection_is_cut_by_a_reset(serve, caplog):
    got, client = answer(serve, START, body(b"a", True), version="1.0")
    assert got.endswith(b"close\r\n\r\na")
    assert client.transport.aborted


@pytest.mark.parametrize("messages", [[START, body(), START], [START, body(), body()], [START, body(), TRAILERS]])
def test_events_after_the_response_are_an_error_and_harm_nobody(serve, messages, caplog):
    got, client = answer(serve, *messages)
    assert got == b"HTTP/1.1 200 OK\r\ncontent-length: 0\r\n\r\n"
    assert not client.closed
    assert "after the response" in caplog.text


def test_application_may_recover_from_its_own_mistake(serve):
    async def app(scope, receive, send):
        with pytest.raises(RuntimeError):
            await send(body(b"x"))
        with pytest.raises(ValueError, match="CR"):
            await send({**START, "headers": [(b"x", b"\r\n")]})
        await send(START)
        with pytest.raises(TypeError):
            await send(body("text"))
        await send(body(b"fine"))

    assert serve(app).connect().get().endswith(b"\r\n\r\nfine")


@pytest.mark.parametrize("error", [ValueError("x"), KeyError(), OSError(), ExceptionGroup("g", [ValueError()])])
def test_exception_before_the_response_is_a_500(serve, error, caplog):
    client = serve(Script(("raise", error))).connect()
    assert client.get().startswith(b"HTTP/1.1 500 ")
    assert client.gone
    assert caplog.records[0].exc_info[1] is error


def test_exception_with_the_start_held_is_a_500(serve, caplog):
    client = serve(Script(("start", 200, TEXT), ("raise", ValueError()))).connect()
    assert client.get().startswith(b"HTTP/1.1 500 ")


def test_500_for_head_has_no_body(serve, caplog):
    got, _ = answer(serve, method="HEAD")
    assert got.startswith(b"HTTP/1.1 500 ")
    assert got.endswith(b"\r\n\r\n")


def test_exception_after_the_response_began_closes(serve, caplog):
    client = serve(Script(("start", 200, TEXT), ("body", b"a", True), ("raise", ValueError()))).connect()
    assert client.get().endswith(b"chunked\r\n\r\n1\r\na\r\n")
    assert client.gone


def test_exception_after_the_response_is_logged_only(serve, caplog):
    client = serve(Script(("start", 200, TEXT), ("body", b"a", False), ("raise", ValueError("late")))).connect()
    assert client.get().endswith(b"a")
    assert not client.closed
    assert "late" in caplog.text


def test_everything_parses_for_an_independent_client(serve):
    """h11 reads a connection with one response of every kind."""
    kinds = {
        b"/length": [START, body(b"hello")],
        b"/chunked": [START, body(b"hel", True), body(b"lo")],
        b"/declared": [{**START, "headers": [(b"content-length", b"5")]}, body(b"hel", True), body(b"lo")],
        b"/empty": [{**START, "status": 204}, body()],
        b"/unchanged": [{**START, "status": 304}, body()],
        b"/trailers": [PROMISED, body(b"hello"), TRAILERS],
    }

    async def app(scope, receive, send):
        for message in kinds[scope["raw_path"]]:
            await send(message)

    client = serve(app, date_header=True, server_header="x").connect()
    oracle = h11.Connection(h11.CLIENT)
    for target, messages in kinds.items():
        for method in ("GET", "HEAD"):
            fields = [("host", "a"), ("te", "trailers")]
            octets = oracle.send(h11.Request(method=method, target=target, headers=fields))
            oracle.send(h11.EndOfMessage())
            oracle.receive_data(client.send(octets).got())
            response = oracle.next_event()
            assert isinstance(response, h11.Response)
            assert response.status_code == messages[0]["status"]
            data = b""
            while type(event := oracle.next_event()) is h11.Data:
                data += event.data
            assert isinstance(event, h11.EndOfMessage)
            assert data == (b"hello" if method == "GET" and messages[0]["status"] == 200 else b"")
            assert oracle.trailing_data == (b"", False)
            oracle.start_next_cycle()
