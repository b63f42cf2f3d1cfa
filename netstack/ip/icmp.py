"""ICMP (RFC 792, RFC 1122 3.2.2): echo and timestamps answered, errors sent where allowed, errors to us passed on."""

from netstack.counters import Counters
from netstack.events import Dropped, Sink
from netstack.ip.ipv4 import Ipv4
from netstack.ip.pmtu import plateau_below
from netstack.ip.ratelimit import ErrorLimit
from netstack.units import Micros, Octets
from netstack.wire import icmpv4, ipv4

IN_NAMES = {
    icmpv4.ECHO_REPLY: "IcmpInEchoReps",
    icmpv4.UNREACHABLE: "IcmpInDestUnreachs",
    icmpv4.SOURCE_QUENCH: "IcmpInSrcQuenchs",
    icmpv4.REDIRECT: "IcmpInRedirects",
    icmpv4.ECHO: "IcmpInEchos",
    icmpv4.TIME_EXCEEDED: "IcmpInTimeExcds",
    icmpv4.PARAMETER_PROBLEM: "IcmpInParmProbs",
    icmpv4.TIMESTAMP: "IcmpInTimestamps",
    icmpv4.TIMESTAMP_REPLY: "IcmpInTimestampReps",
}
OUT_NAMES = {
    icmpv4.ECHO_REPLY: "IcmpOutEchoReps",
    icmpv4.UNREACHABLE: "IcmpOutDestUnreachs",
    icmpv4.TIME_EXCEEDED: "IcmpOutTimeExcds",
    icmpv4.PARAMETER_PROBLEM: "IcmpOutParmProbs",
    icmpv4.TIMESTAMP_REPLY: "IcmpOutTimestampReps",
}
"""RFC 4293's counters under Linux's names."""

INTERNET_CONTROL = 0xC0  # RFC 1812 4.3.2.5: the precedence of errors
TOS_KEPT = 0x1E  # Linux: an error keeps the type of service, without precedence and ECN-CE
TIMESTAMP_LEN: Octets = 12  # RFC 792: originate, receive and transmit timestamps
NOT_UNIVERSAL_TIME = 1 << 31  # RFC 792: milliseconds, but not since midnight UT


