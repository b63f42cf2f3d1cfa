"""Super-segments: one frame of up to 64 KiB each way where the device cuts and merges (RFC 9293 is none the wiser)."""

import pytest

from netstack.units import MILLISECOND
from tests.script import FULL
from tests.tcp.bursts import acks, burst, segments, sent

SACK = "mss 1000,nop,nop,sackOK"


def test_window_of_data_is_one_frame(wire):  # ten segments: the device cuts at gso_size
    wire.setup(offload=True).established(syn="mss 1000").send(30_000).tx("P. 1:10001(10000) ack 1", gso=1000).quiet()
    assert wire.mib["TcpOutSegs"] == 11  # and each of them counts


def test_single_segment_needs_no_cutting(wire):
    wire.setup(offload=True).established(syn="mss 1000").send(1000).tx("P. 1:1001(1000) ack 1").send(10)
    wire.tx("P. 1001:1011(10) ack 1")


def test_rest_rides_along(wire):  # full segments and a partial one in one frame, PSH on the last
    wire.setup(offload=True).established(syn="mss 1000").send(2500).tx("P. 1:2501(2500) ack 1", gso=1000)


def test_frame_is_at_most_64_kib(wire):  # IPv4's total length
    wire.setup(offload=True, initial_cwnd=200, rmem=(4096, 131_072, 6_291_456))
    wire.established(syn="mss 1460,nop,wscale 7", win=30_000).send(150_000)
    sizes = [int(text.split("(")[1].split(")")[0]) for text in wire.take()]
    assert sum(sizes) == 150_000
    assert max(sizes) <= 65_535 - 20 - 60
    assert all(size % 1460 == 0 for size in sizes[:-1])


def test_device_that_does_not_segment_gets_segments(wire):  # from the same transmit
    wire.established(syn="mss 1000").send(30_000)
    burst(wire, 1, 10_001)


def test_timestamps_are_in_every_piece(wire):  # the device repeats the header: gso_size leaves room
    wire.setup(offload=True).established(syn=FULL).send(10_000)
    wire.tx("P. 1:10001(10000) ack 1 <nop,nop,TS val 100 ecr 100>", gso=1448)


def test_fin_goes_with_the_last_piece(wire):
    wire.setup(offload=True).established(syn="mss 1000").send(2500).call("shutdown")
    wire.tx("FP. 1:2501(2500) ack 1", gso=1000).rx(". 1:1(0) ack 2502")


@pytest.mark.parametrize("syn", ["mss 1000", SACK])
def test_part_of_a_frame_is_retransmitted(wire, syn):  # loss is of segments, not of frames
    wire.setup(offload=True, congestion_control="reno").established(syn=syn).send(10_000)
    wire.tx("P. 1:10001(10000) ack 1", gso=1000).after(50 * MILLISECOND)
    left = acks(wire, 3001)
    for right in (5001, 6001, 7001):
        left += acks(wire, 3001, sack=f"4001:{right}" if syn == SACK else "")
    assert left == segments(3001, 4001)
    assert acks(wire, 10_001) == []


def test_holes_are_sent_as_super_segments_too(wire):  # what was lost together goes together
    wire.setup(offload=True, congestion_control="reno").established(syn=SACK).send(10_000)
    wire.tx("P. 1:10001(10000) ack 1", gso=1000).next().take()
    wire.next()
    assert sent(wire) == segments(1, 1001)
    wire.after(100 * MILLISECOND)
    assert acks(wire, 1001) == [". 1001:3001(2000) ack 1"]


def test_cumulative_ack_inside_a_frame(wire):  # then the timer
    wire.setup(offload=True).established(syn="mss 1000").send(10_000).tx("P. 1:10001(10000) ack 1", gso=1000)
    wire.rx(". 1:1(0) ack 2501").next()
    assert sent(wire) == segments(2501, 3501)


def test_received_frame_counts_as_its_segments(wire):  # ACK at once, and windows grow by segments
    wire.setup(offload=True).established(syn=FULL)
    for i in range(10):
        left = 1 + i * 14_480
        wire.rx(f". {left}:{left + 14_480}(14480) ack 1", gso=1448).tx(f". 1:1(0) ack {left + 14_480}").recv(14_480)


def test_sack_blocks_leave_less_for_text(wire):  # the device repeats them in every piece
    wire.setup(offload=True).established(syn=SACK).rx("P. 101:201(100) ack 1").tx(". 1:1(0) ack 1 <sack 101:201>")
    wire.send(3000).tx("P. 1:3001(3000) ack 1 <sack 101:201>", gso=988)


def test_verified_by_the_device_is_not_verified_again(wire):  # NEEDS_CSUM: the octets never left this machine
    wire.setup(offload=True).established().rx("P. 1:2921(2920) ack 1", gso=1460).tx(". 1:1(0) ack 2921").recv(2920)
    assert wire.mib["TcpInCsumErrors"] == 0


def test_unverified_frames_are_checked_with_offload_too(wire):  # bridged from a real network, say
    wire.setup(offload=True).established().rx("P. 1:11(10) ack 1", damage="checksum").quiet()
    assert wire.mib["TcpInCsumErrors"] == 1
