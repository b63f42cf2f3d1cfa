"""Segments squeezed from all sides: tiny windows and MSS, the smallest and the largest MTU, full SACK options."""

import pytest

from netstack.units import SECOND
from tests.script import FULL, Wire


def holes(wire: Wire, count: int = 4) -> Wire:
    """The peer leaves so many holes of one octet; our ACKs say so."""
    for i in range(count):
        wire.rx(f". {2 + 2 * i}:{3 + 2 * i}(1) ack 1")
        wire.take()
    return wire


@pytest.mark.parametrize(("syn", "blocks"), [
    ("mss 1460,sackOK,TS,nop,wscale 0", 3),  # 36 octets at a time beside <TS>: 8 remain
    ("mss 1460,sackOK", 4),  # 48 octets at a time
])  # fmt: skip
def test_text_finds_room_beside_sack_blocks_in_the_smallest_window(wire, syn, blocks):
    wire.established(syn, win=20)
    holes(wire).send(20)
    first, *more = wire.take()
    assert first.count(":") == 1 + blocks
    assert sum(int(text.split("(")[1].split(")")[0]) for text in (first, *more)) == 20


@pytest.mark.parametrize("mss", [1, 36, 48, 88])
def test_smallest_mss_with_every_sack_block_sends_all(wire, mss):
    wire.established(f"mss {mss},sackOK,TS,nop,wscale 0")
    holes(wire).send(1_000)
    sent, una = [], 1
    for _ in range(40):
        sent += wire.take()
        if una > 1_000:
            break
        una = int(sent[-1].split(":")[1].split("(")[0])
        wire.rx(f". 1:1(0) ack {una}")
    assert una == 1_001
    assert all(" (0)" not in text for text in sent)


def test_sack_blocks_of_an_ack_fit_the_smallest_mtu(wire):  # 68 - 20 - 20 - 12 - 4: one block beside timestamps
    wire.setup(mtu=68).established(FULL)
    wire.rx(". 3:4(1) ack 1").tx(". 1:1(0) ack 1 <TS,sack 3:4>").rx(". 5:6(1) ack 1").tx(". 1:1(0) ack 1 <TS,sack 5:6>")


@pytest.mark.parametrize("offload", [False, True])
def test_largest_mtu_sends_whole_segments(wire, offload):  # one segment is more than any super-segment
    wire.setup(mtu=65_521, offload=offload).established("mss 65481,nop,wscale 7").send(100_000)
    wire.tx(". 1:65482(65481) ack 1").tx("P. 65482:100001(34519) ack 1")
    wire.rx(". 1:1(0) ack 100001")


def test_super_segments_are_cut_where_the_mss_is_now(wire):
    """Two small segments, for a peer with a small window then, go out again in one: there is no cut to make."""
    wire.established("mss 1460,sackOK", win=1_200).send(1_200)
    wire.tx(". 1:601(600) ack 1").tx("P. 601:1201(600) ack 1")
    wire.rx(". 1:1(0) ack 1 win 60000").after(SECOND)
    assert wire.take()
    wire.after(60 * SECOND)
    assert wire.take()
    wire.rx(". 1:1(0) ack 1201 win 60000").send(1_460).tx("P. 1201:2661(1460) ack 1").rx(". 1:1(0) ack 2661")


def test_tiny_segments_leave_in_bounded_numbers(wire):
    """An ACK may free a window of thousands of them; others get their turn in between."""
    wire.setup(initial_cwnd=10_000).established("mss 48,sackOK,nop,wscale 7")
    conn = wire.conn
    conn.send(bytes(100_000))
    wire.stack.transmit(wire.bench.now)
    first = len(wire.bench.device.frames)
    assert first == 256
    wire.stack.transmit(wire.bench.now)
    assert len(wire.bench.device.frames) == 512
    wire.bench.device.frames.clear()
    conn.abort()
    wire.bench.turn()
    wire.bench.device.frames.clear()
