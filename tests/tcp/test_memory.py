"""What connections may hold: each by itself, all together, and against peers who make memory dear (tcp.memory)."""

import tracemalloc

import pytest

from netstack.tcp.memory import FREE
from netstack.tcp.reassembly import ReceiveBuffer
from netstack.tcp.state import CLOSED, ESTABLISHED, FIN_WAIT_1
from netstack.units import MILLISECOND, SECOND
from tests.script import FULL, octets_at

SACK = "mss 1460,sackOK"
KIB = 1024


def counter(wire, name):
    return wire.stack.counters.mib[f"TcpExt{name}"]


# -- a buffer costs about what it holds, however it came ---------------------------------------------------------------


def filled(kind: str, count: int) -> ReceiveBuffer:
    """`count` segments of two octets each: one would be one of CPython's shared objects."""
    buffer = ReceiveBuffer()
    for i in range(count):
        octets = bytes((i % 250,)) * 2
        if kind == "in order":
            buffer.append(octets)
            if buffer.ready > 2_000:
                buffer.join_small()
        elif kind == "beyond a gap":
            buffer.hold(10 + 2 * i, octets)
        elif kind == "backwards":
            buffer.hold(10 + 2 * (count - i), octets)
        else:
            buffer.hold(10 + 4 * i, octets)
    return buffer


@pytest.mark.parametrize("kind", ["in order", "beyond a gap", "backwards", "every other"])
def test_the_charge_covers_what_cpython_really_takes(kind):
    tracemalloc.start()
    try:
        before = tracemalloc.get_traced_memory()[0]
        buffer = filled(kind, 10_000)
        taken = tracemalloc.get_traced_memory()[0] - before
    finally:
        tracemalloc.stop()
    buffer.check(1)
    assert taken <= 1.1 * buffer.charge + 12_288  # a deque keeps 16 empty blocks for later
    if kind != "every other":
        assert buffer.charge <= 2 * 20_000 + 4_096, "twice the octets are enough"


@pytest.mark.parametrize("kind", ["in order", "beyond a gap", "backwards", "every other"])
def test_joining_changes_no_octet(kind):
    buffer = filled(kind, 300)
    before = [buffer.octets(left) for left, _ in buffer.blocks()] + [buffer.peek(10_000)]
    buffer.collapse()
    buffer.check(1)
    assert [buffer.octets(left) for left, _ in buffer.blocks()] + [buffer.peek(10_000)] == before
    assert buffer.collapse() == 0


def test_pruning_takes_the_farthest_first_and_what_was_reported_of_it():
    buffer = ReceiveBuffer()
    for left in (100, 300, 500, 700):
        buffer.hold(left, bytes(100))
    goal = buffer.charge - 1
    buffer.prune(goal)
    buffer.check(1)
    assert buffer.blocks() == [(100, 200), (300, 400), (500, 600)]
    assert buffer.recent == [(500, 600), (300, 400), (100, 200)]
    assert buffer.charge <= goal
    buffer.prune()
    assert (buffer.blocks(), buffer.recent, buffer.held, buffer.gaps) == ([], [], 0, False)
    buffer.prune()


# -- one connection ----------------------------------------------------------------------------------------------------


def test_single_octets_beyond_a_gap_do_not_cost_more_than_the_buffer(wire):
    wire.established(syn=SACK, rcvbuf=20_000)
    for left in range(3, 203, 2):
        wire.rx(f". {left}:{left + 1}(1) ack 1").take()
        assert wire.conn.receive_buffer.charge <= 20_000
    assert counter(wire, "PruneCalled") > 0
    assert counter(wire, "TCPOFODrop") > 0
    blocks = wire.conn.receive_buffer.blocks()
    assert blocks[0][0] - wire.conn.tcb.irs == 3, "the nearest are kept"
    assert all(block in blocks for block in wire.conn.receive_buffer.recent), "what is gone is not reported any more"
    # The peer sends again what it is told is missing, and everything arrives.
    wire.rx(". 1:203(202) ack 1").take()
    wire.recv(202)


