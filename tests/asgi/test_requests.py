"""What a request becomes: the scope, keep-alive, pipelining, bodies in both framings, Expect."""

import pytest

from tests.asgi.wire import Script, echo, plain, request

OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok"
CLOSING_OK = b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
ANSWER = (("start", 200, []), ("body", b"ok", False))


def test_scope_says_what_the_specification_asks(serve):
    app = Script(*ANSWER)
    wire = serve(app)
    wire.server.state["db"] = "pool"
    wire.connect().send(b"GET /a%20b/%C3%A9?x=%20&y HTTP/1.1\r\nHost: h:8080\r\nX-A: 1\r\nx-a:\t2 \r\nEmpty:\r\n\r\n")
    assert app.scopes == [
        {
            "type": "http",
            "asgi": {"version": "3.0", "spec_version": "2.4"},
            "http_version": "1.1",
            "method": "GET",
            "scheme": "http",
            "path": "/a b/é",
            "raw_path": b"/a%20b/%C3%A9",
            "query_string": b"x=%20&y",
            "root_path": "",
            "headers": [(b"host", b"h:8080"), (b"x-a", b"1"), (b"x-a", b"2"), (b"empty", b"")],
            "client": ("192.0.2.1", 50_000),
            "server": ("192.0.2.2", 80),
            "state": {"db": "pool"},
            "extensions": {},
        }
    ]


def test_state_is_copied_for_each_request(serve):
    app = Script(*ANSWER)
    wire = serve(app)
    wire.server.state["seen"] = []
    client = wire.connect()
    client.send(request())
    app.scopes[0]["state"]["mine"] = 1
    app.scopes[0]["state"]["seen"].append("shared")
    client.send(request())
    assert app.scopes[1]["state"] == {"seen": ["shared"]}


def test_root_path_is_put_before_every_path(serve):
    app = Script(*ANSWER)
    serve(app, root_path="/api").connect().get("/users/1")
    assert app.scopes[0]["root_path"] == "/api"
    assert app.scopes[0]["path"] == "/api/users/1"
    assert app.scopes[0]["raw_path"] == b"/api/users/1"


def test_transports_without_addresses_and_with_tls(serve):
    app = Script(*ANSWER)
    wire = serve(app)
    wire.connect(peername=None, sockname="/run/app.sock").get()
    wire.connect(peername=("::1", 1, 0, 0), sslcontext=object()).get()
    assert (app.scopes[0]["client"], app.scopes[0]["server"], app.scopes[0]["scheme"]) == (None, None, "http")
    assert (app.scopes[1]["client"], app.scopes[1]["scheme"]) == (("::1", 1), "https")


@pytest.mark.parametrize(
    ("target", "path", "raw_path", "query"),
    [
        ("/", "/", b"/", b""),
        ("/?", "/", b"/", b""),
        ("/a?b?c", "/a", b"/a", b"b?c"),
        ("//a//b", "//a//b", b"//a//b", b""),
        ("/a/../b", "/a/../b", b"/a/../b", b""),
        ("/%2F%2f", "///", b"/%2F%2f", b""),
        ("/%", "/%", b"/%", b""),
        ("/%zz", "/%zz", b"/%zz", b""),
        ("/%ff", "/\ufffd", b"/%ff", b""),
        ("/a:b@c;d=1,2", "/a:b@c;d=1,2", b"/a:b@c;d=1,2", b""),
        ("http://h", "/", b"/", b""),
        ("http://h:80/a?b", "/a", b"/a", b"b"),
        ("HTTPS://h?b", "/", b"/", b"b"),
    ],
)
def test_targets(serve, target, path, raw_path, query):
    app = Script(*ANSWER)
    assert serve(app).connect().send(request(target=target)).got() == OK
    scope = app.scopes[0]
    assert (scope["path"], scope["raw_path"], scope["query_string"]) == (path, raw_path, query)


def test_absolute_target_replaces_the_host_field(serve):
    app = Script(*ANSWER)
    serve(app).connect().send(b"GET http://right:81/x HTTP/1.1\r\nA: b\r\nHost: wrong\r\n\r\n")
    assert app.scopes[0]["headers"] == [(b"host", b"right:81"), (b"a", b"b")]


def test_options_of_the_server_itself(serve):
    app = Script(*ANSWER)
    assert serve(app).connect().send(request("OPTIONS", "*")).got() == OK
    assert app.scopes[0]["path"] == "*"


