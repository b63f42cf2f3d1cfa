"""What cannot be replayed says why; what is different is called different."""

import pytest

from netstack.replay.verdict import Status
from netstack.tcp.connection import Connection
from tests.replay.lines import HANDSHAKE, PASSIVE, WHOLE, Capture, pattern, replay, same


def not_replayable(capture: Capture | str | bytes, why: str) -> None:
    """The reason is one line that holds `why`."""
    verdict = replay(capture)
    assert verdict.status is Status.NOT_REPLAYABLE
    assert why in verdict.reason
    assert "\n" not in verdict.reason


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
