"""What the flags of SYN and SYN-ACK agree on: ECN (RFC 3168 6.1.1), accurate ECN (RFC 9768 3.1) or neither."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.ip.ecn import NOT_ECT
from netstack.tcp.accecn import ACE_FAIL_RECV, HANDSHAKE, SAID, AccEcn
from netstack.tcp.ecn import Ecn
from netstack.tcp.md5 import signature_room
from netstack.wire.tcp import AE, CWR, ECE

if TYPE_CHECKING:
    from netstack.config import TcpConfig
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.segment import Arrival

OFF, ECN, PASSIVE_ECN, ACCURATE, PASSIVE_ACCURATE_ECN, PASSIVE_ACCURATE = range(6)
"""tcp_ecn: never; ask for ECN and agree to it; agree only (Linux's default); ask for accurate ECN and agree to it;
agree to that but ask for ECN; agree to it only."""
_CLASSIC = CWR | ECE
_ALL = AE | CWR | ECE
_GAVE_UP = 1
"""In `Connection.ecn_asked`: the last of our SYNs did not ask any more."""


def ask(conn: ConnectionCore, times: int) -> int:
    """The flags of our SYN, sent so often before. What is not answered may have been dropped for them.

    RFC 3168 6.1.1.1: once, then without. RFC 9768 3.1.4.1: twice, then without.
    """
    config = conn.tcp.config
    wanted = _ALL if config.ecn == ACCURATE else _CLASSIC if config.ecn in (ECN, PASSIVE_ACCURATE_ECN) else 0
    if not wanted or (config.ecn_fallback and times > (wanted == _ALL)):
        conn.ecn_asked |= _GAVE_UP if conn.ecn_asked else 0
        return 0
    conn.ecn_asked = wanted
    return wanted


def on_syn(conn: ConnectionCore, seg: Arrival) -> None:
    """The peer's SYN reached a listener, or crossed ours: then only what we asked for can be agreed on."""
    found = answer(conn.tcp.config, seg)
    if conn.active and (not conn.ecn_asked or (found == _ALL and conn.ecn_asked & _ALL != _ALL)):
        return
    if found:
        _begin(conn, found, seg.ecn)


def answer(config: TcpConfig, seg: Arrival) -> int:
    """What this SYN asks for and we are willing to do, as the flags that ask for it.

    RFC 9768 3.1.3: whatever flags there are, if not none or both of RFC 3168's, ask for accurate ECN. An ECN-setup SYN
    that is itself ECN-capable asks in vain, as RFC 3168 6.1.1 forbids that: something on its way sets bits of its own.
    """
    flags = seg.flags & _ALL
    if config.ecn >= ACCURATE and flags not in (0, _CLASSIC):
        return _ALL
    plain = seg.ecn == NOT_ECT or flags & AE
    return _CLASSIC if config.ecn != OFF and flags & _CLASSIC == _CLASSIC and plain else 0


def on_syn_ack(conn: ConnectionCore, seg: Arrival) -> None:
    """The answer to our SYN (RFC 9768 Table 2): the highest that both can do; all flags or none mean nothing.

    What is reserved (AE and ECE) means accurate ECN too (3.1.3). Deviation: Linux takes it for RFC 3168's.
    """
    flags, asked = seg.flags & _ALL, conn.ecn_asked & _ALL
    if flags == ECE and asked:
        _begin(conn, _CLASSIC, seg.ecn)
    elif asked == _ALL and flags not in (0, ECE, _ALL):
        _begin(conn, _ALL, seg.ecn)
        assert isinstance(conn.ecn, AccEcn)
        conn.ecn.on_syn_ack(conn, seg, SAID.get(flags >> 6))
        if conn.ecn_asked & _GAVE_UP:
            conn.ecn.fail_mode |= ACE_FAIL_RECV  # 3.1.5: one of our SYNs did not ask


def _begin(conn: ConnectionCore, agreed: int, codepoint: int) -> None:
    """Both sides agreed; the peer's SYN or SYN-ACK came with `codepoint`."""
    tcb, snd_nxt = conn.tcb, conn.tcb.iss + 1
    conn.ecn = AccEcn(snd_nxt, codepoint) if agreed == _ALL else Ecn(snd_nxt)
    tcb.eff_snd_mss -= conn.ecn.option_len(conn)
    conn.send_mss = conn.recovery.scoreboard.mss = tcb.eff_snd_mss - signature_room(conn.path)
    conn.tcp.make_ecn_capable(conn)


# -- SYN cookies -----------------------------------------------------------------------------------------------------


def cookie_flags(agreed: int, codepoint: int) -> int:
    """The flags of a SYN-ACK that nobody will remember."""
    return HANDSHAKE[codepoint] << 6 if agreed == _ALL else ECE if agreed else 0


def from_cookie(conn: ConnectionCore, seg: Arrival) -> None:
    """A cookie says that something was agreed on; an ACE of 2 to 7 that it was accurate ECN (RFC 9768 5.1)."""
    config = conn.tcp.config
    if config.ecn != OFF:
        _begin(conn, _ALL if config.ecn >= ACCURATE and seg.flags & (AE | CWR) else _CLASSIC, NOT_ECT)
