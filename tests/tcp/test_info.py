"""tcp_info and nstat's counters: what a connection tells of itself, figure by figure (Linux's meanings, RFC 4898's)."""

import pytest

from netstack.sockets.numbers import IPPROTO_TCP, TCP_INFO
from netstack.sockets.stream import StreamSocket
from netstack.tcp.info import listener_info, tcp_info
from netstack.tcp.info_layout import decode, pack
from netstack.tcp.readiness import WRITABLE
from netstack.units import MILLISECOND, SECOND


def info(wire, *names):
    """These fields as of now."""
    found = tcp_info(wire.conn, wire.bench.now)
    return tuple(found[name] for name in names) if len(names) > 1 else found[names[0]]


def counters(wire, *names):
    """These counters as of now."""
    found = wire.stack.counters.snapshot()
    return tuple(found.get(name, 0) for name in names)


SEGMENTS = ("segs_in", "data_segs_in", "segs_out", "data_segs_out")


def test_the_child_of_a_listener_begins_with_the_syn_it_got(wire):  # Linux: its SYN-ACK belongs to the handshake
    wire.established()
    assert info(wire, *SEGMENTS) == (2, 0, 0, 0)
    assert info(wire, "bytes_sent", "bytes_acked", "bytes_received") == (0, 0, 0)


def test_who_opens_counts_the_syn_as_sent_and_acknowledged(wire):
    wire.established(active=True)
    assert info(wire, *SEGMENTS) == (1, 0, 2, 0)
    assert info(wire, "bytes_sent", "bytes_acked", "bytes_received") == (0, 1, 0)


def test_segments_and_octets_both_ways(wire):
    wire.established()
    wire.rx("P. 1:101(100) ack 1").tx(". 1:1(0) ack 101")
    wire.send(3000).tx(". 1:1461(1460) ack 101").tx("P. 1461:2921(1460) ack 101").tx("P. 2921:3001(80) ack 101")
    wire.rx(". 101:101(0) ack 1461")
    assert info(wire, *SEGMENTS) == (4, 1, 4, 3)
    assert info(wire, "bytes_sent", "bytes_acked", "bytes_received", "unacked") == (3000, 1460, 100, 2)
    wire.rx(". 101:101(0) ack 3001")


def test_a_fin_counts_as_an_octet_acknowledged_and_received_but_not_sent(wire):
    wire.established().call("shutdown").tx("F. 1:1(0) ack 1")
    wire.rx("F. 1:1(0) ack 2").tx(". 2:2(0) ack 2")
    assert info(wire, "bytes_sent", "bytes_acked", "bytes_received") == (0, 1, 1)


def test_a_super_segment_counts_as_the_segments_in_it(wire):
    wire.setup(offload=True).established(win=0xFFFF, syn="mss 1460,wscale 7,sackOK")
    wire.rx(". 1:4381(4380) ack 1", gso=1460).take()
    assert info(wire, "segs_in", "data_segs_in") == (5, 3)
    wire.send(5000).tx("P. 1:5001(5000) ack 4381", gso=1460)
    assert info(wire, "data_segs_out") == 4
    wire.rx(". 4381:4381(0) ack 5001")


def test_what_is_sent_again_counts_as_sent_and_as_repeated(wire):
    wire.established(syn="mss 1460,sackOK")
    wire.send(100).tx("P. 1:101(100) ack 1")
    wire.after(300 * MILLISECOND).tx("P. 1:101(100) ack 1")  # a loss probe
    wire.after(300 * MILLISECOND).tx("P. 1:101(100) ack 1").after(600 * MILLISECOND).tx("P. 1:101(100) ack 1")
    assert info(wire, "bytes_sent", "bytes_retrans", "total_retrans", "data_segs_out") == (400, 300, 3, 4)
    assert info(wire, "total_rto", "total_rto_recoveries", "total_rto_time", "retransmits") == (2, 1, 600, 2)
    wire.after(50 * MILLISECOND).rx(". 1:1(0) ack 101").after(1 * SECOND)
    assert info(wire, "total_rto", "total_rto_recoveries", "total_rto_time", "retransmits") == (2, 1, 650, 0)
    # TcpOutSegs leaves out what only repeats: the SYN-ACK and one segment of data.
    assert counters(wire, "TcpOutSegs", "TcpRetransSegs", "TcpExtTCPTimeouts") == (2, 3, 2)
    assert counters(wire, "TcpExtTCPLostRetransmit", "TcpExtTCPOrigDataSent", "TcpExtTCPDelivered") == (1, 1, 1)
    # The retransmission at a timeout is the timeout's; slow start's are those that follow.
    assert counters(wire, "TcpExtTCPSlowStartRetrans", "TcpExtTCPFastRetrans") == (0, 0)


