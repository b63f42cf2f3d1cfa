"""What is observed while an experiment runs: always a few figures per ACK, and on request all that a plot shows.

Nothing here is hooked into the stack: a connection's variables are looked at after its host's turn.
"""

from array import array
from collections.abc import Sequence

from netstack.lab.burst import Burst
from netstack.seq import unwrap
from netstack.tcp.connection import Connection
from netstack.units import Micros, Octets

CAPACITY = 4_096
"""Points kept of a series. When there are more, every second one goes, and from then on fewer are taken."""
MAX_MARKS = 20_000
"""Single happenings kept of a kind (retransmissions, drops): the first ones."""


class Series:
    """Samples over time, `rows` of (time, *values): evenly thinned out as they become too many."""

    __slots__ = ("_next", "_step", "names", "rows")

    def __init__(self, *names: str) -> None:
        self.names = ("time", *names)
        self.rows: list[tuple[int, ...]] = []
        self._next: Micros = 0
        self._step: Micros = 0

    def add(self, now: Micros, *values: int) -> None:
        """One more, unless the last was taken a short while ago."""
        if now < self._next:
            return
        rows = self.rows
        rows.append((now, *values))
        if len(rows) >= CAPACITY:
            self._step = max(2 * self._step, 2 * (now - rows[0][0]) // CAPACITY, 1)
            del rows[1::2]
        self._next = now + self._step


class Recording:
    """One flow, for plots: `cwnd` ... in segments, times in microseconds, sequence numbers from 0."""

    __slots__ = ("acks", "drops", "retransmissions", "rtts", "sent", "state")

    def __init__(self) -> None:
        self.state = Series("cwnd", "ssthresh", "flight", "srtt", "snd_wnd")
        """ssthresh -1: none yet; flight: octets outstanding; snd_wnd: the peer's window in octets."""
        self.rtts = Series("rtt")
        self.sent = Series("seq", "end")
        """New data."""
        self.acks = Series("una", "edge")
        """SND.UNA, and the right edge of the peer's window."""
        self.retransmissions: list[tuple[Micros, int, int]] = []
        self.drops: list[tuple[Micros, int]] = []
        """(time, sequence number) of packets that the path dropped."""


class Watch:
    """The bottleneck, for plots: what it dropped goes to the flow's recording."""

    __slots__ = ("_meters", "queue")

    def __init__(self, meters: Sequence["Meter"]) -> None:
        self._meters = meters
        self.queue = Series("octets")

    def on_queue(self, backlog: Octets, now: Micros) -> None:
        """So much waits."""
        self.queue.add(now, backlog)

    def on_drop(self, burst: Burst, index: int, now: Micros) -> None:
        """A packet is gone."""
        meter = self._meters[burst.flow]
        recording = meter.recording
        if recording is not None and burst.length and len(recording.drops) < MAX_MARKS:
            recording.drops.append((now, meter.relative(burst.seq) + index * burst.gso))


LIMITS = ("cwnd", "receiver", "sender", "pacing")
"""What holds a sender back: its congestion window, the peer's window, or having nothing (or no buffer) to send."""


class Meter:
    """One sender: RTT samples, the mean window, and what limited it for how long."""

    __slots__ = (
        "_cwnd_time", "_highest", "_limit", "_rack_seen", "_since", "_warm", "conn", "limited", "recording", "rtts",
    )  # fmt: skip

    def __init__(self, warmup: Micros, record: bool) -> None:
        self.conn: Connection | None = None
        self.rtts = array("L")
        """For each ACK that delivered something: microseconds since the newest of it was sent (RACK.rtt, RFC 8985)."""
        self.limited = dict.fromkeys(LIMITS, 0)
        """Microseconds in each limit, after the warm-up."""
        self.recording = Recording() if record else None
        self._warm = warmup
        self._since: Micros = warmup
        self._cwnd_time = 0
        self._limit = "cwnd"
        self._rack_seen = (-1, 0)  # as before anything was delivered
        self._highest = 0

    def on_ack(self, now: Micros) -> None:
        """Frames arrived: was something delivered?"""
        conn = self.conn
        if conn is None:
            return
        if now > self._since:
            self._account(conn, now)
        rack = conn.recovery.rack
        seen = (rack.xmit_at, rack.end_seq)
        if seen != self._rack_seen:
            self._rack_seen = seen
            self.rtts.append(rack.rtt)
            if self.recording is not None:
                self.recording.rtts.add(now, rack.rtt)

    def on_sent(self, now: Micros) -> None:
        """The sender has sent what it may: why not more?"""
        conn = self.conn
        if conn is None:
            return
        if now > self._since:
            self._account(conn, now)
        tcb, recovery = conn.tcb, conn.recovery
        mss, room = conn.send_mss, tcb.snd_una + tcb.snd_wnd - tcb.snd_nxt
        if conn.send_buffer.end - tcb.snd_nxt < mss:
            self._limit = "sender"
        elif conn.pace_at:
            self._limit = "pacing"
        elif room < mss or room < (recovery.cc.cwnd - recovery.scoreboard.in_flight()) * mss:
            self._limit = "receiver"
        else:
            self._limit = "cwnd"
        if self.recording is not None:
            self._record(self.recording, conn, now)

    def _account(self, conn: Connection, now: Micros) -> None:
        elapsed = now - self._since
        self._since = now
        self.limited[self._limit] += elapsed
        self._cwnd_time += elapsed * conn.recovery.cc.cwnd

    def _record(self, recording: Recording, conn: Connection, now: Micros) -> None:
        tcb, cc = conn.tcb, conn.recovery.cc
        ssthresh = cc.ssthresh if cc.ssthresh < 1 << 30 else -1
        flight = tcb.snd_nxt - tcb.snd_una
        recording.state.add(now, cc.cwnd, ssthresh, flight, conn.rtt.srtt, tcb.snd_wnd)
        una = tcb.snd_una - tcb.iss - 1
        recording.acks.add(now, una, una + tcb.snd_wnd)

    def on_burst(self, burst: Burst, now: Micros) -> None:
        """The sender's host sends `burst`."""
        recording = self.recording
        if recording is None or not burst.length:
            return
        seq = self.relative(burst.seq)
        end = seq + burst.length
        if seq >= self._highest:
            self._highest = end
            recording.sent.add(now, seq, end)
        elif len(recording.retransmissions) < MAX_MARKS:
            recording.retransmissions.append((now, seq, end))

    def relative(self, wire_seq: int) -> int:
        """Offset in the stream of a sequence number as on the wire."""
        if self.conn is None:
            return 0
        tcb = self.conn.tcb
        return unwrap(wire_seq, tcb.snd_una) - tcb.iss - 1

    def mean_cwnd(self, until: Micros) -> float:
        """The window averaged over time, in segments, from the end of the warm-up."""
        if self.conn is not None and until > self._since:
            self._account(self.conn, until)
        elapsed = self._since - self._warm
        return self._cwnd_time / elapsed if elapsed > 0 else 0.0
