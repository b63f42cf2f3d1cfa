"""What a user may set on a connection or listener (RFC 9293 3.9.1, Linux's socket options), as plain attributes."""

from netstack.tcp.md5 import Keys
from netstack.tcp.pace import UNLIMITED
from netstack.units import Micros, Octets


class SocketOptions:
    """Options of one socket; a listener's are copied to what it accepts. Zero means "the stack's default"."""

    __slots__ = (
        "congestion",
        "cork",
        "defer_accept",
        "fastopen",
        "fastopen_connect",
        "fastopen_key",
        "fastopen_no_cookie",
        "keepalive",
        "keepcnt",
        "keepidle",
        "keepintvl",
        "kept",
        "linger",
        "linger2",
        "max_pacing_rate",
        "maxseg",
        "md5",
        "mtu_discover",
        "nodelay",
        "notsent_lowat",
        "oobinline",
        "paced",
        "quickack",
        "rcvbuf",
        "rcvlowat",
        "recverr",
        "reuseaddr",
        "rto_max",
        "rto_min",
        "save_syn",
        "sndbuf",
        "syncnt",
        "thin",
        "tos",
        "ttl",
        "user_timeout",
        "window_clamp",
    )

    def __init__(self) -> None:
        self.nodelay = False
        """TCP_NODELAY: no Nagle (RFC 896)."""
        self.cork = False
        """TCP_CORK: full segments only, for at most 200 ms."""
        self.quickack = True
        """TCP_QUICKACK as last set."""
        self.oobinline = False
        """SO_OOBINLINE: urgent octets stay in the stream (RFC 6093 3.2)."""
        self.keepalive = False
        self.keepidle: Micros = 0
        self.keepintvl: Micros = 0
        self.keepcnt = 0
        self.user_timeout: Micros = 0
        """TCP_USER_TIMEOUT (RFC 9293 3.8.3, RFC 5482): give up when data stays unacknowledged this long."""
        self.linger: Micros | None = None
        """SO_LINGER: None off; 0 makes close() an abort; else how long close waits (the caller's business)."""
        self.rcvbuf: Octets = 0
        """SO_RCVBUF was set to half of this, as Linux counts, since data costs memory beyond its octets: no
        auto-tuning, and windows up to half of it."""
        self.sndbuf: Octets = 0
        """SO_SNDBUF was set to half of this: so many octets may be queued or wait to be acknowledged."""
        self.window_clamp: Octets = 0
        """TCP_WINDOW_CLAMP: no window larger than this is offered."""
        self.notsent_lowat: Octets = 0
        self.maxseg: Octets = 0
        self.paced = False
        """SO_MAX_PACING_RATE named a rate once: what leaves is spread out from then on (Linux)."""
        self.max_pacing_rate = UNLIMITED
        """Octets a second."""
        self.syncnt = 0
        self.defer_accept: Micros = 0
        self.fastopen = 0
        """TCP_FASTOPEN: so many connections of a listener may be in use before their handshake is complete."""
        self.fastopen_connect = False
        """TCP_FASTOPEN_CONNECT: connect() waits for the first data when that can ride on the SYN."""
        self.fastopen_key = b""
        """TCP_FASTOPEN_KEY: one key of 16 octets, or two; empty: the stack's."""
        self.fastopen_no_cookie = False
        """TCP_FASTOPEN_NO_COOKIE: neither asked for nor given; something else keeps forgers away."""
        self.mtu_discover = 1
        """IP_MTU_DISCOVER: 0 is without DF; 1 and 2 believe what ICMP says (RFC 1191), the others do not."""
        self.recverr = False
        """IP_RECVERR: what ICMP says of an established connection is an error, not a hint."""
        self.rcvlowat: Octets = 0
        """SO_RCVLOWAT: with less than this to read, nobody is told."""
        self.thin = False
        """TCP_THIN_LINEAR_TIMEOUTS."""
        self.linger2: Micros = 0
        """TCP_LINGER2: how long FIN-WAIT-2 lasts without a user; negative: not at all."""
        self.rto_max: Micros = 0
        """TCP_RTO_MAX_MS."""
        self.rto_min: Micros = 0
        """TCP_RTO_MIN_US."""
        self.save_syn = 0
        """TCP_SAVE_SYN: connections keep the headers of the SYN they began with; 2: those of the link, too."""
        self.kept: dict[tuple[int, int], int] = {}
        """Options without effect, by level and name. Never changed in place: copies share it."""
        self.congestion = ""
        self.md5: Keys | None = None
        """TCP_MD5SIG: None until the first key."""
        self.reuseaddr = False
        self.tos = 0
        self.ttl = 0

    def copy(self) -> "SocketOptions":
        """A second set with the same values."""
        other = SocketOptions.__new__(SocketOptions)
        for name in self.__slots__:
            setattr(other, name, getattr(self, name))
        return other
