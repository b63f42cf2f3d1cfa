"""netstack as the host of a script: one stack on a device in memory, its clock moved by the script."""

import random
from collections.abc import Mapping
from ipaddress import IPv4Address, IPv4Interface
from typing import Any

from netstack.config import Config
from netstack.drill.host import Address, Pending
from netstack.drill.options import PREFIX, Options
from netstack.drill.outcome import Unsupported
from netstack.drill.settings import FILE
from netstack.drill.virtual.calls import StackSockets
from netstack.drill.virtual.descriptors import Step
from netstack.drill.virtual.device import PacketDevice
from netstack.drill.virtual.settings import apply
from netstack.sockets.stream import StreamSocket
from netstack.stack import Stack
from netstack.tcp.connection import Connection
from netstack.tcp.info import listener_info, tcp_info
from netstack.tcp.state import LISTEN, TIME_WAIT
from netstack.tcp.timewait import TimeWait
from netstack.units import SECOND, Micros, Octets

START: Micros = 1_000 * SECOND
"""The stack's clock when the script's is 0: any origin will do, but one with a past."""
SEED = 7
PATIENCE = 200_000
"""Turns without the clock moving before a deadline that never passes is called a fault of the stack."""


class StackHost:
    """The stack under test, with sockets in blocking mode and time that passes only when the script says so."""

    name = "stack"
    origin: Micros = 0

    def __init__(self, options: Options) -> None:
        if options.ip_version != 4:
            raise Unsupported("IPv6")
        self.local, self.remote = options.local_address, options.remote_address
        prefix = PREFIX[options.ip_version]
        address = IPv4Interface(f"{IPv4Address(self.local)}/{prefix}")
        gateway = next(host for host in address.network.hosts() if host.packed not in (self.local, self.remote))
        self.config = Config(address=address, gateway=gateway, mtu=options.mtu)
        self.clock = START
        self.blocked: list[tuple[Pending, Step, Micros | None]] = []
        self._build()

    def _build(self) -> None:
        self.device = PacketDevice(self.config.mac, self.config.mtu)
        self.stack = Stack(self.config, self.device, random.Random(SEED))
        self.stack.tcp.now = self.clock
        self.sockets = StackSockets(self.stack)
        self.untouched = True

    # The clock.

    def now(self) -> Micros:
        """Virtual time since the script's start."""
        return self.clock - START

    def run_until(self, at: Micros) -> None:
        """Move the clock, stopping at every deadline on the way."""
        while self._step(at + START):
            pass

    def outbound(self, until: Micros) -> tuple[Micros, bytes] | None:
        """The next packet that the stack wrote."""
        while not self.device.sent:
            if not self._step(until + START):
                return None
        at, packet = self.device.sent.popleft()
        return at - START, packet

    def _step(self, until: Micros) -> bool:
        """To the next deadline, `until` at the latest. False when nothing is due by then and the clock is there."""
        at = self._deadline()
        if at is None or at > until:
            self.clock = max(self.clock, until)
            return False
        self.turns = self.turns + 1 if at <= self.clock else 0
        if self.turns > PATIENCE:
            raise RuntimeError("the stack's deadline never passes")
        self.clock = max(self.clock, at)
        self.stack.expire(self.clock)
        self._turn()
        return True

    turns = 0

    def _deadline(self) -> Micros | None:
        deadlines = [self.stack.deadline(), *(until for _, _, until in self.blocked)]
        return min((at for at in deadlines if at is not None), default=None)

    def _turn(self) -> None:
        """Let the stack send, feed it what its neighbours answer, and let blocked calls try again."""
        self.stack.transmit(self.clock)
        while (frame := self.device.read(self.clock)) is not None:
            self.stack.receive(frame, self.clock)
            self.stack.transmit(self.clock)
        self.sockets.look(self.now())
        blocked, self.blocked = self.blocked, []
        for pending, step, _ in blocked:
            self._advance(pending, step)
        if blocked:
            self.stack.transmit(self.clock)

    # The script's doings.

    def inject(self, packet: bytes, gso_size: Octets) -> None:
        """A packet arrives."""
        self.untouched = False
        self.stack.receive(self.device.frame(packet, gso_size), self.clock)
        self._turn()

    def start(self, name: str, *arguments: Any) -> Pending:
        """The first try of a call; while it blocks it is tried again after everything that happens."""
        self.untouched = False
        self.stack.tcp.now = self.clock
        pending = Pending(name, self.now())
        self._advance(pending, getattr(self.sockets, name)(*arguments))
        self._turn()
        return pending

    def _advance(self, pending: Pending, step: Step) -> None:
        try:
            self.blocked.append((pending, step, next(step)))
            return
        except StopIteration as result:
            pending.value = result.value
        except Unsupported as reason:
            pending.unsupported = str(reason)
        except OSError as error:
            pending.error = error
        pending.done, pending.finished_at = True, self.now()

    def wait(self, pending: Pending, until: Micros) -> bool:
        """Move the clock until the call is done."""
        while not pending.done and self._step(until + START):
            pass
        return pending.done

    def configure(self, settings: Mapping[str, str]) -> list[str]:
        """Before anything happened a stack with these settings is built; later the running one takes them over."""
        files = {name.removeprefix(FILE): int(size) for name, size in settings.items() if name.startswith(FILE)}
        config, ignored = apply(self.config, {name: settings[name] for name in settings if not name.startswith(FILE)})
        paced = self.sockets.paced or settings.get("link.qdisc") == "fq"
        if self.untouched:
            self.config = config
            files = {**self.sockets.zeros, **files}
            self._build()
        self.sockets.paced = paced
        self.sockets.zeros.update(files)
        if self.untouched:
            return ignored
        if config.mtu != self.config.mtu:
            self.device.mtu = config.mtu
            self.stack.ip.on_link_mtu(config.mtu)
        self.config = self.stack.config = config
        self.stack.tcp.config = config.tcp
        return ignored

    def counters(self) -> Mapping[str, int]:
        """The stack's."""
        return self.stack.counters.snapshot()

    # What is told.

    def tcp_info(self, fd: int) -> Mapping[str, int]:
        """From the connection's variables."""
        sock = self.sockets.sockets.get(fd)
        if not isinstance(sock, StreamSocket):
            return {}
        if sock.listener is not None:
            return listener_info(sock.listener)
        if sock.connection is None:
            return sock.info()
        return {**tcp_info(sock.connection, self.clock), **sock.congestion_info()}

    def sockets_table(self) -> list[str]:
        """Listeners, then connections; queues and timers are left out."""
        tcp = self.stack.tcp
        rows = [_row((address, port), (bytes(4), 0), LISTEN.number) for address, port in tcp.listeners]
        for key, conn in tcp.connections.items():
            local, remote = (key[4:8], int.from_bytes(key[-2:], "big")), (key[:4], int.from_bytes(key[-4:-2], "big"))
            rows.append(_row(local, remote, conn.state.number))
        return [f"{number:4}: {row}" for number, row in enumerate(rows)]

    def explain(self, fd: int | None, local: Address | None, remote: Address | None) -> str:
        """State, SND and RCV variables, relative to the initial numbers."""
        sock = self.sockets.sockets.get(fd) if fd is not None else None
        stream = sock if isinstance(sock, StreamSocket) else None
        conn: Connection | TimeWait | None = stream.connection if stream is not None else None
        if local is not None and remote is not None:
            ports = remote[1].to_bytes(2, "big") + local[1].to_bytes(2, "big")
            conn = self.stack.tcp.connections.get(remote[0] + local[0] + ports, conn)
        if conn is None:
            return "LISTEN" if stream is not None and stream.listening else "CLOSED" if local is not None else ""
        if not isinstance(conn, Connection):
            return str(TIME_WAIT)
        tcb = conn.tcb
        sending = f"SND {tcb.snd_una - tcb.iss}:{tcb.snd_nxt - tcb.iss} wnd {tcb.snd_wnd} cwnd {conn.recovery.cc.cwnd}"
        receiving = f"RCV {tcb.rcv_nxt - tcb.irs} wnd {tcb.rcv_wup + tcb.rcv_wnd - tcb.rcv_nxt}" if tcb.rcv_nxt else ""
        return f"{tcb.state} {sending} {receiving}".rstrip()

    def close(self) -> None:
        """Nothing outside this process was touched."""


def _row(local: Address, remote: Address, state: int) -> str:
    """As /proc/net/tcp has it: addresses in the machine's order of octets, all in hexadecimal."""
    ends = (f"{int.from_bytes(address, 'little'):08X}:{port:04X}" for address, port in (local, remote))
    return f"{' '.join(ends)} {state:02X} 00000000:00000000 00:00000000 00000000"
