"""What a running stack looks like at one moment, in the form that the page shows: the same for all viewers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Callable
from typing import Any

from netstack.inspect.page.faults import ConnectionFaults, PathKnobs
from netstack.inspect.page.recorder import Recorder
from netstack.inspect.page.track import SAMPLE_FIELDS, Track
from netstack.inspect.snapshot import Row, connections, layers
from netstack.stack import Stack
from netstack.tcp.congestion import INFINITE
from netstack.units import Micros

LISTED = 60
"""Others' connections in the table that are not over."""
OWN = 20
"""Of the page's own."""
ENDED = 20
"""Of those that are over, the latest."""
RANKS = {"listener": 0, "connection": 1, "half-open": 1, "time-wait": 2, "ended": 3}


class Picture:
    """`rows` by name, of which `listed` belong in the table; `layers`; `others`: states, faults, what is hidden."""

    def __init__(
        self,
        stack: Stack,
        now: Micros,
        recorder: Recorder,
        own: Callable[[bytes], bool],
        path: PathKnobs | None,
        faults: ConnectionFaults,
    ) -> None:
        self.now = now
        self.recorder = recorder
        recorder.bury(stack.tcp.connections, now)
        faults.forget()
        tracks = {track.who: track for track in recorder.tracks.values() if not track.ends}
        self._own = {track.who for track in recorder.tracks.values() if own(track.key)}
        self.rows: dict[str, dict[str, Any]] = {}
        states: Counter[str] = Counter()
        mines = 0
        for row in connections(stack, now):
            who, state = row["who"], row["state"]
            key = key_of(row)
            mine = bool(key) and own(key)
            if mine:
                mines += 1
                self._own.add(who)
            else:
                states[state] += 1
            self.rows[who] = brief(row, tracks.get(who)) | {
                "own": mine, "held": key in faults.held, "shut": key in faults.shut
            }  # fmt: skip
        for track in recorder.finished(now):
            self.rows.setdefault(track.who, over(track) | {"own": track.who in self._own})
        self.listed = self._list()
        self.layers = layers(stack)
        self.others: dict[str, Any] = {"states": dict(states), "total": sum(states.values()), "own": mines}
        if path is not None:
            self.others["path"] = path.shown()

    def is_own(self, who: str) -> bool:
        """Whether it is a connection of the page itself."""
        return who in self._own

    def newest(self) -> str | None:
        """The connection that was heard of last, over or not; the page's own aside."""
        found = max(
            (row for row in self.rows.values() if "number" in row and not row["own"]),
            key=lambda row: int(row["number"]), default=None,
        )  # fmt: skip
        return None if found is None else f"{found['local']} - {found['remote']}"

    def _list(self) -> set[str]:
        """Of the living the liveliest, the page's own apart, and who was over last."""

        def rank(who: str) -> tuple[int, Micros]:
            row = self.rows[who]
            return RANKS[row["kind"]], -row.get("touched", 0)

        found: set[str] = set()
        order = sorted(self.rows, key=rank)
        for ended, own, most in ((False, False, LISTED), (False, True, OWN), (True, False, ENDED), (True, True, OWN)):
            rows = [who for who in order if (self.rows[who]["kind"] == "ended", self.rows[who]["own"]) == (ended, own)]
            found.update(rows[:most])
        return found


def key_of(row: Row) -> bytes:
    """The four-tuple as the table has it (see `Tcp.connections`); empty for a listener."""
    if row["kind"] == "listener":
        return b""
    ends = [bytes(map(int, row[end + "_address"].split("."))) for end in ("remote", "local")]
    ports = [int(row[end + "_port"]).to_bytes(2, "big") for end in ("remote", "local")]
    return b"".join(ends + ports)


def brief(row: Row, track: Track | None) -> dict[str, Any]:
    """A row of the table: of all that is known, what the page shows."""
    found = {name: row[name] for name in ("kind", "state", "local", "remote", "recv_q", "send_q")}
    timer = row["timer"]
    found["timer"] = [timer["name"], timer["remaining"], timer["retries"]] if timer else None
    if track is not None:
        found["number"], found["touched"] = track.number, track.touched_at
    if row["kind"] == "listener":
        return found | {"half_open": row["half_open"], "backlog": row["backlog"]}
    if row["kind"] == "time-wait":
        return found
    info, known, memory = row["info"], row["variables"], row["memory"]
    ssthresh = info["snd_ssthresh"]
    return found | {
        "age": row["age"], "cc": row["cc"], "ca_state": row["ca_state"], "options": row["options"],
        "cwnd": info["snd_cwnd"], "ssthresh": ssthresh if ssthresh < INFINITE else None,
        "in_flight": row["in_flight"], "mss": info["snd_mss"],
        "srtt": info["rtt"], "rttvar": info["rttvar"], "rto": info["rto"],
        "snd_wnd": known["snd_wnd"], "rcv_wnd": known["rcv_wnd"],
        "out": known["snd_nxt"] - known["snd_una"], "notsent": info["notsent_bytes"],
        "retrans": info["total_retrans"], "lost": info["lost"],
        "delivery_rate": info["delivery_rate"], "acked": info["bytes_acked"], "received": info["bytes_received"],
        "sndbuf": memory["sndbuf"], "rcvbuf": memory["rcvbuf"], "ooo": info["rcv_ooopack"],
    }  # fmt: skip


def over(track: Track) -> dict[str, Any]:
    """The same for a connection that is over: what its events said last.

    As in tcp_info, `acked` and `received` are octets, and a FIN counts as one.
    """
    last = dict(zip(SAMPLE_FIELDS, track.latest(), strict=False))
    counts = {"acked": last["snd_una"] - 1, "received": last["rcv_nxt"] - 1} if last else {}
    return counts | {
        "kind": "ended", "state": "CLOSED", "local": track.who.partition(" - ")[0],
        "remote": track.who.partition(" - ")[2], "recv_q": 0, "send_q": 0, "timer": None,
        "number": track.number, "touched": track.touched_at, "began": track.first_at, "ended": track.ends,
        "segments": [track.sent, track.received], "retrans": track.again,
    }  # fmt: skip
