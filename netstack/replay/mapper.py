"""Translates the client's segments from the recorded server's numbers to those of our stack.

The client's own sequence numbers and timestamps stay. What refers to the server is mapped: SEG.ACK and SACK blocks by
the difference of the two initial sequence numbers; TSecr to the TSval that our stack last sent when the recorded server
first sent the one echoed.

Our stack may cut its octets into other segments, or send some later. So an ACK can be for octets that it has not sent
yet: it is clipped to what was sent, with the window widened so that its right edge stays where the client put it, and
the rest is held back. As soon as more has been sent, the held ACK follows (`release`): the client had those octets
already. SACK blocks are clipped likewise. An ACK beyond all that the recorded server ever sent is passed on as it is.
"""

from bisect import bisect_right

from netstack.replay.conversation import Conversation, Recorded
from netstack.seq import MASK, unwrap
from netstack.units import Micros, Octets, Seq
from netstack.wire import ipv4, tcp, tcp_options
from netstack.wire.tcp import ACK, RST, SYN

MAX_TEXT: Octets = 60_000
"""Of one packet to inject: what a capture with segmentation offload holds may not fit in one with our options."""


class Mapper:
    """The numbers of one replay. Tell it with `on_sent` what the stack sends; it makes the packets to inject."""

    def __init__(self, conversation: Conversation, pair: bytes) -> None:
        self._conversation = conversation
        self._pair = pair
        self._ports = conversation.client[1], conversation.server[1]
        self.iss: int | None = None
        """Ours, on the wire; None until the stack has sent a SYN."""
        self.sent_to: Seq = 0
        """The highest sequence number our stack has sent, plus one, relative."""
        self.clipped = 0
        """How many ACKs were for more than had been sent."""
        self._held: Seq = 0
        self._edge: Seq = 0
        """The right edge of the client's window, relative."""
        self._acked: Seq = 0
        """The highest ACK injected."""
        self._last: Recorded | None = None
        self._client_nxt: Seq = 0
        self._server_end = max((each.end for each in conversation.of(False)), default=0)
        self._shift = _window_shift(conversation)
        self._recorded_at: dict[int, Micros] = {}
        for each in conversation.of(False):
            if each.options.ts_val is not None:
                self._recorded_at.setdefault(each.options.ts_val, each.at)
        self._tsval_times: list[Micros] = []
        self._tsvals: list[int] = []

    def on_sent(self, segment: tcp.Segment, ts_val: int | None, at: Micros) -> None:
        """The stack sent `segment` at `at`, on the recording's clock."""
        if segment.flags & RST:
            return
        if self.iss is None and segment.flags & SYN:
            self.iss = segment.seq
        if self.iss is not None:
            seq = unwrap(segment.seq - self.iss & MASK, self.sent_to)
            self.sent_to = max(self.sent_to, seq + segment.length)
        if ts_val is not None:
            self._tsval_times.append(at)
            self._tsvals.append(ts_val)

    def packets(self, segment: Recorded) -> list[bytes]:
        """The IPv4 packets (one, or more for a frame captured before segmentation) to inject for `segment`."""
        ack, window = segment.ack, segment.window
        if segment.flags & ACK and not segment.flags & RST:
            ack, window = self._clip(segment)
        self._last = segment
        if not segment.flags & RST:
            self._client_nxt = max(self._client_nxt, segment.end)
        options = self._options(segment)
        pieces = [segment.payload[at : at + MAX_TEXT] for at in range(0, len(segment.payload), MAX_TEXT)] or [b""]
        packets = []
        seq = segment.seq
        for i, piece in enumerate(pieces):
            flags = segment.flags if i == len(pieces) - 1 else segment.flags & ~(tcp.FIN | tcp.PSH)
            packets.append(self._packet(segment, seq, ack, flags, window, options, piece))
            seq += len(piece) + (segment.flags & SYN != 0)
        return packets

    def release(self) -> bytes | None:
        """The ACK that was held back, as far as the stack has sent meanwhile; None when there is nothing to say."""
        if self._held <= self._acked or self.sent_to <= self._acked or self._last is None:
            return None
        ack = min(self._held, self.sent_to)
        self._acked = ack
        options = b""
        if self._last.options.ts_val is not None and self._tsvals:
            options = tcp_options.build_segment((self._last.options.ts_val, self._tsvals[-1]))
        return self._packet(self._last, self._client_nxt, ack, ACK, self._window(ack), options, b"")

    def _clip(self, segment: Recorded) -> tuple[Seq, int]:
        """SEG.ACK and window to inject."""
        if not self.sent_to or segment.ack > self._server_end:
            return segment.ack, segment.window
        shift = 0 if segment.flags & SYN else self._shift
        self._edge = segment.ack + (segment.window << shift)
        ack = min(segment.ack, self.sent_to)
        self._acked = max(self._acked, ack)
        if ack == segment.ack:
            return ack, segment.window
        self.clipped += 1
        self._held = max(self._held, segment.ack)
        return ack, self._window(ack)

    def _window(self, ack: Seq) -> int:
        """The field that puts the right edge of the window where the client's is."""
        return min(max(-(-(self._edge - ack) >> self._shift), 0), 0xFFFF)

    def _packet(
        self, like: Recorded, seq: Seq, ack: Seq, flags: int, window: int, options: bytes, payload: bytes
    ) -> bytes:
        conversation = self._conversation
        base = conversation.server_iss if self.iss is None else self.iss
        header = tcp.build(
            *self._ports, seq + conversation.client_iss, ack + base if flags & ACK else 0, flags, window, options,
            urgent=like.urgent if flags & tcp.URG else 0,
        )  # fmt: skip
        segment = tcp.with_checksum(header + payload, self._pair)
        ttl = max(like.ttl, 1)
        return ipv4.build(self._pair, tcp.PROTOCOL, len(segment), ttl=ttl, tos=like.tos, df=True) + segment

    def _options(self, segment: Recorded) -> bytes:
        """The segment's options in their order, with what refers to the server mapped."""
        out: list[tuple[int, bytes]] = []
        for kind, value in tcp_options.walk(segment.octets_of_options):
            if kind == tcp_options.TIMESTAMP and len(value) == 8 and segment.flags & ACK:
                value = value[:4] + self._ts_ecr(int.from_bytes(value[4:], "big")).to_bytes(4, "big")
            elif kind == tcp_options.SACK and self.iss is not None:
                value = self._sack(segment)
                if not value:
                    continue
            out.append((kind, value))
        return tcp_options.build(out)

    def _ts_ecr(self, recorded: int) -> int:
        """Our TSval in place of the recorded server's."""
        if not self._tsvals:
            return recorded
        at = self._recorded_at.get(recorded)
        if at is None:
            return self._tsvals[-1]
        return self._tsvals[max(bisect_right(self._tsval_times, at) - 1, 0)]

    def _sack(self, segment: Recorded) -> bytes:
        """The blocks, mapped; without those for octets that our stack has not sent."""
        assert self.iss is not None
        out = b""
        for wire_left, wire_right in segment.options.sack:
            left = unwrap(wire_left - self._conversation.server_iss & MASK, segment.ack)
            right = min(left + (wire_right - wire_left & MASK), self.sent_to)
            if left < right:
                out += b"".join((edge + self.iss & MASK).to_bytes(4, "big") for edge in (left, right))
        return out


def _window_shift(conversation: Conversation) -> int:
    """The client's window scale, when both sides offered one (RFC 7323 2.2)."""
    shifts: dict[bool, int | None] = {True: None, False: None}
    for segment in conversation.segments:
        if segment.flags & SYN and shifts[segment.from_client] is None:
            shifts[segment.from_client] = segment.options.wscale
    client, server = shifts[True], shifts[False]
    return client if client is not None and server is not None else 0
