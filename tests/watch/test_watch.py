"""The terminal view: samples of stacks in virtual time in, lines of a fixed size out; and keys."""

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from netstack.inspect.layers import layers
from netstack.inspect.plain import plain
from netstack.inspect.snapshot import connections
from netstack.units import MILLISECOND, MINUTE, SECOND
from netstack.watch import figures, keys, table
from netstack.watch.history import History
from netstack.watch.ladder import Ladder
from netstack.watch.screen import View, screen
from netstack.watch.session import Session, still
from tests.tcp.pair import SERVER, Pair

HELLO = {"tap": "netstack0", "netns": "lab", "address": "192.0.2.2/24"}


def sample(history, pair, stack=None):
    stack = stack or pair.server
    found = json.loads(json.dumps([connections(stack, pair.now), layers(stack)]))
    history.add(pair.now, *found)


def busy(lost=False):
    """A transfer, sampled ten times on the way, seen from the sender; a drop of each sort."""
    pair = Pair(delay=20 * MILLISECOND)
    history = History()
    ours, theirs = pair.open()
    pair.client.tcp.connect(None, (SERVER, 81))
    for step in range(10):
        if lost and step == 5:
            pair.to_server = Dropper(3)
        ours.send(bytes(200_000))
        pair.run(SECOND // 4)
        theirs.recv(1 << 24)
        pair.client.receive(bytes(3), pair.now)
        sample(history, pair, pair.client)
    return pair, history, ours


@pytest.fixture(scope="module")
def lossy():
    return busy(lost=True)[1]


class Dropper:
    """Loses the first `count` segments with text."""

    def __init__(self, count):
        self.count = count

    def __call__(self, frame):
        if self.count and len(frame) > 200:
            self.count -= 1
            return None
        return frame


def text_of(lines):
    return [line.plain.rstrip() for line in lines]


@pytest.mark.parametrize(
    ("number", "said"),
    [(0, "0"), (999, "999"), (999.6, "1.0k"), (12_345, "12.3k"), (99_960, "100k"), (4_560_000, "4.6M"), (3e9, "3.0G")],
)
def test_counts_take_five_characters(number, said):
    assert figures.count(number) == said


@given(st.floats(0, 9e14))
def test_no_count_is_longer(number):
    assert len(figures.count(number)) <= 5


@pytest.mark.parametrize(
    ("micros", "said"),
    [(59, "59us"), (1_234, "1.2ms"), (340_000, "340ms"), (1_200_000, "1.2s"), (999_700, "1.0s"), (15 * MINUTE, "15min"),
     (300 * MINUTE, "5h")],
)  # fmt: skip
def test_times_take_six_characters(micros, said):
    assert figures.time(micros) == said


def test_sparklines_go_from_nothing_to_the_largest():
    assert figures.sparkline([0, 1, 2, 4, 8], 7) == "  ▁▂▃▅█"
    assert figures.sparkline([0, 0], 2) == "▁▁"
    assert figures.sparkline(range(100), 3) == "███"
    assert figures.sparkline([], 3) == "   "


def test_rates_are_differences_over_the_time_between_two_looks():
    pair, history, ours = busy()
    (before,) = [row for row in history.rows if row["kind"] == "connection"]
    pair.run(SECOND // 4)
    pair.client.receive(bytes(3), pair.now)
    sample(history, pair, pair.client)
    (row,) = [row for row in history.rows if row["kind"] == "connection"]
    past = history.series[row["who"]]
    assert len(past.cwnd) == 11
    assert past.cwnd[-1] == row["info"]["snd_cwnd"]
    assert past.sent[0] == 0, "nothing to compare with"
    assert past.sent[-1] == (row["info"]["bytes_sent"] - before["info"]["bytes_sent"]) * 4
    assert history.rate("TcpOutSegs") == (row["info"]["segs_out"] - before["info"]["segs_out"]) * 4
    assert history.drops["ethernet.too_short"] == 11
    assert history.drop_rates["ethernet.too_short"] == 4.0
    ours.abort()
    pair.run(SECOND)
    sample(history, pair, pair.client)
    assert history.series == {}


def test_a_four_tuple_used_again_does_not_make_a_rate_below_nothing():
    history = History()
    pair, _, _ = busy()
    sample(history, pair, pair.client)
    (row,) = [row for row in history.rows if row["kind"] == "connection"]
    fresh = json.loads(json.dumps(row)) | {"age": 5}
    fresh["info"]["bytes_sent"] = 10
    history.add(pair.now + SECOND, [fresh], history.layers)
    assert history.traffic(fresh) == (0, 0)


@pytest.mark.parametrize("height", [10, 17, 18, 24, 50])
@pytest.mark.parametrize("width", [40, 60, 80, 81, 100, 133, 200])
def test_every_size_is_filled_and_none_exceeded(lossy, width, height):
    history = lossy
    (row,) = [row for row in history.rows if row["kind"] == "connection"]
    ladder = Ladder(row["who"], row["variables"]["iss"], row["variables"]["irs"])
    views = [View(HELLO, history), View(HELLO, history, helping=True), View(HELLO, history, ladder=ladder),
             View(HELLO), View(HELLO, history, typing="x" * 300, error="y" * 300)]  # fmt: skip
    for view in views:
        lines = screen(view, width, height)
        assert len(lines) == height
        assert all(line.cell_len <= width for line in lines)
        assert all("\n" not in line.plain for line in lines)


def test_a_terminal_that_is_too_small_is_told_so():
    assert text_of(screen(View(HELLO), 39, 9))[0] == "too small: 40 x 10 at least"


def test_the_picture_of_a_transfer(lossy):
    history = lossy
    lines = still(View(HELLO, history), 100, 24).splitlines()
    (row,) = [row for row in history.rows if row["kind"] == "connection"]
    assert lines[0].startswith("netstack netstack0 in lab 192.0.2.2/24  1 open, 0 half-open, 0 TIME-WAIT  every 1s")
    assert lines[3].split() == ["PEER", "PORT", "STATE", "CWND", "RTT", "IN", "b/s", "OUT", "b/s", "RETR",
                                "RECV-Q", "SEND-Q"]  # fmt: skip
    shown = lines[4].split()
    assert shown[:4] == ["192.0.2.2:80", str(row["local_port"]), "ESTAB", figures.count(row["info"]["snd_cwnd"])]
    assert shown[4][-1] in figures.BARS
    assert shown[5] == figures.time(row["info"]["rtt"])
    assert shown[-2:] == [str(row["info"]["total_retrans"]), figures.count(row["send_q"])]
    assert shown[-2] != "0"
    layers_at = next(i for i, line in enumerate(lines) if line.startswith("── layers"))
    assert [line.split()[0] for line in lines[layers_at + 1 : layers_at + 8]] == [
        "tcp", "udp", "icmp", "ip", "arp", "ethernet", "device"
    ]  # fmt: skip
    assert lines[layers_at + 1].split()[1:3] == ["in", str(history.counter("TcpInSegs"))]
    assert any("10" in line and "4/s" in line and "ethernet.too_short" in line for line in lines[layers_at:])
    assert lines[-1].startswith("q quit  ? help  Enter open  s sort: rate")
    assert still(View(HELLO, history), 100, 24, "a title").startswith("<svg")


@pytest.mark.parametrize("width", range(40, 220, 7))
def test_columns_fit_and_the_more_room_the_more_of_them(width):
    shown = table.columns(width)
    assert sum(size + 1 for _, size in shown) - 1 <= width
    assert {column.title for column, _ in shown} >= {"PEER", "STATE"}
    assert len(shown) >= len(table.columns(max(width - 7, 40)))


def session(pair):
    """A session whose stack is asked directly."""

    class Direct:
        def __init__(self):
            self.hello = HELLO
            self.asked = []

        def ask(self, what, **arguments):
            self.asked.append((what, arguments))
            if what == "connections":
                return {"now": pair.now, "rows": connections(pair.client, pair.now)}
            return layers(pair.client)

        def subscribe(self, what, **arguments):
            self.asked.append((what, arguments))
            return 7

    made = Session(Direct(), 1.0, "rate", "")
    made.sample()
    return made


def press(made, *names):
    for name in names:
        made.press(name)


def test_keys_choose_sort_filter_pause_and_quit():
    pair = Pair()
    pair.open()
    for _ in range(4):
        pair.client.tcp.connect(None, (SERVER, 80))
    pair.run(SECOND)
    made = session(pair)
    view = made.view
    rows = [row["who"] for row in view.rows()]
    assert len(rows) == 5
    press(made, "down", "down", "up", "down")
    assert view.selected == rows[2]
    press(made, "end", "down")
    assert view.selected == rows[4]
    press(made, "home")
    assert view.selected == rows[0]
    press(made, "s")
    assert view.order == "peer"
    press(made, "r", "+", "p", "?", "q")
    assert (view.turned, view.interval, view.paused, view.helping, made._running) == (True, 0.5, True, False, True)
    press(made, "f", *"dst 1.2.3.400", "enter")
    assert view.error == "'1.2.3.400' is not an address or a network such as 192.0.2.0/24"
    press(made, "backspace", "backspace", "enter")
    assert (view.filter, view.typing, view.rows()) == ("dst 1.2.3.4", None, [])
    press(made, "f", *["backspace"] * 20, *":80", "escape")
    assert view.filter == "dst 1.2.3.4", "given up"
    press(made, "f", *["backspace"] * 20, *"estab", "enter")
    assert len(view.rows()) == 5
    press(made, "q")
    assert not made._running


def test_a_connection_is_opened_followed_and_closed():
    pair = Pair()
    ours, _ = pair.open()
    made = session(pair)
    who = made.view.rows()[0]["who"]
    press(made, "enter")
    assert made.client.asked[-1] == ("events", {"who": who})
    ladder = made.view.ladder
    pair.client.observe(lambda event: ladder.add(json.loads(json.dumps({"stream": 7, **plain(event)}))))
    ours.send(b"hello")
    pair.run(5 * pair.delay)
    ours.shutdown()
    pair.run(SECOND)
    made.sample()
    lines = text_of(screen(made.view, 100, 60))
    assert lines[0] == f"peer 192.0.2.2:80  ──  stack 192.0.2.1:{ours.local[1]}  FIN-WAIT-2"
    arrows = [line[11:] for line in lines[4:-1] if "▶ " in line[20:26] or "◀" in line]
    assert arrows[0] == "◀─────────── P. 1:6(5) ack 1 win 64256"
    assert any(line.startswith("───────────▶ . 1:1(0) ack 6 win") for line in arrows)
    assert any("ESTAB → FIN-WAIT-1  CLOSE, snd FIN" in line for line in lines)
    assert any("F. 6:6(0) ack 1" in line for line in arrows)
    ladder.add({"stream": 7, "lost": 12})
    assert "12 events missed" in text_of(screen(made.view, 100, 24))[-1]
    press(made, "p", "escape")
    assert made.view.ladder is None
    assert made.client.asked[-1] == ("stop", {"stream": 7})


def test_retransmissions_and_their_cause_stand_in_the_ladder():
    pair = Pair()
    ours, _ = pair.open()
    (row,) = connections(pair.client, pair.now)
    ladder = Ladder(row["who"], row["variables"]["iss"], row["variables"]["irs"])
    pair.client.observe(lambda event: ladder.add(json.loads(json.dumps(plain(event)))))
    pair.to_server = lambda frame: None
    ours.send(b"x" * 100)
    pair.run(3 * SECOND)
    said = "\n".join(text_of(ladder.lines(120, 100)))
    assert "timer: retransmit" in said
    assert said.count("◀─────────── P. 1:101(100) ack 1 win") >= 3
    assert said.count("retrans") > 2


@pytest.mark.parametrize(
    ("octets", "meant"),
    [(b"q", ["q"]), (b"\x1b[A\x1b[B", ["up", "down"]), (b"\x1bOA", ["up"]), (b"\x1b[5~\x1b[6~", ["pageup", "pagedown"]),
     (b"\x1b", ["escape"]), (b"\r\x7f", ["enter", "backspace"]), (b"\x1b[1;5Cx", ["x"]), ("é/".encode(), ["é", "/"]),
     (b"\x03", ["q"]), (b"\x1b[Hj\x1b[F", ["home", "j", "end"]), (b"\x01", []), (b"\x1b[99", [])],
)  # fmt: skip
def test_octets_from_a_terminal_are_keys(octets, meant):
    assert keys.names(octets) == meant


@given(st.binary(max_size=20))
def test_any_octets_from_a_terminal_are_survived(octets):
    assert all(isinstance(name, str) and name for name in keys.names(octets))
