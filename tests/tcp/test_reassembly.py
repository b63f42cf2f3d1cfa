"""Text in any order with any overlap (RFC 9293 3.10.7.4 seventh; RFC 2018 4; RFC 2883), against a dict of octets."""

from hypothesis import given, settings
from hypothesis import strategies as st

from netstack.tcp.reassembly import ReceiveBuffer
from netstack.tcp.state import CLOSE_WAIT
from tests.script import FULL, Wire, octets_at

SACK = "mss 1460,nop,nop,sackOK"


# -- scenarios ---------------------------------------------------------------------------------------------------------


def test_gap_is_filled(wire):
    wire.established().rx("P. 101:201(100) ack 1").tx(". 1:1(0) ack 1").rx("P. 1:101(100) ack 1").tx(". 1:1(0) ack 201")
    wire.recv(200)


def test_sack_reports_what_lies_beyond_the_gap_newest_first(wire):  # RFC 2018 4
    wire.setup(comp_sack_nr=0).established(syn=SACK)
    wire.rx("P. 101:201(100) ack 1").tx(". 1:1(0) ack 1 <sack 101:201>")
    wire.rx("P. 301:401(100) ack 1").tx(". 1:1(0) ack 1 <sack 301:401 101:201>")
    wire.rx("P. 501:601(100) ack 1").tx(". 1:1(0) ack 1 <sack 501:601 301:401 101:201>")
    wire.rx("P. 401:501(100) ack 1").tx(". 1:1(0) ack 1 <sack 301:601 101:201>")
    wire.rx("P. 201:301(100) ack 1").tx(". 1:1(0) ack 1 <sack 101:601>")
    wire.rx("P. 1:101(100) ack 1").tx(". 1:1(0) ack 601 <>").recv(600)


def test_from_the_fourth_on_duplicate_acks_wait_for_each_other(wire):  # Linux: 1 ms, or a twentieth of an RTT
    wire.established(syn=FULL).rx(". 1:1001(1000) ack 1").take()
    wire.recv(1000).conn.acking.quick = 0
    wire.conn.window.ssthresh = wire.conn.window.clamp  # else it grows, and that is told at once
    for left in (2001, 3001, 4001):
        wire.rx(f". {left}:{left + 1000}(1000) ack 1")
        assert wire.take() == [f". 1:1(0) ack 1001 <sack 2001:{left + 1000}>"]
    for left in (5001, 6001, 7001):
        wire.rx(f". {left}:{left + 1000}(1000) ack 1").quiet()
    wire.quiet(1099).after(1)
    assert wire.take() == [". 1:1(0) ack 1001 <sack 2001:8001>"]
    assert wire.mib["TcpExtTCPAckCompressed"] == 2
    wire.rx(". 9001:10001(1000) ack 1").quiet()
    wire.rx(". 11001:12001(1000) ack 1")  # a third block: what waited is told, before it might be pushed out
    assert wire.take() == [". 1:1(0) ack 1001 <sack 9001:10001 2001:8001>"]
    wire.rx(". 1001:2001(1000) ack 1")  # more than a segment: at once
    assert wire.take() == [". 1:1(0) ack 8001 <sack 11001:12001 9001:10001>"]
    wire.recv(7000)


def test_at_most_four_blocks_fit(wire):  # RFC 2018 3
    wire.setup(comp_sack_nr=0).established(syn=SACK)
    for i in range(6):
        left = 101 + 200 * i
        wire.rx(f"P. {left}:{left + 100}(100) ack 1").take()
    wire.rx("P. 1401:1402(1) ack 1").tx(". 1:1(0) ack 1 <sack 1401:1402 1101:1201 901:1001 701:801>")


def test_three_beside_timestamps(wire):  # RFC 2018 3, RFC 7323
    wire.setup(comp_sack_nr=0).established(syn="mss 1460,sackOK,TS,nop,wscale 7")
    for i in range(4):
        left = 101 + 200 * i
        wire.rx(f"P. {left}:{left + 100}(100) ack 1").take()
    wire.rx("P. 901:1001(100) ack 1")
    wire.tx(". 1:1(0) ack 1 <nop,nop,TS val 100 ecr 100,nop,nop,sack 901:1001 701:801 501:601>")


