"""Closing (RFC 9293 3.6, 3.10.4-5, 3.10.7.4 eighth; RFC 1122 4.2.2.13, RFC 2525 2.17)."""

from errno import ECONNRESET, EPIPE, ETIMEDOUT

import pytest

from netstack.events import StateChanged
from netstack.tcp.readiness import HANGUP, READABLE
from netstack.tcp.state import (
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT_1,
    FIN_WAIT_2,
    LAST_ACK,
    SYN_RECEIVED,
    TIME_WAIT,
    Cause,
)
from netstack.units import MILLISECOND, SECOND
from tests.script import FULL

MSL = 30 * SECOND


def test_active_close(wire):  # 3.6, case 1; Figure 12
    wire.established().call("close").tx("F. 1:1(0) ack 1").state(FIN_WAIT_1)
    wire.rx(". 1:1(0) ack 2").state(FIN_WAIT_2).quiet()
    wire.rx("F. 1:1(0) ack 2").tx(". 2:2(0) ack 2").state(TIME_WAIT)
    wire.quiet(2 * MSL - 1).state(TIME_WAIT).quiet(1).state(CLOSED)


def test_passive_close(wire):  # 3.6, case 2; Figure 12
    wire.established().rx("F. 1:1(0) ack 1").next().tx(". 1:1(0) ack 2").state(CLOSE_WAIT)
    assert wire.told == [READABLE]
    assert wire.conn.recv(100) == b""
    wire.call("close").tx("F. 1:1(0) ack 2").state(LAST_ACK)
    wire.rx(". 2:2(0) ack 2").state(CLOSED).quiet(2 * MSL)


def test_simultaneous_close(wire):  # 3.6, case 3; Figure 13
    wire.established().call("close").tx("F. 1:1(0) ack 1")
    wire.rx("F. 1:1(0) ack 1").tx(". 2:2(0) ack 2").state(CLOSING)
    wire.rx(". 2:2(0) ack 2").state(TIME_WAIT).quiet()
    wire.after(2 * MSL).state(CLOSED)


def test_fin_and_ack_of_ours_in_one(wire):  # 3.10.7.4 fifth, eighth: FIN-WAIT-1, -2 and TIME-WAIT in one segment
    wire.established().call("close").tx("F. 1:1(0) ack 1")
    wire.rx("F. 1:1(0) ack 2").tx(". 2:2(0) ack 2").state(TIME_WAIT)


def test_fin_follows_queued_data(wire):  # 3.10.4: everything queued is sent first
    wire.established().send(2000).call("close").tx(". 1:1461(1460) ack 1").tx("FP. 1461:2001(540) ack 1")
    wire.rx(". 1:1(0) ack 2002").state(FIN_WAIT_2)


def test_fin_waits_for_the_window(wire):  # 3.10.4: so it may be a while
    wire.established(win=2920).send(4000).call("close").tx(". 1:1461(1460) ack 1").tx("P. 1461:2921(1460) ack 1")
    wire.quiet().state(FIN_WAIT_1).rx(". 1:1(0) ack 2921").tx("FP. 2921:4001(1080) ack 1")
    wire.rx(". 1:1(0) ack 4002").state(FIN_WAIT_2)


def test_fin_is_retransmitted(wire):  # 3.8.1: it occupies a sequence number
    wire.established().call("close").tx("F. 1:1(0) ack 1")
    wire.after(300 * MILLISECOND).tx("F. 1:1(0) ack 1").after(600 * MILLISECOND).tx("F. 1:1(0) ack 1")
    wire.rx(". 1:1(0) ack 2").state(FIN_WAIT_2)


def test_data_and_fin_are_retransmitted_as_they_were(wire):
    wire.established().send(10).call("close").tx("FP. 1:11(10) ack 1").after(300 * MILLISECOND)
    wire.tx("FP. 1:11(10) ack 1").rx(". 1:1(0) ack 12").state(FIN_WAIT_2)


def test_data_acknowledged_without_the_fin_behind_it(wire):  # 3.10.7.4 fifth: FIN-WAIT-1 goes on
    wire.established().send(10).call("close").tx("FP. 1:11(10) ack 1")
    wire.rx(". 1:1(0) ack 11").state(FIN_WAIT_1).after(300 * MILLISECOND).tx("F. 11:11(0) ack 1")
    wire.rx(". 1:1(0) ack 12").state(FIN_WAIT_2)


