"""The transmission control block: the RFC's variables (RFC 9293 3.3.1), nothing but data and the invariants.

Sequence numbers are unwrapped (see `seq`): they only grow, and the RFC's inequalities are Python's. Windows and
sizes are octets after scaling; times are microseconds.
"""

from netstack.tcp.state import CLOSED, State
from netstack.units import Micros, Octets, Seq


class Tcb:
    """The variables of one connection. Who may change what: `arrive` the receive side and SND.UNA, `output` SND.NXT."""

    __slots__ = (
        "eff_snd_mss",
        "irs",
        "iss",
        "max_snd_wnd",
        "rcv_nxt",
        "rcv_up",
        "rcv_wnd",
        "rcv_wscale",
        "rcv_wup",
        "rmss",
        "sack_ok",
        "smss",
        "snd_nxt",
        "snd_una",
        "snd_up",
        "snd_wl1",
        "snd_wnd",
        "snd_wscale",
        "state",
        "ts_offset",
        "ts_ok",
        "ts_recent",
        "ts_recent_at",
    )

    def __init__(self, iss: Seq, smss: Octets, rmss: Octets) -> None:
        self.state: State = CLOSED
        # Send side, 3.3.1 Table 2. SND.NXT never moves back: what is lost is marked so on the scoreboard.
        self.iss: Seq = iss
        self.snd_una: Seq = iss
        self.snd_nxt: Seq = iss
        self.snd_wnd: Octets = 0
        self.max_snd_wnd: Octets = 0
        """The largest window the peer ever offered: RFC 5961 5.2 and the sender's silly-window test need it."""
        self.snd_wl1: Seq = 0
        """SND.WL1. SND.WL2 is not kept: an update needs SEG.ACK >= SND.UNA anyway, so comparing with it suffices."""
        self.snd_up: Seq = iss
        # Receive side, 3.3.1 Table 3.
        self.irs: Seq = 0
        self.rcv_nxt: Seq = 0
        self.rcv_wnd: Octets = 0
        """The window as last offered, counted from `rcv_wup`; what remains of it is `rcv_wup + rcv_wnd - rcv_nxt`."""
        self.rcv_wup: Seq = 0
        """RCV.NXT when we last sent an ACK: Last.ACK.sent of RFC 7323 4.3."""
        self.rcv_up: Seq = 0
        # Negotiated (3.7.1, RFC 7323, RFC 2018).
        self.smss: Octets = smss
        """The largest segment, options excluded, that peer and path take."""
        self.eff_snd_mss: Octets = smss
        """Eff.snd.MSS: `smss` less the options on every segment (timestamps: 12 octets)."""
        self.rmss: Octets = rmss
        """What we told the peer."""
        self.snd_wscale = 0
        self.rcv_wscale = 0
        self.sack_ok = False
        self.ts_ok = False
        self.ts_offset = 0
        """Added to the millisecond clock to make TSval, so that it tells nobody our uptime (RFC 7323 7.1)."""
        self.ts_recent = 0
        self.ts_recent_at: Micros = 0

    def check(self) -> None:
        """Assert what must always hold. Called by tests after every step; a failure is a bug, never a peer's doing."""
        assert self.iss <= self.snd_una <= self.snd_nxt, (self.iss, self.snd_una, self.snd_nxt)
        assert self.snd_wnd >= 0
        assert self.max_snd_wnd >= 0
        assert 0 <= self.snd_wscale <= 14
        assert 0 <= self.rcv_wscale <= 14
        assert 0 < self.eff_snd_mss <= self.smss
        if self.state.synchronized:
            assert self.irs < self.rcv_nxt
            assert self.rcv_wup <= self.rcv_nxt
            assert self.snd_una > self.iss or self.state is CLOSED
            fin = 0 if self.state.can_receive else 1  # a FIN is taken even by a closed window
            edge = max(self.rcv_wup + self.rcv_wnd, self.irs + 1) + 0xFFFF  # one segment may go beyond it
            assert edge + fin >= self.rcv_nxt, "accepted more than was offered"
