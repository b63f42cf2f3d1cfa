"""Plays a script to a stack of its own, in virtual time, and notes what the stack does.

The recording's clock is the stack's, moved by `START`. At each instant: what has arrived is received, the application
reads and does what is due, the stack transmits, held ACKs are released; again until nothing happens any more.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Interface
from itertools import zip_longest
from typing import Any

from netstack.config import Config, TcpConfig
from netstack.events import Event, StateChanged
from netstack.replay.addresses import link_of
from netstack.replay.chart import CLOSED, LISTEN, Passed
from netstack.replay.conversation import Conversation, Recorded
from netstack.replay.link import ReplayLink
from netstack.replay.mapper import Mapper
from netstack.replay.script import Act, Arrival, Deed, Script
from netstack.stack import Entropy, Stack
from netstack.tcp.connection import Connection
from netstack.tcp.listener import Listener
from netstack.units import MILLISECOND, SECOND, Micros, Octets, Seq
from netstack.wire import ipv4, tcp, tcp_options
from netstack.wire.tcp import ACK, SYN

START: Micros = 10 * SECOND
"""The stack's time at the first packet of the conversation: its own announcements are over by then."""
GRACE: Micros = 250 * MILLISECOND
"""After the last step: a delayed ACK may still go, a retransmission may not."""
MAX_ROUNDS = 100_000
"""Of one instant; more means that stack and mapper answer each other for ever."""


@dataclass(slots=True)
class Sent:
    """A segment that our stack sent, with relative numbers."""

    at: Micros
    """On the recording's clock."""
    seq: Seq
    ack: Seq
    flags: int
    window: int
    urgent: int
    octets_of_options: bytes
    payload: bytes


@dataclass(slots=True)
class Outcome:
    """What the stack did."""

    sent: list[Sent] = field(default_factory=list)
    path: list[Passed] = field(default_factory=list)
    changes: list[StateChanged] = field(default_factory=list)
    """The same as the stack told it, on the recording's clock."""
    received: bytes = b""
    """What the application read."""
    written: Octets = 0
    """How much of the recorded server's octets the application could write."""
    undone: list[Act] = field(default_factory=list)
    """What the application never came to do, for want of octets from the client."""
    clipped: int = 0
    """ACKs that had to be held back."""


