"""The sink behind the page: keeps of each recent connection what can be drawn of it, and the latest moves of all."""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Collection
from typing import Any

from netstack.events import (
    LossDetected,
    LossRefuted,
    RttSampled,
    SegmentReceived,
    SegmentSent,
    SegmentTaken,
    StateChanged,
    TimerFired,
)
from netstack.inspect.page.track import Track
from netstack.tcp.state import CLOSED, LISTEN
from netstack.units import SECOND, Micros, Seq

TRACKS = 256
"""Connections of which something is kept, those that are over included."""
FORGET_AFTER: Micros = 120 * SECOND
"""How long one that is over can still be looked at."""
MOVES = 512

Move = list[Any]
"""number, time, who, old state, new state, cause, paragraph."""


class Recorder:
    """A sink for `Observers`. What it does not know it leaves alone."""

    __slots__ = ("_calls", "_number", "begins", "moves", "moves_made", "tracks")

    def __init__(self, begins: Callable[[bytes], tuple[Seq, Seq] | None] = lambda key: None) -> None:
        self.begins = begins
        """ISS and IRS of a connection that is older than our watching; None when there is no such connection."""
        self.tracks: dict[bytes, Track] = {}
        """By four-tuple, the one heard of first in front. A four-tuple used again begins anew."""
        self.moves: deque[Move] = deque(maxlen=MOVES)
        self.moves_made = 0
        self._number = 0
        self._calls: dict[type, Callable[[Any], None]] = {
            StateChanged: self._on_move,
            SegmentSent: self._on_sent,
            SegmentReceived: self._on_received,
            SegmentTaken: self._on_taken,
            RttSampled: self._on_rtt,
            LossDetected: self._on_loss,
            LossRefuted: self._on_refuted,
            TimerFired: self._on_timer,
        }

    def __call__(self, event: Any) -> None:
        """One event."""
        call = self._calls.get(type(event))
        if call is not None:
            call(event)

    def clear(self) -> None:
        """Nobody watched for a while: what was known has gaps now."""
        self.tracks.clear()
        self.moves.clear()

    def named(self, who: str) -> Track | None:
        """The latest track of that name."""
        return next((track for track in reversed(self.tracks.values()) if track.who == who), None)

    def bury(self, keys: Collection[bytes], now: Micros) -> None:
        """Connections that are not among `keys` any more are over, also those that said no last word.

        What never was one, a segment to a listener that led to nothing, is forgotten.
        """
        for key in [key for key, track in self.tracks.items() if not track.ends and key not in keys]:
            if self.tracks[key].state:
                self.tracks[key].ends = now
            else:
                del self.tracks[key]

    def finished(self, now: Micros) -> list[Track]:
        """Those that are over and not forgotten."""
        return [track for track in self.tracks.values() if track.ends and now - track.ends < FORGET_AFTER]

    def _track(self, key: bytes, at: Micros) -> Track:
        if len(self.tracks) >= TRACKS:
            self._make_room()
        self._number += 1
        track = self.tracks[key] = Track(key, self._number, at, self.begins(key))
        return track

    def _make_room(self) -> None:
        """The oldest of those that are over goes; if none is, the oldest."""
        over = next((key for key, track in self.tracks.items() if track.ends), None)
        del self.tracks[over if over is not None else next(iter(self.tracks))]

    def _on_move(self, event: StateChanged) -> None:
        self.moves_made += 1
        track = self.tracks.get(event.who)
        if track is None or (track.state and event.old in (CLOSED, LISTEN)):  # a new life of the four-tuple
            self.tracks.pop(event.who, None)
            track = self._track(event.who, event.at)
        track.on_move(event)
        cause = event.cause
        self.moves.append(
            [self.moves_made, event.at, track.who, str(event.old), track.state, cause.label, cause.paragraph]
        )

    def _on_sent(self, event: SegmentSent) -> None:
        track = self.tracks.get(event.who)
        if track is None:
            if event.after.state is CLOSED:  # in answer to a segment for nobody
                return
            track = self._track(event.who, event.at)
        track.on_sent(event)

    def _on_received(self, event: SegmentReceived) -> None:
        track, state = self.tracks.get(event.who), event.before.state
        if track is None or (track.ends and state is LISTEN):
            if state is CLOSED:  # for nobody
                return
            self.tracks.pop(event.who, None)
            track = self._track(event.who, event.at)
        track.on_received(event)

    def _on_taken(self, event: SegmentTaken) -> None:
        track = self.tracks.get(event.who)
        if track is not None:
            track.sample(event.at, event.after)

    def _on_rtt(self, event: RttSampled) -> None:
        self._living(event.who, event.at).rtts.append((event.at, event.rtt))

    def _on_loss(self, event: LossDetected) -> None:
        self._living(event.who, event.at).mark(event.at, "loss", event.seq, event.how)

    def _on_refuted(self, event: LossRefuted) -> None:
        self._living(event.who, event.at).mark(event.at, "refuted", None, event.how)

    def _on_timer(self, event: TimerFired) -> None:
        if isinstance(event.who, bytes):
            self._living(event.who, event.at).mark(event.at, "timer", None, event.name)

    def _living(self, key: bytes, at: Micros) -> Track:
        """The track of a connection; what is said of one that is over (its RST, the ACK in TIME-WAIT) is its own."""
        return self.tracks.get(key) or self._track(key, at)
