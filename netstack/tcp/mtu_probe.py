"""Finding the path MTU where routers swallow ICMP: packetization-layer path MTU discovery (RFC 4821), as Linux does it.

With tcp_mtu_probing 2 a connection begins with small segments and searches upward: one segment in the stream is larger
than the others, and if it arrives, so will others of its size. With 1 the search begins only when retransmissions go
unanswered as if a router dropped what is too large for the next link: then smaller ones are tried.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.tcp import why
from netstack.tcp.emit import sack_room, send_range
from netstack.tcp.reduction import OPEN
from netstack.tcp.scoreboard import Sent
from netstack.units import Micros, Octets, Seq
from netstack.wire.tcp import ACK, PSH

if TYPE_CHECKING:
    from netstack.config import TcpConfig
    from netstack.tcp.congestion import CongestionControl
    from netstack.tcp.core import ConnectionCore

_HEADERS: Octets = 40
_MIN_MSS: Octets = 48
"""Linux's tcp_min_snd_mss."""
_LEAST_CWND = 11
WAIT, GO_ON, SENT = range(3)


class MtuProbe:
    """The search of one connection. Sizes are MTUs: with the headers of IP and TCP, timestamps included."""

    __slots__ = ("enabled", "end", "found", "high", "low", "options", "since", "size", "start")

    def __init__(self, config: TcpConfig, mss_clamp: Octets, options: Octets, now: Micros) -> None:
        self.enabled = config.mtu_probing > 1
        self.options: Octets = options
        """Octets of options on every segment."""
        self.high: Octets = mss_clamp + _HEADERS
        """What the path may take."""
        self.low: Octets = config.base_mss + _HEADERS + options
        """What it surely takes."""
        self.since: Micros = now
        self.size: Octets = 0
        """The probe that is out; 0: none."""
        self.found = False
        """It arrived, and segments have not become larger yet."""
        self.start: Seq = 0
        self.end: Seq = 0

    def mss(self, mtu: Octets) -> Octets:
        """The text of a segment that fills `mtu`."""
        return max(mtu - _HEADERS - self.options, _MIN_MSS)

    def on_acked(self, una: Seq, mss: Octets, cc: CongestionControl) -> None:
        """SND.UNA advances: did the probe arrive? Then segments may be so large, and as many octets be out as now."""
        if self.size and una >= self.end:
            cc.cwnd = max(1, cc.cwnd * (mss + _HEADERS + self.options) // self.size)
            self.low, self.size = self.size, 0
            self.found = True

    def failed(self) -> None:
        """The probe was lost: so large a segment does not arrive (RFC 4821 7.6.2)."""
        self.high = self.size - 1
        self.size = 0


def on_open(conn: ConnectionCore, now: Micros) -> None:
    """ESTABLISHED. Who opened actively is small from the first segment on; who did not, from the next time that the
    segment size is worked out (Linux)."""
    config, tcb = conn.tcp.config, conn.tcb
    if conn.active:
        stamps = 12 if config.timestamps else 0  # what our SYN offered
        conn.mtu_probe = MtuProbe(config, conn.mss_clamp, stamps, now)
        conn.mtu_probe.options = 12 if tcb.ts_ok else 0
        conn.sync_mss()
    conn.mtu_probe = conn.recovery.mtu_probe = MtuProbe(config, conn.mss_clamp, 12 if tcb.ts_ok else 0, now)


def black_hole(conn: ConnectionCore, probe: MtuProbe, now: Micros) -> None:
    """Retransmissions go unanswered (RFC 4821 7.7): begin to search, or search lower."""
    config = conn.tcp.config
    if not probe.enabled:
        probe.enabled = True
        probe.since = now
    else:
        mss = min(config.base_mss, probe.mss(probe.low) >> 1)
        probe.low = max(mss, config.mtu_probe_floor, _MIN_MSS) + _HEADERS + probe.options
    conn.sync_mss()


def attempt(conn: ConnectionCore, probe: MtuProbe, now: Micros) -> int:
    """Send a probe if now is the time for one (RFC 4821 7.3). WAIT: send nothing else, so that there soon is."""
    recovery, tcb, config, mss = conn.recovery, conn.tcb, conn.tcp.config, conn.send_mss
    cc, board = recovery.cc, recovery.scoreboard
    if not probe.enabled or probe.size or recovery.ca_state != OPEN or cc.cwnd < _LEAST_CWND or sack_room(conn):
        return GO_ON
    size = probe.mss((probe.high + probe.low) >> 1)
    needed = size + (recovery.rack.reordering + 1) * mss
    if size > probe.mss(probe.high) or probe.high - probe.low < config.probe_threshold:
        if now - probe.since >= config.probe_interval:
            probe.high, probe.low, probe.since = conn.mss_clamp + _HEADERS, mss + _HEADERS + probe.options, now
        return GO_ON
    if conn.send_buffer.end - tcb.snd_nxt < needed or tcb.snd_wnd < needed:
        return GO_ON
    if tcb.snd_nxt + needed > tcb.snd_una + tcb.snd_wnd:
        return WAIT
    in_flight = board.in_flight()
    if in_flight + 2 > cc.cwnd:
        return WAIT if in_flight else GO_ON
    _send(conn, probe, size, now)
    return SENT


def _send(conn: ConnectionCore, probe: MtuProbe, size: Octets, now: Micros) -> None:
    recovery, tcb, pieces = conn.recovery, conn.tcb, conn.pieces
    record = Sent(tcb.snd_nxt, tcb.snd_nxt + size, 1, now)
    while pieces and pieces[0].end <= record.end:
        record.push |= pieces.pop(0).push
    recovery.rate.stamp(record, recovery.delivered, not recovery.scoreboard.records, now)
    recovery.scoreboard.records.append(record)
    recovery.scoreboard.packets_out += 1
    tcb.snd_nxt = record.end
    recovery.cc.cwnd -= 1  # it is two segments' worth
    probe.size, probe.start, probe.end = size + _HEADERS + probe.options, record.seq, record.end
    conn.plain = False
    conn.last_sent_at = now
    conn.tcp.counters.mib["TcpExtTCPMTUPProbe"] += 1
    send_range(conn, record.seq, size, ACK | PSH if record.push else ACK, size, now, why.MTU_PROBE)


def inconclusive(conn: ConnectionCore, probe: MtuProbe) -> None:
    """Something is sent again while the probe is out: what becomes of it tells nothing (RFC 4821 7.6.4)."""
    probe.size = 0
    board = conn.recovery.scoreboard
    for record in board.records:
        if record.seq <= probe.start < record.end:
            board.recount(record, conn.send_mss)
