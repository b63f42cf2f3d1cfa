"""Conversations that no program here recorded: what peers, networks and captures do, replayed to a verdict."""

import pytest

from netstack.replay.verdict import Status
from netstack.tcp.connection import Connection
from tests.replay.lines import CLIENT, HANDSHAKE, Capture, path, pattern, replay, replay_all

GET = """
> P. 1:11(10) ack 1
< . 1:1(0) ack 11
< P. 1:21(20) ack 11
> . 11:11(0) ack 21
"""
CLIENT_CLOSES = """
> F. 11:11(0) ack 21
< F. 21:21(0) ack 12
> . 12:12(0) ack 22
"""
WHOLE = HANDSHAKE + GET + CLIENT_CLOSES
PASSIVE = ["ESTABLISHED", "CLOSE-WAIT", "LAST-ACK", "CLOSED"]


def same(capture: Capture | str | bytes, *states: str) -> None:
    """The replay agrees with the recording, over these states."""
    verdict = replay(capture)
    assert verdict.status is Status.SAME, verdict.reason
    assert path(verdict) == path(verdict, ours=False) == list(states)


def not_replayable(capture: Capture | str | bytes, why: str) -> None:
    """The reason is one line that holds `why`."""
    verdict = replay(capture)
    assert verdict.status is Status.NOT_REPLAYABLE
    assert why in verdict.reason
    assert "\n" not in verdict.reason


# How connections end.

ENDS = {
    "client first": (CLIENT_CLOSES, PASSIVE),
    "server first": (
        "< F. 21:21(0) ack 11\n> . 11:11(0) ack 22\n> F. 11:11(0) ack 22\n< . 22:22(0) ack 12",
        ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"],
    ),
    "server first, FIN with the ACK": (
        "< F. 21:21(0) ack 11\n> F. 11:11(0) ack 22\n< . 22:22(0) ack 12",
        ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"],
    ),
    "both at once": (
        "< F. 21:21(0) ack 11\n> F. 11:11(0) ack 21\n< . 22:22(0) ack 12\n> . 12:12(0) ack 22",
        ["ESTABLISHED", "FIN-WAIT-1", "CLOSING", "TIME-WAIT"],
    ),
    "half closed by the server, which still reads": (
        "< F. 21:21(0) ack 11\n> . 11:11(0) ack 22\n> P. 11:111(100) ack 22\n< . 22:22(0) ack 111\n"
        "> F. 111:111(0) ack 22\n< . 22:22(0) ack 112",
        ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "TIME-WAIT"],
    ),
    "reset by the client": ("> R. 11:11(0) ack 21", ["ESTABLISHED", "CLOSED"]),
    "reset by the server": ("< R. 21:21(0) ack 11", ["ESTABLISHED", "CLOSED"]),
    "reset by both": ("< R. 21:21(0) ack 11\n> R. 11:11(0) ack 21", ["ESTABLISHED", "CLOSED"]),
    "reset beside the window": ("> R. 900000:900000(0) ack 21" + CLIENT_CLOSES, PASSIVE),
    "reset in the window, not at RCV.NXT": (
        "> R. 500:500(0) ack 21\n< . 21:21(0) ack 11\n" + CLIENT_CLOSES,
        PASSIVE,
    ),
    "reset after the FIN": ("> F. 11:11(0) ack 21\n> R 12:12(0)", ["ESTABLISHED", "CLOSE-WAIT", "CLOSED"]),
    "reset at the FIN, which was acknowledged": (
        "> F. 11:11(0) ack 21\n1.0 < . 21:21(0) ack 12\n2.0 > R 11:11(0)",
        ["ESTABLISHED", "CLOSE-WAIT", "CLOSED"],
    ),
    "reset by the server after its FIN": (
        "< F. 21:21(0) ack 11\n> P. 11:111(100) ack 22\n< R 22:22(0)",
        ["ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2", "CLOSED"],
    ),
    "not at all": ("", ["ESTABLISHED"]),
    "FIN sent again": (
        "> F. 11:11(0) ack 21\n> F. 11:11(0) ack 21\n< F. 21:21(0) ack 12\n> F. 11:11(0) ack 22\n> . 12:12(0) ack 22",
        PASSIVE,
    ),
    "server's FIN sent again": (
        "> F. 11:11(0) ack 21\n< F. 21:21(0) ack 12\n0.5 < F. 21:21(0) ack 12\n> . 12:12(0) ack 22",
        PASSIVE,
    ),
}


