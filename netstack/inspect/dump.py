"""Frames as tcpdump prints them: one line each, `-v` with the headers in full, `-x` and `-X` with the octets.

    IP 192.0.2.1.40000 > 192.0.2.2.80: Flags [P.], seq 1:79, ack 1, win 63, options [nop,nop,TS val 7 ecr 9], length 78

The layout is that of tcpdump 4.99 with -n. TCP is in `dump_tcp`; of what is inside, only HTTP is looked into. Shows
whatever it is given, damaged or not. (`wire.pretty` is shorter, and what traces and tests use.)
"""

from dataclasses import dataclass, field
from typing import NamedTuple

from netstack.inspect import dump_tcp
from netstack.units import Octets
from netstack.wire import arp, ethernet, icmpv4, ipv4, tcp, udp
from netstack.wire.pretty import address, mac

PROTOCOLS = {1: "ICMP", 2: "IGMP", 4: "IPIP", 6: "TCP", 17: "UDP", 41: "IPv6", 47: "GRE", 50: "ESP", 51: "AH",
             58: "ICMPv6", 132: "SCTP"}  # fmt: skip
_ETHERTYPES = {ethernet.IPV4: "IPv4", ethernet.ARP: "ARP", ethernet.IPV6: "IPv6"}
_UNREACHABLE = {
    0: "net {0} unreachable", 1: "host {0} unreachable", 2: "{0} protocol {1} unreachable",
    3: "{0} {2} port {3} unreachable", 4: "{0} unreachable - need to frag (mtu {4})",
    5: "{0} unreachable - source route failed", 6: "net {0} unreachable - unknown",
    7: "host {0} unreachable - unknown", 9: "net {0} unreachable - admin prohibited",
    10: "host {0} unreachable - admin prohibited", 13: "host {0} unreachable - admin prohibited filter",
}  # fmt: skip
_ICMP6 = {
    1: "destination unreachable", 2: "packet too big", 3: "time exceeded", 4: "parameter problem",
    128: "echo request", 129: "echo reply", 130: "multicast listener query", 131: "multicast listener report",
    132: "multicast listener done", 133: "router solicitation", 134: "router advertisement",
    135: "neighbor solicitation", 136: "neighbor advertisement", 143: "multicast listener report v2",
}  # fmt: skip


class Style(NamedTuple):
    """The options -e, -v and -S."""

    link: bool = False
    verbose: bool = False
    absolute: bool = False


