"""Timestamps: echoes, round-trip times and PAWS (RFC 7323 3-5)."""

from netstack.tcp.state import CLOSED, ESTABLISHED
from netstack.units import MILLISECOND, SECOND
from tests.script import FULL

DAY = 24 * 3600 * SECOND


def test_every_segment_carries_them(wire):  # 3.2
    wire.established(syn=FULL).after(50 * MILLISECOND).send(10)
    wire.tx("P. 1:11(10) ack 1 <nop,nop,TS val 150 ecr 100>").after(10 * MILLISECOND)
    wire.rx("P. 1:11(10) ack 11").tx(". 11:11(0) ack 11 <nop,nop,TS val 160 ecr 160>")
    wire.call("shutdown").tx("F. 11:11(0) ack 11 <nop,nop,TS val 160 ecr 160>")


def test_segments_shrink_by_their_length(wire):  # 3.2: 12 octets; RFC 6691
    wire.established(syn=FULL).send(2000).tx(". 1:1449(1448) ack 1").tx("P. 1449:2001(552) ack 1")


def test_rst_carries_them(wire):  # 3.2 allows; Linux does
    wire.established(syn=FULL).call("abort").tx("R. 1:1(0) ack 1 <nop,nop,TS val 100 ecr 100>")


def test_old_data_is_dropped_and_answered(wire):  # 5.3 R1
    wire.established(syn=FULL).after(1 * SECOND).rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").recv(10)
    wire.rx("P. 11:21(10) ack 1", ts=(500, 0)).tx(". 1:1(0) ack 11 <nop,nop,TS val 1100 ecr 1100>")
    assert wire.conn.readable == 0
    assert (wire.drops["paws"], wire.mib["TcpExtPAWSEstab"]) == (1, 1)


def test_equal_timestamps_are_fresh(wire):  # 5.3 R1: SEG.TSval < TS.Recent
    wire.established(syn=FULL).rx("P. 1:11(10) ack 1", ts=(100, 100)).tx(". 1:1(0) ack 11")
    wire.rx("P. 11:21(10) ack 1", ts=(100, 100)).tx(". 1:1(0) ack 21").recv(20)


def test_old_reset_is_no_ghost(wire):  # 5.2: PAWS does not apply to RST
    wire.established(syn=FULL).rx("R 1:1(0)", ts=(50, 0)).state(CLOSED)


def test_comparison_survives_the_wrap(wire):  # 5.2: modulo 2^32
    wire.established(syn=FULL)
    for val in (0x4000_0000, 0x7FFF_FFF0, 0xBFFF_0000, 0xFFFF_FFF0, 0x1_0000_0010):
        at = wire.received
        wire.rx(f"P. {at + 1}:{at + 11}(10) ack 1", ts=(val & 0xFFFF_FFFF, 0)).tx(f". 1:1(0) ack {at + 11}").recv(10)
    wire.rx("P. 51:61(10) ack 1", ts=(0xFFFF_FFF0, 0)).tx(". 1:1(0) ack 51")  # old again


def test_after_24_days_idle_ts_recent_says_nothing(wire):  # 5.5
    wire.established(syn=FULL).rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").recv(10).quiet(24 * DAY)
    wire.rx("P. 11:21(10) ack 1", ts=(50, 0)).tx(". 1:1(0) ack 21").recv(10)


def test_after_23_days_idle_it_still_does(wire):
    wire.established(syn=FULL).rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").recv(10).quiet(23 * DAY)
    wire.rx("P. 11:21(10) ack 1", ts=(50, 0)).tx(". 1:1(0) ack 11")


def test_overtaken_ack_is_no_ghost(wire):  # Linux: a pure ACK a little older than the last changes nothing
    wire.established(syn=FULL).after(100 * MILLISECOND).rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").recv(10)
    wire.rx(". 11:11(0) ack 1").rx(". 11:11(0) ack 1", ts=(150, 0)).quiet()
    assert wire.drops.get("paws", 0) == 0


def test_segment_without_timestamps_is_accepted(wire):  # 3.2 says SHOULD drop. Deviation: as Linux
    wire.established(syn=FULL).rx("P. 1:11(10) ack 1", ts=False)
    wire.tx(". 1:1(0) ack 11 <nop,nop,TS val 100 ecr 100>").recv(10)


def test_out_of_order_segment_does_not_move_ts_recent(wire):  # 4.3: SEG.SEQ <= Last.ACK.sent
    wire.established(syn=FULL).after(100 * MILLISECOND)
    wire.rx("P. 11:21(10) ack 1").tx(". 1:1(0) ack 1 <TS val 200 ecr 100,sack 11:21>").after(100 * MILLISECOND)
    wire.rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 21 <nop,nop,TS val 300 ecr 300>").recv(20)


def test_echo_is_that_of_the_first_unacknowledged_segment(wire):  # 4.2: so the RTT includes our delay
    wire.established(syn=FULL).rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11")
    wire.send(10).tx("P. 1:11(10) ack 11").rx(". 11:11(0) ack 11")
    wire.after(1 * MILLISECOND).rx("P. 11:21(10) ack 11").after(10 * MILLISECOND).rx("P. 21:31(10) ack 11")
    wire.after(30 * MILLISECOND).tx(". 11:11(0) ack 31 <nop,nop,TS val 141 ecr 101>").recv(30)


def test_duplicate_segment_does_not_move_ts_recent_back(wire):
    wire.established(syn=FULL).after(100 * MILLISECOND).rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").recv(10)
    wire.rx("P. 1:11(10) ack 1", ts=(100, 0)).tx(
        ". 1:1(0) ack 11 <TS val 200 ecr 200,sack 1:11>"  # PAWS answers it, and RFC 2883 reports it
    )


def test_rtt_of_a_retransmission_is_unambiguous(wire):  # 4.1; Karn's problem solved
    wire.established(syn=FULL).send(10).tx("P. 1:11(10) ack 1").after(300 * MILLISECOND)
    wire.tx("P. 1:11(10) ack 1").after(50 * MILLISECOND)
    before = wire.conn.rtt.srtt
    wire.rx(". 1:1(0) ack 11")
    assert wire.conn.rtt.srtt == before + (50 * MILLISECOND - before) // 8


def test_zero_echo_is_no_rtt(wire):  # 3.2: TSecr is valid only with ACK; a zero is nobody's clock
    wire.established(syn=FULL).send(10).tx("P. 1:11(10) ack 1").after(300 * MILLISECOND).tx("P. 1:11(10) ack 1")
    before = wire.conn.rtt.srtt
    wire.rx(". 1:1(0) ack 11", ts=(1000, -wire.bases_in.ts_ecr))
    assert wire.conn.rtt.srtt == before
    wire.state(ESTABLISHED)
