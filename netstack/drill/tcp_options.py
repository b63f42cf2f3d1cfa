"""TCP options between their octets and the script's notation. Numbers here are those of the wire."""

from netstack.drill.nodes import (
    AccEcn,
    Eol,
    FastOpen,
    Md5,
    Mss,
    Nop,
    RawOptions,
    Sack,
    SackPermitted,
    TcpOption,
    Timestamps,
    WindowScale,
)

FASTOPEN_MAGIC = b"\xf9\x89"
"""RFC 7413 appendix A: the experiment's identifier behind kind 254."""
LONGEST = 40


def encode(option: TcpOption) -> bytes:
    """The octets of one option. Unknown values (None) are zero."""
    match option:
        case Nop():
            return b"\x01"
        case Eol():
            return b"\x00"
        case Mss(value):
            return _tlv(2, value.to_bytes(2, "big"))
        case WindowScale(shift):
            return _tlv(3, bytes((shift,)))
        case SackPermitted():
            return _tlv(4, b"")
        case Sack(blocks):
            return _tlv(5, b"".join(edge.to_bytes(4, "big") for block in blocks for edge in block))
        case Timestamps(val, ecr):
            return _tlv(8, (val or 0).to_bytes(4, "big") + (ecr or 0).to_bytes(4, "big"))
        case Md5(digest):
            return _tlv(19, digest or bytes(16))
        case FastOpen(cookie, experimental):
            return _tlv(254, FASTOPEN_MAGIC + cookie) if experimental else _tlv(34, cookie)
        case AccEcn(counters):
            kind = 174 if counters and counters[0][0] == "e1b" else 172
            return _tlv(kind, b"".join(value.to_bytes(3, "big") for _, value in counters))
        case RawOptions(octets):
            return octets


def _tlv(kind: int, value: bytes) -> bytes:
    return bytes((kind, len(value) + 2)) + value


def encode_all(options: tuple[TcpOption, ...]) -> bytes:
    """All options, padded with zeros to whole 32-bit words (RFC 9293 3.1)."""
    octets = b"".join(encode(option) for option in options)
    return octets + bytes(-len(octets) % 4)


def decode_all(octets: bytes) -> tuple[TcpOption, ...]:
    """The options in `octets`; zeros at the end are padding, and what does not parse is raw."""
    options: list[TcpOption] = []
    at = 0
    while at < len(octets):
        kind = octets[at]
        if kind == 0:
            if any(octets[at:]):
                options.append(RawOptions(octets[at:]))
            break
        if kind == 1:
            options.append(Nop())
            at += 1
            continue
        length = octets[at + 1] if at + 1 < len(octets) else 0
        if length < 2 or at + length > len(octets):
            options.append(RawOptions(octets[at:]))
            break
        options.append(_decode(kind, octets[at + 2 : at + length]))
        at += length
    return tuple(options)


def _decode(kind: int, value: bytes) -> TcpOption:
    number = int.from_bytes(value, "big")
    match kind, len(value):
        case 2, 2:
            return Mss(number)
        case 3, 1:
            return WindowScale(number)
        case 4, 0:
            return SackPermitted()
        case 5, length if length and length % 8 == 0:
            edges = [int.from_bytes(value[i : i + 4], "big") for i in range(0, length, 4)]
            return Sack(tuple(zip(edges[::2], edges[1::2], strict=True)))
        case 8, 8:
            return Timestamps(number >> 32, number & 0xFFFF_FFFF)
        case 19, 16:
            return Md5(value)
        case 34, _:
            return FastOpen(value)
        case 254, length if length >= 2 and value[:2] == FASTOPEN_MAGIC:
            return FastOpen(value[2:], experimental=True)
        case ((172 | 174), length) if length % 3 == 0:
            names = ("e0b", "ceb", "e1b") if kind == 172 else ("e1b", "ceb", "e0b")
            values = [int.from_bytes(value[i : i + 3], "big") for i in range(0, length, 3)]
            return AccEcn(tuple(zip(names, values, strict=False)))
    return RawOptions(_tlv(kind, value))