class Icmp:
    """The ICMP of one `Ipv4`. Register `receive` in `ip.protocols`; errors leave through `error`."""

    __slots__ = ("counters", "events", "ip", "limit")

    def __init__(self, ip: Ipv4, errors_per_second: int, counters: Counters, events: Sink | None = None) -> None:
        self.ip = ip
        self.counters = counters
        self.events = events
        self.limit = ErrorLimit(errors_per_second)
        ip.send_error = self.error

    def receive(
        self, frame: bytes, ip_at: Octets, at: Octets, end: Octets, pair: bytes, verified: bool, now: Micros
    ) -> None:
        """A message arrived in `frame[at:end]`."""
        mib = self.counters.mib
        mib["IcmpInMsgs"] += 1
        data = frame[at:end]
        message = icmpv4.parse(data)
        if message is None:
            self._refuse("icmp.too_short", now)
        elif not verified and not icmpv4.checksum_valid(data):
            mib["IcmpInCsumErrors"] += 1
            self._refuse("icmp.bad_checksum", now)
        else:
            name = IN_NAMES.get(message.type)
            if name is not None:
                mib[name] += 1
            self._dispatch(frame, ip_at, message, pair, now)

    def _dispatch(self, frame: bytes, ip_at: Octets, message: icmpv4.Message, pair: bytes, now: Micros) -> None:
        kind = message.type
        if not self.ip.is_local(pair[4:]):
            self._drop("icmp.to_group", now)  # RFC 1122 3.2.2.6 and 3.2.2.8 let us; an error for a group is no error
        elif kind == icmpv4.ECHO:
            self._reply(frame, ip_at, icmpv4.ECHO_REPLY, message, message.body, pair, now)
        elif kind in (icmpv4.UNREACHABLE, icmpv4.TIME_EXCEEDED, icmpv4.PARAMETER_PROBLEM):
            self._on_error(message, pair, now)
        elif kind == icmpv4.TIMESTAMP:
            self._on_timestamp(frame, ip_at, message, pair, now)
        elif kind == icmpv4.REDIRECT:
            # Deviation: RFC 1122 3.2.2.2 has hosts follow redirects. Anybody can forge one, and there is one gateway.
            self._drop("icmp.redirect_ignored", now)
        elif kind == icmpv4.SOURCE_QUENCH:
            self._drop("icmp.source_quench_ignored", now)  # RFC 6633 3
        elif kind not in IN_NAMES:
            self._drop("icmp.unknown_type", now)  # RFC 1122 3.2.2: silently

    def _on_timestamp(self, frame: bytes, ip_at: Octets, message: icmpv4.Message, pair: bytes, now: Micros) -> None:
        """Deviation: Linux tells the time of day. The stack's clock is not that, and RFC 792 has a bit to say so."""
        if len(message.body) < TIMESTAMP_LEN:
            self._refuse("icmp.too_short", now)
            return
        time = ((now // 1_000) & (NOT_UNIVERSAL_TIME - 1) | NOT_UNIVERSAL_TIME).to_bytes(4, "big")
        self._reply(frame, ip_at, icmpv4.TIMESTAMP_REPLY, message, message.body[:4] + time + time, pair, now)

    def _reply(
        self, frame: bytes, ip_at: Octets, kind: int, message: icmpv4.Message, body: bytes, pair: bytes, now: Micros
    ) -> None:
        """The same identifier, sequence number and code back, from the address that was asked (RFC 1122 3.2.2.6)."""
        reply = icmpv4.build(kind, message.code, message.word1, message.word2, body)
        tos = frame[ip_at + 1] & ~ipv4.ECN_MASK
        if self.ip.send(pair[:4], icmpv4.PROTOCOL, reply, now, source=pair[4:], tos=tos):
            self._count_out(kind)
        else:
            self.counters.mib["IcmpOutErrors"] += 1

    # -- errors about what we sent

    def _on_error(self, message: icmpv4.Message, pair: bytes, now: Micros) -> None:
        """Pass an error to the transport whose packet it quotes (RFC 1122 3.2.2.1); it decides what to believe."""
        quote = icmpv4.parse_quote(message)
        if quote is None:
            self._refuse("icmp.bad_quote", now)
            return
        if quote.header.source != pair[4:]:  # RFC 5927 4: we did not send that
            self._drop("icmp.not_our_packet", now)
            return
        on_error = self.ip.errors.get(quote.header.protocol)
        if on_error is None:
            return  # about an echo reply, or an error of ours: nobody waits for it
        mtu = 0
        if message.type == icmpv4.UNREACHABLE and message.code == icmpv4.FRAGMENTATION_NEEDED:
            mtu = message.mtu or plateau_below(quote.header.total_length)  # RFC 1191 5
        on_error(message.type, message.code, mtu, quote.header.pair, quote.transport, now)

    # -- errors about what others sent

    def unreachable(self, frame: bytes, ip_at: Octets, code: int, now: Micros) -> None:
        """Destination unreachable, `code` of RFC 792 and RFC 1122 3.2.2.1, about the packet at `frame[ip_at:]`."""
        self.error(frame, ip_at, icmpv4.UNREACHABLE, code, 0, 0, now)

    def error(self, frame: bytes, ip_at: Octets, kind: int, code: int, word1: int, word2: int, now: Micros) -> None:
        """Answer the packet at `frame[ip_at:]`, whose header was found valid, with an error (RFC 1122 3.2.2).

        Silent about ICMP errors, packets to or from anything but one host, and fragments other than the first; and when
        its sender or everybody has had enough of our errors.
        """
        header = ipv4.parse(frame, ip_at, quoted=True)
        if header is None or header.offset or not self._answerable(frame, ip_at, header):
            return
        local = self.ip.is_local(header.source)
        refusal = None if local else self.limit.refusal(header.source, now)  # Linux: no limit to ourselves
        if refusal is not None:
            self.counters.mib[refusal] += 1
            return
        message = icmpv4.build(kind, code, word1, word2, icmpv4.quote(frame, ip_at, ip_at + header.total_length))
        tos = header.tos & TOS_KEPT & ~ipv4.ECN_MASK | INTERNET_CONTROL
        if self.ip.send(header.source, icmpv4.PROTOCOL, message, now, source=header.destination, tos=tos):
            self._count_out(kind)
        else:
            self.counters.mib["IcmpOutErrors"] += 1

    def _answerable(self, frame: bytes, ip_at: Octets, header: ipv4.Header) -> bool:
        if header.source == ipv4.ANY or not self.ip.is_local(header.destination):
            return False
        if header.protocol != icmpv4.PROTOCOL:
            return True
        kind = frame[ip_at + header.header_len : ip_at + header.header_len + 1]
        return bool(kind) and kind[0] in IN_NAMES and kind[0] not in icmpv4.ERRORS  # an unknown type may be one

    def _count_out(self, kind: int) -> None:
        self.counters.mib["IcmpOutMsgs"] += 1
        self.counters.mib[OUT_NAMES[kind]] += 1

    def _refuse(self, reason: str, now: Micros) -> None:
        self.counters.mib["IcmpInErrors"] += 1
        self._drop(reason, now)

    def _drop(self, reason: str, now: Micros) -> None:
        self.counters.drops[reason] += 1
        if self.events is not None:
            self.events(Dropped(now, reason))