@dataclass(slots=True)
class Dump:
    """One capture: remembers where each conversation's sequence numbers begin."""

    style: Style = field(default_factory=Style)
    flows: dump_tcp.Flows = field(default_factory=dict)

    def frame(self, data: bytes, length: Octets = 0) -> str:
        """The line for an Ethernet frame, of which `data` is the beginning and `length` (0: all of it) the size."""
        header = ethernet.parse(data)
        length = max(length, len(data))
        if header is None:
            return f"[|ether] length {length}"
        name = _ETHERTYPES.get(header.ethertype)
        number = int.from_bytes(header.ethertype, "big")
        front = ""
        if self.style.link:
            kind = f"ethertype {name or 'Unknown'} (0x{number:04x})"
            front = f"{mac(header.source)} > {mac(header.destination)}, {kind}, length {length}: "
        if header.ethertype == ethernet.ARP:
            return ("" if front else "ARP, ") + front + self._arp(data, length)
        if header.ethertype == ethernet.IPV4:
            return (front or "IP ") + self.ip(data, ethernet.HEADER_LEN)
        if header.ethertype == ethernet.IPV6:
            return (front or "IP6 ") + self._ip6(data)
        if not front:
            front = f"{mac(header.source)} > {mac(header.destination)}, ethertype Unknown (0x{number:04x}), "
        return f"{front}length {length}".replace(f"length {length}: length {length}", f"length {length}")

    def _arp(self, data: bytes, length: Octets) -> str:
        message = arp.parse(data, ethernet.HEADER_LEN)
        size = length - ethernet.HEADER_LEN
        if message is None:
            return f"[|arp] length {size}"
        sizes = "Ethernet (len 6), IPv4 (len 4), " if self.style.verbose else ""
        sender, target = address(message.spa), address(message.tpa)
        if message.op == arp.REPLY:
            said = f"Reply {sender} is-at {mac(message.sha)}"
        elif message.op != arp.REQUEST:
            said = f"unknown ({message.op}) {sender} > {target}"
        elif message.spa == ipv4.ANY:
            said = f"Probe {target}"  # RFC 5227 1.1
        elif sender == target:
            said = f"Announcement {sender}"
        else:
            asked = f" ({mac(message.tha)})" if message.tha != ethernet.NO_ADDRESS else ""
            said = f"Request who-has {target}{asked} tell {sender}"
        return f"{sizes}{said}, length {size}"

    # -- IPv4

    def ip(self, data: bytes, at: Octets) -> str:
        """An IPv4 packet at `at`."""
        header = ipv4.parse(data, at, quoted=True)
        if header is None:
            return f"[|ip] length {len(data) - at}"
        front = self._ip_front(data, at, header) if self.style.verbose else ""
        size = header.total_length - header.header_len
        if size < 0:
            return f"{front}bad-len {header.total_length}"
        start = at + header.header_len
        end = min(len(data), start + size)
        source, destination = address(header.source), address(header.destination)
        if header.offset:
            return f"{front}{source} > {destination}: ip-proto-{header.protocol}"
        if header.protocol == tcp.PROTOCOL and end - start >= tcp.HEADER_LEN:
            said = dump_tcp.segment(data, start, end, size, header.pair, self.flows, self.style)
            ports = f"{source}.{_int(data, start)} > {destination}.{_int(data, start + 2)}"
            return f"{front}{ports}: {said}"
        if header.protocol == udp.PROTOCOL and end - start >= udp.HEADER_LEN:
            ports = f"{source}.{_int(data, start)} > {destination}.{_int(data, start + 2)}"
            return f"{front}{ports}: {self._udp(data, start, end, size, header)}"
        if header.protocol == icmpv4.PROTOCOL and end - start >= icmpv4.HEADER_LEN:
            return f"{front}{source} > {destination}: ICMP {self._icmp(data, start, end, size)}"
        return f"{front}{source} > {destination}:  ip-proto-{header.protocol} {size}"

    def _ip_front(self, data: bytes, at: Octets, header: ipv4.Header) -> str:
        """(tos 0x0, ttl 64, id 1, offset 0, flags [DF], proto TCP (6), length 60)"""
        ecn = {1: ",ECT(1)", 2: ",ECT(0)", 3: ",CE"}.get(header.tos & 3, "")
        flags = "DF" if header.df else "+" if header.mf else "none"
        said = (
            f"(tos 0x{header.tos:x}{ecn}, ttl {header.ttl}, id {header.ident}, offset {header.offset}, "
            f"flags [{flags}], proto {_name(header.protocol)} ({header.protocol}), length {header.total_length}"
        )
        if header.options:
            said += f", options ({len(header.options)} octets)"
        if not ipv4.checksum_valid(data, at):
            said += f", bad cksum {header.checksum:x}!"
        return said + ")\n    "

    def _udp(self, data: bytes, start: Octets, end: Octets, size: Octets, header: ipv4.Header) -> str:
        length = _int(data, start + 4) - udp.HEADER_LEN
        whole = end - start == size and not header.mf
        said = ""
        if self.style.verbose and whole:
            if not _int(data, start + udp.CHECKSUM_AT):
                said = "[no cksum] "
            else:
                good = udp.checksum_valid(data[start:end], header.pair)
                said = "[udp sum ok] " if good else f"[bad udp cksum 0x{_int(data, start + udp.CHECKSUM_AT):04x}] "
        return f"{said}UDP, length {length}"

    def _icmp(self, data: bytes, start: Octets, end: Octets, size: Octets) -> str:
        message = icmpv4.parse(data, start, end)
        assert message is not None, "the caller has seen that the header is there"
        kind = message.type
        if kind in (icmpv4.ECHO, icmpv4.ECHO_REPLY):
            word = "request" if kind == icmpv4.ECHO else "reply"
            return f"echo {word}, id {message.ident}, seq {message.sequence}, length {size}"
        quote = icmpv4.parse_quote(message)
        said = _icmp_words(message, quote)
        quoted = ""
        if self.style.verbose and kind in icmpv4.ERRORS and quote is not None:
            quoted = "\n\tIP " + self.ip(message.body, 0).replace("\n", "\n\t")
        return f"{said}, length {size}{quoted}"

    # -- IPv6, as far as a stack without it is concerned

    def _ip6(self, data: bytes) -> str:
        at = ethernet.HEADER_LEN
        if len(data) - at < 40:
            return f"[|ip6] length {len(data) - at}"
        size, following, hops = _int(data, at + 4), data[at + 6], data[at + 7]
        source, destination = address(data[at + 8 : at + 24]), address(data[at + 24 : at + 40])
        start = at + 40
        front = ""
        if self.style.verbose:
            kind = "Options" if following == 0 else PROTOCOLS.get(following, "unknown")
            front = f"(hlim {hops}, next-header {kind} ({following}) payload length: {size}) "
        hop_by_hop = ""
        if following == 0 and len(data) >= start + 8:  # RFC 8200 4.3
            extension = 8 * (data[start + 1] + 1)
            following, start, size, hop_by_hop = data[start], start + extension, size - extension, "HBH "
        end = min(len(data), start + size)
        if following == tcp.PROTOCOL and end - start >= tcp.HEADER_LEN:
            said = dump_tcp.segment(data, start, end, size, data[at + 8 : at + 40], self.flows, self.style)
            return f"{front}{source}.{_int(data, start)} > {destination}.{_int(data, start + 2)}: {said}"
        if following == udp.PROTOCOL and end - start >= udp.HEADER_LEN:
            ports = f"{source}.{_int(data, start)} > {destination}.{_int(data, start + 2)}"
            return f"{front}{ports}: UDP, length {_int(data, start + 4) - udp.HEADER_LEN}"
        if following == 58 and end > start:
            what = _ICMP6.get(data[start], f"type-#{data[start]}")
            records = f", {_int(data, start + 6)} group record(s)" if data[start] == 143 and end - start >= 8 else ""
            return f"{front}{source} > {destination}: {hop_by_hop}ICMP6, {what}{records}, length {size}"
        return f"{front}{source} > {destination}: {hop_by_hop}ip-proto-{following} {size}"