def test_busy_from_the_write_to_the_last_ack(wire):
    wire.established().after(1 * SECOND)
    assert info(wire, "busy_time") == 0
    wire.send(100).tx("P. 1:101(100) ack 1").after(70 * MILLISECOND)
    assert info(wire, "busy_time") == 70 * MILLISECOND
    wire.rx(". 1:1(0) ack 101").after(1 * SECOND)
    assert info(wire, "busy_time", "rwnd_limited", "sndbuf_limited") == (70 * MILLISECOND, 0, 0)
    wire.call("shutdown").tx("F. 101:101(0) ack 1").after(30 * MILLISECOND).rx(". 1:1(0) ack 102").after(1 * SECOND)
    assert info(wire, "busy_time") == 100 * MILLISECOND


def test_time_that_the_peers_window_costs(wire):
    wire.established(syn="mss 500", win=1000)
    wire.send(2000).tx(". 1:501(500) ack 1").tx("P. 501:1001(500) ack 1").after(100 * MILLISECOND)
    assert info(wire, "busy_time", "rwnd_limited") == (100 * MILLISECOND, 100 * MILLISECOND)
    wire.rx(". 1:1(0) ack 1001 win 1000").tx(". 1001:1501(500) ack 1").tx("P. 1501:2001(500) ack 1")
    wire.after(100 * MILLISECOND)
    assert info(wire, "busy_time", "rwnd_limited") == (200 * MILLISECOND, 100 * MILLISECOND)
    wire.rx(". 1:1(0) ack 2001 win 1000")


def test_waiting_for_cwnd_is_not_waiting_for_the_window(wire):
    wire.established(syn="mss 1000").send(20_000)
    assert len(wire.take()) == 10
    wire.after(100 * MILLISECOND)
    assert info(wire, "busy_time", "rwnd_limited") == (100 * MILLISECOND, 0)
    wire.rx(". 1:1(0) ack 10001").take()
    wire.rx(". 1:1(0) ack 20001").take()


def test_time_that_a_small_send_buffer_costs(wire):  # all that fits has left, and the user would write more
    wire.established(sndbuf=4000).send(5000).send(100, accepted=0)
    assert len(wire.take()) == 4
    wire.after(100 * MILLISECOND)
    assert info(wire, "busy_time", "sndbuf_limited") == (100 * MILLISECOND, 100 * MILLISECOND)
    wire.rx(". 1:1(0) ack 4381")
    assert wire.told[-1] & WRITABLE
    wire.after(50 * MILLISECOND)
    assert info(wire, "busy_time", "sndbuf_limited") == (150 * MILLISECOND, 100 * MILLISECOND)
    wire.rx(". 1:1(0) ack 5001")


def test_ages_count_from_the_opening_until_there_is_something_to_count_from(wire):
    wire.established().after(40 * MILLISECOND)
    assert info(wire, "last_data_sent", "last_data_recv", "last_ack_recv") == (40, 40, 40)
    wire.rx("P. 1:11(10) ack 1").tx(". 1:1(0) ack 11").after(5 * MILLISECOND).send(10).tx("P. 1:11(10) ack 11")
    wire.after(2 * MILLISECOND)
    assert info(wire, "last_data_sent", "last_data_recv", "last_ack_recv") == (2, 7, 7)
    wire.rx(". 11:11(0) ack 11")


