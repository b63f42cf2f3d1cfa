"""One connection, event by event: segments as arrows between peer and stack, and what they changed beside them.

Made of the events that the control socket tells (`inspect.plain`); sequence numbers count from the handshake.
"""

from collections import deque
from typing import Any

from rich.text import Text

from netstack.inspect.socket_filter import STATES
from netstack.units import SECOND
from netstack.watch import figures
from netstack.watch.history import History, Row
from netstack.watch.table import STATE_STYLE

Event = dict[str, Any]
MOST_EVENTS = 2_000
_TIME = 11
_SIDE = 26
"""The least that is left for words beside the arrows."""
_WHY_DULL = ("data", "ack")


class Ladder:
    """The last events of the connection `who`; `iss` and `irs` are its initial sequence numbers."""

    def __init__(self, who: str, iss: int, irs: int) -> None:
        self.who = who
        self.lost = 0
        """Events that came faster than they were read."""
        self.ended = ""
        self._iss = iss
        self._irs = irs
        self._began: int | None = None
        self._lines: deque[tuple[str, str, Text]] = deque(maxlen=MOST_EVENTS)
        """(time, what is drawn: "<", ">" or "", words)."""

    def add(self, event: Event) -> None:
        """Something happened."""
        if "lost" in event:
            self.lost += event["lost"]
            self._lines.append(("", "", Text(f"{event['lost']} events missed: too fast to follow", style="yellow")))
            return
        drawn = self._drawn(event)
        if drawn is None:
            return
        if self._began is None:
            self._began = event["at"]
        time = f"{(event['at'] - self._began) / SECOND:10.6f}"
        self._lines.append((time, *drawn))

    def _drawn(self, event: Event) -> tuple[str, Text] | None:
        kind = event["event"]
        if kind == "SegmentReceived":
            return ">", self._segment(event, self._irs, self._iss)
        if kind == "SegmentSent":
            return "<", self._segment(event, self._iss, self._irs)
        if kind == "StateChanged":
            if event["new"] == "CLOSED":
                self.ended = event["cause"]
            old, new = str(event["old"]), str(event["new"])
            shown = Text(STATES.get(new, new), style=STATE_STYLE.get(new, "magenta"))
            return "", Text.assemble(STATES.get(old, old), " → ", shown, f"  {event['cause']}")
        if kind == "RttSampled":
            rtt, srtt, rto = (figures.time(event[name]) for name in ("rtt", "srtt", "rto"))
            return "", Text(f"RTT {rtt}, smoothed {srtt}, RTO {rto}", style="dim")
        if kind == "WindowChanged":
            ssthresh = "" if event["ssthresh"] >= 0x7FFF_FFFF else f", ssthresh {event['ssthresh']}"
            return "", Text(f"cwnd {event['cwnd']}{ssthresh}", style="blue")
        if kind == "LossDetected":
            return "", Text(f"lost: {event['seq'] - self._iss} ({event['how']})", style="bold red")
        if kind == "LossRefuted":
            return "", Text(f"not lost after all ({event['how']})", style="green")
        if kind == "Dropped":
            return "", Text(f"dropped: {event['reason']}", style="red")
        if kind == "TimerFired":
            return "", Text(f"timer: {event['name']}", style="yellow")
        return None

    def _segment(self, event: Event, seq_base: int, ack_base: int) -> Text:
        seq = event["seq"] - seq_base
        said = f"{event['flags']} {seq}:{seq + event['length']}({event['length']})"
        if "." in event["flags"]:
            said += f" ack {event['ack'] - ack_base}"
        text = Text(f"{said} win {event['wnd']}")
        why = event.get("why", "")
        if why and why not in _WHY_DULL:
            text.append(f" {why}", style="bold red" if "retrans" in why else "cyan")
        return text

    def lines(self, width: int, height: int) -> list[Text]:
        """The last `height` of them."""
        arrow = max(min(width - _TIME - _SIDE - 30, 12), 5)
        found = []
        for time, direction, words in list(self._lines)[-height:] if height > 0 else []:
            if direction == ">":
                line = Text.assemble((f"{time} ", "dim"), ("─" * (arrow - 1) + "▶ ", "green"), words)
            elif direction == "<":
                line = Text.assemble((f"{time} ", "dim"), ("◀" + "─" * (arrow - 1) + " ", "cyan"), words)
            else:
                line = Text.assemble((f"{time:>10} ", "dim"), " " * (arrow + 1), words)
            line.truncate(width, overflow="ellipsis")
            found.append(line)
        return found


def heading(ladder: Ladder, history: History, row: Row | None, width: int) -> list[Text]:
    """Who it is, and its variables with their past."""
    local, _, remote = ladder.who.partition(" - ")
    first = Text.assemble(("peer ", "dim"), (remote, "bold"), ("  ──  stack ", "dim"), (local, "bold"), "  ")
    if row is None:
        first.append(f"gone: {ladder.ended}" if ladder.ended else "gone", style="bold magenta")
        return [first]
    first.append(STATES[row["state"]], style=STATE_STYLE.get(row["state"], "magenta"))
    if row["kind"] == "time-wait":
        return [first]
    info = row["info"]
    ssthresh = "" if info["snd_ssthresh"] >= 0x7FFF_FFFF else f" ssthresh {info['snd_ssthresh']}"
    past = history.series.get(ladder.who)
    room = max((width - 76) // 2, 6)
    cwnd, rtt = (figures.sparkline(getattr(past, name) if past else (), room) for name in ("cwnd", "rtt"))
    second = Text.assemble(
        ("cwnd ", "dim"), f"{info['snd_cwnd']}{ssthresh} ", (cwnd, "blue"), f" {row['ca_state']}",
        ("  in flight ", "dim"), str(row["in_flight"]), ("  rtt ", "dim"), figures.time(info["rtt"]), " ",
        (rtt, "blue"), ("  rto ", "dim"), figures.time(info["rto"]),
    )  # fmt: skip
    v = row["variables"]
    third = Text.assemble(
        ("snd.una ", "dim"), str(v["snd_una"] - v["iss"]), (" nxt ", "dim"), str(v["snd_nxt"] - v["iss"]),
        (" wnd ", "dim"), str(v["snd_wnd"]), ("  rcv.nxt ", "dim"), str(v["rcv_nxt"] - v["irs"]),
        (" wnd ", "dim"), str(v["rcv_wnd"]), ("  queues ", "dim"), f"{row['recv_q']} {row['send_q']}",
        ("  retrans ", "dim"), str(info["total_retrans"]), f"  {row['cc']} {' '.join(row['options'])}",
    )  # fmt: skip
    for line in (first, second, third):
        line.truncate(width, overflow="ellipsis")
    return [first, second, third]
