"""The syntax tree of a script: small frozen records. What came over the wire is turned into the same records."""

from dataclasses import dataclass, field
from enum import Enum

from netstack.units import Micros, Octets


class ScriptError(Exception):
    """The script is wrong (not the stack). One line, with the place."""

    def __init__(self, line: int, message: str) -> None:
        super().__init__(message)
        self.line = line
        self.message = message


# ---------------------------------------------------------------------------------------------------- TCP options


@dataclass(frozen=True, slots=True)
class Nop:
    """`nop`"""


@dataclass(frozen=True, slots=True)
class Eol:
    """`eol`"""


@dataclass(frozen=True, slots=True)
class Mss:
    """`mss N`"""

    value: int


@dataclass(frozen=True, slots=True)
class WindowScale:
    """`wscale N`"""

    shift: int


@dataclass(frozen=True, slots=True)
class SackPermitted:
    """`sackOK`"""


@dataclass(frozen=True, slots=True)
class Sack:
    """`sack a:b c:d`; numbers relative to the initial one unless `absolute`."""

    blocks: tuple[tuple[int, int], ...]


@dataclass(frozen=True, slots=True)
class Timestamps:
    """`TS val V ecr E`; None where the script says `...`; `raw_*` where it says `!` (the number as on the wire)."""

    val: int | None
    ecr: int | None
    raw_val: bool = False
    raw_ecr: bool = False


@dataclass(frozen=True, slots=True)
class Md5:
    """`md5 hex`; None for `md5 valid`."""

    digest: bytes | None


@dataclass(frozen=True, slots=True)
class FastOpen:
    """`FO hex`, `FOEXP hex` (RFC 7413; the experimental kind 254 carries the magic number F989)."""

    cookie: bytes
    experimental: bool = False


@dataclass(frozen=True, slots=True)
class AccEcn:
    """`ECN e0b N ceb N e1b N` in the order given: kind 172 begins with e0b, 174 with e1b (RFC 9768 3.2.3)."""

    counters: tuple[tuple[str, int], ...]


@dataclass(frozen=True, slots=True)
class RawOptions:
    """Hexadecimal digits: these octets, kind and length included."""

    octets: bytes


TcpOption = Nop | Eol | Mss | WindowScale | SackPermitted | Sack | Timestamps | Md5 | FastOpen | AccEcn | RawOptions

# -------------------------------------------------------------------------------------------------------- packets


@dataclass(frozen=True, slots=True)
class IpFields:
    """`[ect0]`, `[tos 0x20, ttl 5]`: None where not given, and then not compared."""

    ecn: str | None = None
    tos: int | None = None
    ttl: int | None = None
    flowlabel: int | None = None


@dataclass(frozen=True, slots=True)
class OuterHeader:
    """A header in front: `ipv4 A > B:`, `ipv6 A > B:`, `gre ...:`, `mpls (...)...:`; `text` as written."""

    kind: str
    text: str
    source: str = ""
    destination: str = ""


class SeqKind(Enum):
    """How the number before the colon is meant."""

    RELATIVE = "relative to the initial number (a SYN: as written)"
    RAW = "as on the wire"
    ANY = "not compared"


@dataclass(frozen=True, slots=True)
class TcpSegment:
    """`[sport > dport] FLAGS seq:end(len) [ack N] [win N] [urg N] [<options>]`"""

    flags: frozenset[str]
    """Of F S R P U E W A and "."; E, W and A are empty where `ace` is given."""
    seq: int
    length: Octets
    ace: int | None = None
    seq_kind: SeqKind = SeqKind.RELATIVE
    ack: int | None = None
    ack_raw: bool = False
    window: int | None = None
    urgent: int = 0
    options: tuple[TcpOption, ...] | None = ()
    """None: `<...>`, not compared."""
    ports: tuple[int, int] | None = None
    encapsulation: tuple[int, int] | None = None
    """`/udp(1 > 9811)`: TCP inside UDP with these ports."""


