"""Names in system calls and code, turned into numbers and back."""

import errno

from netstack.drill.constants import IP, IPPROTO_IP, IPPROTO_TCP, NUMBERS, SIZES, SO, SOL_SOCKET, TCP
from netstack.drill.nodes import Apply, Array, Expression, Number, Symbols, Text
from netstack.drill.outcome import Unsupported


def number(name: str) -> int:
    """The number a symbol stands for. Unsupported when it has none here."""
    if name[0].isdigit():
        return int(name, 0)
    found = NUMBERS.get(name, errno_number(name) if name[0] == "E" else None)
    if found is None:
        raise Unsupported(f'unknown name "{name}"')
    return found


def integer(item: Expression) -> int:
    """The value of an expression that is an integer. Unsupported when it is something else."""
    match item:
        case Number(value):
            return value
        case Symbols(names):
            value = 0
            for name in names:
                value |= number(name)
            return value
        case Apply("htons" | "htonl" | "ntohs" | "ntohl", (argument,)):
            return integer(argument)
        case Apply("sizeof", (Text(name),)) if name in SIZES:
            return SIZES[name]
        case Array((only,)):
            return integer(only)
    raise Unsupported(f"cannot take {type(item).__name__} for an integer")


def errno_name(code: int) -> str:
    """`EAGAIN`; its number where Linux has no name for it."""
    return errno.errorcode.get(code, str(code))


def errno_number(name: str) -> int | None:
    """The number of `EAGAIN` and the like, aliases included; None for a name Linux does not know."""
    value = getattr(errno, name, None)
    return value if isinstance(value, int) else None


_OPTIONS = {SOL_SOCKET: SO, IPPROTO_TCP: TCP, IPPROTO_IP: IP}


def is_option(level: int, name: int) -> bool:
    """Linux has such an option."""
    return name in _OPTIONS.get(level, {}).values()


def option_name(level: int, name: int) -> str:
    """`TCP_NODELAY`; numbers where the option has no name here."""
    table = _OPTIONS.get(level, {})
    return next((text for text, number in table.items() if number == name), f"{name} of level {level}")


def poll_names(events: int) -> str:
    """`POLLIN|POLLOUT`; 0 for none."""
    names = ("POLLIN", "POLLPRI", "POLLOUT", "POLLERR", "POLLHUP", "POLLNVAL", "POLLRDHUP", "POLLRDNORM", "POLLWRNORM")
    return "|".join(name for name in names if events & NUMBERS[name]) or "0"


def epoll_names(events: int) -> str:
    """`EPOLLIN|EPOLLOUT`; 0 for none."""
    return "|".join(f"E{name}" for name in poll_names(events).split("|")) if events else "0"