def test_single_octets_in_a_row_beyond_a_gap_are_joined(wire):
    wire.established(syn=SACK, rcvbuf=20_000)
    for left in range(3, 403):
        wire.rx(f". {left}:{left + 1}(1) ack 1").take()
    assert wire.conn.receive_buffer.charge < 5_000
    assert counter(wire, "OfoPruned") == 0
    wire.rx(". 1:3(2) ack 1").take()
    wire.recv(402)


def test_single_octets_in_order_that_nobody_reads_are_joined(wire):
    wire.established(syn=SACK)
    at = 1
    for size in (2_000, *[1] * 200):
        wire.rx(f". {at}:{at + size}({size}) ack 1").take()
        at += size
    assert counter(wire, "TCPRcvCollapsed") > 0
    assert wire.conn.receive_buffer.charge < 2 * 2_200
    wire.recv(2_200).take()


def test_a_view_that_would_keep_a_frame_for_little_of_it_is_a_copy(wire):
    wire.setup(offload=True).established(syn=FULL)
    wire.rx(". 1:20001(20000) ack 1", gso=1448).take()
    wire.recv(20_000)
    wire.rx(". 1:28202(28201) ack 1", gso=1448).take()  # 8,201 of its octets are new
    (chunk,) = wire.conn.receive_buffer.chunks
    assert type(chunk) is bytes
    wire.recv(8_201)


# -- all of them together ----------------------------------------------------------------------------------------------

LIMITS = (60 * KIB, 80 * KIB, 120 * KIB)


def crowd(wire, count, **config):
    """`count` connections, the first of which is `wire`."""
    wire.setup(mem=LIMITS, **config).established(syn=SACK)
    others = [wire.another(50_000 + i).established(syn=SACK) for i in range(count - 1)]
    return [wire, *others]


def feed(wire, octets):
    """The peer sends up to `octets` as its window allows; nobody reads."""
    tcb = wire.conn.tcb
    sent = 0
    while sent < octets and (room := tcb.rcv_wup + tcb.rcv_wnd - tcb.rcv_nxt) > 0:
        at, size = tcb.rcv_nxt - tcb.irs, min(room, 1460, octets - sent)
        wire.rx(f". {at}:{at + size}({size}) ack 1")
        ignore(wire)
        wire.after(50 * MILLISECOND)
        ignore(wire)
        sent += size


def ignore(wire):
    """What left, of whichever connection."""
    wire.bench.turn()
    wire.bench.device.frames.clear()


def test_little_is_not_counted_and_more_is(wire):
    (wire,) = crowd(wire, 1)
    memory = wire.stack.tcp.memory
    feed(wire, FREE)
    assert memory.used == 0
    feed(wire, 1460)
    assert FREE < memory.used < 2 * FREE + 2_000
    wire.recv(FREE + 1460).take()
    wire.rx("R. 5557:5557(0) ack 1")
    assert memory.used == 0


def test_unread_data_brings_pressure_and_reading_ends_it(wire):
    wires = crowd(wire, 3)
    memory = wire.stack.tcp.memory
    for each in wires:
        feed(each, 34 * KIB)
    assert memory.pressed
    assert not memory.exhausted
    assert counter(wire, "TCPMemoryPressures") == 1
    # The window of who has most of its buffer waiting is down to four segments; its right edge stays.
    edge = wire.conn.tcb.rcv_wup + wire.conn.tcb.rcv_wnd
    feed(wire, 8 * 1460)
    assert wire.conn.window.ssthresh == 4 * 1460
    assert wire.conn.tcb.rcv_wup + wire.conn.tcb.rcv_wnd == edge
    for each in wires:
        each.recv(each.conn.readable)
        ignore(each)
    wire.after(SECOND)
    ignore(wire)
    feed(wire, 8 * FREE)
    wire.recv(8 * FREE).take()
    assert not memory.pressed
    assert counter(wire, "TCPMemoryPressuresChrono") > 0


