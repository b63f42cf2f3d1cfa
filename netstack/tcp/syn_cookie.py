"""SYN cookies (RFC 4987 3.6): when the SYN queue is full, the SYN-ACK itself carries what a queue would have held.

The initial sequence number is a keyed hash over the four-tuple, plus the peer's number, plus a counter of minutes in
the top eight bits; into the rest goes, under a second hash, which of four segment sizes the peer's fits. Window scale,
SACK and ECN travel in the low six bits of the timestamp that the peer echoes; without timestamps they are lost. No
state is kept: an ACK whose number fits a cookie of the last two minutes opens the connection.
"""

from __future__ import annotations

from struct import Struct
from typing import TYPE_CHECKING

from netstack.seq import MASK
from netstack.tcp import ecn_setup, opening, why, window
from netstack.tcp.arrive import take_steps
from netstack.tcp.segment import Arrival
from netstack.tcp.state import LISTEN
from netstack.units import MINUTE, Micros, Octets
from netstack.wire.tcp import ACK, SYN
from netstack.wire.tcp_options import TIMESTAMP_LEN, Options, build_syn

if TYPE_CHECKING:
    from netstack.tcp.listener import Listener

PERIOD: Micros = MINUTE
"""How often the counter moves on (Linux; RFC 4987 3.6 has 64 s)."""
LIFETIME = 2
"""Periods for which a cookie is good."""
SIZES: tuple[Octets, ...] = (536, 1300, 1440, 1460)
"""The segment sizes a cookie can say (Linux's table for IPv4): the largest that is not above the peer's."""
_LOW = 0xFF_FFFF
_NO_WSCALE, _SACK, _ECN, _OPTION_BITS = 0xF, 0x10, 0x20, 6
_PLAIN = Struct("!IIIHHHH")


def build(listener: Listener, key: bytes, irs: int, mss: Octets, now: Micros) -> int:
    """The initial sequence number that says all this."""
    secret = listener.tcp.cookie_secret
    size = max((i for i, size in enumerate(SIZES) if size <= mss), default=0)
    count = now // PERIOD
    low = (secret.number(b"low", key, count) + size) & _LOW
    return (secret.number(b"all", key, 0) + irs + (count << 24) + low) & MASK


def check(listener: Listener, key: bytes, irs: int, cookie: int, now: Micros) -> Octets | None:
    """The segment size in `cookie`; None when it is none of ours, or too old."""
    secret = listener.tcp.cookie_secret
    inner = (cookie - secret.number(b"all", key, 0) - irs) & MASK
    age = (now // PERIOD - (inner >> 24)) & 0xFF
    if age >= LIFETIME:
        return None
    size = (inner - secret.number(b"low", key, now // PERIOD - age)) & _LOW
    return SIZES[size] if size < len(SIZES) else None


def answer(listener: Listener, seg: Arrival, key: bytes, pair: bytes, now: Micros) -> None:
    """A SYN that finds the queue full: a SYN-ACK with a cookie, sent once, and forgotten."""
    tcp, options = listener.tcp, listener.options
    path = tcp.way_back(pair, now)
    if path is None:
        return
    config, theirs = tcp.config, seg.options
    shift, sack, stamps, flags = None, False, None, SYN | ACK
    if config.timestamps and theirs.ts_val is not None:
        sack = config.sack and theirs.sack_permitted
        if config.window_scaling and theirs.wscale is not None:
            shift = window.scale_for(config, options)
        bits = _NO_WSCALE if shift is None or theirs.wscale is None else theirs.wscale
        bits |= _SACK if sack else 0
        agreed = ecn_setup.answer(config, seg)
        if agreed:
            bits |= _ECN
            flags |= ecn_setup.cookie_flags(agreed, seg.ecn)
        stamp = _with_low_bits(now // 1000, bits)
        stamps = stamp + tcp.timestamp_offset(pair), theirs.ts_val
    rmss = opening.receive_mss(path, options, config)
    octets = build_syn(rmss, shift, sack, stamps)
    size = rmss - (TIMESTAMP_LEN if stamps else 0)
    offered = min(window.initial(config, options, size, True), window.MAX_UNSCALED)
    cookie = build(listener, key, seg.seq, theirs.mss or config.default_mss, now)
    ports = int.from_bytes(key[-2:] + key[-4:-2], "big")
    word = (20 + len(octets)) << 10 | flags
    head = _PLAIN.pack(ports, cookie, (seg.seq + 1) & MASK, word, offered, 0, 0) + octets
    listener.overflowed_at = now
    tcp.counters.mib["TcpExtSyncookiesSent"] += 1
    signing_key = None if options.md5 is None else options.md5.find(path.destination)
    tcp.replies.add(pair, head, why.COOKIE, LISTEN, options.tos, options.ttl or 64, signing_key)


def _with_low_bits(stamp: int, bits: int) -> int:
    """The latest time not after `stamp` whose low bits are these."""
    marked = stamp >> _OPTION_BITS << _OPTION_BITS | bits
    return marked if marked <= stamp else marked - (1 << _OPTION_BITS)


def open_by_ack(listener: Listener, seg: Arrival, key: bytes, pair: bytes, now: Micros) -> bool:
    """An ACK that belongs to no connection: does it complete a handshake of which only a cookie is left?"""
    tcp = listener.tcp
    recent = listener.overflowed_at >= 0 and now - listener.overflowed_at < LIFETIME * PERIOD
    if not recent or not tcp.config.syncookies or seg.flags & SYN:
        return False
    irs, iss = (seg.seq - 1) & MASK, (seg.ack - 1) & MASK
    mss = check(listener, key, irs, iss, now)
    if mss is None:
        tcp.counters.mib["TcpExtSyncookiesFailed"] += 1
        return False
    tcp.counters.mib["TcpExtSyncookiesRecv"] += 1
    # Without tcp_timestamps nobody looks at those of others (RFC 7323 3.2: they may be sent only if both agreed).
    told = seg.options if tcp.config.timestamps else Options()
    bits = _low_bits(told, tcp.timestamp_offset(pair))
    options = _recover(told, mss, bits)
    if not _still_allowed(listener, options):
        return False
    if listener.is_full:
        listener.count_overflow(now)
        return True
    syn = Arrival(seg.data, seg.ip_at, 0, 0, 0, irs, 0, SYN, 0, 0)
    syn.options = options
    conn = tcp.passive(listener, key, pair, syn, now, iss)
    if conn is not None:
        opening.resume(conn, now)
        if bits & _ECN:
            ecn_setup.from_cookie(conn, seg)
        seg.seq, seg.ack = irs + 1, iss + 1
        take_steps(conn, seg, now)
    return True


def _low_bits(ack: Options, ts_offset: int) -> int:
    """What we put into the timestamp that comes back."""
    return (ack.ts_ecr - ts_offset) & 0x3F if ack.ts_val is not None and ack.ts_ecr else 0


def _recover(ack: Options, mss: Octets, bits: int) -> Options:
    """The options of the SYN, as far as the cookie and the echoed timestamp tell."""
    options = Options()
    options.mss = mss
    options.ts_val = ack.ts_val
    if ack.ts_val is not None:
        options.sack_permitted = bool(bits & _SACK)
        shift = bits & _NO_WSCALE
        options.wscale = None if shift == _NO_WSCALE else shift
    return options


def _still_allowed(listener: Listener, options: Options) -> bool:
    """What the timestamp says we agreed to, we still do."""
    config = listener.tcp.config
    return (config.sack or not options.sack_permitted) and (config.window_scaling or options.wscale is None)
