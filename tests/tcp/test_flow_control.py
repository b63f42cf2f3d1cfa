"""Flow control (RFC 9293 3.8.6): windows on both sides, probes of a closed one, no silly windows."""

from errno import ETIMEDOUT

import pytest

from netstack.tcp.readiness import READABLE
from netstack.tcp.state import CLOSED, ESTABLISHED, FIN_WAIT_1
from netstack.units import MILLISECOND, SECOND
from tests.script import FULL
from tests.tcp.bursts import burst, segments, sent

# -- the peer's window -------------------------------------------------------------------------------------------------


def test_nothing_is_sent_beyond_the_window(wire):  # 3.8.6
    wire.established(syn="mss 1000", win=3000).send(10_000)
    burst(wire, 1, 3001).quiet().rx(". 1:1(0) ack 2001")
    burst(wire, 3001, 5001).rx(". 1:1(0) ack 5001 win 1000")
    burst(wire, 5001, 6001).quiet(100 * MILLISECOND)


def test_window_is_scaled(wire):  # RFC 7323 2.3: all but SYNs
    wire.established(syn="mss 1000,nop,wscale 2", win=1000).send(10_000)
    burst(wire, 1, 4001).rx(". 1:1(0) ack 4001 win 500")
    burst(wire, 4001, 6001).quiet(100 * MILLISECOND)


def test_window_of_an_older_segment_is_not_used(wire):  # 3.10.7.4 fifth: SND.WL1, SND.WL2
    wire.established(syn="mss 1000", win=2000).send(10_000)
    burst(wire, 1, 2001).rx("P. 1:101(100) ack 1").tx(". 2001:2001(0) ack 101").recv(100)
    wire.rx(". 101:101(0) ack 2001 win 1000").tx(". 2001:3001(1000) ack 101")
    wire.rx(". 1:1(0) ack 2001 win 9000").tx(". 3001:3001(0) ack 101")  # below the window: only answered
    wire.rx("P. 91:101(10) ack 2001 win 9000").tx(". 3001:3001(0) ack 101").quiet(100 * MILLISECOND)


def test_window_that_shrinks_is_tolerated(wire):  # 3.8.6: "should be prepared": nothing new, but retransmissions
    wire.established(syn="mss 1000", win=5000).send(10_000)
    burst(wire, 1, 5001).rx(". 1:1(0) ack 1001 win 1000")
    wire.quiet(wire.conn.rtt.timeout() - 1).after(1).tx(". 1001:2001(1000) ack 1")
    wire.rx(". 1:1(0) ack 5001 win 1000")
    burst(wire, 5001, 6001).quiet(100 * MILLISECOND)


def test_window_that_shrinks_to_nothing_still_gets_the_first_segment_again(wire):  # 3.8.6: SHLD-17, MUST-34
    wire.established(syn="mss 1000", win=3000).send(3000)
    burst(wire, 1, 3001).rx(". 1:1(0) ack 1001 win 0")
    wire.after(wire.conn.rtt.timeout())
    assert sent(wire) == segments(1001, 2001)


# -- probes of a closed window -----------------------------------------------------------------------------------------


def closed(wire, **options):
    """The window is closed, and data waits."""
    wire.established(syn="mss 1000", win=1000, **options).send(3000)
    wire.tx(". 1:501(500) ack 1").tx("P. 501:1001(500) ack 1").after(100 * MILLISECOND)
    return wire.rx(". 1:1(0) ack 1001 win 0")


def opened(wire):
    """The window is open again: what was cut for a small one leaves, except the last piece, which Nagle holds."""
    return wire.tx(". 1001:2001(1000) ack 1").tx("P. 2001:2501(500) ack 1")


def test_closed_window_is_probed_with_backoff(wire):  # 3.8.6.1 MUST-35, MUST-36, SHLD-29, SHLD-30
    closed(wire)
    for delay in (300, 600, 1200, 2400):
        wire.quiet(delay * MILLISECOND - 1).after(1).tx(". 1000:1000(0) ack 1").rx(". 1:1(0) ack 1001 win 0")