def test_one_connection_serves_many_requests(serve):
    client = serve(plain()).connect()
    for _ in range(5):
        assert client.get() == OK
    assert not client.closed


def test_response_leaves_in_one_write(serve):
    client = serve(plain()).connect()
    client.get()
    assert len(client.transport.writes) == 1


def test_connection_close_is_honoured(serve):
    client = serve(plain()).connect()
    assert client.get("/", "Connection: Close, x") == CLOSING_OK
    assert client.gone


@pytest.mark.parametrize("value", ["keep-alive", "Keep-Alive", "x, keep-alive"])
def test_http_10_is_kept_alive_when_it_asks(serve, value):
    app = Script(*ANSWER)
    client = serve(app).connect().send(b"GET / HTTP/1.0\r\nConnection: %b\r\n\r\n" % value.encode())
    assert client.got() == b"HTTP/1.1 200 OK\r\ncontent-length: 2\r\nconnection: keep-alive\r\n\r\nok"
    assert not client.closed
    assert app.scopes[0]["http_version"] == "1.0"


def test_http_10_closes_by_default_and_needs_no_host(serve):
    client = serve(plain()).connect().send(b"GET / HTTP/1.0\r\n\r\n")
    assert client.got() == CLOSING_OK
    assert client.gone


def test_empty_lines_before_a_request_line_are_ignored(serve):
    client = serve(plain()).connect().send(b"\r\n\r\n" + request() + b"\r\n", b"\r\n", request())
    assert client.got() == OK * 2


def test_upgrade_is_ignored(serve):
    client = serve(echo).connect()
    client.send(request("POST", "/", b"body", "Connection: Upgrade, HTTP2-Settings", "Upgrade: h2c") + request())
    assert client.got().endswith(b"POST / bodyHTTP/1.1 200 OK\r\ncontent-length: 6\r\n\r\nGET / ")


# Pipelining.


def test_pipelined_requests_are_answered_in_order(serve):
    client = serve(echo).connect()
    client.send(b"".join(request("POST", f"/{n}", b"x" * n) for n in range(20)))
    answers = client.got().split(b"HTTP/1.1 200 OK\r\n")[1:]
    assert [answer.split(b"\r\n\r\n")[1] for answer in answers] == [b"POST /%d %b" % (n, b"x" * n) for n in range(20)]


def test_reading_pauses_while_pipelined_requests_wait(serve):
    import asyncio

    running: list[str] = []
    doors: dict[str, asyncio.Event] = {}

    async def app(scope, receive, send):
        running.append(scope["path"])
        doors[scope["path"]] = asyncio.Event()
        await doors[scope["path"]].wait()
        await plain(scope["path"].encode())(scope, receive, send)

    wire = serve(app)
    client = wire.connect().send(request(target="/1") + request(target="/2"), request(target="/3"))
    assert running == ["/1"]
    assert client.transport.reading_paused
    assert len(client.transport.incoming) == 1
    for n, path in enumerate(("/1", "/2", "/3"), 1):
        assert len(running) == n
        doors[path].set()
        wire.settle()
        assert client.got().endswith(path.encode())
    assert not client.transport.reading_paused


def test_requests_after_one_that_closes_are_not_served(serve):
    app = Script(*ANSWER)
    client = serve(app).connect().send(request("GET", "/", b"", "Connection: close") + request(target="/2"))
    assert client.got() == CLOSING_OK
    assert len(app.scopes) == 1
    assert client.closed


# Bodies.


def test_body_with_a_length_arrives_in_any_pieces(serve):
    data = request("POST", "/", b"hello world")
    for cut in range(1, len(data)):
        assert serve(echo).connect().send(data[:cut], data[cut:]).got().endswith(b"POST / hello world")


CHUNKS = b"5;a=b\r\nhello\r\n00006\r\n world\r\n0\r\nT: x\r\nU:\r\n\r\n"


def test_chunked_body_arrives_in_any_pieces(serve):
    head = request("POST", "/", b"", "Transfer-Encoding: Chunked")
    for cut in range(1, len(CHUNKS)):
        client = serve(echo).connect().send(head, CHUNKS[:cut], CHUNKS[cut:] + request(target="/next"))
        got = client.got()
        assert b"POST / hello world" in got
        assert got.endswith(b"GET /next ")


