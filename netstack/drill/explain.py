"""The exchange as a time-sequence ladder: the end under test on the left, the peer that the script plays right."""

import textwrap

from netstack.drill import notation
from netstack.drill.nodes import Packet, TcpSegment
from netstack.drill.outcome import Entry

LEFT, ARROW = 42, 50
_HEAD = ("time (s)", "end under test", "segments", "peer, as its segments imply")


class Peer:
    """What the script's end must think, judged by the segments it sent and those it got."""

    def __init__(self) -> None:
        self.state = "CLOSED"
        self.snd_nxt = self.snd_una = self.rcv_nxt = 0
        self.window: int | None = None
        self.fin_at: int | None = None
        self.their_fin_at: int | None = None

    def sent(self, tcp: TcpSegment) -> None:
        """The peer sent a segment."""
        flags = tcp.flags
        if "R" in flags:
            self.state = "CLOSED"
            return
        if "S" in flags:
            self.state = "SYN-RECEIVED" if "." in flags else "SYN-SENT"
            self.snd_una = tcp.seq
        end = tcp.seq + tcp.length + ("S" in flags) + ("F" in flags)
        self.snd_nxt = max(self.snd_nxt, end)
        self.window = tcp.window
        if tcp.ack is not None:
            self.rcv_nxt = max(self.rcv_nxt, tcp.ack)
            self._follow({"SYN-SENT": "ESTABLISHED"} if "S" not in flags else {})
            if self.their_fin_at is not None and tcp.ack > self.their_fin_at:
                self._follow({"ESTABLISHED": "CLOSE-WAIT", "FIN-WAIT-1": "CLOSING", "FIN-WAIT-2": "TIME-WAIT"})
        if "F" in flags:
            self.fin_at = end - 1
            self._follow({"ESTABLISHED": "FIN-WAIT-1", "SYN-RECEIVED": "FIN-WAIT-1", "CLOSE-WAIT": "LAST-ACK"})

    def received(self, tcp: TcpSegment) -> None:
        """The peer got a segment."""
        if "R" in tcp.flags:
            self.state = "CLOSED"
            return
        if tcp.ack is not None:
            self.snd_una = max(self.snd_una, tcp.ack)
            self._follow({"SYN-RECEIVED": "ESTABLISHED"})
            if self.fin_at is not None and tcp.ack > self.fin_at:
                self._follow({"FIN-WAIT-1": "FIN-WAIT-2", "CLOSING": "TIME-WAIT", "LAST-ACK": "CLOSED"})
        if "F" in tcp.flags:
            self.their_fin_at = tcp.seq + tcp.length

    def _follow(self, edges: dict[str, str]) -> None:
        self.state = edges.get(self.state, self.state)

    def __str__(self) -> str:
        window = f" wnd {self.window}" if self.window is not None else ""
        return f"{self.state} SND {self.snd_una}:{self.snd_nxt} RCV {self.rcv_nxt}{window}"


def ladder(entries: list[Entry]) -> str:
    """The time line drawn; states are shown where they change."""
    rows = [_row(*_HEAD), _row("-" * 8, "-" * 14, "-" * 8, "-" * 27)]
    peer = Peer()
    state = told = ""
    for entry in sorted(entries, key=lambda entry: entry.at):
        tcp = entry.packet.body if entry.packet is not None else None
        if isinstance(tcp, TcpSegment):
            (peer.sent if entry.side == "in" else peer.received)(tcp)
        local = entry.state if entry.state != state else ""
        state = entry.state or state
        remote = str(peer) if str(peer) != told and isinstance(tcp, TcpSegment) else ""
        told = remote or told
        if entry.packet is not None:
            rows += _packet_rows(entry, entry.packet, local, remote)
        else:
            rows.append(_row(notation.seconds(entry.at), entry.text, "", ""))
            rows += [_row("", line, "", "") for line in _wrapped(local)]
    return "\n".join(row.rstrip() for row in rows)


def _row(time: str, left: str, middle: str, right: str) -> str:
    return f"{time:>12}  {left:<{LEFT}} |{middle:^{ARROW}}| {right}"


def _wrapped(state: str) -> list[str]:
    return textwrap.wrap(state, LEFT)


def _packet_rows(entry: Entry, packet: Packet, local: str, remote: str) -> list[str]:
    """The arrow with the segment on it, options below, the states at both ends."""
    text = notation.packet(packet)[2:]
    text = text.split(" > ", 1)[-1].split(" ", 1)[-1] if _has_ports(packet) else text
    head, _, options = text.partition(" <")
    lines = textwrap.wrap(head, ARROW - 8) + textwrap.wrap(f"<{options}" if options else "", ARROW - 4)
    left = _wrapped(local)
    right = textwrap.wrap(remote, 60)
    rows = []
    for i in range(max(len(lines), len(left), len(right))):
        body = lines[i] if i < len(lines) else ""
        if i == 0:
            arrow = f"<-- {body} " if packet.inbound else f" {body} -->"
            body = f"{arrow:-<{ARROW}}" if packet.inbound else f"{arrow:->{ARROW}}"
        time = notation.seconds(entry.at) if i == 0 else ""
        rows.append(_row(time, left[i] if i < len(left) else "", body, right[i] if i < len(right) else ""))
    return rows


def _has_ports(packet: Packet) -> bool:
    return isinstance(packet.body, TcpSegment) and packet.body.ports is not None