def test_data_carries_sack_blocks_too(wire):  # and gives them room
    wire.established(syn=SACK).rx("P. 101:201(100) ack 1").tx(". 1:1(0) ack 1 <sack 101:201>")
    wire.send(1460).tx(". 1:1449(1448) ack 1 <sack 101:201>").tx("P. 1449:1461(12) ack 1 <sack 101:201>")


def test_without_sack_there_are_no_blocks(wire):
    wire.established().rx("P. 101:201(100) ack 1").tx(". 1:1(0) ack 1 <>")


def test_text_that_arrives_twice_is_reported(wire):  # RFC 2883 4.1: below the ACK
    wire.established(syn=SACK).rx("P. 1:101(100) ack 1").tx(". 1:1(0) ack 101").recv(100)
    wire.rx("P. 1:101(100) ack 1").tx(". 1:1(0) ack 101 <sack 1:101>")
    wire.rx("P. 101:201(100) ack 1").tx(". 1:1(0) ack 201 <>").recv(100)


def test_text_that_arrives_twice_beyond_a_gap_is_reported(wire):  # RFC 2883 4.1: inside the second block
    wire.established(syn=SACK).rx("P. 101:301(200) ack 1").tx(". 1:1(0) ack 1 <sack 101:301>")
    wire.rx("P. 201:301(100) ack 1").tx(". 1:1(0) ack 1 <sack 201:301 101:301>")


def test_partly_new_text_is_taken_and_the_rest_reported(wire):  # RFC 2883 4.2
    wire.established(syn=SACK).rx("P. 1:101(100) ack 1").tx(". 1:1(0) ack 101")
    wire.rx("P. 51:151(100) ack 1").tx(". 1:1(0) ack 151 <sack 51:101>").recv(150)


def test_dsack_can_be_switched_off(wire):  # Linux: tcp_dsack
    wire.setup(dsack=False).established(syn=SACK).rx("P. 1:101(100) ack 1").tx(". 1:1(0) ack 101")
    wire.rx("P. 1:101(100) ack 1").tx(". 1:1(0) ack 101 <>").recv(100)


def test_first_copy_wins(wire):  # the choice is ours (3.10.7.4); Linux's
    wire.established().rx("P. 3:5(2) ack 1", data=b"cd").tx(". 1:1(0) ack 1")
    wire.rx("P. 1:7(6) ack 1", data=b"ABCDEF").tx(". 1:1(0) ack 7")
    assert wire.conn.recv(100) in (b"ABcdEF", b"ABCDEF")


def test_segments_of_one_octet_in_reverse(wire):
    wire.setup(comp_sack_nr=0).established(syn=SACK)
    for seq in range(20, 1, -1):
        wire.rx(f"P. {seq}:{seq + 1}(1) ack 1").tx(f". 1:1(0) ack 1 <sack {seq}:21>")
    wire.rx("P. 1:2(1) ack 1").tx(". 1:1(0) ack 21").recv(20)


def test_fin_behind_a_gap_waits_for_it(wire):
    wire.established(syn=SACK).rx("FP. 101:201(100) ack 1").tx(". 1:1(0) ack 1 <sack 101:202>")
    wire.rx("P. 1:101(100) ack 1").tx(". 1:1(0) ack 202").state(CLOSE_WAIT).recv(200)


def test_urgent_octets_stay_in_line(wire):  # RFC 6093 3.2; RFC 9293 3.8.5
    wire.established().rx("P.U 1:11(10) ack 1 urg 5").tx(". 1:1(0) ack 11").rx("P.U 11:21(10) ack 1 urg 100")
    wire.tx(". 1:1(0) ack 21").rx("P. 21:31(10) ack 1").tx(". 1:1(0) ack 31").recv(30)
    assert wire.conn.tcb.rcv_up - wire.conn.tcb.irs == 111


def test_super_segment_is_one_arrival(wire):  # the device merged 20 segments; one ACK for all
    wire.setup(offload=True).established().rx(". 1:29201(29200) ack 1", gso=1460).tx(". 1:1(0) ack 29201").recv(29_200)
    assert wire.conn.acking.rcv_mss == 1460