def test_body_in_the_same_segment_is_there_at_once(serve):
    app = Script(("receive",), ("receive",), *ANSWER)
    client = serve(app).connect().send(request("POST", "/", b"abc"))
    assert app.events == [{"type": "http.request", "body": b"abc", "more_body": False}]
    assert client.got() == b""
    client.reset()
    assert app.events[1] == {"type": "http.disconnect"}


def test_body_is_delivered_as_it_arrives(serve):
    app = Script(("receive",), ("receive",), ("receive",), *ANSWER)
    client = serve(app).connect().send(request("POST", "/", b"", "Content-Length: 6"))
    assert app.events == []
    for piece in (b"ab", b"cd", b"ef"):
        client.send(piece)
    assert [event["body"] for event in app.events] == [b"ab", b"cd", b"ef"]
    assert [event["more_body"] for event in app.events] == [True, True, False]
    assert client.got() == OK


def test_pieces_that_wait_are_received_together(serve):
    import asyncio

    door = asyncio.Event()
    app = Script(("wait", door), ("receive",), *ANSWER)
    wire = serve(app)
    wire.connect().send(request("POST", "/", b"", "Content-Length: 6"), b"ab", b"cd", b"ef")
    door.set()
    wire.settle()
    assert app.events == [{"type": "http.request", "body": b"abcdef", "more_body": False}]


def test_unread_body_is_drained_to_keep_the_connection(serve):
    client = serve(plain()).connect().send(request("POST", "/", b"", "Content-Length: 6"))
    assert client.got() == OK
    client.send(b"abc", b"def" + request())
    assert client.got() == OK
    assert not client.closed


def test_long_unread_body_ends_the_connection_gently(serve):
    client = serve(plain(), limit_drain=10).connect().send(request("POST", "/", b"", "Content-Length: 11"))
    assert client.got() == CLOSING_OK
    assert client.transport.eof_written  # the client gets to read it, although it is still sending
    assert not client.gone
    client.send(b"x" * 11).finish()
    assert client.gone


def test_long_unread_chunked_body_ends_the_connection(serve):
    client = serve(plain(), limit_drain=10).connect()
    client.send(request("POST", "/", b"", "Transfer-Encoding: chunked"))
    assert client.got() == OK  # it might have been short
    client.send(b"8\r\n01234567\r\n")
    assert not client.closed
    client.send(b"8\r\n01234567\r\n")
    assert client.closed


# Expect: 100-continue.

EXPECTING = request("POST", "/", b"", "Content-Length: 3", "Expect: 100-Continue")
CONTINUE = b"HTTP/1.1 100 Continue\r\n\r\n"


def test_continue_is_sent_when_the_application_asks_for_the_body(serve):
    import asyncio

    door = asyncio.Event()
    app = Script(("wait", door), ("receive",), *ANSWER)
    wire = serve(app)
    client = wire.connect().send(EXPECTING)
    assert client.got() == b""
    wire.after(100)  # the client waits for us: no time-out of the body
    door.set()
    wire.settle()
    assert client.got() == CONTINUE
    assert client.send(b"abc").got() == OK
    assert not client.closed


def test_continue_is_not_sent_when_the_body_is_already_coming(serve):
    client = serve(echo).connect().send(EXPECTING + b"a")
    assert client.got() == b""
    assert client.send(b"bc").got().endswith(b"POST / abc")


def test_no_continue_on_http_10(serve):
    data = b"POST / HTTP/1.0\r\nContent-Length: 3\r\nExpect: 100-continue\r\n\r\n"
    client = serve(echo).connect().send(data)
    assert client.got() == b""
    assert client.send(b"abc").got().endswith(b"POST / abc")


def test_final_answer_without_continue_closes(serve):
    client = serve(plain(status=403)).connect().send(EXPECTING)
    assert client.got() == b"HTTP/1.1 403 Forbidden\r\ncontent-length: 2\r\nconnection: close\r\n\r\nok"
    assert client.closed


def test_expectation_without_a_body_is_met_already(serve):
    assert serve(echo).connect().get("/", "Expect: 100-continue").endswith(b"GET / ")


def test_other_expectations_fail(serve):
    client = serve(plain()).connect()
    assert client.get("/", "Expect: payment").startswith(b"HTTP/1.1 417 ")
    assert client.closed
