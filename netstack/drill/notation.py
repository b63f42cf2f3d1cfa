"""Packets in the language of scripts: the same notation for what was expected and for what came."""

from netstack.drill.nodes import (
    AccEcn,
    Eol,
    FastOpen,
    IcmpMessage,
    IpFields,
    Md5,
    Mss,
    Nop,
    OtherProtocol,
    Packet,
    Quoted,
    RawOptions,
    Sack,
    SackPermitted,
    SeqKind,
    TcpOption,
    TcpSegment,
    Timestamps,
    UdpDatagram,
    WindowScale,
)
from netstack.units import Micros

FLAG_ORDER = "FSRPUEWA."


def seconds(time: Micros) -> str:
    """`0.100000`"""
    return f"{time // 1_000_000}.{time % 1_000_000:06}" if time >= 0 else f"-{seconds(-time)}"


def flags(segment: TcpSegment) -> str:
    """`S.`, `P.`, `-`; the ACE field as its digit behind them."""
    letters = "".join(letter for letter in FLAG_ORDER if letter in segment.flags)
    return (letters + (str(segment.ace) if segment.ace is not None else "")) or "-"


def option(item: TcpOption) -> str:
    """`mss 1460`"""
    match item:
        case Nop():
            return "nop"
        case Eol():
            return "eol"
        case Mss(value):
            return f"mss {value}"
        case WindowScale(shift):
            return f"wscale {shift}"
        case SackPermitted():
            return "sackOK"
        case Sack(blocks):
            return "sack " + " ".join(f"{left}:{right}" for left, right in blocks)
        case Timestamps(val, ecr, raw_val, raw_ecr):
            return f"TS val {_value(val, raw_val)} ecr {_value(ecr, raw_ecr)}"
        case Md5(digest):
            return f"md5 {digest.hex() if digest is not None else 'valid'}"
        case FastOpen(cookie, experimental):
            return f"{'FOEXP' if experimental else 'FO'} {cookie.hex()}".rstrip()
        case AccEcn(counters):
            return "ECN " + " ".join(f"{name} {value}" for name, value in counters)
        case RawOptions(octets):
            return octets.hex()


def _value(number: int | None, raw: bool) -> str:
    return ("..." if number is None else str(number)) + ("!" if raw else "")


def options(items: tuple[TcpOption, ...] | None) -> str:
    """`<mss 1460,nop,wscale 7>`; "" for none, `<...>` for any."""
    if items is None:
        return "<...>"
    return f"<{','.join(option(item) for item in items)}>" if items else ""


def segment(tcp: TcpSegment) -> str:
    """`S. 0:0(0) ack 1 win 65535 <mss 1460>`"""
    parts = [f"{tcp.ports[0]} > {tcp.ports[1]}"] if tcp.ports else []
    parts.append(flags(tcp))
    if tcp.seq_kind is SeqKind.ANY:
        parts.append(f"...({tcp.length})")
    else:
        raw = "!" if tcp.seq_kind is SeqKind.RAW else ""
        parts.append(f"{tcp.seq}:{tcp.seq + tcp.length & 0xFFFF_FFFF}({tcp.length}){raw}")
    if tcp.ack is not None:
        parts.append(f"ack {_value(tcp.ack, tcp.ack_raw)}")
    if tcp.window is not None:
        parts.append(f"win {tcp.window}")
    if tcp.urgent:
        parts.append(f"urg {tcp.urgent}")
    parts.append(options(tcp.options))
    if tcp.encapsulation:
        parts.append(f"/udp({tcp.encapsulation[0]} > {tcp.encapsulation[1]})")
    return " ".join(part for part in parts if part)


def ip_fields(ip: IpFields) -> str:
    """`[ect0, tos 0x20]`"""
    named = (("tos", f"{ip.tos:#x}" if ip.tos is not None else None), ("ttl", ip.ttl), ("flowlabel", ip.flowlabel))
    parts = [ip.ecn] if ip.ecn else []
    parts += [f"{name} {value}" for name, value in named if value is not None]
    return f"[{', '.join(parts)}]" if parts else ""


def body(item: TcpSegment | UdpDatagram | IcmpMessage | OtherProtocol) -> str:
    """What is behind the IP header."""
    match item:
        case TcpSegment():
            return segment(item)
        case UdpDatagram(length, ports):
            return f"udp {f'{ports[0]} > {ports[1]} ' if ports else ''}({length})"
        case IcmpMessage(kind, code, mtu, ident, complaint):
            parts = [f"icmp {kind} {code}"]
            parts += [f"mtu {mtu}"] if mtu is not None else []
            parts += [f"id {ident}"] if ident is not None else []
            parts += [quoted(complaint)] if complaint is not None else []
            return " ".join(parts)
        case OtherProtocol(name):
            return name


def quoted(item: Quoted) -> str:
    """`[1:1001(1000)]`, `[udp (len)]`, `[raw (len)]`"""
    if item.kind == "tcp":
        return f"[{item.seq}:{item.seq + item.length & 0xFFFF_FFFF}({item.length})]"
    return f"[{item.kind} ({item.length})]"


def packet(item: Packet) -> str:
    """`> [ect0] S. 0:0(0) ack 1`"""
    headers = [f"{header.kind} {header.text}:" for header in item.headers]
    parts = ("<" if item.inbound else ">", *headers, ip_fields(item.ip), body(item.body))
    return " ".join(part for part in parts if part)