def test_interval_of_probes_is_bounded(wire):  # 3.8.6.1: by 120 s, as the RTO
    closed(wire)
    times = []
    for _ in range(15):
        before = wire.now
        wire.after(wire.stack.deadline() - wire.bench.now).tx(". 1000:1000(0) ack 1").rx(". 1:1(0) ack 1001 win 0")
        times.append(wire.now - before)
    assert times[-3:] == [120 * SECOND] * 3


def test_peer_that_answers_probes_may_keep_its_window_closed_for_ever(wire):  # 3.8.6.1 MUST-37
    closed(wire)
    for _ in range(60):
        wire.after(wire.stack.deadline() - wire.bench.now).tx(". 1000:1000(0) ack 1").rx(". 1:1(0) ack 1001 win 0")
    wire.state(ESTABLISHED).rx(". 1:1(0) ack 1001 win 5000")
    opened(wire)


def test_peer_that_stops_answering_probes_is_given_up(wire):  # 3.8.3 R2
    wire.setup(retries2=4)
    closed(wire)
    assert [text for _, text in wire.run()] == [". 1000:1000(0) ack 1"] * 4
    assert wire.state(CLOSED).conn.error == ETIMEDOUT


def test_user_timeout_ends_probing(wire):  # 3.8.3
    closed(wire, user_timeout=2 * SECOND)
    for delay in (300, 600, 1200):
        wire.after(delay * MILLISECOND).tx(". 1000:1000(0) ack 1")
    wire.quiet(200 * MILLISECOND - 1).state(ESTABLISHED).quiet(1).state(CLOSED)


def test_opened_window_lets_data_go_at_once(wire):
    closed(wire)
    wire.after(300 * MILLISECOND).tx(". 1000:1000(0) ack 1").rx(". 1:1(0) ack 1001 win 0").after(100 * MILLISECOND)
    wire.rx(". 1:1(0) ack 1001 win 10000")
    opened(wire).rx(". 1:1(0) ack 2501 win 10000").tx("P. 2501:3001(500) ack 1").rx(". 1:1(0) ack 3001 win 10000")
    wire.quiet(200 * SECOND)


def test_lost_window_update_is_recovered_by_the_probe(wire):
    closed(wire)
    wire.after(300 * MILLISECOND).tx(". 1000:1000(0) ack 1").rx(". 1:1(0) ack 1001 win 10000")
    opened(wire)


def test_next_closed_window_is_probed_from_the_start_again(wire):
    closed(wire)
    for delay in (300, 600):
        wire.after(delay * MILLISECOND).tx(". 1000:1000(0) ack 1").rx(". 1:1(0) ack 1001 win 0")
    wire.rx(". 1:1(0) ack 1001 win 1000").tx(". 1001:1501(500) ack 1").tx("P. 1501:2001(500) ack 1")
    wire.after(100 * MILLISECOND).rx(". 1:1(0) ack 2001 win 0")
    wire.quiet(wire.conn.rtt.timeout() - 1).after(1).tx(". 2000:2000(0) ack 1")


def test_window_closed_from_the_start_is_probed(wire):
    wire.established(win=0).send(100).quiet(300 * MILLISECOND - 1).after(1).tx(". 0:0(0) ack 1")
    wire.rx(". 1:1(0) ack 1 win 100").tx("P. 1:101(100) ack 1")


def test_fin_waits_for_a_window_too(wire):  # it occupies a sequence number
    wire.established(syn="mss 1000", win=1000).send(1000).tx(". 1:501(500) ack 1").tx("P. 501:1001(500) ack 1")
    wire.call("shutdown").quiet(100 * MILLISECOND).rx(". 1:1(0) ack 1001 win 0").state(FIN_WAIT_1)
    wire.quiet(300 * MILLISECOND - 1).after(1).tx(". 1000:1000(0) ack 1")
    wire.rx(". 1:1(0) ack 1001 win 1").tx("F. 1001:1001(0) ack 1")


def test_orphan_does_not_probe_for_ever(wire):  # Linux: tcp_orphan_retries
    wire.setup(orphan_retries=3)
    closed(wire).call("close")
    assert [text for _, text in wire.run()] == [". 1000:1000(0) ack 1"] * 3
    wire.state(CLOSED)


# -- silly windows, sender (3.8.6.2.1) ---------------------------------------------------------------------------------


