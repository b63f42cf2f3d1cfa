"""What a host wrote in one piece: a segment, or a super-segment that travels as several and may arrive as one again.

Hosts leave segmentation to the path. It cuts only in mind: a packet is a burst and an index, and octets are made when
something is delivered. So a segment costs the path a few additions, and what arrives is what a network card with TSO
at one end (and GRO at the other) would have made of it.
"""

from struct import Struct

from netstack.ip.path import PREFIX
from netstack.link.device import GSO_NONE, NEEDS_CSUM, VNET, VNET_LEN
from netstack.seq import MASK
from netstack.units import Octets
from netstack.wire.checksum import ones_sum
from netstack.wire.tcp import FIN, PSH

_TCP = Struct("!4sI4sH")
"""Both ports, seq, ack, offset and flags; window, checksum, urgent pointer and options follow."""
_Template = tuple[tuple[bytes, bytes], bytes, tuple[int, int, int, int], int, bytes, bytes, int, bytes, int, bytes, int]
_IP_AT, _TCP_AT = VNET_LEN + 14, VNET_LEN + 34
HEADERS: Octets = _TCP_AT + 20
"""The least that a burst's head holds: virtio_net_hdr, Ethernet, IPv4 and TCP without options."""
_CWR = 0x80
ECT, CE = 0x03, 0x03
"""RFC 3168 5: any bit of the ECN field set means that the endpoints know ECN; both set is the mark."""


class Burst:
    """`segments` packets with `gso` octets of payload each, the last perhaps fewer. `ect`: they may be marked."""

    __slots__ = ("_head", "_payload", "_template", "ect", "flow", "full", "gso", "last", "length", "segments", "seq")

    def __init__(self, head: bytes, payload: bytes | memoryview, flow: int) -> None:
        self._head = head
        self._payload = payload
        self._template: _Template | None = None
        self.flow = flow
        """Index of the flow that it belongs to."""
        length = len(payload)
        gso = VNET.unpack_from(head)[3] if head[1] != GSO_NONE else 0
        self.gso: Octets = gso or length
        self.length: Octets = length
        """Octets of payload in all."""
        self.segments = -(-length // gso) if gso else 1
        self.ect = head[_IP_AT + 1] & ECT != 0
        self.seq = int.from_bytes(head[_TCP_AT + 4 : _TCP_AT + 8], "big")
        """SEG.SEQ of the first, as on the wire."""
        framing = len(head) - VNET_LEN
        self.full: Octets = framing + self.gso
        """Octets on the wire of every packet but the last, and of the last."""
        self.last: Octets = framing + length - (self.segments - 1) * self.gso

    def frame(self, first: int, stop: int, marked: bool) -> bytes:
        """Packets `first` up to, not including, `stop` as one frame, a super-segment if there are several."""
        if stop - first == self.segments and not marked:
            return b"".join((self._head, self._payload))
        return self._cut(first, stop, marked)

    def _cut(self, first: int, stop: int, marked: bool) -> bytes:
        template = self._template or self._prepare()
        vnets, ethernet, words, word_sum, pair, ports, seq, ack, offset_flags, rest, checksum = template
        gso = self.gso
        payload = self._payload
        if self.segments > 1:
            payload = memoryview(payload)[first * gso : stop * gso]
        version_tos, ident, fragment, ttl_protocol = words
        length = len(self._head) - _IP_AT + len(payload)
        if stop < self.segments:
            offset_flags &= ~(FIN | PSH)
        if first:
            offset_flags &= ~_CWR  # RFC 3168 6.1.2: once, on the first
            ident = (ident + first) & 0xFFFF
        if marked:
            word_sum += (version_tos | CE) - version_tos
            version_tos |= CE
        ip_checksum = -(word_sum + ident + length) % 0xFFFF
        if checksum >= 0:  # the field holds the pseudo-header's sum, and so the length
            rest = rest[:2] + ((checksum + length) % 0xFFFF).to_bytes(2, "big") + rest[4:]
        return b"".join(
            (
                PREFIX.pack(
                    vnets[stop - first > 1],
                    ethernet,
                    version_tos,
                    length,
                    ident,
                    fragment,
                    ttl_protocol,
                    ip_checksum,
                    pair,
                ),
                _TCP.pack(ports, (seq + first * gso) & MASK, ack, offset_flags),
                rest,
                payload,
            )
        )

    def _prepare(self) -> "_Template":
        """What all cuts have in common."""
        head = self._head
        vnet, ethernet, version_tos, total, ident, fragment, ttl_protocol, _, pair = PREFIX.unpack_from(head)
        ports, seq, ack, offset_flags = _TCP.unpack_from(head, _TCP_AT)
        rest = head[_TCP_AT + _TCP.size :]
        flags, _, _, _, start, offset = VNET.unpack(vnet)
        single = VNET.pack(flags, GSO_NONE, 0, 0, start, offset) if self.segments > 1 else vnet
        checksum = (int.from_bytes(rest[2:4], "big") - total) % 0xFFFF if flags & NEEDS_CSUM else -1
        words = (version_tos, ident, fragment, ttl_protocol)
        word_sum = version_tos + fragment + ttl_protocol + ones_sum(pair)
        self._template = template = (
            (single, vnet), ethernet, words, word_sum, pair, ports, seq, ack, offset_flags, rest, checksum,
        )  # fmt: skip
        return template
