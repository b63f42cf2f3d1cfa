"""Opening (RFC 9293 3.5, 3.10.1, 3.10.7.2-3): three-way and simultaneous, SYNs lost, options agreed on."""

from errno import ECONNREFUSED, EPIPE, ETIMEDOUT

import pytest

from netstack.tcp.iss import Secret
from netstack.tcp.readiness import FAILED, HANGUP, READABLE, WRITABLE
from netstack.tcp.state import (
    CLOSED,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LISTEN,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
)
from netstack.units import MILLISECOND, SECOND
from tests.script import FULL, PEER, US

OFFER = "mss 1460,sackOK,TS val 0 ecr 0,nop,wscale 7"


def test_passive_open(wire):  # 3.5, Figure 6
    wire.listen().state(LISTEN)
    wire.rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1 win 64240 <mss 1460>").state(SYN_RECEIVED)
    wire.rx(". 1:1(0) ack 1").state(ESTABLISHED).quiet()
    wire.accept()
    assert wire.mib["TcpPassiveOpens"] == 1


def test_active_open(wire):  # 3.5, Figure 6
    wire.connect().tx(f"S 0:0(0) win 64240 <{OFFER}>").state(SYN_SENT)
    wire.rx("S. 0:0(0) ack 1 <mss 1460>").tx(". 1:1(0) ack 1 win 64240").state(ESTABLISHED).quiet()
    assert wire.told[-1] & WRITABLE
    assert wire.mib["TcpActiveOpens"] == 1


def test_active_open_with_data_waiting(wire):  # 3.10.2: queued in SYN-SENT, and the ACK rides on it
    wire.connect().tx("S 0:0(0)").send(10)
    wire.rx("S. 0:0(0) ack 1 <mss 1460>").tx("P. 1:11(10) ack 1").quiet()


def test_simultaneous_open(wire):  # 3.5, Figure 7
    wire.connect().tx("S 0:0(0)")
    wire.rx("S 0:0(0) <mss 1460>").tx(f"S. 0:0(0) ack 1 <{OFFER}>").state(SYN_RECEIVED)  # our SYN again, with an ACK
    wire.rx("S. 0:0(0) ack 1 <mss 1460>").tx(". 1:1(0) ack 1").state(ESTABLISHED)
    wire.send(10).tx("P. 1:11(10) ack 1").rx("P. 1:11(10) ack 11").tx(". 11:11(0) ack 11").recv(10)
    assert wire.told[0] & WRITABLE


def test_simultaneous_open_with_all_options(wire):  # RFC 7323 1.3, 2.2, 3.2: both SYNs carry them
    wire.connect().tx(f"S 0:0(0) <{OFFER}>")
    wire.rx(f"S 0:0(0) <{FULL}>").tx("S. 0:0(0) ack 1 <mss 1460,sackOK,TS val 0 ecr 0,nop,wscale 7>")
    wire.rx(f"S. 0:0(0) ack 1 <{FULL}>").tx(". 1:1(0) ack 1 <nop,nop,TS val 0 ecr 0,nop,nop,sack 0:1>")  # RFC 2883
    wire.state(ESTABLISHED)
    assert wire.conn.tcb.sack_ok
    assert (wire.conn.tcb.snd_wscale, wire.conn.tcb.rcv_wscale) == (7, 7)


def test_simultaneous_open_completed_by_a_bare_ack(wire):  # 3.10.7.4 fifth
    wire.connect().tx("S 0:0(0)").rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    wire.rx(". 1:1(0) ack 1").state(ESTABLISHED).quiet()


def test_simultaneous_open_survives_a_lost_syn_ack(wire):  # 3.8.1
    wire.connect().tx("S 0:0(0)").rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    wire.after(1 * SECOND).tx("S. 0:0(0) ack 1").rx(". 1:1(0) ack 1").state(ESTABLISHED)


def test_syn_is_retransmitted_with_backoff_and_given_up(wire):  # 3.8.3; RFC 6298 2.1, 5.5
    wire.setup(syn_retries=3, syn_linear_timeouts=0).connect().tx(f"S 0:0(0) <{OFFER}>")
    wire.after(1 * SECOND).tx("S 0:0(0) <mss 1460,sackOK,TS val 1000 ecr 0,nop,wscale 7>")
    wire.after(2 * SECOND).tx("S 0:0(0) <mss 1460,sackOK,TS val 3000 ecr 0,nop,wscale 7>")
    wire.after(4 * SECOND).tx("S 0:0(0) <mss 1460,sackOK,TS val 7000 ecr 0,nop,wscale 7>")
    wire.quiet(8 * SECOND - 1).state(SYN_SENT).quiet(1).state(CLOSED)
    assert wire.conn.error == ETIMEDOUT
    assert wire.told[-1] & (FAILED | HANGUP | READABLE | WRITABLE) == FAILED | HANGUP | READABLE | WRITABLE
    assert wire.mib["TcpExtTCPSynRetrans"] == 3


