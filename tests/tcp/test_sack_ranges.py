"""SACK ranges, as the receiver reports them and as the sender takes them, against plain models."""

from random import Random
from types import SimpleNamespace

from hypothesis import given, settings
from hypothesis import strategies as st

from netstack.counters import Tally
from netstack.tcp.acknowledge import Acknowledger
from netstack.tcp.rack import Rack
from netstack.tcp.rate import Rate
from netstack.tcp.reassembly import ReceiveBuffer
from netstack.tcp.rto import RttEstimator
from netstack.tcp.scoreboard import Scoreboard, Sent
from netstack.tcp.tcb import Tcb

SEGMENTS = st.lists(st.tuples(st.integers(1, 60), st.integers(1, 12)), min_size=1, max_size=60)


@given(SEGMENTS)
@settings(max_examples=300, deadline=None)
def test_the_first_block_is_around_what_came_last(segments):
    """And the whole range around it, until a block had to be forgotten; what is told is always true."""
    buffer = ReceiveBuffer()
    forgotten = False
    for seq, length in segments:
        buffer.hold(seq, bytes(length))
        blocks, (left, right) = buffer.blocks(), buffer.recent[0]
        assert left <= seq
        assert seq + length <= right
        forgotten |= len(blocks) > 4
        assert forgotten or sorted(buffer.recent) == blocks
        assert len(set(buffer.recent)) == len(buffer.recent) <= 4
        assert all(any(a <= left and right <= b for a, b in blocks) for left, right in buffer.recent)


@given(st.integers(0, 2**32), st.integers(2, 80))
@settings(max_examples=200, deadline=None)
def test_blocks_that_grow_mark_every_record_once(seed, count):
    rng = Random(seed)
    mss = 100
    tcb = Tcb(0, mss, mss)
    tcb.eff_snd_mss, tcb.snd_una, tcb.sack_ok = mss, 1, True
    board = Scoreboard(mss)
    position = 1
    for _ in range(count):
        segments = rng.randrange(1, 5)
        board.records.append(Sent(position, position + segments * mss, segments, 0))
        board.packets_out += segments
        position += segments * mss
    tcb.snd_nxt = position
    acks = Acknowledger(tcb, board, Rack(3), Rate(), RttEstimator(1, 1, 1, 1), Tally())
    recovery = SimpleNamespace(high_seq=0, undo_marker=None, tlp_high_seq=None)
    arrived: set[int] = set()
    delivered = 0
    for i in sorted(range(1, (position - 1) // mss), key=lambda i: i + rng.randrange(10)):
        arrived.add(i)
        left = right = i
        while left - 1 in arrived:
            left -= 1
        while right + 1 in arrived:
            right += 1
        acks.facts.reset()
        delivered += acks.selective([(1 + left * mss, 1 + (right + 1) * mss)], 1, recovery, 0)
        board.check(1, position, True)
        sacked = {(seq - 1) // mss for r in board.records if r.sacked for seq in range(r.seq, r.end, mss)}
        assert sacked == arrived
    assert delivered == len(arrived) == board.sacked_out
