"""One sentence for each kind of step, with the paragraph where the rule stands."""

from netstack.config import TcpConfig
from netstack.journey.decode import Field
from netstack.journey.steps import CLIENT_LANE, Step
from netstack.link.device import VNET_LEN
from netstack.units import SECOND
from netstack.wire import ethernet, tcp

Explanation = tuple[str, str]
"""(sentence, source)"""


def explain(step: Step) -> Explanation:
    """Why this step is taken. Every kind of step has its sentence: KeyError would be a step nobody thought of."""
    kind = step.kind
    if step.lost:
        sentence, source = _LOST
    elif kind in ("client sends", "client hears") and step.frame is not None:
        sentence, source = _ON_LINK[kind, _carries(step.frame)]
    elif kind.startswith("state "):
        cause = kind.removeprefix("state ")
        entered = (step.client if step.start == CLIENT_LANE else step.server).state
        sentence, source = _STATES_ENTERED.get((cause, entered)) or _STATES[cause]
    elif kind.startswith("sent "):
        sentence, source = _SENT.get(kind.removeprefix("sent "), _SENT_OTHER)
    elif kind.startswith("segment out "):
        sentence, source = _SEGMENTS_OUT[kind.removeprefix("segment out ")]
        sentence = f"{sentence} The rule: {step.because}."
    else:
        sentence, source = _KINDS[kind]
    return sentence, step.source or source


def matters(step: Step, field: Field) -> bool:
    """Whether this step was decided by this field, or wrote it."""
    names = _MATTERS.get(step.kind.partition(" ")[0])
    return names is not None and field.layer in names and (not names[field.layer] or field.name in names[field.layer])


_EVERY: frozenset[str] = frozenset()
_SEGMENT = {
    "TCP": frozenset(("source port", "destination port", "sequence number", "acknowledgment number",
                      "data offset, flags", "window", "checksum", "timestamps", "SACK", "maximum segment size",
                      "window scale", "SACK permitted")),
}  # fmt: skip
_MATTERS: dict[str, dict[str, frozenset[str]]] = {
    "client": _SEGMENT | {"ARP": _EVERY, "data": _EVERY},
    "frame": {"Ethernet": _EVERY, "ARP": _EVERY},
    "packet": {"IPv4": _EVERY},
    "segment": _SEGMENT | {"data": _EVERY},
}
"""By the first word of a step's kind: layer -> names of fields, or none for all of them."""


def _carries(frame: bytes) -> str:
    """What a frame on the link is about: ARP, SYN, SYN-ACK, FIN, RST, data, ACK; other."""
    at = VNET_LEN + ethernet.HEADER_LEN
    if frame[at - 2 : at] == ethernet.ARP:
        return "ARP"
    begins = at + (frame[at] & 15) * 4
    if frame[at + 9] != tcp.PROTOCOL or len(frame) < begins + tcp.HEADER_LEN:
        return "other"
    flags = frame[begins + 13]
    if flags & tcp.RST:
        return "RST"
    if flags & tcp.SYN:
        return "SYN-ACK" if flags & tcp.ACK else "SYN"
    if flags & tcp.FIN:
        return "FIN"
    end = at + int.from_bytes(frame[at + 2 : at + 4], "big")
    return "data" if end > begins + (frame[begins + 12] >> 4) * 4 else "ACK"


