"""Where what is queued for sending is cut into pieces, and which of them end with PSH (Linux's write queue of skbs).

A peer can tell: a piece that is complete is sent without Nagle's wait, ends with PSH when it was written to its end,
and is looked at by itself when the window or cwnd leaves less room than it needs. A piece holds up to half the peer's
largest window or 64 KiB, and a write that fills one sends it before it goes on. The last piece, which writes may still
add to, is not kept here: it begins where `pieces` end, and `more` says that it has no PSH.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.units import Octets, Seq

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore

GSO_MAX: Octets = 65_536 - 320
"""What Linux puts into one super-segment at most, headers apart."""


class Piece:
    """Octets up to `end`, complete. `push`: the last one has PSH. `record`: MSG_EOR, it takes nothing from behind."""

    __slots__ = ("due", "end", "push", "record")

    def __init__(self, end: Seq, push: bool, due: int = 0) -> None:
        self.end = end
        self.push = push
        self.due = due
        self.record = False
        """What the write that filled it does before it goes on: 0 nothing, HEAD or ALL."""


HEAD, ALL = 1, 2
"""Send this piece if it is the first one queued; send everything up to here, small or not."""


def goal(mss: Octets, max_snd_wnd: Octets) -> Octets:
    """Octets of a full piece: whole segments, at most half the largest window a peer offered."""
    half = max_snd_wnd >> 1 if max_snd_wnd > 536 else max_snd_wnd
    most = min(GSO_MAX, max(half, 48)) if half else GSO_MAX
    return max(most // mss * mss, mss)


def add(conn: ConnectionCore, size: Octets, more: bool) -> None:
    """`size` octets are about to be queued, and are more than the last piece takes, or MSG_MORE is or was set."""
    buffer, pieces, full = conn.send_buffer, conn.pieces, conn.size_goal
    at = buffer.end
    end = at + size
    last = pieces[-1].end if pieces else max(conn.tcb.snd_nxt, buffer.start)
    if at - last >= full:
        pieces.append(Piece(at, not conn.more))
        last = at
    pushed = conn.pushed_to if conn.more else at
    half = conn.tcb.max_snd_wnd >> 1
    while last + full < end:
        last += full
        push = last - pushed > half
        pieces.append(Piece(last, push, ALL if push else HEAD))
        if push:
            pushed = last
    conn.pushed_to = pushed
    conn.hold = more
    conn.more = more and end - pushed <= half


def grow(pieces: list[Piece], end: Seq, most: Seq) -> Seq:
    """The first piece takes from the one behind it, as far as `most`; `end`: of the last, open piece. Returns its end.

    Not from more than one: with less than a whole one left there the segments come out uneven, as Linux's do.
    """
    first = pieces[0]
    behind = pieces[1].end if len(pieces) > 1 else end
    if behind > most:
        first.end = most
        return most
    if len(pieces) == 1:
        del pieces[0]  # the open piece begins here
    else:
        pieces[1].push |= first.push
        del pieces[0]
    return behind