def test_peers_fin_again_in_time_wait(wire):  # 3.10.7.4 eighth: acknowledge it, restart the 2 MSL timer
    wire.established().call("close").tx("F. 1:1(0) ack 1").rx("F. 1:1(0) ack 2").tx(". 2:2(0) ack 2")
    wire.after(50 * SECOND).rx("F. 1:1(0) ack 2").tx(". 2:2(0) ack 2")
    wire.quiet(2 * MSL - 1).state(TIME_WAIT).quiet(1).state(CLOSED)


def test_peers_fin_again_in_close_wait(wire):  # 3.10.7.4 first, eighth
    wire.established().rx("F. 1:1(0) ack 1").next().tx(". 1:1(0) ack 2")
    wire.after(1 * SECOND).rx("F. 1:1(0) ack 1").tx(". 1:1(0) ack 2").state(CLOSE_WAIT)
    wire.rx("F. 1:1(0) ack 1").tx(". 1:1(0) ack 2")  # never limited: the peer needs the answer


def test_fin_ahead_of_missing_data(wire):  # 3.10.7.4 eighth; RFC 5681 4.2
    wire.established().rx("FP. 101:201(100) ack 1").tx(". 1:1(0) ack 1").state(ESTABLISHED)
    wire.rx("P. 1:101(100) ack 1").tx(". 1:1(0) ack 202").state(CLOSE_WAIT).recv(200)
    assert wire.conn.recv(100) == b""


def test_bare_fin_ahead_of_missing_data(wire):
    wire.established().rx("F. 101:101(0) ack 1").tx(". 1:1(0) ack 1").state(ESTABLISHED)
    wire.rx("P. 1:101(100) ack 1").tx(". 1:1(0) ack 102").state(CLOSE_WAIT).recv(100)


def test_octets_beyond_a_fin_do_not_exist(wire):
    wire.established().rx("P. 111:121(10) ack 1").tx(". 1:1(0) ack 1")
    wire.rx("FP. 1:101(100) ack 1").after(40 * MILLISECOND).tx(". 1:1(0) ack 102").state(CLOSE_WAIT).recv(100)
    wire.rx("P. 102:112(10) ack 1").quiet()
    assert wire.conn.recv(100) == b""


def test_ack_of_fin_rides_on_the_answer(wire):  # the user closes when told of the end of stream
    wire.established()
    wire.conn.observer = lambda flags: wire.conn.close()
    wire.rx("F. 1:1(0) ack 1").tx("F. 1:1(0) ack 2").state(LAST_ACK).rx(". 2:2(0) ack 2").state(CLOSED)


def test_ack_of_fin_is_delayed_in_an_exchange(wire):  # Linux: the user will probably close soon
    wire.established().rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").recv(10).after(1 * SECOND)
    wire.rx("F. 11:11(0) ack 1").quiet(40 * MILLISECOND - 1).after(1).tx(". 1:1(0) ack 12")


# -- half close --------------------------------------------------------------------------------------------------------


def test_half_closed_side_goes_on_receiving(wire):  # 3.6: CLOSE means "I have no more data to send"
    wire.established().call("shutdown").tx("F. 1:1(0) ack 1").rx(". 1:1(0) ack 2").state(FIN_WAIT_2)
    wire.rx("P. 1:1001(1000) ack 2").tx(". 2:2(0) ack 1001").recv(1000).quiet(500 * SECOND).state(FIN_WAIT_2)
    wire.rx("P. 1001:2001(1000) ack 2").tx(". 2:2(0) ack 2001").recv(1000)
    wire.rx("F. 2001:2001(0) ack 2").tx(". 2:2(0) ack 2002").state(TIME_WAIT)
    assert wire.conn.recv(1) == b""


def test_half_closed_side_receives_before_its_fin_is_acknowledged(wire):  # FIN-WAIT-1
    wire.established().call("shutdown").tx("F. 1:1(0) ack 1")
    wire.rx("P. 1:1001(1000) ack 1").tx(". 2:2(0) ack 1001").recv(1000).state(FIN_WAIT_1)
    wire.rx(". 1001:1001(0) ack 2").state(FIN_WAIT_2)


def test_other_side_of_a_half_close_goes_on_sending(wire):  # CLOSE-WAIT
    wire.established().rx("F. 1:1(0) ack 1").next().tx(". 1:1(0) ack 2").send(3000)
    wire.tx(". 1:1461(1460) ack 2").tx("P. 1461:2921(1460) ack 2").tx("P. 2921:3001(80) ack 2")
    wire.rx(". 2:2(0) ack 3001").call("shutdown").tx("F. 3001:3001(0) ack 2").rx(". 2:2(0) ack 3002").state(CLOSED)


