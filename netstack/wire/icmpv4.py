"""ICMP for IPv4 (RFC 792, 1191, 4884): fields <-> octets, and the datagrams that errors quote."""

from struct import Struct
from typing import NamedTuple

from netstack.units import Octets
from netstack.wire import ipv4
from netstack.wire.checksum import finish, ones_sum, valid

PROTOCOL = 1

ECHO_REPLY, UNREACHABLE, SOURCE_QUENCH, REDIRECT, ECHO, TIME_EXCEEDED, PARAMETER_PROBLEM = 0, 3, 4, 5, 8, 11, 12
TIMESTAMP, TIMESTAMP_REPLY = 13, 14
ERRORS = frozenset((UNREACHABLE, SOURCE_QUENCH, REDIRECT, TIME_EXCEEDED, PARAMETER_PROBLEM))
"""Types that quote a datagram, and are never answered with another of these (RFC 1122 3.2.2)."""

NET_UNREACHABLE, HOST_UNREACHABLE, PROTOCOL_UNREACHABLE, PORT_UNREACHABLE = 0, 1, 2, 3
FRAGMENTATION_NEEDED, SOURCE_ROUTE_FAILED = 4, 5
TTL_EXCEEDED, REASSEMBLY_TIME_EXCEEDED = 0, 1

HEADER = Struct("!BBHHH")
"""type, code, checksum, and two 16-bit words whose meaning depends on the type."""
HEADER_LEN: Octets = HEADER.size
MAX_QUOTE: Octets = 576 - ipv4.HEADER_LEN - HEADER_LEN
"""Octets of the offending datagram to quote, so that the error is at most 576 octets long (RFC 1812 4.3.2.3)."""
QUOTED_TRANSPORT: Octets = 8
"""The least that is quoted beyond the IP header (RFC 792)."""


class Message(NamedTuple):
    """One message as on the wire."""

    type: int
    code: int
    checksum: int
    word1: int
    word2: int
    body: bytes
    """Echo data or the quoted datagram."""

    @property
    def ident(self) -> int:
        """Echo: the identifier."""
        return self.word1

    @property
    def sequence(self) -> int:
        """Echo: the sequence number."""
        return self.word2

    @property
    def mtu(self) -> Octets:
        """FRAGMENTATION_NEEDED: the next hop's MTU; 0 from a router that does not say (RFC 1191 4)."""
        return self.word2

    @property
    def pointer(self) -> int:
        """PARAMETER_PROBLEM: offset of the offending octet in the quoted datagram."""
        return self.word1 >> 8


class Quote(NamedTuple):
    """The datagram that an error is about, as far as it is quoted."""

    header: ipv4.Header
    transport: bytes
    """At least 8 octets of the transport header. Whatever follows may be anything: padding, RFC 4884 extensions."""


def parse(data: bytes, at: int = 0, end: int | None = None) -> Message | None:
    """The message in `data[at:end]`; None when it is cut short. The checksum is not looked at: see `checksum_valid`."""
    end = len(data) if end is None else min(end, len(data))
    if at < 0 or end - at < HEADER_LEN:
        return None
    type, code, checksum, word1, word2 = HEADER.unpack_from(data, at)
    return Message(type, code, checksum, word1, word2, data[at + HEADER_LEN : end])


def checksum_valid(message: bytes | memoryview) -> bool:
    """Whether the whole message is undamaged."""
    return valid(ones_sum(message))


def parse_quote(message: Message) -> Quote | None:
    """The datagram that an error quotes; None when this is no error, or the quote cannot be matched to anything.

    That takes a possible IPv4 header, of a first fragment if of one at all, and 8 octets behind it (RFC 5927 4). Its
    total length is not held against it: some routers change it before they quote.
    """
    if message.type not in ERRORS:
        return None
    body = message.body
    if message.type in (UNREACHABLE, TIME_EXCEEDED, PARAMETER_PROBLEM):
        words = message.word1 & 0xFF  # RFC 4884 4: the quote's length, when extensions follow it
        if words:
            body = body[: words << 2]
    header = ipv4.parse(body, quoted=True)
    if header is None or header.offset or len(body) - header.header_len < QUOTED_TRANSPORT:
        return None
    return Quote(header, body[header.header_len :])


def build(type: int, code: int, word1: int, word2: int, body: bytes) -> bytes:
    """A message with its checksum."""
    bare = HEADER.pack(type, code, 0, word1, word2) + body
    checksum = finish(ones_sum(bare))
    if not checksum and not any(bare):
        checksum = 0xFFFF  # the sum of an echo reply of nothing but zeros is +0, and Linux drops the other zero
    return HEADER.pack(type, code, checksum, word1, word2) + body


def build_echo(ident: int, sequence: int, data: bytes, *, reply: bool = False) -> bytes:
    """An echo request, or the reply to one."""
    return build(ECHO_REPLY if reply else ECHO, 0, ident, sequence, data)


def build_unreachable(code: int, quote: bytes, mtu: Octets = 0) -> bytes:
    """Destination unreachable; `mtu` goes with FRAGMENTATION_NEEDED. `quote`: see `quote`."""
    return build(UNREACHABLE, code, 0, mtu, quote)


def build_time_exceeded(code: int, quote: bytes) -> bytes:
    """TTL_EXCEEDED or REASSEMBLY_TIME_EXCEEDED."""
    return build(TIME_EXCEEDED, code, 0, 0, quote)


def build_parameter_problem(pointer: int, quote: bytes) -> bytes:
    """`pointer` is the offset of the offending octet in the datagram."""
    return build(PARAMETER_PROBLEM, 0, pointer << 8, 0, quote)


def quote(data: bytes, at: int = 0, end: int | None = None) -> bytes:
    """What to quote of the datagram in `data[at:end]`: all of it up to `MAX_QUOTE` octets, as Linux does."""
    return data[at : min(len(data) if end is None else end, at + MAX_QUOTE)]
