"""Why a segment leaves: the rules, by the names that `SegmentSent.why` uses, each with its paragraph.

The word before the colon is the kind of segment; what follows says which rule asked for it.
"""

DATA, FIN, SYN, SYN_ACK = "data", "fin", "syn", "syn-ack"

ACK = "ack"
"""A pure ACK of which nobody noted the reason: `report` looks for it."""
ACK_DELAYED = "ack: delayed"
ACK_QUICK = "ack: quick"
ACK_SECOND = "ack: second segment"
ACK_GAP = "ack: gap"
ACK_FILLED = "ack: gap filled"
ACK_DUPLICATE = "ack: duplicate"
ACK_UNACCEPTABLE = "ack: unacceptable"
ACK_CHALLENGE = "ack: challenge"
ACK_FIN = "ack: fin"
ACK_READ = "ack: read"
ACK_WINDOW = "ack: window update"
ACK_HANDSHAKE = "ack: handshake"
ACK_NO_MEMORY = "ack: no memory"
ACK_CONGESTION = "ack: congestion mark"
ACK_TIME_WAIT = "ack: time-wait"

RETRANSMISSION = "retransmission"
"""`: ` and how the loss was found (`FOUND`) follow."""
TAIL_PROBE, WINDOW_PROBE, KEEPALIVE = "probe: tail loss", "probe: window", "probe: keepalive"
MTU_PROBE = "probe: path mtu"

RESET = "reset"
RESET_CLOSED = "reset: no connection"
RESET_ACK = "reset: unacceptable ack"
COOKIE = "syn-ack: cookie"

RTO, RACK, DUPACK, PARTIAL, TOO_BIG, RENEGED, TLP = "rto", "rack", "dupack", "partial ack", "mtu", "reneging", "tlp"
SYN_AGAIN = "syn again"
FOUND = {
    RTO: ("the retransmission timer fired", "RFC 6298 5.4"),
    RACK: ("something sent later has arrived, and the reordering window has passed", "RFC 8985 6.2"),
    DUPACK: ("as many duplicate ACKs as reordering explains, and one more", "RFC 5681 3.2"),
    PARTIAL: ("an ACK in fast recovery left this unacknowledged", "RFC 6582 3.2"),
    TOO_BIG: ("the path does not take segments of this size", "RFC 1191 6.4"),
    RENEGED: ("the peer dropped what it had SACKed", "RFC 2018 8"),
    SYN_AGAIN: ("the peer sent its SYN again, so it has not seen our answer", "RFC 9293 3.8.1"),
    TLP: ("a tail loss probe was the repair", "RFC 8985 7.4"),
}
"""`LossDetected.how`: what it means, and the paragraph."""
FRTO, EIFEL, DSACK = "frto", "eifel", "dsack"
REFUTED = {
    FRTO: ("what was sent before the timeout arrived", "RFC 5682 3.1"),
    EIFEL: ("the echoed timestamp is older than the retransmission", "RFC 3522 3.2"),
    DSACK: ("every retransmission arrived twice", "RFC 2883 4; RFC 3708"),
}
"""`LossRefuted.how`: what it means, and the paragraph."""

RULES = {
    DATA: ("new data that both windows allow", "RFC 9293 3.8.6.2.1"),
    FIN: ("the user closed, and everything before it is sent", "RFC 9293 3.10.4"),
    SYN: ("active OPEN", "RFC 9293 3.10.1"),
    SYN_ACK: ("the answer to a SYN", "RFC 9293 3.10.7.2"),
    COOKIE: ("the SYN queue is full: the answer carries what it would hold", "RFC 4987 3.6"),
    ACK: ("an ACK is due", "RFC 9293 3.8.6.3"),
    ACK_DELAYED: ("no data carried the ACK in time", "RFC 9293 3.8.6.3"),
    ACK_QUICK: ("quick ACKs: the peer's slow start is not to wait", "RFC 9293 3.8.6.3"),
    ACK_SECOND: ("more than one full segment is unacknowledged", "RFC 5681 4.2"),
    ACK_GAP: ("something before it is missing: a duplicate ACK", "RFC 5681 4.2"),
    ACK_FILLED: ("a gap was filled", "RFC 5681 4.2"),
    ACK_DUPLICATE: ("what came had been received before", "RFC 9293 3.10.7.4 first"),
    ACK_UNACCEPTABLE: ("what came lies outside of the window", "RFC 9293 3.10.7.4 first"),
    ACK_CHALLENGE: ("a RST, SYN or ACK that may be forged is challenged", "RFC 5961 3.2, 4.2, 5.2"),
    ACK_FIN: ("the peer's FIN", "RFC 9293 3.10.7.4 eighth"),
    ACK_READ: ("the user has read", "RFC 9293 3.8.6.3"),
    ACK_WINDOW: ("the window to announce has doubled", "RFC 9293 3.8.6.2.2"),
    ACK_HANDSHAKE: ("the third of the handshake", "RFC 9293 3.10.7.3 fourth"),
    ACK_NO_MEMORY: ("there was no memory for what came", "RFC 9293 3.10.7.4 seventh"),
    ACK_CONGESTION: ("the peer reduced its window (CWR), maybe to one segment", "RFC 3168 6.1.3"),
    ACK_TIME_WAIT: ("from TIME-WAIT: the peer's FIN is acknowledged, or what comes late", "RFC 9293 3.10.7.4 eighth"),
    TAIL_PROBE: ("the last segments of a flight have no ACK yet", "RFC 8985 7.3"),
    MTU_PROBE: ("does a larger segment arrive?", "RFC 4821 7"),
    WINDOW_PROBE: ("the peer's window is closed: is it still?", "RFC 9293 3.8.6.1"),
    KEEPALIVE: ("nothing was heard for long: is the peer still there?", "RFC 9293 3.8.4"),
    RESET: ("the connection is aborted", "RFC 9293 3.10.5"),
    RESET_CLOSED: ("there is no such connection", "RFC 9293 3.10.7.1"),
    RESET_ACK: ("it acknowledges what was never sent", "RFC 9293 3.10.7.4 fifth"),
}
"""What each rule says, and its paragraph."""


def explain(why: str) -> tuple[str, str]:
    """The sentence and the paragraph of a `SegmentSent.why`, retransmissions included."""
    kind, _, how = why.partition(": ")
    if kind == RETRANSMISSION:
        return FOUND.get(how, ("found lost", "RFC 9293 3.8"))
    return RULES.get(why) or RULES.get(kind) or (why, "")