def test_segments_that_came_too_early_and_twice(wire):
    wire.established(syn="mss 1460,sackOK")
    wire.rx(". 1001:2001(1000) ack 1").tx(". 1:1(0) ack 1 <sack 1001:2001>")
    wire.rx(". 1001:2001(1000) ack 1").tx(". 1:1(0) ack 1 <sack 1001:2001 1001:2001>")
    assert info(wire, "rcv_ooopack") == 2
    names = "TcpExtTCPOFOQueue", "TcpExtTCPDSACKOfoSent", "TcpExtTCPDSACKOldSent"
    assert counters(wire, *names) == (2, 1, 0)
    wire.rx(". 1:1001(1000) ack 1").tx(". 1:1(0) ack 2001")
    wire.rx(". 1:1001(1000) ack 1").tx(". 1:1(0) ack 2001 <sack 1:1001>")
    assert counters(wire, *names) == (2, 1, 1)


def test_duplicates_that_the_peer_reports(wire):
    wire.established(syn="mss 1000,sackOK").send(2000)
    wire.tx(". 1:1001(1000) ack 1").tx("P. 1001:2001(1000) ack 1")
    wire.after(202 * MILLISECOND).tx("P. 1001:2001(1000) ack 1")  # a loss probe
    assert info(wire, "retrans", "total_retrans", "bytes_retrans") == (0, 1, 1000)
    wire.rx(". 1:1(0) ack 2001").rx(". 1:1(0) ack 2001 <sack 1001:2001>")
    assert info(wire, "dsack_dups", "delivered") == (1, 4)  # as Linux: the SYN-ACK, both segments, one of them twice
    assert counters(wire, "TcpExtTCPDSACKRecv", "TcpExtTCPDSACKRecvSegs", "TcpExtTCPLossProbes") == (1, 1, 1)
    # A report of more than we ever sent twice is believed by nobody.
    wire.rx(". 1:1(0) ack 2001 <sack 1:1001>")
    assert info(wire, "dsack_dups", "delivered") == (2, 4)
    assert counters(wire, "TcpExtTCPDSACKIgnoredDubious") == (1,)


@pytest.mark.parametrize(("sack", "name"), [(",sackOK", "TcpExtTCPSack"), ("", "TcpExtTCPReno")])
def test_recoveries_and_their_failures(wire, sack, name):
    wire.established(syn="mss 1000" + sack).send(10_000)
    wire.take()
    wire.after(100 * MILLISECOND)
    for right in (2001, 3001, 4001):
        wire.rx(f". 1:1(0) ack 1 <sack 1001:{right}>" if sack else ". 1:1(0) ack 1")
    wire.tx(". 1:1001(1000) ack 1")
    assert counters(wire, name + "Recovery", "TcpExtTCPFastRetrans", name + "RecoveryFail") == (1, 1, 0)
    wire.after(300 * MILLISECOND).tx(". 1:1001(1000) ack 1")
    assert counters(wire, name + "Recovery", "TcpExtTCPFastRetrans", name + "RecoveryFail") == (1, 1, 1)
    wire.rx(". 1:1(0) ack 10001")


def test_a_timeout_when_duplicates_were_too_few(wire):
    wire.established(syn="mss 1000").send(3000)
    wire.take()
    wire.after(100 * MILLISECOND).rx(". 1:1(0) ack 1").after(200 * MILLISECOND).tx(". 1:1001(1000) ack 1")
    assert counters(wire, "TcpExtTCPRenoFailures", "TcpExtTCPRenoRecoveryFail", "TcpExtTCPLossFailures") == (1, 0, 0)
    wire.rx(". 1:1(0) ack 3001")


def test_zero_windows_that_we_offer(wire):
    wire.setup(rmem=(4096, 4096, 4096)).established(syn="mss 1460")
    wire.rx(". 1:1461(1460) ack 1").tx(". 1:1(0) ack 1461 win 0")
    names = "TcpExtTCPToZeroWindowAdv", "TcpExtTCPFromZeroWindowAdv"
    assert counters(wire, *names) == (1, 0)
    wire.recv(1460).tx(". 1:1(0) ack 1461 win 1460")
    assert counters(wire, *names) == (1, 1)


def test_header_prediction_counts_what_it_was_right_about(wire):
    wire.established().rx(". 1:101(100) ack 1").tx(". 1:1(0) ack 101").send(10).tx("P. 1:11(10) ack 101")
    wire.rx(". 101:101(0) ack 11")
    hits, acks, bare = counters(wire, "TcpExtTCPHPHits", "TcpExtTCPHPAcks", "TcpExtTCPPureAcks")
    assert (hits, acks, bare) == ((1, 1, 1) if wire.bench.predict else (0, 0, 2))