_LOST = (
    "The path loses this frame; nobody is told, and only a timer or later segments will bring it to light.",
    "RFC 9293 3.8",
)
_ON_LINK = {
    ("client sends", "ARP"): (
        "Before the first packet can leave, its sender asks the whole link which MAC address has the IP address.",
        "RFC 826",
    ),
    ("client sends", "SYN"): (
        "The client picks an initial sequence number nobody can guess, asks for a connection, and says in the options "
        "what it can do.",
        "RFC 9293 3.5; ISN: RFC 6528",
    ),
    ("client sends", "ACK"): (
        "An acknowledgment without data: everything before this number has arrived, and the window says how much more "
        "may come.",
        "RFC 9293 3.4, 3.8.6",
    ),
    ("client sends", "data"): (
        "A segment with text: its octets are numbered from the sequence number on, and it acknowledges by the way.",
        "RFC 9293 3.4",
    ),
    ("client sends", "FIN"): (
        "The client has no more to send: FIN takes a sequence number of its own, so it is acknowledged like an octet.",
        "RFC 9293 3.6",
    ),
    ("client sends", "SYN-ACK"): ("The client answers a SYN that crossed its own.", "RFC 9293 3.5"),
    ("client sends", "RST"): ("The client gives the connection up: nothing of it is valid any more.", "RFC 9293 3.5.2"),
    ("client sends", "other"): ("A packet that is not TCP.", "RFC 791"),
    ("client hears", "ARP"): ("The answer goes to the one who asked, and both now know the other's MAC.", "RFC 826"),
    ("client hears", "SYN-ACK"): (
        "The server agrees, with its own initial sequence number, and acknowledges the client's.",
        "RFC 9293 3.5",
    ),
    ("client hears", "SYN"): ("A SYN that crossed the client's own.", "RFC 9293 3.5"),
    ("client hears", "data"): ("The response, or a part of it, is at the client.", "RFC 9293 3.10.7.4 seventh"),
    ("client hears", "ACK"): ("The client may forget what is acknowledged here.", "RFC 9293 3.10.7.4 fifth"),
    ("client hears", "FIN"): ("The server has no more to send either.", "RFC 9293 3.6"),
    ("client hears", "RST"): ("The server gives the connection up.", "RFC 9293 3.5.2"),
    ("client hears", "other"): ("A packet that is not TCP.", "RFC 791"),
}
_STATES = {
    "ACTIVE_OPEN": ("connect() makes a control block and sends a SYN.", "RFC 9293 3.10.1"),
    "PASSIVE_OPEN": ("listen(): SYNs to this port are welcome.", "RFC 9293 3.10.1"),
    "PEER_SYN": ("A SYN for a port where somebody listens: a control block is made, half open until the ACK.", ""),
    "PEER_SYN_ACK": ("The SYN is answered: for the client the connection is open, and it may send at once.", ""),
    "SYN_ACKED": ("The ACK proves that the SYN-ACK arrived: the third step of the handshake, open on both sides.", ""),
    "CLOSE_CALLED": ("close(): no more to send after what is queued, then FIN.", ""),
    "FIN_ACKED": ("The FIN is acknowledged: that direction is finished.", ""),
    "PEER_FIN": ("The peer's FIN: the end of its stream, which the program is told after the last octet.", ""),
    "TWO_MSL_PASSED": ("Nothing of the old connection can be on its way any more: the pair of ports is free.", ""),
    "PEER_RESET": ("An acceptable RST ends the connection at once.", ""),
    "ABORT_CALLED": ("The program drops the connection: RST, and what was not sent is lost.", ""),
    "TIMED_OUT": ("Retransmissions stayed unanswered too long.", ""),
    "FIN_WAIT_TIMED_OUT": ("The peer never sent its FIN.", ""),
    "UNREACHABLE": ("ICMP says that there is no way to the peer.", ""),
    "REOPENED": ("A new SYN is allowed to take the place of a connection that only waits.", ""),
}
_WAITS = (
    f"Both streams have ended, and the end that closed first waits ({TcpConfig().timewait_len // SECOND} s, twice what "
    "Linux takes for the longest life of a segment): to acknowledge the FIN again if need be, and until nothing old is "
    "left that could be taken for new."
)
_STATES_ENTERED = {
    ("PEER_FIN", "TIME-WAIT"): (_WAITS, ""),
    ("FIN_ACKED", "TIME-WAIT"): (_WAITS, ""),
    ("FIN_ACKED", "CLOSED"): ("Our FIN is acknowledged too: the control block goes, timers and buffers with it.", ""),
}
"""Where it matters which state a cause leads to."""
_SENT = {
    "http.response.start": (
        "Status and header fields are kept for now: a failure could still become a 500.",
        "ASGI HTTP, Response Start",
    ),
    "http.response.body": (
        "With the first piece of the body the framing is decided, and head and body are written together.",
        "ASGI HTTP, Response Body; RFC 9112 6",
    ),
}
_SENT_OTHER = ("The application sends an event of an extension.", "ASGI HTTP")
_SEGMENTS_OUT = {
    "SYN-ACK": (
        "SYN for our direction, ACK for theirs; of the options only those that both sides offered.",
        "RFC 9293 3.5; RFC 7323 2.2; RFC 2018 2",
    ),
    "data": (
        "What the peer's window, cwnd and Nagle allow becomes a segment; its octets are kept until the ACK.",
        "RFC 9293 3.8.6.2.1; RFC 5681",
    ),
    "ACK": ("Nothing to send along, so the acknowledgment travels alone.", "RFC 9293 3.8.6.3; RFC 5681 4.2"),
    "FIN": ("Everything queued is out: FIN closes our direction, and acknowledges theirs.", "RFC 9293 3.6"),
    "SYN": ("The connection is asked for.", "RFC 9293 3.5"),
    "RST": ("The connection is refused or given up.", "RFC 9293 3.5.2"),
    "retransmission": ("The same octets under the same numbers, once more.", "RFC 9293 3.8.1"),
    "probe: tail loss": ("Long without an ACK: the last segment once more, to make the peer speak.", "RFC 8985 7"),
    "probe: window": ("The peer's window is closed: is it still? The peer must answer.", "RFC 9293 3.8.6.1"),
    "probe: keepalive": ("Nothing was heard for long: is the peer still there? It must answer.", "RFC 9293 3.8.4"),
}
_IN = "RFC 9293 3.10.7.4"
_KINDS = {
    "connect": ("The program asks its TCP for a connection.", "RFC 9293 3.9.1.1"),
    "request": ("The connection is open, so the program writes its request.", "RFC 9112 2.1"),
    "response": (
        "The last octet of the content is there: the length said so, and nobody had to close.",
        "RFC 9112 6.3",
    ),
    "close": ("The program has what it wanted, and closes.", "RFC 9293 3.9.1.5"),
    "end of stream": ("The server's FIN reaches the program as an empty read.", "RFC 9293 3.6"),
    "frame in ARP": ("A broadcast: everybody on the link reads it, and who has the address answers.", "RFC 826"),
    "frame out ARP": ("We have that address: our MAC, to the one who asked.", "RFC 826"),
    "frame in IPv4": ("Our MAC address, EtherType 0x0800: the 14 octets in front have done their work.", "RFC 894"),
    "frame out IPv4": (
        "In front of it the neighbour's MAC address, ours and the EtherType; one system call takes it to the device.",
        "RFC 894; RFC 826",
    ),
    "packet in": (
        "Version, lengths, checksum and address are right, and it is no fragment: up to TCP.",
        "RFC 1122 3.2.1",
    ),
    "packet out": (
        "Addresses, time to live, checksum; DF, so that routers tell when it does not fit.",
        "RFC 791; RFC 1191",
    ),
    "dropped": ("Refused and counted by reason; the sender is told only where a rule says so.", "RFC 1122 3.2.2"),
    "segment in SYN": ("The checksum is right, but the four-tuple is new: the listener is asked.", "RFC 9293 3.10.7.2"),
    "segment in SYN-ACK": ("The answer to our SYN.", "RFC 9293 3.10.7.3"),
    "segment in ACK": (
        "In the window, ACK new: what it acknowledges is let go, and the window is noted.",
        f"{_IN} fifth",
    ),
    "segment in data": ("The next octet that was expected: in order, nothing missing.", f"{_IN} first, seventh"),
    "segment in FIN": ("The eighth and last check: the peer has ended its stream.", f"{_IN} eighth"),
    "segment in RST": ("The second check: is it exactly the next number?", f"{_IN} second; RFC 5961 3.2"),
    "timer": ("Nobody answered in time.", "RFC 6298 5; RFC 8985 7"),
    "loss": ("What was acknowledged since says that these octets are gone.", "RFC 6675; RFC 8985"),
    "not lost": ("What was thought lost had only been late: cwnd goes back to what it was.", "RFC 3522; RFC 5682"),
    "buffer in": ("Octets in order wait here for the program; the window shrinks by as much.", "RFC 9293 3.8.6"),
    "buffer read": ("The program takes them: room again, which the next segment announces.", "RFC 9293 3.8.6.2.2"),
    "buffer out": ("Accepted, not sent yet: kept until the peer acknowledges.", "RFC 9293 3.9.1.2"),
    "buffer freed": ("Acknowledged: no retransmission will need these any more.", "RFC 9293 3.4"),
    "woken": (
        "Whoever waits for this connection is told, in the same turn: no task, no queue in between.",
        "netstack/aio/transport.py",
    ),
    "accepted": (
        "The accept queue has a connection: a transport is made, and a protocol of the server on it.",
        "netstack/aio/server.py",
    ),
    "connection lost": ("The protocol lets go; TCP ends on its own.", "asgi/connection.py"),
    "parsed": ("data_received() got the end of a header block; httptools has read it.", "RFC 9112 2.1"),
    "refused": ("What came is no request that may be served, and the application never hears of it.", "RFC 9110 15.5"),
    "scope": ("Method, path and fields, in the form that every ASGI application knows.", "ASGI HTTP, Connection Scope"),
    "called": (
        "Its first step runs here and now; an application that waits goes on later, like any task.",
        "asgi/eager.py",
    ),
    "written": ("The connection may serve the next request.", "RFC 9112 9.3"),
    "received": ("The body, as the application asks for it.", "ASGI HTTP, Request"),
    "left out": ("Much of the same: the drawing would be longer than anybody reads.", ""),
    "raised": ("As long as nothing is written, the server answers 500; then it closes.", "ASGI, Applications"),
    "returned": ("The application is done with this request.", "ASGI, Applications"),
}
