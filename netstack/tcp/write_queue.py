"""Where what is queued for sending is cut into pieces, and which of them end with PSH (Linux's write queue of skbs).

A peer can tell: a piece that is complete is sent without Nagle's wait, ends with PSH when it was written to its end,
and is looked at by itself when the window or cwnd leaves less room than it needs. A piece holds up to half the peer's
largest window or 64 KiB, and a write that fills one sends of it what may leave before it goes on. The last piece,
which writes may still add to, is not kept here: it begins where `pieces` end, and `more` says that it has no PSH.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import TYPE_CHECKING

from netstack.units import Octets, Seq

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore

GSO_MAX: Octets = 65_536 - 320
"""What Linux puts into one super-segment at most, headers apart."""


class Piece:
    """Octets up to `end`, complete. `push`: the last one has PSH. `record`: MSG_EOR, it takes nothing from behind."""

    __slots__ = ("end", "push", "record", "uncut")

    def __init__(self, end: Seq, push: bool, uncut: Octets = 0) -> None:
        self.end = end
        self.push = push
        self.record = False
        self.uncut = uncut
        """So many octets of a write that are to be cut into pieces; what they join is part of this one meanwhile."""


def goal(mss: Octets, max_snd_wnd: Octets) -> Octets:
    """Octets of a full piece: whole segments, at most half the largest window a peer offered."""
    half = max_snd_wnd >> 1 if max_snd_wnd > 536 else max_snd_wnd
    most = min(GSO_MAX, max(half, 48)) if half else GSO_MAX
    return max(most // mss * mss, mss)


def add(conn: ConnectionCore, size: Octets, more: bool) -> None:
    """`size` octets are about to be queued, and are more than the last piece takes, or MSG_MORE is or was set."""
    buffer, pieces, full = conn.send_buffer, conn.pieces, conn.size_goal
    if pieces and pieces[-1].uncut:  # what was written before has had no turn to leave yet
        for _ in cut(conn):
            pass
    at = buffer.end
    last = pieces[-1].end if pieces else max(conn.tcb.snd_nxt, buffer.start)
    if at - last >= full:
        pieces.append(Piece(at, not conn.more))
        last = at
    if not conn.more:
        conn.pushed_to = at
    conn.hold = conn.more = more
    if last + full < at + size:
        pieces.append(Piece(at + size, False, size))
    elif at + size - conn.pushed_to > conn.tcb.max_snd_wnd >> 1:
        conn.more = False


def cut(conn: ConnectionCore) -> Iterator[tuple[Seq, bool]]:
    """Cut the last write, as Linux copies it: what yields is to be sent before it goes on. The rest is the open piece.

    Yields up to where, and whether only one piece: the first, which is then filled up again in place of what left.
    """
    pieces, tcb, full, half = conn.pieces, conn.tcb, conn.size_goal, conn.tcb.max_snd_wnd >> 1
    write = pieces.pop()
    base = pieces[-1].end if pieces else max(tcb.snd_nxt, conn.send_buffer.start)
    filled = write.end - write.uncut
    last: Piece | None = None
    while True:
        room = full - (filled - max(base, tcb.snd_nxt))
        if room <= 0:
            base, last = filled, None
            continue
        if filled + room >= write.end:
            break
        if last is None or tcb.snd_nxt >= last.end:
            last = Piece(filled + room, False)
            pieces.append(last)
        filled = last.end = filled + room
        if filled - conn.pushed_to > half:
            last.push, conn.pushed_to = True, filled
            yield filled, False
        elif pieces[0] is last:
            yield filled, True
    if pieces and pieces[-1] is last:
        del pieces[-1]  # it is open still
        conn.more &= not last.push
    conn.more &= write.end - conn.pushed_to <= half


def grow(conn: ConnectionCore, most: Seq) -> Seq:
    """The first piece takes from the one behind it, as far as `most`. Returns its end.

    Not from more than one: with less than a whole one left there the segments come out uneven, as Linux's do.
    """
    pieces = conn.pieces
    first = pieces[0]
    behind = pieces[1].end if len(pieces) > 1 else conn.send_buffer.end
    if behind > most:
        first.end = most
        return most
    if len(pieces) == 1:
        del pieces[0]  # the open piece begins here
        conn.more &= not first.push
    else:
        pieces[1].push |= first.push
        del pieces[0]
    return behind
