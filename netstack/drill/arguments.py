"""Arguments of system calls: the script's expressions to what a host takes, and what comes back compared."""

import ipaddress
from struct import Struct

from netstack.drill.freebsd import ALGORITHMS
from netstack.drill.host import Address
from netstack.drill.nodes import Apply, Array, Call, Expression, Symbols, Text, Unspecified
from netstack.drill.nodes import Struct as Braces
from netstack.drill.outcome import Unsupported
from netstack.drill.symbols import integer
from netstack.tcp.info_layout import HEAD as INFO_HEAD
from netstack.tcp.info_layout import decode

_LINGER = Struct("<ii")
_TIMEVAL = Struct("<qq")
MOST_OCTETS = 1 << 27


def argument(call: Call, index: int) -> Expression:
    """Argument number `index`, `...` when the script leaves it out at the end."""
    return call.arguments[index] if index < len(call.arguments) else Unspecified()


def number(call: Call, index: int, default: int = 0) -> int:
    """Argument number `index` as an integer; `default` for `...`."""
    item = argument(call, index)
    return default if isinstance(item, Unspecified) else integer(item)


def size(call: Call, index: int) -> int:
    """A length in octets that a buffer could have."""
    octets = number(call, index)
    if not 0 <= octets <= MOST_OCTETS:
        raise Unsupported(f"{call.name} of {octets} octets")
    return octets


def is_unspecified(item: Expression) -> bool:
    """`{sa_family=AF_UNSPEC}`: connect to nowhere."""
    if not isinstance(item, Braces):
        return False
    family = item.get("sa_family") or item.get("sin_family") or item.get("sin6_family")
    return isinstance(family, Symbols) and family.names == ("AF_UNSPEC",)


def address(item: Expression, default: Address) -> Address:
    """A socket address; `...` for the whole of it or for a part means the default."""
    if isinstance(item, Unspecified):
        return default
    if not isinstance(item, Braces):
        raise Unsupported("a socket address that is not in braces")
    if is_unspecified(item):
        raise Unsupported("an address of family AF_UNSPEC")
    port = item.get("sin_port") or item.get("sin6_port")
    host = item.get("sin_addr") or item.get("sin6_addr")
    octets, port_number = default
    if host is not None and not isinstance(host, Unspecified):
        octets = host_address(host, len(octets))
    if port is not None and not isinstance(port, Unspecified):
        port_number = integer(port)
    return octets, port_number


def host_address(item: Expression, octets: int) -> bytes:
    """The octets of `inet_addr("192.0.2.1")`, a string or a number."""
    text: str | None = None
    if isinstance(item, Text):
        text = item.value
    elif isinstance(item, Apply) and item.arguments and isinstance(item.arguments[-1], Text):
        text = item.arguments[-1].value
    if text is None:
        return integer(item).to_bytes(octets, "big")
    try:
        return ipaddress.ip_address(text).packed
    except ValueError:
        raise Unsupported(f'"{text}" as an address') from None


def buffer(item: Expression, octets: int) -> bytes:
    """What to send: zeros, also where the script has a text, for the payload of every packet is compared with zeros."""
    return bytes(octets)


def iovec(item: Expression) -> list[tuple[Expression, int]]:
    """`[{..., 10}, {..., 20}]` as (buffer, octets)."""
    if not isinstance(item, Array):
        raise Unsupported("an iovec that is not a list")
    vectors = []
    for part in item.items:
        if not isinstance(part, Braces) or len(part.members) != 2:
            raise Unsupported("an iovec that is not {buffer, length}")
        vectors.append((part.members[0].value, integer(part.members[1].value)))
    return vectors


def message(item: Expression) -> Braces:
    """The msghdr of sendmsg and recvmsg."""
    if not isinstance(item, Braces):
        raise Unsupported("a message that is not in braces")
    return item


def control(item: Expression | None) -> list[tuple[int, int, bytes]]:
    """The control messages that sendmsg hands over, each with an integer of 32 bits."""
    if item is None or isinstance(item, Unspecified):
        return []
    if not isinstance(item, Array):
        raise Unsupported("a msg_control that is not a list")
    messages = []
    for one in item.items:
        if not isinstance(one, Braces):
            raise Unsupported("a control message that is not in braces")
        level, kind, data = (one.get(name) for name in ("cmsg_level", "cmsg_type", "cmsg_data"))
        if level is None or kind is None or data is None:
            raise Unsupported("a control message without level, type and data")
        messages.append((integer(level), integer(kind), (integer(data) & 0xFFFF_FFFF).to_bytes(4, "little")))
    return messages


def option_value(item: Expression, length: Expression) -> bytes:
    """The octets that setsockopt hands over."""
    octets = 4 if isinstance(length, Unspecified) else integer(length)
    match item:
        case Text(text) | Array((Text(text),)) if text in ALGORITHMS:
            return ALGORITHMS[text].encode()
        case Text(text) | Array((Text(text),)):
            return text.encode()[:octets] if octets > 0 else text.encode()
        case Braces():
            if (onoff := item.get("onoff") or item.get("l_onoff")) is not None:
                return _LINGER.pack(integer(onoff), integer(item.get("linger") or item.get("l_linger") or onoff))
            if (seconds := item.get("tv_sec")) is not None:
                return _TIMEVAL.pack(integer(seconds), integer(item.get("tv_usec") or seconds))
            raise Unsupported(f"an option value with the member {item.members[0].name if item.members else '(none)'}")
        case Array(()):
            return b""
        case Array(items) if len(items) > 1:
            return b"".join((integer(one) & 0xFFFF_FFFF).to_bytes(4, "little") for one in items)
    value = integer(item)
    width = octets if octets in (1, 2, 4, 8) else 4
    return (value & (1 << 8 * width) - 1).to_bytes(width, "little")


def info_differs(item: Expression, got: bytes) -> str:
    """What is wrong with struct tcp_info, of which the script names some members; "" when they are as expected."""
    if not isinstance(item, Braces) or len(got) < INFO_HEAD:
        return ""
    info = decode(got)
    for member in item.members:
        name = member.name.removeprefix("tcpi_")
        if isinstance(member.value, Unspecified):
            continue
        if name not in info:
            raise Unsupported(f"TCP_INFO without {member.name}")
        if info[name] != (wanted := integer(member.value)):
            return f"expected {member.name}={wanted}, got {info[name]}"
    return ""


def option_differs(item: Expression, got: bytes) -> str:
    """What is wrong with the octets that getsockopt brought; "" when they are as expected."""
    match item:
        case Unspecified():
            return ""
        case Text(name) | Array((Text(name),)):
            text = got.split(b"\0")[0].decode("latin-1")
            return "" if text == ALGORITHMS.get(name, name) else f'expected "{name}", got "{text}"'
        case Array((Unspecified(),)) | Array(()):
            return ""
        case Braces():
            if (onoff := item.get("onoff") or item.get("l_onoff")) is None or len(got) != _LINGER.size:
                raise Unsupported("an option value in braces")
            wanted = (integer(onoff), integer(item.get("linger") or item.get("l_linger") or onoff))
            live = _LINGER.unpack(got)
            return "" if (bool(wanted[0]), wanted[1]) == (bool(live[0]), live[1]) else f"expected {wanted}, got {live}"
    value, live_value = integer(item), int.from_bytes(got[:8], "little", signed=True)
    return "" if value == live_value else f"expected [{value}], got [{live_value}]"