class Replay:
    """One conversation against one stack."""

    def __init__(self, conversation: Conversation, script: Script, rng: Entropy) -> None:
        self.conversation = conversation
        self.script = script
        self.outcome = Outcome()
        first = script.entries[0].at if script.entries else 0
        self._shift: Micros = START - first
        self.client, self.server, interface = link_of(conversation)
        config = self._config(interface)
        self.link = ReplayLink(self.server[0], config.mac, config.mtu, self._heard)
        self.mapper = Mapper(conversation, self.client[0] + self.server[0])
        self.stack = Stack(config, self.link, rng, self._watch)
        self.connection: Connection | None = None
        self.listener: Listener | None = None
        ports = self.client[1].to_bytes(2, "big") + self.server[1].to_bytes(2, "big")
        self._key = self.client[0] + self.server[0] + ports
        self._due: list[Act] = []
        self._received: list[bytes] = []
        first_state = LISTEN if conversation.listening and not _connects(script) else CLOSED
        self.outcome.path.append(Passed(first, first_state, ""))

    def run(self) -> Outcome:
        """Play the whole script."""
        self._turn(0)
        self._advance(START - 1)
        if self.outcome.path[0].state == LISTEN:
            self.listener = self.stack.tcp.listen(self.server[0], self.server[1], 16)
        now = START
        for entry, following in zip_longest(self.script.entries, self.script.entries[1:]):
            now = max(now, entry.at + self._shift)
            self._advance(now)
            if isinstance(entry, Arrival):
                self._inject(entry)
            else:
                self._due.append(entry)
                if isinstance(following, Act) and following.at <= entry.at:
                    continue  # a last write and the close: one segment, if the stack wants
            self._turn(now)
        self._advance(now + GRACE)
        self.outcome.undone = self._due
        self.outcome.received = b"".join(self._received)
        self.outcome.clipped = self.mapper.clipped
        return self.outcome

    # Time.

    def _advance(self, until: Micros) -> None:
        """Let time pass, up to and including `until`; every deadline on the way is met."""
        while True:
            deadline = self.stack.deadline()
            if deadline is None or deadline > until:
                return
            now = max(deadline, self.stack.now)
            self.stack.expire(now)
            self._turn(now)

    def _turn(self, now: Micros) -> None:
        """Everything that happens at this instant."""
        for _ in range(MAX_ROUNDS):
            acted = self._application(now)
            self.stack.transmit(now)
            frame = self.link.read(now)
            if frame is not None:
                self.stack.receive(frame, now)
                continue
            if acted:
                continue
            released = self.mapper.release()
            if released is None:
                return
            self.link.inject(released)
        raise RuntimeError(f"no end to what happens at {now - self._shift} us")

    def _inject(self, arrival: Arrival) -> None:
        for packet in self.mapper.packets(arrival.segment):
            self.link.inject(packet)

    # The application.

    def _application(self, now: Micros) -> bool:
        """Accept, read, and do what is due. True when anything was done that the stack should act upon."""
        self.stack.tcp.now = now  # user calls have no clock of their own
        if self.connection is None:
            found = self.stack.tcp.connections.get(self._key)
            if isinstance(found, Connection):
                self.connection = found
                self._prepare(found)
        if self.listener is not None:
            self.listener.accept()
        connection = self.connection
        acted = False
        while connection is not None and (data := connection.recv(1 << 20)):
            self._received.append(data)
            acted = True
        while self._due and self._may(self._due[0]):
            self._do(self._due.pop(0))
            acted = True
        return acted

    def _prepare(self, connection: Connection) -> None:
        """No Nagle: the writes are timed already. A receive window as large as any that the recorded server offered."""
        connection.options.nodelay = True
        connection.options.oobinline = True  # the whole stream is compared
        connection.window.ssthresh = max(connection.window.ssthresh, connection.window.clamp)

    def _may(self, act: Act) -> bool:
        if act.deed is Deed.CONNECT:
            return True
        connection = self.connection
        if connection is None:
            return False
        if act.deed is Deed.ABORT:
            return True
        return connection.tcb.rcv_nxt - connection.tcb.irs >= act.need

    def _do(self, act: Act) -> None:
        if act.deed is Deed.CONNECT:
            self.connection = self.stack.tcp.connect(self.server, self.client)
            self._prepare(self.connection)
            return
        connection = self.connection
        assert connection is not None
        if connection.error or str(connection.state) == CLOSED:
            return  # reset by the client: the recorded application, too, could do no more
        if act.deed is Deed.WRITE:
            self.outcome.written += connection.send(act.data)
        elif act.deed is Deed.CLOSE:
            connection.shutdown()
        else:
            connection.abort()

    # Watching.

    def _watch(self, event: Event) -> None:
        if isinstance(event, StateChanged) and event.who == self._key:
            at, cause = event.at - self._shift, event.cause
            self.outcome.path.append(Passed(at, str(event.new), cause.label, cause.paragraph))
            self.outcome.changes.append(StateChanged(at, event.who, event.old, event.new, cause))

    def _heard(self, header: ipv4.Header, segment: tcp.Segment, now: Micros) -> None:
        """The stack sent a segment."""
        if header.destination != self.client[0] or (segment.sport, segment.dport) != (self.server[1], self.client[1]):
            return
        at = now - self._shift
        self.mapper.on_sent(segment, tcp_options.parse(segment.options).ts_val, at)
        self.outcome.sent.append(self._relative(segment, at))

    def _relative(self, segment: tcp.Segment, at: Micros) -> Sent:
        iss = self.mapper.iss
        seq = segment.seq - (self.conversation.server_iss if iss is None else iss) & 0xFFFF_FFFF
        ack = segment.ack - self.conversation.client_iss & 0xFFFF_FFFF if segment.flags & ACK else 0
        return Sent(at, seq, ack, segment.flags, segment.window, segment.urgent, segment.options, segment.payload)

    # Set-up.

    def _config(self, interface: IPv4Interface) -> Config:
        """A stack that offers what the recorded server agreed to, on a link with its MTU."""
        answer = next((each for each in self.conversation.of(False) if each.flags & SYN), None)
        return Config(address=interface, mtu=_mtu(answer), tcp=_tcp_config(self.conversation, answer))


def _connects(script: Script) -> bool:
    return any(isinstance(entry, Act) and entry.deed is Deed.CONNECT for entry in script.entries)


def _mtu(answer: Recorded | None) -> Octets:
    """What the recorded server's MSS option implies; Ethernet's without one."""
    mss = answer.options.mss if answer else None
    return min(max(mss + 40, 576), 65_535) if mss else 1500


def _tcp_config(conversation: Conversation, answer: Recorded | None) -> TcpConfig:
    """Timestamps, SACK and window scaling only where the recorded server had them; buffers that are never short."""
    shift = answer.options.wscale or 0 if answer else 0
    offered = max((each.window << shift for each in conversation.of(False) if not each.flags & SYN), default=0)
    room = max(131_072, 4 * offered)
    output = len(conversation.server_stream.data) + 65_536
    options: dict[str, Any] = {}
    if answer:
        said = answer.options
        options = {
            "timestamps": said.ts_val is not None,
            "sack": said.sack_permitted,
            "window_scaling": said.wscale is not None,
        }
    return TcpConfig(rmem=(4_096, room, max(room, 6_291_456)), wmem=(4_096, output, output), **options)
