"""Names in system calls and code, and their numbers on Linux (x86-64 and the other usual architectures)."""

import errno

from netstack.drill.nodes import Apply, Array, Expression, Number, Symbols
from netstack.drill.outcome import Unsupported

AF_INET, AF_INET6 = 2, 10
SOCK_STREAM, SOCK_DGRAM = 1, 2
SOCK_NONBLOCK, SOCK_CLOEXEC = 0x800, 0x80000
IP_MTU_DISCOVER = 10
IPPROTO_IP, IPPROTO_TCP, IPPROTO_UDP, IPPROTO_IPV6 = 0, 6, 17, 41
SOL_SOCKET, SO_DEBUG, SO_ERROR = 1, 1, 4
O_NONBLOCK, O_RDWR = 0x800, 2
F_GETFL, F_SETFL = 3, 4
SIOCINQ, SIOCOUTQ, SIOCOUTQNSD, FIONBIO = 0x541B, 0x5411, 0x894B, 0x5421
POLLIN, POLLPRI, POLLOUT, POLLERR, POLLHUP, POLLNVAL, POLLRDHUP = 1, 2, 4, 8, 16, 32, 0x2000
SHUT_RD, SHUT_WR, SHUT_RDWR = 0, 1, 2

_SO = {
    "SO_DEBUG": 1, "SO_REUSEADDR": 2, "SO_TYPE": 3, "SO_ERROR": 4, "SO_DONTROUTE": 5, "SO_BROADCAST": 6,
    "SO_SNDBUF": 7, "SO_RCVBUF": 8, "SO_KEEPALIVE": 9, "SO_OOBINLINE": 10, "SO_NO_CHECK": 11, "SO_PRIORITY": 12,
    "SO_LINGER": 13, "SO_BSDCOMPAT": 14, "SO_REUSEPORT": 15, "SO_RCVLOWAT": 18, "SO_SNDLOWAT": 19,
    "SO_RCVTIMEO": 20, "SO_SNDTIMEO": 21, "SO_TIMESTAMP": 29, "SO_ACCEPTCONN": 30, "SO_SNDBUFFORCE": 32,
    "SO_RCVBUFFORCE": 33, "SO_TIMESTAMPNS": 35, "SO_MARK": 36, "SO_TIMESTAMPING": 37, "SO_PROTOCOL": 38,
    "SO_DOMAIN": 39, "SO_BUSY_POLL": 46, "SO_MAX_PACING_RATE": 47, "SO_INCOMING_CPU": 49, "SO_ZEROCOPY": 60,
    "SO_TXTIME": 61,
}  # fmt: skip
_TCP = {
    "TCP_NODELAY": 1, "TCP_MAXSEG": 2, "TCP_CORK": 3, "TCP_KEEPIDLE": 4, "TCP_KEEPINTVL": 5, "TCP_KEEPCNT": 6,
    "TCP_SYNCNT": 7, "TCP_LINGER2": 8, "TCP_DEFER_ACCEPT": 9, "TCP_WINDOW_CLAMP": 10, "TCP_INFO": 11,
    "TCP_QUICKACK": 12, "TCP_CONGESTION": 13, "TCP_MD5SIG": 14, "TCP_THIN_LINEAR_TIMEOUTS": 16, "TCP_THIN_DUPACK": 17,
    "TCP_USER_TIMEOUT": 18, "TCP_REPAIR": 19, "TCP_REPAIR_QUEUE": 20, "TCP_QUEUE_SEQ": 21, "TCP_REPAIR_OPTIONS": 22,
    "TCP_FASTOPEN": 23, "TCP_TIMESTAMP": 24, "TCP_NOTSENT_LOWAT": 25, "TCP_CC_INFO": 26, "TCP_SAVE_SYN": 27,
    "TCP_SAVED_SYN": 28, "TCP_REPAIR_WINDOW": 29, "TCP_FASTOPEN_CONNECT": 30, "TCP_ULP": 31, "TCP_MD5SIG_EXT": 32,
    "TCP_FASTOPEN_KEY": 33, "TCP_FASTOPEN_NO_COOKIE": 34, "TCP_ZEROCOPY_RECEIVE": 35, "TCP_INQ": 36, "TCP_CM_INQ": 36,
    "TCP_TX_DELAY": 37, "TCP_RTO_MAX_MS": 44,
}  # fmt: skip
_IP = {
    "IP_TOS": 1, "IP_TTL": 2, "IP_HDRINCL": 3, "IP_OPTIONS": 4, "IP_RECVOPTS": 6, "IP_RETOPTS": 7, "IP_PKTINFO": 8,
    "IP_MTU_DISCOVER": 10, "IP_RECVERR": 11, "IP_RECVTTL": 12, "IP_RECVTOS": 13, "IP_MTU": 14, "IP_FREEBIND": 15,
    "IP_TRANSPARENT": 19, "IP_MINTTL": 21, "IP_BIND_ADDRESS_NO_PORT": 24, "IP_PMTUDISC_DONT": 0,
    "IP_PMTUDISC_WANT": 1, "IP_PMTUDISC_DO": 2, "IP_PMTUDISC_PROBE": 3, "IP_PMTUDISC_INTERFACE": 4,
    "IP_PMTUDISC_OMIT": 5, "IPV6_UNICAST_HOPS": 16, "IPV6_MTU_DISCOVER": 23, "IPV6_MTU": 24, "IPV6_RECVERR": 25,
    "IPV6_V6ONLY": 26, "IPV6_TCLASS": 67,
}  # fmt: skip
_MSG = {
    "MSG_OOB": 1, "MSG_PEEK": 2, "MSG_DONTROUTE": 4, "MSG_CTRUNC": 8, "MSG_TRUNC": 0x20, "MSG_DONTWAIT": 0x40,
    "MSG_EOR": 0x80, "MSG_WAITALL": 0x100, "MSG_ERRQUEUE": 0x2000, "MSG_NOSIGNAL": 0x4000, "MSG_MORE": 0x8000,
    "MSG_ZEROCOPY": 0x400_0000, "MSG_FASTOPEN": 0x2000_0000, "MSG_CMSG_CLOEXEC": 0x4000_0000,
}  # fmt: skip
_MISC = {
    "AF_UNSPEC": 0, "AF_UNIX": 1, "AF_INET": AF_INET, "AF_INET6": AF_INET6, "PF_INET": AF_INET, "PF_INET6": AF_INET6,
    "SOCK_STREAM": SOCK_STREAM, "SOCK_DGRAM": SOCK_DGRAM, "SOCK_RAW": 3, "SOCK_NONBLOCK": SOCK_NONBLOCK,
    "SOCK_CLOEXEC": SOCK_CLOEXEC, "IPPROTO_IP": 0, "IPPROTO_ICMP": 1, "IPPROTO_TCP": 6, "IPPROTO_UDP": 17,
    "IPPROTO_IPV6": 41, "IPPROTO_SCTP": 132, "IPPROTO_UDPLITE": 136, "IPPROTO_MPTCP": 262, "SOL_SOCKET": 1,
    "SOL_IP": 0, "SOL_TCP": 6, "SOL_UDP": 17, "SOL_IPV6": 41, "SHUT_RD": 0, "SHUT_WR": 1, "SHUT_RDWR": 2,
    "O_RDONLY": 0, "O_WRONLY": 1, "O_RDWR": 2, "O_NONBLOCK": O_NONBLOCK, "O_CLOEXEC": 0x80000, "F_GETFD": 1,
    "F_SETFD": 2, "F_GETFL": 3, "F_SETFL": 4, "FD_CLOEXEC": 1, "SIOCINQ": SIOCINQ, "FIONREAD": SIOCINQ,
    "SIOCOUTQ": SIOCOUTQ, "SIOCOUTQNSD": SIOCOUTQNSD, "FIONBIO": FIONBIO, "INADDR_ANY": 0,
    "INADDR_LOOPBACK": 0x7F00_0001, "SOMAXCONN": 4096, "NULL": 0, "POLLIN": 1, "POLLPRI": 2, "POLLOUT": 4,
    "POLLERR": 8, "POLLHUP": 16, "POLLNVAL": 32, "POLLRDNORM": 0x40, "POLLRDBAND": 0x80, "POLLWRNORM": 0x100,
    "POLLWRBAND": 0x200, "POLLRDHUP": 0x2000, "POLLINIT": 0,
}  # fmt: skip
STATES = (
    "TCP_ESTABLISHED", "TCP_SYN_SENT", "TCP_SYN_RECV", "TCP_FIN_WAIT1", "TCP_FIN_WAIT2", "TCP_TIME_WAIT", "TCP_CLOSE",
    "TCP_CLOSE_WAIT", "TCP_LAST_ACK", "TCP_LISTEN", "TCP_CLOSING", "TCP_NEW_SYN_RECV",
)  # fmt: skip
"""In Linux's order, from 1."""
CA_STATES = ("TCP_CA_Open", "TCP_CA_Disorder", "TCP_CA_CWR", "TCP_CA_Recovery", "TCP_CA_Loss")
TCP_INFO_OPTIONS = {
    "TCPI_OPT_TIMESTAMPS": 1, "TCPI_OPT_SACK": 2, "TCPI_OPT_WSCALE": 4, "TCPI_OPT_ECN": 8, "TCPI_OPT_ECN_SEEN": 16,
    "TCPI_OPT_SYN_DATA": 32, "TCPI_OPT_USEC_TS": 64, "TCPI_OPT_TFO_CHILD": 128,
}  # fmt: skip
CODE_NAMES = {
    **{name: number for number, name in enumerate(STATES, 1)},
    **{name: number for number, name in enumerate(CA_STATES)},
    **TCP_INFO_OPTIONS,
}
"""What the code of a script may name without defining it."""
NUMBERS = {**_SO, **_TCP, **_IP, **_MSG, **_MISC, **CODE_NAMES}
EPOLL = {
    "EPOLLIN": 1, "EPOLLPRI": 2, "EPOLLOUT": 4, "EPOLLERR": 8, "EPOLLHUP": 16, "EPOLLRDHUP": 0x2000,
    "EPOLLONESHOT": 1 << 30, "EPOLLET": 1 << 31, "EPOLL_CTL_ADD": 1, "EPOLL_CTL_DEL": 2, "EPOLL_CTL_MOD": 3,
    "EPOLL_CLOEXEC": 0x80000,
}  # fmt: skip
NUMBERS.update(EPOLL)


def number(name: str) -> int:
    """The number a symbol stands for. Unsupported when it has none here."""
    if name[0].isdigit():
        return int(name, 0)
    if name not in NUMBERS:
        raise Unsupported(f'unknown name "{name}"')
    return NUMBERS[name]


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


def option_name(level: int, name: int) -> str:
    """`TCP_NODELAY`; numbers where the option has no name here."""
    table = {SOL_SOCKET: _SO, IPPROTO_TCP: _TCP, IPPROTO_IP: _IP}.get(level, {})
    return next((text for text, number in table.items() if number == name), f"{name} of level {level}")


def poll_names(events: int) -> str:
    """`POLLIN|POLLOUT`; 0 for none."""
    names = ("POLLIN", "POLLPRI", "POLLOUT", "POLLERR", "POLLHUP", "POLLNVAL", "POLLRDHUP", "POLLRDNORM", "POLLWRNORM")
    return "|".join(name for name in names if events & NUMBERS[name]) or "0"
