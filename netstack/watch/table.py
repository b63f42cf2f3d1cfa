"""The connections as a table: which of them, in which order, and in which columns there is room for."""

from collections.abc import Callable, Sequence
from typing import NamedTuple

from rich.text import Text

from netstack.inspect.snapshot import KINDS
from netstack.inspect.socket_filter import EVERY, STATES, Test, row_filter
from netstack.watch import figures
from netstack.watch.history import History, Row

STATE_STYLE = {
    "ESTABLISHED": "green", "LISTEN": "cyan", "SYN-SENT": "yellow", "SYN-RECEIVED": "yellow", "TIME-WAIT": "dim",
    "CLOSED": "dim", "UNCONNECTED": "cyan",
}  # fmt: skip
"""The others are closing."""
_CLOSING = "magenta"
_CA_STYLE = {"recovery": "yellow", "loss": "red", "cwr": "yellow"}


class Column(NamedTuple):
    """`width` of the text; `spark`: what is left of the line is shared out among these. Without room for all columns,
    those of the highest `rank` are left out."""

    title: str
    width: int
    rank: int
    cell: Callable[[History, Row, int], Text]
    left: bool = False
    spark: bool = False


def _info(row: Row, name: str) -> int | None:
    value: int | None = row["info"].get(name) if row["kind"] in ("connection", "half-open") else None
    return value


def _spark(name: str) -> Callable[[History, Row, int], Text]:
    def cell(history: History, row: Row, width: int) -> Text:
        series = history.series.get(row["who"])
        return Text("" if series is None else figures.sparkline(getattr(series, name), width), style="blue")

    return cell


def _state(history: History, row: Row, width: int) -> Text:
    return Text(STATES[row["state"]], style=STATE_STYLE.get(row["state"], _CLOSING))


def _cwnd(history: History, row: Row, width: int) -> Text:
    cwnd = _info(row, "snd_cwnd")
    return Text("" if cwnd is None else figures.count(cwnd), style=_CA_STYLE.get(row.get("ca_state", ""), ""))


def _rtt(history: History, row: Row, width: int) -> Text:
    return Text(figures.time(rtt) if (rtt := _info(row, "rtt")) else "")


def _rate(which: int) -> Callable[[History, Row, int], Text]:
    def cell(history: History, row: Row, width: int) -> Text:
        octets = history.traffic(row)[which]
        return Text(figures.count(8 * octets) if octets else "")

    return cell


def _retransmitted(history: History, row: Row, width: int) -> Text:
    total = _info(row, "total_retrans")
    series = history.series.get(row["who"])
    return Text(figures.count(total) if total else "", style="bold red" if series and series.retransmitted else "red")


def _queue(name: str) -> Callable[[History, Row, int], Text]:
    return lambda history, row, width: Text(figures.count(row[name]) if row[name] else "")


def _timer(history: History, row: Row, width: int) -> Text:
    timer = row["timer"]
    return Text("" if timer is None else f"{timer['name']} {figures.time(timer['remaining'])}", style="dim")


def _age(history: History, row: Row, width: int) -> Text:
    return Text(figures.time(row["age"]) if "age" in row else "", style="dim")


COLUMNS = (
    Column("PEER", 21, 0, lambda history, row, width: Text(row["remote"]), left=True),
    Column("PORT", 5, 6, lambda history, row, width: Text(str(row["local_port"]))),
    Column("STATE", 10, 0, _state, left=True),
    Column("CWND", 5, 1, _cwnd),
    Column("", 6, 2, _spark("cwnd"), spark=True),
    Column("RTT", 6, 1, _rtt),
    Column("", 6, 2, _spark("rtt"), spark=True),
    Column("IN b/s", 6, 3, _rate(0)),
    Column("OUT b/s", 7, 3, _rate(1)),
    Column("RETR", 4, 4, _retransmitted),
    Column("RECV-Q", 6, 5, _queue("recv_q")),
    Column("SEND-Q", 6, 5, _queue("send_q")),
    Column("AGE", 6, 7, _age),
    Column("TIMER", 20, 8, _timer, left=True),
    Column("CC", 6, 9, lambda history, row, width: Text(row.get("cc", "")), left=True),
)
WIDEST_SPARK = 40

ORDERS: dict[str, Callable[[History, Row], object]] = {
    "rate": lambda history, row: -sum(history.traffic(row)),
    "peer": lambda history, row: (row["remote_address"], row["remote_port"]),
    "state": lambda history, row: (KINDS.index(row["kind"]), row["state"]),
    "cwnd": lambda history, row: -(_info(row, "snd_cwnd") or 0),
    "rtt": lambda history, row: -(_info(row, "rtt") or 0),
    "retransmissions": lambda history, row: -(_info(row, "total_retrans") or 0),
    "queues": lambda history, row: -(row["recv_q"] + row["send_q"] if row["kind"] != "listener" else 0),
    "age": lambda history, row: -row.get("age", 0),
}
"""What the table can be sorted by; the first is how it begins."""


def chosen(history: History, order: str, turned: bool, wanted: Test) -> list[Row]:
    """The rows to show, in order: those that listen are told of elsewhere."""
    rows = [row for row in history.rows if row["kind"] != "listener" and wanted(row)]
    rows.sort(key=lambda row: row["who"])
    rows.sort(key=lambda row: ORDERS[order](history, row), reverse=turned)  # type: ignore[arg-type, return-value]
    return rows


def test_of(text: str) -> Test:
    """What was typed as a filter: that of `ss`, or any part of an address or state. ValueError for neither."""
    words = text.split()
    if len(words) <= 1:
        part = text.strip().lower()
        return lambda row: part in f"{row['who']} {row['state']} {STATES[row['state']]}".lower()
    return row_filter(words, EVERY)


def columns(width: int) -> list[tuple[Column, int]]:
    """(column, its width) of those that have room in `width`."""
    room = width
    ranks = sorted({column.rank for column in COLUMNS})
    kept: set[int] = set()
    for rank in ranks:
        need = sum(column.width + 1 for column in COLUMNS if column.rank == rank)
        if need > room and kept:
            break
        kept.add(rank)
        room -= need
    shown = [column for column in COLUMNS if column.rank in kept]
    sparks = sum(column.spark for column in shown)
    more = min(max(room, 0) // sparks, WIDEST_SPARK) if sparks else 0
    return [(column, column.width + more if column.spark else column.width) for column in shown]


def lines(history: History, rows: Sequence[Row], selected: int, width: int, height: int) -> list[Text]:
    """A header and `height - 1` lines of rows around the selected one."""
    layout = columns(width)
    head = Text(" ".join(_fit(Text(column.title), size, column.left).plain for column, size in layout))
    head.pad_right(max(width - len(head), 0))
    head.stylize("bold reverse")
    found = [head]
    room = max(height - 1, 0)
    first = max(0, min(selected - room // 2, len(rows) - room))
    for number, row in enumerate(rows[first : first + room], first):
        line = Text(" ").join(_fit(column.cell(history, row, size), size, column.left) for column, size in layout)
        if number == selected:
            line.stylize("bold")
            line.stylize("reverse", 0, layout[0][1])
        found.append(line)
    return found


def _fit(text: Text, width: int, left: bool) -> Text:
    text.truncate(width, overflow="ellipsis")
    text.align("left" if left else "right", width)
    return text