def test_what_was_given_back_meanwhile_is_no_pressure(wire):
    wires = crowd(wire, 3)
    for each in wires:
        feed(each, 40 * KIB)
        each.recv(each.conn.readable)
        ignore(each)
    assert counter(wire, "TCPMemoryPressures") == 0


def test_under_pressure_buffers_do_not_grow(wire):
    wires = crowd(wire, 3)
    for each in wires:
        feed(each, 34 * KIB)
    assert wire.stack.tcp.memory.pressed
    wire.conn.grow_buffer(1 << 20)
    assert wire.conn.window.rcvbuf == 131_072


def test_under_pressure_who_has_more_than_a_share_sends_no_more(wire):
    wires = crowd(wire, 3)
    for each in wires[:2]:
        feed(each, 44 * KIB)
    assert wire.stack.tcp.memory.pressed
    # The least is granted to everybody, a share of 40 KiB to those who have less.
    wires[2].send(30_000).take()
    wires[0].send(3_000).send(3_000, accepted=1_096).send(3_000, accepted=0).take()


def test_nobody_gets_more_when_all_is_used(wire):
    wires = crowd(wire, 4)
    memory = wire.stack.tcp.memory
    for each in wires:
        feed(each, 60 * KIB)
    assert memory.exhausted
    conn = wire.conn
    at, edge = conn.tcb.rcv_nxt - conn.tcb.irs, conn.tcb.rcv_wup + conn.tcb.rcv_wnd - conn.tcb.irs
    assert edge - at >= 1460, "an offered window remains"
    waiting, dropped = conn.readable, counter(wire, "TCPRcvQDrop")
    wire.rx(f". {at + 100}:{at + 200}(100) ack 1").take()
    assert not conn.receive_buffer.gaps
    assert counter(wire, "TCPOFODrop") == 1
    wire.rx(f". {at}:{at + 1460}(1460) ack 1").tx(f". 1:1(0) ack {at} win 0")  # as good as closed (Linux)
    assert conn.readable == waiting
    assert counter(wire, "TCPRcvQDrop") == dropped + 1
    # Who has read everything gets on.
    for each in wires[1:]:
        each.recv(each.conn.readable)
        ignore(each)
    wire.recv(waiting)
    ignore(wire)
    wire.after(SECOND)
    ignore(wire)
    wire.rx(f". {at}:{at + 1460}(1460) ack 1").take()
    wire.recv(1460)


def test_what_waits_beyond_gaps_goes_first(wire):
    wires = crowd(wire, 4)
    wire.rx(". 5001:6001(1000) ack 1").take()
    for each in wires[1:]:
        feed(each, 60 * KIB)
    assert wire.stack.tcp.memory.exhausted
    wire.rx(". 8001:9001(1000) ack 1").take()
    assert wire.conn.receive_buffer.held == 2_000, "the least is granted"
    for left in range(10_001, 16_001, 1_000):
        wire.rx(f". {left}:{left + 1000}(1000) ack 1").take()
    assert wire.conn.receive_buffer.charge <= 4_096 + 1_500
    assert counter(wire, "TCPOFODrop") > 0


# -- users who leave ---------------------------------------------------------------------------------------------------


def test_orphans_beyond_the_limit_are_reset(wire):
    wires = crowd(wire, 3, max_orphans=2)
    for each in wires[:2]:
        each.call("close").tx("F. 1:1(0) ack 1").state(FIN_WAIT_1)
    assert wire.stack.tcp.memory.orphans == 2
    wires[2].call("close").tx("R. 1:1(0) ack 1").state(CLOSED)
    assert counter(wire, "TCPAbortOnMemory") == 1
    assert wire.stack.tcp.memory.orphans == 2
    # FIN-WAIT-2 does not count (Linux keeps no more than for TIME-WAIT), nor does what is over.
    wires[0].rx(". 1:1(0) ack 2")
    assert wire.stack.tcp.memory.orphans == 1
    wires[1].rx("F. 1:1(0) ack 2").tx(". 2:2(0) ack 2")
    assert wire.stack.tcp.memory.orphans == 0