@pytest.mark.parametrize(
    ("retries", "syns", "end"),
    [
        (1, [1, 2], 3),  # where the back-off alone would have been so far
        (2, [1, 2, 3, 4, 5], 7),
        (3, [1, 2, 3, 4, 5, 7, 11], 19),  # by count
        (6, [1, 2, 3, 4, 5, 7, 11, 19, 35, 67], 131),
    ],
)
def test_syn_backs_off_only_after_four_tries(wire, retries, syns, end):  # Linux: tcp_syn_linear_timeouts = 4
    wire.connect(syncnt=retries).tx("S 0:0(0)")
    assert [at // SECOND for at, _ in wire.run()] == syns
    assert wire.now == end * SECOND
    assert wire.conn.error == ETIMEDOUT


def test_syn_count_of_the_socket_comes_first(wire):  # Linux: TCP_SYNCNT
    wire.setup(syn_linear_timeouts=0)
    wire.connect(syncnt=1).tx("S 0:0(0)").after(1 * SECOND).tx("S 0:0(0)").quiet(2 * SECOND).state(CLOSED)


def test_user_timeout_ends_a_connect(wire):  # 3.10.8
    wire.connect(user_timeout=5 * SECOND).tx("S 0:0(0)").after(1 * SECOND).tx("S 0:0(0)")
    for _ in range(3):
        wire.after(1 * SECOND).tx("S 0:0(0)")
    wire.quiet(1 * SECOND - 1).state(SYN_SENT).quiet(1).state(CLOSED)
    assert wire.conn.error == ETIMEDOUT


def test_late_syn_ack_opens_all_the_same(wire):
    wire.connect().tx("S 0:0(0)").after(1 * SECOND).tx("S 0:0(0)").after(500 * MILLISECOND)
    wire.rx("S. 0:0(0) ack 1 <mss 1460>").tx(". 1:1(0) ack 1").state(ESTABLISHED).quiet(10 * SECOND)


def test_retransmitted_syn_gives_no_rtt_sample(wire):  # Karn: RFC 6298 3; 5.7 sets the RTO to 3 s
    wire.connect().tx("S 0:0(0)").after(1 * SECOND).tx("S 0:0(0)").after(10 * MILLISECOND)
    wire.rx("S. 0:0(0) ack 1 <mss 1460>").tx(". 1:1(0) ack 1")
    assert wire.conn.rtt.srtt == 0


def test_syn_gives_an_rtt_sample(wire):  # RFC 6298 2.2: RTO = R + 4 * R/2, the latter at least 200 ms
    wire.connect().tx("S 0:0(0)").after(120 * MILLISECOND).rx("S. 0:0(0) ack 1 <mss 1460>").tx(". 1:1(0) ack 1")
    assert wire.conn.rtt.srtt == 120 * MILLISECOND
    assert wire.conn.rtt.rto == 360 * MILLISECOND


def test_retransmitted_syn_gives_a_sample_with_timestamps(wire):  # RFC 7323 4.1
    wire.connect().tx("S 0:0(0)").after(1 * SECOND).tx("S 0:0(0)").after(10 * MILLISECOND)
    wire.rx(f"S. 0:0(0) ack 1 <{FULL}>").tx(". 1:1(0) ack 1")
    assert wire.conn.rtt.srtt == 10 * MILLISECOND


def test_more_than_one_syn_retransmission_shrinks_the_initial_window(wire):  # RFC 5681 3.1: IW is 1 after a lost SYN
    wire.connect().tx("S 0:0(0)").after(1 * SECOND).tx("S 0:0(0)").after(1 * SECOND).tx("S 0:0(0)")
    wire.rx("S. 0:0(0) ack 1 <mss 1460>").tx(". 1:1(0) ack 1")
    assert wire.conn.recovery.cc.cwnd == 1
    wire.send(5000).tx(". 1:1461(1460) ack 1").quiet(100 * MILLISECOND)


def test_syn_ack_is_retransmitted_with_backoff_and_given_up(wire):  # 3.8.3; tcp_synack_retries
    wire.setup(synack_retries=2).listen().rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1 <mss 1460>")
    wire.after(1 * SECOND).tx("S. 0:0(0) ack 1 <mss 1460>").after(2 * SECOND).tx("S. 0:0(0) ack 1 <mss 1460>")
    wire.quiet(4 * SECOND - 1).state(SYN_RECEIVED).quiet(1).state(LISTEN)
    assert wire.listener.half_open == 0
    assert wire.listener.accept() is None


def test_peer_repeats_its_syn(wire):  # 3.8.1: our SYN-ACK was lost
    wire.listen().rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1").after(300 * MILLISECOND)
    wire.rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1 <mss 1460>").rx(". 1:1(0) ack 1").state(ESTABLISHED)


def test_final_ack_lost_and_data_opens(wire):  # 3.10.7.4 fifth, seventh
    wire.listen().rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    wire.rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").state(ESTABLISHED).accept().recv(10)


def test_data_and_fin_with_the_final_ack(wire):  # 3.10.7.4 fifth, seventh, eighth in one segment
    wire.listen().rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    wire.rx("FP. 1:11(10) ack 1").after(40 * MILLISECOND).tx(". 1:1(0) ack 12").accept().recv(10)
    assert wire.conn.eof


def test_data_on_the_syn_is_not_taken(wire):  # 3.10.7.2 third: may be queued; the SYN-ACK acknowledges the SYN only
    wire.listen().rx("S 0:10(10) <mss 1460>", data=b"0123456789").tx("S. 0:0(0) ack 1")
    wire.rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").accept().recv(10)


def test_connection_refused(wire):  # 3.10.7.3 second
    wire.connect().tx("S 0:0(0)").rx("R. 0:0(0) ack 1").state(CLOSED).quiet()
    assert wire.conn.error == ECONNREFUSED
    assert wire.told[-1] & FAILED


def test_rst_without_acceptable_ack_refuses_nothing(wire):  # 3.10.7.3 first, second
    wire.connect().tx("S 0:0(0)")
    wire.rx("R 0:0(0)").rx("R. 0:0(0) ack 0").rx("R. 0:0(0) ack 2").state(SYN_SENT).quiet()


def test_old_duplicate_syn_is_recovered_from(wire):  # 3.5, Figure 8: the peer resets our answer to its old SYN
    wire.listen().rx("S -90:-90(0) <mss 1460>").tx("S. 0:0(0) ack -89")
    wire.rx("R -89:-89(0)").state(LISTEN)
    wire.rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1").rx(". 1:1(0) ack 1").state(ESTABLISHED)


def test_half_open_connection_is_discovered(wire):  # 3.5.1, Figure 9: the peer crashed and opens again
    wire.connect(40_000).tx("S 0:0(0)")
    wire.rx(". 300:300(0) ack 100").tx("R 100:100(0)").state(SYN_SENT)
    wire.after(8 * MILLISECOND).tx("S 0:0(0)")  # soon, as in Linux: our RST has ended the old connection
    wire.rx("S. 0:0(0) ack 1 <mss 1460>").tx(". 1:1(0) ack 1").state(ESTABLISHED)


def test_close_while_opening_sends_nothing(wire):  # 3.10.4, SYN-SENT
    wire.connect().tx("S 0:0(0)").call("close").state(CLOSED).quiet(200 * SECOND)
    wire.rx("S. 0:0(0) ack 1 <mss 1460>").tx("R 1:1(0)")  # too late


def test_close_in_syn_received_waits_for_the_ack(wire):  # 3.10.4, SYN-RECEIVED: "otherwise queue"
    wire.connect().tx("S 0:0(0)").rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    wire.send(10).call("shutdown").state(SYN_RECEIVED).quiet()
    wire.rx(". 1:1(0) ack 1").tx("FP. 1:11(10) ack 1").state(FIN_WAIT_1)


def test_close_after_a_simultaneous_open_sends_the_fin_at_once(wire):  # 3.10.4, SYN-RECEIVED: "form a FIN"
    wire.connect().tx("S 0:0(0)").rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    wire.call("close").tx("F. 1:1(0) ack 1").quiet()
    wire.rx(". 1:1(0) ack 1").state(FIN_WAIT_1).rx(". 1:1(0) ack 2").state(FIN_WAIT_2)
    wire.rx("F. 1:1(0) ack 2").tx(". 2:2(0) ack 2").state(TIME_WAIT)


def test_early_fin_is_acknowledged_with_the_syn_or_sent_again(wire):
    wire.connect().tx("S 0:0(0)").rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1")
    wire.call("close").tx("F. 1:1(0) ack 1").quiet()
    wire.rx(". 1:1(0) ack 1").state(FIN_WAIT_1).after(204 * MILLISECOND).tx("F. 1:1(0) ack 1")
    wire.rx(". 1:1(0) ack 2").state(FIN_WAIT_2)


def test_send_after_a_refusal_is_a_broken_pipe(wire):  # 3.10.2
    wire.connect().tx("S 0:0(0)").rx("R. 0:0(0) ack 1")
    with pytest.raises(BrokenPipeError) as raised:
        wire.conn.send(b"x")
    assert raised.value.errno == EPIPE


# -- options -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("stamps", [True, False])
@pytest.mark.parametrize("sack", [True, False])
@pytest.mark.parametrize("scale", [True, False])
def test_options_of_our_syn(wire, stamps, sack, scale):  # Linux's layouts, one for each combination
    layout = {
        (True, True): "mss 1460,sackOK,TS val 0 ecr 0",
        (True, False): "mss 1460,nop,nop,TS val 0 ecr 0",
        (False, True): "mss 1460,nop,nop,sackOK",
        (False, False): "mss 1460",
    }[stamps, sack]
    wire.setup(timestamps=stamps, sack=sack, window_scaling=scale)
    wire.connect().tx(f"S 0:0(0) <{layout + ',nop,wscale 7' * scale}>")


@pytest.mark.parametrize("ours", range(8))
@pytest.mark.parametrize("theirs", range(8))
def test_options_are_used_when_both_sides_offer_them(wire, ours, theirs):  # RFC 7323 2.2, 3.2; RFC 2018 2
    both = ours & theirs
    wire.setup(timestamps=bool(ours & 1), sack=bool(ours & 2), window_scaling=bool(ours & 4))
    offer = ["mss 1000"] + ["sackOK"] * (theirs >> 1 & 1) + ["TS"] * (theirs & 1) + ["nop,wscale 3"] * (theirs >> 2)
    wire.listen().rx(f"S 0:0(0) win 5000 <{','.join(offer)}>")
    answer = {0: "", 1: ",nop,nop,TS val 0 ecr 0", 2: ",nop,nop,sackOK", 3: ",sackOK,TS val 0 ecr 0"}[both & 3]
    offered = 45 * 1448 if both & 1 else 44 * 1460  # half the buffer in whole segments, as many as 16 bits can say
    wire.tx(f"S. 0:0(0) ack 1 win {offered} <mss 1460{answer}{',nop,wscale 7' * (both >> 2)}>")
    wire.win = 5000
    wire.rx(". 1:1(0) ack 1").accept()
    tcb = wire.conn.tcb
    assert (tcb.ts_ok, tcb.sack_ok, bool(tcb.snd_wscale)) == (bool(both & 1), bool(both & 2), bool(both & 4))
    assert tcb.snd_wnd == (40_000 if both & 4 else 5000)
    assert tcb.eff_snd_mss == (988 if both & 1 else 1000)
    segment = 988 if both & 1 else 1000
    push = "" if both & 4 else "P"  # more than half the window is pushed at once
    wire.send(2500).tx(f". 1:{1 + segment}({segment}) ack 1")
    wire.tx(f"{push}. {1 + segment}:{1 + 2 * segment}({segment}) ack 1")
    rest = 2500 - 2 * segment
    wire.tx(f"P. {2501 - rest}:2501({rest}) ack 1" + (" <nop,nop,TS val 0 ecr 0>" if both & 1 else " <>"))


@pytest.mark.parametrize("theirs", range(8))
def test_options_answered_to_our_syn(wire, theirs):  # what the SYN-ACK lacks is not used
    wire.connect().tx(f"S 0:0(0) <{OFFER}>")
    offer = ["mss 1000"] + ["sackOK"] * (theirs >> 1 & 1) + ["TS"] * (theirs & 1) + ["nop,wscale 3"] * (theirs >> 2)
    wire.rx(f"S. 0:0(0) ack 1 win 5000 <{','.join(offer)}>")
    window, stamps = "502" if theirs & 4 else "64240", "nop,nop,TS val 0 ecr 0" if theirs & 1 else ""
    wire.tx(f". 1:1(0) ack 1 win {window} <{stamps}>")
    tcb = wire.conn.tcb
    assert (tcb.ts_ok, tcb.sack_ok) == (bool(theirs & 1), bool(theirs & 2))
    assert tcb.snd_wnd == 5000  # the window of a SYN is never scaled (RFC 7323 2.2)
    assert (tcb.snd_wscale, tcb.rcv_wscale) == ((3, 7) if theirs & 4 else (0, 0))


def test_mss_is_536_when_the_peer_says_none(wire):  # 3.7.1
    wire.established(syn="nop,nop,nop,eol").send(1000).tx(". 1:537(536) ack 1").tx("P. 537:1001(464) ack 1")


def test_mss_of_the_peer_limits_segments(wire):  # 3.7.1
    wire.established(syn="mss 500").send(700).tx(". 1:501(500) ack 1").tx("P. 501:701(200) ack 1")


def test_tiny_mss_is_not_believed(wire):  # Linux: TCP_MIN_SND_MSS, or a few octets would cost 40 each
    wire.established(syn="mss 1").send(100).tx(". 1:49(48) ack 1").tx("P. 49:97(48) ack 1").tx("P. 97:101(4) ack 1")


def test_mss_of_the_path_limits_both(wire):  # 3.7.1: MTU less 40
    wire.setup(mtu=1000).established(syn="mss 1460").send(1500).tx(". 1:961(960) ack 1").tx("P. 961:1501(540) ack 1")


def test_mss_announced_is_that_of_the_link(wire):  # 3.7.1, RFC 6691
    wire.setup(mtu=9000).listen().rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1 <mss 8960>")


def test_maxseg_of_the_socket_limits_both(wire):  # Linux: TCP_MAXSEG
    wire.listen(maxseg=600).rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1 <mss 600>").rx(". 1:1(0) ack 1").accept()
    wire.send(700).tx(". 1:601(600) ack 1").tx("P. 601:701(100) ack 1")


def test_unknown_and_padding_options_are_ignored(wire):  # 3.1
    wire.listen().rx("S 0:0(0) <nop,nop,nop,mss 1000,nop,eol>").tx("S. 0:0(0) ack 1 <mss 1460>")


def test_window_scale_above_14_counts_as_14(wire):  # RFC 7323 2.3
    wire.listen().rx("S 0:0(0) <mss 1460,nop,wscale 200>").tx("S. 0:0(0) ack 1 <mss 1460,nop,wscale 7>")
    wire.rx(". 1:1(0) ack 1 win 10").accept()
    assert wire.conn.tcb.snd_wnd == 10 << 14


def test_a_scale_of_zero_is_an_offer_too(wire):  # RFC 7323 2.2
    wire.listen().rx("S 0:0(0) <mss 1460,nop,wscale 0>").tx("S. 0:0(0) ack 1 <mss 1460,nop,wscale 7>")


@pytest.mark.parametrize(("rcvbuf", "win", "shift"), [(4096, 1460, 0), (200_000, 65_535, 1), (0, 64_240, 7)])
def test_the_shift_follows_what_the_buffer_could_grow_to(wire, rcvbuf, win, shift):  # Linux; SO_RCVBUF does not grow
    wire.listen(rcvbuf=rcvbuf).rx("S 0:0(0) <mss 1460,nop,wscale 2>")
    wire.tx(f"S. 0:0(0) ack 1 win {win} <mss 1460,nop,wscale {shift}>")


def test_options_in_later_segments_change_nothing(wire):  # 3.2: MSS only on SYNs
    wire.established().rx(". 1:1(0) ack 1 <mss 100,sackOK,nop,wscale 5>").send(1000).tx("P. 1:1001(1000) ack 1")


# -- initial sequence numbers ------------------------------------------------------------------------------------------


def test_initial_sequence_numbers_follow_a_clock_and_a_secret():  # RFC 6528 3
    tuple_a, tuple_b = PEER + US + b"\x9c\x40\0P", PEER + US + b"\x9c\x41\0P"
    secret = Secret(bytes(32))
    assert secret.iss(tuple_a, 4_000_000) - secret.iss(tuple_a, 0) & 0xFFFF_FFFF == 1_000_000  # one per 4 microseconds
    assert secret.iss(tuple_a, 0) != secret.iss(tuple_b, 0)
    assert secret.iss(tuple_a, 0) != Secret(bytes(31) + b"\1").iss(tuple_a, 0)


def test_timestamps_start_at_another_point_for_each_peer():  # RFC 7323 7.1
    secret = Secret(bytes(32))
    assert secret.ts_offset(PEER + US) != secret.ts_offset(US + PEER)