def test_connections_that_are_gone_still_count(wire):
    wire.established().send(100).tx("P. 1:101(100) ack 1").rx(". 1:1(0) ack 101")
    assert counters(wire, "TcpCurrEstab", "TcpExtTCPOrigDataSent", "TcpEstabResets") == (1, 1, 0)
    wire.rx("R. 1:1(0) ack 101")
    assert counters(wire, "TcpCurrEstab", "TcpExtTCPOrigDataSent", "TcpEstabResets") == (0, 1, 1)


def test_a_connection_in_close_wait_is_current(wire):
    wire.established().rx("F. 1:1(0) ack 1").next().tx(". 1:1(0) ack 2")
    assert counters(wire, "TcpCurrEstab") == (1,)


def test_time_wait_counts_when_it_begins(wire):
    wire.established().call("close").tx("F. 1:1(0) ack 1").rx("F. 1:1(0) ack 2").tx(". 2:2(0) ack 2")
    assert counters(wire, "TcpExtTW", "TcpEstabResets", "TcpExtTCPOrigDataSent", "TcpCurrEstab") == (1, 0, 1, 0)


def test_attempts_that_fail(wire):
    wire.connect().tx("S 0:0(0)").rx("R. 0:0(0) ack 1")
    assert counters(wire, "TcpAttemptFails", "TcpActiveOpens", "TcpEstabResets") == (1, 1, 0)


def test_rates_and_minima_before_anything_was_measured(wire):
    wire.connect().tx("S 0:0(0)")
    assert info(wire, "min_rtt", "pacing_rate", "max_pacing_rate") == (0xFFFF_FFFF, (1 << 64) - 1, (1 << 64) - 1)
    wire.after(100 * MILLISECOND).rx("S. 0:0(0) ack 1 <mss 1000>").tx(". 1:1(0) ack 1")
    # Twice cwnd per round trip while slow start lasts (Linux's tcp_pacing_ss_ratio).
    assert info(wire, "min_rtt", "pacing_rate") == (100 * MILLISECOND, 2 * 10 * 1000 * 10)


def test_getsockopt_gives_the_structure(wire):
    wire.established().send(100).tx("P. 1:101(100) ack 1")
    sock = StreamSocket.of(wire.stack, wire.conn)
    octets = sock.getsockopt(IPPROTO_TCP, TCP_INFO, 1024)
    assert len(octets) == 280
    assert octets[0] == 1  # TCP_ESTABLISHED
    assert int.from_bytes(octets[24:28], "little") == 1  # tcpi_unacked, counted by hand in <linux/tcp.h>
    told = tcp_info(wire.conn, wire.bench.now)
    assert {name: value for name, value in decode(octets).items() if name in told} == told
    assert sock.getsockopt(IPPROTO_TCP, TCP_INFO, 8) == octets[:8]
    wire.rx(". 1:1(0) ack 101")


def test_listener_tells_its_queue(wire):
    wire.listen(backlog=7).rx("S 0:0(0) <mss 1460>").tx("S. 0:0(0) ack 1").rx(". 1:1(0) ack 1")
    told = listener_info(wire.listener)
    assert told.items() >= {"state": 10, "unacked": 1, "sacked": 7, "snd_cwnd": 10, "reordering": 3}.items()


def test_layout_keeps_every_field_and_caps_what_does_not_fit():
    names = list(decode(bytes(280)))
    sample = {name: (i * 7 + 1) % 8 if "wscale" in name else i % 2 for i, name in enumerate(names)}
    assert decode(pack(sample)) == sample
    assert decode(pack({"retransmits": 300, "rtt": 1 << 40, "total_rto": 70_000}))["retransmits"] == 255
    assert decode(pack({"rtt": 1 << 40}))["rtt"] == 0xFFFF_FFFF
    assert decode(pack({"total_rto": 70_000}))["total_rto"] == 65_535
    assert "rcv_wnd" not in decode(pack(sample)[:200])