def test_send_after_shutdown_is_a_broken_pipe(wire):  # 3.10.2: connection closing
    wire.established().call("shutdown").tx("F. 1:1(0) ack 1")
    with pytest.raises(BrokenPipeError) as raised:
        wire.conn.send(b"x")
    assert raised.value.errno == EPIPE


def test_shutdown_twice_and_close_after_it_send_nothing(wire):  # 3.10.4
    wire.established().call("shutdown").tx("F. 1:1(0) ack 1").call("shutdown").call("close").quiet()


def test_data_in_the_buffer_outlives_the_connection(wire):  # what was delivered may still be read
    wire.established().rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").rx("R. 11:11(0) ack 1").state(CLOSED).recv(10)
    assert wire.conn.error == ECONNRESET


# -- nobody is left to read --------------------------------------------------------------------------------------------


def test_fin_wait_2_of_an_orphan_times_out(wire):  # Linux: tcp_fin_timeout
    wire.established().call("close").tx("F. 1:1(0) ack 1").rx(". 1:1(0) ack 2").state(FIN_WAIT_2)
    wire.quiet(60 * SECOND - 1).state(FIN_WAIT_2).quiet(1).state(CLOSED)
    wire.rx("F. 1:1(0) ack 2").tx("R 2:2(0)")


def test_fin_wait_2_of_a_user_who_leaves_later_times_out(wire):
    wire.established().call("shutdown").tx("F. 1:1(0) ack 1").rx(". 1:1(0) ack 2").quiet(100 * SECOND)
    wire.call("close").quiet(60 * SECOND - 1).state(FIN_WAIT_2).quiet(1).state(CLOSED)


def test_close_with_unread_data_resets(wire):  # RFC 2525 2.17: it will never be delivered, and the peer is to know
    wire.established().rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").call("close").tx("R. 1:1(0) ack 11").state(CLOSED)
    assert wire.mib["TcpExtTCPAbortOnClose"] == 1


def test_close_after_everything_was_read_does_not_reset(wire):
    wire.established().rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").recv(10).call("close").tx("F. 1:1(0) ack 11")


@pytest.mark.parametrize("acknowledged", [False, True])
def test_data_after_close_resets(wire, acknowledged):  # 3.6.1, RFC 1122 4.2.2.13: FIN-WAIT-1 and FIN-WAIT-2
    wire.established().call("close").tx("F. 1:1(0) ack 1")
    if acknowledged:
        wire.rx(". 1:1(0) ack 2").state(FIN_WAIT_2)
    wire.rx("P. 1:11(10) ack 2").tx("R 2:2(0)").state(CLOSED)


def test_old_data_after_close_is_acknowledged_only(wire):  # nothing is lost by it
    wire.established().rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").recv(10).call("close").tx("F. 1:1(0) ack 11")
    wire.rx("P. 1:11(10) ack 1").tx(". 2:2(0) ack 11").state(FIN_WAIT_1)


def test_linger_zero_resets(wire):  # SO_LINGER with a time of 0: close is ABORT (3.10.5)
    wire.established(linger=0).send(3000).tx(". 1:1461(1460) ack 1").tx("P. 1461:2921(1460) ack 1")
    wire.tx("P. 2921:3001(80) ack 1").call("close").tx("R. 3001:3001(0) ack 1").state(CLOSED)


def test_abort_loses_what_was_queued(wire):  # 3.10.5
    wire.established(win=2920).send(5000).tx(". 1:1461(1460) ack 1").tx("P. 1461:2921(1460) ack 1")
    wire.call("abort").tx("R. 2921:2921(0) ack 1")
    wire.state(CLOSED).quiet(10 * SECOND)


def test_orphan_gives_up_sooner(wire):  # Linux: tcp_orphan_retries
    wire.setup(orphan_retries=2).established().call("close").tx("F. 1:1(0) ack 1")
    wire.after(300 * MILLISECOND).tx("F. 1:1(0) ack 1").after(600 * MILLISECOND).tx("F. 1:1(0) ack 1")
    wire.quiet(1200 * MILLISECOND - 1).state(FIN_WAIT_1).quiet(1).state(CLOSED)