@dataclass(frozen=True, slots=True)
class UdpDatagram:
    """`udp [sport > dport] (len)`"""

    length: Octets
    ports: tuple[int, int] | None = None


@dataclass(frozen=True, slots=True)
class Quoted:
    """What an ICMP error quotes: `[1:1001(1000)]`, `[udp (len)]`, `[raw (len)]`."""

    kind: str
    length: Octets
    seq: int = 0


@dataclass(frozen=True, slots=True)
class IcmpMessage:
    """`icmp type [code] [mtu N] [id N] [quoted]`; names or digits, numbers come from `icmp_names`."""

    type: str
    code: str = "0"
    mtu: int | None = None
    ident: int | None = None
    quoted: Quoted | None = None


@dataclass(frozen=True, slots=True)
class OtherProtocol:
    """A protocol that scripts may name and nothing here speaks (sctp)."""

    name: str


@dataclass(frozen=True, slots=True)
class Packet:
    """One `<` (inbound, injected) or `>` (outbound, expected)."""

    inbound: bool
    body: TcpSegment | UdpDatagram | IcmpMessage | OtherProtocol
    ip: IpFields = field(default=IpFields())
    headers: tuple[OuterHeader, ...] = ()


# --------------------------------------------------------------------------------------------------- system calls


@dataclass(frozen=True, slots=True)
class Unspecified:
    """`...`: filled in by the engine, or not compared."""


@dataclass(frozen=True, slots=True)
class Number:
    """A number, and how it was written."""

    value: int
    text: str


@dataclass(frozen=True, slots=True)
class Text:
    """A string in double quotes."""

    value: str


@dataclass(frozen=True, slots=True)
class Symbols:
    """One name, or several joined by `|` (numbers may be among them)."""

    names: tuple[str, ...]


@dataclass(frozen=True, slots=True)
class Apply:
    """`htons(80)`, `inet_addr("192.0.2.1")`, `sizeof(...)`"""

    name: str
    arguments: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Array:
    """`[a, b]`"""

    items: tuple["Expression", ...]


@dataclass(frozen=True, slots=True)
class Member:
    """`name = value`, `name(index) = value`, or a bare value (name "")."""

    name: str
    index: "Expression | None"
    value: "Expression"


@dataclass(frozen=True, slots=True)
class Struct:
    """`{fd=4, events=POLLIN}`"""

    members: tuple[Member, ...]

    def get(self, name: str) -> "Expression | None":
        """The value of member `name`, None where it is not given."""
        return next((member.value for member in self.members if member.name == name), None)


Expression = Unspecified | Number | Text | Symbols | Apply | Array | Struct


@dataclass(frozen=True, slots=True)
class Call:
    """`name(arguments) = result [ERRNO] [(text)]`"""

    name: str
    arguments: tuple[Expression, ...]
    result: Expression
    errno: str | None = None
    note: str | None = None


# --------------------------------------------------------------------------------------------------------- events


@dataclass(frozen=True, slots=True)
class Code:
    """`%{ Python }%`"""

    text: str


@dataclass(frozen=True, slots=True)
class Command:
    """Shell text in back quotes. It is read for settings and never handed to a shell."""

    text: str
    line: int


class Anchor(Enum):
    """What a time counts from."""

    START = ""
    PREVIOUS = "+"
    ANY = "*"


@dataclass(frozen=True, slots=True)
class When:
    """`1.5`, `+.1`, `*`, `1.0~1.2`, `+1.0~+1.2`; and `+0...0.100` for a call that blocks."""

    anchor: Anchor
    at: Micros = 0
    until: Micros | None = None
    returns: Micros | None = None


@dataclass(frozen=True, slots=True)
class Event:
    """A time and an action; `text` is the source, white space squeezed."""

    line: int
    text: str
    when: When
    action: Packet | Call | Code | Command


@dataclass(frozen=True, slots=True)
class Script:
    """`options init-command events cleanup-command`"""

    name: str
    options: tuple[tuple[str, str], ...]
    init: Command | None
    events: tuple[Event, ...]
    cleanup: Command | None
