"""Who has a key for its peer (RFC 2385 2.0): checks of what arrives, for connections, listeners and nobody.

With a key, a segment without a signature or with a wrong one is dropped without a word; without a key, one with a
signature is. As in Linux, TIME-WAIT, and FIN-WAIT-2 without a user, sign what they answer and believe everything.
"""

from __future__ import annotations

from hmac import compare_digest
from typing import TYPE_CHECKING

from netstack.tcp import md5
from netstack.tcp.connection import Connection
from netstack.tcp.ecn_connection import AccEcnConnection, EcnConnection
from netstack.tcp.md5 import SignedPath
from netstack.tcp.timewait import TimeWait
from netstack.units import Micros
from netstack.wire.tcp_options import parse

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.demux import Tcp
    from netstack.tcp.listener import Listener
    from netstack.tcp.segment import Arrival


class SignedConnection(Connection):
    """A connection whose every segment is to bear a signature."""

    __slots__ = ()

    def on_segment(
        self, frame: bytes, ip_at: int, at: int, text: int, end: int, wire_seq: int, wire_ack: int, flags: int,
        window: int, urgent: int, now: Micros,
    ) -> None:  # fmt: skip
        """As `Connection.on_segment`, for those with a good one."""
        signature = parse(frame, at + 20, text).md5
        path = self.path
        assert isinstance(path, SignedPath)
        if self.close_at or admitted(self.tcp, path.key, signature, frame, at, text, end, self.key[:-4], now):
            super().on_segment(frame, ip_at, at, text, end, wire_seq, wire_ack, flags, window, urgent, now)


class SignedEcnConnection(SignedConnection, EcnConnection):
    """The same with RFC 3168's ECN."""

    __slots__ = ()


class SignedAccEcnConnection(SignedConnection, AccEcnConnection):
    """The same with RFC 9768's."""

    __slots__ = ()


_SIGNED: dict[type[ConnectionCore], type[ConnectionCore]] = {
    Connection: SignedConnection,
    EcnConnection: SignedEcnConnection,
    AccEcnConnection: SignedAccEcnConnection,
}
_UNSIGNED = {signed: plain for plain, signed in _SIGNED.items()}


def attach(conn: ConnectionCore) -> None:
    """The keys of its options were set, or its kind of ECN was: what it signs with, and the class that checks."""
    keys, path = conn.options.md5, conn.path
    inner = path.inner if isinstance(path, SignedPath) else path
    key = None if keys is None else keys.find(inner.destination)
    plain = _UNSIGNED.get(type(conn), type(conn))
    conn.path = inner if key is None else SignedPath(inner, key)
    conn.__class__ = plain if key is None else _SIGNED[plain]
    if conn.tcb.state.synchronized:
        conn.sync_mss()


def admitted(
    tcp: Tcp, key: bytes | None, signature: bytes | None, frame: bytes, at: int, text: int, end: int, pair: bytes,
    now: Micros,
) -> bool:  # fmt: skip
    """Whether a segment is signed as whoever it is for wants it; if not it is counted, and gone."""
    mib = tcp.counters.mib
    if key is None:
        if signature is None:
            return True
        mib["TcpExtTCPMD5Unexpected"] += 1
        tcp.drop("md5_unexpected", now)
    elif signature is None:
        mib["TcpExtTCPMD5NotFound"] += 1
        tcp.drop("md5_not_found", now)
    elif not _holds(signature, key, pair, frame, at, text, end):
        mib["TcpExtTCPMD5Failure"] += 1
        tcp.drop("md5_failure", now)
    else:
        return True
    return False


def listener_admits(listener: Listener, seg: Arrival, pair: bytes, now: Micros) -> bool:
    """The same for what comes to a listener."""
    keys = listener.options.md5
    key = None if keys is None else keys.find(pair[: len(pair) // 2])
    at = seg.ip_at + (seg.data[seg.ip_at] & 15) * 4
    end = seg.text + seg.length
    return admitted(listener.tcp, key, seg.options.md5, seg.data, at, seg.text, end, pair, now)


def make_room(listener: Listener, seg: Arrival, pair: bytes) -> None:
    """A SYN that asks for SACK and timestamps gets SACK only: blocks, stamps and signature do not fit (Linux)."""
    keys, options = listener.options.md5, seg.options
    signs = keys is not None and keys.find(pair[: len(pair) // 2]) is not None
    if signs and options.sack_permitted and listener.tcp.config.sack:
        options.ts_val = options.ts_ecr = None


def key_for_reply(tcp: Tcp, pair: bytes, head: bytes) -> bytes | None:
    """What a reply is signed with that leaves on behalf of no connection, or beside one; `pair` as it arrived."""
    ours, theirs, half = head[:2], head[2:4], len(pair) // 2
    conn = tcp.connections.get(pair + theirs + ours)
    if conn is not None and not isinstance(conn, TimeWait):
        return conn.path.key if isinstance(conn.path, SignedPath) else None
    return _listener_key(tcp, pair[half:], int.from_bytes(ours, "big"), pair[:half])


def key_for_stray(tcp: Tcp, pair: bytes, frame: bytes, at: int, text: int, end: int) -> tuple[bool, bytes | None]:
    """A segment to nobody: whether it may be answered, and the key to sign that with.

    One with a signature only when it is good by the key of a listener on the port it came *from*: ours was the active
    side once, and has forgotten (Linux).
    """
    signature = parse(frame, at + 20, text).md5
    if signature is None:
        return True, None
    half = len(pair) // 2
    key = _listener_key(tcp, pair[half:], frame[at] << 8 | frame[at + 1], pair[:half])
    return key is not None and _holds(signature, key, pair, frame, at, text, end), key


def _holds(signature: bytes, key: bytes, pair: bytes, frame: bytes, at: int, text: int, end: int) -> bool:
    made = md5.digest(key, pair, frame[at : at + 20], memoryview(frame)[text:end], end - at)
    return compare_digest(made, signature)


def _listener_key(tcp: Tcp, address: bytes, port: int, peer: bytes) -> bytes | None:
    listener = tcp.listeners.get((address, port)) or tcp.listeners.get((bytes(len(address)), port))
    keys = None if listener is None else listener.options.md5
    return None if keys is None else keys.find(peer)
