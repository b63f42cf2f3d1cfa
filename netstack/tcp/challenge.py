"""Answers to segments that do not fit: ACKs whose rate is limited (RFC 5961 7), so that nobody can make us talk."""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.tcp import why
from netstack.units import SECOND, Micros
from netstack.wire.tcp import RST, SYN

if TYPE_CHECKING:
    from netstack.tcp.core import ConnectionCore
    from netstack.tcp.segment import Arrival


class ChallengeLimit:
    """At most `limit` challenge ACKs a second for the whole stack; the budget varies so that nobody can count it.

    A fixed budget let an off-path attacker infer connections (CVE-2016-5696); Linux draws half to one and a half of it.
    """

    __slots__ = ("_left", "_limit", "_random", "_until")

    def __init__(self, limit: int, random: object) -> None:
        self._limit = limit
        self._random = random
        self._until: Micros = -1
        self._left = 0

    def allows(self, now: Micros) -> bool:
        """Take one from this second's budget."""
        if now >= self._until:
            self._until = now + SECOND
            half = (self._limit + 1) >> 1
            self._left = half + self._random.randrange(max(self._limit, 1))  # type: ignore[attr-defined]
        if self._left <= 0:
            return False
        self._left -= 1
        return True


def too_soon(conn: ConnectionCore, now: Micros, counter: str = "TcpExtTCPACKSkippedChallenge") -> bool:
    """Per connection: one such ACK per invalid_ratelimit (as Linux), so that two ends cannot ping-pong."""
    if conn.last_oow_ack_at >= 0 and 0 <= now - conn.last_oow_ack_at < conn.tcp.config.invalid_ratelimit:
        conn.tcp.counters.mib[counter] += 1
        return True
    conn.last_oow_ack_at = now
    return False


def send(conn: ConnectionCore, now: Micros) -> None:
    """A challenge ACK (RFC 5961 3.2, 4.2, 5.2), unless too many went out."""
    if too_soon(conn, now) or not conn.tcp.challenge_limit.allows(now):
        return
    conn.tcp.counters.mib["TcpExtTCPChallengeACK"] += 1
    conn.acking.answer(why.ACK_CHALLENGE)
    conn.mark()


def answer_unacceptable(
    conn: ConnectionCore, seg: Arrival, now: Micros, counter: str = "TcpExtTCPACKSkippedSeq"
) -> None:
    """3.10.7.4 first: an unacceptable segment is answered with an ACK, unless it is a RST.

    One with text or a FIN is answered always (the peer retransmits and needs the ACK); others are limited.
    """
    if seg.flags & RST:
        return
    if (seg.end == seg.seq or seg.flags & SYN) and too_soon(conn, now, counter):
        return
    conn.acking.answer(why.ACK_DUPLICATE if seg.seq < seg.end <= conn.tcb.rcv_nxt else why.ACK_UNACCEPTABLE)
    conn.mark()
