"""Segments that somebody may have forged: RFC 5961, RFC 5927, strays (RFC 9293 3.10.7.1), damage."""

from errno import ECONNREFUSED, ECONNRESET, EHOSTUNREACH, ENETUNREACH, ETIMEDOUT

import pytest

from netstack.tcp.state import CLOSE_WAIT, CLOSED, ESTABLISHED, LISTEN, SYN_RECEIVED, SYN_SENT
from netstack.units import MILLISECOND, SECOND
from netstack.wire import icmpv4
from tests.script import FULL, NO_OFFLOAD, PEER, TO_US, US, packet, tcp

# -- RST (RFC 5961 3.2) ------------------------------------------------------------------------------------------------


def test_rst_somewhere_in_the_window_is_challenged(wire):
    wire.established().rx("R 2:2(0)").tx(". 1:1(0) ack 1").state(ESTABLISHED)
    assert wire.mib["TcpExtTCPChallengeACK"] == 1


def test_real_peer_answers_the_challenge_with_an_exact_reset(wire):  # RFC 5961 3.2: after it crashed, say
    wire.established().rx("R 1000:1000(0)").tx(". 1:1(0) ack 1").rx("R 1:1(0)").state(CLOSED).quiet()
    assert wire.conn.error == ECONNRESET


def test_rst_behind_out_of_order_data_resets(wire):  # Linux: the peer's SND.NXT, as far as we know it
    wire.established().rx("P. 101:201(100) ack 1").tx(". 1:1(0) ack 1").rx("R. 201:201(0) ack 1").state(CLOSED)


def test_rst_at_the_fin_resets(wire):  # Linux: some stacks reset with the number of their FIN
    wire.established().rx("F. 1:1(0) ack 1").next().tx(". 1:1(0) ack 2").state(CLOSE_WAIT)
    wire.rx("R. 1:1(0) ack 1").state(CLOSED)


def test_rst_below_the_window_is_ignored(wire):
    wire.established().rx("P. 1:101(100) ack 1").tx(". 1:1(0) ack 101").rx("R 1:1(0)").state(ESTABLISHED).quiet()
    wire.recv(100)


# -- SYN and ACK (RFC 5961 4.2, 5.2) -----------------------------------------------------------------------------------


def test_syn_on_an_open_connection_is_challenged(wire):
    wire.established().rx("S 5000:5000(0) <mss 1460>").tx(". 1:1(0) ack 1").state(ESTABLISHED)
    assert wire.mib["TcpExtTCPSYNChallenge"] == 1


def test_restarted_peer_gets_through_by_way_of_the_challenge(wire):  # 4.2; RFC 9293 3.5.1, Figure 9
    wire.established().rx("S 700000:700000(0) <mss 1460>").tx(". 1:1(0) ack 1")
    wire.rx("R 1:1(0)").state(CLOSED).rx("S 700000:700000(0) <mss 1460>").tx("S. 0:0(0) ack 700001").state(SYN_RECEIVED)


def test_data_with_an_ack_of_something_unsent_is_dropped(wire):  # 3.10.7.4 fifth; RFC 5961 5.2
    wire.established().rx("P. 1:11(10) ack 2").tx(". 1:1(0) ack 1")
    assert wire.conn.readable == 0
    assert wire.drops["ack_unsent"] == 1


def test_data_with_an_old_ack_is_taken(wire):  # 5.2: down to SND.UNA - MAX.SND.WND
    wire.established(win=1000).send(500).tx("P. 1:501(500) ack 1").rx(". 1:1(0) ack 501")
    wire.rx("P. 1:11(10) ack 1").tx(". 501:501(0) ack 11").recv(10)


def test_data_with_a_too_old_ack_is_dropped_and_challenged(wire):  # 5.2
    wire.established(win=1000).send(900).tx(". 1:501(500) ack 1").tx("P. 501:901(400) ack 1").rx(". 1:1(0) ack 901")
    wire.send(500).tx("P. 901:1401(500) ack 1").rx(". 1:1(0) ack 1401")
    wire.rx("P. 1:11(10) ack 400").tx(". 1401:1401(0) ack 1")
    assert wire.conn.readable == 0
    assert wire.drops["ack_too_old"] == 1


def test_segment_without_ack_is_dropped(wire):  # 3.10.7.4 fifth
    wire.established().rx("P 1:11(10)").quiet()
    assert wire.drops["no_ack"] == 1


# -- the rate of challenges (RFC 5961 7) -------------------------------------------------------------------------------


