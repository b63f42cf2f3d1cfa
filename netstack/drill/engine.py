"""Runs the events of one script on a host, in order, and judges what the host does."""

import re
from dataclasses import dataclass, field

from netstack.drill import inbound, notation
from netstack.drill.calls import Calls, Started
from netstack.drill.code import Moment, compiled, run_code
from netstack.drill.compare import Rules
from netstack.drill.connections import Connections
from netstack.drill.expect import PATIENCE, Expecting
from netstack.drill.host import Host
from netstack.drill.nodes import Call, Code, Command, Event, Packet, Script, TcpSegment, UdpDatagram
from netstack.drill.outcome import Entry, Mismatch, Unsupported
from netstack.drill.settings import Read, read_settings
from netstack.drill.timing import Clockwork, Due
from netstack.units import Octets


@dataclass(slots=True)
class Manner:
    """How to run: the script's options and the user's wishes."""

    rules: Rules = field(default_factory=Rules)
    strict_segments: bool = False
    mss: Octets = 0
    """Not 0: an inbound segment with more payload is cut into segments of this size."""
    local_port: int = 8080
    remote_port: int = 8080
    explain: bool = False
    mapped: bool = False
    """Sockets of IPv6 stand for those of IPv4."""


@dataclass(frozen=True, slots=True)
class Blocked:
    """A call that has not returned yet."""

    event: Event
    started: Started
    due: Due