@pytest.mark.parametrize("ending", ENDS)
def test_endings(ending):
    lines, states = ENDS[ending]
    same(HANDSHAKE + GET + lines, *states)


def test_every_beginning_of_a_capture_is_replayed_alike_or_not_at_all():
    capture = Capture().add(WHOLE)
    whole = capture.packets
    for count in range(1, len(whole) + 1):
        capture.packets = whole[:count]
        verdict = replay(capture)
        assert verdict.status is (Status.SAME if count > 1 else Status.NOT_REPLAYABLE), verdict.reason


# Handshakes.


def test_syn_answered_with_rst_is_a_closed_port():
    verdict = replay("> S 0:0(0) <mss 1460>\n< R. -5000:0(0) ack 1")
    assert verdict.status is Status.SAME
    assert path(verdict) == ["CLOSED"]


def test_half_open_scan_ends_in_syn_received():
    same("> S 0:0(0) <mss 1460>\n< S. 0:0(0) ack 1\n> R 1:1(0)", "LISTEN", "SYN-RECEIVED", "CLOSED")


def test_syn_and_syn_ack_sent_again():
    lines = "> S 0:0(0) <mss 1460>\n1.0 > S 0:0(0) <mss 1460>\n1.01 < S. 0:0(0) ack 1 <mss 1460>\n> . 1:1(0) ack 1"
    same(lines + GET + CLIENT_CLOSES, *PASSIVE)


def test_simultaneous_open():
    lines = """
    0.000 > S 0:0(0) <mss 1460>
    0.001 < S 0:0(0) <mss 1460>
    0.002 > S. 0:0(0) ack 1 <mss 1460>
    0.003 < S. 0:0(0) ack 1 <mss 1460>
    """
    verdict = replay(lines + GET + CLIENT_CLOSES)
    assert verdict.status is Status.SAME, verdict.reason
    names = [passed.state for passed in verdict.replayed]
    assert names == ["CLOSED", "SYN-SENT", "SYN-RECEIVED", *PASSIVE]


def test_data_with_the_syn_arrives_after_the_handshake():
    same(
        """
        > S 0:0(10) <mss 1460>
        < S. 0:0(0) ack 11 <mss 1460>
        < P. 1:21(20) ack 11
        > . 11:11(0) ack 21
        """
        + CLIENT_CLOSES,
        *PASSIVE,
    )


@pytest.mark.parametrize("isns", [(2**32 - 5, 2**32 - 15), (2**31 - 3, 2**31 - 1), (0, 0)])
def test_sequence_numbers_wrap(isns):
    same(Capture(isns).add(WHOLE), *PASSIVE)


def test_the_same_ports_again_are_another_connection():
    capture = Capture().add(WHOLE)
    capture.isns = (700_000_000, 900_000_000)
    capture.add(HANDSHAKE + GET + ENDS["both at once"][0])
    first, second = replay_all(capture)
    assert (first.status, second.status) == (Status.SAME, Status.SAME)
    assert path(second) == ENDS["both at once"][1]


def test_options_the_server_refused_are_not_used():
    verdict = replay(WHOLE.replace("ack 1 <mss 1460,sackOK,wscale 7>", "ack 1 <mss 1000>"))
    assert verdict.status is Status.SAME
    syn_ack = next(row.ours for row in verdict.rows if row.ours)
    assert bytes(syn_ack.octets_of_options) == b"\2\4\3\xe8"


# What the network and the capture do.


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
    from scapy.layers.inet import fragment

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


# Captures taken at the client.


def test_fins_that_cross_are_told_by_what_they_acknowledge():
    far = "0.0 > S 0:0(0)\n0.06 < S. 0:0(0) ack 1\n> . 1:1(0) ack 1"
    lines = """
    0.100 > F. 11:11(0) ack 21
    0.140 < F. 21:21(0) ack 11
    0.141 > . 12:12(0) ack 22
    0.200 < . 22:22(0) ack 12
    """
    same(far + GET + lines, *ENDS["both at once"][1])