def test_last_ack_gives_up_without_an_answer(wire):  # 3.8.3, R2
    wire.setup(retries2=2).established().rx("F. 1:1(0) ack 1").next().tx(". 1:1(0) ack 2")
    wire.call("shutdown").tx("F. 1:1(0) ack 2")
    wire.after(300 * MILLISECOND).tx("F. 1:1(0) ack 2").after(600 * MILLISECOND).tx("F. 1:1(0) ack 2")
    wire.quiet(1200 * MILLISECOND - 1).state(LAST_ACK).quiet(1).state(CLOSED)
    assert wire.conn.error == ETIMEDOUT
    assert wire.told[-1] & HANGUP


# -- TIME-WAIT ---------------------------------------------------------------------------------------------------------


def _time_wait(wire, syn="mss 1460"):
    wire.established(syn=syn).call("close").tx("F. 1:1(0) ack 1").rx("F. 1:1(0) ack 2").tx(". 2:2(0) ack 2")
    return wire.state(TIME_WAIT)


def test_time_wait_answers_old_data_at_a_limited_rate(wire):  # 3.10.7.4 first; empty segments at most twice a second
    _time_wait(wire)
    wire.rx("P. 1:11(10) ack 2").tx(". 2:2(0) ack 2").rx("P. 1:11(10) ack 2").tx(". 2:2(0) ack 2")
    wire.after(1 * SECOND).rx(". 100:100(0) ack 2").tx(". 2:2(0) ack 2").rx(". 100:100(0) ack 2").quiet()


def test_time_wait_is_assassinated_by_an_exact_reset_only(wire):  # RFC 1337 3; Linux with tcp_rfc1337=0
    _time_wait(wire)
    wire.rx("R 1:1(0)").rx("R 3:3(0)").state(TIME_WAIT).rx("R 2:2(0)").state(CLOSED).quiet()


def test_time_wait_carries_timestamps(wire):  # RFC 7323 3.2
    _time_wait(wire, FULL).after(5 * SECOND)
    wire.rx("F. 1:1(0) ack 2").tx(". 2:2(0) ack 2 <nop,nop,TS val 5100 ecr 100>")


def test_time_wait_reopens_for_a_later_sequence_number(wire):  # 3.6.1, RFC 6191 2: the ISN alone suffices
    told, watcher = [], _time_wait(wire).stack.tcp.events
    wire.stack.observe(lambda event: (told.append(event), watcher is None or watcher(event)))
    wire.rx("S 1000:1000(0) <mss 1460>").tx("S. 65539:65539(0) ack 1001").state(SYN_RECEIVED)
    assert Cause.REOPENED in [event.cause for event in told if isinstance(event, StateChanged)]
    wire.rx(". 1001:1001(0) ack 65540").state(ESTABLISHED)


def test_time_wait_reopens_for_a_later_timestamp(wire):  # RFC 6191 2: whatever the sequence number
    _time_wait(wire, FULL).after(1 * SECOND).rx(f"S -5000:-5000(0) <{FULL}>")
    wire.tx("S. 65539:65539(0) ack -4999").state(SYN_RECEIVED)


def test_time_wait_does_not_reopen_for_an_old_syn(wire):  # RFC 6191 2
    _time_wait(wire, FULL)
    wire.rx("S 1000:1000(0) <mss 1460,sackOK,TS val 0 ecr 0,nop,wscale 7>").tx(". 2:2(0) ack 2").state(TIME_WAIT)


def test_time_wait_without_a_listener_does_not_reopen(wire):
    _time_wait(wire).listener.close()
    wire.rx("S 1000:1000(0) <mss 1460>").tx(". 2:2(0) ack 2").state(TIME_WAIT)


def test_time_waits_beyond_the_limit_are_skipped(wire):  # Linux: tcp_max_tw_buckets
    wire.setup(max_tw_buckets=1)
    _time_wait(wire)
    other = wire.another(40_001)
    other.established().call("close").tx("F. 1:1(0) ack 1").rx("F. 1:1(0) ack 2").tx(". 2:2(0) ack 2").state(CLOSED)
    assert wire.mib["TcpExtTCPTimeWaitOverflow"] == 1


def test_connect_again_from_a_port_in_time_wait(wire):  # RFC 6191 4: timestamps keep the incarnations apart
    wire.established(syn=FULL, active=True).call("close").tx("F. 1:1(0) ack 1")
    wire.rx("F. 1:1(0) ack 2").tx(". 2:2(0) ack 2")
    wire.state(TIME_WAIT).after(1 * SECOND).connect(wire.local_port).tx("S 0:0(0)")
