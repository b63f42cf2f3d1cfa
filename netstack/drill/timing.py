"""When an event of the script is due, and how far from that it may happen."""

from dataclasses import dataclass

from netstack.drill.nodes import Anchor, Event, Packet
from netstack.units import Micros


@dataclass(frozen=True, slots=True)
class Due:
    """The times of one event on the host's clock."""

    start: Micros | None
    """None: any time."""
    end: Micros
    """Later than `start` for a range only."""
    returns: Micros | None
    """When a call that blocks has to return."""
    slack: Micros
    """How far from its time the event may be."""


class Clockwork:
    """The script's times turned into those of the host's clock.

    `+t` counts from the moment when the previous event was done, by the live clock. Where both are inbound packets it
    counts from the previous one's due time, so that lateness does not add up.
    """

    def __init__(self, tolerance: Micros) -> None:
        self.least = tolerance
        self.previous_due: Micros = 0
        self.previous_done: Micros = 0
        self.previous_inbound = False

    def due(self, event: Event) -> Due:
        """The times of the next event."""
        when = event.when
        if when.anchor is Anchor.ANY:
            return Due(None, self.previous_done, None, 0)
        origin = 0
        if when.anchor is Anchor.PREVIOUS:
            origin = self.previous_due if self.previous_inbound and is_inbound(event) else self.previous_done
        start = origin + when.at
        end = start if when.until is None else origin + when.until
        returns = None if when.returns is None else origin + when.returns
        return Due(start, end, returns, self.slack(start - self.previous_due))

    def slack(self, gap: Micros) -> Micros:
        """The greater of the fixed tolerance and an eighth of `gap`."""
        return max(self.least, gap // 8)

    def done(self, event: Event, at: Micros, now: Micros) -> None:
        """The event happened: `at` is the time it counts as (its due time, where it has one), `now` the clock's."""
        self.previous_due, self.previous_done, self.previous_inbound = at, now, is_inbound(event)


def is_inbound(event: Event) -> bool:
    """The event is the injection of a packet."""
    return isinstance(event.action, Packet) and event.action.inbound
