"""What a host wrote in one piece: a segment, or a super-segment that travels as several and may arrive as one again.

Hosts leave segmentation to the path. It cuts only in mind: a packet is a burst and an index, and octets are made when
something is delivered. So a segment costs the path a few additions, and what arrives is what a network card with TSO
at one end (and GRO at the other) would have made of it.
"""

from struct import Struct

from netstack.ip.path import PREFIX
from netstack.link.device import GSO_NONE, GSO_TCPV4, NEEDS_CSUM, VNET, VNET_LEN
from netstack.seq import MASK
from netstack.units import Octets
from netstack.wire.checksum import ones_sum
from netstack.wire.tcp import FIN, PSH

_TCP = Struct("!4sI4sHHHH")
_IP_AT, _TCP_AT = VNET_LEN + 14, VNET_LEN + 34
HEADERS: Octets = _TCP_AT + 20
"""The least that a burst's head holds: virtio_net_hdr, Ethernet, IPv4 and TCP without options."""
_CWR = 0x80
ECT, CE = 0x03, 0x03
"""RFC 3168 5: any bit of the ECN field set means that the endpoints know ECN; both set is the mark."""


class Burst:
    """`segments` packets with `gso` octets of payload each, the last perhaps fewer. `ect`: they may be marked."""

    __slots__ = ("_head", "_payload", "ect", "flow", "full", "gso", "last", "length", "segments", "seq")

    def __init__(self, head: bytes, payload: bytes | memoryview, flow: int) -> None:
        self._head = head
        self._payload = payload
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
        head, gso = self._head, self.gso
        vnet, ethernet, version_tos, total, ident, fragment, ttl_protocol, _, pair = PREFIX.unpack_from(head)
        ports, seq, ack, offset_flags, window, checksum, urgent = _TCP.unpack_from(head, _TCP_AT)
        payload = memoryview(self._payload)[first * gso : stop * gso]
        length = len(head) - _IP_AT + len(payload)
        if stop < self.segments:
            offset_flags &= ~(FIN | PSH)
        if first:
            offset_flags &= ~_CWR  # RFC 3168 6.1.2: once, on the first
        if marked:
            version_tos |= CE
        ident = (ident + first) & 0xFFFF
        if self.segments > 1:
            flags, _, header_len, _, start, offset = VNET.unpack(vnet)
            several = stop - first > 1
            kind = (GSO_TCPV4, header_len, gso) if several else (GSO_NONE, 0, 0)
            vnet = VNET.pack(flags, *kind, start, offset)
            if flags & NEEDS_CSUM:  # the field holds the pseudo-header's sum, and so the length
                checksum = (checksum + length - total) % 0xFFFF
        words = (version_tos, length, ident, fragment, ttl_protocol)
        ip_checksum = -(sum(words) + ones_sum(pair)) % 0xFFFF
        return b"".join(
            (
                PREFIX.pack(vnet, ethernet, *words, ip_checksum, pair),
                _TCP.pack(ports, (seq + first * gso) & MASK, ack, offset_flags, window, checksum, urgent),
                head[_TCP_AT + 20 :],
                payload,
            )
        )
