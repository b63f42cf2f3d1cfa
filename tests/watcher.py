"""A sink that believes nothing but events, and compares what it believes with the stack: for every scenario."""

from collections import Counter
from typing import Any, ClassVar

from netstack.events import (
    BufferChanged,
    Dropped,
    LossDetected,
    LossRefuted,
    RttSampled,
    SegmentReceived,
    SegmentSent,
    SegmentTaken,
    StateChanged,
    TimerArmed,
    TimerCancelled,
    TimerFired,
    WindowChanged,
    Woken,
)
from netstack.tcp import why
from netstack.tcp.connection import Connection
from netstack.tcp.state import CLOSED, TRANSITIONS
from netstack.tcp.timewait import TimeWait


class Watcher:
    """Call it with every event; `check(stack)` when nothing is under way. `events` is all there was."""

    def __init__(self) -> None:
        self.events: list[Any] = []
        self.timers: dict[Any, dict[str, int]] = {}
        self.levels: dict[Any, Counter[str]] = {}
        self.windows: dict[Any, tuple[int, int, int]] = {}
        self.states: dict[Any, Any] = {}
        self.dropped: Counter[str] = Counter()
        self.received: SegmentReceived | None = None

    def __call__(self, event: Any) -> None:
        assert not self.events or event.at >= self.events[-1].at or event.at == 0, "time goes back"
        self.events.append(event)
        see = self._SEE.get(type(event))
        if see is not None:
            see(self, event)

    def of(self, kind: type) -> list[Any]:
        """The events of one kind."""
        return [event for event in self.events if type(event) is kind]

    def _state(self, event: StateChanged) -> None:
        assert TRANSITIONS[event.cause][event.old] is event.new
        assert event.cause.paragraph.startswith("RFC")
        if isinstance(event.who, bytes):
            before = self.states.get(event.who)
            assert before in (None, CLOSED) or before is event.old or str(before) == "TIME-WAIT"
            self.states[event.who] = event.new
            if before in (None, CLOSED):  # a new connection
                self.windows.pop(event.who, None)

    def _armed(self, event: TimerArmed) -> None:
        self.timers.setdefault(event.who, {})[event.name] = event.deadline

    def _cancelled(self, event: TimerCancelled) -> None:
        assert self.timers[event.who].pop(event.name, None) is not None, f"{event.name} was not running"

    def _fired(self, event: TimerFired) -> None:
        assert self.timers[event.who].pop(event.name) <= event.at, f"{event.name} fired early"

    def _buffer(self, event: BufferChanged) -> None:
        levels = self.levels.setdefault(event.who, Counter())
        levels[event.buffer] += event.change
        assert event.change
        assert levels[event.buffer] == event.level >= 0

    def _window(self, event: WindowChanged) -> None:
        now = event.cwnd, event.ssthresh, event.snd_wnd
        assert self.windows.get(event.who) != now, "nothing changed"
        self.windows[event.who] = now

    def _received(self, event: SegmentReceived) -> None:
        assert self.received is None, "two segments at once"
        self.received = event

    def _taken(self, event: SegmentTaken) -> None:
        assert self.received is not None
        assert self.received.who == event.who
        assert self.received.before == event.before
        self.received = None

    def _sent(self, event: SegmentSent) -> None:
        kind, _, how = event.why.partition(": ")
        assert event.why in why.RULES or (kind == why.RETRANSMISSION and how in why.FOUND), event.why
        assert event.why != why.ACK, "nobody knows why"

    def _dropped(self, event: Dropped) -> None:
        self.dropped[event.reason] += 1

    def _rtt(self, event: RttSampled) -> None:
        assert event.rtt > 0
        assert event.srtt > 0

    def _lost(self, event: LossDetected) -> None:
        assert event.how in why.FOUND

    def _refuted(self, event: LossRefuted) -> None:
        assert event.how in why.REFUTED

    def _woken(self, event: Woken) -> None:
        assert event.ready

    _SEE: ClassVar[dict[type, Any]] = {
        StateChanged: _state, TimerArmed: _armed, TimerCancelled: _cancelled, TimerFired: _fired,
        BufferChanged: _buffer, WindowChanged: _window, SegmentReceived: _received, SegmentTaken: _taken,
        SegmentSent: _sent, Dropped: _dropped, RttSampled: _rtt, LossDetected: _lost, LossRefuted: _refuted,
        Woken: _woken,
    }  # fmt: skip

    def check(self, stack: Any) -> None:
        """What the events say is how it is."""
        assert self.received is None
        assert self.dropped == Counter(stack.counters.drops)
        for key, conn in stack.tcp.connections.items():
            timers = self.timers.get(key, {})
            if isinstance(conn, TimeWait):
                assert timers == {"time-wait": conn.expires_at}
                continue
            assert isinstance(conn, Connection)
            if key in self.states:
                assert self.states[key] is conn.state
            assert timers == _running(conn)
            levels = self.levels.get(key, Counter())
            assert levels["send"] == len(conn.send_buffer)
            assert levels["receive"] == conn.receive_buffer.ready
            cc = conn.recovery.cc
            if key in self.windows:
                assert self.windows[key] == (cc.cwnd, cc.ssthresh, conn.tcb.snd_wnd)
        for key, timers in self.timers.items():
            assert key in stack.tcp.connections or not timers, "a timer of nobody"


def _running(conn: Connection) -> dict[str, int]:
    named = {
        conn.timer: conn.timer_at, "delayed-ack": conn.acking.at, "keepalive": conn.keepalive_at,
        "fin-wait-2": conn.close_at,
    }  # fmt: skip
    return {name: at for name, at in named.items() if at}
