"""The access log: what a line says, and that lines are written together."""

import io
import re

from asgi import Server, Settings
from tests.asgi.wire import Script, Wire, plain, request


class Stream(io.StringIO):
    """Counts the writes; may break."""

    def __init__(self, broken=False):
        super().__init__()
        self.writes = 0
        self.broken = broken

    def write(self, text):
        self.writes += 1
        if self.broken:
            raise BrokenPipeError
        return super().write(text)


def logged(app, stream):
    wire = Wire(app)
    wire.server = Server(app, Settings(lifespan="off", access_log=True), access_stream=stream)
    wire.loop.run_until_complete(wire.server.startup())
    return wire


def lines(stream):
    return [re.sub(r"\d+\.\d\dms", "T", line) for line in stream.getvalue().splitlines()]


def test_a_line_for_each_request():
    stream = Stream()
    wire = logged(plain(b"hello"), stream)
    wire.connect().send(request(target="/a%20b?c=d") + request("HEAD") + b"GET / HTTP/1.0\r\n\r\n")
    wire.connect(peername=("2001:db8::1", 1, 0, 0)).get('/"quoted"')
    wire.connect(peername=None).send(b"nonsense\r\n\r\n")
    wire.end()
    assert lines(stream) == [
        '192.0.2.1:50000 "GET /a%20b?c=d HTTP/1.1" 200 5 T',
        '192.0.2.1:50000 "HEAD / HTTP/1.1" 200 0 T',
        '192.0.2.1:50000 "GET / HTTP/1.0" 200 5 T',
        '[2001:db8::1]:1 "GET /%22quoted%22 HTTP/1.1" 200 5 T',
        '- "-" 400 0 -',
    ]


def test_failures_and_clients_that_went():
    stream = Stream()
    wire = logged(Script(("start", 201, []), ("body", b"abc", True), ("receive",), ("receive",)), stream)
    client = wire.connect()
    client.get()
    client.reset()
    wire.server.app = Script(("receive",), ("receive",))
    client = wire.connect()
    client.get()
    client.reset()
    wire.server.app = Script(("raise", ValueError()))
    wire.connect().get()
    wire.end()
    assert lines(stream) == [
        '192.0.2.1:50000 "GET / HTTP/1.1" 201 3 T',
        '192.0.2.1:50000 "GET / HTTP/1.1" - 0 T',
        '192.0.2.1:50000 "GET / HTTP/1.1" 500 0 T',
    ]


def test_lines_of_one_turn_are_written_together():
    stream = Stream()
    wire = logged(plain(), stream)
    wire.connect().send(request() * 100)
    assert stream.writes == 1
    assert len(lines(stream)) == 100
    wire.end()


def test_stream_that_breaks_does_not_break_requests():
    wire = logged(plain(), Stream(broken=True))
    client = wire.connect()
    for _ in range(3):
        assert client.get().endswith(b"ok")
    wire.end()


def test_no_log_unless_asked(serve, capsys):
    serve(plain()).connect().get()
    assert capsys.readouterr().out == ""


def test_standard_output_by_default(capsys):
    wire = Wire(plain(), access_log=True)
    wire.connect().get()
    wire.end()
    assert '"GET / HTTP/1.1" 200 2' in capsys.readouterr().out
