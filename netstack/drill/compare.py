"""What differs between an outbound packet of the script and one that left. Strict, or relaxed."""

from dataclasses import dataclass

from netstack.drill import icmp_names
from netstack.drill.nodes import (
    Eol,
    IcmpMessage,
    IpFields,
    Md5,
    Nop,
    Packet,
    RawOptions,
    SeqKind,
    TcpOption,
    TcpSegment,
    Timestamps,
    UdpDatagram,
    WindowScale,
)
from netstack.drill.notation import FLAG_ORDER, flags, option, options, quoted
from netstack.drill.observe import Observed
from netstack.drill.tcp_options import encode_all
from netstack.units import Micros


@dataclass(frozen=True, slots=True)
class Rules:
    """How strictly to compare."""

    relaxed: bool = False
    """Option order, nops, PSH, the window and the layout of a SYN's options are not compared."""
    timestamp_tick: Micros | None = None
    """Length of a tick of the local timestamp clock; None: timestamp values are not compared."""
    tolerance: Micros = 4_000


def differences(expected: Packet, actual: Observed, rules: Rules) -> list[str]:
    """One phrase for each thing that differs; empty when the packet is the expected one."""
    found = list(actual.faults)
    found += _ip(expected.ip, actual)
    match expected.body, actual.packet.body:
        case TcpSegment() as wanted, TcpSegment() as got:
            found += _tcp(wanted, got, actual, rules)
        case UdpDatagram() as wanted, UdpDatagram() as got:
            found += _field("length", wanted.length, got.length)
            if wanted.ports is not None:
                found += _field("ports", wanted.ports, got.ports)
        case IcmpMessage() as wanted, IcmpMessage() as got:
            found += _icmp(wanted, got, actual.datagram.version)
        case wanted, got:
            found.append(f"protocol: expected {type(wanted).__name__}, got {type(got).__name__}")
    return found


def _field(name: str, wanted: object, got: object) -> list[str]:
    return [] if wanted == got else [f"{name}: expected {wanted}, got {got}"]


def _ip(wanted: IpFields, actual: Observed) -> list[str]:
    got = actual.packet.ip
    found = []
    if wanted.ecn is not None and not (wanted.ecn == "ect01" and got.ecn in ("ect0", "ect1")):
        found += _field("ECN", wanted.ecn, got.ecn)
    for name in ("tos", "ttl", "flowlabel"):
        if (value := getattr(wanted, name)) is not None:
            found += _field(name.upper(), value, getattr(got, name))
    return found


def _tcp(wanted: TcpSegment, got: TcpSegment, actual: Observed, rules: Rules) -> list[str]:
    found = _flags(wanted, got, rules)
    if wanted.seq_kind is SeqKind.RELATIVE:
        found += _field("seq", wanted.seq, got.seq)
    elif wanted.seq_kind is SeqKind.RAW:
        found += _field("seq on the wire", wanted.seq, actual.raw_seq)
    found += _field("length", wanted.length, got.length)
    if "." not in got.flags and actual.raw_ack and not rules.relaxed:
        found.append(f"acknowledgment number {actual.raw_ack} without ACK")
    elif wanted.ack is not None:
        got_ack = actual.raw_ack if wanted.ack_raw else got.ack
        if "S" in got.flags and wanted.ack == actual.raw_ack:
            got_ack = actual.raw_ack  # of a SYN-ACK, too, numbers may be as written: those of the peer's SYN
        found += _field("ack", wanted.ack, "none" if got.ack is None else got_ack)
    if wanted.window is not None and not rules.relaxed:
        found += _field("win", wanted.window, got.window)
    found += _field("urg", wanted.urgent, got.urgent)
    found += _field("reserved bits", 0, actual.reserved)
    if wanted.ports is not None:
        found += _field("ports", wanted.ports, got.ports)
    if wanted.options is not None:
        compare = _options_relaxed if rules.relaxed else _options_strict
        found += compare(wanted, wanted.options, got.options or (), actual, rules)
    return found


def _flags(wanted: TcpSegment, got: TcpSegment, rules: Rules) -> list[str]:
    compared = set("FSRU.") | (set() if rules.relaxed else {"P"}) | (set("EWA") if wanted.ace is None else set())
    found = []
    if (wanted.flags ^ got.flags) & compared:
        found.append(f"flags: expected {_letters(wanted)}, got {_letters(got)}")
    if wanted.ace is not None:
        ace = 4 * ("A" in got.flags) + 2 * ("W" in got.flags) + ("E" in got.flags)
        found += _field("ACE", wanted.ace, ace)
    return found


