"""What networks, interfaces and captures do to a conversation on its way into a file."""

import pytest
from scapy.layers.inet import fragment

from netstack.replay.verdict import Status
from tests.replay.lines import CLIENT, CLIENT_CLOSES, GET, HANDSHAKE, PASSIVE, WHOLE, Capture, path, replay, same

ACTIVE = ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"]
BOTH_AT_ONCE = ["ESTABLISHED", "FIN-WAIT-1", "CLOSING", "TIME-WAIT"]


def test_duplicated_packets():
    capture = Capture().add(WHOLE)
    capture.packets = [packet for packet in capture.packets for _ in range(2)]
    same(capture, *PASSIVE)


def test_file_out_of_order():
    capture = Capture().add(WHOLE)
    capture.packets = capture.packets[::-1]
    same(capture, *PASSIVE)


def test_a_syn_captured_late():
    capture = Capture().add(WHOLE)
    capture.packets[0].time += 0.0045
    same(capture, *PASSIVE)


def test_an_old_segment_does_not_complete_a_handshake():
    """A FIN with the SYN's own number is not acceptable; the server gives up with a RST."""
    lines = "> S 0:0(0) <mss 1460>\n< S. 0:0(0) ack 1\n> F. 0:0(0) ack 1\n0.6 < R 1:1(0)"
    same(lines, "LISTEN", "SYN-RECEIVED", "CLOSED")


def test_neighbours_swapped_by_the_capture():
    whole = Capture().add(WHOLE).packets
    for i in range(1, len(whole)):
        capture = Capture().add(WHOLE)
        one, other = capture.packets[i - 1 : i + 1]
        one.time, other.time = other.time, one.time
        same(capture, *PASSIVE)


def test_segments_arrive_out_of_order():
    lines = """
    > P. 101:201(100) ack 1
    < . 1:1(0) ack 1 <sack 101:201>
    > P. 1:101(100) ack 1
    < . 1:1(0) ack 201
    > F. 201:201(0) ack 1
    < F. 1:1(0) ack 202
    > . 202:202(0) ack 2
    """
    same(HANDSHAKE + lines, *PASSIVE)


def test_retransmissions_with_other_boundaries():
    lines = """
    > P. 1:51(50) ack 1
    > P. 31:151(120) ack 1
    > . 1:101(100) ack 1
    < . 1:1(0) ack 151
    < P. 1:11(10) ack 151
    0.5 < P. 1:31(30) ack 151
    > . 151:151(0) ack 31
    """
    same(HANDSHAKE + lines, "ESTABLISHED")


def test_fin_before_the_data_that_it_follows():
    lines = """
    > F. 101:101(0) ack 1
    < . 1:1(0) ack 1
    > P. 1:101(100) ack 1
    < . 1:1(0) ack 102
    < F. 1:1(0) ack 102
    > . 102:102(0) ack 2
    """
    same(HANDSHAKE + lines, *PASSIVE)


def test_keepalives_of_both_sides():
    lines = """
    30.0 > . 10:10(0) ack 21
    < . 21:21(0) ack 11
    60.0 > . 10:11(1) ack 21
    < . 21:21(0) ack 11
    90.0 < . 20:20(0) ack 11
    > . 11:11(0) ack 21
    """
    same(HANDSHAKE + GET + lines + CLIENT_CLOSES, *PASSIVE)


def test_window_of_the_client_closes_and_opens():
    lines = """
    > P. 1:11(10) ack 1 win 8
    < P. 1:1025(1024) ack 11
    > . 11:11(0) ack 1025 win 0
    0.5 < . 1025:1026(1) ack 11
    > . 11:11(0) ack 1025 win 0
    1.0 > . 11:11(0) ack 1025 win 100
    1.1 < P. 1025:2049(1024) ack 11
    > . 11:11(0) ack 2049 win 100
    """
    same(HANDSHAKE + lines, "ESTABLISHED")


def test_window_of_the_server_closes_and_the_client_probes():
    lines = """
    > P. 1:1001(1000) ack 1
    < . 1:1(0) ack 1001 win 0
    0.5 > . 1001:1002(1) ack 1
    0.51 < . 1:1(0) ack 1001 win 0
    1.0 < . 1:1(0) ack 1001 win 1000
    1.1 > P. 1001:2001(1000) ack 1
    < . 1:1(0) ack 2001
    """
    same(HANDSHAKE + lines, "ESTABLISHED")


