"""Configuration is a value: frozen dataclasses, nothing read from files or the environment here.

`TcpConfig` uses the names of Linux's net.ipv4 sysctls where there is one, with Linux's defaults, in our units
(microseconds, octets), so that what people know from Linux holds here.
"""

from dataclasses import dataclass, field
from ipaddress import IPv4Address, IPv4Interface

from netstack.units import MILLISECOND, MINUTE, SECOND, Micros, Octets


@dataclass(frozen=True, slots=True)
class TcpConfig:
    """Switches and limits of TCP."""

    timestamps: bool = True
    sack: bool = True
    dsack: bool = True
    window_scaling: bool = True
    congestion_control: str = "cubic"
    ecn: int = 2
    """RFC 3168: 0 never, 1 ask for it and agree to it, 2 agree to it when the peer asks (Linux's tcp_ecn).

    RFC 9768: 3 ask for accurate ECN and agree to it, 4 agree to it but ask for RFC 3168's, 5 agree to it.
    """
    ecn_fallback: bool = True
    """RFC 3168 6.1.1.1: a SYN that goes unanswered is sent again without asking."""
    ecn_option: int = 2
    """RFC 9768 3.2.3.3: the AccECN option 0 never, 1 when something changed and as a beacon, 2 on every segment."""
    ecn_option_beacon: int = 3
    """So many times per round trip."""
    fastopen: int = 1
    """RFC 7413, Linux's tcp_fastopen: 1 for clients and 2 for servers that ask for it; 4 and 0x200 for clients and
    servers without cookies; 0x400 (beside 2) for every listener."""
    fastopen_key: str = ""
    """Of the cookies that servers give: four 32-bit words in hexadecimal with dashes between; empty: a random one."""
    fastopen_blackhole_timeout: Micros = 0
    """How long clients do without Fast Open when a path swallows it; 0: nobody looks."""
    abe: bool = False
    """RFC 8511: reduce less for a mark than for a loss. Linux does not do it."""
    initial_cwnd: int = 10
    """Segments; RFC 6928."""
    initial_rto: Micros = 1 * SECOND
    """RFC 6298 2.1."""
    rto_min: Micros = 200 * MILLISECOND
    """RFC 6298 2.4 says SHOULD be 1 s; Linux uses 200 ms."""
    rto_max: Micros = 120 * SECOND
    """RFC 6298 2.5."""
    syn_retries: int = 6
    syn_linear_timeouts: int = 4
    """So many SYNs go out again at even distances before the back-off begins, on top of syn_retries, as in Linux: a
    network that loses SYNs is rather broken than full. RFC 6298 5.5 has the back-off begin at once."""
    synack_retries: int = 5
    retries1: int = 3
    """RFC 9293 3.8.3 R1: after this many retransmissions, ask IP for another path."""
    mtu_probing: int = 0
    """RFC 4821: 0 never, 1 when large segments seem to vanish, 2 from the start."""
    base_mss: Octets = 1_024
    """What every path is taken to carry: where probing begins."""
    mtu_probe_floor: Octets = 48
    """No smaller segments are tried."""
    probe_threshold: Octets = 8
    """The search ends when its range is smaller."""
    probe_interval: Micros = 10 * MINUTE
    """... and begins anew after so long."""
    retries2: int = 15
    """RFC 9293 3.8.3 R2: after the time this many would take, give up."""
    orphan_retries: int = 8
    delack_min: Micros = 40 * MILLISECOND
    delack_max: Micros = 200 * MILLISECOND
    comp_sack_delay: Micros = MILLISECOND
    """How long duplicate ACKs wait for each other at most, a twentieth of the round-trip time if that is less."""
    comp_sack_slack: Micros = 100
    """... and so much longer, as a timer may."""
    comp_sack_nr: int = 44
    """So many are left out at most; 0: none."""
    shrink_window: bool = False
    """RFC 7323 2.4: the window's right edge may move left when memory gets short, if the window is scaled."""
    reordering: int = 3
    """Duplicate ACKs that mean loss (RFC 5681's threshold)."""
    min_rtt_wlen: Micros = 300 * SECOND
    """How far back the smallest round-trip time counts."""
    max_reordering: int = 300
    """Segments: the largest reordering degree a path is believed to have."""
    recovery: int = 1
    """RACK's switches (RFC 8985 6.2 step 4): 2, the reordering window does not adapt; 4, it does not go by the number
    of duplicate ACKs either. RACK itself is always on, as in Linux since 6.17."""
    early_retrans: int = 3
    """3 or 4: tail loss probes (RFC 8985 7); less: none."""
    frto: int = 2
    """RFC 5682; 0: never."""
    thin_linear_timeouts: bool = False
    """A flow with fewer than four segments out does not back off at its first timeouts."""
    limit_output: Octets = 256 * 1024
    """What one connection sends at most in one go, before others and arriving ACKs get their turn (as Linux's TSQ)."""
    slow_start_after_idle: bool = True
    pacing_ss_ratio: int = 200
    """Per cent of cwnd per SRTT: what who is paced sends at while cwnd is below half of ssthresh, and above."""
    pacing_ca_ratio: int = 120
    fin_timeout: Micros = 60 * SECOND
    rfc1337: bool = False
    """RFC 1337 3: a RST does not end TIME-WAIT."""
    reflect_tos: bool = False
    """What a listener answers, and its connections, bear the traffic class of the peer's SYN."""
    timewait_len: Micros = 60 * SECOND
    """2 MSL as Linux has it; RFC 9293 3.4.2 says MSL is 2 minutes."""
    stdurg: bool = False
    """The urgent pointer names the urgent octet itself (RFC 6093 3.1, RFC 1122 4.2.2.4), not the one behind it."""
    max_tw_buckets: int = 65_536
    keepalive_time: Micros = 7_200 * SECOND
    keepalive_intvl: Micros = 75 * SECOND
    keepalive_probes: int = 9
    somaxconn: int = 4_096
    max_syn_backlog: int = 1_024
    """Half-open connections of one listener, when there are no cookies."""
    syncookies: int = 1
    """RFC 4987 3.6: 0 never, 1 when the SYN queue is full, 2 always."""
    abort_on_overflow: bool = False
    """Reset a connection that finds the accept queue full, instead of waiting for the peer's next try."""
    challenge_ack_limit: int = 1_000
    """Per second, for the whole stack (RFC 5961 7)."""
    invalid_ratelimit: Micros = 500 * MILLISECOND
    """Per connection, between ACKs that answer unacceptable segments."""
    default_mss: Octets = 536
    """SendMSS when the peer sends no MSS option (RFC 9293 3.7.1)."""
    rmem: tuple[Octets, Octets, Octets] = (4_096, 131_072, 6_291_456)
    """A receive buffer: what is granted even when memory is short, the size to begin with, the largest."""
    wmem: tuple[Octets, Octets, Octets] = (4_096, 262_144, 4_194_304)
    rmem_max: Octets = 4 * 1024 * 1024
    """The most that SO_RCVBUF takes, before it is doubled (Linux's net.core.rmem_max)."""
    wmem_max: Octets = 4 * 1024 * 1024
    initial_rwnd: int = 0
    """Segments: the window to begin with, at most; in a passive open even if the buffer is less. 0: what the buffer
    takes (Linux's initrwnd of a route)."""
    window_clamp: Octets = 0
    """No larger window is offered at first, as by TCP_WINDOW_CLAMP; 0: no bound (a route's window)."""
    advmss: Octets = 0
    """The segment size that we tell peers; 0: what the link takes (a route's advmss)."""
    moderate_rcvbuf: bool = True
    """Receive buffers grow with the rate."""
    notsent_lowat: Octets = 0xFFFF_FFFF
    """A connection with more than this not sent yet is not writable."""
    mem: tuple[Octets, Octets, Octets] = (96 * 1024 * 1024, 128 * 1024 * 1024, 192 * 1024 * 1024)
    """All connections together: below the first there is no pressure, above the second there is, above the third
    nobody gets more; see `tcp.memory`. Linux's tcp_mem counts pages and follows the machine's size."""
    max_orphans: int = 16_384
    """Connections that go on without a user; more are reset."""
    port_range: tuple[int, int] = (32_768, 60_999)


@dataclass(frozen=True, slots=True)
class Config:
    """One stack: its address, its link, its switches."""

    address: IPv4Interface = field(default=IPv4Interface("192.0.2.2/24"))
    gateway: IPv4Address | None = None
    mac: bytes = bytes.fromhex("02005e000202")
    """Locally administered, unicast."""
    mtu: Octets = 1_500
    default_ttl: int = 64
    reassembly_memory: Octets = 4 * 1024 * 1024
    reassembly_timeout: Micros = 30 * SECOND
    pmtu_expires: Micros = 10 * MINUTE
    """RFC 1191 6.3."""
    icmp_errors_per_second: int = 1_000
    neighbor_queue: int = 101
    """Packets that wait for one address to be resolved."""
    neighbor_limit: int = 1_024
    tcp: TcpConfig = field(default_factory=TcpConfig)