def _letters(tcp: TcpSegment) -> str:
    if tcp.ace is not None:
        return flags(tcp)
    return "".join(letter for letter in FLAG_ORDER if letter in tcp.flags) or "-"


def _options_strict(
    wanted: TcpSegment, asked: tuple[TcpOption, ...], came: tuple[TcpOption, ...], actual: Observed, rules: Rules
) -> list[str]:
    length = 20 + len(encode_all(asked))
    if any(isinstance(item, RawOptions) for item in asked):
        octets = encode_all(actual.raw_options)
        return [] if octets == encode_all(asked) else [f"options: expected {options(asked)}, got <{octets.hex()}>"]
    asked, came = _unpadded(asked), _unpadded(came)
    if len(asked) != len(came) or any(type(a) is not type(b) for a, b in zip(asked, came, strict=True)):
        return [f"options: expected {options(asked) or 'none'}, got {options(came) or 'none'}"]
    found = _field("data offset", length, actual.header_length)
    for one, other, raw in zip(asked, came, actual.raw_options, strict=False):
        found += _option(one, other, raw, rules)
    return found


def _options_relaxed(
    wanted: TcpSegment, asked: tuple[TcpOption, ...], came: tuple[TcpOption, ...], actual: Observed, rules: Rules
) -> list[str]:
    """Nops and order aside; in a SYN the shift of the window scale too, which belongs to the window."""
    pairs = list(zip(came, actual.raw_options, strict=True))
    pairs = sorted((pair for pair in pairs if not isinstance(pair[0], Nop | Eol)), key=lambda pair: _kind(pair[0]))
    meant = sorted((item for item in asked if not isinstance(item, Nop | Eol)), key=_kind)
    if [type(item) for item in meant] != [type(item) for item, _ in pairs]:
        return [f"options: expected {options(asked) or 'none'}, got {options(came) or 'none'}"]
    found = []
    for one, (other, raw) in zip(meant, pairs, strict=True):
        if not ("S" in wanted.flags and isinstance(one, WindowScale)):
            found += _option(one, other, raw, rules)
    return found


def _kind(item: TcpOption) -> str:
    return type(item).__name__


def _unpadded(items: tuple[TcpOption, ...]) -> tuple[TcpOption, ...]:
    while items and isinstance(items[-1], Eol):
        items = items[:-1]
    return items


def _option(wanted: TcpOption, got: TcpOption, raw: TcpOption, rules: Rules) -> list[str]:
    if wanted == Md5(None):
        return []  # `expect` has looked at the signature
    if not isinstance(wanted, Timestamps) or not isinstance(got, Timestamps) or not isinstance(raw, Timestamps):
        return [] if wanted == got else [f"{option(wanted).split()[0]}: expected {option(wanted)}, got {option(got)}"]
    found = []
    if wanted.ecr is not None:
        found += _field("TS ecr", wanted.ecr, got.ecr)
    if wanted.raw_val:
        found += _field("TS val on the wire", wanted.val, raw.val)
    elif rules.timestamp_tick and wanted.val is not None and got.val is not None:
        apart = (got.val - wanted.val + 0x8000_0000 & 0xFFFF_FFFF) - 0x8000_0000
        if abs(apart) * rules.timestamp_tick > max(rules.tolerance, rules.timestamp_tick):
            found += _field("TS val", wanted.val, got.val)
    return found


def _icmp(wanted: IcmpMessage, got: IcmpMessage, version: int) -> list[str]:
    kind = icmp_names.type_number(wanted.type, version)
    code = icmp_names.code_number(wanted.type, wanted.code, version)
    found = _field("ICMP type", kind, icmp_names.type_number(got.type, version))
    found += _field("ICMP code", code, icmp_names.code_number(got.type, got.code, version))
    if wanted.mtu is not None:
        found += _field("mtu", wanted.mtu, got.mtu)
    if wanted.ident is not None:
        found += _field("id", wanted.ident, got.ident)
    if wanted.quoted is not None:
        came = got.quoted
        if wanted.quoted.kind == "raw" and came is not None and came.kind != "raw":
            came = None  # the octets as such: how many of them are quoted is not the script's to say
        if came is not None or wanted.quoted.kind != "raw":
            found += _field("quoted", quoted(wanted.quoted), quoted(came) if came is not None else "nothing")
    return found