def _icmp_words(message: icmpv4.Message, quote: icmpv4.Quote | None) -> str:
    if message.type == icmpv4.UNREACHABLE and quote is not None and message.code in _UNREACHABLE:
        header, transport = quote
        protocol = PROTOCOLS.get(header.protocol, str(header.protocol)).lower()
        port = int.from_bytes(transport[2:4], "big")
        return _UNREACHABLE[message.code].format(
            address(header.destination), header.protocol, protocol, port, message.mtu
        )
    if message.type == icmpv4.TIME_EXCEEDED:
        return "ip reassembly time exceeded" if message.code else "time exceeded in-transit"
    if message.type == icmpv4.REDIRECT and quote is not None:
        kind = ("net", "host", "tos-net", "tos-host")[message.code & 3]
        gateway = ".".join(str(part) for word in (message.word1, message.word2) for part in divmod(word, 256))
        return f"redirect {address(quote.header.destination)} to {kind} {gateway}"
    if message.type == icmpv4.PARAMETER_PROBLEM:
        return f"parameter problem - octet {message.pointer}"
    if message.type == icmpv4.SOURCE_QUENCH:
        return "source quench"
    if message.type in (icmpv4.TIMESTAMP, icmpv4.TIMESTAMP_REPLY):
        word = "query" if message.type == icmpv4.TIMESTAMP else "reply"
        return f"time stamp {word} id {message.ident} seq {message.sequence}"
    return f"type-#{message.type}"


def _name(protocol: int) -> str:
    return PROTOCOLS.get(protocol, "unknown")


def _int(data: bytes, at: Octets) -> int:
    return int.from_bytes(data[at : at + 2], "big")


def octets(data: bytes, text: bool) -> list[str]:
    """The lines of -x; with `text` those of -X, which have the characters beside them."""
    lines = []
    for at in range(0, len(data), 16):
        part = data[at : at + 16]
        line = f"\t0x{at:04x}:  {part.hex(' ', -2)}"
        if text:
            line = f"{line:<49}  " + "".join(chr(octet) if 0x21 <= octet <= 0x7E else "." for octet in part)
        lines.append(line)
    return lines