def test_one_connection_challenges_twice_a_second(wire):  # Linux: tcp_invalid_ratelimit
    wire.established().rx("R 2:2(0)").tx(". 1:1(0) ack 1").rx("R 3:3(0)").rx("S 9:9(0)").rx(". 1:1(0) ack 9").quiet()
    wire.after(500 * MILLISECOND - 1).rx("R 2:2(0)").quiet().after(1).rx("R 2:2(0)").tx(". 1:1(0) ack 1")
    assert wire.mib["TcpExtTCPACKSkippedChallenge"] == 4


def test_the_whole_stack_challenges_at_a_limited_rate(wire):
    wire.setup(challenge_ack_limit=2).established()
    others = [wire.another(port).established() for port in (50_000, 50_001, 50_002)]
    wire.after(10 * SECOND)
    answered = sum(bool(other.rx("R 2:2(0)").take()) for other in (wire, *others))
    assert 1 <= answered <= 2  # the limit, give or take a random half: nobody is to count it
    wire.after(1 * SECOND).rx("R 2:2(0)").tx(". 1:1(0) ack 1")


def test_unacceptable_empty_segments_are_answered_twice_a_second(wire):  # two stacks must not ping-pong
    wire.established().rx(". 90000:90000(0) ack 1").tx(". 1:1(0) ack 1").rx(". 90000:90000(0) ack 1").quiet()
    wire.after(500 * MILLISECOND).rx(". 90000:90000(0) ack 1").tx(". 1:1(0) ack 1")


def test_unacceptable_data_is_always_answered(wire):  # the peer retransmits and needs the ACK
    wire.established()
    for _ in range(3):
        wire.rx("P. 90000:90010(10) ack 1").tx(". 1:1(0) ack 1")


# -- ICMP (RFC 9293 3.9.2.2, RFC 5927, RFC 1191) -----------------------------------------------------------------------


@pytest.mark.parametrize(
    ("code", "errno"), [(0, ENETUNREACH), (1, EHOSTUNREACH), (3, ECONNREFUSED), (13, EHOSTUNREACH)]
)
def test_unreachable_ends_a_connect(wire, code, errno):  # Linux; RFC 9293 MAY-25 leaves it open while opening
    wire.connect().tx("S 0:0(0)").rx_icmp(code, seq=0).state(CLOSED).quiet()
    assert wire.conn.error == errno


def test_unreachable_about_another_number_does_not(wire):  # RFC 5927 4.1
    wire.connect().tx("S 0:0(0)").rx_icmp(1, seq=2).rx_icmp(1, seq=-1).state(SYN_SENT).quiet()
    assert wire.mib["TcpExtOutOfWindowIcmps"] == 2


@pytest.mark.parametrize("code", [0, 1, 2, 3, 5, 13])
def test_no_icmp_aborts_an_open_connection(wire, code):  # RFC 9293 MUST-56 for soft errors; RFC 5927 5.2 for all
    wire.established().send(10).tx("P. 1:11(10) ack 1").rx_icmp(code, seq=1).state(ESTABLISHED).quiet()
    wire.rx(". 1:1(0) ack 11").send(10).tx("P. 11:21(10) ack 1")


def test_soft_error_is_told_when_the_connection_gives_up(wire):  # RFC 9293 3.9.2.2 SHLD-25: available to the user
    wire.setup(retries2=1).established().send(10).tx("P. 1:11(10) ack 1").rx_icmp(1, seq=1)
    wire.after(300 * MILLISECOND).tx("P. 1:11(10) ack 1").quiet(600 * MILLISECOND).state(CLOSED)
    assert wire.conn.error == EHOSTUNREACH


def test_without_soft_error_it_timed_out(wire):
    wire.setup(retries2=1).established().send(10).tx("P. 1:11(10) ack 1")
    wire.after(300 * MILLISECOND).tx("P. 1:11(10) ack 1").quiet(600 * MILLISECOND).state(CLOSED)
    assert wire.conn.error == ETIMEDOUT


def test_time_exceeded_is_a_soft_error(wire):  # RFC 1122 4.2.3.9
    wire.established().send(10).tx("P. 1:11(10) ack 1").rx_icmp(0, seq=1, kind=icmpv4.TIME_EXCEEDED).state(ESTABLISHED)
    assert wire.conn.soft_error == EHOSTUNREACH


def test_source_quench_is_ignored(wire):  # RFC 6633 3
    wire.established().send(10).tx("P. 1:11(10) ack 1").rx_icmp(0, seq=1, kind=icmpv4.SOURCE_QUENCH).quiet()
    assert wire.conn.soft_error == 0