def test_super_segment_may_overlap_and_arrive_out_of_order(wire):
    wire.setup(offload=True).established(syn=SACK)
    wire.rx(". 14601:29201(14600) ack 1", gso=1460).tx(". 1:1(0) ack 1 <sack 14601:29201>")
    wire.rx(". 1:16061(16060) ack 1", gso=1460).tx(". 1:1(0) ack 29201 <sack 14601:16061>").recv(29_200)


def test_memory_beyond_the_window_is_never_taken(wire):  # bounded whatever the peer sends
    wire.established(rcvbuf=20_000, syn=SACK)
    for left in range(1000, 200_000, 977):
        wire.rx(f"P. {left}:{left + 900}(900) ack 1").take()
    assert wire.conn.receive_buffer.held <= 10_000
    assert wire.conn.readable == 0


# -- any order, any overlap --------------------------------------------------------------------------------------------

SEGMENTS = st.lists(st.tuples(st.integers(0, 60), st.integers(1, 25)), min_size=1, max_size=25)


@settings(max_examples=150, deadline=None)
@given(SEGMENTS)
def test_any_arrivals_against_a_set_of_octets(segments):
    """Whatever arrives: what is acknowledged, held and delivered is what a set of sequence numbers says."""
    wire = Wire(0xFFFF_FFE0).setup()
    wire.established(syn=SACK)
    have: set[int] = set()
    for offset, length in segments:
        left = 1 + offset
        wire.rx(f"P. {left}:{left + length}({length}) ack 1").take()
        have.update(range(left, left + length))
        next_missing = next(seq for seq in range(1, 100) if seq not in have)
        tcb, buffer = wire.conn.tcb, wire.conn.receive_buffer
        assert tcb.rcv_nxt - tcb.irs == next_missing
        assert buffer.held == sum(1 for seq in have if seq >= next_missing)
        held = {seq - tcb.irs for left, right in buffer.blocks() for seq in range(left, right)}
        assert held == {seq for seq in have if seq > next_missing}
        assert all({*range(left - tcb.irs, right - tcb.irs)} <= held for left, right in buffer.recent)
    total = next_missing - 1
    if total:
        assert wire.conn.recv(1000) == octets_at(1, total)


@settings(max_examples=150, deadline=None)
@given(SEGMENTS, st.randoms(use_true_random=False))
def test_conflicting_copies_against_a_dict_of_octets(segments, random):
    """Octets that arrive twice with different values: beyond a gap the first copy stays."""
    buffer, model, rcv_nxt = ReceiveBuffer(), {}, 1
    for offset, length in segments:
        left, data = 2 + offset, random.randbytes(length)
        buffer.hold(left, data)
        for i, octet in enumerate(data):
            model.setdefault(left + i, octet)
        buffer.check(rcv_nxt)
        assert {seq: octet for left, right in buffer.blocks() for seq, octet in _octets(buffer, left, right)} == model
    buffer.append(b"\0")
    end = buffer.advance(2)
    wanted = bytes(model[seq] for seq in range(2, end))
    assert buffer.read(1000) == b"\0" + wanted
    assert end not in model


def _octets(buffer, left, right):
    for i, octet in enumerate(buffer.octets(left)[: right - left]):
        yield left + i, octet


@settings(max_examples=100, deadline=None)
@given(st.lists(st.tuples(st.integers(1, 40), st.integers(0, 50)), min_size=1, max_size=30))
def test_reads_of_any_size_lose_nothing(steps):
    """In-order chunks and reads of any size, peeks included."""
    buffer, at, taken = ReceiveBuffer(), 1, b""
    for size, limit in steps:
        buffer.append(memoryview(octets_at(at, size)))
        at += size
        assert buffer.peek(limit) == octets_at(1 + len(taken), min(limit, buffer.ready))
        if limit:
            taken += buffer.read(limit)
        buffer.check(at)
    taken += buffer.read(10_000)
    assert taken == octets_at(1, at - 1)