def test_an_orphan_of_which_icmp_said_no_counts_double_when_its_timer_fires(wire):
    wires = crowd(wire, 2, max_orphans=3, sack=False)
    for each in wires:
        each.call("close").tx("F. 1:1(0) ack 1")
    wire.rx_icmp(1, 1).state(FIN_WAIT_1)
    wire.after(300 * MILLISECOND).tx("R. 2:2(0) ack 1")  # four is too many
    wires[1].tx("F. 1:1(0) ack 1").state(FIN_WAIT_1)
    assert counter(wire, "TCPAbortOnMemory") == 1
    wires[1].rx("R. 1:1(0) ack 2")


def test_who_never_accepted_is_no_orphan(wire):
    wire.setup().listen().rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1").rx(". 1:1(0) ack 1").state(ESTABLISHED)
    assert wire.stack.tcp.memory.orphans == 0


# -- TCP_NOTSENT_LOWAT -------------------------------------------------------------------------------------------------


def test_not_writable_while_more_than_half_the_low_water_mark_waits(wire):  # Linux
    wire.established(syn="mss 1000", notsent_lowat=20_000)
    assert wire.conn.writable
    took = wire.conn.send(octets_at(1, 200_000))
    wire.sent += took
    assert 20_000 <= took < 20_000 + 65_536
    assert not wire.conn.writable
    assert wire.conn.send(b"more") == 0
    assert len(wire.take()) == 10
    wire.told.clear()
    at = 1
    while wire.conn.send_buffer.end - wire.conn.tcb.snd_nxt >= 10_000:
        assert not wire.told
        at += 1_000
        wire.rx(f". 1:1(0) ack {at}")
        wire.take()
    wire.bench.turn()
    assert wire.told
    assert wire.conn.writable
    assert len(wire.conn.send_buffer) > 10_000, "the send buffer itself is far from empty"
    wire.rx(f". 1:1(0) ack {wire.conn.tcb.snd_nxt - wire.conn.tcb.iss}").take()
    wire.rx(f". 1:1(0) ack {took + 1}").take()


def test_the_stacks_low_water_mark_holds_where_the_socket_has_none(wire):  # tcp_notsent_lowat
    wire.setup(notsent_lowat=5_000).established(syn="mss 1000")
    took = wire.conn.send(octets_at(1, 200_000))
    assert took < 5_000 + 65_536
    assert not wire.conn.writable
    wire.take()
    wire.rx("R. 1:1(0) ack 1")


def test_writable_means_a_third_is_free(wire):  # Linux; send takes less as well
    wire.established(syn="mss 1000", sndbuf=9_000).send(7_000)
    wire.take()
    assert not wire.conn.writable
    wire.send(3_000, accepted=0)  # what is under way weighs more than its octets, as in Linux
    wire.told.clear()
    wire.rx(". 1:1(0) ack 4001")
    assert wire.conn.writable == bool(wire.told) is True
    wire.rx(". 1:1(0) ack 7001")


def test_one_write_each_does_not_exceed_what_all_may_have(wire):
    """Memory is short: an empty send buffer is granted its share or tcp_wmem[0], not whatever comes in one piece."""
    wire.setup(mem=(100_000, 200_000, 300_000)).listen(backlog=100)
    took = [wire.another(port).established(win=0, rtt=0).conn.send(bytes(200_000)) for port in range(40_000, 40_040)]
    assert took[0] == 200_000
    assert all(4_096 <= octets <= 300_000 // (n + 3) for n, octets in enumerate(took[2:40]) if n < 30)
    assert sum(took) < 2 * 300_000


def test_a_share_is_what_is_left_of_it(wire):
    """Who has something already gets what is missing, and less than his share is no reason to grant all of it."""
    wire.setup(mem=(10_000, 20_000, 100_000)).listen(backlog=100)
    first, second = (wire.another(port).established(win=0, rtt=0).conn for port in (40_001, 40_002))
    assert first.send(bytes(30_000)) == 30_000
    assert wire.stack.tcp.memory.pressed
    assert 10_000 <= second.send(bytes(90_000)) <= 50_000
    assert second.send(bytes(90_000)) <= 4_096
