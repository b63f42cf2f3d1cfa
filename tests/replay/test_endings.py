"""How connections begin and end: every way, replayed to the recorded states."""

import pytest

from netstack.replay.verdict import Status
from tests.replay.lines import CLIENT_CLOSES, GET, HANDSHAKE, PASSIVE, WHOLE, Capture, path, replay, replay_all, same

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