def test_sliver_of_a_window_is_not_used(wire):  # until the timer overrides
    wire.established(syn="mss 1000", win=10_000).send(10_000)
    burst(wire, 1, 10_001).rx(". 1:1(0) ack 10001 win 300").send(3000).quiet(wire.conn.rtt.timeout() - 1)
    wire.after(1)
    assert sent(wire) == segments(10_001, 10_301)


def test_half_of_the_largest_window_seen_is_worth_using(wire):  # 3.8.6.2.1 (3): a peer with a tiny buffer
    wire.established(syn="mss 1000", win=800).send(2000).tx(". 1:401(400) ack 1").tx("P. 401:801(400) ack 1")
    wire.rx(". 1:1(0) ack 401 win 400").quiet().rx(". 1:1(0) ack 801 win 400")
    assert sent(wire) == segments(801, 1201, 400)


def test_everything_queued_is_worth_sending(wire):  # 3.8.6.2.1 (2)
    wire.established(syn="mss 1000", win=10_000).send(10_000)
    burst(wire, 1, 10_001).rx(". 1:1(0) ack 10001 win 300").send(200).tx("P. 10001:10201(200) ack 1")


# -- our window --------------------------------------------------------------------------------------------------------


def fill(wire, octets, segment=1460):
    """The peer sends this much, which nobody reads; all of it is acknowledged."""
    wire.established(rcvbuf=11_680)  # a window of 4 segments, and of 5 when those are seen to be full
    for left in range(1, octets, segment):
        wire.rx(f". {left}:{left + segment}({segment}) ack 1").take()
    wire.after(200 * MILLISECOND).take()
    return wire


def test_unread_data_closes_the_window(wire):  # 3.8.6: and the right edge stays where it is
    wire.established(rcvbuf=11_680)
    wire.rx(". 1:1461(1460) ack 1").tx(". 1:1(0) ack 1461 win 5840")
    wire.rx(". 1461:2921(1460) ack 1").tx(". 1:1(0) ack 2921 win 4380")
    wire.rx(". 2921:4381(1460) ack 1").tx(". 1:1(0) ack 4381 win 2920")
    wire.rx(". 4381:5841(1460) ack 1").rx("P. 5841:7301(1460) ack 1")
    wire.after(40 * MILLISECOND).tx(". 1:1(0) ack 7301 win 0")
    assert wire.conn.readable == 7300


def test_text_beyond_a_closed_window_is_refused_and_answered(wire):  # 3.10.7.4 first, seventh
    fill(wire, 7300).rx("P. 7301:8761(1460) ack 1").tx(". 1:1(0) ack 7301 win 0")
    assert wire.conn.readable == 7300
    assert wire.mib["TcpExtBeyondWindow"] == 1


def test_window_probe_of_one_octet_is_answered(wire):  # 3.8.6.1 MUST-35's other side
    fill(wire, 7300).after(1 * SECOND).rx("P. 7301:7302(1) ack 1").tx(". 1:1(0) ack 7301 win 0")


def test_window_probe_as_linux_sends_it_is_answered(wire):
    fill(wire, 7300).after(1 * SECOND).rx(". 7300:7300(0) ack 1").tx(". 1:1(0) ack 7301 win 0")


def test_ack_on_refused_text_is_heard(wire):  # 3.10.7.4: a closed window must not stop our side (MUST-66)
    fill(wire, 7300).send(100).tx("P. 1:101(100) ack 7301 win 0")
    wire.rx("P. 7301:8761(1460) ack 101").tx(". 101:101(0) ack 7301")
    assert wire.conn.tcb.snd_una - wire.conn.tcb.iss == 101


def test_text_beyond_the_window_is_refused_while_something_is_unread(wire):  # Linux: all of it, not the part outside
    fill(wire, 5840).rx("P. 5841:7841(2000) ack 1").tx(". 1:1(0) ack 5841 win 1460").recv(5840)
    wire.tx(". 1:1(0) ack 5841 win 5840").rx("P. 5841:7841(2000) ack 1").next().tx(". 1:1(0) ack 7841")


def test_text_beyond_the_window_is_taken_whole_by_a_user_who_waits(wire):  # Linux
    wire.established(rcvbuf=11_680).rx("P. 1:7001(7000) ack 1").next().tx(". 1:1(0) ack 7001 win 1460").recv(7000)
    wire.tx(". 1:1(0) ack 7001 win 5840")


