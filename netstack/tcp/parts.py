"""What a connection holds: its TCB, buffers, estimators and policies, and what it remembers between two segments."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING

from netstack.ip.path import Path
from netstack.tcp import modelled, opening, timer_kind, window
from netstack.tcp.acking import AckPolicy
from netstack.tcp.chrono import Chrono
from netstack.tcp.md5 import SignedPath
from netstack.tcp.memory import FREE
from netstack.tcp.mtu_probe import MtuProbe
from netstack.tcp.options import SocketOptions
from netstack.tcp.pace import Pace
from netstack.tcp.packets import Packets
from netstack.tcp.reassembly import ReceiveBuffer
from netstack.tcp.recovery import Recovery
from netstack.tcp.rto import RttEstimator
from netstack.tcp.send_buffer import SendBuffer
from netstack.tcp.state import State
from netstack.tcp.tcb import Tcb
from netstack.tcp.urgent import Urgent
from netstack.tcp.write_queue import Piece
from netstack.units import Micros, Octets, Seq

if TYPE_CHECKING:
    from netstack.tcp.demux import Tcp
    from netstack.tcp.ecn import Ecn
    from netstack.tcp.fast_open import FastOpen
    from netstack.tcp.listener import Listener
    from netstack.tcp.report import Shown

NEVER: Micros = 1 << 62


class Parts:
    """The parts of one connection.

    `observer`, when set, is called from `Tcp.transmit` with readiness bits (`readiness`) whenever something changed.
    """

    __slots__ = (
        "acking",
        "active",
        "bare_segs_in",
        "bare_segs_out",
        "charged",
        "chrono",
        "close_at",
        "data_segs_in",
        "data_segs_out",
        "duplicate",
        "ecn",
        "ecn_asked",
        "error",
        "established_at",
        "fast_open",
        "fin_queued",
        "fin_sent",
        "hold",
        "hold_freely",
        "keepalive_at",
        "keepalives_out",
        "key",
        "last_oow_ack_at",
        "last_received_at",
        "last_sent_at",
        "listener",
        "marked",
        "more",
        "mss_clamp",
        "mtu_probe",
        "no_memory",
        "observer",
        "opened_at",
        "options",
        "orphaned",
        "pace_at",
        "packets",
        "path",
        "path_mtu",
        "peer_fin_at",
        "pending",
        "pieces",
        "plain",
        "ports",
        "probe_backoff",
        "probes_out",
        "probes_since",
        "push_now",
        "pushed_to",
        "read_shut",
        "receive_buffer",
        "recovery",
        "reset_due",
        "rtt",
        "saved_syn",
        "send_buffer",
        "send_freely",
        "send_mss",
        "shown",
        "size_goal",
        "small_sent",
        "soft_error",
        "starved",
        "syn_due",
        "tcb",
        "tcp",
        "timer",
        "timer_at",
        "unpredicted_bare",
        "unpredicted_data",
        "urgent",
        "user_gone",
        "wake_at",
        "window",
        "wscale_seen",
    )

    def __init__(self, tcp: Tcp, key: bytes, path: Path, iss: Seq, options: SocketOptions) -> None:
        config = tcp.config
        self.tcp = tcp
        self.key = key
        """Remote address, local address, remote port, local port, as they arrive on the wire."""
        self.path: Path | SignedPath = path
        self.options = options
        if not options.mtu_discover:
            path.allow_fragments(True)
        self.ports = int.from_bytes(key[-2:] + key[-4:-2], "big")
        """Local and remote port as the first word of our headers."""
        rmss = opening.receive_mss(path, options, config)
        self.tcb = Tcb(iss, rmss, rmss)
        self.mss_clamp: Octets = rmss
        """What the peer's MSS option and TCP_MAXSEG leave, whatever the path takes."""
        self.path_mtu: Octets = path.mtu
        """The path's MTU when SND.MSS was last worked out: the path belongs to others too, who may learn more of it."""
        self.send_mss: Octets = rmss
        """`tcb.eff_snd_mss`, bounded by half the largest window a small peer ever offered."""
        self.send_buffer = SendBuffer(iss + 1)
        self.receive_buffer = ReceiveBuffer()
        self.packets = Packets(self.tcb, self.receive_buffer)
        shortest, longest = options.rto_min or config.rto_min, options.rto_max or config.rto_max
        self.rtt = RttEstimator(config.initial_rto, shortest, longest, config.min_rtt_wlen)
        cc = tcp.congestion(options)
        self.recovery = Recovery(self.tcb, cc, self.rtt, config, tcp.counters.mib)
        if options.paced:
            self.recovery.pace = Pace()
        if cc.is_model:
            modelled.choose(self.recovery, cc)
        offered = window.initial(config, options, rmss)
        self.window = window.ReceiveWindow(options, offered, tcp.memory)
        self.charged: Octets = 0
        """What `memory` has this connection down for, and up to where it may hold and queue octets without asking."""
        self.hold_freely: Octets = FREE
        self.send_freely: Octets = 0
        self.orphaned = False
        rcv_mss = min(config.default_mss, rmss)
        self.acking = AckPolicy(rcv_mss, rmss, self.window, self.packets, path.offload)
        self.no_memory = False
        """Text was dropped for want of memory: the next ACK offers nothing (Linux)."""
        self.chrono = Chrono()
        self.observer: Callable[[int], None] | None = None
        self.listener: Listener | None = None
        """Until accepted by the user, the listener that this connection belongs to."""
        self.error = 0
        self.soft_error = 0
        """errno of the last ICMP error that does not end a connection by itself (RFC 9293 3.9.2.2)."""
        self.pending = 0
        self.marked = False
        self.plain = False
        """Header prediction may be used: ESTABLISHED, no gap, nothing lost."""
        self.urgent: Urgent | None = None
        self.mtu_probe: MtuProbe | None = None
        self.user_gone = False
        self.read_shut = False
        """SHUT_RD: nobody will read. Once our FIN is out, what arrives is answered with a RST (RFC 1122 4.2.2.13)."""
        self.starved = False
        """The user was told that the send buffer is full, and waits for WRITABLE."""
        self.more = False
        """The last write had MSG_MORE: what it left has no PSH."""
        self.hold = False
        """... and no ACK has come since: a partial segment waits for more."""
        self.push_now = False
        """TCP_NODELAY was set, or TCP_CORK cleared with it on: whatever waits leaves."""
        self.pieces: list[Piece] = []
        """What is queued in complete pieces, `size_goal` octets each when they are full (see `write_queue`)."""
        self.size_goal: Octets = rmss
        self.pushed_to: Seq = iss
        """Up to where PSH has been set, while `more`."""
        self.fin_queued = False
        self.fin_sent = False
        self.peer_fin_at: Seq | None = None
        self.reset_due = False
        self.syn_due = False
        self.wscale_seen = False
        """The peer's SYN carried a window scale option, so ours may too (RFC 7323 2.2)."""
        self.duplicate: tuple[Seq, Seq] | None = None
        """What arrived twice and the next ACK reports (D-SACK)."""
        self.ecn: Ecn | None = None
        """ECN was negotiated."""
        self.ecn_asked = 0
        """The flags by which our SYN asked for ECN."""
        self.fast_open: FastOpen | None = None
        """Fast Open was asked for, by us or the peer."""
        self.opened_at: Micros = -1
        """When our first SYN or SYN-ACK left."""
        self.small_sent: Seq = iss
        self.active = False
        """We opened it (RFC 9293 3.10.1): our SYN counts among what was sent and acknowledged, as in Linux."""
        self.established_at: Micros = 0
        self.saved_syn = b""
        """TCP_SAVE_SYN: headers of IP and TCP, until somebody asks."""
        self.last_sent_at: Micros = -1
        self.last_received_at: Micros = 0
        self.last_oow_ack_at: Micros = -1
        self.timer = timer_kind.RETRANSMIT
        self.timer_at: Micros = 0
        self.keepalive_at: Micros = 0
        self.close_at: Micros = 0
        self.pace_at: Micros = 0
        """When pacing lets more leave, if something waits for that."""
        self.wake_at: Micros = NEVER
        self.probes_out = 0
        self.probe_backoff = 0
        self.probes_since: Micros = -1
        self.keepalives_out = 0
        self.bare_segs_in = self.data_segs_in = 0
        self.bare_segs_out = self.data_segs_out = 0
        self.unpredicted_bare = self.unpredicted_data = 0
        """Segments of this connection (RFC 4898 tcpEStatsPerfSegsIn and its like), super-segments as what they hold."""
        self.shown: Shown | None = None
        """What those who watch were told last."""

    # -- identity and state --------------------------------------------------------------------------------------------

    @property
    def state(self) -> State:
        """One of the eleven states."""
        return self.tcb.state

    @property
    def local(self) -> tuple[bytes, int]:
        """Our address and port."""
        return self.path.source, int.from_bytes(self.key[-2:], "big")

    @property
    def remote(self) -> tuple[bytes, int]:
        """The peer's address and port."""
        return self.path.destination, int.from_bytes(self.key[-4:-2], "big")
