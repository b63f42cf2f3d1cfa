"""From moments to steps, in the order of the records; nothing here depends on times.

Records that say more about a step than they are one (a round-trip time measured, a timer armed) become its notes.
"""

from collections import Counter

from netstack.journey.record import Moment
from netstack.journey.steps import Step
from netstack.journey.telling_programs import ProgramTelling
from netstack.journey.telling_tcp import TcpTelling
from netstack.link.device import VNET_LEN


class Teller(TcpTelling, ProgramTelling):
    """Tells of everything."""


def steps(moments: list[Moment]) -> list[Step]:
    """The steps that `moments` tell of, in order."""
    teller = Teller()
    for moment in moments:
        teller.tell(moment)
    _mark_lost(teller.steps, teller.passed)
    return teller.steps


def _mark_lost(found: list[Step], passed: dict[bool, Counter[bytes]]) -> None:
    """Frames that went onto the link and never came out."""
    for step in reversed(found):  # of copies, the last ones are those that came through; the octets are the same
        if step.frame is None:
            continue
        octets = step.frame[VNET_LEN:]
        to_server = step.kind == "client sends"
        if to_server or step.kind.startswith("frame out"):
            if passed[to_server][octets] > 0:
                passed[to_server][octets] -= 1
            else:
                step.lost = True
                step.text = f"✗ lost on the way: {step.text}"