def test_more_sent_at_once_than_our_congestion_window_allows():
    sent = [f"< . {1 + 1460 * i}:{1461 + 1460 * i}(1460) ack 11" for i in range(40)]
    acked = f"> . 11:11(0) ack {1 + 1460 * 40} win 511"
    end = 1 + 1460 * 40
    lines = ["> P. 1:11(10) ack 1", *sent, acked, f"< F. {end}:{end}(0) ack 11", f"> . 11:11(0) ack {end + 1}"]
    verdict = replay(HANDSHAKE + "\n".join(lines))
    assert verdict.status is Status.SAME, verdict.reason
    assert path(verdict) == ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2"]
    assert any("held back" in note for note in verdict.notes)


def test_super_segments_of_an_offloading_interface():
    lines = """
    > P. 1:65001(65000) ack 1
    < . 1:1(0) ack 65001
    < P. 1:60001(60000) ack 65001
    > . 65001:65001(0) ack 60001
    """
    same(HANDSHAKE + lines, "ESTABLISHED")


def test_checksums_not_filled_in():
    capture = Capture().add(WHOLE)
    for packet in capture.packets:
        packet["TCP"].chksum = 0x1234
    same(capture, *PASSIVE)


def test_a_damaged_packet_was_not_heard():
    capture = Capture().add(HANDSHAKE + "> P. 1:11(10) ack 1\n0.3 > P. 1:11(10) ack 1\n< . 1:1(0) ack 11")
    damaged = capture.packets[3]
    damaged["TCP"].chksum = 0x1234
    damaged["TCP"].payload.load = b"other text"
    verdict = replay(capture)
    assert verdict.status is Status.SAME
    assert verdict.notes == ["packet 4 was damaged on its way (bad TCP checksum)"]


def test_urgent_octets_stay_in_line():
    same(HANDSHAKE + "> PU. 1:11(10) ack 1 urg 5\n< . 1:1(0) ack 11", "ESTABLISHED")


def test_fragments_are_joined():
    capture = Capture().add(HANDSHAKE + "> P. 1:2001(2000) ack 1\n< . 1:1(0) ack 2001")
    pieces = fragment(capture.packets[3], 1000)
    for piece in pieces:
        piece.time = capture.packets[3].time
    capture.packets[3:4] = reversed(pieces)
    same(capture, "ESTABLISHED")


def test_addresses_that_no_link_has_are_replaced():
    capture = Capture()
    capture.client, capture.server = ("127.0.0.1", CLIENT[1]), ("127.0.0.1", 80)
    verdict = replay(capture.add(WHOLE))
    assert verdict.status is Status.SAME
    assert any("addresses replaced" in note for note in verdict.notes)


@pytest.mark.parametrize("client", ["203.0.113.10", "203.0.113.255", "10.0.0.0", "1.2.3.4"])
def test_the_client_may_be_anywhere(client):
    capture = Capture()
    capture.client = (client, CLIENT[1])
    same(capture.add(WHOLE), *PASSIVE)


def test_fins_that_cross_are_told_by_what_they_acknowledge():
    far = "0.0 > S 0:0(0)\n0.06 < S. 0:0(0) ack 1\n> . 1:1(0) ack 1"
    lines = """
    0.100 > F. 11:11(0) ack 21
    0.140 < F. 21:21(0) ack 11
    0.141 > . 12:12(0) ack 22
    0.200 < . 22:22(0) ack 12
    """
    same(far + GET + lines, *BOTH_AT_ONCE)


def test_a_fin_that_was_lost_is_left_out():
    lines = """
    1.0 > F. 11:11(0) ack 21
    2.0 < F. 21:21(0) ack 11
    2.1 > F. 11:11(0) ack 22
    2.2 < . 22:22(0) ack 12
    """
    verdict = replay(HANDSHAKE + GET + lines)
    assert verdict.status is Status.SAME, verdict.reason
    assert path(verdict) == ACTIVE
    assert verdict.notes == ["packet 8 of the client's never reached the server, so it is left out"]


def test_data_in_flight_when_the_client_resets():
    lines = """
    0.100 > P. 11:12(1) ack 21
    0.110 > R. 12:12(0) ack 21
    0.120 < P. 21:121(100) ack 11
    0.121 < P. 121:221(100) ack 11
    """
    verdict = replay(HANDSHAKE + GET + lines)
    assert verdict.status is Status.SAME, verdict.reason
    assert path(verdict) == ["ESTABLISHED", "CLOSED"]
    assert verdict.server.replayed == 220
