"""Runs of full segments and of acknowledgments, said in one line."""

from netstack.units import MILLISECOND
from tests.script import Wire

APART = 2 * MILLISECOND
"""Between two ACKs of a run: further than the millisecond for which a sender may wait for more window."""


def segments(start: int, stop: int, size: int = 1000, ack: int = 1) -> list[str]:
    """The octets [start, stop) in segments of `size`, as `sent` shows them."""
    return [
        f". {left}:{min(left + size, stop)}({min(size, stop - left)}) ack {ack}" for left in range(start, stop, size)
    ]


def sent(wire: Wire) -> list[str]:
    """Everything that left and was not expected yet, without PSH."""
    return [text.replace("P.", ".", 1) for text in wire.take()]


def burst(wire: Wire, start: int, stop: int, size: int = 1000, ack: int = 1) -> Wire:
    """Exactly these segments left; PSH is not looked at."""
    left, wanted = sent(wire), segments(start, stop, size, ack)
    assert left == wanted, f"left: {left}\nwanted: {wanted}"
    return wire


def flight(wire: Wire, queued: int = 30_000, syn: str = "mss 1000", **options: object) -> Wire:
    """Ten segments of 1000 octets are out, which is all that cwnd allows, half a round trip ago. Reno. RTT 100 ms."""
    wire.setup(congestion_control="reno").established(syn=syn, **options).send(queued)
    return burst(wire, 1, 10_001, 1000).after(50 * MILLISECOND)


def acks(wire: Wire, *numbers: int, sack: str = "") -> list[str]:
    """These ACKs arrive, one after the other; what they let go."""
    left = []
    for number in numbers:
        wire.after(APART).rx(f". 1:1(0) ack {number}" + (f" <sack {sack}>" if sack else ""))
        left += sent(wire)
    return left
