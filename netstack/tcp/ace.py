"""How many marks an ACE field means (RFC 9768 3.2.2.5.2, appendix A): three bits that wrap, and counters that help.

After an ACK that delivered many segments the field may have wrapped once or more often. What is certain is the least;
the safe guess is the most that fits the segments delivered. The octet counters, where there are any, decide.
"""

from __future__ import annotations

from typing import TYPE_CHECKING

from netstack.ip.ecn import CE, ECT_0, ECT_1

if TYPE_CHECKING:
    from netstack.tcp.recovery import Recovery
    from netstack.units import Octets
    from netstack.wire.tcp_options import AccEcn as Option

FIRST_CEP = 5
"""3.2.1: so that a field wiped to zero is not taken for a count."""
_WIPED = {ECT_1: 1, ECT_0: 1, CE: 0}
_MANY = 7
"""With no more segments than this delivered nothing can have wrapped unseen."""
_THINNED = 4
"""Segments per ACK on average above which somebody drops ACKs, and then the safe guess is no good one (Linux)."""


class Decoder:
    """s.cep, s.e1b, s.ceb and s.e0b: what the peer has reported so far."""

    __slots__ = ("_average", "_exact", "_only", "cep", "reported")

    def __init__(self) -> None:
        self.cep = FIRST_CEP
        self.reported = {ECT_1: 0, ECT_0: 0, CE: 0}
        self._only = 0
        """The one codepoint whose octets the last option counted: so will the next be, until it says otherwise."""
        self._exact = True
        """`reported` is up to date."""
        self._average = 0
        """64 times the segments that ACKs deliver, smoothed."""

    def read(
        self, recovery: Recovery, ace: int, option: Option | None, believed: bool, delivered: int, octets: Octets
    ) -> int:
        """The marks that an ACK tells of which delivered so many segments and octets; `believed`: options are."""
        before = self.reported[CE]
        sure = believed and self._count(option, octets)
        self.note(delivered)
        least = (ace - self.cep) & 7
        moved = least
        if delivered > _MANY:
            moved = self._turns(recovery, least, delivered, octets, self.reported[CE] - before if sure else None)
        self.cep += moved
        return moved

    def note(self, delivered: int) -> None:
        """An ACK delivered so many segments."""
        if delivered:
            average = self._average
            self._average = min((average * 63 + (delivered << 6)) >> 6, 0xFFFF) if average else delivered << 6

    def _turns(self, recovery: Recovery, least: int, delivered: int, octets: Octets, marked: Octets | None) -> int:
        """`least`, and eight for each turn. `marked`: octets that came marked, where that is known."""
        if marked is None:
            return least if self._average > _THINNED << 6 else delivered - ((delivered - least) & 7)
        packets = -(-marked * delivered // octets) if octets else -(-marked // recovery.tcb.eff_snd_mss)
        return least + max(0, packets - least + 4) // 8 * 8  # the nearest: ACKs of ours that were marked count too

    def _count(self, option: Option | None, octets: Octets) -> bool:
        """Octets by codepoint: from an option or, without one, as the last one had them. False: that may be wrong.

        An option says how much it was altogether; what came since the last ACK is known if it was known then.
        """
        sure = self._exact
        if option is None or option.ceb is None:
            if octets:
                self._exact = sure and self._only > 0
                if self._only:
                    self.reported[self._only] += octets
            return self._exact
        self._exact, moved = True, []
        for codepoint, value in ((ECT_1, option.e1b), (CE, option.ceb), (ECT_0, option.e0b)):
            if value is None:
                continue
            step = (value - _WIPED[codepoint] - self.reported[codepoint]) & 0xFF_FFFF
            step -= step >> 23 << 24
            self.reported[codepoint] += step
            sure = sure and step >= 0
            if step:
                moved.append(codepoint)
        if moved:
            self._only = moved[0] if len(moved) == 1 else 0
        return sure
