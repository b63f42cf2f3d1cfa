"""The error queue of one connection: when octets left and were acknowledged (SO_TIMESTAMPING), and when the stack let
go of the caller's memory (MSG_ZEROCOPY).

Nothing of this is kept by the stack. It follows from SND.UNA and SND.NXT, at which is looked after every turn.
"""

import errno
from collections import deque
from dataclasses import dataclass

from netstack.drill.constants import NUMBERS
from netstack.drill.messages import EXTENDED_ERROR, RECVERR, THREE_TIMES, TIMESTAMPING, Control, Received
from netstack.drill.outcome import Unsupported
from netstack.tcp.connection import Connection
from netstack.units import Micros, Octets

TX_SOFTWARE, RX_SOFTWARE, REPORT = (
    NUMBERS[f"SOF_TIMESTAMPING_{name}"] for name in ("TX_SOFTWARE", "RX_SOFTWARE", "SOFTWARE")
)
TX_SCHED, TX_ACK = NUMBERS["SOF_TIMESTAMPING_TX_SCHED"], NUMBERS["SOF_TIMESTAMPING_TX_ACK"]
OPT_ID, OPT_ID_TCP = NUMBERS["SOF_TIMESTAMPING_OPT_ID"], NUMBERS["SOF_TIMESTAMPING_OPT_ID_TCP"]
OPT_TSONLY, OPT_STATS = NUMBERS["SOF_TIMESTAMPING_OPT_TSONLY"], NUMBERS["SOF_TIMESTAMPING_OPT_STATS"]
TX = TX_SOFTWARE | TX_SCHED | TX_ACK
MSG_TRUNC, MSG_CTRUNC, MSG_ERRQUEUE = NUMBERS["MSG_TRUNC"], NUMBERS["MSG_CTRUNC"], NUMBERS["MSG_ERRQUEUE"]
_ENOMSG = errno.ENOMSG
_STAMPS, _ZEROCOPY = NUMBERS["SO_EE_ORIGIN_TIMESTAMPING"], NUMBERS["SO_EE_ORIGIN_ZEROCOPY"]
_COPIED = NUMBERS["SO_EE_CODE_ZEROCOPY_COPIED"]
_LEVEL, _TYPE = min(RECVERR)
_NO_OFFENDER = bytes(16)


@dataclass(slots=True)
class _Stamped:
    """A call whose last octet is followed on its way."""

    end: int
    flags: int
    key: int
    size: Octets
    left: bool = False


@dataclass(slots=True)
class Entry:
    """One message of the queue."""

    control: list[Control]
    payload: Octets = 0
    copied: tuple[int, int] | None = None
    """First and last number of the calls whose memory is the caller's again."""


class ErrorQueue:
    """What waits to be read with MSG_ERRQUEUE."""

    def __init__(self) -> None:
        self.entries: deque[Entry] = deque()
        self.zerocopy = False
        self.stamping = 0
        """Flags of SO_TIMESTAMPING."""
        self._origin = 0
        self._calls = 0
        self._copying: deque[tuple[int, int]] = deque()
        self._stamped: deque[_Stamped] = deque()

    def set_stamping(self, flags: int, conn: Connection | None) -> None:
        """SO_TIMESTAMPING: with OPT_ID octets are numbered from here on."""
        if flags & OPT_STATS:
            raise Unsupported("SOF_TIMESTAMPING_OPT_STATS")
        if flags & OPT_ID and not self.stamping & OPT_ID and conn is not None:
            self._origin = conn.send_buffer.end if flags & OPT_ID_TCP else conn.send_buffer.start
        self.stamping = flags

    def sent(self, conn: Connection, octets: Octets, copies: bool, stamping: int) -> None:
        """A call queued `octets` at the end of the send buffer; `copies`: with MSG_ZEROCOPY."""
        end = conn.send_buffer.end
        if copies and self.zerocopy:
            self._copying.append((end, self._calls))
            self._calls += 1
        if not stamping & TX:
            return
        if self._stamped and self._stamped[-1].end == end - octets > conn.tcb.snd_nxt:
            self._stamped.pop()  # joined with what still waits, of which only the last octet is followed (Linux)
        key = (end - 1 - self._origin) & 0xFFFF_FFFF if self.stamping & OPT_ID else 0
        self._stamped.append(_Stamped(end, stamping, key, octets))

    def look(self, conn: Connection, now: Micros) -> None:
        """After a turn: what left, what was acknowledged?"""
        una, nxt = conn.send_buffer.start, conn.tcb.snd_nxt
        for one in self._stamped:
            if not one.left and nxt >= one.end:
                one.left = True
                for flag, kind in ((TX_SCHED, 1), (TX_SOFTWARE, 0)):
                    if one.flags & flag:
                        self._stamp(one, kind, now)
        while self._stamped and una >= self._stamped[0].end:
            one = self._stamped.popleft()
            if one.flags & TX_ACK:
                self._stamp(one, 2, now)
        while self._copying and una >= self._copying[0][0]:
            self._copied(self._copying.popleft()[1])

    def _stamp(self, one: _Stamped, kind: int, now: Micros) -> None:
        times = THREE_TIMES.pack(now // 1_000_000, now % 1_000_000 * 1_000, 0, 0, 0, 0)
        error = EXTENDED_ERROR.pack(_ENOMSG, _STAMPS, 0, 0, 0, kind, one.key)
        control = [(*TIMESTAMPING, times), (_LEVEL, _TYPE, error + _NO_OFFENDER)]
        self.entries.append(Entry(control, 0 if self.stamping & OPT_TSONLY else one.size))

    def _copied(self, number: int) -> None:
        last = self.entries[-1] if self.entries else None
        if last is not None and last.copied is not None and last.copied[1] + 1 == number:
            last.copied = last.copied[0], number
        else:
            last = Entry([], 0, (number, number))
            self.entries.append(last)
        error = EXTENDED_ERROR.pack(0, _ZEROCOPY, 0, _COPIED, 0, *(last.copied or (0, 0)))
        last.control = [(_LEVEL, _TYPE, error + _NO_OFFENDER)]

    def take(self, octets: Octets, room: Octets) -> Received | None:
        """The first message; None when there is none."""
        if not self.entries:
            return None
        entry = self.entries.popleft()
        length = min(octets, entry.payload)
        flags = MSG_ERRQUEUE | (MSG_TRUNC if length < entry.payload else 0) | (0 if room else MSG_CTRUNC)
        return Received(length, bytes(length), tuple(entry.control) if room else (), flags)
