"""The user's calls (RFC 9293 3.9.1, 3.10.2-3.10.5): SEND, RECEIVE, CLOSE, ABORT. Each changes variables and returns."""

from __future__ import annotations

from errno import EPIPE

from netstack.tcp import report, send_room, urgent, why, write_queue
from netstack.tcp.core import ConnectionCore
from netstack.tcp.modelled import begin, choose
from netstack.tcp.pace import Pace
from netstack.tcp.state import (
    CLOSE_WAIT,
    CLOSED,
    CLOSING,
    ESTABLISHED,
    FIN_WAIT_2,
    LAST_ACK,
    SYN_RECEIVED,
    SYN_SENT,
    TIME_WAIT,
    Cause,
)
from netstack.units import Octets


class UserCalls(ConnectionCore):
    """What a socket asks of its connection. No call has a clock: time-dependent rules go by `Tcp.now`."""

    __slots__ = ()

    @property
    def readable(self) -> Octets:
        """Octets in order that wait for the user."""
        ready = self.receive_buffer.ready
        return ready - urgent.in_the_way(self, self.urgent) if self.urgent is not None and ready else ready

    @property
    def crowded(self) -> bool:
        """The user should read, however little there is: no more comes, or only little (Linux)."""
        tcb, rcvbuf = self.tcb, self.window.rcvbuf
        room = tcb.rcv_wup + tcb.rcv_wnd - tcb.rcv_nxt
        return room <= self.acking.rcv_mss or self.packets.settle() > rcvbuf - (rcvbuf >> 3)

    @property
    def eof(self) -> bool:
        """The peer's FIN was reached, or the connection is over: after `readable` octets nothing more comes."""
        state = self.tcb.state
        return not state.can_receive and state is not SYN_SENT and state is not SYN_RECEIVED

    @property
    def unacknowledged(self) -> Octets:
        """SIOCOUTQ: what is queued or on its way, our FIN as one more octet; what a reset left undone stays."""
        state = self.tcb.state
        if state in (SYN_SENT, SYN_RECEIVED, TIME_WAIT) or (state is CLOSED and not self.error):
            return 0
        return self.send_buffer.end + self.fin_queued - self.tcb.snd_una

    @property
    def unsent(self) -> Octets:
        """SIOCOUTQNSD: what is queued and has not left yet, our FIN as one more octet."""
        return max(self.send_buffer.end + (self.fin_queued and self.tcb.state.synchronized) - self.tcb.snd_nxt, 0)

    @property
    def send_space(self) -> Octets:
        """Octets that `send` would accept now."""
        return send_room.room(self)

    @property
    def send_limit(self) -> Octets:
        """The send buffer's size."""
        return send_room.limit(self)

    @property
    def writable(self) -> bool:
        """Whether poll would say so: enough room to be worth a call."""
        return send_room.writable(self)

    def send(self, data: bytes, more: bool = False) -> Octets:
        """Queue octets; returns how many were taken (0: the buffer is full; WRITABLE will say when it is not).

        `data` is kept by reference. `more` (MSG_MORE) holds a last, partial segment back. BrokenPipeError after
        `shutdown`, `close` or the end of the connection.
        """
        if not self.plain and (self.fin_queued or self.tcb.state is CLOSED or self.tcb.state is TIME_WAIT):
            raise BrokenPipeError(EPIPE, "Broken pipe")
        size = len(data)
        buffer, tcp = self.send_buffer, self.tcp
        asks = buffer.end - buffer.start + size > self.send_freely
        if asks and size > (space := send_room.room(self)):
            self.starved = True
            data, size = data[:space], space
        if size:
            if buffer.end - self.tcb.snd_nxt + size > self.size_goal or more or self.more or self.hold or self.pieces:
                write_queue.add(self, size, more)
            buffer.append(data)
            if asks and len(buffer) > self.charged:
                tcp.memory.settle(self)
            if not self.marked:
                self.marked = True
                tcp.ready.append(self)
            if tcp.events is not None:
                report.changes(self, tcp.now)
        return size

    def send_urgent(self, data: bytes, more: bool = False) -> Octets:
        """Like `send`; the last octet is urgent (RFC 9293 3.9.1.2)."""
        taken = self.send(data, more)
        if taken:
            urgent.of(self).snd_up = self.send_buffer.end
        return taken

    def end_record(self) -> None:
        """MSG_EOR: a record ends with what is queued. No segment takes octets from both sides of here (Linux)."""
        end = self.send_buffer.end
        if end > self.tcb.snd_nxt and (not self.pieces or self.pieces[-1].end < end):
            self.pieces.append(write_queue.Piece(end, not self.more))
        if self.pieces and self.pieces[-1].end == end:
            self.pieces[-1].record = True

    def recv(self, limit: Octets) -> bytes | None:
        """Up to `limit` octets in order; None: nothing yet; b"": the end of the stream."""
        buffer = self.receive_buffer
        if self.urgent is not None:
            limit = urgent.before_mark(self, self.urgent, limit)
        if not buffer.ready:
            if self.eof:
                self.packets.fin_waits = 0
                return b""
            return None
        data = buffer.read(limit)
        if not self.plain and not buffer.ready:
            self.packets.fin_waits = 0
        if self.urgent is not None:
            urgent.passed(self, self.urgent)
        tune = self.window.tune
        if self.tcb.rcv_nxt > tune.look_at and self.tcp.now >= tune.look_from:
            self._measure_taken(len(data))
        self._acknowledge()
        if self.tcp.events is not None:
            report.changes(self, self.tcp.now)
        return data

    def recv_into(self, target: bytearray | memoryview) -> Octets | None:
        """Like `recv` into a writable buffer; returns the octets written, 0 at the end of the stream."""
        view = memoryview(target)
        data = self.recv(len(view))
        if data is None:
            return None
        view[: len(data)] = data
        return len(data)

    def peek(self, limit: Octets) -> bytes | None:
        """What `recv` would return, left where it is."""
        if not self.readable:
            return b"" if self.eof else None
        self._acknowledge()  # what was looked at counts as read here (Linux)
        if self.urgent is not None and urgent.in_the_way(self, self.urgent):
            return self.receive_buffer.peek(limit + 1)[1:]
        if self.urgent is not None:
            limit = urgent.before_mark(self, self.urgent, limit)
        return self.receive_buffer.peek(limit)

    def _measure_taken(self, size: Octets) -> None:
        """The user read `size` octets: how much is that in a round trip?"""
        tcb, tune = self.tcb, self.window.tune
        end = tcb.rcv_nxt - self.packets.fin
        copied = end - self.receive_buffer.ready
        if tune.closely:  # Linux looks after each packet that a read takes, of which the first counts
            copied = min(copied, self.packets.end_of_first(copied - size))
        taken = tune.taken(copied, tcb.rcv_nxt - copied, self.tcp.now)
        if taken:
            self.grow_buffer(taken)

    def _acknowledge(self) -> None:
        """The user read: an owed ACK may go, and a window that doubled is announced (3.8.6.2.2)."""
        tcb, acking = self.tcb, self.acking
        unacked = tcb.rcv_nxt - tcb.rcv_wup
        if acking.scheduled:
            if unacked > acking.rcv_mss or (acking.pushed > acking.pingpong and not self.packets.settle()):
                acking.due = True
                self.mark()
                return
            if not self.marked:
                self.mark()
        window, doubled = self.window, 2 * (tcb.rcv_wnd - unacked)
        # More than `ssthresh`, rounded up, is not offered.
        if doubled <= window.ssthresh + (1 << tcb.rcv_wscale) and doubled <= window.clamp:
            if not self.plain and not tcb.state.can_receive:
                return
            offer = window.select(tcb, self.packets.settle(), acking)
            if offer and offer >= doubled:
                acking.answer(why.ACK_WINDOW)
                self.mark()

    def grow_buffer(self, taken: Octets) -> None:
        """Fit the receive buffer to a user who took `taken` octets in a round trip."""
        tcp = self.tcp
        if self.user_gone or self.listener is not None or (tcp.memory.pressed and tcp.memory.persists()):
            return
        beyond = self.packets.beyond
        self.window.fit(taken, beyond[-1].end - self.tcb.rcv_nxt if beyond else 0)

    def shutdown(self) -> None:
        """No more sending: a FIN follows what is queued (3.10.4 CLOSE, of which half closes half the connection)."""
        state = self.tcb.state
        if self.fin_queued or state is CLOSED:
            return
        if state is SYN_SENT:
            self.move(Cause.CLOSE_CALLED)
            self.finish()
            return
        self.fin_queued = True
        if state is not SYN_RECEIVED:  # there it waits for ESTABLISHED: see `on_open`
            self.move(Cause.CLOSE_CALLED)
        self.mark()

    def close(self) -> None:
        """The user is gone. Unread data makes it a reset, since it will never be delivered (RFC 2525 2.17)."""
        if self.user_gone:
            return
        self.user_gone = True
        self.observer = None
        self.packets.fin_waits = 0
        state = self.tcb.state
        if state is CLOSED or state is TIME_WAIT:
            return
        if self.receive_buffer.ready:
            self.tcp.counters.mib["TcpExtTCPAbortOnClose"] += 1
            self.abort(state is CLOSING or state is LAST_ACK)  # in these states too, unlike an abort (Linux)
        elif self.options.linger == 0:
            self.tcp.counters.mib["TcpExtTCPAbortOnData"] += 1
            self.abort()
        elif self.fin_queued:
            if state is FIN_WAIT_2 and self.options.linger2 < 0:
                self.tcp.counters.mib["TcpExtTCPAbortOnLinger"] += 1
                self.abort()
            elif state is FIN_WAIT_2:
                self.on_fin_wait_2(self.tcp.now)
        else:
            self.shutdown()
        state = self.tcb.state
        if state is not CLOSED and state is not TIME_WAIT and not self.close_at and not self.tcp.memory.adopt(self):
            self.tcp.counters.mib["TcpExtTCPAbortOnMemory"] += 1
            self.abort()
        if self.tcp.events is not None:
            report.changes(self, self.tcp.now)

    def push(self) -> None:
        """TCP_NODELAY was set, or TCP_CORK cleared with it on: what waits leaves, be it corked (as in Linux)."""
        self.push_now = self.send_buffer.end > self.tcb.snd_nxt

    def choose_clamp(self) -> None:
        """TCP_WINDOW_CLAMP was set."""
        self.window.set_clamp(self.options.window_clamp, self.tcb.rcv_wnd)

    def options_changed(self, quickack: bool = False) -> None:
        """`options` was written to: what depends on them follows at once. `quickack`: TCP_QUICKACK was one of them."""
        options, acking = self.options, self.acking
        self.send_freely = 0
        if quickack:
            acking.pingpong = not options.quickack
            if options.quickack and acking.scheduled and self.tcb.state in (ESTABLISHED, CLOSE_WAIT):
                acking.pushed = acking.pushed or 1
                self._acknowledge()
                if acking.due:
                    acking.reason = why.ACK_QUICK
        if not options.keepalive:
            self.keepalive_at = 0
        elif not self.keepalive_at and self.tcb.state.synchronized:
            self.start_keepalive(self.tcp.now)
        elif self.keepalive_at and not self.keepalives_out:
            since = max(self.last_received_at, acking.last_data_at)
            self.keepalive_at = max(since + (options.keepidle or self.tcp.config.keepalive_time), 1)
            self.arm(self.keepalive_at)
        self.rtt.rto_max = options.rto_max or self.tcp.config.rto_max
        self.rtt.rto_min = options.rto_min or self.tcp.config.rto_min
        window = self.window
        if options.rcvbuf:
            window.locked = True
            if options.rcvbuf != window.rcvbuf:
                window.resize(options.rcvbuf)
                self.plain = self.plain and not window.tight
        recovery = self.recovery
        if options.congestion and options.congestion != recovery.cc.name:
            old, new = recovery.cc, self.tcp.congestion(options)
            new.cwnd, new.ssthresh = old.cwnd, old.ssthresh
            choose(recovery, new)
            if self.tcb.state.synchronized:
                begin(recovery, self.tcp.now)
        if options.paced and recovery.pace is None:
            recovery.pace = Pace()
        if self.tcb.state is not CLOSED:
            self.mark()
        if self.tcp.events is not None:
            report.changes(self, self.tcp.now)
