"""The variables of a connection in words, numbers relative to the handshake."""

from typing import Any

from netstack.events import SegmentReceived, SegmentSent, SegmentTaken, Variables
from netstack.seq import MASK
from netstack.tcp.congestion import INFINITE
from netstack.units import Seq
from netstack.wire.tcp import SYN

_MOST = 65_536


class Numbers:
    """Initial sequence numbers of connections, ours and the peer's, as the SYNs tell them."""

    __slots__ = ("_irs", "_iss")

    def __init__(self) -> None:
        self._iss: dict[Any, Seq] = {}
        self._irs: dict[Any, Seq] = {}

    def learn(self, event: Any) -> None:
        """Any event; only SYNs say something."""
        if isinstance(event, SegmentSent) and event.flags & SYN:
            _keep(self._iss, event.who, event.seq)
        elif isinstance(event, SegmentReceived) and event.flags & SYN and not event.before.state.synchronized:
            _keep(self._irs, event.who, event.seq)
        elif isinstance(event, SegmentTaken) and event.after.snd_nxt and not event.before.snd_nxt:
            _keep(self._iss, event.who, event.after.snd_una)  # a SYN was let in, and ours has not left yet

    def ours(self, who: Any, seq: Seq) -> int:
        """A sequence number of ours, from our SYN on; as on the wire when that was not seen."""
        return seq - self._iss[who] if who in self._iss else seq & MASK

    def theirs(self, who: Any, seq: Seq) -> int:
        """One of the peer's."""
        return seq - self._irs[who] if who in self._irs else seq & MASK


def _keep(numbers: dict[Any, Seq], who: Any, seq: Seq) -> None:
    if len(numbers) >= _MOST and who not in numbers:
        del numbers[next(iter(numbers))]
    numbers[who] = seq


def known(who: Any, before: Variables, after: Variables, numbers: Numbers) -> list[str]:
    """Two lines, with `old -> new` where they differ; none where there was and is no connection."""
    if not (after.snd_nxt or after.rcv_nxt):
        return []
    fresh = not (before.snd_nxt or before.rcv_nxt)  # there was none before

    def show(name: str, old: int, new: int) -> str:
        return f"{name} {new}" if fresh or old == new else f"{name} {old} -> {new}"

    ours, theirs = numbers.ours, numbers.theirs
    parts = [
        show("SND.UNA", ours(who, before.snd_una), ours(who, after.snd_una)),
        show("SND.NXT", ours(who, before.snd_nxt), ours(who, after.snd_nxt)),
        show("SND.WND", before.snd_wnd, after.snd_wnd),
    ]
    received = [
        show("RCV.NXT", theirs(who, before.rcv_nxt), theirs(who, after.rcv_nxt)),
        show("RCV.WND", before.rcv_wnd, after.rcv_wnd),
    ]
    lines = [f"{' '.join(parts)}, {' '.join(received)}"]
    if after.cwnd:
        ssthresh = "none yet" if after.ssthresh >= INFINITE else str(after.ssthresh)
        sender = [show("cwnd", before.cwnd, after.cwnd), f"ssthresh {ssthresh}"]
        sender += [show("in flight", before.in_flight, after.in_flight)]
        timing = f"SRTT {after.srtt} us, RTO {after.rto} us" if after.srtt else f"RTO {after.rto} us"
        queued = f"to send {after.send_queued}, to read {after.recv_queued}"
        lines.append(f"{' '.join(sender)}, {timing}, {queued}")
    return lines
