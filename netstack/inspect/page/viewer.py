"""One browser's view: what it was told last, and the difference to now. Also which connection it has chosen."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from netstack.inspect.page.picture import Picture
from netstack.inspect.page.track import Track
from netstack.units import MILLISECOND, Micros

SEGMENTS, FIRST_SEGMENTS = 40, 160
"""Segments of the chosen connection in one message at most, and in the first one after the choice."""
RTTS = 60
MOVES = 60
FOLLOW: Micros = 1_500 * MILLISECOND
"""How long at least a connection is looked at that nobody chose."""


class Viewer:
    """Makes messages: dicts for JSON with only what is new."""

    def __init__(self, number: int) -> None:
        self.number = number
        self.chosen: str | None = None
        """The connection whose details are wanted; the viewer's choice, or else the newest (see `follow`)."""
        self._follows = True
        self._since: Micros = -FOLLOW
        self._rows: dict[str, dict[str, Any]] = {}
        self._layers: dict[str, Any] = {}
        self._others: dict[str, Any] = {}
        self._move: int | None = None
        self._track: int | None = None
        self._segment = self._mark = 0
        self._sample: Micros = -1

    def choose(self, who: str | None) -> None:
        """The connection whose details are wanted from now on; None: whichever is new."""
        self.chosen = who
        self._follows = who is None
        self._track = None

    def follow(self, picture: Picture) -> None:
        """Nobody has chosen, or what was chosen is forgotten: look at the newest of others', as long as it lives."""
        if not self._follows and self.chosen in picture.rows:
            return
        self._follows = True
        row = picture.rows.get(self.chosen or "", {})
        if row.get("kind") == "connection" or picture.now - self._since < FOLLOW:
            return
        newest = picture.newest()
        if newest is not None and newest != self.chosen:
            self.chosen, self._since, self._track = newest, picture.now, None

    def message(self, picture: Picture) -> dict[str, Any]:
        """What `picture` shows and this viewer does not know yet."""
        self.follow(picture)
        said: dict[str, Any] = {"now": picture.now}
        rows = {who: row for who, row in picture.rows.items() if who in picture.listed or who == self.chosen}
        changed = {who: difference(self._rows.get(who, {}), row) for who, row in rows.items()}
        said["rows"] = {who: row for who, row in changed.items() if row or who not in self._rows}
        said["gone"] = [who for who in self._rows if who not in rows]
        self._rows = rows
        layers = {f"{name}.{part}": value for name, layer in picture.layers.items() for part, value in layer.items()}
        said["layers"] = difference(self._layers, layers)
        self._layers = layers
        said |= difference(self._others, picture.others)
        self._others = picture.others
        said |= self._moves(picture)
        track = picture.recorder.named(self.chosen) if self.chosen else None
        if track is not None:
            said["chosen"] = self._details(track)
        return said

    def _moves(self, picture: Picture) -> dict[str, Any]:
        """Moves through the chart since the last message; too many of them are only counted."""
        made, before = picture.recorder.moves_made, self._move
        self._move = made
        if before is None or made == before:
            return {}
        moves = [move for move in picture.recorder.moves if move[0] > before]
        shown = [[*move[1:], picture.is_own(move[2])] for move in moves[-MOVES:]]
        return {"moves": shown, "unseen": made - before - len(shown)}

    def _details(self, track: Track) -> dict[str, Any]:
        """What is new of the chosen connection; all that is known of it when it was chosen just now."""
        said: dict[str, Any] = {"who": track.who}
        if self._track != track.number:
            self._track = track.number
            self._segment = self._mark = 0
            self._sample = -1
            said |= {"anew": True, "first_at": track.first_at}
        segments = track.segments_after(self._segment, SEGMENTS if self._segment else FIRST_SEGMENTS)
        marks = track.marks_after(self._mark)
        samples = track.samples_after(self._sample)
        if segments:
            self._segment = segments[-1][0]
        if marks:
            self._mark = marks[-1][0]
        rtts = track.rtts_after(self._sample, RTTS)
        if samples:
            self._sample = samples[-1][0]
        said |= {
            "segments": segments, "marks": marks, "rtts": rtts, "samples": samples, "moves": list(track.moves),
            "sent": track.sent, "received": track.received,
        }  # fmt: skip
        return said


def difference(before: Mapping[str, Any], after: Mapping[str, Any]) -> dict[str, Any]:
    """What `after` says otherwise than `before`; a name that it no longer has is null."""
    found = {name: value for name, value in after.items() if name not in before or before[name] != value}
    found.update((name, None) for name in before if name not in after)
    return found
