"""A TCP segment as tcpdump prints it: flags, relative sequence numbers, options, and the first line of HTTP."""

from __future__ import annotations

import re
from typing import TYPE_CHECKING

from netstack.seq import MASK
from netstack.units import Octets
from netstack.wire import tcp, tcp_options
from netstack.wire.checksum import finish, ones_sum, pseudo_sum, valid

if TYPE_CHECKING:
    from netstack.inspect.dump import Style

Flows = dict[bytes, tuple[int, int]]
"""Conversation (both ends, the smaller first) -> initial sequence numbers, of the smaller end first."""
MOST_FLOWS = 65_536
_LETTERS = ((tcp.FIN, "F"), (tcp.SYN, "S"), (tcp.RST, "R"), (tcp.PSH, "P"), (tcp.ACK, "."), (tcp.URG, "U"),
            (tcp.ECE, "E"), (tcp.CWR, "W"), (tcp.AE, "e"))  # fmt: skip
_HTTP_PORTS = (80, 8080)
_FIRST_LINE = re.compile(
    rb"(?:GET|HEAD|POST|PUT|DELETE|CONNECT|OPTIONS|TRACE|PATCH|PROPFIND|SEARCH|NOTIFY|SUBSCRIBE|REPORT)[ \t]"
    rb"|[^\s]+[ \t]+\d\d\d(?!\d)"
)


def segment(
    data: bytes, at: Octets, end: Octets, size: Octets, pair: bytes, flows: Flows, style: Style
) -> str:
    """The segment in `data[at:end]`, of which `size` octets were sent, between the addresses in `pair`."""
    sport, dport, seq, ack, offset_flags, window, checksum, urgent = tcp.HEADER.unpack_from(data, at)
    header_len = offset_flags >> 12 << 2
    length = size - header_len
    if header_len < tcp.HEADER_LEN or length < 0:
        return f"[bad hdr length {header_len}]"
    seq_base, ack_base = (0, 0) if style.absolute else _bases(data, at, pair, seq, ack, offset_flags, flows)
    words = [f"Flags [{flags(offset_flags)}]"]
    if style.verbose and end - at == size:
        words.append(_checksum(data, at, end, pair, checksum))
    if length or offset_flags & (tcp.SYN | tcp.FIN | tcp.RST):
        seq = seq - seq_base & MASK
        words.append(f"seq {seq}:{seq + length & MASK}" if length else f"seq {seq}")
    if offset_flags & tcp.ACK:
        words.append(f"ack {ack - ack_base & MASK}")
    words.append(f"win {window}")
    if offset_flags & tcp.URG:
        words.append(f"urg {urgent}")
    if header_len > tcp.HEADER_LEN:
        words.append(f"options [{options(data, at + tcp.HEADER_LEN, min(at + header_len, end), ack_base)}]")
    words.append(f"length {length}")
    said = ", ".join(words)
    if length and (sport in _HTTP_PORTS or dport in _HTTP_PORTS):
        said += _http(data[at + header_len : end], style.verbose)
    return said


def flags(bits: int) -> str:
    """S. for SYN and ACK; none for none."""
    return "".join(letter for bit, letter in _LETTERS if bits & bit) or "none"


def _bases(
    data: bytes, at: Octets, pair: bytes, seq: int, ack: int, flag_bits: int, flows: Flows
) -> tuple[int, int]:
    """What to subtract from (SEG.SEQ, SEG.ACK): the first segment with an ACK of a conversation is shown as it is."""
    if not flag_bits & tcp.ACK:
        return 0, 0
    half = len(pair) // 2
    source, destination = pair[:half] + data[at : at + 2], pair[half:] + data[at + 2 : at + 4]
    turned = source > destination
    key = destination + source if turned else source + destination
    known = flows.get(key)
    if known is None or flag_bits & tcp.SYN:
        if known is None and len(flows) >= MOST_FLOWS:
            del flows[next(iter(flows))]
        flows[key] = (ack - 1 & MASK, seq) if turned else (seq, ack - 1 & MASK)
        return 0, 0
    return known[::-1] if turned else known


def _checksum(data: bytes, at: Octets, end: Octets, pair: bytes, checksum: int) -> str:
    total = pseudo_sum(pair, tcp.PROTOCOL, end - at) + ones_sum(data[at:end])
    if valid(total):
        return f"cksum 0x{checksum:04x} (correct)"
    return f"cksum 0x{checksum:04x} (incorrect -> 0x{finish(total - checksum):04x})"


def options(data: bytes, at: Octets, end: Octets, base: int) -> str:
    """mss 1460,sackOK,TS val 1 ecr 0,nop,wscale 7"""
    found = []
    for kind, value in tcp_options.walk(data, at, end):
        found.append(_option(kind, value, base))
        at += 1 if kind == tcp_options.NOP else 2 + len(value)
    if at < end:
        found.append("eol" if data[at] == tcp_options.EOL else "[bad opt]")
    return ",".join(found)


def _option(kind: int, value: bytes, base: int) -> str:
    numbers = [int.from_bytes(value[i : i + 4], "big") for i in range(0, len(value), 4)]
    if kind == tcp_options.NOP:
        return "nop"
    if kind == tcp_options.MSS and len(value) == 2:
        return f"mss {numbers[0]}"
    if kind == tcp_options.WSCALE and len(value) == 1:
        return f"wscale {value[0]}"
    if kind == tcp_options.SACK_PERMITTED:
        return "sackOK"
    if kind == tcp_options.TIMESTAMP and len(value) == 8:
        return f"TS val {numbers[0]} ecr {numbers[1]}"
    if kind == tcp_options.SACK and len(value) % 8 == 0:
        edges = [number - base & MASK for number in numbers]
        blocks = "".join(f"{{{edges[i]}:{edges[i + 1]}}}" for i in range(0, len(edges), 2))
        return f"sack {len(edges) // 2} {blocks}"
    if kind == tcp_options.FASTOPEN:
        return f"tfo  cookie {value.hex()}" if value else "tfo  cookiereq"
    return f"unknown-{kind} 0x{value.hex()}" if value else f"unknown-{kind}"


def _http(payload: bytes, verbose: bool) -> str:
    """The first line of a request or response; all header lines when verbose."""
    starts = _FIRST_LINE.match(payload) is not None
    if not starts:
        return ": HTTP"
    if not verbose:
        return ": HTTP: " + _text(payload.partition(b"\n")[0])
    head, _, _ = payload.partition(b"\r\n\r\n")
    return f": HTTP, length: {len(payload)}" + "".join(f"\n\t{_text(line)}" for line in [*head.split(b"\n"), b""])


def _text(line: bytes) -> str:
    return "".join(chr(octet) if 0x20 <= octet <= 0x7E else f"\\0x{octet:02x}" for octet in line.rstrip(b"\r"))
