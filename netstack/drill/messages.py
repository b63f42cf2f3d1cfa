"""What comes along with recvmsg: flags and control messages, as the script wants them and as they came."""

from collections.abc import Callable
from dataclasses import dataclass
from struct import Struct

from netstack.drill.constants import IP, IPPROTO_IP, IPPROTO_TCP, NUMBERS, SO, SOL_SOCKET, TCP
from netstack.drill.nodes import Array, Expression, Number, Unspecified
from netstack.drill.nodes import Struct as Braces
from netstack.drill.outcome import Unsupported
from netstack.drill.symbols import errno_name, integer
from netstack.units import Micros

Control = tuple[int, int, bytes]
"""Level, type and data of one control message."""

EXTENDED_ERROR = Struct("<IBBBBII")
"""ee_errno, ee_origin, ee_type, ee_code, padding, ee_info, ee_data; the offender's address follows."""
THREE_TIMES = Struct("<6q")
_ERROR_FIELDS = ("ee_errno", "ee_origin", "ee_type", "ee_code", "", "ee_info", "ee_data")
IPPROTO_IPV6, IPV6_RECVERR = 41, NUMBERS["IPV6_RECVERR"]
RECVERR = {(IPPROTO_IP, IP["IP_RECVERR"]), (IPPROTO_IPV6, IPV6_RECVERR)}
TIMESTAMPING = (SOL_SOCKET, SO["SO_TIMESTAMPING"])
INQ = (IPPROTO_TCP, TCP["TCP_CM_INQ"])


@dataclass(frozen=True, slots=True)
class Received:
    """What recvmsg brought."""

    length: int
    data: bytes
    control: tuple[Control, ...] = ()
    flags: int = 0


def control_differs(
    item: Expression | None, came: tuple[Control, ...], near: Callable[[Micros], bool], origin: Micros
) -> list[str]:
    """What differs between the script's `msg_control` and what came. `near`: the time is right give or take, given a
    difference; `origin`: what the script's 0 is on the clock of timestamps."""
    if item is None or isinstance(item, Unspecified):
        return []
    if not isinstance(item, Array):
        raise Unsupported("a msg_control that is not a list")
    if len(item.items) != len(came):
        shown = ", ".join(map(_name, came)) or "none"
        return [f"control messages: expected {len(item.items)}, got {len(came)} ({shown})"]
    wrong: list[str] = []
    for wanted, got in zip(item.items, came, strict=True):
        if not isinstance(wanted, Braces):
            raise Unsupported("a control message that is not in braces")
        wrong += _differs(wanted, got, near, origin)
    return wrong


def _differs(wanted: Braces, got: Control, near: Callable[[Micros], bool], origin: Micros) -> list[str]:
    kind = tuple(integer(wanted.get(name) or Number(0, "0")) for name in ("cmsg_level", "cmsg_type"))
    if kind != got[:2]:
        return [f"control message: expected {kind[1]} of level {kind[0]}, got {_name(got)}"]
    data = wanted.get("cmsg_data")
    if data is None or isinstance(data, Unspecified):
        return []
    if not isinstance(data, Braces):
        live = int.from_bytes(got[2][:8], "little", signed=True)
        return [] if integer(data) == live else [f"{_name(got)}: expected {integer(data)}, got {live}"]
    if got[:2] == TIMESTAMPING:
        return _time_differs(data, got[2], near, origin)
    if got[:2] in RECVERR:
        return _error_differs(data, got[2])
    raise Unsupported(f"the control message {_name(got)}")


def _time_differs(data: Braces, octets: bytes, near: Callable[[Micros], bool], origin: Micros) -> list[str]:
    seconds, nanoseconds = THREE_TIMES.unpack_from(octets)[:2]
    at = seconds * 1_000_000 + nanoseconds // 1_000 - origin
    if isinstance(data.get("scm_sec"), Unspecified) or data.get("scm_sec") is None:
        return []
    wanted = integer(data.get("scm_sec") or Number(0, "0")) * 1_000_000
    wanted += integer(data.get("scm_nsec") or Number(0, "0")) // 1_000
    return [] if near(at - wanted) else [f"scm_sec, scm_nsec: expected {wanted / 1e6:.6f}, got {at / 1e6:.6f}"]


def _error_differs(data: Braces, octets: bytes) -> list[str]:
    values = dict(zip(_ERROR_FIELDS, EXTENDED_ERROR.unpack_from(octets), strict=True))
    wrong = []
    for member in data.members:
        if isinstance(member.value, Unspecified):
            continue
        if member.name not in values:
            raise Unsupported(f"the member {member.name} of an extended error")
        wanted = integer(member.value)
        if wanted != values[member.name]:
            shown = (wanted, values[member.name])
            names = map(errno_name, shown) if member.name == "ee_errno" else map(str, shown)
            wrong.append("{}: expected {}, got {}".format(member.name, *names))
    return wrong


def _name(control: Control) -> str:
    level, kind, _ = control
    known = {TIMESTAMPING: "SCM_TIMESTAMPING", INQ: "TCP_CM_INQ", (0, 1): "IP_TOS", (0, 2): "IP_TTL"}
    known |= dict.fromkeys(RECVERR, "IP_RECVERR")
    return known.get((level, kind), f"{kind} of level {level}")