def test_fragmentation_needed_makes_segments_smaller_at_once(wire):  # RFC 1191 6.4
    wire.established().send(2920).tx(". 1:1461(1460) ack 1").tx("P. 1461:2921(1460) ack 1")
    wire.rx_icmp(icmpv4.FRAGMENTATION_NEEDED, seq=1, mtu=1000)
    wire.tx(". 1:961(960) ack 1").tx("P. 961:1921(960) ack 1").tx(". 1921:2881(960) ack 1").tx("P. 2881:2921(40) ack 1")
    assert wire.conn.recovery.cc.cwnd == 10  # no congestion
    wire.rx(". 1:1(0) ack 2921").send(1000).tx(". 2921:3881(960) ack 1").tx("P. 3881:3921(40) ack 1")


@pytest.mark.parametrize("seq", [-1, 2922, 100_000])
def test_fragmentation_needed_about_nothing_in_flight_is_ignored(wire, seq):  # RFC 5927 7
    wire.established().send(2920).tx(". 1:1461(1460) ack 1").tx("P. 1461:2921(1460) ack 1")
    wire.rx_icmp(icmpv4.FRAGMENTATION_NEEDED, seq=seq, mtu=1000).quiet()
    assert wire.conn.path.mtu == 1500
    assert wire.drops["icmp_out_of_window"] == 1


def test_fragmentation_needed_for_more_than_we_send_is_ignored(wire):
    wire.established().send(1460).tx("P. 1:1461(1460) ack 1")
    wire.rx_icmp(icmpv4.FRAGMENTATION_NEEDED, seq=1, mtu=1500).quiet()
    assert wire.conn.path.mtu == 1500


def test_fragmentation_needed_below_552_sends_552(wire):  # Linux: min_pmtu; DF is then left out
    wire.established().send(1460).tx("P. 1:1461(1460) ack 1").rx_icmp(icmpv4.FRAGMENTATION_NEEDED, seq=1, mtu=100)
    wire.tx(". 1:513(512) ack 1").tx("P. 513:1025(512) ack 1").tx("P. 1025:1461(436) ack 1")


def test_other_connections_to_the_same_host_learn_of_the_path(wire):  # RFC 1191 6.3: a property of the path
    wire.established().send(1460).tx("P. 1:1461(1460) ack 1")
    other = wire.another(50_000).established()
    wire.rx_icmp(icmpv4.FRAGMENTATION_NEEDED, seq=1, mtu=1000).tx(". 1:961(960) ack 1").tx("P. 961:1461(500) ack 1")
    other.send(1460).tx(". 1:961(960) ack 1").tx("P. 961:1461(500) ack 1")


def test_what_is_sent_again_fits_what_others_learnt_of_the_path(wire):  # RFC 1191 6.3
    wire.established().send(1460).tx("P. 1:1461(1460) ack 1")
    other = wire.another(50_000).established().send(1460).tx("P. 1:1461(1460) ack 1")
    wire.rx_icmp(icmpv4.FRAGMENTATION_NEEDED, seq=1, mtu=1000).tx(". 1:961(960) ack 1").tx("P. 961:1461(500) ack 1")
    other.after(300 * MILLISECOND)
    for each in (other, wire):
        each.tx(". 1:961(960) ack 1")


def test_the_path_is_believed_to_take_more_again_after_ten_minutes(wire):  # RFC 1191 6.3
    wire.established().send(1460).tx("P. 1:1461(1460) ack 1").rx_icmp(icmpv4.FRAGMENTATION_NEEDED, seq=1, mtu=1000)
    wire.tx(". 1:961(960) ack 1").tx("P. 961:1461(500) ack 1").rx(". 1:1(0) ack 1461").quiet(600 * SECOND)
    wire.send(2000).tx(". 1461:2921(1460) ack 1").tx("P. 2921:3461(540) ack 1")


def test_icmp_about_a_connection_that_is_none_is_counted(wire):
    wire.listen().rx_icmp(1, seq=0).state(LISTEN).quiet()
    assert wire.drops["icmp_no_connection"] == 1


# -- strays and damage -------------------------------------------------------------------------------------------------


def test_segment_to_a_closed_port_is_reset(wire):  # 3.10.7.1; also what a port scan sees
    wire.rx("S 0:0(0) <mss 1460>").tx("R. 0:0(0) ack 1").rx("FPU 0:0(0)").tx("R. 0:0(0) ack 1")
    wire.rx("- 0:0(0)").tx("R. 0:0(0) ack 0").rx("S 0:100(100)", data=bytes(100)).tx("R. 0:0(0) ack 101")
    wire.rx(". 5:15(10) ack 77").tx("R 77:77(0)").rx("R 5:5(0)").rx("R. 5:5(0) ack 1").quiet()
    assert wire.drops["no_listener"] == 7
    assert wire.mib["TcpOutRsts"] == 5