def test_a_fin_that_was_lost_is_left_out():
    lines = """
    1.0 > F. 11:11(0) ack 21
    2.0 < F. 21:21(0) ack 11
    2.1 > F. 11:11(0) ack 22
    2.2 < . 22:22(0) ack 12
    """
    verdict = replay(HANDSHAKE + GET + lines)
    assert verdict.status is Status.SAME, verdict.reason
    assert path(verdict) == ENDS["server first, FIN with the ACK"][1]
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


# What cannot be replayed, and what is different.

HOPELESS = {
    "no answer": ("> S 0:0(0)\n1.0 > S 0:0(0)", "the SYN was never answered"),
    "no SYN": ("< S. 0:0(0) ack 1\n> . 1:1(0) ack 1", "the client's SYN is not in the capture"),
    "no SYN-ACK": ("> S 0:0(0)\n> . 1:1(0) ack 1\n< P. 1:11(10) ack 1", "the server's SYN-ACK is not in the capture"),
    "middle": ("> P. 1:11(10) ack 1\n< . 1:1(0) ack 11", "the connection is older than the capture"),
    "client's octets": (HANDSHAKE + "> P. 1:11(10) ack 1\n< . 1:1(0) ack 31", "octets 11 to 30 of the client's"),
    "server's octets": (HANDSHAKE + "< P. 11:21(10) ack 1\n> . 1:1(0) ack 21", "octets 1 to 10 of the server's"),
    "server's FIN": (HANDSHAKE + "> F. 1:1(0) ack 1\n< . 1:1(0) ack 2\n> . 2:2(0) ack 2", "(or its FIN)"),
}


@pytest.mark.parametrize("case", HOPELESS)
def test_what_cannot_be_replayed_says_why(case):
    lines, why = HOPELESS[case]
    not_replayable(lines, why)


def test_packets_cut_by_the_snap_length():
    why = "packet 6 was cut when it was captured (8 octets missing): octets 13 to 20 of the server's are not known"
    not_replayable(Capture().add(WHOLE).file(snaplen=66), why)
    not_replayable(Capture().add(WHOLE).file(snaplen=40), "packet 1 was cut to 26 of")


def test_losing_packets_beside_the_data_does_no_harm():
    """A short snap length that keeps every header is enough where there is no data."""
    same(Capture().add(HANDSHAKE + "> F. 1:1(0) ack 1\n< F. 1:1(0) ack 2\n> . 2:2(0) ack 2").file(snaplen=70), *PASSIVE)


def test_a_stack_that_does_not_close_is_different(monkeypatch):
    monkeypatch.setattr(Connection, "shutdown", lambda self: None)
    verdict = replay(WHOLE)
    assert verdict.status is Status.DIFFERENT
    assert verdict.reason == "the states part after CLOSE-WAIT: recorded LAST-ACK, replayed no further state"


def test_a_stack_that_garbles_what_it_receives_is_different(monkeypatch):
    recv = Connection.recv

    def garbling(self, limit):
        data = recv(self, limit)
        return data and data[:5] + b"?" + data[6:]

    monkeypatch.setattr(Connection, "recv", garbling)
    verdict = replay(WHOLE)
    assert verdict.status is Status.DIFFERENT
    assert verdict.reason.startswith("the client's octets differ from octet 5 on")


def test_a_stack_that_garbles_what_it_sends_is_different(monkeypatch):
    send = Connection.send
    monkeypatch.setattr(Connection, "send", lambda self, data: send(self, data.replace(pattern("<", 8, 1), b"?")))
    verdict = replay(WHOLE)
    assert verdict.status is Status.DIFFERENT
    assert verdict.reason.startswith("the server's octets differ from octet 7 on")


def test_a_stack_that_says_too_little_is_different(monkeypatch):
    send = Connection.send
    monkeypatch.setattr(Connection, "send", lambda self, data: send(self, data[:15]))
    verdict = replay(WHOLE)
    assert verdict.status is Status.DIFFERENT
    assert "(20 delivered in the recording, 15 in the replay)" in verdict.reason