class Run:
    """One run of one script. `timeline` grows as things happen."""

    def __init__(self, script: Script, host: Host, manner: Manner, read: Read = lambda name: None) -> None:
        self.script, self.host, self.manner, self.read = script, host, manner, read
        self.connections = Connections((host.local, manner.local_port), (host.remote, manner.remote_port))
        self.calls = Calls(host, self.connections, lambda apart: abs(apart) <= manner.rules.tolerance, manner.mapped)
        self.clockwork = Clockwork(manner.rules.tolerance)
        self.timeline: list[Entry] = []
        self.expecting = Expecting(host, self.connections, manner.rules, self.timeline, manner.strict_segments)
        self.blocked: Blocked | None = None
        self.moments: list[Moment] = []
        self.ignored: list[str] = []
        self.counted: dict[str, int] = {}
        """Counters when the script last looked."""
        self.line = 0
        self.begun = False
        """A packet or a call has been: until then a command is what an init command would be."""

    def execute(self) -> None:
        """Run every event, then the code. Raises Mismatch, Unsupported or ScriptError."""
        for event in self.script.events:
            if isinstance(event.action, Code):
                compiled(event.action.text, event.line)
        for event in self.script.events:
            self.line = event.line
            self._event(event)
        self._await_blocked()
        run_code(self.moments)

    def leftovers(self) -> None:
        """What left and no line took goes on the time line."""
        while (got := self.host.outbound(self.host.now())) is not None:
            self.expecting.leftover(*got)

    def _event(self, event: Event) -> None:
        action = event.action
        due = self.clockwork.due(event)
        if isinstance(action, Packet) and not action.inbound:
            at = self.expecting.expect(event, action, due)
        else:
            at = due.end
            self._at_its_time(event, due)
            self._act(event, action, due)
        self.clockwork.done(event, at, self.host.now())
        self._note_state()
        self._reap()

    def _at_its_time(self, event: Event, due: Due) -> None:
        if isinstance(event.action, Call):
            self._await_blocked()
        self.host.run_until(due.end)
        now = self.host.now()
        if now > due.end + due.slack:
            told = f"time: due at {notation.seconds(due.end)}, but it is {notation.seconds(now)} already"
            raise Mismatch(event.line, told, event.text, "too late")

    def _act(self, event: Event, action: Packet | Call | Code | Command, due: Due) -> None:
        match action:
            case Packet():
                self._inject(event, action)
            case Call():
                self._call(event, action, due)
            case Code(text):
                descriptor = self.connections.live_descriptor()
                info = {} if descriptor is None else self.host.tcp_info(descriptor)
                self.moments.append(Moment(event, text, dict(info)))
            case Command():
                self._command(event, action)

    def _inject(self, event: Event, packet: Packet) -> None:
        self.begun = True
        flow = self.connections.inbound(packet)
        body = packet.body
        towards = inbound.with_ports(flow, body) if isinstance(body, TcpSegment | UdpDatagram) else flow
        octets = inbound.build(packet, towards, event.line, self.connections.keys)
        gso = 0
        if isinstance(body, TcpSegment) and 0 < self.manner.mss < body.length:
            gso = self.manner.mss
        self.timeline.append(Entry(self.host.now(), notation.packet(packet), event.line, "in", packet))
        self.host.inject(octets, gso)

    def _call(self, event: Event, call: Call, due: Due) -> None:
        self.begun = True
        at = self.host.now()
        head = call_text(event.text)
        started = self.calls.begin(call)
        if due.returns is not None and not started.pending.done:
            self.blocked = Blocked(event, started, due)
            self.timeline.append(Entry(at, f"{head} ...", event.line))
            return
        entry = Entry(at, head, event.line)
        self.timeline.append(entry)
        if not started.pending.done and not self.host.wait(started.pending, at + due.slack):
            entry.text += " blocks"
            raise Mismatch(event.line, "the call blocks", event.text, entry.text)
        self._judge(event, started, entry, due)

    def _judge(self, event: Event, started: Started, entry: Entry, due: Due) -> None:
        result, wrong = self.calls.judge(started)
        entry.text += f" = {result}"
        if wrong:
            raise Mismatch(event.line, wrong[0], event.text, entry.text, wrong[1:])
        at = started.pending.finished_at
        if due.returns is not None and abs(at - due.returns) > self.clockwork.slack(due.returns - due.end):
            told = f"time: expected return at {notation.seconds(due.returns)}, got {notation.seconds(at)}"
            raise Mismatch(event.line, told, event.text, f"{notation.seconds(at)} {entry.text}")

    def _reap(self) -> None:
        """A blocked call that has returned meanwhile is judged."""
        blocked = self.blocked
        if blocked is not None and blocked.started.pending.done:
            self.blocked = None
            event, at = blocked.event, blocked.started.pending.finished_at
            entry = Entry(at, f"... {call_text(event.text)}", event.line)
            self.timeline.append(entry)
            self._judge(event, blocked.started, entry, blocked.due)

    def _await_blocked(self) -> None:
        """Only one call can be blocked: before the next one, and at the end, it has to return."""
        if self.blocked is None:
            return
        event, pending = self.blocked.event, self.blocked.started.pending
        if not self.host.wait(pending, (self.blocked.due.returns or 0) + PATIENCE):
            now = notation.seconds(self.host.now())
            raise Mismatch(event.line, f"the call still blocks at {now}", event.text, "no return")
        self._reap()

    def _command(self, event: Event, command: Command) -> None:
        settings = read_settings(command.text, self.read, usual=not self.begun)
        if settings.refused or (settings.ignored and self.begun):
            raise Unsupported(f"the command `{settings.refused or settings.ignored[0]}`")
        self.ignored += settings.ignored
        self.timeline.append(Entry(self.host.now(), f"`{' '.join(command.text.split())}`", event.line))
        self.ignored += self.host.configure(settings.values)
        for patterns in settings.sockets:
            self._look_for(event, patterns, self.host.sockets_table(), "/proc/net/tcp")
        if settings.recount:
            self._count(event, settings.counted)
        if settings.pause:
            self.host.run_until(self.host.now() + settings.pause)

    def _count(self, event: Event, asked: list[list[str]]) -> None:
        """`nstat`, `nstat | grep NAME`: what was counted since the last such look; a line of it has to match."""
        now = dict(self.host.counters())
        rows = [f"{name:<32}{now[name] - self.counted.get(name, 0):<15} 0.0" for name in sorted(now)]
        rows = [row for row in rows if int(row.split()[1])]
        for patterns in asked:
            self._look_for(event, patterns, rows, "nstat")
        self.counted = now

    def _look_for(self, event: Event, patterns: list[str], rows: list[str], source: str) -> None:
        """One of `rows` matches every pattern."""
        try:
            found = any(all(re.search(pattern, row) for pattern in patterns) for row in rows)
        except re.error as error:
            raise Unsupported(f"the pattern {patterns}: {error}") from None
        if not found:
            told = f"{source}: no line matches {' and '.join(patterns)}"
            raise Mismatch(event.line, told, event.text, f"{source} shows", rows)

    def _note_state(self) -> None:
        if self.manner.explain and self.timeline:
            flow = self.connections.flow
            local, remote = (flow.local, flow.remote) if flow is not None else (None, None)
            self.timeline[-1].state = self.host.explain(self.connections.live_descriptor(), local, remote)


def call_text(text: str) -> str:
    """`0.1 read(4, ..., 10) = 10` -> `read(4, ..., 10)`: the call without its time and result."""
    begin = next((i for i, letter in enumerate(text) if letter.isalpha() or letter == "_"), 0)
    depth, quoted = 0, False
    for i in range(begin, len(text)):
        letter = text[i]
        quoted ^= letter == '"' and text[i - 1] != "\\"
        depth += 0 if quoted else (letter == "(") - (letter == ")")
        if letter == ")" and depth == 0 and not quoted:
            return text[begin : i + 1]
    return text[begin:]