def test_null_fin_and_xmas_probes_of_a_listener_get_no_answer(wire):  # 3.10.7.2: neither RST, ACK nor SYN
    wire.listen().rx("- 0:0(0)").rx("F 0:0(0)").rx("FPU 0:0(0)").rx("SR 0:0(0)").quiet().state(LISTEN)


def test_bad_checksum_is_counted_and_harmless(wire):  # 3.1; RFC 1122 4.2.2.7
    wire.established().rx("P. 1:11(10) ack 1", damage="checksum").quiet()
    assert wire.mib["TcpInCsumErrors"] == wire.mib["TcpInErrs"] == wire.drops["bad_checksum"] == 1
    wire.rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").recv(10)


@pytest.mark.parametrize("length", range(20))
def test_truncated_header_is_counted(wire, length):
    wire.established()
    wire.bench.deliver(NO_OFFLOAD + packet(bytes(length)))
    assert wire.drops["truncated"] == wire.mib["TcpInErrs"] == 1
    wire.quiet()


@pytest.mark.parametrize("words", [0, 1, 2, 3, 4, 6, 15])
def test_impossible_data_offset_is_counted(wire, words):  # below the header, or beyond the segment
    wire.established()
    head = tcp.build(wire.remote_port, wire.local_port, wire.irs + 1, wire.bases_out.seq + 1, tcp.ACK, 100)
    segment = tcp.with_checksum(head[:12] + bytes((words << 4,)) + head[13:], TO_US)
    wire.bench.deliver(NO_OFFLOAD + packet(segment))
    assert wire.drops["bad_offset"] == wire.mib["TcpInErrs"] == 1
    wire.quiet()


@pytest.mark.parametrize(
    "options", ["00", "0204", "020405", "080a0000", "0500", "0503010203", "fe", "0101010808080808", "ff01"]
)
def test_malformed_options_do_no_harm(wire, options):  # 3.1: what cannot be read is skipped
    wire.established()
    octets = bytes.fromhex(options)
    octets += b"\1" * (-len(octets) % 4)
    head = tcp.build(wire.remote_port, wire.local_port, wire.irs + 1, wire.bases_out.seq + 1, tcp.ACK, 100, octets)
    wire.bench.deliver(NO_OFFLOAD + packet(tcp.with_checksum(head, TO_US)))
    wire.rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").recv(10)


@pytest.mark.parametrize("destination", ["192.0.2.255", "255.255.255.255", "224.0.0.1"])
def test_tcp_to_broadcast_and_multicast_is_ignored(wire, destination):  # RFC 9293 MUST-57, 3.9.2.3
    wire.listen()
    pair = PEER + bytes(map(int, destination.split(".")))
    segment = tcp.with_checksum(tcp.build(40_000, 80, 0, 0, tcp.SYN, 100), pair)
    wire.bench.deliver(NO_OFFLOAD + packet(segment, pair=pair))
    frame = packet(segment, pair=pair)
    wire.bench.deliver(NO_OFFLOAD + b"\xff" * 6 + frame[6:])
    wire.quiet().state(LISTEN)


def test_tcp_in_a_broadcast_frame_is_ignored(wire):  # RFC 1122 3.3.6
    wire.listen()
    frame = packet(tcp.with_checksum(tcp.build(40_000, 80, 0, 0, tcp.SYN, 100), TO_US))
    wire.bench.deliver(NO_OFFLOAD + b"\xff" * 6 + frame[6:])
    wire.quiet().state(LISTEN)


@pytest.mark.parametrize("source", [US, bytes(4), b"\xff" * 4, b"\x7f\0\0\1", b"\xe0\0\0\1"])
def test_syn_from_an_impossible_source_is_ignored(wire, source):  # RFC 9293 MUST-63; a "land" attack among them
    wire.listen()
    pair = source + US
    wire.bench.deliver(NO_OFFLOAD + packet(tcp.with_checksum(tcp.build(80, 80, 0, 0, tcp.SYN, 100), pair), pair=pair))
    wire.quiet().state(LISTEN)


def test_ece_and_cwr_and_reserved_bits_do_no_harm(wire):  # 3.1: reserved bits are ignored
    wire.setup(ecn=0).listen().rx("SEW 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1").rx(". 1:1(0) ack 1").accept()
    wire.rx("P.EW 1:11(10) ack 1").tx(". 1:1(0) ack 11").recv(10)


def test_timestamped_syn_with_everything_odd(wire):
    wire.listen().rx(f"SPU 0:0(0) urg 77 <{FULL}>").tx("S. 0:0(0) ack 1").state(SYN_RECEIVED)