def test_fin_beyond_the_window_does_not_count(wire):  # 3.10.7.4: refused with the text
    fill(wire, 5840).rx("FP. 5841:7841(2000) ack 1").tx(". 1:1(0) ack 5841 win 1460").state(ESTABLISHED).recv(5840)
    wire.tx(". 1:1(0) ack 5841 win 5840").rx("FP. 5841:7841(2000) ack 1").next().tx(". 1:1(0) ack 7842").recv(2000)


def test_bare_fin_is_taken_although_the_window_is_closed(wire):  # it needs no room; Linux does so too
    fill(wire, 7300).rx("F. 7301:7301(0) ack 1").next().tx(". 1:1(0) ack 7302").recv(7300)
    assert wire.conn.eof


def test_reading_everything_announces_the_window(wire):  # 3.8.6.2.2
    fill(wire, 7300).recv(7300).tx(". 1:1(0) ack 7301 win 5840").quiet()


def test_reading_a_little_does_not(wire):  # 3.8.6.2.2: not before min(segment, half the buffer) is free
    fill(wire, 7300).recv(100, limit=100).quiet().recv(1359, limit=1359).quiet()  # a packet is freed as a whole
    wire.recv(1, limit=1).tx(". 1:1(0) ack 7301 win 1460")
    wire.recv(1460, limit=1460).tx(". 1:1(0) ack 7301 win 2920")


def test_right_edge_never_moves_left(wire):  # 3.8.6: the rig asserts it on every segment that leaves
    wire.established(syn=FULL, rcvbuf=20_000)
    at, sizes = 1, (1, 700, 1448, 3, 1448, 1448, 99, 1448)
    for i in range(60):
        size = min(sizes[i % len(sizes)], wire.conn.tcb.rcv_wup + wire.conn.tcb.rcv_wnd - wire.conn.tcb.rcv_nxt)
        if size > 0:
            wire.rx(f". {at}:{at + size}({size}) ack 1")
            at += size
        if i % 3 == 2:
            wire.recv(min(wire.conn.readable, 1000), limit=1000) if wire.conn.readable else None
        wire.take()
    assert wire.conn.readable <= 10_000


def test_buffer_grows_for_a_peer_that_fills_it_and_a_user_that_reads(wire):  # Linux: receive buffer auto-tuning
    wire.established(syn=FULL, rtt=10 * MILLISECOND)
    at, first = 1, 0
    for _ in range(30):
        for _ in range(30):
            wire.rx(f". {at}:{at + 1448}(1448) ack 1").take()
            at += 1448
        wire.recv(30 * 1448)
        wire.take()
        wire.after(10 * MILLISECOND)
        wire.take()
        first = first or wire.conn.window.rcvbuf
    assert wire.conn.window.rcvbuf >= first
    assert wire.conn.window.rcvbuf <= 6_291_456


def test_locked_buffer_does_not_grow(wire):  # SO_RCVBUF
    wire.established(syn=FULL, rcvbuf=30_000, rtt=10 * MILLISECOND)
    at = 1
    for _ in range(30):
        for _ in range(8):
            wire.rx(f". {at}:{at + 1448}(1448) ack 1").take()
            at += 1448
        wire.recv(8 * 1448)
        wire.take()
        wire.after(10 * MILLISECOND)
        wire.take()
    assert wire.conn.window.rcvbuf == 30_000


def test_observer_is_told_of_data_once_a_turn(wire):
    wire.established()
    with wire.turn():
        wire.rx("P. 1:11(10) ack 1").rx("P. 11:21(10) ack 1").rx("P. 21:31(10) ack 1")
    assert wire.told == [READABLE]
    wire.take()
    wire.recv(30)


@pytest.mark.parametrize("size", [1, 100, 1459])
def test_held_data_counts_against_the_window(wire, size):  # what is beyond a gap takes room too
    wire.established(rcvbuf=11_680).rx(f". 2921:{2921 + size}({size}) ack 1").tx(". 1:1(0) ack 1 win 5840")
    wire.rx(". 1:1461(1460) ack 1").tx(". 1:1(0) ack 1461 win 4380").recv(1460)  # 5840, if nothing were
    wire.take()
