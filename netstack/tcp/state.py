"""The TCP state machine: states, causes and the one table of transitions (RFC 9293 3.3.2, Figure 5, and 3.10).

Everything that changes a connection's state looks it up here, through `Connection.move(cause)`. The table is keyed
by *cause*, and causes are applied in the RFC's order (an ACK in step five, a FIN in step eight): a segment that
acknowledges our FIN and carries the peer's is then two plain steps. A state missing under a peer's cause means
"remain in this state"; missing under a user's call it means the call is an error there. The chart in the docs, the
live view and the legality check in tests are all drawn from this table.
"""

from enum import Enum


class State(Enum):
    """The eleven states of RFC 9293 3.3.2; `str()` gives the RFC's spelling, `number` is Linux's tcpi_state."""

    ESTABLISHED = (1, "ESTABLISHED")
    SYN_SENT = (2, "SYN-SENT")
    SYN_RECEIVED = (3, "SYN-RECEIVED")
    FIN_WAIT_1 = (4, "FIN-WAIT-1")
    FIN_WAIT_2 = (5, "FIN-WAIT-2")
    TIME_WAIT = (6, "TIME-WAIT")
    CLOSED = (7, "CLOSED")
    CLOSE_WAIT = (8, "CLOSE-WAIT")
    LAST_ACK = (9, "LAST-ACK")
    LISTEN = (10, "LISTEN")
    CLOSING = (11, "CLOSING")

    number: int
    spelling: str
    synchronized: bool
    can_send: bool
    can_receive: bool

    def __init__(self, number: int, spelling: str) -> None:
        self.number = number
        self.spelling = spelling
        self.synchronized = spelling not in ("CLOSED", "LISTEN", "SYN-SENT", "SYN-RECEIVED")
        self.can_send = spelling in ("ESTABLISHED", "CLOSE-WAIT")
        """The user may still queue octets that go out."""
        self.can_receive = spelling in ("ESTABLISHED", "FIN-WAIT-1", "FIN-WAIT-2")
        """The peer may still send text (3.10.7.4, seventh)."""

    def __str__(self) -> str:
        return self.spelling


# Module constants: on CPython 3.11 `State.X` goes through a descriptor, and these are compared on every segment.
CLOSED = State.CLOSED
LISTEN = State.LISTEN
SYN_SENT = State.SYN_SENT
SYN_RECEIVED = State.SYN_RECEIVED
ESTABLISHED = State.ESTABLISHED
FIN_WAIT_1 = State.FIN_WAIT_1
FIN_WAIT_2 = State.FIN_WAIT_2
CLOSE_WAIT = State.CLOSE_WAIT
CLOSING = State.CLOSING
LAST_ACK = State.LAST_ACK
TIME_WAIT = State.TIME_WAIT


class Cause(Enum):
    """Why a state changes; the value is (what a chart prints, the paragraph)."""

    PASSIVE_OPEN = ("passive OPEN", "RFC 9293 3.10.1")
    ACTIVE_OPEN = ("active OPEN, snd SYN", "RFC 9293 3.10.1")
    PEER_SYN = ("rcv SYN, snd SYN,ACK", "RFC 9293 3.10.7.2 third; 3.10.7.3 fourth")
    PEER_SYN_ACK = ("rcv SYN,ACK, snd ACK", "RFC 9293 3.10.7.3 fourth")
    SYN_ACKED = ("rcv ACK of SYN", "RFC 9293 3.10.7.4 fifth")
    CLOSE_CALLED = ("CLOSE, snd FIN", "RFC 9293 3.10.4")
    FIN_ACKED = ("rcv ACK of FIN", "RFC 9293 3.10.7.4 fifth")
    PEER_FIN = ("rcv FIN, snd ACK", "RFC 9293 3.10.7.4 eighth")
    TWO_MSL_PASSED = ("2 MSL passed", "RFC 9293 3.10.8")
    PEER_RESET = ("rcv RST", "RFC 9293 3.10.7.3 second; 3.10.7.4 second")
    ABORT_CALLED = ("ABORT, snd RST", "RFC 9293 3.10.5")
    TIMED_OUT = ("timed out", "RFC 9293 3.8.3, 3.10.8")
    FIN_WAIT_TIMED_OUT = ("FIN-WAIT-2 timed out", "RFC 9293 3.6.1 names the problem; Linux's tcp_fin_timeout")
    UNREACHABLE = ("ICMP hard error", "RFC 9293 3.9.2.2")
    REOPENED = ("rcv new SYN in TIME-WAIT", "RFC 9293 3.10.7.4 fourth; RFC 6191")

    def __init__(self, label: str, paragraph: str) -> None:
        self.label = label
        self.paragraph = paragraph

    def __str__(self) -> str:
        return self.label


_ANY_OPEN = (SYN_SENT, SYN_RECEIVED, ESTABLISHED, FIN_WAIT_1, FIN_WAIT_2, CLOSE_WAIT, CLOSING, LAST_ACK)
_TO_CLOSED = dict.fromkeys(_ANY_OPEN, CLOSED)

TRANSITIONS: dict[Cause, dict[State, State]] = {
    Cause.PASSIVE_OPEN: {CLOSED: LISTEN},
    Cause.ACTIVE_OPEN: {CLOSED: SYN_SENT},
    Cause.PEER_SYN: {LISTEN: SYN_RECEIVED, SYN_SENT: SYN_RECEIVED},
    Cause.PEER_SYN_ACK: {SYN_SENT: ESTABLISHED},
    Cause.SYN_ACKED: {SYN_RECEIVED: ESTABLISHED},
    Cause.CLOSE_CALLED: {
        LISTEN: CLOSED,
        SYN_SENT: CLOSED,
        SYN_RECEIVED: FIN_WAIT_1,
        ESTABLISHED: FIN_WAIT_1,
        CLOSE_WAIT: LAST_ACK,
    },
    Cause.FIN_ACKED: {FIN_WAIT_1: FIN_WAIT_2, CLOSING: TIME_WAIT, LAST_ACK: CLOSED},
    Cause.PEER_FIN: {
        SYN_RECEIVED: CLOSE_WAIT,
        ESTABLISHED: CLOSE_WAIT,
        FIN_WAIT_1: CLOSING,
        FIN_WAIT_2: TIME_WAIT,
    },
    Cause.TWO_MSL_PASSED: {TIME_WAIT: CLOSED},
    Cause.PEER_RESET: _TO_CLOSED | {TIME_WAIT: CLOSED},
    Cause.ABORT_CALLED: _TO_CLOSED | {LISTEN: CLOSED},
    Cause.TIMED_OUT: dict(_TO_CLOSED),
    Cause.FIN_WAIT_TIMED_OUT: {FIN_WAIT_2: CLOSED},
    Cause.UNREACHABLE: {SYN_SENT: CLOSED, SYN_RECEIVED: CLOSED},
    Cause.REOPENED: {TIME_WAIT: SYN_RECEIVED},
}
