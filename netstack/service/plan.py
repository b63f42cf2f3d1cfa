"""What to run: every choice of `netstack up`, checked, as one value."""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface
from ssl import SSLContext

from netstack.config import Config, TcpConfig
from netstack.host import Network
from netstack.link.fault import Faults
from netstack.service.addresses import DEFAULT_HOST, DEFAULT_STACK
from netstack.tcp.fast_open import CLIENT, EVERY_LISTENER, SERVER
from netstack.units import Octets

TAP = "netstack0"
PORT = 8080
MTU: Octets = 1500
MIN_MTU: Octets = 68
"""RFC 791: what every link must carry; Linux's limit too."""
MAX_MTU: Octets = 65_521
"""Linux's limit for a TAP: 65,535 less the Ethernet header."""


@dataclass(frozen=True, slots=True)
class Plan:
    """One stack on one TAP with one server. Addresses and sizes are taken to fit together (see `addresses`)."""

    stack: IPv4Interface = DEFAULT_STACK
    host: IPv4Interface = DEFAULT_HOST
    gateway: IPv4Address = DEFAULT_HOST.ip
    port: int = PORT
    tap: str = TAP
    netns: str | None = None
    mtu: Octets = MTU
    offload: bool = True
    congestion_control: str = TcpConfig().congestion_control
    fast_open: bool = False
    """TCP Fast Open for every listener (RFC 7413)."""
    pcap: str | None = None
    """Path of a capture file to write."""
    trace: str | None = None
    """Path of a file of events, one JSON object a line."""
    tls: SSLContext | None = None
    """Serve https, with the certificate that this context has."""
    keylog: str | None = None
    """Path of a file to which TLS appends its secrets; None: none."""
    access_log: bool = True
    lifespan: str = "auto"
    faults: Faults = field(default_factory=Faults)
    """What happens to frames on their way, in each direction."""
    inspect: int | None = None
    """The port of the live page: the application's own, where it takes the place of `/`, or another; None: no page."""
    seed: int = 0
    """For the faults: the same seed and the same frames at the same times give the same faults."""

    @property
    def impaired(self) -> bool:
        """Whether frames pass through an imperfect path."""
        return self.faults != Faults()

    @property
    def url(self) -> str:
        """Where the application is to be found."""
        return self._url(self.port)

    @property
    def page_url(self) -> str | None:
        """Where the live page is to be found; None when there is none."""
        return None if self.inspect is None else self._url(self.inspect)

    def _url(self, port: int) -> str:
        scheme, usual = ("http", 80) if self.tls is None else ("https", 443)
        return f"{scheme}://{self.stack.ip}{'' if port == usual else f':{port}'}/"

    @property
    def config(self) -> Config:
        """The stack's own configuration."""
        fast_open = CLIENT | SERVER | EVERY_LISTENER if self.fast_open else CLIENT
        tcp = TcpConfig(congestion_control=self.congestion_control, fastopen=fast_open)
        return Config(address=self.stack, gateway=self.gateway, mtu=self.mtu, tcp=tcp)

    @property
    def network(self) -> Network:
        """The host's side of it.

        Frames that pass an imperfect path, or one that the live page may make so, are complete and of the wire's size:
        no offload.
        """
        offload = self.offload and not self.impaired and self.inspect is None
        return Network(self.tap, self.host, self.stack.ip, self.mtu, offload, self.netns)
