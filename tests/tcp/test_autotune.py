"""How receive buffers grow, and how the receiver knows its round-trip time (Linux's dynamic right-sizing)."""

import pytest

from netstack.tcp.acking import AckPolicy
from netstack.tcp.autotune import AutoTune, buffer_for
from netstack.tcp.info import tcp_info
from netstack.tcp.memory import Memory
from netstack.tcp.options import SocketOptions
from netstack.tcp.packets import Packets
from netstack.tcp.reassembly import ReceiveBuffer
from netstack.tcp.tcb import Tcb
from netstack.tcp.window import ReceiveWindow
from netstack.units import MILLISECOND, SECOND
from tests.script import FULL

RTT = 100 * MILLISECOND
SCALED = "mss 1460,sackOK,nop,wscale 7"


def tuned(space=10_000):
    tune = AutoTune()
    tune.start(space, 1, 0)
    return tune


# -- the receiver's round-trip time ------------------------------------------------------------------------------------


def test_an_echoed_timestamp_tells_the_round_trip_time():
    tune = tuned()
    tune.hear_echo(1, RTT, True, True)
    assert tune.rtt == RTT
    tune.hear_echo(2, 2 * RTT, True, True)  # smoothed, an eighth each
    assert tune.rtt == RTT + RTT // 8
    tune.hear_echo(3, 3 * RTT, True, False)  # the user was behind: the peer may have waited for us
    assert tune.rtt == RTT + RTT // 8
    tune.hear_echo(3, RTT // 4, True, False)  # the same again says nothing, nor does a small segment
    tune.hear_echo(4, RTT // 4, False, False)
    assert tune.rtt == RTT + RTT // 8
    tune.hear_echo(5, RTT // 2, True, False)  # less than ever is always believed
    assert tune.rtt == RTT // 2


def test_without_timestamps_a_window_of_data_takes_a_round_trip_at_least():
    tune = tuned()
    tune.measure(1, 1000, 0)
    tune.measure(1000, 1000, RTT // 2)
    assert tune.rtt == 0
    tune.measure(1001, 1000, RTT)
    assert tune.rtt == RTT
    tune.measure(2001, 1000, 5 * RTT)  # it paused
    assert tune.rtt == RTT
    tune.measure(3001, 1000, 5 * RTT + 10)
    assert tune.rtt == 10
    tune.measure(4001, 1000, 5 * RTT + 10)
    assert tune.rtt == 1


def test_after_a_while_only_every_window_is_looked_at():
    tune = tuned()
    for i in range(32):
        tune.measure(1 + i, 1000, i)
        assert tune.until == 1 + i
    tune.measure(100, 1000, 33)
    assert tune.until == 1001


# -- what the user takes -----------------------------------------------------------------------------------------------


def test_nothing_is_concluded_before_the_round_trip_time_is_known_or_over():
    tune = tuned()
    assert tune.look_from > 1000 * SECOND
    tune.hear_echo(1, RTT, True, True)
    assert tune.look_from == RTT
    tune.start(10_000, 1, SECOND)
    assert tune.look_from == SECOND + RTT
    tune.hear_echo(2, RTT // 2, True, True)
    assert tune.look_from == SECOND + RTT // 2
    assert tune.taken(20_001, 0, SECOND + RTT) == 20_000
    assert tune.look_from == SECOND + RTT + RTT // 2


def test_what_waits_was_not_taken_in_time():
    tune = tuned()
    tune.hear_echo(1, RTT, True, True)
    assert tune.taken(25_001, 10_000, RTT) == 15_000


def test_only_more_than_ever_counts():
    tune = tuned()
    tune.hear_echo(1, RTT, True, True)
    tune.space = tune.taken(20_001, 0, RTT)
    assert tune.space == 20_000
    assert tune.taken(40_001, 0, 2 * RTT) == 0
    assert tune.taken(60_002, 0, 3 * RTT) == 20_001


def test_a_trickle_that_adds_up_is_no_rate():
    tune = tuned()
    for i in range(33):  # this is for when not every read is looked at
        tune.measure(1 + i, 1000, i)
    tune.hear_echo(1, RTT, True, True)
    assert tune.taken(20_001, 0, 100 * RTT) == 0
    assert tune.space == 10_000
    assert tune.taken(40_001, 0, 101 * RTT) == 20_000  # and then it runs


def test_the_buffer_lets_the_sender_double_its_rate():
    assert buffer_for(100_000, 100_000, 0, 128, 1 << 30) == 400_000
    assert buffer_for(100_000, 100_000, 50_000, 128, 1 << 30) == 500_000  # holes must not stop it
    assert buffer_for(100_000, 50_000, 0, 128, 1 << 30) == 1_200_000  # the rate doubles, and this is a round trip late
    assert buffer_for(100_000, 100_000, 0, 64, 1 << 30) == 800_000  # segments cost four times what they hold
    assert buffer_for(100_000, 100_000, 0, 128, 300_000) == 300_000


# -- connections -------------------------------------------------------------------------------------------------------


def rounds(wire, count, octets, at=1, read=True):
    """`count` round trips in which the peer sends up to `octets(i)` octets in full segments and the user reads all."""
    tcb = wire.conn.tcb
    size = 1448 if tcb.ts_ok else 1460
    for i in range(count):
        room = min(octets(i), tcb.rcv_wup + tcb.rcv_wnd - tcb.rcv_nxt)
        for _ in range(room // size):
            wire.rx(f". {at}:{at + size}({size}) ack 1")
            wire.take()
            at += size
        if read:
            wire.recv(wire.conn.readable, limit=1 << 24)
        wire.take()
        wire.after(RTT).take()
    return at


@pytest.mark.parametrize("syn", [FULL, SCALED])
def test_the_window_grows_with_the_rate(wire, syn):  # with timestamps and without
    wire.established(syn=syn, rtt=RTT)
    first = wire.conn.window.clamp
    rounds(wire, 14, lambda i: min(15_000 << i // 2, 400_000))
    window = wire.conn.window
    assert window.clamp > 4 * first
    assert wire.conn.tcb.rcv_wnd > 4 * first
    assert 0.9 * RTT <= tcp_info(wire.conn, wire.bench.now)["rcv_rtt"] <= 2 * RTT
    assert tcp_info(wire.conn, wire.bench.now)["rcv_space"] > 100_000


def test_it_grows_no_further_than_tcp_rmem(wire):
    wire.setup(rmem=(4096, 131_072, 400_000)).established(syn=FULL, rtt=RTT)
    rounds(wire, 12, lambda i: min(15_000 << i // 2, 180_000))
    assert wire.conn.window.rcvbuf == 400_000
    assert wire.conn.window.clamp == 400_000 * 160 >> 8
    assert wire.conn.tcb.rcv_wnd <= 250_000 + 127


def test_a_user_who_does_not_read_gets_no_larger_buffer(wire):
    wire.established(syn=FULL, rtt=RTT)
    rounds(wire, 2, lambda i: 30_000, read=False)
    assert wire.conn.window.rcvbuf == 131_072


def test_a_slow_peer_gets_no_larger_window(wire):
    wire.established(syn=FULL, rtt=RTT)
    rounds(wire, 20, lambda i: 3_000)
    assert wire.conn.window.rcvbuf == 131_072


def test_switched_off(wire):  # tcp_moderate_rcvbuf
    wire.setup(moderate_rcvbuf=False).established(syn=FULL, rtt=RTT)
    rounds(wire, 6, lambda i: 60_000)
    assert wire.conn.window.rcvbuf == 131_072


def test_holes_make_room_for_what_comes_meanwhile(wire):  # Linux: so that recovery does not stall the sender
    wire.established(syn=FULL, rtt=RTT)
    wire.conn.window.tune.space = 20_000
    for left in range(1449, 60_000, 1448):
        wire.rx(f". {left}:{left + 1448}(1448) ack 1").take()
    assert wire.conn.window.rcvbuf == (2 * 20_000 + left + 1447) * 256 // 160


# -- windows -----------------------------------------------------------------------------------------------------------


def test_a_segment_is_kept_back_until_data_shows_how_it_fills(wire):  # Linux: rcv_ssthresh 64088, then more
    wire.established(syn=FULL, rtt=RTT)
    assert tcp_info(wire.conn, wire.bench.now)["rcv_ssthresh"] == 65_536 - 1448
    wire.rx(". 1:1449(1448) ack 1").take()  # 1448 octets of text cost 2304: 160/256 of the buffer may be offered
    assert tcp_info(wire.conn, wire.bench.now)["rcv_ssthresh"] == 65_160 + 2 * 1448
    assert wire.conn.window.clamp == 131_072 * 160 >> 8


def test_a_large_buffer_is_offered_with_the_first_scaled_window(wire):  # Linux 6.10 and later: no 64 KiB limit
    wire.setup(rmem=(4096, 540_000, 15_728_640)).listen()
    wire.rx(f"S 0:0(0) <{SCALED}>").tx("S. 0:0(0) ack 1 win 65535 <mss 1460,nop,nop,sackOK,nop,wscale 8>")
    wire.rx(". 1:1(0) ack 1").accept().rx(". 1:1001(1000) ack 1").tx(". 1:1(0) ack 1001 win 1046")


def test_small_segments_do_not_widen_the_window(wire):
    wire.setup(rmem=(4096, 540_000, 15_728_640)).established(syn=FULL)
    wire.conn.window.ssthresh = 50_000
    wire.rx(". 1:128(127) ack 1").take()
    assert wire.conn.window.ssthresh == 50_000
    wire.rx(". 128:256(128) ack 1").take()
    assert wire.conn.window.ssthresh == 50_000 + 2 * 536


def test_window_clamp_of_the_socket(wire):  # TCP_WINDOW_CLAMP
    wire.listen(window_clamp=30_000).rx(f"S 0:0(0) <{SCALED}>")
    wire.tx("S. 0:0(0) ack 1 win 29200 <mss 1460,nop,nop,sackOK,nop,wscale 0>").after(RTT)
    wire.rx(". 1:1(0) ack 1").accept()
    wire.rx(". 1:537(536) ack 1").tx(". 1:1(0) ack 537 win 29480").recv(536)
    wire.rx(". 537:1997(1460) ack 1").take()
    wire.recv(1460)
    rounds(wire, 6, lambda i: 28_000, at=1997)
    assert wire.conn.tcb.rcv_wnd > 30_000, "the first segment of another size is the end of it (Linux)"


def test_window_clamp_on_a_connection_bounds_what_is_offered_next(wire):
    wire.established(syn=SCALED)
    wire.conn.options.window_clamp = 20_000
    wire.rx(". 1:1461(1460) ack 1").take()
    wire.conn.choose_clamp()
    wire.rx(". 1461:2921(1460) ack 1").take()
    assert wire.conn.tcb.rcv_wnd + wire.conn.tcb.rcv_wup - wire.conn.tcb.irs >= 64_241, "the edge moved left"
    rounds(wire, 9, lambda i: 7_300, at=2921)
    assert wire.conn.tcb.rcv_wnd <= 20_000 + 127
    wire.conn.options.window_clamp = 1 << 30
    wire.conn.choose_clamp()
    assert wire.conn.window.clamp == 1 << 30


def test_unscaled_windows_say_what_sixteen_bits_can(wire):
    wire.setup(rmem=(4096, 540_000, 15_728_640)).established(syn="mss 1460")
    assert wire.conn.window.clamp == 65_535


def test_a_silly_window_is_not_opened(wire):  # less than a sixteenth of the buffer, or than a segment (Linux)
    wire.setup(rmem=(4096, 200_000, 6_291_456))
    memory = Memory(wire.stack.tcp)
    window = ReceiveWindow(SocketOptions(), 100_000, memory)
    tcb = Tcb(0, 1460, 1460)
    tcb.rcv_nxt = tcb.rcv_wup = 1
    acking = AckPolicy(1460, 1460, window, Packets(tcb, ReceiveBuffer()), False)
    acking.quick = 16
    assert window.select(tcb, 200_000 - 2 * 6_249, acking) == 0
    assert window.select(tcb, 200_000 - 2 * 6_250, acking) == 1460 * 4
    assert acking.quick == 0, "and who is short of memory hurries nobody (Linux)"
